"""How to wait for a job and how to see to its end: one logic for the worker and for the triggerer.

Each function is a generator of steps (:class:`Read`, :class:`Cancel`, :class:`Pause`); :func:`drive` takes
them one by one with the hook and ``time.sleep``, :func:`adrive` with its asynchronous twin.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar, Union

from airflow_jobs_provider.exceptions import AwsApiError, AwsJobError, JobNotFoundError, name, not_found
from airflow_jobs_provider.jobs import job_type_of
from airflow_jobs_provider.jobs.errors import ErrorKind
from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot, JobState

if TYPE_CHECKING:
    from airflow_jobs_provider.hooks.aws_job import AwsJobHook

T = TypeVar("T")

# Seconds after the start in which AWS may not know the job yet.
_EVENTUALLY_CONSISTENT = 60.0
# Seconds between two lines about a job in which nothing changes.
_SIGN_OF_LIFE = 300.0
# Seconds that repeated errors of the API slow the wait down to, at most.
_SLOWEST_AFTER_ERRORS = 60.0
# A job is read when it has run for this much longer than at the last reading: jobs of seconds are seen
# within a second or two, and long ones cost one reading per poll_interval.
_GROWTH = 0.25


class Log(Protocol):
    """What we need of a logger; Airflow's are of several kinds."""

    def info(self, message: str, /, *args: object) -> object:
        """Log a line."""

    def warning(self, message: str, /, *args: object) -> object:
        """Log a warning."""


@dataclass(frozen=True)
class Read:
    """Step: read the job."""

    run: JobRun


@dataclass(frozen=True)
class Cancel:
    """Step: ask AWS to cancel the job."""

    run: JobRun


@dataclass(frozen=True)
class Pause:
    """Step: do nothing for so many seconds."""

    seconds: float


Step = Union[Read, Cancel, Pause]  # noqa: UP007 - evaluated at import, also on Python 3.10
Steps = Generator[Step, "JobSnapshot | None", T]


class DeadlinePassedError(AwsJobError):
    """The wait has lasted as long as it may."""


def wait_until_over(
    run: JobRun, *, log: Log, poll_interval: float, started_at: float, deadline: float | None = None
) -> Steps[JobSnapshot]:
    """Read a job until it has ended, and log what changes.

    :param poll_interval: seconds between two readings at the most; a young job is read more often.
    :param started_at: when the job was started (seconds since the epoch).
    :param deadline: when to give up (seconds since the epoch).
    :returns: the last reading.
    :raises DeadlinePassedError: at the deadline.
    :raises JobNotFoundError: where AWS does not know the job, after the first minute.
    :raises AwsApiError: for an error that waiting does not mend.
    """
    watch = Watch(run, log, started_at)
    while True:
        try:
            snapshot = yield Read(run)
        except AwsApiError as error:
            pause = watch.failed(error, poll_interval)
        else:
            assert snapshot is not None  # noqa: S101 - a Read is answered with a reading
            watch.saw(snapshot)
            if snapshot.state.is_over:
                return snapshot
            age = time.time() - started_at
            pause = min(poll_interval, max(1.0, _GROWTH * age)) * random.uniform(0.9, 1.0)  # noqa: S311
        if deadline is not None:
            left = deadline - time.time()
            if left <= 0:
                raise DeadlinePassedError(f"{name(run)} has not ended in time", run=run)
            pause = min(pause, left)
        yield Pause(pause)


def is_young(started_at: float) -> bool:
    """Whether AWS may not know a job yet that was started then."""
    return time.time() - started_at < _EVENTUALLY_CONSISTENT


def read_until_certain(
    run: JobRun, *, log: Log, patience: float, unknown_until: float = 0.0
) -> Steps[JobSnapshot]:
    """Read a job once, and survive errors that may pass for ``patience`` seconds.

    :param unknown_until: until then (seconds since the epoch) AWS may not know it yet.
    :raises JobNotFoundError: where AWS does not know the job.
    :raises AwsApiError: for every other error that did not pass.
    """
    give_up = time.time() + patience
    pause = 0.5
    while True:
        try:
            snapshot = yield Read(run)
        except AwsApiError as error:
            if error.error is ErrorKind.NOT_FOUND:
                if time.time() >= unknown_until:
                    raise not_found(run, error) from error
            elif not error.is_transient or time.time() + pause > give_up:
                raise
            log.warning("could not read %s, trying again: %s", name(run), error)
        else:
            assert snapshot is not None  # noqa: S101 - a Read is answered with a reading
            return snapshot
        yield Pause(pause)
        pause = min(pause * 2, 10.0)


