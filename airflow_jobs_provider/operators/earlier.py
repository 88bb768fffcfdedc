"""The job of an earlier try: taken over, or ended before another is started.

The kill of the earlier try is not enough: after a clear, Airflow 3.3 may start the next try before the
triggerer has called the old trigger's ``on_kill``, and where no triggerer runs, it is never called.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from airflow_jobs_provider.exceptions import (
    AwsApiError,
    JobNotEndedError,
    JobNotFoundError,
    name,
    still_ending,
)
from airflow_jobs_provider.jobs import job_type_of
from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot, JobState
from airflow_jobs_provider.operators.common import PATIENCE
from airflow_jobs_provider.steps import drive
from airflow_jobs_provider.waiting import DeadlinePassedError, Wait, cancel_until_certain, wait_until_over

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from airflow_jobs_provider.operators.base import StartJobOperator
    from airflow_jobs_provider.operators.held import HeldJob
    from airflow_jobs_provider.operators.record import JobRecord, JobRecordStore

# Seconds between two readings of a job whose end another one waits for.
_POLL_INTERVAL = 5.0


@dataclass(frozen=True)
class EarlierJob:
    """What an earlier try has recorded, seen by this one.

    :param request: fingerprint of what this try asks for.
    """

    record: JobRecord
    operator: StartJobOperator
    records: JobRecordStore
    held: HeldJob
    context: Context
    request: str

    def of(self, record: JobRecord) -> EarlierJob:
        """Return the same for what is known of the job by now."""
        return replace(self, record=record)

    @cached_property
    def unwanted_because(self) -> str | None:
        """Why this try does not go on with the job; ``None`` where it does."""
        if self.record.unwanted:
            return "it was to be cancelled"
        if self.record.is_of(self.context["ti"]):
            return None
        if self.records.was_cleared_since(self.record):
            return "the task was cleared"
        if not self.operator.durable:
            return "durable is off"
        if self.record.request != self.request:
            return "this try asks for something else"
        return None

    def settle(self) -> JobSnapshot | None:
        """See to the job.

        :returns: its reading, where this try takes it over; ``None`` where another can be started.
        :raises AwsJobError: where it may be running and can be neither taken over nor ended.
        """
        log, number, run = self.operator.log, self.record.try_number, self.record.run
        if run is None:
            log.warning("try %d was about to start a job and never heard of it; it may be running", number)
            return None
        if self.record.succeeded and self.unwanted_because is not None:
            log.info("%s of try %d has succeeded; %s", name(run), number, self.unwanted_because)
            return None
        try:
            snapshot = self._read(run)
        except JobNotFoundError:
            log.info("%s, which try %d was about to start, is not there", name(run), number)
            return None
        if snapshot is None:
            return None
        # Of this very try, whose triggerer has died: however its job has ended since, so does the try.
        is_own = self.record.is_of(self.context["ti"])
        takes_over = is_own or snapshot.state in (JobState.RUNNING, JobState.SUCCEEDED)
        if self.unwanted_because is None and takes_over:
            log.info("taking over %s (%s), which try %d started", name(run), snapshot.status, number)
            if not is_own:
                self.records.take_over(self.record)
            return snapshot
        if snapshot.state.is_over:
            log.info("%s of try %d has ended %s", name(run), number, snapshot.status)
        else:
            self._end(run, snapshot)
        return None

    def _read(self, run: JobRun) -> JobSnapshot | None:
        """Read the job; ``None`` where that cannot be done and the author does not mind that it runs."""
        # A job that this try would take over is worth waiting for as long as the task may take.
        patience = math.inf if self.unwanted_because is None else PATIENCE
        try:
            return self.operator.look(run, self.record.started_at, patience, self.held.sleep)
        except AwsApiError as error:
            what = f"{error} - it is the job of try {self.record.try_number}"
            if self.unwanted_because is not None and not self.operator.cancel_on_kill:
                self.operator.log.warning("%s", what)
                return None
            raise JobNotEndedError(
                f"{what}: nothing else is started, and it is cancelled if that can be done; to cancel it by"
                f" hand: {job_type_of(run).cancel_command(run)}",
                run=run,
                cause=error,
            ) from error

    def _end(self, run: JobRun, snapshot: JobSnapshot) -> None:
        """Cancel the job, and wait until it has ended; deferred, where the task is."""
        log, number, since = self.operator.log, self.record.try_number, self.record.started_at
        hook, sleep = self.operator.hook_for(run), self.held.sleep
        if snapshot.state is not JobState.STOPPING:
            if not self.operator.cancel_on_kill:
                log.warning(
                    "%s of try %d goes on, as cancel_on_kill is off: %s",
                    *(name(run), number, self.unwanted_because),
                )
                return
            log.info("cancelling %s of try %d first: %s", name(run), number, self.unwanted_because)
            self.records.give_up()
            try:
                cancel = cancel_until_certain(run, log=log, started_at=since, patience=PATIENCE)
                snapshot = drive(cancel, hook, sleep)
            except JobNotFoundError as error:
                log.info("%s", error)
                return
        if not snapshot.state.is_over:
            self._await_end(run, snapshot)

    def _await_end(self, run: JobRun, snapshot: JobSnapshot) -> None:
        operator = self.operator
        patience = operator.cancel_timeout
        last_moment = self.context["ti"].start_date.timestamp() + patience
        if time.time() >= last_moment:
            raise still_ending(run, patience)
        operator.log.info(
            "%s is %s: waiting for its end, for at most %g seconds, before another job is started",
            *(name(run), snapshot.status, last_moment - time.time()),
        )
        if operator.deferrable:
            operator.defer_until_over(
                Wait(run, self.record.started_at, cancel_on_kill=False),
                poll_interval=_POLL_INTERVAL,
                deadline=min(last_moment, operator.deadline(self.context) or last_moment),
                settle=False,
                method_name="start_again",
            )
        steps = wait_until_over(
            run,
            log=operator.log,
            poll_interval=_POLL_INTERVAL,
            started_at=self.record.started_at,
            deadline=last_moment,
            settle=False,
        )
        try:
            drive(steps, operator.hook_for(run), self.held.sleep)
        except JobNotFoundError as error:
            operator.log.info("%s", error)
        except DeadlinePassedError:
            raise still_ending(run, patience) from None
