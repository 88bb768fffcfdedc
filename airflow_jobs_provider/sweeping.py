"""The running jobs that carry a mark, on all targets or on some; no input or output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_jobs_provider.exceptions import AwsApiError
from airflow_jobs_provider.jobs.model import JobType
from airflow_jobs_provider.jobs.parts import Operation
from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot, JobState
from airflow_jobs_provider.steps import Log, ReadPage, Steps
from airflow_jobs_provider.waiting import until_certain
from airflow_jobs_provider.watch import Errors


@dataclass(frozen=True)
class RunningJob:
    """A running job that was listed.

    :param mark: what it carries where a mark of ours would be; it may be anybody's.
    """

    run: JobRun
    snapshot: JobSnapshot
    mark: str


@dataclass
class Listing:
    """What was found.

    :param jobs: the running jobs, each once.
    :param targets: how many targets were listed.
    :param problems: what could not be listed, and why, in words.
    """

    jobs: list[RunningJob] = field(default_factory=list)
    targets: int = 0
    problems: list[str] = field(default_factory=list)


class Lister:
    """Lists the running jobs of a type.

    :param patience: seconds in which errors that may pass are survived; when they have not passed once, they
        are not waited for again.
    """

    def __init__(self, job_type: JobType, region: str, *, log: Log, patience: float) -> None:
        self._job_type = job_type
        self._region = region
        self._log = log
        self._patience = patience
        self._listing = Listing()

    def list_running(self, targets: Iterable[Mapping[str, Any]]) -> Steps[Listing]:
        """List the running jobs on some targets; what cannot be listed is said, and the rest goes on.

        :param targets: parameters (ours) of the list of jobs; those that one lacks are looked for.
        """
        found: dict[tuple[str, ...], RunningJob] = {}
        for given in targets:
            for target in (yield from self._discover(given)):
                for job in (yield from self._running(target)):
                    found.setdefault(tuple(job.run.ids.values()), job)
        self._listing.jobs = list(found.values())
        return self._listing

    def _discover(self, given: Mapping[str, Any]) -> Steps[list[Mapping[str, Any]]]:
        """Return the targets that a target stands for: itself, if it says all."""
        sweep = self._job_type.sweep
        assert sweep is not None  # noqa: S101 - only job types with one are swept
        targets = [given]
        for step in sweep.discover:
            complete = [target for target in targets if target.get(step.finds) is not None]
            for target in targets:
                if target.get(step.finds) is None:
                    what = f"what {step.operation.api_name} lists"
                    values = yield from self._read_all(step.operation, target, what)
                    complete += [{**target, step.finds: value} for value in values or ()]
            targets = complete
        return targets

    def _running(self, target: Mapping[str, Any]) -> Steps[list[RunningJob]]:
        job_type = self._job_type
        operation = job_type.list_jobs
        assert operation is not None  # noqa: S101 - what is swept can be listed
        what = f"the list of jobs on {job_type.describe_target(target)}"
        records = yield from self._read_all(operation, target, what)
        if records is None:
            return []
        self._listing.targets += 1
        jobs = []
        for record in records:
            snapshot = job_type.read_record(record)
            marked = job_type.marked_run(target, self._region, record)
            if marked is not None and snapshot.known and snapshot.state is JobState.RUNNING:
                jobs.append(RunningJob(marked[1], snapshot, marked[0]))
        return jobs

    def _read_all(
        self, operation: Operation, values: Mapping[str, Any], what: str
    ) -> Steps[list[Any] | None]:
        """Return all items of a list; ``None`` where that cannot be read."""
        failed = Errors(what, self._log).survive
        items: list[Any] = []
        step: ReadPage | None = ReadPage(operation, values)
        while step is not None:
            try:
                page = yield from until_certain(step, failed, self._patience)
            except AwsApiError as error:
                if error.is_transient:
                    self._patience = 0.0
                self._listing.problems.append(f"{what} cannot be read: {error}")
                return None
            items += page.items
            step = ReadPage(operation, values, page.token) if page.token else None
        return items
