"""Every job type at once: a scenario is written for one of them, and runs for all of them side by side."""

from __future__ import annotations

import random
import string
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest

from airflow_jobs_provider.jobs.run import JobState
from tests.cases import CASES
from tests.live.job_types import LIVE_JOB_TYPES, TARGET
from tests.live.looks import PAUSE, Looks
from tests.live.waits import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from psutil import Process

    from airflow_jobs_provider.jobs.parts import Operation
    from airflow_jobs_provider.jobs.run import JobRun
    from airflow_jobs_provider.testing import EmulatorClient
    from tests.cases import Case
    from tests.live.airflow import LocalAirflow
    from tests.live.job_types import LiveJobType

# Seconds in which Airflow does what it does by itself, on a machine that is busy with other tests.
PATIENCE = 120.0
REGION = "us-east-1"
ACCOUNT = "123456789012"


def new_target() -> str:
    """Return a target: what each service's ids, wrapped as in ``LiveJobType.arguments``, may be."""
    letters = string.ascii_lowercase
    return "".join([random.choice(letters), *random.choices(letters + string.digits, k=9)])


@dataclass
class Cell:
    """One job type on a target of its own, and the DAG run that was started last for it."""

    case: Case = field(repr=False)
    live: LiveJobType = field(repr=False)
    airflow: LocalAirflow = field(repr=False)
    emulator: EmulatorClient = field(repr=False)
    looks: Looks = field(repr=False)
    target: str = field(default_factory=new_target)
    dag_id: str = ""
    run_id: str = ""

    @property
    def name(self) -> str:
        """The job type's name."""
        return self.case.name

    def on_a_new_target(self) -> Cell:
        """Return a cell of the same job type."""
        return replace(self, target=new_target(), dag_id="", run_id="")

    def leave(self) -> None:
        """Give the run up that was started last, if it still goes on, and look no more at it."""
        if self.run_id and self.state() not in TERMINAL:
            self.airflow.set_run_state(self.dag_id, self.run_id, "failed")
        self.looks.end(self.run_id)

    # The emulator

    def jobs(self) -> list[dict[str, Any]]:
        """Return the jobs that were started on this target."""
        jobs = self.looks.jobs(self.name, time.monotonic())
        return [job for job in jobs if any(self.target in str(value) for value in job["parameters"].values())]

    def statuses(self) -> list[str]:
        """Return what the jobs on this target are doing."""
        return [job["status"] for job in self.jobs()]

    def history(self) -> list[str]:
        """Return the states of the jobs on this target, in order.

        There were never two at once, and none was asked to end that was wanted: that does not depend on what
        has happened.
        """
        jobs = self.jobs()
        for earlier, later in pairwise(jobs):
            assert earlier["ended"] is not None, f"two jobs at once: {jobs}"
            assert earlier["ended"] <= later["created"], f"two jobs at once: {jobs}"
        states = [self.case.job_type.states[job["status"]] for job in jobs]
        for job, state in zip(jobs, states, strict=True):
            ended_by_us = state in (JobState.CANCELLED, JobState.STOPPING)
            assert ended_by_us or not job["cancels"], f"a wanted job was to be cancelled: {job}"
        return [state.value for state in states]

    def is_cancelled(self) -> bool:
        """Whether one job was started and is cancelled."""
        return self.statuses() == [self.case.cancelled]

    def succeed(self, job: Mapping[str, Any]) -> None:
        """Let a job succeed now."""
        self.emulator.settle(self.name, job["ids"], self.case.succeeded, **self.live.progress)

    def fail(self, job: Mapping[str, Any]) -> None:
        """Let a job fail now."""
        self.emulator.settle(self.name, job["ids"], **self.case.failed)

    def start_outside(self, **more: str) -> JobRun:
        """Start a job that is no task's, on a target of its own.

        :param more: further parameters of the start, by our names.
        """
        job_type, target = self.case.job_type, new_target()
        values = {
            key: value.replace(TARGET, target) if isinstance(value, str) else value
            for key, value in self.live.arguments.items()
        }
        if job_type.token is not None:
            values[job_type.token] = f"started-outside-of-airflow-on-{target}"
        if "aws_account_id" in job_type.parameters:
            values["aws_account_id"] = ACCOUNT
        values |= more
        client: Any = boto3.Session().client(
            cast("Any", job_type.service),
            region_name=REGION,
            endpoint_url=self.emulator.url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        answer = getattr(client, job_type.start.method)(**job_type.request(job_type.start, values))
        client.close()
        run = job_type.run_of(values, REGION, job_type.read(job_type.start, answer).details)
        assert run is not None
        return run

    def job_of(self, run: JobRun) -> dict[str, Any]:
        """Return what became of a job that was started outside."""
        wanted = set(run.ids.values())
        [job] = [job for job in self.emulator.jobs(self.name) if wanted <= set(job["ids"].values())]
        return job

    # Airflow

    def add_dag(self, mode: str | None) -> None:
        """Write a DAG of this cell's own, ``<job type>_<mode>_<target>``; ``None`` takes its task out."""
        if mode is not None:
            self.dag_id = f"{self.name}_{mode}_{self.target}"
        arguments = {**self.live.arguments, "deferrable": mode == "deferred", "poll_interval": 1}
        task = (
            "EmptyOperator(task_id='other')"
            if mode is None
            else f"live.operator(task_id='job', **{arguments!r})"
        )
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
        self.run_id = self.airflow.trigger(self.dag_id, conf=conf or {"target": self.target})
        self.looks.begin(self.run_id)

    def start_and_wait(self, mode: str) -> None:
        """Trigger the DAG of a mode, and wait until the task waits for its job."""
        self.start(mode)
        self.until(lambda: bool(self.jobs()), "a job was started")
        if mode.startswith("deferred"):
            self.sees("deferred")
            self.until(lambda: bool(self.readings()), "a triggerer reads the job")
        else:
            self.sees("running")

    def is_deferred(self) -> None:
        """Wait until the task is deferred, and its trigger runs: it could not be told of a kill before."""
        self.sees("deferred")
        self.until(lambda: ") starting" in self.log(), "a triggerer runs the trigger")

    def state(self) -> str | None:
        """Return the task's state."""
        state: str | None = self.looks.task(self.dag_id, self.run_id, "job", time.monotonic()).get("state")
        return state

    def sees(self, *states: str, task_id: str = "job", try_number: int = 0) -> None:
        """Wait until a task is in one of these states."""
        since, end = time.monotonic(), time.monotonic() + PATIENCE
        while True:
            task = self.looks.task(self.dag_id, self.run_id, task_id, since)
            counts = task.get("try_number", -1) >= try_number
            if counts and task.get("state") in states:
                return
            told = f"task {task_id} is {task.get('state')} in try {task.get('try_number')}, not {states}"
            assert not counts or task["state"] not in TERMINAL, told
            assert time.monotonic() < end, f"{told} for {PATIENCE:g} seconds"

    def resumes(self) -> int:
        """Return how often Airflow has let the task go on after a deferral."""
        runs = self.airflow.events(self.dag_id, self.run_id, "job", "running")
        return len(runs) - len(self.airflow.tries(self.dag_id, self.run_id, "job"))

    def ends(self, *states: str) -> None:
        """Wait until the run is in one of these states; by default "success"."""
        self.airflow.wait_for_run(self.dag_id, self.run_id, *states)

    def clear(self) -> None:
        """Clear the task."""
        self.airflow.clear(self.dag_id, self.run_id, ["job"])

    def mark(self, state: str) -> None:
        """Mark the task as something."""
        self.airflow.set_task_state(self.dag_id, self.run_id, "job", state)

    def log(self, try_number: int = 1, task_id: str = "job") -> str:
        """Return what a try of a task has logged."""
        return self.airflow.log(self.dag_id, self.run_id, task_id, try_number)

    def logs(self, task_id: str = "job") -> str:
        """Return what all tries of a task have logged: Airflow may have failed one that resumed quickly."""
        return "\n".join(self.log(number, task_id) for number in (1, 2, 3))

    def process(self) -> Process:
        """Return the process that runs the task's code."""
        return self.airflow.task_process(self.dag_id, self.run_id, "job")

    def result(self) -> Any:
        """Return the task's result."""
        return self.airflow.xcom(self.dag_id, self.run_id, "job")

    def link(self) -> str | None:
        """Return the task's link to the AWS console."""
        return self.airflow.extra_links(self.dag_id, self.run_id, "job")["AWS job"]

    def story(self) -> str:
        """Return where the run stands and how the logs of its tasks end, for a message."""
        told = [f"{self.dag_id}, run {self.run_id}"]
        for task in self.airflow.task_instances(self.dag_id, self.run_id) if self.run_id else ():
            told.append(f"task {task['task_id']} is {task['state']} in try {task['try_number']}")
            for number in range(1, task["try_number"] + 1):
                told += [f"log of try {number}:", *self.log(number, task["task_id"]).splitlines()[-15:]]
        return "\n".join(told)

    def cancels(self, number: int = -1) -> list[dict[str, Any]]:
        """Return the calls that have asked for the end of a job on this target, of the last one say."""
        operation = self.case.job_type.cancel.api_name
        return self.looks.calls(operation, time.monotonic(), self._own_id(number))

    @staticmethod
    def failed(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the calls that have met a fault."""
        return [call for call in calls if call["outcome"] not in {"ok", "in flight"}]

    def readings(self) -> list[dict[str, Any]]:
        """Return the calls that have read the last job on this target."""
        return self.looks.calls(self.case.job_type.describe.api_name, time.monotonic(), self._own_id())

    def start_slowly(self, mode: str, seconds: float = 3.0) -> None:
        """Trigger the DAG of a mode, and return when the start of its job is on its way to AWS.

        :param seconds: in which AWS does not carry it out.
        """
        operation = self.case.job_type.start
        self._fault(operation, "delay", self.target, delay=seconds, times=1)
        self.start(mode)
        end = time.monotonic() + PATIENCE
        # Not by way of a look that is shared: what follows must come before the answer.
        while not any(self.target in str(call) for call in self.emulator.journal(operation.api_name)):
            self.looks.go_on()
            assert time.monotonic() < end, "no start"
            time.sleep(0.3)

    def fault_readings(self, kind: str, **options: Any) -> None:
        """Make readings of the last job on this target go wrong."""
        self._fault(self.case.job_type.describe, kind, self._own_id(), **options)

    def fault_cancels(self, kind: str, **options: Any) -> None:
        """Make cancels of the last job on this target go wrong."""
        self._fault(self.case.job_type.cancel, kind, self._own_id(), **options)

    def lose_aws(self, seconds: float) -> None:
        """Let no call about this target, or about the last job on it, reach AWS."""
        for about in (self.target, self._own_id()):
            self._fault(None, "drop", about, lasts=seconds)

    def _own_id(self, number: int = -1) -> str:
        """Return what only one job on this target is called, by default the last one."""
        return str(list(self.jobs()[number]["ids"].values())[-1])

    def _fault(self, operation: Operation | None, kind: str, containing: str, **options: Any) -> None:
        self.emulator.fault(
            kind,
            service=self.case.job_type.service,
            operation=operation and operation.api_name,
            containing=containing,
            **options,
        )

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
        self._cells = [Cell(case, LIVE_JOB_TYPES[case.name], airflow, emulator, looks) for case in CASES]
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
