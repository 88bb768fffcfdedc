"""Why a task failed. Every exception names the job, what AWS said, and where to look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_jobs_provider.jobs import job_type_of
from airflow_jobs_provider.jobs.errors import ErrorKind
from airflow_jobs_provider.jobs.run import FailureKind, JobRun, JobSnapshot


class AwsJobError(Exception):
    """Base of all errors of this provider.

    :ivar kind: whether another try is worth it; ``None`` where nobody can say.
    :ivar run: the job that the error is about, if there is one.
    :ivar snapshot: the last reading of the job, if there is one.
    :ivar code: the word of AWS for what went wrong, an error code of the API or of the job, if there is one.
    """

    kind: FailureKind | None = None

    def __init__(
        self,
        message: str,
        *,
        run: JobRun | None = None,
        snapshot: JobSnapshot | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.run = run
        self.snapshot = snapshot
        self.code = code

    @property
    def record(self) -> Mapping[str, Any]:
        """What the service itself says of the job, JSON, as it was last read; empty where it was not."""
        return self.snapshot.details if self.snapshot is not None else {}


class JobFailedError(AwsJobError):
    """The AWS job failed: permissions, schema, size. The same try again would fail again.

    Where AWS does not say why, in a word that can be looked up, ``kind`` is ``None``.
    """

    kind = FailureKind.PERMANENT


class JobFailedTransientlyError(JobFailedError):
    """The AWS job failed for a reason that may be gone at the next try: a time-out, a lost connection."""

    kind = FailureKind.TRANSIENT


class JobSupersededError(JobFailedError):
    """The AWS job gave way to a newer one of the same target."""

    kind = FailureKind.SUPERSEDED


class JobCancelledError(AwsJobError):
    """The AWS job was cancelled while a task waited for it."""

    kind = FailureKind.CANCELLED


class JobNotEndedError(AwsJobError):
    """A job that was to end may still be running: it could not be cancelled, or takes long to end.

    The next try sees to it again before it starts another.

    :param cause: what AWS has answered; ``kind`` and ``code`` are its own, then.
    """

    def __init__(self, message: str, *, run: JobRun, cause: AwsApiError | None = None) -> None:
        super().__init__(message, run=run, code=cause.code if cause is not None else None)
        self.kind = cause.kind if cause is not None else FailureKind.TRANSIENT


class JobNotFoundError(AwsJobError):
    """AWS does not know the job: it was never started, or has been deleted."""

    kind = FailureKind.PERMANENT


class JobExistsError(AwsJobError):
    """The id that the DAG author gave was used before, by a job that this task did not start."""

    kind = FailureKind.PERMANENT


class QuotaExceededError(AwsJobError):
    """AWS starts no more such jobs for now."""

    kind = FailureKind.QUOTA


class TargetBusyError(AwsJobError):
    """What the job works on is busy with another job, and the task was not to wait, or not any longer."""

    kind = FailureKind.TRANSIENT


class ResultTooLargeError(AwsJobError):
    """The job has succeeded, but has found more rows than its task may put into XCom."""

    kind = FailureKind.PERMANENT


class TaskKilledError(AwsJobError):
    """The task was told to end; what became of its AWS job stands in its log."""

    kind = FailureKind.CANCELLED


class AwsApiError(AwsJobError):
    """An AWS API call failed.

    :ivar meaning: what the error means for the job.
    :ivar code: the AWS error code, or the class of a connection error.
    """

    code: str

    def __init__(self, message: str, *, meaning: ErrorKind, code: str, run: JobRun | None = None) -> None:
        super().__init__(message, run=run, code=code)
        self.meaning = meaning
        self.kind = _BY_MEANING.get(meaning, FailureKind.PERMANENT)

    @property
    def is_transient(self) -> bool:
        """Whether the same call may succeed later."""
        return self.meaning in (ErrorKind.REJECTED, ErrorKind.TRANSIENT)


_BY_MEANING: dict[ErrorKind, FailureKind] = {
    ErrorKind.REJECTED: FailureKind.TRANSIENT,
    ErrorKind.TRANSIENT: FailureKind.TRANSIENT,
    ErrorKind.BUSY: FailureKind.TRANSIENT,
    ErrorKind.QUOTA: FailureKind.QUOTA,
}
_BY_FAILURE: dict[FailureKind, type[AwsJobError]] = {
    FailureKind.TRANSIENT: JobFailedTransientlyError,
    FailureKind.SUPERSEDED: JobSupersededError,
    FailureKind.CANCELLED: JobCancelledError,
}


def not_succeeded(run: JobRun, snapshot: JobSnapshot) -> AwsJobError:
    """Return the exception for a job that has ended, but not in success."""
    verb = "was cancelled" if snapshot.failure is FailureKind.CANCELLED else "failed"
    reason = f": {snapshot.reason}" if snapshot.reason else ""
    failed = _BY_FAILURE.get(snapshot.failure or FailureKind.PERMANENT, JobFailedError)
    code = job_type_of(run).failure_code(snapshot)
    message = f"{name(run)} {verb} ({snapshot.status}){reason}{_console(run)}"
    error = failed(message, run=run, snapshot=snapshot, code=code)
    if failed is JobFailedError and code is None:
        error.kind = None
    return error


def not_found(run: JobRun, cause: AwsApiError) -> JobNotFoundError:
    """Return the exception for a job that AWS does not know."""
    return JobNotFoundError(
        f"{name(run)} does not exist in {run.region}, or has been deleted ({cause}){_console(run)}",
        run=run,
        code=cause.code,
    )


def not_read(run: JobRun, cause: AwsApiError) -> AwsApiError:
    """Return the exception for a job that could not be read."""
    if cause.run is not None:
        return cause
    return AwsApiError(
        f"{name(run)} could not be read: {cause}", meaning=cause.meaning, code=cause.code, run=run
    )


def about(what: str, cause: AwsApiError) -> AwsApiError:
    """Return the exception for a call that failed before there was a job.

    :param what: could not be done, in words.
    """
    return AwsApiError(f"{what}: {cause}", meaning=cause.meaning, code=cause.code)


def not_cancelled(run: JobRun, cause: AwsApiError | str, *, asked: bool = False) -> JobNotEndedError:
    """Return the exception for a cancel that could not be done, or not be seen to have an effect."""
    problem = "was asked to end, but cannot be read" if asked else "could not be cancelled"
    command = job_type_of(run).cancel_command(run)
    return JobNotEndedError(
        f"{name(run)} {problem} and may still be running: {cause}. To cancel it by hand: {command}",
        run=run,
        cause=cause if isinstance(cause, AwsApiError) else None,
    )


def still_ending(run: JobRun, seconds: float) -> JobNotEndedError:
    """Return the exception for a job that was asked to end, and takes longer than its task waits."""
    return JobNotEndedError(
        f"{name(run)} was asked to end, and has not within cancel_timeout={seconds:g} seconds; it may take"
        f" long, a rollback for one: raise cancel_timeout to wait for it{_console(run)}",
        run=run,
    )


def flawed(run: JobRun, snapshot: JobSnapshot, flaw: str) -> JobFailedError:
    """Return the exception for a job that succeeded, but not as its author wants it."""
    return JobFailedError(
        f"{name(run)} ended {snapshot.status}, but {flaw}{_console(run)}",
        run=run,
        snapshot=snapshot,
    )


def name(run: JobRun) -> str:
    """Return a job in words."""
    return job_type_of(run).describe_run(run)


def _console(run: JobRun) -> str:
    url = job_type_of(run).console_url(run)
    return f" - see {url}" if url else ""
