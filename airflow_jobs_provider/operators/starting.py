"""How a try comes by its job: an earlier try's, or one that it starts."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
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
from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot
from airflow_jobs_provider.operators.common import PATIENCE
from airflow_jobs_provider.operators.earlier import EarlierJob
from airflow_jobs_provider.operators.record import (
    JobRecord,
    JobRecordStore,
    derive_label,
    derive_token,
    fingerprint,
)

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from airflow_jobs_provider.jobs.model import JobType
    from airflow_jobs_provider.operators.base import StartJobOperator
    from airflow_jobs_provider.operators.held import HeldJob

# Seconds in which a job is looked for whose start was not answered and cannot be asked for again.
_FIND_PATIENCE = 10.0
# Seconds by which a worker's clock may differ from the service's.
_SKEW = 60.0


@dataclass(frozen=True)
class Obtained:
    """The job of this try.

    :param started_at: when its start was asked for (seconds since the epoch).
    :param is_ours: this task has started it.
    """

    run: JobRun
    snapshot: JobSnapshot
    started_at: float
    is_ours: bool = True


class JobStart:
    """One try's way to its job."""

    def __init__(
        self, operator: StartJobOperator, context: Context, records: JobRecordStore, held: HeldJob
    ) -> None:
        self._operator = operator
        self._job_type = operator.job_type
        self._log = operator.log
        self._context = context
        self._records = records
        self._held = held
        self._values: dict[str, Any] = {}
        self._request = ""
        self._token_is_ours = False

    def obtain(self) -> Obtained:
        """Return this try's job, and leave no other running.

        :raises AwsJobError: where no job could be started.
        """
        record = self._records.load()
        if record is not None and record.run is not None:
            # Whatever fails from here on, the earlier try's job must not be forgotten.
            self._hold(record.run, record.started_at)
        self._prepare()
        if record is not None:
            earlier = EarlierJob(
                record, self._operator, self._records, self._held, self._context, self._request
            )
            known = self._ask_again(earlier) if self._can_ask_again(earlier) else earlier
            snapshot = None if known is None else known.settle()
            if known is not None and snapshot is not None and known.record.run is not None:
                return Obtained(known.record.run, snapshot, known.record.started_at)
            self._held.release()
        return self._start()

    def _prepare(self) -> None:
        """Set what is asked for: the author's parameters, and those that we derive."""
        job_type, ti = self._job_type, self._context["ti"]
        values = self._operator.parameters(job_type.start)
        if job_type.token is not None and values[job_type.token] is None:
            values[job_type.token] = derive_token(ti, job_type.token_lengths)
            self._token_is_ours = True
        if job_type.label is not None and values[job_type.label] is None:
            values[job_type.label] = derive_label(ti, job_type.label_length)
        asked_for = {key: value for key, value in values.items() if key not in job_type.derived}
        self._values = values
        self._request = fingerprint(
            {**asked_for, "job_type": job_type.name, "region_name": self._operator.hook.region}
        )

    def _can_ask_again(self, earlier: EarlierJob) -> bool:
        """Whether a start that was never answered can be repeated, to learn which job it has started."""
        record, token = earlier.record, self._job_type.token
        if record.confirmed or token is None or record.request != self._request:
            return False
        if record.run is None:
            return True
        # A job that this try does not want, and whose id is known, is better not started for that.
        same = self._token_is_ours or self._values[token] == record.sent[token]
        return same and earlier.unwanted_because is None

    def _ask_again(self, earlier: EarlierJob) -> EarlierJob | None:
        """Repeat a start with its token: it begins the job, or finds it.

        :returns: what is known by then; ``None`` where it has started nothing.
        """
        record = earlier.record
        self._log.info("asking again for what try %d was about to start", record.try_number)
        values = {**self._values, **record.sent}
        try:
            run, _ = self._call(values, record, may_exist=True)
        except AwsApiError as error:
            unknown = error.meaning is ErrorKind.BUSY or not error.is_transient
            if not unknown or (error.meaning is not ErrorKind.BUSY and earlier.unwanted_because is None):
                raise
            # A token that the service knows is answered with its job.
            self._log.info("it has started nothing: %s", error)
            return None
        self._hold(run, record.started_at)
        return earlier.of(self._records.started(record, run))

    def _start(self) -> Obtained:
        token = self._job_type.token
        run = self._job_type.run_of(self._values, self._operator.hook.region)
        if run is not None and not self._token_is_ours:
            self._refuse_used(run)
        sent = {key: self._values[key] for key in self._job_type.derived}
        may_exist = False
        while True:
            record = self._records.begin(run, sent, self._request)
            if run is not None:
                self._hold(run, record.started_at)
            try:
                started, snapshot = self._call(self._values, record, may_exist=may_exist)
            except AwsApiError as error:
                if error.meaning is not ErrorKind.BUSY:
                    raise
                adopted = self._operator.target_busy(self._context, self._values, error, self._held)
                if adopted is not None:
                    self._nothing_started()
                    return Obtained(*adopted, record.started_at, is_ours=False)
                may_exist = self._records.load() is not None and token is not None
                continue
            if run is None and not self._token_is_ours and token is not None:
                self._refuse_older(started, snapshot, record)
            self._hold(started, record.started_at)
            self._held.raise_if_killed()
            self._records.started(record, started)
            status = f" ({snapshot.status})" if snapshot.status else ""
            self._log.info("started %s%s", name(started), status)
            return Obtained(started, snapshot, record.started_at)

    def _call(
        self, values: Mapping[str, Any], record: JobRecord, *, may_exist: bool
    ) -> tuple[JobRun, JobSnapshot]:
        """Make the start call, again where that cannot start a second job.

        :param may_exist: an earlier call may have started the job.
        """
        pauses = start_pauses(self._job_type)
        while True:
            if self._held.killed and not may_exist:
                self._nothing_started()
            self._held.raise_if_killed()
            try:
                return self._operator.hook.start(values)
            except AwsApiError as error:
                may_exist = may_exist or error.meaning is ErrorKind.TRANSIENT
                pause = next(pauses, None) if self._may_repeat(error) else None
                if pause is None:
                    return self._instead(values, record, error, may_exist=may_exist)
                self._log.warning("could not start, trying again: %s", error)
                self._held.sleep(pause)

    def _may_repeat(self, error: AwsApiError) -> bool:
        return error.meaning is ErrorKind.REJECTED or (
            error.meaning is ErrorKind.TRANSIENT and self._job_type.token is not None
        )

    def _instead(
        self, values: Mapping[str, Any], record: JobRecord, error: AwsApiError, *, may_exist: bool
    ) -> tuple[JobRun, JobSnapshot]:
        """Return the job that a start which ended in an error has started all the same, or raise."""
        run, since = record.run, record.started_at
        if error.meaning is ErrorKind.EXISTS:
            if run is not None and (self._token_is_ours or may_exist):
                return run, self._operator.look(run, since, sleep=self._held.sleep)
            if not may_exist and not self._token_is_ours:
                self._nothing_started()
                raise self._used(run) from error
        if not may_exist:
            self._nothing_started()
        elif run is not None and (found := self._find(run, since)) is not None:
            return run, found
        target = self._job_type.describe_target(values)
        what = name(run) if run is not None else f"a job on {target}"
        perhaps = "; it may have been, and be running" if may_exist else ""
        message = f"{what} could not be started: {error}{perhaps}"
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
        """Refuse an id of the author's own that a job has already."""
        try:
            self._operator.look(run, 0.0, PATIENCE, self._held.sleep)
        except JobNotFoundError:
            return
        raise self._used(run)

    def _refuse_older(self, run: JobRun, snapshot: JobSnapshot, record: JobRecord) -> None:
        """Refuse a token of the author's own that the service has answered with an old job."""
        created = self._job_type.started_at(snapshot)
        if created is not None and created < record.started_at - _SKEW:
            self._nothing_started()
            raise self._used(run)

    def _used(self, run: JobRun | None) -> JobExistsError:
        token = str(self._job_type.token)
        which = name(run) if run is not None else f"a job of {self._job_type.service}"
        return JobExistsError(
            f"{token} {self._values[token]!r} was used before: {which} exists, and it is not this try"
            f" that started it. Leave {token} out to get one for each try, or put {{{{ run_id }}}} and"
            f" {{{{ ti.try_number }}}} into it",
            run=run,
        )


def start_pauses(job_type: JobType) -> Iterator[float]:
    """Yield the seconds between the attempts of a start that may be repeated, as long as that is patient.

    Where the service takes a start only every so often, many mapped tasks must find their turn.
    """
    end = time.monotonic() + max(PATIENCE, 60 * job_type.start_interval)
    pause = job_type.start_interval
    while time.monotonic() + pause < end:
        yield pause * random.uniform(0.75, 1.25)  # noqa: S311
        pause = min(2 * pause, 30.0)
