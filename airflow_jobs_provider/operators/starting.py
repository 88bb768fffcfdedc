"""How a try comes by its job: it takes an earlier try's over, or ends that one and starts another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_jobs_provider.exceptions import (
    AwsApiError,
    AwsJobError,
    JobExistsError,
    JobNotFoundError,
    QuotaExceededError,
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
    from airflow_jobs_provider.operators.held import HeldJob

# Seconds between the attempts of a start that may be repeated.
_START_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
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

    def __init__(
        self, operator: StartJobOperator, context: Context, records: JobRecordStore, held: HeldJob
    ) -> None:
        self.operator = operator
        self.job_type = operator.job_type
        self.log = operator.log
        self.records = records
        self.held = held
        self.ti: Any = context["ti"]
        self.values: dict[str, Any] = {}
        self.own_token: str | None = None
        self.repeats = False

    def obtain(self) -> Obtained:
        """Return this try's job, and leave no other running.

        :raises AwsJobError: where no job could be started.
        """
        record = self.records.load()
        if record is not None and record.run is not None:
            # Whatever fails from here on, the earlier try's job must not be forgotten.
            self._hold(record.run, record.started_at)
        self.values = self.operator.parameters(self.job_type.start)
        token = self.job_type.token
        if token is not None and self.values[token] is None:
            self.values[token] = self.own_token = derive_token(self.ti, self.job_type.token_length)
        asked_for = {key: value for key, value in self.values.items() if key != token}
        self.request = fingerprint({**asked_for, "region_name": self.operator.hook.region})
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
            snapshot = self._look(record, run, reason)
        except JobNotFoundError:
            self.log.info("%s, which try %d was about to start, is not there", name(run), record.try_number)
            self.held.release()
            return None
        if snapshot is None:
            return None
        if reason is None and snapshot.state in (JobState.RUNNING, JobState.SUCCEEDED):
            self.log.info(
                "taking over %s (%s), which try %d started", name(run), snapshot.status, record.try_number
            )
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
        self.held.release()
        return None

    def _look(self, record: JobRecord, run: JobRun, reason: str | None) -> JobSnapshot | None:
        """Read an earlier try's job; ``None`` where that is impossible and the author does not mind."""
        try:
            return self.operator.look(run, record.started_at, sleep=self.held.sleep)
        except AwsApiError as error:
            command = self.job_type.cancel_command(run)
            message = (
                f"{name(run)} of try {record.try_number} may still be running, but cannot be read: {error}. "
                f"To cancel it by hand: {command}"
            )
            if reason is not None and not self.operator.cancel_on_kill:
                self.log.warning("%s", message)
                return None
            hint = "Nothing else is started while it may run, unless cancel_on_kill is off"
            raise AwsJobError(f"{message}. {hint}", run=run) from error

    def _why_not(self, record: JobRecord) -> str | None:
        """Return why this try does not go on with the recorded job; ``None`` where it does."""
        if record.unwanted:
            return "it was to be cancelled"
        if record.is_of(self.ti):
            return None
        if self.records.was_cleared_since(record):
            return "the task was cleared"
        if not self.operator.durable:
            return "durable is off"
        if record.request != self.request:
            return "this try asks for something else"
        return None

    def _asks_again(self, record: JobRecord) -> bool:
        """Take an unanswered start's token, if we can: the start begins the job or finds it."""
        token = self.job_type.token
        if token is None or (self.own_token is None and self.values[token] != record.token):
            return False
        self.values[token] = record.token
        self.repeats = True
        return True

    def _end(self, run: JobRun, record: JobRecord) -> None:
        hook, sleep, since = self.operator.hook_for(run), self.held.sleep, record.started_at
        self.records.give_up()
        cancel = cancel_until_certain(run, log=self.log, started_at=since, patience=PATIENCE)
        wait = wait_until_over(run, log=self.log, poll_interval=_END_POLL_INTERVAL, started_at=since)
        try:
            if not drive(cancel, hook, sleep).state.is_over:
                drive(wait, hook, sleep)
        except JobNotFoundError as error:
            self.log.info("%s", error)

    def _start(self) -> Obtained:
        token = self.job_type.token
        run = self.job_type.run_of(self.values, self.operator.hook.region)
        ours = self.repeats or self.own_token is not None
        if run is not None and not ours:
            self._refuse_used(run)
        record = self.records.begin(run, self.values[token] if token else None, self.request)
        if run is not None:
            self._hold(run, record.started_at)
        run, snapshot = self._call(run, record.started_at, ours=ours)
        self._hold(run, record.started_at)
        self.held.raise_if_killed()
        if self.repeats and snapshot.state.is_over and snapshot.state is not JobState.SUCCEEDED:
            self.log.info("%s of the try before has ended %s", name(run), snapshot.status)
            self.held.release()
            self.repeats = False
            self.values[str(token)] = self.own_token or self.values[str(token)]
            return self._start()
        self.records.started(record, run)
        self.log.info("started %s%s", name(run), f" ({snapshot.status})" if snapshot.status else "")
        return Obtained(run, snapshot, record.started_at)

    def _call(self, run: JobRun | None, since: float, *, ours: bool) -> tuple[JobRun, JobSnapshot]:
        """Make the start call, again where that cannot start a second job.

        :param ours: a job with this token can only be one that this task started.
        """
        may_exist = self.repeats
        for pause in (*_START_PAUSES, None):
            if self.held.killed and not may_exist:
                self._nothing_started()
            self.held.raise_if_killed()
            try:
                return self.operator.hook.start(self.values)
            except AwsApiError as error:
                if error.meaning is ErrorKind.EXISTS and run is not None:
                    if ours or may_exist:
                        return run, self.operator.look(run, since, sleep=self.held.sleep)
                    self._nothing_started()
                    raise self._used(run) from error
                repeatable = error.meaning is ErrorKind.REJECTED
                if error.meaning is ErrorKind.TRANSIENT:
                    may_exist = True
                    repeatable = self.job_type.token is not None
                if not repeatable or pause is None:
                    if not may_exist:
                        self._nothing_started()
                    if error.meaning is ErrorKind.QUOTA:
                        raise QuotaExceededError(str(error)) from error
                    raise
                self.log.warning("could not start, trying again: %s", error)
                self.held.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _hold(self, run: JobRun, started_at: float) -> None:
        if self.operator.cancel_on_kill:
            self.held.take(run, started_at, self.operator.hook_for(run))

    def _nothing_started(self) -> None:
        self.held.release()
        self.records.forget()

    def _refuse_used(self, run: JobRun) -> None:
        try:
            self.operator.look(run, 0.0, sleep=self.held.sleep)
        except JobNotFoundError:
            return
        raise self._used(run)

    def _used(self, run: JobRun) -> JobExistsError:
        token = self.job_type.token
        return JobExistsError(
            f"{token} {self.values[str(token)]!r} was used before: {name(run)} exists, and it is not this try"
            f" that started it. Leave {token} out to get one for each try, or put {{{{ run_id }}}} and"
            f" {{{{ ti.try_number }}}} into it",
            run=run,
        )
