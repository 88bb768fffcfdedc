"""The life of a job: start it once, wait for it, see to its end when the task no longer wants it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR
from airflow.sdk.exceptions import AirflowTaskTimeout, TaskDeferred

from airflow_jobs_provider.exceptions import AwsJobError, JobNotFoundError, name, not_cancelled
from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot
from airflow_jobs_provider.links.aws_job import AwsJobLink
from airflow_jobs_provider.operators.checks import check_flags, check_seconds
from airflow_jobs_provider.operators.common import PATIENCE, AwsJobOperator
from airflow_jobs_provider.operators.held import HeldJob
from airflow_jobs_provider.operators.record import JobRecordStore
from airflow_jobs_provider.operators.starting import JobStart
from airflow_jobs_provider.triggers.ownership import claim
from airflow_jobs_provider.waiting import cancel_until_certain, drive, wait_until_over

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context


class StartJobOperator(AwsJobOperator):
    """Start an AWS job, wait for it, and cancel it when the task no longer wants it.

    :param wait_for_completion: wait until the job has ended, and fail if it failed.
    :param poll_interval: seconds between two readings of the job at the most; a young job is read more often.
    :param cancel_on_kill: cancel the job when the task is killed, cleared, marked as something, or times out.
    :param durable: a retry after a crash takes the running job over instead of starting another.
    """

    def __init__(
        self,
        *,
        wait_for_completion: bool = True,
        poll_interval: float = 10,
        cancel_on_kill: bool = True,
        durable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.wait_for_completion = wait_for_completion
        self.poll_interval = poll_interval
        self.cancel_on_kill = cancel_on_kill
        self.durable = durable
        check_flags(self, ("wait_for_completion", "cancel_on_kill", "durable"))
        check_seconds("poll_interval", poll_interval)

    # Made by execute: no part of the task's definition.
    _held: HeldJob | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Start the job, or take over the one of the try before; wait for it.

        :returns: see :meth:`result`.
        :raises AwsJobError: where the job could not be started, or did not succeed.
        """
        records = JobRecordStore(context, self)
        self._held = held = HeldJob(self.log)
        try:
            job = JobStart(self, context, records, held).obtain()
            AwsJobLink().persist(self, context["ti"], job.run)
            snapshot = job.snapshot
            if not self.wait_for_completion:
                held.release()
                return self.result(job.run, snapshot)
            if not snapshot.state.is_over:
                held.raise_if_killed()
                if self.deferrable:
                    claim(context["ti"], job.run)
                    self._defer(context, job.run, job.started_at)
                wait = wait_until_over(
                    job.run, log=self.log, poll_interval=self.poll_interval, started_at=job.started_at
                )
                snapshot = drive(wait, self.hook_for(job.run), held.sleep)
        except TaskDeferred:
            # The triggerer has it: a kill of this process while Airflow tidies up is not the task's.
            held.release()
            raise
        except BaseException:
            if held.run is not None:
                self._abandon(records, held.run, held.started_at)
                held.release()
            raise
        held.release()
        return self._finish(records, job.run, snapshot)

    def execute_complete(
        self,
        context: Context,
        event: Mapping[str, Any] | None,
        run: Mapping[str, Any] | None = None,
        started_at: float | None = None,
    ) -> dict[str, Any]:
        """Go on after the trigger's event.

        :returns: see :meth:`result`.
        :raises AirflowTaskTimeout: at ``execution_timeout``; the job is cancelled.
        :raises AwsJobError: where the job did not succeed, or could not be read.
        """
        records = JobRecordStore(context, self)
        job_run, since = self.resumed(event, run, started_at)
        self._held = HeldJob(self.log)
        try:
            snapshot = self.read_event(event, job_run, since, self._held.sleep)
            if snapshot is None:
                raise self.timed_out(job_run)
            if not snapshot.state.is_over:
                self._defer(context, job_run, since)
        except TaskDeferred:
            raise
        except BaseException:
            self._abandon(records, job_run, since)
            raise
        return self._finish(records, job_run, snapshot)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after a deferral.

        A deferral that timed out and a trigger that failed never call the trigger's ``on_kill``, and Airflow
        drops what was given to ``defer``: the job is looked up in the record.
        """
        if next_method != TRIGGER_FAIL_REPR:
            return super().resume_execution(next_method, next_kwargs, context)
        records = JobRecordStore(context, self)
        try:
            record = records.load()
        except Exception as error:  # noqa: BLE001 - Airflow's own failure is what the task must end with
            self.log.error("Airflow did not tell which job this try started: %s", error)  # noqa: TRY400
            record = None
        if record is None or record.run is None or not record.is_of(context["ti"]):
            return super().resume_execution(next_method, next_kwargs, context)
        self._held = HeldJob(self.log)
        self.has_link = True
        try:
            snapshot = self.look(record.run, record.started_at, PATIENCE, self._held.sleep)
        except AwsJobError as error:
            self.log.warning("%s", error)
        else:
            if snapshot.state.is_over:
                self.log.warning("the wait broke off, but %s has ended", name(record.run))
                return self._finish(records, record.run, snapshot)
        self._abandon(records, record.run, record.started_at)
        return super().resume_execution(next_method, next_kwargs, context)

    def on_kill(self) -> None:
        """Cancel the job. Airflow calls this from a signal handler, 5 seconds before it kills the process."""
        if self._held is not None:
            self._held.kill()

    def _may_be_left_out(self) -> frozenset[str]:
        return self.job_type.optional

    def _defer(self, context: Context, run: JobRun, started_at: float) -> NoReturn:
        self.defer_until_over(
            run,
            started_at=started_at,
            poll_interval=self.poll_interval,
            deadline=self.deadline(context),
            cancel_on_kill=self.cancel_on_kill,
        )

    def _finish(self, records: JobRecordStore, run: JobRun, snapshot: JobSnapshot) -> dict[str, Any]:
        try:
            result = self.succeeded(run, snapshot)
        except AwsJobError:
            records.forget()
            raise
        records.succeeded()
        return result

    def _abandon(self, records: JobRecordStore, run: JobRun, started_at: float) -> None:
        """See to the end of a job that this try will not wait for any more."""
        if not self.cancel_on_kill:
            self.log.warning("%s may go on: cancel_on_kill is off", name(run))
            return
        records.give_up()
        steps = cancel_until_certain(run, log=self.log, started_at=started_at, patience=PATIENCE)
        try:
            snapshot = drive(steps, self.hook_for(run))
        except JobNotFoundError:
            self.log.info("nothing to cancel: AWS does not know %s", name(run))
            records.forget()
        except (Exception, AirflowTaskTimeout) as error:  # noqa: BLE001 - the task fails with why it gave up
            told = error if isinstance(error, AwsJobError) else not_cancelled(run, repr(error))
            self.log.error("%s", told)  # noqa: TRY400 - the message says it all
        else:
            if snapshot.state.is_over:
                records.forget()