def cancel_until_certain(
    run: JobRun, *, log: Log, patience: float, in_flight: bool = False
) -> Steps[JobSnapshot]:
    """Ask for a job's end until AWS has answered, and log what it achieved.

    :param patience: seconds in which errors that may pass are survived.
    :param in_flight: the start may not have arrived yet: "not found" is asked again.
    :returns: the reading after the cancel.
    :raises AwsJobError: where it could not be done; the message has the command to do it by hand.
    """
    give_up = time.time() + patience
    pause = 0.5
    while True:
        try:
            snapshot = yield Cancel(run)
        except JobNotFoundError:
            if not in_flight or time.time() + pause > give_up:
                raise
        except AwsApiError as error:
            if not error.is_transient or time.time() + pause > give_up:
                command = job_type_of(run).cancel_command(run)
                raise AwsJobError(
                    f"{name(run)} could not be cancelled and may still be running: {error}. "
                    f"To cancel it by hand: {command}",
                    run=run,
                ) from error
        else:
            assert snapshot is not None  # noqa: S101 - a Cancel is answered with a reading
            log.info("%s", _achieved(run, snapshot))
            return snapshot
        yield Pause(pause)
        pause = min(pause * 2, 10.0)


def drive(steps: Steps[T], hook: AwsJobHook, sleep: Callable[[float], object] = time.sleep) -> T:
    """Take the steps with boto3."""
    try:
        step = next(steps)
        while True:
            if isinstance(step, Pause):
                sleep(step.seconds)
                step = next(steps)
                continue
            try:
                snapshot = hook.describe(step.run) if isinstance(step, Read) else hook.cancel(step.run)
            except AwsJobError as error:
                step = steps.throw(error)
            else:
                step = steps.send(snapshot)
    except StopIteration as stop:
        result: T = stop.value
        return result


async def adrive(steps: Steps[T], hook: AwsJobHook) -> T:
    """Take the steps with aiobotocore, on the running event loop."""
    try:
        step = next(steps)
        while True:
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
                step = next(steps)
                continue
            try:
                if isinstance(step, Read):
                    snapshot = await hook.adescribe(step.run)
                else:
                    snapshot = await hook.acancel(step.run)
            except AwsJobError as error:
                step = steps.throw(error)
            else:
                step = steps.send(snapshot)
    except StopIteration as stop:
        result: T = stop.value
        return result


class Watch:
    """What was last said about a job, so that every line of the log says something new."""

    def __init__(self, run: JobRun, log: Log, started_at: float) -> None:
        self.run = run
        self.log = log
        self.started_at = started_at
        self.status: str | None = None
        self.said_at: dict[str, float] = {}
        self.errors = 0

    def saw(self, snapshot: JobSnapshot) -> None:
        """Log a reading if it is news, or if it is time for a sign of life."""
        self.errors = 0
        changed = snapshot.status != self.status
        if not changed and not self._is_due(snapshot.status):
            return
        self.status = snapshot.status
        self.said_at[snapshot.status] = time.time()
        progress = "".join(f", {label} {value}" for label, value in snapshot.progress.items())
        verb = "is" if changed else "is still"
        self.log.info("%s %s %s after %s%s", name(self.run), verb, snapshot.status, self._age(), progress)
        if not snapshot.known:
            self.log.warning(
                "%s is a status that this version does not know; it counts as running", snapshot.status
            )

    def failed(self, error: AwsApiError, poll_interval: float) -> float:
        """Return how long to pause after an error, or raise it if waiting does not mend it."""
        if error.error is ErrorKind.NOT_FOUND and not is_young(self.started_at):
            raise not_found(self.run, error) from error
        if error.error is not ErrorKind.NOT_FOUND and not error.is_transient:
            raise error
        self.errors += 1
        if self._is_due(error.code):
            self.said_at[error.code] = time.time()
            self.log.warning("could not read %s, trying again: %s", name(self.run), error)
        backoff = min(2.0 ** min(self.errors - 1, 10), _SLOWEST_AFTER_ERRORS)
        return max(min(1.0, poll_interval), backoff) * random.uniform(0.75, 1.0)  # noqa: S311

    def _is_due(self, topic: str) -> bool:
        return time.time() - self.said_at.get(topic, 0.0) >= _SIGN_OF_LIFE

    def _age(self) -> str:
        seconds = max(0, round(time.time() - self.started_at))
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{seconds:02}s" if minutes else f"{seconds}s"


def _achieved(run: JobRun, snapshot: JobSnapshot) -> str:
    if not snapshot.state.is_over:
        return f"asked AWS to cancel {name(run)}; it is still {snapshot.status}"
    if snapshot.state is JobState.CANCELLED:
        return f"{name(run)} is cancelled ({snapshot.status})"
    return f"nothing to cancel: {name(run)} had ended {snapshot.status}"
