"""What a try leaves for the next one: which job it started, or was about to start."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from airflow_jobs_provider.jobs import JOB_TYPES
from airflow_jobs_provider.jobs.run import JobRun

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.definitions.context import Context

log = logging.getLogger(__name__)

_KEY = "aws_job"


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """One try's job.

    :param run: its identity; ``None`` where only the start's answer tells it and has not come.
    :param sent: what of the request differs from try to try: the idempotency token, the label.
    :param request: fingerprint of what else was asked for.
    :param ti_id: the task instance's id; Airflow makes a new one for every try.
    :param try_number: of that try.
    :param max_tries: of the task instance at that time; a clear raises it ...
    :param retries: ... by the task's retries at the time of the clear.
    :param clears: how often tasks of the run had been cleared by then.
    :param started_at: when the start was asked for (seconds since the epoch).
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
    """The task instance's record in Airflow's task state store (kept from try to try, also after a clear)."""

    def __init__(self, context: Context, operator: BaseOperator) -> None:
        self._store: Any = context["task_state_store"]
        self._ti: Any = context["ti"]
        self._retries = operator.retries or 0
        # Airflow 3.3 counts here how often tasks of the run were cleared.
        self._clears = int(getattr(context.get("dag_run"), "clear_number", 0) or 0)

    def load(self) -> JobRecord | None:
        """Return what the last try left."""
        data = self._store.get(_KEY)
        if data is None:
            return None
        if data["run"] and data["run"]["job_type"] not in JOB_TYPES:
            log.warning("an earlier try started a job that this version does not know: %s", data["run"])
            return None
        known = {field.name: data[field.name] for field in fields(JobRecord) if field.name in data}
        return JobRecord(**{**known, "run": data["run"] and JobRun.from_json(data["run"])})

    def was_cleared_since(self, record: JobRecord) -> bool:
        """Whether a clear, not a retry, lies between the try that wrote a record and this one.

        Airflow says neither. A clear sets ``max_tries`` to the tries so far and the task's retries, but
        not for a running task: there, the run's count of clears tells. (It counts clears of other tasks
        of the run, too: a retry after one of those ends the job and starts another.) A task instance that
        was deleted and made again starts to count its tries anew.
        """
        ti = self._ti
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
        except Exception as error:  # noqa: BLE001 - Airflow forgets the id of a cleared try at once
            log.info("Airflow does not keep records of this try any more: %s", error)

    def _save(self, record: JobRecord) -> JobRecord:
        self._store.set(_KEY, {**asdict(record), "run": record.run and record.run.to_json()})
        return record


def fingerprint(request: Mapping[str, Any]) -> str:
    """Return a short hash of a request: the store keeps no statement and no ARN."""
    return hashlib.sha256(json.dumps(request, sort_keys=True, default=str).encode()).hexdigest()[:16]


def derive_token(ti: Any, lengths: tuple[int, int]) -> str:
    """Return an idempotency token: readable, the same if the same try asks again, another for another try.

    It has letters, digits and hyphens only, and begins and ends with none of the hyphens, which every service
    takes. The hash includes the task instance's own id, which also changes when the task instance is cleared,
    or deleted and made again.

    :param lengths: how short and how long it may be.
    """
    shortest, longest = lengths
    parts = [ti.dag_id, ti.task_id, *([str(ti.map_index)] if ti.map_index >= 0 else []), ti.run_id]
    identity = json.dumps([*parts, ti.map_index, ti.try_number, str(ti.id)])
    digest = hashlib.sha256(identity.encode()).hexdigest()
    words = [word for part in parts if (word := re.sub(r"[^a-zA-Z0-9]+", "-", part).strip("-"))]
    words = [*_fitting(words, longest - len(f"-try{ti.try_number}-{digest[:12]}")), f"try{ti.try_number}"]
    readable = "-".join(words)
    return f"{readable}-{digest[: max(12, shortest - len(readable) - 1)]}"


def derive_label(ti: Any, longest: int) -> str:
    """Return a sentence that says which try of which task has started a job.

    :param longest: how long it may be.
    """
    mapped = f" [{ti.map_index}]" if ti.map_index >= 0 else ""
    words = [ti.dag_id, ti.run_id, ti.task_id]
    room = longest - len(_LABEL.format("", "", "", mapped, ti.try_number)) + len(words) - 1
    return _LABEL.format(*_fitting(words, room), mapped, ti.try_number)


_LABEL = "Airflow DAG {}, run {}, task {}{}, try {}"


def _fitting(words: list[str], room: int) -> list[str]:
    """Return words that fit into so many characters with one between them: the longest are cut."""
    words = list(words)
    while sum(map(len, words)) + len(words) - 1 > room:
        longest = max(range(len(words)), key=lambda index: len(words[index]))
        words[longest] = words[longest][:-1]
    return words
