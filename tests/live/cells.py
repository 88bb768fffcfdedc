"""Every job type at once: a scenario is written for one of them, and runs for all of them side by side."""

from __future__ import annotations

import re
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.cases import CASES
from tests.live.job_types import LIVE_JOB_TYPES
from tests.live.looks import PAUSE, Looks
from tests.live.modes import ARGUMENTS
from tests.live.target import Target, new_target
from tests.live.waits import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psutil import Process

    from airflow_jobs_provider.testing import EmulatorClient
    from tests.live.airflow import LocalAirflow
    from tests.live.rest import Json

# Seconds in which Airflow does what it does by itself, on a machine that is busy with other tests.
PATIENCE = 120.0


@dataclass(kw_only=True)
class Cell(Target):
    """A target, and the DAG run that was started last for it.

    :ivar map_index: of the task "job"; a variant that is called mapped has one instance of it.
    """

    airflow: LocalAirflow = field(repr=False)
    dag_id: str = ""
    run_id: str = ""
    map_index: int = -1

    def on_a_new_target(self) -> Cell:
        """Return a cell of the same job type."""
        return replace(self, target=new_target(), dag_id="", run_id="")

    def leave(self) -> None:
        """Give the run up that was started last, if it still goes on, and look no more at it."""
        if self.run_id and self.state() not in TERMINAL:
            self.airflow.set_run_state(self.dag_id, self.run_id, "failed")
        self.looks.end(self.run_id)

    def add_dag(self, mode: str | None) -> None:
        """Write a DAG of this cell's own, ``<job type>_<mode>_<target>``; ``None`` takes its task out."""
        if mode is None:
            task = "EmptyOperator(task_id='other')"
        else:
            self.dag_id = f"{self.name}_{mode}_{self.target}"
            arguments = {**self.live.arguments, **ARGUMENTS[mode], "poll_interval": 1}
            task = f"live.operator(task_id='job', **{arguments!r})"
        self.airflow.add_dag(
            f"{self.target}.py",
            "from airflow.providers.standard.operators.empty import EmptyOperator\n"
            "from airflow.sdk import DAG\n"
            "from tests.live.job_types import LIVE_JOB_TYPES\n"
            f"live = LIVE_JOB_TYPES[{self.name!r}]\n"
            f"with DAG({self.dag_id!r}, schedule=None, params={{'target': {self.target!r}}}):\n    {task}\n",
        )

    def start(self, mode: str, **conf: Any) -> None:
        """Trigger the DAG of a mode."""
        self.dag_id = f"{self.name}_{mode}"
        self.map_index = 0 if mode.endswith("_mapped") else -1
        self.run_id = self.airflow.trigger(self.dag_id, conf=conf or {"target": self.target})
        self.looks.begin(self.run_id)

    def start_and_wait(self, mode: str) -> None:
        """Trigger the DAG of a mode, and wait until the task waits for its job."""
        self.start(mode)
        self.until(lambda: bool(self.jobs()), "a job was started")
        if mode.startswith(("deferred", "ending", "workerless")):
            self.sees("deferred")
            self.until(self.is_waited_for, "a triggerer reads the job")
        else:
            self.sees("running")

    def is_waited_for(self, try_number: int = 1) -> bool:
        """Whether a wait has read the last job: alone or, as the log of a try tells, with others."""
        own_id = list(self.jobs()[-1]["ids"].values())[-1]
        listed = bool(self.lists()) and re.search(rf"{own_id}.* after \d", self.log(try_number)) is not None
        return listed or bool(self.readings())

    def is_deferred(self) -> None:
        """Wait until the task is deferred, and its trigger runs: it could not be told of a kill before."""
        self.sees("deferred")
        self.until(lambda: ") starting" in self.log(), "a triggerer runs the trigger")

    def state(self) -> str | None:
        """Return the task's state."""
        state: str | None = self._task("job", time.monotonic()).get("state")
        return state

    def sees(self, *states: str, task_id: str = "job", try_number: int = 0) -> None:
        """Wait until a task is in one of these states."""
        since, end = time.monotonic(), time.monotonic() + PATIENCE
        while True:
            task = self._task(task_id, since)
            counts = task.get("try_number", -1) >= try_number
            if counts and task.get("state") in states:
                return
            told = f"task {task_id} is {task.get('state')} in try {task.get('try_number')}, not {states}"
            assert not counts or task["state"] not in TERMINAL, told
            assert time.monotonic() < end, f"{told} for {PATIENCE:g} seconds"

    def resumes(self) -> int:
        """Return how often Airflow has let the task go on after a deferral."""
        runs = self.airflow.events(self.dag_id, self.run_id, "job", "running")
        return len(runs) - len(self.tries())

    def tries(self) -> list[Json]:
        """Return the task's tries, the first one first."""
        return self.airflow.tries(self.dag_id, self.run_id, "job", self.map_index)

    def ends(self, *states: str) -> None:
        """Wait until the run is in one of these states; by default "success"."""
        self.airflow.wait_for_run(self.dag_id, self.run_id, *states)

    def clear(self) -> None:
        """Clear the task."""
        self.airflow.clear(self.dag_id, self.run_id, ["job"])

    def mark(self, state: str) -> None:
        """Mark the task as something."""
        self.airflow.set_task_state(self.dag_id, self.run_id, "job", state, self.map_index)

    def log(self, try_number: int = 1, task_id: str = "job") -> str:
        """Return what a try of a task has logged."""
        return self.airflow.log(self.dag_id, self.run_id, task_id, try_number, self._index(task_id))

    def logs(self, task_id: str = "job") -> str:
        """Return what all tries of a task have logged.

        Airflow may have failed one that resumed quickly, or, when it had just begun, one that never ran.
        """
        return "\n".join(self.log(number, task_id) for number in (1, 2, 3))

    def process(self) -> Process:
        """Return the process that runs the task's code."""
        return self.airflow.task_process(self.dag_id, self.run_id, "job", self.map_index)

    def result(self) -> Any:
        """Return the task's result."""
        return self.airflow.xcom(self.dag_id, self.run_id, "job", map_index=self.map_index)

    def link(self) -> str | None:
        """Return the task's link to the AWS console."""
        return self.airflow.extra_links(self.dag_id, self.run_id, "job", self.map_index)["AWS job"]

    def story(self) -> str:
        """Return where the run stands and how the logs of its tasks end, for a message."""
        told = [f"{self.dag_id}, run {self.run_id}"]
        for task in self.airflow.task_instances(self.dag_id, self.run_id) if self.run_id else ():
            told.append(f"task {task['task_id']} is {task['state']} in try {task['try_number']}")
            for number in range(1, task["try_number"] + 1):
                told += [f"log of try {number}:", *self.log(number, task["task_id"]).splitlines()[-15:]]
        return "\n".join(told)

    def start_slowly(self, mode: str, seconds: float = 3.0) -> None:
        """Trigger the DAG of a mode, and return when the start of its job is on its way to AWS.

        :param seconds: in which AWS does not carry it out.
        """
        operation = self.case.job_type.start
        self.fault_start("delay", delay=seconds, times=1)
        self.start(mode)
        end = time.monotonic() + PATIENCE
        # Not by way of a look that is shared: what follows must come before the answer.
        while not any(self.target in str(call) for call in self.emulator.journal(operation.api_name)):
            self.looks.go_on()
            assert time.monotonic() < end, "no start"
            time.sleep(0.3)

    def _task(self, task_id: str, since: float) -> Json:
        return self.looks.task(self.dag_id, self.run_id, task_id, since, self._index(task_id))

    def _index(self, task_id: str) -> int:
        return self.map_index if task_id == "job" else -1

    def until(self, condition: Callable[[], bool], what: str, timeout: float = PATIENCE) -> None:
        """Wait for something that Airflow does by itself."""
        end = time.monotonic() + timeout
        while not condition():
            self.looks.go_on()
            assert time.monotonic() < end, f"not seen within {timeout:g} seconds: {what}; {self.jobs()}"
            time.sleep(PAUSE / 2)


