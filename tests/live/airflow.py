"""A real Airflow for tests: its own processes, database and ports, gone without trace afterwards.

    with LocalAirflow(dags=Path("dags"), connections={"aws_default": aws_connection(url)}) as airflow:
        run_id = airflow.trigger("my_dag")
        airflow.wait_for_task("my_dag", run_id, "refresh", "deferred")
        airflow.kill("triggerer", signal.SIGKILL)

api-server, scheduler, dag-processor and triggerers are started by hand, since ``airflow standalone`` leaves
orphans behind when it is ended; each leads a process session of its own. Tasks run in the LocalExecutor.

Measured on two cores that had other work too: 5 s once per process for the migrated database, 9 to 15 s from
``start`` until all is healthy, 7 to 10 s for the first run (Airflow imports much only then), 6 s for a later
run that waits 3 s in the triggerer, 1 to 3 s for ``stop``.
"""

from __future__ import annotations

import atexit
import contextlib
import shutil
import signal
import sys
import tempfile
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from tests.live import home as homes
from tests.live.home import aws_connection
from tests.live.logs import read_log
from tests.live.ports import free_port
from tests.live.processes import (
    Component,
    LiveError,
    end,
    find,
    interrupted_by_sigterm,
    wait_for_port,
)
from tests.live.waits import Waits

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["LiveError", "LocalAirflow", "aws_connection"]

_JOB_TYPES = {"scheduler": "SchedulerJob", "dag-processor": "DagProcessorJob", "triggerer": "TriggererJob"}
"""What components call themselves in Airflow's list of jobs."""


