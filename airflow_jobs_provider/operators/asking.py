"""The start call: made again where that cannot start a second job, and never without hearing the answer."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any

from airflow_jobs_provider.exceptions import (
    AwsApiError,
    AwsJobError,
    JobExistsError,
    QuotaExceededError,
    TaskKilledError,
    name,
)
from airflow_jobs_provider.jobs.errors import ErrorKind
from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot
from airflow_jobs_provider.operators.common import PATIENCE
from airflow_jobs_provider.operators.record import JobRecord, JobRecordStore
from airflow_jobs_provider.operators.tokens import is_mapped
from airflow_jobs_provider.operators.unanswered import UnansweredStart

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from airflow_jobs_provider.jobs.model import JobType
    from airflow_jobs_provider.operators.base import StartJobOperator
    from airflow_jobs_provider.operators.held import HeldJob

# Seconds in which a job is looked for whose start was not answered and cannot be asked for again.
_FIND_PATIENCE = 10.0
# Seconds in which a list shows a new job.
LISTED_WITHIN = 10.0
# Seconds in which the answer of a start is awaited although the task's time is over.
_ANSWER_PATIENCE = 30.0


class StartCall:
    """How one try asks for a job.

    :ivar token_is_ours: the idempotency token is one that we derived: its job can be no other task's.
    """

    def __init__(
        self, operator: StartJobOperator, context: Context, records: JobRecordStore, held: HeldJob
    ) -> None:
        self.token_is_ours = False
        self._operator = operator
        self._job_type = operator.job_type
        self._log = operator.log
        self._context = context
        self._records = records
        self._held = held

    def make(
        self, values: Mapping[str, Any], record: JobRecord, *, may_exist: bool
    ) -> tuple[JobRun, JobSnapshot]:
        """Make the start call, again where that cannot start a second job.

        :param may_exist: an earlier call may have started the job.
        """
        start = UnansweredStart(
            self._job_type,
            values,
            record,
            self._operator.hook.region,
            has_siblings=is_mapped(self._context["ti"]),
            may_exist=may_exist,
        )
        if self._operator.cancel_on_kill and record.run is None:
            self._held.expect(start, self._operator.hook)
        try:
            return self._make(start)
        except (AwsApiError, QuotaExceededError, JobExistsError):
            raise
        except BaseException as error:
            self._interrupted(start, error)
            raise

    def _make(self, start: UnansweredStart) -> tuple[JobRun, JobSnapshot]:
        pauses = start_pauses(self._job_type)
        while True:
            start.in_flight = True  # before the question: a kill from now on sees to what is sent
            if self._held.killed:
                start.in_flight = False
            self._held.raise_if_killed()
            if start.record.run is not None:
                # Asked for for minutes, perhaps, but what begins now AWS may not see at once.
                self.hold(start.record.run, time.time())
            try:
                return self._ask(start)
            except AwsApiError as error:
                pause = next(pauses, None) if self._may_repeat(error) else None
                deadline = self._operator.deadline(self._context)
                if deadline is not None and time.time() >= deadline:
                    pause = None  # Airflow does not count the time of a task that was deferred before
                if pause is None:
                    return self._instead(start, error)
                self._log.warning("could not start, trying again: %s", error)
                self._held.sleep(pause)

    def _ask(self, start: UnansweredStart) -> tuple[JobRun, JobSnapshot]:
        """Make the call in a thread: what interrupts this one, a time-out say, must not lose the answer."""
        answer: Future[tuple[JobRun, JobSnapshot]] = Future()
        hook = self._operator.hook

        def call() -> None:
            try:
                answered = hook.start(start.values)
            except BaseException as error:  # noqa: BLE001 - it is raised where the answer is waited for
                refused = isinstance(error, AwsApiError) and error.meaning is not ErrorKind.TRANSIENT
                start.may_exist = start.may_exist or not refused
                start.in_flight = False
                answer.set_exception(error)
            else:
                start.heard(*answered)
                answer.set_result(answered)

        threading.Thread(target=call, name="start-aws-job", daemon=True).start()
        while not answer.done():
            wait((answer,), 0.5)
            if start.run is not None and not answer.done():
                self._held.raise_if_killed()  # who was told to end has found out by itself
        return answer.result()

    def _interrupted(self, start: UnansweredStart, error: BaseException) -> None:
        """See to it that the job of an interrupted start (by a time-out, say) is known, if there is one."""
        if not start.was_sent:
            self.nothing_started()
            return
        longest = _FIND_PATIENCE
        if isinstance(error, TaskKilledError):  # what was told to end has waited for the answer, and looked
            longest = self._operator.find_patience_when_killed
        else:
            start.wait(_ANSWER_PATIENCE)
        if longest and self._operator.cancel_on_kill and start.record.run is None:
            start.learn(self._operator.hook, self._log, LISTED_WITHIN, longest=longest)
        if start.run is not None:
            self.hold(start.run, time.time())  # asked for minutes ago, perhaps, but begun only now
            self._records.note(start.record, start.run)

    def _may_repeat(self, error: AwsApiError) -> bool:
        return error.meaning is ErrorKind.REJECTED or (
            error.meaning is ErrorKind.TRANSIENT and self._job_type.token is not None
        )

    def _instead(self, start: UnansweredStart, error: AwsApiError) -> tuple[JobRun, JobSnapshot]:
        """Return the job that a start which ended in an error has started all the same, or raise."""
        values, may_exist = start.values, start.may_exist
        # Asked for minutes ago, perhaps, but what it has begun may be new.
        run, since = start.record.run, time.time()
        if error.meaning is ErrorKind.EXISTS:
            if run is not None and (self.token_is_ours or may_exist):
                return run, self._operator.look(run, since, sleep=self._held.sleep)
            if not may_exist and not self.token_is_ours:
                self.nothing_started()
                raise self.used(run, values[str(self._job_type.token)], error.code) from error
        # A token that the service knows is answered with its job, however busy the target is.
        may_exist = may_exist and error.meaning is not ErrorKind.BUSY
        if not may_exist:
            self.nothing_started()
        elif run is not None and (found := self._find(run, since)) is not None:
            return run, found
        elif run is None and self._job_type.token is None and (found_run := self._learn(start)) is not None:
            return found_run, self._operator.look(found_run, since, _FIND_PATIENCE, self._held.sleep)
        target = self._job_type.describe_target(values)
        what = name(run) if run is not None else f"a job on {target}"
        perhaps = "; it may have been, and be running" if may_exist else ""
        message = f"{what} could not be started: {error}{perhaps}"
        if error.meaning is ErrorKind.QUOTA:
            raise QuotaExceededError(message, run=run, code=error.code) from error.__cause__
        raise AwsApiError(message, meaning=error.meaning, code=error.code, run=run) from error.__cause__

    def _find(self, run: JobRun, since: float) -> JobSnapshot | None:
        try:
            return self._operator.look(run, since, _FIND_PATIENCE, self._held.sleep)
        except AwsJobError:
            return None

    def _learn(self, start: UnansweredStart) -> JobRun | None:
        """Find the job of a start without a token, and answer for it."""
        run = start.learn(self._operator.hook, self._log, LISTED_WITHIN, self._held.sleep, longest=PATIENCE)
        if run is not None:
            self.hold(run, start.record.started_at)
            self._records.note(start.record, run)
        return run

    def hold(self, run: JobRun, started_at: float) -> None:
        """Have this process answer for a job, unless its author wants it to go on."""
        if self._operator.cancel_on_kill:
            self._held.take(run, started_at, self._operator.hook_for(run))

    def nothing_started(self) -> None:
        """Forget what was about to be started."""
        self._held.release()
        self._records.forget()

    def used(self, run: JobRun | None, value: object, code: str | None = None) -> JobExistsError:
        """Return the error for a token of the author's own that a job has already."""
        token = str(self._job_type.token)
        which = name(run) if run is not None else f"a job of {self._job_type.service}"
        return JobExistsError(
            f"{token} {value!r} was used before: {which} exists, and it is not this try"
            f" that started it. Leave {token} out to get one for each try, or put {{{{ run_id }}}} and"
            f" {{{{ ti.try_number }}}} into it",
            run=run,
            code=code,
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
