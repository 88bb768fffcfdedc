"""How to wait for a job and how to see to its end: one logic for the worker and for the triggerer.

Each function is a generator of steps (:class:`Read`, :class:`Cancel`, :class:`Pause`); :func:`drive` takes
them one by one with the hook and ``time.sleep``, :func:`adrive` with its asynchronous twin.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, Union

from airflow_jobs_provider.exceptions import AwsApiError, AwsJobError, name, not_cancelled, not_found
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
    """Step: ask AWS to cancel the job; answered with whether it took that."""

    run: JobRun


@dataclass(frozen=True)
class Pause:
    """Step: do nothing for so many seconds."""

    seconds: float


Step = Union[Read, Cancel, Pause]  # noqa: UP007 - evaluated at import, also on Python 3.10
Steps = Generator[Step, Any, T]


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
        pause = min(poll_interval, max(1.0, _GROWTH * (time.time() - started_at)))
        try:
            snapshot: JobSnapshot = yield Read(run)
        except AwsApiError as error:
            pause = max(pause, watch.failed(error))
        else:
            watch.saw(snapshot)
            if snapshot.state.is_over:
                return snapshot
        pause *= random.uniform(0.9, 1.0)  # noqa: S311
        if deadline is not None:
            left = deadline - time.time()
            if left <= 0:
                raise DeadlinePassedError(f"{name(run)} has not ended in time", run=run)
            pause = min(pause, left)
        yield Pause(pause)


def read_until_certain(
    run: JobRun, *, log: Log, started_at: float, patience: float = math.inf
) -> Steps[JobSnapshot]:
    """Read a job once, and survive errors that may pass.

    :param started_at: when the job was started (seconds since the epoch).
    :param patience: for how many seconds; by default until the task's time-out.
    :raises JobNotFoundError: where AWS does not know the job, a minute after its start.
    :raises AwsApiError: for every other error that did not pass.
    """
    watch = Watch(run, log, started_at)
    give_up = time.time() + patience
    while True:
        try:
            snapshot: JobSnapshot = yield Read(run)
        except AwsApiError as error:
            pause = watch.failed(error)
            if time.time() + pause > give_up:
                raise
        else:
            return snapshot
        yield Pause(pause)


def cancel_until_certain(run: JobRun, *, log: Log, started_at: float, patience: float) -> Steps[JobSnapshot]:
    """Ask for a job's end until AWS has answered, and log what it achieved.

    :param started_at: when the job was started (seconds since the epoch); AWS may not know a young one yet.
    :param patience: seconds in which errors that may pass are survived.
    :returns: the reading after the cancel.
    :raises JobNotFoundError: where AWS does not know the job.
    :raises AwsJobError: where it could not be done; the message has the command to do it by hand.
    """
    give_up = time.time() + patience
    pause = 0.5
    asked = False
    while True:
        problem: AwsApiError | None = None
        try:
            asked = asked or (yield Cancel(run))
            snapshot: JobSnapshot = yield Read(run)
        except AwsApiError as error:
            problem = error
            unknown = error.meaning is ErrorKind.NOT_FOUND
            if unknown and (not is_young(started_at) or time.time() + pause > give_up):
                raise not_found(run, error) from error
            if not unknown and (not error.is_transient or time.time() + pause > give_up):
                raise not_cancelled(run, str(error), asked=asked) from error
        else:
            # A job that the cancel did not find, and that can be read, runs: the cancel came too early.
            if asked or snapshot.state.is_over:
                log.info("%s", _achieved(run, snapshot))
                return snapshot
            if time.time() + pause > give_up:
                raise not_cancelled(run, f"AWS does not take the cancel, and it is {snapshot.status}")
        if problem is not None:
            log.warning("could not cancel %s yet, trying again: %s", name(run), problem)
        yield Pause(pause)
        pause = min(pause * 2, 10.0)


def known_for_all_but(seconds: float) -> float:
    """Return a start so long ago that "not found" is believed in so many seconds."""
    return time.time() - _EVENTUALLY_CONSISTENT + seconds


def is_young(started_at: float) -> bool:
    """Whether AWS may not know a job yet that was started then."""
    return time.time() - started_at < _EVENTUALLY_CONSISTENT


def drive(steps: Steps[T], hook: AwsJobHook, sleep: Callable[[float], object] = time.sleep) -> T:
    """Take the steps with boto3."""
    try:
        step = next(steps)
        while True:
            try:
                if isinstance(step, Pause):
                    answer: Any = sleep(step.seconds)
                else:
                    call = hook.describe if isinstance(step, Read) else hook.request_cancel
                    answer = call(step.run)
            except AwsApiError as error:
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result


async def adrive(steps: Steps[T], hook: AwsJobHook) -> T:
    """Take the steps with aiobotocore, on the running event loop."""
    try:
        step = next(steps)
        while True:
            try:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    answer: Any = None
                else:
                    call = hook.adescribe if isinstance(step, Read) else hook.arequest_cancel
                    answer = await call(step.run)
            except AwsApiError as error:
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result


class Watch:
    """What was last said about a job, so that every line of the log says something new.

    :param started_at: when the job was started, or the wait for it (seconds since the epoch).
    :param status: the status that was said last.
    :param said_at: when that was (seconds since the epoch).
    """

    def __init__(
        self, run: JobRun, log: Log, started_at: float, status: str | None = None, said_at: float = 0.0
    ) -> None:
        self.run = run
        self.log = log
        self.started_at = started_at
        self.status = status
        self.said_at = said_at
        self._errors = 0
        self.error_said_at: dict[str, float] = {}

    def saw(self, snapshot: JobSnapshot) -> None:
        """Log a reading if it is news, or if it is time for a sign of life."""
        self._errors = 0
        changed = snapshot.status != self.status
        if not changed and time.time() - self.said_at < _SIGN_OF_LIFE:
            return
        self.status = snapshot.status
        self.said_at = time.time()
        progress = "".join(f", {label} {value}" for label, value in snapshot.progress.items())
        verb = "is" if changed else "is still"
        self.log.info("%s %s %s after %s%s", name(self.run), verb, snapshot.status, self._age(), progress)
        if not snapshot.known:
            self.log.warning(
                "%s is a status that this version does not know; it counts as running", snapshot.status
            )

    def failed(self, error: AwsApiError) -> float:
        """Return how many seconds to pause after an error, or raise it if waiting does not mend it.

        :raises JobNotFoundError: where AWS does not know the job, a minute after its start.
        :raises AwsApiError: for every other error that does not pass.
        """
        if error.meaning is ErrorKind.NOT_FOUND:
            if not is_young(self.started_at):
                raise not_found(self.run, error) from error
        elif not error.is_transient:
            raise error
        self._errors += 1
        if time.time() - self.error_said_at.get(error.code, 0.0) >= _SIGN_OF_LIFE:
            self.error_said_at[error.code] = time.time()
            self.log.warning("could not read %s, trying again: %s", name(self.run), error)
        return min(2.0 ** min(self._errors - 1, 10), _SLOWEST_AFTER_ERRORS)

    def _age(self) -> str:
        seconds = max(0, round(time.time() - self.started_at))
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{seconds:02}s" if minutes else f"{seconds}s"


def _achieved(run: JobRun, snapshot: JobSnapshot) -> str:
    if not snapshot.state.is_over:
        return f"{name(run)} was asked to end; it is still {snapshot.status}"
    if snapshot.state is JobState.CANCELLED:
        return f"{name(run)} is cancelled ({snapshot.status})"
    return f"nothing to cancel: {name(run)} had ended {snapshot.status}"
