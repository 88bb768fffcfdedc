"""What an operator finds in the triggerer in place of a worker's context: its task instance, its records."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow_jobs_provider.triggers.ending import PATIENCE, push
from airflow_jobs_provider.triggers.ownership import XCOM_KEY, record_in

if TYPE_CHECKING:
    from airflow_jobs_provider.operators.triggered import TriggeredOperator
    from airflow_jobs_provider.triggers.tether import Tether


def context_of(operator: TriggeredOperator, ti: Any, timeout_after: datetime | None, tether: Tether) -> Any:
    """Return an operator's context, as far as ours use it.

    It has no ``dag_run``: of that, Airflow tells the triggerer nothing but names.

    :param ti: the task instance, as the triggerer knows it.
    :param timeout_after: when Airflow ends the deferral; it does not tell when the task has started.
    """
    records = XComRecords(ti, tether)
    return {
        "ti": HostedTask(ti, _start_date(operator, timeout_after), records, tether),
        "task_state_store": records,
    }


def _start_date(operator: TriggeredOperator, timeout_after: datetime | None) -> datetime:
    now = datetime.now(timezone.utc)
    timeouts = [each for each in (operator.execution_timeout, operator.start_timeout) if each is not None]
    if timeout_after is None or not timeouts:
        return now  # another triggerer begins to count anew, if this one dies
    if timeout_after.tzinfo is None:
        timeout_after = timeout_after.replace(tzinfo=timezone.utc)
    return min(now, timeout_after - min(timeouts, default=timedelta(0)))


class HostedTask:
    """A task instance, for an operator in a thread of the triggerer.

    Airflow does not tell the triggerer ``max_tries``: a clear is told by the task instance's id.
    """

    max_tries = 0

    def __init__(self, ti: Any, start_date: datetime, records: XComRecords, tether: Tether) -> None:
        self.id = ti.id
        self.dag_id, self.task_id, self.run_id = ti.dag_id, ti.task_id, ti.run_id
        self.map_index = -1 if ti.map_index is None else ti.map_index
        self.try_number = ti.try_number
        self.start_date = start_date
        self._records = records
        self._tether = tether

    def xcom_push(self, key: str, value: Any) -> None:
        """Store an XCom."""
        if key == XCOM_KEY and self._records.say(value):
            return
        self._tether.call(lambda: push(self, key, value))


class XComRecords:
    """Keeps a task's records where the triggerer can: in XCom, under one key.

    Airflow never answers the triggerer about the task state store. XComs stay when a task is cleared, until
    a worker starts a try, which never happens here; and everybody may write them: what a newer try has
    written is left alone.
    """

    def __init__(self, ti: Any, tether: Tether) -> None:
        self._ti = ti
        self._tether = tether
        self._known: Mapping[str, Any] | None = None

    def say(self, claim: Mapping[str, Any]) -> bool:
        """Whether the record says already for which job the task waits."""
        return claim.items() <= (self._known or {}).items()

    def get(self, _: str) -> Any:
        """Return the record; ``None`` where there is none, or only a claim on another's job."""
        self._known = record_in(self._tether.call(self._read))
        return self._known

    def set(self, _: str, value: Mapping[str, Any]) -> None:
        """Keep the record.

        :raises RuntimeError: where a newer try has left one.
        """
        self._check()
        self._tether.call(lambda: push(self._ti, XCOM_KEY, value))
        self._known = value

    def delete(self, _: str) -> None:
        """Forget the record."""
        self._check()
        self._tether.call(lambda: push(self._ti, XCOM_KEY, None))
        self._known = None

    def _check(self) -> None:
        found = self._tether.call(self._read)
        if (
            isinstance(found, Mapping)
            and found.get("ti_id") != str(self._ti.id)
            and found.get("try_number", 0) >= self._ti.try_number
        ):
            raise RuntimeError("the task was cleared: its next try is at work")

    async def _read(self) -> Any:
        from airflow.sdk.execution_time.xcom import XCom

        ti = self._ti
        asked = XCom.aget_one(
            key=XCOM_KEY,
            dag_id=ti.dag_id,
            task_id=ti.task_id,
            run_id=ti.run_id,
            map_index=-1 if ti.map_index is None else ti.map_index,
        )
        return await asyncio.wait_for(asked, PATIENCE)
