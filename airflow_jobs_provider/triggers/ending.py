"""The end of a task in the triggerer: its result, or why it has failed, without a worker."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TaskFailedEvent, TaskSuccessEvent, TriggerEvent

from airflow_jobs_provider.exceptions import AwsJobError
from airflow_jobs_provider.jobs.run import JobState
from airflow_jobs_provider.operators.modes import FAILURE, SUCCESS
from airflow_jobs_provider.operators.packing import unpack
from airflow_jobs_provider.triggers.tether import Tether, lend_hooks
from airflow_jobs_provider.triggers.xcoms import pull, push, remove

if TYPE_CHECKING:
    from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot
    from airflow_jobs_provider.operators.triggered import TriggeredOperator
    from airflow_jobs_provider.steps import Log

# As in a worker: the key under which others find what a task returns.
_RESULT = "return_value"


async def ended(packed: str, ti: Any, run: JobRun, snapshot: JobSnapshot, log: Log) -> TriggerEvent | None:
    """Return what ends the task of a job that has ended; ``None`` where a worker is to end it.

    :param packed: the task's operator.
    :param ti: the task instance, as the triggerer knows it.
    """
    tether = Tether()
    try:
        operator = unpack(packed)
        lend_hooks(operator, tether)
        result = await tether.run(lambda: operator.conclude(run, snapshot))
    except AwsJobError as error:
        if snapshot.state is JobState.SUCCEEDED:
            # The worker has it forgotten: else the next try would take a job over that is not good enough.
            log.info("a worker ends the task: %s", error)
            return None
        return failed(operator, error, log)
    except Exception as error:  # noqa: BLE001 - whatever it is, the job has ended: a broken trigger says less
        log.warning("a worker ends the task: %r", error)
        return None
    finally:
        tether.let_go()
    return await succeeded(operator, ti, result, log)


async def forget_result(ti: Any, log: Log) -> None:
    """Remove what an earlier try has returned: Airflow does so only when a worker starts a try.

    A try that fails would leave the result of the job before it.
    """
    if ti.try_number <= 1:
        return
    try:
        result = await pull(ti, _RESULT)
        if result is not None:
            for key in (*(result if isinstance(result, Mapping) else ()), _RESULT):
                await remove(ti, key)
    except Exception as error:  # noqa: BLE001 - no reason not to do the task's work
        log.warning("the result of an earlier try is still there: %r", error)


def failed(operator: TriggeredOperator, error: BaseException, log: Log) -> TriggerEvent | None:
    """Return what fails a task; ``None`` where a worker is to deal with the failure."""
    if FAILURE in operator.worker_for:
        return None
    log.warning("the task has failed: %s", error)
    return TaskFailedEvent()


async def succeeded(operator: TriggeredOperator, ti: Any, result: Any, log: Log) -> TriggerEvent | None:
    """Store a task's result, and return what ends it; ``None`` where a worker is to do both."""
    if SUCCESS in operator.worker_for:
        return None
    if result is not None and operator.do_xcom_push:
        items = dict(result) if operator.multiple_outputs and isinstance(result, Mapping) else {}
        try:
            await asyncio.gather(*(push(ti, key, value) for key, value in {**items, _RESULT: result}.items()))
        except Exception as error:  # noqa: BLE001 - whatever it is: a worker can do it
            log.warning("a worker ends the task, as its result could not be stored: %r", error)
            return None
    return TaskSuccessEvent()