class Cells:
    """A cell for every job type."""

    def __init__(self, airflow: LocalAirflow, emulator: EmulatorClient) -> None:
        emulator.reset()
        self.airflow = airflow
        looks = Looks(airflow, emulator)
        self._cells = [
            Cell(case=case, live=LIVE_JOB_TYPES[case.name], airflow=airflow, emulator=emulator, looks=looks)
            for case in CASES
        ]
        self._emulator = emulator

    def configure(self, **life: Any) -> None:
        """Set the life of all jobs that are started from now on."""
        for cell in self._cells:
            self._emulator.configure(cell.name, **cell.live.unlimited, **life)

    @property
    def all(self) -> list[Cell]:
        """The cells."""
        return list(self._cells)

    def configure_failure(self) -> None:
        """Let all jobs fail, each as its type does."""
        for cell in self._cells:
            self._emulator.configure(cell.name, **cell.case.failed)

    def only(self, condition: Callable[[Cell], bool]) -> Cells:
        """Leave out job types that a scenario makes no sense for."""
        self._cells = [cell for cell in self._cells if condition(cell)]
        return self

    def each(self, scenario: Callable[[Cell], object], cells: Sequence[Cell] | None = None) -> None:
        """Run a scenario for all job types at once; fail with what went wrong with any of them.

        :param cells: those that it is to run for instead.
        """
        cells = self._cells if cells is None else cells
        with ThreadPoolExecutor(max(1, len(cells))) as pool:
            told = list(pool.map(partial(failure_of, scenario), cells))
        failures = [text for text in told if text is not None]
        if failures:
            heading = f"{len(failures)} of {len(told)}"
            pytest.fail("\n\n".join([heading, *failures]), pytrace=False)


def failure_of(scenario: Callable[[Cell], object], cell: Cell) -> str | None:
    """Run a scenario for a job type; return what went wrong."""
    try:
        scenario(cell)
    except Exception as error:  # noqa: BLE001 - told with those of the other job types
        trace = error.__traceback__ and error.__traceback__.tb_next
        told = "".join(traceback.format_exception(type(error), error, trace))
        return f"=== {cell.name}, target {cell.target} ===\n{told}{cell.story()}"
    return None
