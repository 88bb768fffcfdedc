"""One job type on a target of its own, and the task that starts its job."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tests.live.looks import PAUSE
from tests.live.modes import ARGUMENTS
from tests.live.target import Target, new_target
from tests.live.waits import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psutil import Process

    from tests.live.airflow import LocalAirflow
    from tests.live.rest import Json

# Seconds in which Airflow does what it does by itself, on a machine that is busy with other tests.
PATIENCE = 120.0
# One for each DAG: whose pause it is, and who unpauses it.
_PAUSES: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


@dataclass(kw_only=True)
class Cell(Target):
    """A target, and the DAG run that was started last for it.

    :ivar mode: of its task "job", see :mod:`tests.live.modes`.
    :ivar variant: of its DAG, see the DAG files; "mapped" has one instance of the task.
    """

    airflow: LocalAirflow = field(repr=False)
    mode: str = ""
    variant: str = ""
    run_id: str = ""

    @property
    def dag_id(self) -> str:
        """Its DAG: ``<job type>_<mode>``, or ``<job type>_<mode>_<variant>``."""
        return "_".join(part for part in (self.name, self.mode, self.variant) if part)

    @property
    def map_index(self) -> int:
        """The task's."""
        return 0 if self.variant == "mapped" else -1

    def on_a_new_target(self) -> Cell:
        """Return a cell of the same job type."""
        return replace(self, target=new_target(), mode="", variant="", run_id="")

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
            self.mode, self.variant = mode, self.target
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

    def start(self, mode: str, variant: str = "", **conf: Any) -> None:
        """Trigger the DAG of a mode."""
        self.mode, self.variant = mode, variant
        self.run_id = self.airflow.trigger(self.dag_id, conf=conf or {"target": self.target})
        self.looks.begin(self.run_id)

    def start_and_wait(self, mode: str, variant: str = "") -> None:
        """Trigger the DAG of a mode, and wait until the task waits for its job."""
        self.start(mode, variant)
        self.until(lambda: bool(self.jobs()), "a job was started")
        if mode == "worker":
            self.sees("running")
        else:
            self.sees("deferred")
            self.until(self.is_waited_for, "a triggerer reads the job")

    def is_waited_for(self, try_number: int = 1) -> bool:
        """Whether a wait has read the last job: alone or, as the log of a try tells, with others."""
        listed = (
            bool(self.lists())
            and re.search(rf"{self._own_id()}.* after \d", self.log(try_number)) is not None
        )
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

    def delete(self, *, in_time: bool = False) -> None:
        """Delete the task instance, the only one of its run, and see Airflow make it anew.

        The scheduler looks whether tasks are missing, and a moment later whether all that are there have
        succeeded: where the only one is deleted in between, that holds of none, and it marks the run as
        success. Such a run is made to go on.

        :param in_time: let it be made anew only when the scheduler knows of the end of the old one's process:
            both have the same key, and it would fail the new one for what it hears of the old one.
        """
        [old] = self.airflow.task_instances(self.dag_id, self.run_id)
        with self.paused() if in_time else contextlib.nullcontext():
            self.airflow.delete_task_instance(self.dag_id, self.run_id, "job")
            if in_time and self.mode == "worker":
                self.until(self._end_is_known, "the scheduler knows of the end of the old one's process")

        def is_made_anew() -> bool:
            tasks = self.airflow.task_instances(self.dag_id, self.run_id)
            if not tasks and self.airflow.run(self.dag_id, self.run_id)["state"] == "success":
                self.airflow.set_run_state(self.dag_id, self.run_id, "queued")
            return any(task["id"] != old["id"] for task in tasks)

        self.until(is_made_anew, "the task instance is made anew")

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Pause the DAG, which other cells may want to pause, too."""
        with _PAUSES[self.dag_id]:
            self.airflow.pause(self.dag_id)
            try:
                yield
            finally:
                self.airflow.pause(self.dag_id, paused=False)

    def _end_is_known(self) -> bool:
        told = rf"Received executor event with state (success|failed) .*run_id='{self.run_id}'"
        return (
            re.search(told, self.airflow.components["scheduler"].log.read_text(errors="replace")) is not None
        )

    def log(self, try_number: int = 1, task_id: str = "job") -> str:
        """Return what a try of a task has logged."""
        return self.airflow.log(self.dag_id, self.run_id, task_id, try_number, self._index(task_id))

    def logs(self, task_id: str = "job") -> str:
        """Return what all tries of a task have logged.

        Airflow may have failed one that resumed quickly, or, when it had just begun, one that never ran.
        """
        return "\n".join(self.log(number, task_id) for number in (1, 2, 3))

    def triggerer_says(self, what: str) -> bool:
        """Whether the triggerer's own log says something of the last job.

        Airflow 3.3 closes a trigger's log when the trigger has ended; what a cancel that goes on has to say
        from then on stands there.
        """
        lines = self.airflow.components["triggerer"].log.read_text(errors="replace").splitlines()
        own_id = self._own_id()
        return any(own_id in line and what in line for line in lines)

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

    def in_the_start(self, mode: str, variant: str, deed: Callable[[], object]) -> None:
        """Do something to a task while the start of its job is on its way to AWS.

        On a busy machine it may come too late, when the call is answered: that shows nothing, and it is done
        again, to a task on another target.
        """
        for _ in range(5):
            self.start_slowly(mode, variant)
            deed()
            if self.is_in_the_start():
                return
            self.leave()
            self.target = new_target()
        raise AssertionError("the start was answered each time before it was done")

    def start_slowly(self, mode: str, variant: str, seconds: float = 3.0) -> None:
        """Trigger the DAG of a mode, and return when the start of its job is on its way to AWS.

        :param seconds: for which AWS does not carry it out.
        """
        self.fault_start("delay", delay=seconds, times=1)
        self.start(mode, variant)
        end = time.monotonic() + PATIENCE
        while not self._starts():
            self.looks.go_on()
            assert time.monotonic() < end, "no start"
            time.sleep(0.3)

    def is_in_the_start(self) -> bool:
        """Whether AWS has not carried out the start yet."""
        return bool(self._starts()[0]["outcome"] == "in flight")

    def _starts(self) -> list[Json]:
        # Not by way of a look that is shared: it may be older than the question.
        calls = self.emulator.journal(self.case.job_type.start.api_name)
        return [call for call in calls if self.target in str(call)]

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
