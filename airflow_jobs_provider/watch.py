"""What was last read of a job, and which errors a reading survives."""

from __future__ import annotations

import time

from airflow_jobs_provider.exceptions import AwsApiError, name, not_found, not_read
from airflow_jobs_provider.jobs import job_type_of
from airflow_jobs_provider.jobs.errors import ErrorKind
from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot
from airflow_jobs_provider.steps import Log

# Seconds after the start in which AWS may not know the job yet.
_EVENTUALLY_CONSISTENT = 60.0
# Seconds between two lines about a job in which nothing changes.
_SIGN_OF_LIFE = 300.0
# Seconds that repeated errors of the API slow the wait down to, at most.
_SLOWEST_AFTER_ERRORS = 60.0


def known_for_all_but(seconds: float) -> float:
    """Return a start so long ago that "not found" is believed in so many seconds."""
    return time.time() - _EVENTUALLY_CONSISTENT + seconds


def is_young(started_at: float) -> bool:
    """Whether AWS may not know a job yet that was started then."""
    return time.time() - started_at < _EVENTUALLY_CONSISTENT


class Errors:
    """Errors of an API while something is read: those that may pass are survived, and logged once in a while.

    :param what: that which is read, in words.
    """

    def __init__(self, what: str, log: Log) -> None:
        self._what = what
        self._log = log
        self._count = 0
        #: code -> when it was logged (seconds since the epoch).
        self.said_at: dict[str, float] = {}

    def survive(self, error: AwsApiError) -> float:
        """Return how many seconds to pause after an error, or raise it if waiting does not mend it."""
        if not error.is_transient:
            raise error
        return self.pause(error)

    def pause(self, error: AwsApiError) -> float:
        """Return how many seconds to pause after an error that may pass."""
        self._count += 1
        if time.time() - self.said_at.get(error.code, 0.0) >= _SIGN_OF_LIFE:
            self.said_at[error.code] = time.time()
            self._log.warning("could not read %s, trying again: %s", self._what, error)
        return min(2.0 ** min(self._count - 1, 10), _SLOWEST_AFTER_ERRORS)

    def are_over(self) -> None:
        """Begin with short pauses again."""
        self._count = 0


class Watch:
    """What was last said about a job, so that every line of the log says something new.

    :param started_at: when the job was started, or the wait for it (seconds since the epoch).
    :param status: the status that was said last, with what goes on after it.
    :param said_at: when that was (seconds since the epoch).
    :ivar over_since: when the job was first seen to have ended (seconds since the epoch).
    """

    def __init__(
        self, run: JobRun, log: Log, started_at: float, status: str | None = None, said_at: float = 0.0
    ) -> None:
        self.run = run
        self.log = log
        self.started_at = started_at
        self.status = status
        self.said_at = said_at
        self.over_since: float | None = None
        self.errors = Errors(name(run), log)

    def saw(self, snapshot: JobSnapshot) -> None:
        """Log a reading if it is news, or if it is time for a sign of life."""
        self.errors.are_over()
        status = f"{snapshot.status}, {snapshot.pending}" if snapshot.pending else snapshot.status
        changed = status != self.status
        if not changed and time.time() - self.said_at < _SIGN_OF_LIFE:
            return
        self.status = status
        self.said_at = time.time()
        progress = "".join(f", {label} {value}" for label, value in snapshot.progress.items())
        verb = "is" if changed else "is still"
        self.log.info("%s %s %s after %s%s", name(self.run), verb, status, self._age(), progress)
        if not snapshot.known:
            self.log.warning(
                "%s is a status that this version does not know; it counts as running", snapshot.status
            )

    @property
    def is_quiet(self) -> bool:
        """Whether another reading like the last one would be neither logged nor waited for."""
        return self.over_since is None and time.time() - self.said_at < _SIGN_OF_LIFE

    def is_done(self, snapshot: JobSnapshot, *, settle: bool) -> bool:
        """Whether there is nothing more to wait for.

        :param settle: wait for what still goes on when the job has ended, too, within its patience.
        """
        if not snapshot.state.is_over:
            return False
        after = job_type_of(self.run).aftermath
        if not settle or snapshot.pending is None or after is None:
            return True
        self.over_since = self.over_since or time.time()
        return time.time() - self.over_since >= after.patience

    def failed(self, error: AwsApiError) -> float:
        """Return how many seconds to pause after an error, or raise it if waiting does not mend it.

        :raises JobNotFoundError: where AWS does not know the job, a minute after its start.
        :raises AwsApiError: for every other error that does not pass.
        """
        if error.meaning is not ErrorKind.NOT_FOUND:
            if not error.is_transient:
                raise not_read(self.run, error) from error.__cause__
            return self.errors.pause(error)
        if not is_young(self.started_at):
            raise not_found(self.run, error) from error
        return self.errors.pause(error)

    def _age(self) -> str:
        seconds = max(0, round(time.time() - self.started_at))
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{seconds:02}s" if minutes else f"{seconds}s"