class LocalAirflow(Waits):
    """A running Airflow.

    Its REST API is inherited from :class:`tests.live.rest.AirflowApi`, ``trigger`` and the waits from
    :class:`tests.live.waits.Waits`.

    :param dags: a folder of DAG files, or one file; copied, so a test may rewrite ``self.dags``
    :param home: AIRFLOW_HOME; a temporary folder, removed at the end, if not given
    :param env: further environment variables of all components
    :param connections: Airflow connections by id, see :func:`aws_connection`
    :param triggerers: how many; they are called "triggerer", "triggerer-2", ...
    :param port: of the API server and the web UI; a free one if not given
    :param database: SQLAlchemy URL of an empty database; SQLite in ``home`` if not given
    :param preload: modules that no task has to import by itself, see :func:`tests.live.home.preload`
    """

    def __init__(
        self,
        *,
        dags: Path,
        home: Path | None = None,
        env: Mapping[str, str] | None = None,
        connections: Mapping[str, Mapping[str, Any]] | None = None,
        triggerers: int = 1,
        port: int | None = None,
        database: str | None = None,
        preload: Collection[str] = (),
    ) -> None:
        self._temporary = home is None
        self.home = home or Path(tempfile.mkdtemp(prefix="airflow-"))
        self.dags = self.home / "dags"
        self._source = dags
        self._sqlite = self.home / "airflow.db" if database is None else None
        self._preload = preload
        self._port = port or free_port()
        super().__init__(f"http://127.0.0.1:{self._port}")
        self._env = {
            **homes.airflow_environment(self.home, self._port, database or f"sqlite:///{self._sqlite}"),
            **homes.connection_variables(connections or {}),
            **(env or {}),
        }
        names = ["api-server", "scheduler", "dag-processor", "triggerer"]
        names += [f"triggerer-{number}" for number in range(2, triggerers + 1)]
        self.components = {name: self._component(name) for name in names}
        self._signals = contextlib.ExitStack()

    # Life

    def start(self, timeout: float = 90.0) -> None:
        """Start every component and return when all are healthy; on any failure nothing is left running."""
        atexit.register(self.stop)
        self._signals.enter_context(interrupted_by_sigterm())
        try:
            self._prepare_home()
            self._launch(*self.components, timeout=timeout)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every process that belongs to this Airflow, and remove its home if it was a temporary one."""
        atexit.unregister(self.stop)
        self.close()
        end(self.components.values())
        self._signals.close()
        if self._temporary:
            shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def check(self) -> None:
        """Raise if a component died that nobody killed on purpose."""
        for component in self.components.values():
            component.ensure_alive()

    # Files

    def add_dag(self, name: str, source: str) -> Path:
        """Write (or rewrite) a file in the folder of DAGs; Airflow sees it within some seconds."""
        path = self.dags / name
        path.write_text(source)
        return path

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1) -> str:
        """What one try of a task logged, on the worker and in the triggerer; empty if nothing yet."""
        return read_log(self.home / "logs" / "tasks", dag_id, run_id, task_id, try_number, map_index)

    def component_log(self, name: str) -> str:
        """The end of a component's log, set off for the end of a message."""
        return self.components[name].tail()

    # Processes

    def kill(self, name: str, number: int = signal.SIGKILL, *, whole: bool = False) -> None:
        """Send a signal to a component, or with ``whole`` to its child processes as well.

        SIGSTOP with ``whole`` freezes it, SIGCONT thaws it.
        """
        self.components[name].signal(number, whole=whole)

    def restart(self, name: str, number: int = signal.SIGTERM, timeout: float = 60.0) -> None:
        """End a component with a signal, start it anew, and wait until it works.

        What the old one leaves running goes on: a killed scheduler's tasks do, for instance.
        """
        self.components[name].signal(number)
        self.components[name].wait(timeout)
        self._launch(name, timeout=timeout)

    def expect_ends(self) -> None:
        """Take no component's end for a failure from now on, until it is started anew."""
        for component in self.components.values():
            component.expect_end()

    def revive(self, timeout: float = 60.0) -> list[str]:
        """Start the components that have ended by themselves, as a supervisor would; return their names."""
        ended = [name for name, component in self.components.items() if not component.alive]
        self._launch(*ended, timeout=timeout)
        return ended

    def task_process(
        self, dag_id: str, run_id: str, task_id: str, map_index: int = -1, timeout: float = 15.0
    ) -> psutil.Process:
        """The process that runs a task's code right now; its parent is its supervisor."""

        def running() -> psutil.Process | None:
            found = self.task_instance(dag_id, run_id, task_id, map_index)
            return self.task_processes().get(str(found.get("id")))

        return self.wait_until(
            running, timeout, lambda: f"No process runs task {task_id} of run {run_id}", "scheduler"
        )

    def task_processes(self) -> dict[str, psutil.Process]:
        """The processes that run tasks' code right now, by the task instance's id: other Airflows', too."""
        # The task runner gives itself this title before it loads the DAG.
        titles = {_title(process): process for process in psutil.process_iter()}
        mark = "airflow worker -- "
        return {title[len(mark) :]: each for title, each in titles.items() if title.startswith(mark)}

    def processes(self) -> list[psutil.Process]:
        """Every living process of this Airflow."""
        return find(self.components.values())

    def _component(self, name: str) -> Component:
        argv = [sys.executable, "-m", "airflow", name]
        env = self._env
        if name.startswith("triggerer"):
            argv[-1:] = ["triggerer", "--skip-serve-logs"]
        elif name == "scheduler":
            argv.append("--skip-serve-logs")
        elif name == "api-server" and self._sqlite:
            # Waiting for SQLite's lock blocks the server's event loop, and with it every running task.
            env = {**env, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self._sqlite}?timeout=1"}
        return Component(name, argv, env=env, log=self.home / "logs" / f"{name}.log", cwd=self.home)

    def _prepare_home(self) -> None:
        if self._source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(self._source, self.dags, dirs_exist_ok=True, ignore=ignored)
        else:
            self.dags.mkdir(parents=True, exist_ok=True)
            shutil.copy(self._source, self.dags)
        if self._preload:
            homes.preload(self.home, self._preload)
        if self._sqlite is None:
            homes.migrate(self._env)
        elif not self._sqlite.exists():
            homes.create_sqlite(self._sqlite)

    def _launch(self, *names: str, timeout: float) -> None:
        """Start components and wait until each has registered with Airflow and all of Airflow is healthy."""
        since = datetime.now(timezone.utc).isoformat()
        for name in names:
            self.components[name].start()
        wanted = Counter(_JOB_TYPES[name.rstrip("-0123456789")] for name in names if name != "api-server")

        # It is the slowest to start, and nothing can be asked before it answers.
        wait_for_port(self.components["api-server"], self._port, timeout)

        def working() -> bool | None:
            running = {"start_date_gte": since, "job_state": "running"}
            jobs = self.request("GET", "/jobs", params=running)["jobs"]
            missing = wanted - Counter(job["job_type"] for job in jobs)
            return True if not missing and set(self.health().values()) == {"healthy"} else None

        def late() -> str:
            return f"Airflow is not healthy: {self.health()}."

        self.wait_until(working, timeout, late, *names)


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()).strip()
    except psutil.Error:
        return ""
