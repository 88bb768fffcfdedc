"""Which failures of a job are worth another try, and when: a policy for Airflow's ``retry_policy``."""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass, fields
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow.sdk import RetryDecision, RetryPolicy

from airflow_jobs_provider.exceptions import AwsJobError, TaskKilledError
from airflow_jobs_provider.jobs.run import FailureKind
from airflow_jobs_provider.operators.base import StartJobOperator
from airflow_jobs_provider.operators.connected import AwsOperator
from airflow_jobs_provider.pages import find_freeing
from airflow_jobs_provider.steps import drive

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

log = logging.getLogger(__name__)

# Of the machine, not of AWS: the service that tells the credentials may not answer for a moment.
_NO_CREDENTIALS = ("NoCredentialsError", "CredentialRetrievalError")
# Seconds in which AWS must have told when a quota frees; the task has failed already.
_ASKING = 10.0
# After which AWS is believed to have seen everywhere that a quota has freed.
_MARGIN = timedelta(minutes=1)
_HOPELESS = {
    FailureKind.PERMANENT: "{} would come again",
    FailureKind.SUPERSEDED: "a newer job has taken over ({})",
    FailureKind.CANCELLED: "somebody has cancelled the job, or deleted it ({})",
}
_DELAYS = ("delay", "longest_delay", "quota_delay", "longest_quota_delay")


