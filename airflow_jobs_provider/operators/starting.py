"""How a try comes by its job: it takes an earlier try's over, or ends that one and starts another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_jobs_provider.exceptions import (
    AwsApiError,
    JobExistsError,
    JobNotFoundError,
    QuotaExceededError,
    TaskKilledError,
    name,
)
from airflow_jobs_provider.jobs.errors import ErrorKind
from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot, JobState
from airflow_jobs_provider.operators.common import PATIENCE
from airflow_jobs_provider.operators.record import JobRecord, JobRecordStore, derive_token, fingerprint
from airflow_jobs_provider.waiting import cancel_until_certain, drive, wait_until_over

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from airflow_jobs_provider.operators.base import StartJobOperator

# Seconds between the attempts of a start that may be repeated.
_START_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
# Seconds in which a start that its worker did not live to see answered may still arrive.
_ON_ITS_WAY = 10.0
# Seconds between two readings of a job whose end another one waits for.
_END_POLL_INTERVAL = 5.0


@dataclass(frozen=True)
class Obtained:
    """The job of this try.

    :param started_at: when its start was asked for (seconds since the epoch).
    """

    run: JobRun
    snapshot: JobSnapshot
    started_at: float


class JobStart:
    """One try's way to its job."""

    def __init__(self, operator: StartJobOperator, context: Context, records: JobRecordStore) -> None:
        self.operator = operator
        self.job_type = operator.job_type
        self.log = operator.log
        self.records = records
        self.ti: Any = context["ti"]
        self.values: dict[str, Any] = operator.parameters(self.job_type.start)
        token = self.job_type.token
        self.token_is_ours = token is not None and self.values[token] is None
        if token is not None and self.token_is_ours:
            self.values[token] = derive_token(self.ti, self.job_type.token_length)
        self.request = fingerprint({key: value for key, value in self.values.items() if key != token})

    def obtain(self) -> Obtained:
        """Return this try's job, and leave nothing else running.

        :raises AwsJobError: where no job could be started; nothing is left running then.
        """
        record = self.records.load()
        return (record and self._reconcile(record)) or self._start()

    def _reconcile(self, record: JobRecord) -> Obtained | None:
        reason = self._why_not(record)
        run = record.run
        if reason is None and not record.confirmed and self._asks_again(record):
            self.log.info("asking again for what try %d was about to start", record.try_number)
            return None
        if run is None:
            self.log.warning("try %d was about to start a job and never heard of it", record.try_number)
            return None
        try:
            # A start that was not answered may still be on its way.
            not_before = 0.0 if record.confirmed else record.started_at + _ON_ITS_WAY
            snapshot = self.operator.look(run, unknown_until=not_before)
        except JobNotFoundError:
            self.log.info("%s, which try %d was about to start, is not there", name(run), record.try_number)
            return None
        if reason is None and snapshot.state in (JobState.RUNNING, JobState.SUCCEEDED):
            self.log.info(
                "taking over %s (%s), which try %d started", name(run), snapshot.status, record.try_number
            )
            self.operator.holds(run)
            self.records.take_over(record)
            return Obtained(run, snapshot, record.started_at)
        if snapshot.state.is_over:
            self.log.info("%s of try %d has ended %s", name(run), record.try_number, snapshot.status)
        elif not self.operator.cancel_on_kill:
            self.log.warning(
                "%s of try %d goes on (%s), as cancel_on_kill is off", name(run), record.try_number, reason
            )
        else:
            self.log.info("cancelling %s of try %d first: %s", name(run), record.try_number, reason)
            self._end(run, record)
        return None

    def _why_not(self, record: JobRecord) -> str | None:
        """Return why this try does not go on with the recorded job; ``None`` where it does."""
        if record.unwanted:
            return "it was to be cancelled"
        if record.is_of(self.ti):
            return None
        if record.was_cleared(self.ti):
            return "the task was cleared"
        if not self.operator.durable:
            return "durable is off"
        if record.request != self.request:
            return "this try asks for something else"
        return None

    def _asks_again(self, record: JobRecord) -> bool:
        """Take an unanswered start's token, if we can: the start begins the job or finds it."""
        token = self.job_type.token
        if token is None or (not self.token_is_ours and self.values[token] != record.token):
            return False
        self.values[token] = record.token
        self.token_is_ours = True
        return True

    def _end(self, run: JobRun, record: JobRecord) -> None:
        hook, sleep = self.operator.hook, self.operator.sleep
        self.records.give_up()
        snapshot = drive(cancel_until_certain(run, log=self.log, patience=PATIENCE), hook, sleep)
        if not snapshot.state.is_over:
            wait = wait_until_over(
                run, log=self.log, poll_interval=_END_POLL_INTERVAL, started_at=record.started_at
            )
            drive(wait, hook, sleep)

    def _start(self) -> Obtained:
        run = self.job_type.run_of(self.values, self.operator.hook.region)
        if run is not None and not self.token_is_ours:
            self._refuse_used(run)
        token = self.job_type.token
        record = self.records.begin(run, self.values[token] if token else None, self.request)
        if run is not None:
            self.operator.holds(run, in_flight=True)
        run, snapshot = self._call(run)
        self.operator.holds(run)
        if self.operator.killed:
            raise TaskKilledError(f"the task was killed while it started {name(run)}", run=run)
        self.records.started(record, run)
        self.log.info("started %s%s", name(run), f" ({snapshot.status})" if snapshot.status else "")
        return Obtained(run, snapshot, record.started_at)

    def _call(self, run: JobRun | None) -> tuple[JobRun, JobSnapshot]:
        arrived_perhaps = False
        for pause in (*_START_PAUSES, None):
            try:
                return self.operator.hook.start(self.values)
            except AwsApiError as error:
                if error.error is ErrorKind.EXISTS and run is not None:
                    if self.token_is_ours or arrived_perhaps:
                        return run, self.operator.look(run)
                    self._nothing_started()
                    raise self._used(run) from error
                arrived_perhaps = arrived_perhaps or error.error is ErrorKind.TRANSIENT
                repeatable = error.error is ErrorKind.THROTTLED or (
                    error.error is ErrorKind.TRANSIENT and self.job_type.token is not None
                )
                if repeatable and pause is not None:
                    self.log.warning("could not start, trying again: %s", error)
                    self.operator.sleep(pause)
                    continue
                if not arrived_perhaps:
                    self._nothing_started()
                if error.error is ErrorKind.QUOTA:
                    raise QuotaExceededError(str(error)) from error
                raise
        raise AssertionError("the last attempt returns or raises")

    def _nothing_started(self) -> None:
        self.operator.holds(None)
        self.records.forget()

    def _refuse_used(self, run: JobRun) -> None:
        try:
            self.operator.look(run)
        except JobNotFoundError:
            return
        raise self._used(run)

    def _used(self, run: JobRun) -> JobExistsError:
        token = self.job_type.token
        return JobExistsError(
            f"{token} {self.values[str(token)]!r} was used before: {name(run)} exists and is not this task's."
            f" Leave {token} out to get one for each try, or put {{{{ run_id }}}} and {{{{ ti.try_number }}}}"
            f" into it",
            run=run,
        )
