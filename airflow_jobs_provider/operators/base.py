"""The life of a job: start it once, wait for it, see to its end when the task no longer wants it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR
from airflow.sdk.exceptions import (
    AirflowTaskTimeout,
    TaskDeferralError,
    TaskDeferralTimeout,
    TaskDeferred,
)

from airflow_jobs_provider.exceptions import AwsApiError, AwsJobError, JobNotFoundError, name, not_cancelled
from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot
from airflow_jobs_provider.lineage import LineageOperator
from airflow_jobs_provider.links.aws_job import AwsJobLink
from airflow_jobs_provider.operators.checks import check_flags, check_seconds
from airflow_jobs_provider.operators.common import PATIENCE
from airflow_jobs_provider.operators.deferral import broken_off
from airflow_jobs_provider.operators.handover import ended_instead
from airflow_jobs_provider.operators.held import HeldJob
from airflow_jobs_provider.operators.marks import marks_jobs
from airflow_jobs_provider.operators.record import JobRecord, JobRecordStore
from airflow_jobs_provider.operators.starting import JobStart, Obtained
from airflow_jobs_provider.steps import drive
from airflow_jobs_provider.triggers.ownership import claim
from airflow_jobs_provider.waiting import Wait, cancel_until_certain, wait_until_over

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from airflow_jobs_provider.operators.unanswered import UnansweredStart

# Airflow's word for it, in what resumes a task.
_TIMED_OUT = "Trigger timeout"


class StartJobOperator(LineageOperator):
    """Start an AWS job, wait for it, and cancel it when the task no longer wants it.

    :param wait_for_completion: wait until the job has ended, and fail if it failed.
    :param poll_interval: seconds between two readings of the job at the most; a young job is read more often.
    :param cancel_on_kill: cancel the job when the task is killed, cleared, marked as something, or times out.
    :param cancel_timeout: seconds from the start of a try in which it waits for the end of an old job that it
        has cancelled; a rollback can take long.
    :param durable: a retry after a crash takes the running job over instead of starting another.
    """

    takes = "start"

    def __init__(
        self,
        *,
        wait_for_completion: bool = True,
        poll_interval: float = 10,
        cancel_on_kill: bool = True,
        cancel_timeout: float = 3600,
        durable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.wait_for_completion = wait_for_completion
        self.poll_interval = poll_interval
        self.cancel_on_kill = cancel_on_kill
        self.cancel_timeout = cancel_timeout
        self.durable = durable
        check_flags(self, ("wait_for_completion", "cancel_on_kill", "durable"))
        check_seconds("poll_interval", poll_interval)
        check_seconds("cancel_timeout", cancel_timeout)

    # Made by execute: no part of the task's definition.
    _held: HeldJob | None = None
    _killed_early = False
    _handed_over: tuple[JobRecordStore, Wait] | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Start the job, or take over the one of the try before; wait for it.

        :returns: see :meth:`result`.
        :raises AwsJobError: where the job could not be started, or did not succeed.
        """
        return self._execute(context)

    def start_again(self, context: Context, **_: object) -> dict[str, Any]:
        """Go on after a deferral that came before the start: of a busy target, or of an old job's end.

        :returns: see :meth:`result`.
        :raises AirflowTaskTimeout: at ``execution_timeout``; nothing was started.
        """
        deadline = self.deadline(context)
        if deadline is not None and time.time() >= deadline:
            seconds = self.execution_timeout.total_seconds() if self.execution_timeout else 0
            raise AirflowTaskTimeout(
                f"no job could be started within execution_timeout ({seconds:g} seconds)"
            )
        return self._execute(context)

    def execute_complete(
        self,
        context: Context,
        event: Mapping[str, Any] | None,
        wait: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Go on after the trigger's event.

        :returns: see :meth:`result`.
        :raises AirflowTaskTimeout: at ``execution_timeout``; the job is cancelled.
        :raises AwsJobError: where the job did not succeed, or could not be read.
        """
        records = JobRecordStore(context, self)
        waited = self.resumed(event, wait)
        self._held = HeldJob(self.log, killed=self._killed_early)
        try:
            if not self.tells(event, waited.run):
                self._answer_for(waited)
            snapshot = self.read_event(event, waited, self._held.sleep)
            if snapshot is None:
                raise self.timed_out(waited.run)
            if not self.is_done(snapshot):
                self._defer(context, records, waited)
        except TaskDeferred:
            raise
        except BaseException:
            self._abandon(records, waited)
            raise
        self._held.release()
        return self._finish(records, waited.run, snapshot)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after a deferral.

        A deferral that timed out and a trigger that failed never call the trigger's ``on_kill``, and Airflow
        3.3 resumes the task with ``__fail__``, without what was given to ``defer`` (seen elsewhere, too, in
        apache/airflow#67382): the job is looked up in the record.
        """
        if next_method != TRIGGER_FAIL_REPR:
            return super().resume_execution(next_method, next_kwargs, context)
        records = JobRecordStore(context, self, starts_elsewhere=True)
        self._held = HeldJob(self.log, killed=self._killed_early)
        record = self._own_record(context, records, self._held)
        if record is None or record.run is None:
            if self.start_from_trigger:
                # The trigger may have failed before it looked.
                self.end_earlier(context)
            return super().resume_execution(next_method, next_kwargs, context)
        self.known_job = record.run
        wait = Wait(record.run, record.started_at, self.cancel_on_kill)
        self._answer_for(wait)
        try:
            snapshot = self.look(record.run, record.started_at, PATIENCE, self._held.sleep)
        except AwsJobError as error:
            self.log.warning("%s", error)
        else:
            if self.is_done(snapshot):
                self.log.warning("the wait broke off, but %s has ended", name(record.run))
                self._held.release()
                return self._finish(records, record.run, snapshot)
        self._abandon(records, wait)
        if self.start_from_trigger and (next_kwargs or {}).get("error") == _TIMED_OUT:
            # Airflow's time-out of such a deferral is the task's own.
            raise self.timed_out(record.run)
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except (TaskDeferralError, TaskDeferralTimeout) as error:
            raise broken_off(record.run, error) from None

    def on_kill(self) -> None:
        """Cancel the job.

        Airflow calls this from its handler of SIGTERM (apache/airflow#53718), 5 seconds before it kills the
        process. The handler returns, and ``execute`` runs on (apache/airflow#73395), or begins only then: the
        handler is there before templates are rendered.
        """
        if self._held is not None:
            self._held.kill()
        else:
            self._killed_early = True

    def end_earlier(self, context: Context, *, own: bool = True) -> None:
        """Cancel the job that an earlier try has left, where this one ends before it has begun.

        :param context: the try's.
        :param own: cancel this try's own job, too, which it has forgotten with its triggerer.
        """
        try:
            records = JobRecordStore(context, self)
            record = records.load()
        except Exception as error:  # noqa: BLE001 - the task ends with why it could not begin
            self.log.error("Airflow did not tell which job an earlier try has left: %s", error)  # noqa: TRY400
            return
        if record is None or record.run is None or record.succeeded:
            return
        if not own and record.is_of(context["ti"]):
            return
        self.log.info("%s of try %d is nobody's any more", name(record.run), record.try_number)
        self._abandon(records, Wait(record.run, record.started_at, self.cancel_on_kill))

    def answers_for(self) -> JobRun | UnansweredStart | None:
        """Return the job that runs or is being started, unless it may go on."""
        return None if self._held is None else self._held.what

    def process_ends(self, ti: Any) -> None:
        """See to the job if Airflow did not take the deferral: the triggerer will never hear of it.

        And to an earlier one, if the task has failed before its first line, in a template say, and is not
        tried again.
        """
        if self._held is None and ti.state == "failed":
            self.end_earlier(ti.get_template_context())
        if self._handed_over is None or self._held is None:
            return
        records, wait = self._handed_over
        self._handed_over = None
        try:
            ended = ended_instead(ti) if wait.cancel_on_kill else None
        except Exception as error:  # noqa: BLE001 - most probably the triggerer has it
            self.log.info("Airflow did not tell whether it has deferred the task: %r", error)
            return
        if ended is not None:
            self.log.warning("the task is %s, not deferred: nobody waits for %s", ended, name(wait.run))
            self._answer_for(wait)
            self._abandon(records, wait)

    def target_busy(
        self,
        context: Context,  # noqa: ARG002 - for those that override it
        values: Mapping[str, Any],  # noqa: ARG002
        busy: AwsApiError,
        held: HeldJob,  # noqa: ARG002
    ) -> tuple[JobRun, JobSnapshot] | None:
        """Do what is to be done about a target that runs another job.

        :param values: the start's parameters.
        :param busy: what the service has said.
        :returns: a job to wait for instead, or ``None`` to try again.
        """
        raise busy

    def _execute(self, context: Context) -> dict[str, Any]:
        records = JobRecordStore(context, self)
        self._held = held = HeldJob(self.log, killed=self._killed_early)
        job: Obtained | None = None
        try:
            job = JobStart(self, context, records, held).obtain()
            AwsJobLink().persist(self, context["ti"], job.run)
            snapshot = job.snapshot
            if not self.wait_for_completion:
                held.raise_if_killed()
                held.release()
                return self.result(job.run, snapshot)
            if not self.is_done(snapshot):
                held.raise_if_killed()
                # For the trigger, if there is to be one, and for the sweeper, if it is to know this job.
                # The record of a task that may start in the triggerer says it already.
                is_told = self.start_from_trigger and job.is_ours
                if not is_told and (self.deferrable or marks_jobs(self)):
                    claim(context["ti"], job.run)
                if self.deferrable:
                    held.raise_if_killed()
                    self._defer(
                        context, records, Wait(job.run, job.started_at, self.cancel_on_kill and job.is_ours)
                    )
                wait = wait_until_over(
                    job.run,
                    log=self.log,
                    poll_interval=self.poll_interval,
                    started_at=job.started_at,
                    settle=self.settles,
                )
                snapshot = drive(wait, self.hook_for(job.run), held.sleep)
        except TaskDeferred:
            # The triggerer is to have it: a kill of this process while Airflow tidies up is not the task's.
            held.release()
            raise
        except BaseException:
            if held.run is not None:
                self._abandon(records, Wait(held.run, held.started_at, self.cancel_on_kill))
                held.release()
            elif job is not None:
                self._abandon(records, Wait(job.run, job.started_at, cancel_on_kill=False))
            raise
        held.release()
        return self._finish(records, job.run, snapshot)

    def _answer_for(self, wait: Wait) -> None:
        """Have a kill end the job, while this process is inside a call of AWS, too."""
        if self._held is not None and wait.cancel_on_kill:
            self._held.take(wait.run, wait.started_at, self.hook_for(wait.run))

    def _own_record(self, context: Context, records: JobRecordStore, held: HeldJob) -> JobRecord | None:
        """Return what this very try has recorded, before it broke off."""
        try:
            record = records.load()
        except Exception as error:  # noqa: BLE001 - Airflow's own failure is what the task must end with
            self.log.error("Airflow did not tell which job this try started: %s", error)  # noqa: TRY400
            return None
        if record is None or not record.is_of(context["ti"]):
            return None
        if record.run is None:
            # The triggerer was in the start when it went, and only the answer tells the job's id.
            return JobStart(self, context, records, held).find_out(record)
        return record

    def _defer(self, context: Context, records: JobRecordStore, wait: Wait) -> NoReturn:
        self._handed_over = records, wait
        self.defer_until_over(
            wait, poll_interval=self.poll_interval, deadline=self.deadline(context), settle=self.settles
        )

    def _finish(self, records: JobRecordStore, run: JobRun, snapshot: JobSnapshot) -> dict[str, Any]:
        try:
            self.check_success(run, snapshot)
        except AwsJobError:
            records.forget()
            raise
        # Whatever fails from here on, the job has succeeded: a retry must not start it again.
        records.succeeded()
        return self.outcome(run, snapshot, self._held.sleep if self._held else time.sleep)

    def _abandon(self, records: JobRecordStore, wait: Wait) -> None:
        """See to the end of a job that this try will not wait for any more."""
        run = wait.run
        if not wait.cancel_on_kill:
            self.log.warning("%s may go on: it is not to be cancelled with this task", name(run))
            return
        records.give_up()
        try:
            try:
                snapshot = self._cancel(wait)
            except AirflowTaskTimeout:  # execution_timeout is over, which Airflow says once
                snapshot = self._cancel(wait)
        except JobNotFoundError:
            self.log.info("nothing to cancel: AWS does not know %s", name(run))
            records.forget()
        except Exception as error:  # noqa: BLE001 - the task fails with why it gave up
            told = error if isinstance(error, AwsJobError) else not_cancelled(run, repr(error))
            self.log.error("%s", told)  # noqa: TRY400 - the message says it all
        else:
            if snapshot.state.is_over:
                records.forget()

    def _cancel(self, wait: Wait) -> JobSnapshot:
        run, since = wait.run, wait.started_at
        steps = cancel_until_certain(run, log=self.log, started_at=since, patience=self.cancel_patience)
        return drive(steps, self.hook_for(run))
