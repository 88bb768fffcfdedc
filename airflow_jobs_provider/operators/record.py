"""What a try leaves for the next one: which job it started, or was about to start."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from airflow_jobs_provider.jobs import JOB_TYPES
from airflow_jobs_provider.jobs.run import JobRun
from airflow_jobs_provider.triggers.ownership import XCOM_KEY, record_in

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.definitions.context import Context

log = logging.getLogger(__name__)

_KEY = XCOM_KEY


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """One try's job.

    :param run: its identity; ``None`` where only the start's answer tells it and has not come.
    :param sent: what of the request differs from try to try: the idempotency token, the label, the comment;
        and what a list must be told to find the comment.
    :param request: fingerprint of what else was asked for.
    :param ti_id: the task instance's id; Airflow makes a new one for every try.
    :param try_number: of that try.
    :param max_tries: of the task instance at that time; a clear raises it ...
    :param retries: ... by the task's retries at the time of the clear.
    :param clears: how often tasks of the run had been cleared by then.
    :param started_at: when the start was asked for (seconds since the epoch), or when it was answered, if
        the job began only then.
    :param confirmed: AWS has answered the start.
    :param succeeded: the job has; it stays on record because Airflow may yet fail the try.
    :param unwanted: the job was to be cancelled: no later try takes it over.
    """

    run: JobRun | None
    sent: Mapping[str, str]
    request: str
    ti_id: str
    try_number: int
    max_tries: int
    retries: int
    clears: int
    started_at: float
    confirmed: bool = False
    succeeded: bool = False
    unwanted: bool = False

    def is_of(self, ti: Any) -> bool:
        """Whether this very try wrote it."""
        return (self.ti_id, self.try_number) == (str(ti.id), ti.try_number)


class JobRecordStore:
    """The task instance's record in Airflow's task state store.

    Airflow 3.3 keeps it from try to try, also after a clear. If a later Airflow discards it with a clear
    (proposed in apache/airflow#72100), a clear that no triggerer is told of will leave its job to nobody.

    :param starts_elsewhere: the try may have started in the triggerer, whatever the DAG says by now.
    """

    def __init__(self, context: Context, operator: BaseOperator, *, starts_elsewhere: bool = False) -> None:
        self._store: Any = context["task_state_store"]
        self._ti: Any = context["ti"]
        self._retries = operator.retries or 0
        # Airflow counts here how often tasks of the run were cleared, in whatever state they were.
        dag_run = context.get("dag_run")
        self._is_told = dag_run is not None
        self._starts_elsewhere = self._is_told and (operator.start_from_trigger or starts_elsewhere)
        self._clears = int(getattr(dag_run, "clear_number", 0) or 0)
        self._known: JobRecord | None = None

    def load(self) -> JobRecord | None:
        """Return what the last try left."""
        self._known = self._load()
        return self._known

    @property
    def has_rivals(self) -> bool:
        """Whether another process may be at work on this very try.

        Airflow gives a triggerer's work to another one where it gives no sign for a while, and it may go on.
        """
        return not self._is_told

    def is_overtaken(self) -> bool:
        """Whether another process has begun with this try since its record was last seen or written."""
        known = self._known
        return self.load() != known

    def _load(self) -> JobRecord | None:
        data = None
        if self._starts_elsewhere:
            # This process goes on with what the triggerer has started, and left where it can. What the store
            # has may be an earlier try's: it outlives a clear.
            ti = self._ti
            data = record_in(ti.xcom_pull(key=XCOM_KEY, task_ids=ti.task_id, map_indexes=ti.map_index))
        if data is None:
            data = self._store.get(_KEY)
        if data is None:
            return None
        try:
            known = {field.name: data[field.name] for field in fields(JobRecord) if field.name in data}
            record = JobRecord(**{**known, "run": data["run"] and JobRun.from_json(data["run"])})
        except (AttributeError, KeyError, TypeError, ValueError):
            record = None
        if record is None or (record.run is not None and record.run.job_type not in JOB_TYPES):
            # It stays for 30 days, also after a clear: to fail would be to fail every try until then.
            log.warning(
                "what an earlier try has recorded cannot be read by this version; its job may be running: %s",
                data,
            )
            return None
        return record

    def was_cleared_since(self, record: JobRecord) -> bool:
        """Whether a clear, not a retry, lies between the try that wrote a record and this one.

        Airflow 3.3 says neither. A clear sets ``max_tries`` to the tries so far and the task's retries, but
        not for a running task: there, the run's count of clears tells. (It counts clears of other tasks
        of the run, too: a retry after one of those ends the job and starts another.) A task instance that
        was deleted and made again starts to count its tries anew. The triggerer is told none of this: there,
        each other try counts as cleared.
        """
        ti = self._ti
        if not self._is_told:
            return not record.is_of(ti)
        raised = (record.max_tries, record.retries) != (ti.max_tries, self._retries)
        counted = self._clears != record.clears
        return not record.is_of(ti) and (raised or counted or ti.try_number <= record.try_number)

    def begin(self, run: JobRun | None, sent: Mapping[str, str], request: str) -> JobRecord:
        """Record that this try is about to start a job. It raises where Airflow cannot keep it."""
        return self._save(
            JobRecord(
                run=run,
                sent=dict(sent),
                request=request,
                ti_id=str(self._ti.id),
                try_number=self._ti.try_number,
                max_tries=self._ti.max_tries,
                retries=self._retries,
                clears=self._clears,
                started_at=time.time(),
            )
        )

    def started(self, record: JobRecord, run: JobRun) -> JobRecord:
        """Record the job that was started."""
        return self._save(replace(record, run=run, confirmed=True))

    def note(self, record: JobRecord, run: JobRun) -> None:
        """Record the job that was started, if Airflow still keeps records of this try."""
        try:
            self.started(record, run)
        except Exception as error:  # noqa: BLE001 - the cancel that follows matters more
            log.info("Airflow does not keep records of this try any more: %s", error)

    def take_over(self, record: JobRecord) -> JobRecord:
        """Record that this try goes on with an earlier try's job."""
        ti = self._ti
        return self._save(
            replace(
                record,
                ti_id=str(ti.id),
                try_number=ti.try_number,
                max_tries=ti.max_tries,
                retries=self._retries,
                clears=self._clears,
            )
        )

    def succeeded(self) -> None:
        """Record that the job has succeeded.

        The record is not removed: the scheduler may yet fail this try by a stale event of the process that
        deferred (apache/airflow#72716, #71580), or the worker may die before it could report the success. The
        next try must find the job, and not start another.
        """
        self._update(succeeded=True)

    def give_up(self) -> None:
        """Record that the job is to be cancelled."""
        self._update(unwanted=True)

    def _update(self, **changes: Any) -> None:
        try:
            record = self.load()
            if record is not None:
                self._save(replace(record, **changes))
        except Exception as error:  # noqa: BLE001 - the cancel that follows matters more
            log.info("Airflow does not keep records of this try any more: %s", error)

    def forget(self) -> None:
        """Remove the record: the job has ended. A record that stays is found out by the next try."""
        try:
            self._store.delete(_KEY)
            self._known = None
        except Exception as error:  # noqa: BLE001 - Airflow forgets the id of a cleared try at once
            log.info("Airflow does not keep records of this try any more: %s", error)

    def _save(self, record: JobRecord) -> JobRecord:
        data = {**asdict(record), "run": record.run and record.run.to_json()}
        self._store.set(_KEY, data)
        if self._starts_elsewhere:
            # The next try may start in the triggerer, which can read nothing else.
            self._ti.xcom_push(XCOM_KEY, data)
        self._known = record
        return record
