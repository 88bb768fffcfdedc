"""The dialogue with an AWS API about one job, without the input and output.

Each function is a generator: it yields the :class:`Call` to make, is sent the answer (or thrown the
:class:`~airflow_jobs_provider.exceptions.AwsApiError`), and returns the result. The hook drives it over
boto3 or over aiobotocore, so that both sides behave alike.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from airflow_jobs_provider.exceptions import AwsApiError, AwsJobError, not_found
from airflow_jobs_provider.jobs import job_type_of
from airflow_jobs_provider.jobs.errors import ErrorKind
from airflow_jobs_provider.jobs.model import JobType
from airflow_jobs_provider.jobs.parts import Operation
from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot

T = TypeVar("T")


@dataclass(frozen=True)
class Call:
    """One API call to make, about a job of a type: what its errors mean is the type's to say."""

    job_type: JobType
    operation: Operation
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Page:
    """A part of a list.

    :param token: what asks for the next part; ``None`` at the end.
    :param answer: the whole answer.
    """

    items: list[Any]
    token: str | None
    answer: Mapping[str, Any]


class JobHook(Protocol):
    """What an operator may ask of a hook: one of its own, or the one that a triggerer's tasks share."""

    @property
    def region(self) -> str:
        """The region that the client talks to."""

    @property
    def client_in_use(self) -> Any:
        """What changes when another client is used; ``None`` before the first call."""

    def get_conn(self) -> Any:
        """Return the client, or what stands for it."""

    def impatient_twin(self, seconds: float) -> JobHook:
        """Return a hook that may be used while another thread stands still inside this one."""

    def caller_account(self) -> str:
        """Return the AWS account of the credentials."""

    def start(self, values: Mapping[str, Any]) -> tuple[JobRun, JobSnapshot]:
        """Start a job."""

    def describe(self, run: JobRun) -> JobSnapshot:
        """Read a job."""

    def request_cancel(self, run: JobRun) -> bool:
        """Ask for the end of a job."""

    def read_page(self, operation: Operation, values: Mapping[str, Any], token: str | None) -> Page:
        """Read a page of a list."""


Dialogue = Generator[Call, Mapping[str, Any], T]


def start(job_type: JobType, values: Mapping[str, Any], region: str) -> Dialogue[tuple[JobRun, JobSnapshot]]:
    """Start a job and return its identity and what the start answered."""
    answer = yield Call(job_type, job_type.start, job_type.request(job_type.start, values))
    snapshot = job_type.read(job_type.start, answer)
    run = job_type.run_of(values, region, snapshot.details)
    if run is None:
        raise AwsJobError(
            f"{job_type.start.api_name} answered without the job's id: {dict(snapshot.details)}"
        )
    return run, snapshot


def describe(run: JobRun) -> Dialogue[JobSnapshot]:
    """Read a job."""
    job_type = job_type_of(run)
    answer = yield Call(job_type, job_type.describe, job_type.request(job_type.describe, run.ids))
    return job_type.read(job_type.describe, answer)


def read_page(
    job_type: JobType, operation: Operation, values: Mapping[str, Any], token: str | None
) -> Dialogue[Page]:
    """Read a page of a list.

    :param values: the operation's parameters by our names.
    :param token: what the page before said; ``None`` for the first one.
    """
    paging = {operation.next_token: token} if token is not None else {}
    answer = yield Call(job_type, operation, {**job_type.request(operation, values), **paging})
    items, following = job_type.read_page(operation, answer)
    return Page(items, following, answer)


def request_cancel(run: JobRun) -> Dialogue[bool]:
    """Ask for the end of a job.

    :returns: whether AWS took it; False for a job that has ended, or that AWS does not know. Some APIs answer
        "not found" for both: read the job to tell one from the other.
    """
    job_type = job_type_of(run)
    try:
        answer = yield Call(job_type, job_type.cancel, job_type.request(job_type.cancel, run.ids))
    except AwsApiError as error:
        if error.meaning in (ErrorKind.OVER, ErrorKind.NOT_FOUND):
            return False
        raise
    return job_type.was_taken(job_type.cancel, answer)


def cancel(run: JobRun) -> Dialogue[JobSnapshot]:
    """Ask for the end of a job and read it: cancelled, still stopping, or the end it had before.

    :raises JobNotFoundError: where AWS does not know the job.
    """
    yield from request_cancel(run)
    try:
        return (yield from describe(run))
    except AwsApiError as error:
        if error.meaning is ErrorKind.NOT_FOUND:
            raise not_found(run, error) from error
        raise
