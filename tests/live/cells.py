"""Every job type at once: a scenario is written for one of them, and runs for all of them side by side."""

from __future__ import annotations

import random
import string
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest

from tests.cases import CASES
from tests.live.job_types import LIVE_JOB_TYPES, TARGET

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from psutil import Process

    from airflow_jobs_provider.jobs.run import JobRun
    from airflow_jobs_provider.testing import EmulatorClient
    from tests.cases import Case
    from tests.live.airflow import LocalAirflow
    from tests.live.job_types import LiveJobType

REGION = "us-east-1"
ACCOUNT = "123456789012"
# Seconds between two looks at the same thing.
_PAUSE = 1.0


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
    target: str = field(default_factory=new_target)
    dag_id: str = ""
    run_id: str = ""

    @property
    def name(self) -> str:
        """The job type's name."""
        return self.case.name

    # The emulator

    def jobs(self) -> list[dict[str, Any]]:
        """Return the jobs that were started on this target."""
        jobs = self.emulator.jobs(self.name)
        return [job for job in jobs if any(self.target in str(value) for value in job["parameters"].values())]

    def statuses(self) -> list[str]:
        """Return what the jobs on this target are doing."""
        return [job["status"] for job in self.jobs()]

    def is_cancelled(self) -> bool:
        """Whether one job was started and is cancelled."""
        return self.statuses() == [self.case.cancelled]

    def succeed(self, job: Mapping[str, Any]) -> None:
        """Let a job succeed now."""
        self.emulator.settle(self.name, job["ids"], self.case.succeeded, **self.live.progress)

    def fail(self, job: Mapping[str, Any]) -> None:
        """Let a job fail now."""
        self.emulator.settle(self.name, job["ids"], **self.case.failed)

    def start_outside(self) -> JobRun:
        """Start a job that is no task's, on a target of its own."""
        job_type, target = self.case.job_type, new_target()
        values = {
            key: value.replace(TARGET, target) if isinstance(value, str) else value
            for key, value in self.live.arguments.items()
        }
        if job_type.token is not None:
            values[job_type.token] = f"started-outside-of-airflow-on-{target}"
        if "aws_account_id" in job_type.parameters:
            values["aws_account_id"] = ACCOUNT
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

    def start(self, mode: str, **conf: Any) -> None:
        """Trigger the DAG of a mode."""
        self.dag_id = f"{self.name}_{mode}"
        self.run_id = self.airflow.trigger(self.dag_id, conf=conf or {"target": self.target})

    def start_and_wait(self, mode: str) -> None:
        """Trigger the DAG of a mode, and wait until the task waits for its job."""
        self.start(mode)
        if mode.startswith("deferred"):
            self.is_deferred()
        else:
            self.sees("running")
        self.until(lambda: bool(self.jobs()), "a job was started")

    def is_deferred(self) -> None:
        """Wait until the task is deferred, and its trigger runs: it could not be told of a kill before."""
        self.sees("deferred")
        self.until(lambda: ") starting" in self.log(), "a triggerer runs the trigger")

    def sees(self, *states: str, task_id: str = "job", try_number: int = 0) -> None:
        """Wait until a task is in one of these states."""
        self.airflow.wait_for_task(
            self.dag_id, self.run_id, task_id, *states, try_number=try_number, timeout=90
        )

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

    def until(self, condition: Callable[[], bool], what: str, timeout: float = 60.0) -> None:
        """Wait for something that Airflow does by itself."""
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, f"not seen within {timeout:g} seconds: {what}; {self.jobs()}"
            time.sleep(_PAUSE)


class Cells:
    """A cell for every job type."""

    def __init__(self, airflow: LocalAirflow, emulator: EmulatorClient) -> None:
        emulator.reset()
        self.airflow = airflow
        self._cells = [Cell(case, LIVE_JOB_TYPES[case.name], airflow, emulator) for case in CASES]
        self._emulator = emulator

    def configure(self, **life: Any) -> None:
        """Set the life of all jobs that are started from now on."""
        for cell in self._cells:
            self._emulator.configure(cell.name, **life)

    def configure_failure(self) -> None:
        """Let all jobs fail, each as its type does."""
        for cell in self._cells:
            self._emulator.configure(cell.name, **cell.case.failed)

    def only(self, condition: Callable[[Cell], bool]) -> Cells:
        """Leave out job types that a scenario makes no sense for."""
        self._cells = [cell for cell in self._cells if condition(cell)]
        return self

    def each(self, scenario: Callable[[Cell], object]) -> None:
        """Run a scenario for all job types at once; fail with what went wrong with any of them."""
        before, self.airflow.look_every = self.airflow.look_every, _PAUSE
        try:
            with ThreadPoolExecutor(len(self._cells)) as pool:
                told = list(pool.map(partial(_failure, scenario), self._cells))
        finally:
            self.airflow.look_every = before
        failures = [text for text in told if text is not None]
        if failures:
            heading = f"{len(failures)} of {len(told)} job types"
            pytest.fail("\n\n".join([heading, *failures]), pytrace=False)


def _failure(scenario: Callable[[Cell], object], cell: Cell) -> str | None:
    try:
        scenario(cell)
    except Exception as error:  # noqa: BLE001 - told with those of the other job types
        trace = error.__traceback__ and error.__traceback__.tb_next
        told = "".join(traceback.format_exception(type(error), error, trace))
        return f"=== {cell.name}, target {cell.target} ===\n{told}{cell.story()}"
    return None
