"""Tasks whose trigger Airflow gives to another triggerer while the first one is still at work, or wakes late.

To the first, it looks like a kill, and what is on record by then may be the other one's.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.execution_time import comms
from airflow.triggers.base import TaskSuccessEvent

from airflow_jobs_provider.triggers.ownership import XCOM_KEY
from tests.conftest import TaskInstance
from tests.operators.scenes import dated, ids_in_answer, only_job
from tests.triggers.supervisor import Supervisor
from tests.triggers.tasks import WORKERLESS, begun, die, event, kill, trigger, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_jobs_provider.testing import Emulator
    from tests.cases import Case

pytestmark = pytest.mark.usefixtures("airflow")


def slow_at(
    airflow: Supervisor, monkeypatch: pytest.MonkeyPatch, is_slow: Callable[[Any], bool]
) -> tuple[asyncio.Event, asyncio.Event]:
    """Have the first question of a kind be answered late, with what is so by then.

    :returns: set when it has come; to be set when it is to be answered.
    """
    answers, come, go_on = airflow.asend, asyncio.Event(), asyncio.Event()

    async def asend(message: Any) -> Any:
        if not come.is_set() and is_slow(message):
            come.set()
            await go_on.wait()
        return await answers(message)

    monkeypatch.setattr(airflow, "asend", asend)
    return come, go_on


def reads_the_record(message: Any) -> bool:
    """Whether a trigger asks what is on record."""
    return isinstance(message, comms.GetXCom) and message.key == XCOM_KEY


async def cancel(running: asyncio.Task[Any]) -> None:
    """Begin what Airflow does with a trigger that it does not want here any more."""
    running.cancel("user-action")
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_kill_of_what_only_moved_cancels_nothing(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance
) -> None:
    """The other triggerer goes on with it."""
    aws.configure(case.name, duration=60)
    made = trigger(case.start(**WORKERLESS), ti)
    await kill(await begun(made, aws), made)
    assert only_job(aws)["cancels"] == 0


@pytest.mark.parametrize("state", ["deferred", "running"])
async def test_what_moved_before_it_has_read_its_record_leaves_the_others_alone(
    case: Case,
    aws: Emulator,
    airflow: Supervisor,
    ti: TaskInstance,
    monkeypatch: pytest.MonkeyPatch,
    state: str,
) -> None:
    """The first triggerer's question is answered when the other one has started the job.

    :param state: of the task by then: a worker may be at work on it.
    """
    aws.configure(case.name, duration=60, **dated(case))
    come, go_on = slow_at(airflow, monkeypatch, reads_the_record)
    operator = case.start(**WORKERLESS)
    slow = trigger(operator, ti)
    running = asyncio.create_task(event(slow))
    await come.wait()
    other = await begun(trigger(operator, ti), aws)
    recorded = airflow.pulled[XCOM_KEY]
    airflow.state = state
    await cancel(running)
    killing = asyncio.create_task(slow.on_kill())
    go_on.set()
    await killing
    await slow.cleanup()
    assert only_job(aws)["cancels"] == 0
    assert airflow.pulled[XCOM_KEY] == recorded
    other.cancel()


async def test_what_moved_before_the_other_has_recorded_anything_begins_nothing(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is on record when Airflow is asked, and all is when the first triggerer's thread goes on."""
    aws.configure(case.name, duration=60, **dated(case))
    come, go_on = slow_at(airflow, monkeypatch, reads_the_record)
    operator = case.start(**WORKERLESS)
    slow = trigger(operator, ti)
    running = asyncio.create_task(event(slow))
    await come.wait()
    await cancel(running)
    killing = asyncio.create_task(slow.on_kill())
    await asyncio.wait((killing,), timeout=1)
    other = trigger(operator, ti)
    waiting = await begun(other, aws)
    recorded = airflow.pulled[XCOM_KEY]
    go_on.set()
    await killing
    await slow.cleanup()
    assert slow._work is not None
    await until(slow._work.done)
    assert airflow.pulled[XCOM_KEY] == recorded
    # The next triggerer finds it.
    await die(waiting, other)
    waiting = await begun(trigger(operator, ti), aws)
    aws.settle(case.name, {}, case.succeeded)
    assert isinstance(await waiting, TaskSuccessEvent)
    assert only_job(aws)["cancels"] == 0


async def test_what_moved_before_it_looked_leaves_the_earlier_job_to_the_other(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance
) -> None:
    """What an earlier try has left is on record, and no sign that anybody takes it over."""
    aws.configure(case.name, duration=60)
    first = trigger(case.start(**WORKERLESS), ti)
    await die(await begun(first, aws), first)
    later = trigger(case.start(**WORKERLESS), TaskInstance(try_number=2, state="deferred"))
    await later.on_kill()
    assert only_job(aws)["cancels"] == 0


async def test_two_triggerers_at_once_start_one_job(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance
) -> None:
    """Neither finds anything on record, and not every API has a token."""
    aws.configure(case.name, duration=60, **dated(case))
    both = [trigger(case.start(**WORKERLESS), ti) for _ in range(2)]
    waiting = await asyncio.gather(*(begun(each, aws) for each in both))
    assert not any(each.done() for each in waiting)
    aws.settle(case.name, {}, case.succeeded)
    assert all(isinstance(fired, TaskSuccessEvent) for fired in await asyncio.gather(*waiting))
    assert only_job(aws)["cancels"] == 0


@ids_in_answer
async def test_a_refused_start_forgets_no_job_of_another_triggerers(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It learns of the refusal when the other one has recorded a job."""
    aws.configure(case.name, duration=60, **dated(case))
    start = case.job_type.start.api_name
    aws.fault("error", code="AccessDeniedException", operation=start, times=1)
    operator = case.start(**WORKERLESS)
    come, go_on = slow_at(airflow, monkeypatch, lambda message: bool(aws.journal(start)))
    refused = asyncio.create_task(event(trigger(operator, ti)))
    await come.wait()
    other = await begun(trigger(operator, ti), aws)
    recorded = airflow.pulled[XCOM_KEY]
    go_on.set()
    await refused
    assert airflow.pulled[XCOM_KEY] == recorded
    assert only_job(aws)["cancels"] == 0
    other.cancel()
