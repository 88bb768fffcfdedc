"""Whether a task instance still waits on a trigger of ours, asked of Airflow from inside the triggerer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_jobs_provider.task_states import ENDED, key_in_answer, own_question
from airflow_jobs_provider.triggers.xcoms import pull

if TYPE_CHECKING:
    from airflow_jobs_provider.jobs.run import JobRun

T = TypeVar("T")

# XCom of a start operator: which job it waits for, and for which task instance.
XCOM_KEY = "aws_job"

# The triggerer's supervisor never answers a message that it does not know, and its first answer takes its
# time: it imports half of Airflow for it (Airflow 3.3; 3 to 10 seconds measured on 2 cores, and more than 30
# on busy ones). To give up too early is to cancel the jobs of all triggers that have only moved.
_PATIENCE = 120.0
# Seconds until Airflow is asked again that could not say.
_PAUSE = 2.0


def claim(ti: Any, run: JobRun) -> None:
    """Record in XCom that a task instance waits for a job. Airflow removes it when it starts a new try."""
    ti.xcom_push(key=XCOM_KEY, value={"ti_id": str(ti.id), "run": run.to_json()})


def record_in(stored: Any) -> Mapping[str, Any] | None:
    """Return the record of a task that has started in the triggerer; ``None`` for a mere claim."""
    return stored if isinstance(stored, Mapping) and "try_number" in stored else None


def nothing_left(ti: Any) -> dict[str, Any]:
    """Return what stands in place of a record that is removed: that a try was here, and has left no job."""
    return {"ti_id": str(ti.id), "run": None}


def tells(stored: Any) -> bool:
    """Whether what is stored says what the last try has left, if only that it is nothing.

    A worker's try has its record elsewhere; of that, only a claim is here, or nothing.
    """
    return record_in(stored) is not None or (isinstance(stored, Mapping) and stored.get("run", 0) is None)


async def still_waits(ti: Any, run: JobRun | None) -> bool:
    """Tell a trigger that was handed to another triggerer from one whose task was cleared or marked.

    Airflow 3.3 calls ``on_kill`` for both (apache/airflow#73454 is to mend it). After a clear the new try may
    be deferred already, on a job of its own: the state alone does not tell, the record in XCom does.

    :param run: its job; ``None`` for one that has recorded a start, and does not know yet what it started.
    :raises asyncio.TimeoutError: where Airflow does not answer.
    """

    async def ask() -> bool:
        if await _state(ti) != "deferred":
            return False
        claimed = await pull(ti, XCOM_KEY)
        # A task that has started in the triggerer has its whole record there.
        is_own = bool(claimed) and claimed["ti_id"] == str(ti.id)
        return is_own and (run is None or bool(claimed["run"] == run.to_json()))

    return await asyncio.wait_for(_until_told(ask), _PATIENCE)


async def goes_on_elsewhere(ti: Any) -> bool:
    """Whether the task of a trigger that has recorded nothing goes on: then it does so without this trigger.

    It has moved, and another triggerer does what this one has not begun; or it was cleared, and the next try
    sees to what earlier ones have left. What is on record by now tells neither: it is another's, or not yet.

    :raises asyncio.TimeoutError: where Airflow does not answer.
    """

    async def ask() -> bool:
        state = await _state(ti)
        return state != "deleted" and state not in ENDED

    return await asyncio.wait_for(_until_told(ask), _PATIENCE)


async def _until_told(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask an API server that cannot answer, or whose database is away, again.

    A trigger that moved just before must not end its job for that.
    """
    while True:
        try:
            return await ask()
        except Exception as error:
            if _is_final(error):
                raise
        await asyncio.sleep(_PAUSE)


def _is_final(error: Exception) -> bool:
    """Whether Airflow's API has refused the question, and would do so again."""
    detail = getattr(getattr(error, "error", None), "detail", None)
    status = detail.get("status_code") if isinstance(detail, Mapping) else None
    return isinstance(status, int) and HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR


async def _state(ti: Any) -> str:
    from airflow.sdk.execution_time.comms import GetTaskStates, TaskStatesResult
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    comms: Any = SUPERVISOR_COMMS
    states = await comms.asend(GetTaskStates(**own_question(ti)))
    if not isinstance(states, TaskStatesResult):
        raise RuntimeError(f"Airflow did not tell the state of the task: {states}")
    return str(states.task_states.get(ti.run_id, {}).get(key_in_answer(ti.task_id, ti.map_index), "deleted"))
