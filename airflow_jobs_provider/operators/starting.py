"""How a try comes by its job: an earlier try's, or one that it starts."""

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
from airflow_jobs_provider.operators.earlier import EarlierJob
from airflow_jobs_provider.operators.record import JobRecord, JobRecordStore, derive_token, fingerprint

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from airflow_jobs_provider.operators.base import StartJobOperator
    from airflow_jobs_provider.operators.held import HeldJob

# Seconds between the attempts of a start that may be repeated.
_START_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
# Seconds in which a job is looked for whose start was not answered and cannot be asked for again.
_FIND_PATIENCE = 10.0


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
        self._operator = operator
        self._job_type = operator.job_type
        self._log = operator.log
        self._records = records
        self._held = held
        self._ti: Any = context["ti"]
        self._values: dict[str, Any] = {}
        self._request = ""
        self._own_token: str | None = None
        self._repeats = False

    def obtain(self) -> Obtained:
        """Return this try's job, and leave no other running.

        :raises AwsJobError: where no job could be started.
        """
        record = self._records.load()
        if record is not None and record.run is not None:
            # Whatever fails from here on, the earlier try's job must not be forgotten.
            self._hold(record.run, record.started_at)
        self._values = self._operator.parameters(self._job_type.start)
        token = self._job_type.token
        if token is not None and self._values[token] is None:
            self._values[token] = self._own_token = derive_token(self._ti, self._job_type.token_length)
        asked_for = {key: value for key, value in self._values.items() if key != token}
        region = self._operator.hook.region
        self._request = fingerprint({**asked_for, "job_type": self._job_type.name, "region_name": region})
        if record is not None:
            earlier = EarlierJob(record, self._operator, self._records, self._held, self._request)
            unanswered = not record.confirmed and earlier.unwanted_because is None
            if unanswered and self._asks_again(record):
                self._log.info("asking again for what try %d was about to start", record.try_number)
            elif (snapshot := earlier.settle()) is not None and record.run is not None:
                return Obtained(record.run, snapshot, record.started_at)
            else:
                self._held.release()
        return self._start()

    def _asks_again(self, record: JobRecord) -> bool:
        """Take an unanswered start's token, if we can: the start begins the job or finds it."""
        token = self._job_type.token
        if token is None or (self._own_token is None and self._values[token] != record.token):
            return False
        self._values[token] = record.token
        self._repeats = True
        return True

    def _start(self) -> Obtained:
        token = self._job_type.token
        run = self._job_type.run_of(self._values, self._operator.hook.region)
        ours = self._repeats or self._own_token is not None
        if run is not None and not ours:
            self._refuse_used(run)
        record = self._records.begin(run, self._values[token] if token else None, self._request)
        if run is not None:
            self._hold(run, record.started_at)
        run, snapshot = self._call(run, record.started_at, ours=ours)
        self._hold(run, record.started_at)
        self._held.raise_if_killed()
        if self._repeats and snapshot.state.is_over and snapshot.state is not JobState.SUCCEEDED:
            self._log.info("%s of the try before has ended %s", name(run), snapshot.status)
            self._held.release()
            self._repeats = False
            self._values[str(token)] = self._own_token or self._values[str(token)]
            return self._start()
        self._records.started(record, run)
        self._log.info("started %s%s", name(run), f" ({snapshot.status})" if snapshot.status else "")
        return Obtained(run, snapshot, record.started_at)

    def _call(self, run: JobRun | None, since: float, *, ours: bool) -> tuple[JobRun, JobSnapshot]:
        """Make the start call, again where that cannot start a second job.

        :param ours: a job with this token can only be one that this task started.
        """
        may_exist = self._repeats
        pauses = list(_START_PAUSES)
        while True:
            if self._held.killed and not may_exist:
                self._nothing_started()
            self._held.raise_if_killed()
            try:
                return self._operator.hook.start(self._values)
            except AwsApiError as error:
                may_exist = may_exist or error.meaning is ErrorKind.TRANSIENT
                if not (pauses and self._may_repeat(error)):
                    return self._instead(run, since, error, ours=ours, may_exist=may_exist)
                self._log.warning("could not start, trying again: %s", error)
                self._held.sleep(pauses.pop(0))

    def _may_repeat(self, error: AwsApiError) -> bool:
        return error.meaning is ErrorKind.REJECTED or (
            error.meaning is ErrorKind.TRANSIENT and self._job_type.token is not None
        )

    def _instead(
        self, run: JobRun | None, since: float, error: AwsApiError, *, ours: bool, may_exist: bool
    ) -> tuple[JobRun, JobSnapshot]:
        """Return the job that a start which ended in an error has started all the same, or raise."""
        if error.meaning is ErrorKind.EXISTS and run is not None:
            if ours or may_exist:
                return run, self._operator.look(run, since, sleep=self._held.sleep)
            self._nothing_started()
            raise self._used(run) from error
        if not may_exist:
            self._nothing_started()
        elif run is not None and (found := self._find(run, since)) is not None:
            return run, found
        what = name(run) if run is not None else f"a job of {self._job_type.name}"
        message = f"{what} could not be started: {error}"
        if error.meaning is ErrorKind.QUOTA:
            raise QuotaExceededError(message, run=run) from error.__cause__
        raise AwsApiError(message, meaning=error.meaning, code=error.code, run=run) from error.__cause__

    def _find(self, run: JobRun, since: float) -> JobSnapshot | None:
        try:
            return self._operator.look(run, since, _FIND_PATIENCE, self._held.sleep)
        except AwsJobError:
            return None

    def _hold(self, run: JobRun, started_at: float) -> None:
        if self._operator.cancel_on_kill:
            self._held.take(run, started_at, self._operator.hook_for(run))

    def _nothing_started(self) -> None:
        self._held.release()
        self._records.forget()

    def _refuse_used(self, run: JobRun) -> None:
        try:
            self._operator.look(run, 0.0, PATIENCE, self._held.sleep)
        except JobNotFoundError:
            return
        raise self._used(run)

    def _used(self, run: JobRun) -> JobExistsError:
        token = str(self._job_type.token)
        return JobExistsError(
            f"{token} {self._values[token]!r} was used before: {name(run)} exists, and it is not this try"
            f" that started it. Leave {token} out to get one for each try, or put {{{{ run_id }}}} and"
            f" {{{{ ti.try_number }}}} into it",
            run=run,
        )
