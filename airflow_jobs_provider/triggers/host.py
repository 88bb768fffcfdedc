"""What an operator finds in the triggerer in place of a worker's context: its task instance, its records."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow_jobs_provider.triggers.ownership import XCOM_KEY, nothing_left, record_in, tells
from airflow_jobs_provider.triggers.xcoms import pull, push

# Seconds in which no other try can have come: Airflow starts it in a later exchange with the triggerer.
_FRESH = 1.0

if TYPE_CHECKING:
    from airflow_jobs_provider.operators.triggered import TriggeredOperator
    from airflow_jobs_provider.triggers.tether import Tether


def context_of(operator: TriggeredOperator, ti: Any, timeout_after: datetime | None, tether: Tether) -> Any:
    """Return an operator's context, as far as ours use it.

    It has no ``dag_run``: of that, Airflow tells the triggerer nothing but names.

    :param ti: the task instance, as the triggerer knows it.
    :param timeout_after: when Airflow ends the deferral; it does not tell when the task has started.
    """
    return {
        "ti": HostedTask(ti, _start_date(operator, timeout_after), tether),
        "task_state_store": XComRecords(ti, tether),
    }


def _start_date(operator: TriggeredOperator, timeout_after: datetime | None) -> datetime:
    now = datetime.now(timezone.utc)
    timeouts = [each for each in (operator.execution_timeout, operator.start_timeout) if each is not None]
    if timeout_after is None or not timeouts:
        return now  # another triggerer begins to count anew, if this one dies
    if timeout_after.tzinfo is None:
        timeout_after = timeout_after.replace(tzinfo=timezone.utc)
    return min(now, timeout_after - min(timeouts, default=timedelta(0)))


def _essence(record: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what of a record another triggerer, or the next try, must know."""
    return {key: value for key, value in (record or {}).items() if key not in ("confirmed", "started_at")}


class HostedTask:
    """A task instance, for an operator in a thread of the triggerer.

    Airflow does not tell the triggerer ``max_tries``: a clear is told by the task instance's id.
    """

    max_tries = 0

    def __init__(self, ti: Any, start_date: datetime, tether: Tether) -> None:
        self.id = ti.id
        self.dag_id, self.task_id, self.run_id = ti.dag_id, ti.task_id, ti.run_id
        self.map_index = -1 if ti.map_index is None else ti.map_index
        self.try_number = ti.try_number
        self.start_date = start_date
        self._tether = tether

    def xcom_push(self, key: str, value: Any) -> None:
        """Store an XCom; nothing waits for that."""
        self._tether.send(lambda: push(self, key, value), f"XCom {key}")


class XComRecords:
    """Keeps a task's records where the triggerer can: in XCom, under one key.

    Airflow never answers the triggerer about the task state store. XComs stay when a task is cleared, until
    a worker starts a try, which never happens here; and everybody may write them: what a newer try has
    written is left alone, and what another triggerer has is not forgotten. Each call costs the triggerer more
    CPU than one to AWS: none is made that tells nothing new.

    :ivar has_begun: something may have been recorded: a job was started, or is about to be.
    """

    def __init__(self, ti: Any, tether: Tether) -> None:
        self._ti = ti
        self._tether = tether
        self.has_begun = False
        # What is there, as far as this one knows.
        self._known: Mapping[str, Any] | None = None
        self._seen_at = 0.0

    def get(self, _: str) -> Any:
        """Return the record; ``None`` where there is none.

        :raises LookupError: where a try before this one may have left its record where a worker keeps it.
        """
        found = self._tether.call(self._read)
        if self._ti.try_number > 1 and not tells(found):
            raise LookupError("an earlier try was a worker's, and only workers can read what it has left")
        self._known = record_in(found)
        self._seen_at = time.monotonic()
        return self._known

    def set(self, _: str, value: Mapping[str, Any]) -> None:
        """Keep the record.

        :raises RuntimeError: where a newer try has left one.
        """
        # Of a job whose id was chosen before the start, the answer tells nothing new.
        if value["run"] is None or _essence(value) != _essence(self._known):
            self._check()
            self.has_begun = True
            self._tether.call(lambda: push(self._ti, XCOM_KEY, value))
            self._known = value

    def delete(self, _: str) -> None:
        """Forget the record.

        :raises RuntimeError: where it is not the one that this triggerer has left.
        """
        found = record_in(self._find())
        if found is not None and found != self._known:
            raise RuntimeError("another triggerer has the task, and has left a record of it")
        self._tether.call(lambda: push(self._ti, XCOM_KEY, nothing_left(self._ti)))
        self._known = None

    def _check(self) -> None:
        if time.monotonic() - self._seen_at >= _FRESH:
            self._find()

    def _find(self) -> Any:
        found = self._tether.call(self._read)
        if (
            isinstance(found, Mapping)
            and found.get("ti_id") != str(self._ti.id)
            and found.get("try_number", 0) >= self._ti.try_number
        ):
            raise RuntimeError("the task was cleared: its next try is at work")
        self._seen_at = time.monotonic()
        return found

    async def _read(self) -> Any:
        return await pull(self._ti, XCOM_KEY)
