"""How a try comes by its job: an earlier try's, or one that it starts."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowTaskTimeout

from airflow_jobs_provider.exceptions import (
    AwsApiError,
    AwsJobError,
    JobNotFoundError,
    TaskKilledError,
    about,
    name,
)
from airflow_jobs_provider.jobs.errors import ErrorKind
from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot
from airflow_jobs_provider.lost import COMMENT, commented
from airflow_jobs_provider.operators.asking import LISTED_WITHIN, StartCall
from airflow_jobs_provider.operators.common import PATIENCE
from airflow_jobs_provider.operators.earlier import EarlierJob
from airflow_jobs_provider.operators.marks import mark_for
from airflow_jobs_provider.operators.record import JobRecord, JobRecordStore
from airflow_jobs_provider.operators.tokens import (
    derive_comment,
    derive_label,
    derive_token,
    fingerprint,
    is_mapped,
)
from airflow_jobs_provider.operators.unanswered import UnansweredStart, is_older
from airflow_jobs_provider.watch import is_young

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from airflow_jobs_provider.operators.base import StartJobOperator
    from airflow_jobs_provider.operators.held import HeldJob


# Seconds within which a triggerer that has found nothing on record has written what it begins.
_CLAIMED_WITHIN = 1.0


@dataclass(frozen=True)
class Obtained:
    """The job of this try.

    :param started_at: when it was started (seconds since the epoch).
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
        self._label_is_ours = False
        self._call = StartCall(operator, context, records, held)

    def obtain(self) -> Obtained:
        """Return this try's job, and leave no other running.

        :raises AwsJobError: where no job could be started.
        """
        record = self._records.load()
        if record is not None and record.run is not None:
            # Whatever fails from here on, the earlier try's job must not be forgotten.
            self._call.hold(record.run, record.started_at)
        self._prepare(math.inf if self._held.run is not None else PATIENCE)
        if record is not None:
            earlier = EarlierJob(
                record, self._operator, self._records, self._held, self._context, self._request
            )
            known: EarlierJob | None = earlier
            if self._can_ask_again(earlier):
                known = self._ask_again(earlier)
            elif self._can_look_for(earlier):
                known = self._look_for(earlier)
            snapshot = None if known is None else known.settle()
            if known is not None and snapshot is not None and known.record.run is not None:
                return Obtained(known.record.run, snapshot, known.record.started_at)
            self._held.release()
        return self._start()

    def find_out(self, record: JobRecord) -> JobRecord:
        """Find the job of this try's own start that was never answered, so that it can be cancelled.

        A token that has begun nothing yet may begin it now.

        :returns: the record, with the job; as it was where there is none, where that cannot be told, or where
            the job may go on.
        """
        run = None
        try:
            if self._operator.cancel_on_kill:
                try:
                    run = self._own_lost(record)
                except AirflowTaskTimeout:  # execution_timeout is over, which Airflow says once
                    run = self._own_lost(record)
        except (AwsJobError, ValueError) as error:
            self._log.warning("what this try may have started cannot be found: %s", error)
        if run is None:
            self._log.warning("this try was about to start a job and never heard of it; it may be running")
            return record
        record = replace(record, run=run, started_at=time.time())  # it may have begun only now
        self._records.note(record, run)
        return record

    def _own_lost(self, record: JobRecord) -> JobRun | None:
        self._prepare(PATIENCE)
        # A repeated token starts what is cancelled then. Without one, only a list can tell.
        if self._job_type.token is None and not self._can_look_for_lost(record):
            return None
        return self._learn(record, {**self._values, **record.sent}, LISTED_WITHIN)

    def _prepare(self, patience: float) -> None:
        """Set what is asked for: the author's parameters, and those that we derive.

        :param patience: seconds in which errors that may pass are survived, of STS for one: a job of an
            earlier try is not to end for them.
        :raises AwsApiError: where that takes an answer of AWS, or a region, and there is none.
        """
        job_type, ti = self._job_type, self._context["ti"]
        values, region = self._asked(patience)
        if job_type.token is not None and values[job_type.token] is None:
            mark = mark_for(self._operator, ti, job_type.token, job_type.token_lengths[1])
            values[job_type.token] = mark or derive_token(ti, job_type.token_lengths)
            self._call.token_is_ours = True
        if job_type.label is not None and values[job_type.label] is None:
            mark = mark_for(self._operator, ti, job_type.label, job_type.label_length)
            values[job_type.label] = mark or derive_label(ti, job_type.label_length)
            self._label_is_ours = True
        asked_for = {key: value for key, value in values.items() if key not in job_type.derived}
        self._values = values
        self._request = fingerprint({**asked_for, "job_type": job_type.name, "region_name": region})

    def _asked(self, patience: float) -> tuple[dict[str, Any], str]:
        """Return the author's parameters, and the region."""
        operator, start = self._operator, self._job_type.start
        try:
            return operator.ask_first(
                lambda: (operator.parameters(start), operator.hook.region), patience, self._held.sleep
            )
        except AwsApiError as error:
            asked = {key: getattr(operator, key) for key in start.parameters}
            what = f"a job on {self._job_type.describe_target(asked)} could not be started"
            raise about(what, error) from error.__cause__

    def _can_ask_again(self, earlier: EarlierJob) -> bool:
        """Whether a start that was never answered can be repeated, to learn which job it has started."""
        record, token = earlier.record, self._job_type.token
        if record.confirmed or token is None or record.request != self._request:
            return False
        if record.run is None:
            # Not to find out which job is to be left alone: the question may start it.
            return earlier.unwanted_because is None or self._operator.cancel_on_kill
        # A job that this try does not want, and whose id is known, is better not started for that.
        same = self._call.token_is_ours or self._values[token] == record.sent[token]
        return same and earlier.unwanted_because is None

    def _ask_again(self, earlier: EarlierJob) -> EarlierJob | None:
        """Repeat a start with its token: it begins the job, or finds it.

        :returns: what is known by then; ``None`` where it has started nothing.
        """
        record = earlier.record
        self._log.info("asking again for what try %d was about to start", record.try_number)
        values = {**self._values, **record.sent}
        try:
            run, snapshot = self._call.make(values, record, may_exist=True)
        except AwsApiError as error:
            if error.meaning is not ErrorKind.BUSY:
                raise
            # A token that the service knows is answered with its job.
            self._log.info("it has started nothing: %s", error)
            return None
        return earlier.of(self._answered(record, run, snapshot, "it has started"))

    def _can_look_for(self, earlier: EarlierJob) -> bool:
        """Whether a start that was never answered, and has no token, is looked for in the list."""
        record = earlier.record
        if record.confirmed or record.run is not None or self._job_type.token is not None:
            return False
        return self._can_look_for_lost(record)

    def _can_look_for_lost(self, record: JobRecord) -> bool:
        # A comment tells a job whatever is asked for by now.
        same = COMMENT in record.sent or record.request == self._request
        return self._job_type.search is not None and same

    def _look_for(self, earlier: EarlierJob) -> EarlierJob:
        """Look for the job of such a start."""
        record = earlier.record
        patience = LISTED_WITHIN if is_young(record.started_at) else 0.0
        run = self._learn(record, self._values, patience)
        if run is None:
            return earlier
        self._call.hold(run, record.started_at)
        return earlier.of(self._records.started(record, run))

    def _learn(self, record: JobRecord, values: dict[str, Any], patience: float) -> JobRun | None:
        """Find out what a start that was never answered has started."""
        hook, siblings = self._operator.hook, is_mapped(self._context["ti"])
        start = UnansweredStart(
            self._job_type, values, record, hook.region, has_siblings=siblings, may_exist=True
        )
        if self._operator.cancel_on_kill:
            self._held.expect(start, hook)
        return start.learn(hook, self._log, patience, self._held.sleep, longest=PATIENCE)

    def _start(self) -> Obtained:
        token = self._job_type.token
        run = self._job_type.run_of(self._values, self._operator.hook.region)
        if run is not None and not self._call.token_is_ours:
            self._refuse_used(run)
        values, sent = commented(self._job_type, self._values, derive_comment(self._context["ti"]))
        sent |= {key: values[key] for key in self._job_type.derived}
        if self._label_is_ours:
            sent[COMMENT] = values[str(self._job_type.label)]
        while True:
            record = self._begin(run, sent)
            if record is None:
                self._log.info("another triggerer is at work on this task: its job is looked for")
                return self.obtain()
            try:
                started, snapshot = self._call.make(values, record, may_exist=False)
            except AwsApiError as error:
                if (
                    COMMENT in sent
                    and self._job_type.comment
                    and error.code == self._job_type.comment.refused
                ):
                    # Nobody but AWS knows for certain what its parsers take: the text must fail by itself.
                    self._log.info("asking again without a comment: %s", error)
                    values, sent = self._values, {}
                    continue
                if error.meaning is not ErrorKind.BUSY:
                    raise
                adopted = self._operator.target_busy(self._context, self._values, error, self._held)
                if adopted is not None:
                    return Obtained(*adopted, record.started_at, is_ours=False)
                continue
            if run is None and not self._call.token_is_ours and token is not None:
                self._refuse_older(started, snapshot, record)
            record = self._answered(record, started, snapshot, "started")
            self._held.raise_if_killed()
            return Obtained(started, snapshot, record.started_at)

    def _begin(self, run: JobRun | None, sent: Mapping[str, str]) -> JobRecord | None:
        """Record that a job is about to be started; ``None`` where another triggerer has begun with it."""
        self._held.raise_if_killed()
        # With a token, two that begin at once start one job.
        has_rivals = self._job_type.token is None and self._records.has_rivals
        if has_rivals and self._records.is_overtaken():
            return None
        record = self._records.begin(run, sent, self._request)
        if run is not None:
            self._call.hold(run, record.started_at)
        if not has_rivals:
            return record
        try:
            # Of two that found nothing, the last to write goes on: the other one sees that after a while.
            self._held.sleep(_CLAIMED_WITHIN)
        except TaskKilledError:
            self._call.nothing_started()
            raise
        return None if self._records.is_overtaken() else record

    def _answered(self, record: JobRecord, run: JobRun, snapshot: JobSnapshot, verb: str) -> JobRecord:
        """Hold, name and record the job of a start that was answered.

        It was asked for minutes ago, if the service was busy or the try before has died: it may have begun
        only now, and AWS may not know it yet. It is named before it is recorded: Airflow may refuse the
        record, and a job that may go on is held by nobody, so that no later line would have its id.
        """
        began = self._job_type.started_at(snapshot) or time.time()
        record = replace(record, started_at=max(record.started_at, began))
        self._call.hold(run, record.started_at)
        self._log.info("%s %s%s", verb, name(run), f" ({snapshot.status})" if snapshot.status else "")
        return self._records.started(record, run)

    def _refuse_used(self, run: JobRun) -> None:
        """Refuse an id of the author's own that a job has already."""
        try:
            self._operator.look(run, 0.0, PATIENCE, self._held.sleep)
        except JobNotFoundError:
            return
        raise self._call.used(run, self._values[str(self._job_type.token)])

    def _refuse_older(self, run: JobRun, snapshot: JobSnapshot, record: JobRecord) -> None:
        """Refuse a token of the author's own that the service has answered with an old job."""
        if is_older(self._job_type, snapshot, record):
            self._call.nothing_started()
            raise self._call.used(run, self._values[str(self._job_type.token)])
