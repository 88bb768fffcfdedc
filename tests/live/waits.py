"""Waiting for what Airflow does by itself, with failures that say what happened instead."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeVar

from tests.live.processes import LiveError
from tests.live.rest import AirflowApi, Json

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

T = TypeVar("T")

TERMINAL = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
"""States that a task instance or a run does not leave by itself."""


class Waits(AirflowApi, ABC):
    """The waits of :class:`tests.live.airflow.LocalAirflow`; every time-out is in seconds.

    :ivar look_every: seconds between two looks; many that wait at once would keep the API server busy.
    """

    look_every = 0.2

    @abstractmethod
    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1) -> str:
        """What one try of a task logged, on the worker and in the triggerer; empty if nothing yet."""

    @abstractmethod
    def component_log(self, name: str) -> str:
        """The end of a component's log, for the end of a message."""

    def wait_for_dag(
        self, dag_id: str, *, parsed_after: datetime | None = None, timeout: float = 30.0
    ) -> Json:
        """Wait until a DAG is known and return it; fails at once if some DAG file cannot be imported.

        :param parsed_after: wait until it was parsed again after this time
        """

        def known() -> Json | None:
            dag = self.dag(dag_id)
            if dag and (parsed_after is None or dag["last_parsed_time"] > parsed_after.isoformat()):
                return dag
            for path, trace in self.import_errors().items():
                raise LiveError(f"DAG {dag_id!r} is missing, and {path} cannot be imported:\n{trace}")
            return None

        return self.wait_until(
            known, timeout, lambda: f"Airflow has not parsed DAG {dag_id!r}", "dag-processor"
        )

    def trigger(self, dag_id: str, conf: Json | None = None, run_id: str | None = None) -> str:
        """Start a run of a DAG as soon as it is known, unpausing it if need be, and return the run's id."""
        if self.wait_for_dag(dag_id)["is_paused"]:
            self.pause(dag_id, paused=False)
        return self.create_run(dag_id, conf, run_id)

    def wait_for_task(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        *states: str,
        map_index: int = -1,
        try_number: int = 0,
        timeout: float = 60.0,
    ) -> Json:
        """Wait until a task instance is in one of ``states`` and return it.

        Fails at once, with the task's log, when it has ended in another state.

        :param try_number: the state counts only in this try or a later one
        """
        mapped = f"[{map_index}]" if map_index >= 0 else ""

        def told(found: Json) -> str:
            log = self.log(dag_id, run_id, task_id, found["try_number"], map_index) if found else ""
            return (
                f"Task {task_id}{mapped} of {dag_id}, run {run_id}, is {found.get('state')} in try "
                f"{found.get('try_number')}, not {' or '.join(states)}.{_end_of(log)}"
            )

        def there() -> Json | None:
            found = self.task_instance(dag_id, run_id, task_id, map_index)
            if not found or found["try_number"] < try_number:
                return None
            if found["state"] in states:
                return found
            if found["state"] in TERMINAL:
                raise LiveError(told(found))
            return None

        def late() -> str:
            return told(self.task_instance(dag_id, run_id, task_id, map_index))

        return self.wait_until(there, timeout, late, "scheduler", "triggerer")

    def wait_for_run(self, dag_id: str, run_id: str, *states: str, timeout: float = 90.0) -> Json:
        """Wait until a run is in one of ``states`` ("success" if none is given) and return it.

        Fails at once, with the log of a failed task, when it has ended in another state.
        """
        wanted = states or ("success",)

        def told(run: Json) -> str:
            found = self.task_instances(dag_id, run_id)
            tasks = ", ".join(f"{each['task_id']}[{each['map_index']}] {each['state']}" for each in found)
            failed = next((each for each in found if each["state"] == "failed"), None)
            log = (
                self.log(dag_id, run_id, failed["task_id"], failed["try_number"], failed["map_index"])
                if failed
                else ""
            )
            what = f"Run {run_id} of {dag_id} is {run['state']}, not {' or '.join(wanted)}"
            return f"{what} ({tasks}).{_end_of(log)}"

        def there() -> Json | None:
            run = self.run(dag_id, run_id)
            if run["state"] in wanted:
                return run
            if run["state"] in TERMINAL:
                raise LiveError(told(run))
            return None

        return self.wait_until(there, timeout, lambda: told(self.run(dag_id, run_id)), "scheduler")

    def wait_until(
        self, condition: Callable[[], T | None], timeout: float, problem: Callable[[], str], *logs: str
    ) -> T:
        """Wait until ``condition`` returns something, and return that.

        :param problem: tells what is wrong when the time is over
        :param logs: the components whose logs may explain it
        """
        deadline = time.monotonic() + timeout
        while (result := condition()) is None:
            if time.monotonic() > deadline:
                explained = "".join(self.component_log(name) for name in logs)
                raise LiveError(f"After {timeout:g} s: {problem()}{explained}")
            time.sleep(self.look_every)
        return result


def _end_of(log: str, lines: int = 25) -> str:
    return "\n".join(["", "--- the end of the task's log ---", *log.splitlines()[-lines:]]) if log else ""
