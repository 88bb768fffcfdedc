"""Whole tasks in the triggerer, for tests: how they begin, and what ends them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from airflow_jobs_provider.hooks.aws_job import AwsJobHook
from airflow_jobs_provider.triggers import ownership
from airflow_jobs_provider.triggers.aws_job import AwsJobTrigger
from airflow_jobs_provider.triggers.task import AwsTaskTrigger
from tests.conftest import TaskInstance
from tests.triggers.supervisor import Supervisor

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import Emulator

STARTS: dict[str, Any] = {"start_from_trigger": True, "deferrable": None}
WORKERLESS: dict[str, Any] = {**STARTS, "end_from_trigger": True}


def trigger(operator: Any, ti: TaskInstance, rendered: Any = None) -> AwsTaskTrigger:
    """Return an operator's trigger, as the triggerer makes it."""
    operator.resolve_template_files()
    args = operator.start_trigger_args
    assert args.trigger_cls == "airflow_jobs_provider.triggers.task.AwsTaskTrigger"
    made = AwsTaskTrigger(**args.trigger_kwargs)
    made = AwsTaskTrigger(**made.serialize()[1])
    made.task_instance = ti  # type: ignore[assignment]
    made.trigger_id = 1
    if rendered is not None:
        made.render_template_fields(rendered)
    return made


async def event(waiting: AwsTaskTrigger) -> Any:
    """Return a trigger's one event."""
    [fired] = [fired async for fired in waiting.run()]
    await waiting.cleanup()
    return fired


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


async def begun(waiting: AwsTaskTrigger, aws: Emulator) -> asyncio.Task[Any]:
    """Run a trigger until it waits for its job."""
    running = asyncio.create_task(event(waiting))
    await until(lambda: isinstance(waiting._waits, AwsJobTrigger) or running.done())
    return running


async def die(running: asyncio.Task[Any], waiting: AwsTaskTrigger) -> None:
    """Lose the triggerer, as its next one sees it."""
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await waiting.cleanup()


async def dies_in_the_start(
    waiting: AwsTaskTrigger,
    airflow: Supervisor,
    aws: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    *,
    sent: bool = True,
) -> None:
    """Lose the triggerer when it has recorded that it will start a job.

    :param sent: AWS has carried the start out, and what it has answered is known to nobody.
    """
    start, dead = AwsJobHook.astart, asyncio.Event()

    async def dies(*arguments: Any) -> Any:
        if sent:
            await start(*arguments)
        dead.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as dying:
        dying.setattr(AwsJobHook, "astart", dies)
        running = asyncio.create_task(event(waiting))
        await until(dead.is_set)
        await die(running, waiting)
    assert len(aws.jobs()) == int(sent)
    assert airflow.pulled["aws_job"]


async def kill(running: asyncio.Task[Any], waiting: AwsTaskTrigger) -> None:
    """Do what Airflow does with the trigger of a task that was cleared or marked."""
    running.cancel("user-action")
    with pytest.raises(asyncio.CancelledError, match="user-action"):
        await running
    await waiting.on_kill()
    await waiting.cleanup()


async def keep_record(airflow: Supervisor, value: Any) -> None:
    """Store what another try has recorded."""
    from airflow_jobs_provider.triggers.xcoms import push

    await push(TaskInstance(), ownership.XCOM_KEY, value)