@dataclass(frozen=True, kw_only=True)
class AwsJobRetryPolicy(RetryPolicy):
    """Tries again what may go better the next time, and fails at once what would not.

    ``retries`` stays the limit: a policy can end the tries early, but not add one. It is asked in workers,
    also for a task that was deferred. About a sensor that has timed out Airflow does not ask: it is not tried
    again. Whatever is no error of a job (a worker that died, ``execution_timeout``, a template that fails) is
    tried again as without a policy, after ``retry_delay``; so is a failure of which AWS does not say why.

    :param delay: before the second try after a failure that may pass. It doubles with each try, and differs
        by up to a tenth from task to task.
    :param longest_delay: what it grows to.
    :param quota_delay: before another try where a quota is used up and nobody can say when it frees. ``None``
        for no other try.
    :param longest_quota_delay: how long to wait for a quota that frees at a known time. That is known where
        the service counts starts in a window of time, and the connection may list them (QuickSight).
    :param retry_superseded: try again although a newer job has taken over.
    :param retry_cancelled: try again although somebody has cancelled the job.
    :param retry_codes: what else is tried again: codes of AWS (``AwsJobError.code``).
    :param fail_codes: codes that are never tried again.
    :raises ValueError: for a delay that is none, or codes that are in both lists.
    """

    delay: timedelta = timedelta(minutes=2)
    longest_delay: timedelta = timedelta(hours=1)
    quota_delay: timedelta | None = timedelta(hours=1)
    longest_quota_delay: timedelta = timedelta(days=1)
    retry_superseded: bool = False
    retry_cancelled: bool = False
    retry_codes: tuple[str, ...] = ()
    fail_codes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in _DELAYS:
            value = getattr(self, name)
            if not isinstance(value, timedelta) and not (value is None and name == "quota_delay"):
                raise ValueError(f"{name} must be a timedelta, not {value!r}")
            if value is not None and value <= timedelta(0):
                raise ValueError(f"{name} must be above 0, not {value}")
        for name in ("retry_codes", "fail_codes"):
            if isinstance(getattr(self, name), str):
                raise ValueError(f"{name} must be a tuple of codes, not {getattr(self, name)!r}")
        if both := set(self.retry_codes) & set(self.fail_codes):
            raise ValueError(f"retry_codes and fail_codes must not both have {', '.join(sorted(both))}")

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Decide; Airflow asks in the process of a task that has failed.

        :returns: another try (with its delay), none, or whatever ``retries`` and ``retry_delay`` say. The
            reason goes to the task's log, and with another try to its task instance.
        """
        operator = context.get("task") if context is not None else None
        if not isinstance(exception, AwsJobError):
            # Ours say so of bad input, which is as bad at the next try; somebody else's may mean anything.
            bad_input = type(exception) is ValueError and isinstance(operator, AwsOperator)
            return _no("it would have the same input") if bad_input else RetryDecision.default()
        what = exception.code or type(exception).__name__
        starts = isinstance(operator, StartJobOperator)
        if _has_ended(exception) and isinstance(operator, AwsOperator) and not starts:
            return _no(f"the job has ended ({what}), and this task does not start another")
        kind = self._kind(exception)
        if kind is FailureKind.TRANSIENT:
            return self._later(what, _tries(try_number, max_tries, operator))
        if kind is FailureKind.QUOTA:
            return self._when_it_frees(what, operator)
        return RetryDecision.default() if kind is None else _no(_HOPELESS[kind].format(what))

    def _kind(self, error: AwsJobError) -> FailureKind | None:
        """Return what kind of failure an error is to its author."""
        if error.code in self.fail_codes:
            return FailureKind.PERMANENT
        if error.code in self.retry_codes:
            return FailureKind.TRANSIENT
        # A worker that was told to end says nothing about the job.
        if error.code in _NO_CREDENTIALS or isinstance(error, TaskKilledError):
            return None
        eager = {
            FailureKind.SUPERSEDED: self.retry_superseded,
            FailureKind.CANCELLED: self.retry_cancelled,
        }
        tried = error.kind is not None and eager.get(error.kind, False)
        return FailureKind.TRANSIENT if tried else error.kind

    def _later(self, what: str, tries: int) -> RetryDecision:
        """Return another try, after a delay that has doubled with each try before."""
        delay = min(self.delay * 2 ** min(tries - 1, 20), self.longest_delay)
        # Tasks that have failed together, because of one source say, should not all come back together.
        delay *= random.uniform(0.9, 1.1)  # noqa: S311
        return _in(delay, f"{what} may pass")

    def _when_it_frees(self, what: str, operator: object) -> RetryDecision:
        """Return another try when AWS starts such jobs again."""
        frees_at = _quota_frees_at(operator)
        if frees_at is None:
            if self.quota_delay is None:
                return _no(f"{what}, and nobody can say when it frees")
            return _in(self.quota_delay, f"{what} may have freed")
        wait = timedelta(seconds=max(0.0, frees_at - time.time()))
        moment = datetime.fromtimestamp(frees_at, tz=timezone.utc).isoformat(timespec="seconds")
        if wait > self.longest_quota_delay:
            return _no(f"{what}; the quota frees at {moment}, which is after longest_quota_delay")
        return _in(wait + _MARGIN, f"{what}; the quota frees at {moment}")

    def serialize(self) -> dict[str, Any]:
        """Return the parameters as JSON; delays in seconds."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: value.total_seconds() if isinstance(value, timedelta) else value
            for name, value in given.items()
        }

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> AwsJobRetryPolicy:
        """Return the policy that :meth:`serialize` was called of."""
        delays = {name: timedelta(seconds=data[name]) for name in _DELAYS if data[name] is not None}
        codes = {name: tuple(data[name]) for name in ("retry_codes", "fail_codes")}
        return cls(**{**data, **delays, **codes})


def _no(why: str) -> RetryDecision:
    return RetryDecision.fail(f"no other try: {why}")


def _in(delay: timedelta, why: str) -> RetryDecision:
    return RetryDecision.retry(delay, f"another try in {delay.total_seconds():.0f} seconds: {why}")


def _has_ended(error: AwsJobError) -> bool:
    return error.snapshot is not None and error.snapshot.state.is_over


def _tries(try_number: int, max_tries: int, operator: object) -> int:
    """Return how many tries there were since the task was last cleared: a clear goes on with the numbers."""
    retries = getattr(operator, "retries", None)
    before = max(0, max_tries - retries) if isinstance(retries, int) else 0
    return max(1, try_number - before)


def _quota_frees_at(operator: object) -> float | None:
    """Return when AWS starts a task's job again (seconds since the epoch), if that can be learned."""
    if not isinstance(operator, StartJobOperator) or operator.job_type.quota_window is None:
        return None
    try:
        hook = operator.hook.impatient_twin(_ASKING)
        values = operator.parameters(operator.job_type.start)
        return drive(find_freeing(operator.job_type, values, log=log, patience=_ASKING), hook)
    except Exception as error:  # noqa: BLE001 - whatever it is, the task has failed for another reason
        log.warning("could not learn when the quota frees: %s", error)
        return None
