"""How to wait for a job and how to see to its end: one logic for the worker and for the triggerer.

Each function is a generator of :mod:`~airflow_jobs_provider.steps`.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_jobs_provider.exceptions import (
    AwsApiError,
    AwsJobError,
    name,
    not_cancelled,
    not_found,
    not_read,
)
from airflow_jobs_provider.jobs.errors import ErrorKind
from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot, JobState
from airflow_jobs_provider.steps import Cancel, Log, Pause, Read, Step, Steps
from airflow_jobs_provider.watch import Watch, is_young

# While it is young, a job is read more often than once in a poll_interval: so many readings more, in so many
# poll_intervals. With the first one, one after a second, and the one that sees the end, that makes at most
# N x (6 + D / poll_interval) readings of N jobs of duration D. They are nearly even over the first 20 seconds
# where poll_interval is 5, so that an end is seen within 3. A delay that is a share of the job's age spends
# them too early: with 25 %, 13 readings in those 20 seconds; with 50 %, an end may be seen 4.4 seconds late.
_EXTRA = 2.8
# With a longer interval no end is to be seen within seconds, and the readings, which are whole numbers, may
# exceed that sum by a third of one.
_EXTRA_OF_LONG = 2.3
_LONG = 5.0
_YOUNG = 4.0
# Seconds over which the extra readings are nearly even; then they become rare as the job becomes old.
_EVEN = 24.0


class DeadlinePassedError(AwsJobError):
    """The wait has lasted as long as it may."""


@dataclass(frozen=True)
class Wait:
    """What is known of a deferred wait when it is over: an argument of ``defer``, and in the trigger's event.

    :param run: the job.
    :param started_at: when it was started (seconds since the epoch).
    :param cancel_on_kill: whether the job is to be cancelled when its task does not want it any more.
    """

    run: JobRun
    started_at: float
    cancel_on_kill: bool

    def to_json(self) -> dict[str, Any]:
        """Return a JSON dict that :meth:`from_json` takes."""
        return {
            "run": self.run.to_json(),
            "started_at": self.started_at,
            "cancel_on_kill": self.cancel_on_kill,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Wait:
        """Read what :meth:`to_json` wrote, perhaps among other things."""
        return cls(JobRun.from_json(data["run"]), data["started_at"], data["cancel_on_kill"])


def wait_until_over(
    run: JobRun,
    *,
    log: Log,
    poll_interval: float,
    started_at: float,
    deadline: float | None = None,
    settle: bool = True,
) -> Steps[JobSnapshot]:
    """Read a job until it has ended, and log what changes.

    :param poll_interval: seconds between two readings at the most; a young job is read more often.
    :param started_at: when the job was started (seconds since the epoch).
    :param deadline: when to give up (seconds since the epoch).
    :param settle: wait for what still goes on when the job has ended, too.
    :returns: the last reading.
    :raises DeadlinePassedError: at the deadline.
    :raises JobNotFoundError: where AWS does not know the job, after the first minute.
    :raises AwsApiError: for an error that waiting does not mend.
    """
    watch = Watch(run, log, started_at)
    schedule = _Schedule(watch, poll_interval, deadline)
    while True:
        pause = schedule.pause()
        try:
            snapshot: JobSnapshot = yield Read(run)
        except AwsApiError as error:
            pause = max(pause, watch.failed(error))
        else:
            watch.saw(snapshot)
            if watch.is_done(snapshot, settle=settle):
                return snapshot
        left = schedule.left()
        if left <= 0:
            raise DeadlinePassedError(f"{name(run)} has not ended in time", run=run)
        yield Pause(min(pause, left), schedule.anew)


class _Schedule:
    """When a wait reads its job next.

    :param poll_interval: seconds between two readings at the most.
    :param deadline: when the wait gives up (seconds since the epoch).
    """

    __slots__ = ("_began", "_deadline", "_poll_interval", "_watch")

    def __init__(self, watch: Watch, poll_interval: float, deadline: float | None) -> None:
        self._watch = watch
        self._poll_interval = poll_interval
        self._deadline = deadline
        self._began = time.monotonic()

    def pause(self) -> float:
        """Return the seconds until the next reading."""
        return pause_at(self._age(), self._poll_interval)

    def left(self) -> float:
        """Return the seconds until the deadline."""
        return math.inf if self._deadline is None else self._deadline - time.time()

    def anew(self) -> float | None:
        """Return the pause after a reading that nobody asked for, see :class:`Pause`."""
        left = self.left()
        return min(self.pause(), left) if self._watch.is_quiet and left > 0 else None

    def _age(self) -> float:
        watch = self._watch
        if watch.over_since is not None:
            return time.time() - watch.over_since
        # Where this clock is behind the one that told the start, the job would stay new for as long.
        return max(time.time() - watch.started_at, time.monotonic() - self._began)


def pause_at(age: float, poll_interval: float) -> float:
    """Return how many seconds to pause before the next reading.

    :param age: seconds that the job has run.
    """
    if age < 1:
        return min(1.0, poll_interval) * random.uniform(0.8, 1.0)  # noqa: S311
    if age >= _YOUNG * poll_interval:
        # What spread while the jobs were young stays apart.
        return poll_interval
    # The pause in which one reading falls due: its share of a poll_interval, and of the extra readings.
    extra = (_EXTRA if poll_interval <= _LONG else _EXTRA_OF_LONG) / math.log1p(
        _YOUNG * poll_interval / _EVEN
    )
    shortest, longest = 0.0, poll_interval
    for _ in range(12):
        pause = (shortest + longest) / 2
        if pause / poll_interval + extra * math.log1p(pause / (age + _EVEN)) < 1:
            shortest = pause
        else:
            longest = pause
    return min(poll_interval, max(1.0, longest * random.uniform(0.9, 1.1)))  # noqa: S311


def read_until_certain(
    run: JobRun, *, log: Log, started_at: float, patience: float = math.inf
) -> Steps[JobSnapshot]:
    """Read a job once, and survive errors that may pass.

    :param started_at: when the job was started (seconds since the epoch).
    :param patience: for how many seconds; by default until the task's time-out.
    :raises JobNotFoundError: where AWS does not know the job, a minute after its start.
    :raises AwsApiError: for every other error that did not pass.
    """
    try:
        snapshot: JobSnapshot = yield from until_certain(
            Read(run), Watch(run, log, started_at).failed, patience
        )
    except AwsApiError as error:
        raise not_read(run, error) from error.__cause__
    return snapshot


def until_certain(step: Step, failed: Callable[[AwsApiError], float], patience: float) -> Steps[Any]:
    """Take a step, again and again while it meets errors that may pass; return its answer.

    :param failed: returns the seconds to pause after an error, or raises it.
    :param patience: seconds in which errors that may pass are survived.
    """
    give_up = time.time() + patience
    while True:
        try:
            return (yield step)
        except AwsApiError as error:
            pause = failed(error)
            if time.time() + pause > give_up:
                raise
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
                raise not_cancelled(run, error, asked=asked) from error
        else:
            # A job that the cancel did not find, and that can be read, runs: the cancel came too early.
            if asked or snapshot.state is not JobState.RUNNING:
                log.info("%s", _achieved(run, snapshot))
                return snapshot
            if time.time() + pause > give_up:
                raise not_cancelled(run, f"AWS does not take the cancel, and it is {snapshot.status}")
        if problem is not None:
            log.warning("could not cancel %s yet, trying again: %s", name(run), problem)
        yield Pause(pause)
        pause = min(pause * 2, 10.0)


def _achieved(run: JobRun, snapshot: JobSnapshot) -> str:
    if not snapshot.state.is_over:
        return f"{name(run)} is to end; it is still {snapshot.status}"
    if snapshot.state is JobState.CANCELLED:
        return f"{name(run)} is cancelled ({snapshot.status})"
    return f"nothing to cancel: {name(run)} had ended {snapshot.status}"
