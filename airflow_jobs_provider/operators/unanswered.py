"""A start call that may have been sent, and has not been answered: how its job is found out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_jobs_provider.exceptions import AwsApiError, AwsJobError, TaskKilledError, name
from airflow_jobs_provider.jobs.errors import ErrorKind
from airflow_jobs_provider.lost import Found, LostStart, search_for
from airflow_jobs_provider.steps import drive

if TYPE_CHECKING:
    from airflow_jobs_provider.hooks.protocol import JobHook
    from airflow_jobs_provider.jobs.model import JobType
    from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot
    from airflow_jobs_provider.operators.record import JobRecord
    from airflow_jobs_provider.steps import Log, Steps

# Seconds by which the service's clock may be behind when a token is answered with a job.
_SKEW = 60.0
# Seconds between two questions; while AWS answers none, a tenth of the time so far, up to the second.
_PAUSE = 0.5
_LONGEST_PAUSE = 15.0


def is_older(job_type: JobType, snapshot: JobSnapshot, record: JobRecord) -> bool:
    """Whether a job that answers a start is older than it: its token was used before."""
    created = job_type.started_at(snapshot)
    return created is not None and created < record.started_at - _SKEW


class UnansweredStart:
    """One start, from before its first call on.

    A thread of a signal handler reads it while the main thread stands still, wherever that was: nothing here
    takes a lock.

    :param values: what it asks for, by our names.
    :param record: what was recorded of it.
    :param has_siblings: the task is mapped.
    :ivar run: its job, as soon as an answer or a search has told which.
    :ivar in_flight: a call is on its way.
    :ivar may_exist: a call may have started the job.
    """

    def __init__(
        self,
        job_type: JobType,
        values: Mapping[str, Any],
        record: JobRecord,
        region: str,
        *,
        has_siblings: bool,
        may_exist: bool,
    ) -> None:
        self.values = values
        self.record = record
        self.run: JobRun | None = None
        self.in_flight = False
        self.may_exist = may_exist
        self._job_type = job_type
        self._cannot_list = False
        self._lost = LostStart(job_type, values, record.sent, record.started_at, region, has_siblings)

    def __str__(self) -> str:
        return f"a job on {self._job_type.describe_target(self.values)}"

    @property
    def was_sent(self) -> bool:
        """Whether a call may have reached AWS that was not refused."""
        return self.in_flight or self.may_exist

    def heard(self, run: JobRun, snapshot: JobSnapshot) -> None:
        """Take the answer; a token of an author's own may have been answered with an old job."""
        if not is_older(self._job_type, snapshot, self.record):
            self.run = run
        self.may_exist, self.in_flight = True, False

    def wait(self, seconds: float) -> None:
        """Give a call that is on its way time for its answer."""
        end = time.monotonic() + seconds
        while self.in_flight and time.monotonic() < end:
            time.sleep(0.05)

    def learn(
        self,
        hook: JobHook,
        log: Log,
        patience: float,
        sleep: Callable[[float], object] = time.sleep,
        *,
        longest: float = 0.0,
    ) -> JobRun | None:
        """Find out which job it has started: the list tells, or its token.

        :param patience: for how many seconds; lists show a new job late.
        :param longest: seconds in which errors that may pass are survived, and in which a job is awaited that
            is the start's if only AWS told when it was created; at least ``patience``.
        :returns: its job; ``None`` where it has started none, or where that cannot be told.
        """
        number = self.record.try_number
        if self.run is not None or not self.was_sent:
            return self.run
        if self._job_type.token is None and not self._lost.can_be_found:
            log.warning(
                "what try %d may have started cannot be looked for: it has no comment, or there is no list",
                number,
            )
            return None
        began = time.monotonic()
        longest, pause = max(patience, longest), _PAUSE
        try:
            while True:
                left = began + longest - time.monotonic()
                found = self._ask(hook, log, max(0.0, left), sleep)
                self.run = self.run or found.run
                give_up = began + (longest if found.left_alone or found.unheard else patience)
                if self.run is not None or found.final or time.monotonic() + pause > give_up:
                    break
                sleep(pause)
                if found.unheard:
                    pause = max(_PAUSE, min((time.monotonic() - began) / 10, _LONGEST_PAUSE))
        except TaskKilledError:
            raise
        except AwsJobError as error:
            log.warning("what try %d may have started cannot be found: %s", number, error)
        else:
            self._say(found, log)
        return self.run

    def _ask(self, hook: JobHook, log: Log, patience: float, sleep: Callable[[float], object]) -> Found:
        """Ask once which job it has started.

        The list comes first, also where there is a token: to read it starts nothing, and AWS may throttle a
        repeated start for longer than there is time.
        """
        if self._job_type.token is None:
            return drive(self._search(log, patience), hook, sleep)
        if self._lost.can_be_found and not self._cannot_list:
            try:
                found = drive(self._search(log, 0.0), hook, sleep)
            except AwsApiError as error:
                self._cannot_list = not error.is_transient
            else:
                if found.run is not None:
                    return found
        return self._ask_again(hook)

    def _search(self, log: Log, patience: float) -> Steps[Found]:
        return search_for(self._lost, log=log, patience=patience, is_over=lambda: self.run is not None)

    def _ask_again(self, hook: JobHook) -> Found:
        try:
            run, snapshot = hook.start(self.values)
        except AwsApiError as error:
            if error.is_transient:
                return Found(because=str(error), unheard=True)
            if error.meaning is ErrorKind.BUSY:
                # A token that the service knows is answered with its job: it has started nothing.
                return Found(because=f"it has started nothing: {error}", final=True)
            raise
        if is_older(self._job_type, snapshot, self.record):
            return Found(None, (run,), "its token was used before", final=True)
        return Found(run)

    def _say(self, found: Found, log: Log) -> None:
        number = self.record.try_number
        if self.run is not None:
            log.info("found %s, which try %d has started and never heard of", name(self.run), number)
        elif not found.left_alone:
            log.warning("what try %d may have started was not found: %s", number, found.because)
        for run in found.left_alone:
            log.warning(
                "%s may be what try %d has started, but it is left alone: %s. To cancel it by hand: %s",
                *(name(run), number, found.because, self._job_type.cancel_command(run)),
            )
