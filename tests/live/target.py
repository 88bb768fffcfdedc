"""One job type on a target of its own, as AWS knows it: its jobs, the calls about them, and faults."""

from __future__ import annotations

import random
import string
import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import boto3

from airflow_jobs_provider.jobs.run import JobState
from tests.live.job_types import TARGET

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_jobs_provider.jobs.parts import Operation
    from airflow_jobs_provider.jobs.run import JobRun
    from airflow_jobs_provider.testing import EmulatorClient
    from tests.cases import Case
    from tests.live.job_types import LiveJobType
    from tests.live.looks import Looks

REGION = "us-east-1"
ACCOUNT = "123456789012"


def new_target() -> str:
    """Return a target: what each service's ids, wrapped as in ``LiveJobType.arguments``, may be."""
    letters = string.ascii_lowercase
    return "".join([random.choice(letters), *random.choices(letters + string.digits, k=9)])


@dataclass(kw_only=True)
class Target:
    """What a job works on, and no other test's job."""

    case: Case = field(repr=False)
    live: LiveJobType = field(repr=False)
    emulator: EmulatorClient = field(repr=False)
    looks: Looks = field(repr=False)
    target: str = field(default_factory=new_target)

    @property
    def name(self) -> str:
        """The job type's name."""
        return self.case.name

    def jobs(self) -> list[dict[str, Any]]:
        """Return the jobs that were started on this target."""
        jobs = self.looks.jobs(self.name, time.monotonic())
        return [job for job in jobs if any(self.target in str(value) for value in job["parameters"].values())]

    def statuses(self) -> list[str]:
        """Return what the jobs on this target are doing."""
        return [job["status"] for job in self.jobs()]

    def one_at_a_time(self) -> list[dict[str, Any]]:
        """Return the jobs on this target, of which there were never two at once."""
        jobs = self.jobs()
        for earlier, later in pairwise(jobs):
            assert earlier["ended"] is not None, f"two jobs at once: {jobs}"
            assert earlier["ended"] <= later["created"], f"two jobs at once: {jobs}"
        return jobs

    def history(self) -> list[str]:
        """Return the states of the jobs on this target, in order.

        There were never two at once, and none was asked to end that was wanted: that does not depend on what
        has happened.
        """
        jobs = self.one_at_a_time()
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

    def cancels(self, number: int = -1) -> list[dict[str, Any]]:
        """Return the calls that have asked for the end of a job on this target, of the last one say."""
        operation = self.case.job_type.cancel.api_name
        return self.looks.calls(operation, time.monotonic(), self._own_id(number))

    def readings(self) -> list[dict[str, Any]]:
        """Return the calls that have read the last job on this target."""
        return self.looks.calls(self.case.job_type.describe.api_name, time.monotonic(), self._own_id())

    def lists(self) -> list[dict[str, Any]]:
        """Return the calls that have read all jobs of the account, the last one on this target among them."""
        overview = self._overview
        if overview is None:
            return []
        size, since = str(overview.constants["maxResults"]), self.jobs()[-1]["created"]
        calls = self.looks.calls(overview.api_name, time.monotonic(), size)
        return [call for call in calls if call["time"] > since]

    @staticmethod
    def failed(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the calls that have met a fault."""
        return [call for call in calls if call["outcome"] not in {"ok", "in flight"}]

    def fault_start(self, kind: str, **options: Any) -> None:
        """Make starts on this target go wrong."""
        self._fault(self.case.job_type.start, kind, self.target, **options)

    def fault_readings(self, kind: str, **options: Any) -> None:
        """Make readings of the last job on this target go wrong, and meanwhile those of all jobs at once."""
        self._lose_lists(options.get("lasts", 60.0))
        self._fault(self.case.job_type.describe, kind, self._own_id(), **options)

    def fault_cancels(self, kind: str, **options: Any) -> None:
        """Make cancels of the last job on this target go wrong."""
        self._fault(self.case.job_type.cancel, kind, self._own_id(), **options)

    def lose_aws(self, seconds: float) -> None:
        """Let no call about this target, or about the last job on it, reach AWS."""
        self._lose_lists(seconds)
        for about in (self.target, self._own_id()):
            self._fault(None, "drop", about, lasts=seconds)

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

    @property
    def _overview(self) -> Operation | None:
        """What lists all jobs of the account, for many waits; one target has too few of them for a list."""
        overview = self.case.job_type.overview
        return None if overview is None or overview.operation.parameters else overview.operation

    def _lose_lists(self, seconds: float) -> None:
        if self._overview is not None:
            size = str(self._overview.constants["maxResults"])  # a search for a lost job gives none
            self._fault(self._overview, "drop", size, lasts=seconds)

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
