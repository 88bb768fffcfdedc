"""Cancel a job that another task, or another system, has started."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_jobs_provider.exceptions import JobNotFoundError, name, still_ending
from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot
from airflow_jobs_provider.links.aws_job import AwsJobLink
from airflow_jobs_provider.operators.checks import check_flags, check_seconds
from airflow_jobs_provider.operators.common import PATIENCE
from airflow_jobs_provider.operators.deferral import DeferringOperator
from airflow_jobs_provider.steps import drive
from airflow_jobs_provider.waiting import DeadlinePassedError, Wait, cancel_until_certain, wait_until_over
from airflow_jobs_provider.watch import known_for_all_but

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context


# Seconds in which a job that AWS does not find may be one that another task has just started.
_GRACE = 15.0


class CancelJobOperator(DeferringOperator):
    """Cancel an AWS job. A job that has ended already is a success, whatever its end was.

    :param wait_for_completion: wait until the job has really ended.
    :param poll_interval: seconds between two readings of the job at the most.
    :param cancel_timeout: seconds to wait for the end at the most; a rollback can take long.
    :param missing_ok: succeed where AWS does not know the job.
    :returns: the job's identity, ``region_name``, ``status`` (which end it had) and ``details``; ``None`` for
        a job that AWS does not know.
    :raises JobNotFoundError: for such a job, without ``missing_ok``.
    :raises AwsJobError: the job could not be cancelled, or has not ended within ``cancel_timeout``.
    """

    takes = "cancel"
    ui_color = "#f7d9d3"

    def __init__(
        self,
        *,
        wait_for_completion: bool = True,
        poll_interval: float = 10,
        cancel_timeout: float = 3600,
        missing_ok: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.wait_for_completion = wait_for_completion
        self.poll_interval = poll_interval
        self.cancel_timeout = cancel_timeout
        self.missing_ok = missing_ok
        check_flags(self, ("wait_for_completion", "missing_ok"))
        check_seconds("poll_interval", poll_interval)
        check_seconds("cancel_timeout", cancel_timeout)

    def execute(self, context: Context) -> dict[str, Any] | None:
        """Cancel the job, and wait for its end.

        :returns: the job's identity, ``status`` and ``details``; ``None`` for a job that AWS does not know.
        :raises JobNotFoundError: for such a job, without ``missing_ok``.
        :raises AwsJobError: where the job could not be cancelled.
        """
        run = self.identify()
        AwsJobLink().persist(self, context["ti"], run)
        since = known_for_all_but(_GRACE)
        cancel = cancel_until_certain(run, log=self.log, started_at=since, patience=PATIENCE)
        try:
            snapshot = drive(cancel, self.hook)
            if self.wait_for_completion and not snapshot.state.is_over:
                snapshot = self._wait(context, run)
        except JobNotFoundError as error:
            self._accept(error)
            return None
        return self.conclude(run, snapshot)

    def execute_complete(
        self,
        context: Context,
        event: Mapping[str, Any] | None,
        wait: Mapping[str, Any] | None = None,
    ) -> dict[str, Any] | None:
        """Go on after the trigger's event.

        :returns: see :meth:`execute`.
        :raises AirflowTaskTimeout: at ``execution_timeout``.
        :raises AwsJobError: where the job could not be read, or has not ended within ``cancel_timeout``.
        """
        waited = self.resumed(event, wait)
        try:
            snapshot = self.read_event(event, waited)
        except JobNotFoundError as error:
            self._accept(error)
            return None
        if snapshot is None:
            raise self._too_late(context, waited.run)
        if not snapshot.state.is_over:
            self._defer(context, waited)
        return self.conclude(waited.run, snapshot)

    def conclude(
        self,
        run: JobRun,
        snapshot: JobSnapshot,
        sleep: Callable[[float], object] = time.sleep,  # noqa: ARG002 - asks AWS nothing
    ) -> dict[str, Any]:
        """Return what goes to XCom: whatever end the job had, it is the one that was wanted."""
        return self.result(run, snapshot)

    def _accept(self, error: JobNotFoundError) -> None:
        if not self.missing_ok:
            raise error
        self.log.info("nothing to cancel: %s", error)

    def _wait(self, context: Context, run: JobRun) -> JobSnapshot:
        self.log.info("waiting for %s to end, for at most %g seconds", name(run), self.cancel_timeout)
        now = time.time()
        if self.deferrable:
            self._defer(context, Wait(run, now, cancel_on_kill=False))
        steps = wait_until_over(
            run,
            log=self.log,
            poll_interval=self.poll_interval,
            started_at=now,
            deadline=self._last_moment(context),
            settle=False,
        )
        try:
            return drive(steps, self.hook)
        except DeadlinePassedError:
            raise self._too_late(context, run) from None

    def _defer(self, context: Context, wait: Wait) -> NoReturn:
        self.defer_until_over(
            wait, poll_interval=self.poll_interval, deadline=self._last_moment(context), settle=False
        )

    def _last_moment(self, context: Context) -> float:
        """Return when to give up the wait (seconds since the epoch)."""
        end: float = context["ti"].start_date.timestamp() + self.cancel_timeout
        return min(end, self.deadline(context) or end)

    def _too_late(self, context: Context, run: JobRun) -> BaseException:
        deadline = self.deadline(context)
        if deadline is not None and deadline <= self._last_moment(context):
            return self.timed_out(run)
        return still_ending(run, self.cancel_timeout)
