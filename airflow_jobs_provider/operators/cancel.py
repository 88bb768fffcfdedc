"""Cancel a job that another task, or another system, has started."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_jobs_provider.exceptions import JobNotFoundError
from airflow_jobs_provider.jobs.run import JobRun
from airflow_jobs_provider.links.aws_job import AwsJobLink
from airflow_jobs_provider.operators.checks import check_flags, check_seconds
from airflow_jobs_provider.operators.common import PATIENCE, AwsJobOperator
from airflow_jobs_provider.waiting import cancel_until_certain, drive, known_for_all_but, wait_until_over

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context


# Seconds in which a job that AWS does not find may be one that another task has just started.
_GRACE = 15.0


class CancelJobOperator(AwsJobOperator):
    """Cancel an AWS job. A job that has ended already is a success, whatever its end was.

    :param wait_for_completion: wait until the job has really ended.
    :param poll_interval: seconds between two readings of the job at the most.
    :param missing_ok: succeed where AWS does not know the job.
    """

    def __init__(
        self,
        *,
        wait_for_completion: bool = True,
        poll_interval: float = 10,
        missing_ok: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.wait_for_completion = wait_for_completion
        self.poll_interval = poll_interval
        self.missing_ok = missing_ok
        check_flags(self, ("wait_for_completion", "missing_ok"))
        check_seconds("poll_interval", poll_interval)

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
                now = time.time()
                if self.deferrable:
                    self._defer(context, run, now)
                wait = wait_until_over(run, log=self.log, poll_interval=self.poll_interval, started_at=now)
                snapshot = drive(wait, self.hook)
        except JobNotFoundError as error:
            self._accept(error)
            return None
        return self.result(run, snapshot)

    def execute_complete(
        self,
        context: Context,
        event: Mapping[str, Any] | None,
        run: Mapping[str, Any] | None = None,
        started_at: float | None = None,
    ) -> dict[str, Any] | None:
        """Go on after the trigger's event.

        :returns: see :meth:`execute`.
        :raises AirflowTaskTimeout: at ``execution_timeout``.
        :raises AwsJobError: where the job could not be read.
        """
        job_run, since = self.resumed(event, run, started_at)
        try:
            snapshot = self.read_event(event, job_run, since)
        except JobNotFoundError as error:
            self._accept(error)
            return None
        if snapshot is None:
            raise self.timed_out(job_run)
        if not snapshot.state.is_over:
            self._defer(context, job_run, since)
        return self.result(job_run, snapshot)

    def _accept(self, error: JobNotFoundError) -> None:
        if not self.missing_ok:
            raise error
        self.log.info("nothing to cancel: %s", error)

    def _defer(self, context: Context, run: JobRun, started_at: float) -> NoReturn:
        self.defer_until_over(
            run,
            started_at=started_at,
            poll_interval=self.poll_interval,
            deadline=self.deadline(context),
            cancel_on_kill=False,
        )
