"""The trigger on a real event loop, over real HTTP; each test for every job type."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_jobs_provider.hooks.aws_job import AwsJobHook
from airflow_jobs_provider.triggers import aws_job
from airflow_jobs_provider.triggers.aws_job import AwsJobTrigger
from airflow_jobs_provider.waiting import Wait
from tests.conftest import Context, TaskInstance

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import Emulator
    from tests.cases import Case


@pytest.fixture
def run(case: Case, aws: Emulator) -> dict[str, Any]:
    """Start a job, and return its identity as triggers take it."""
    aws.configure(case.job_type.name, duration=60)
    result = case.start(wait_for_completion=False).execute(Context())
    ids = {name: result[name] for name in case.job_type.identity if result[name] is not None}
    return {"job_type": case.job_type.name, "ids": ids, "region": "eu-west-1"}


def trigger(run: dict[str, Any], **options: Any) -> AwsJobTrigger:
    """Return a trigger as the triggerer makes it: from what another one serialized."""
    options = {"poll_interval": 0.05, "started_at": time.time(), "aws_conn_id": None, **options}
    path, kwargs = AwsJobTrigger(run=run, **options).serialize()
    assert path == "airflow_jobs_provider.triggers.aws_job.AwsJobTrigger"
    made = AwsJobTrigger(**kwargs)
    made.task_instance = TaskInstance()  # type: ignore[assignment]
    return made


async def event(waiting: AwsJobTrigger) -> dict[str, Any]:
    """Return the payload of a trigger's one event."""
    [fired] = [fired async for fired in waiting.run()]
    payload: dict[str, Any] = fired.payload
    return payload


async def test_the_event_carries_the_end(case: Case, aws: Emulator, run: dict[str, Any]) -> None:
    """The task that resumes must not have to ask AWS again."""
    waiting = asyncio.create_task(event(trigger(run)))
    await asyncio.sleep(0.5)
    aws.settle(case.job_type.name, {}, case.succeeded)
    payload = await waiting
    assert payload["run"] == run
    assert payload["snapshot"]["status"] == case.succeeded
    assert case.start().read_event(payload, Wait.from_json(payload)) is not None


async def test_the_deadline_is_an_event(run: dict[str, Any]) -> None:
    """Airflow enforces no execution_timeout while a task is deferred."""
    deadline = time.time() + 0.3
    assert (await event(trigger(run, deadline=deadline)))["deadline"] == deadline


async def test_what_passes_is_survived(case: Case, aws: Emulator, run: dict[str, Any]) -> None:
    """A bad minute of the API must not fail a wait."""
    aws.fault("throttle", operation=case.job_type.describe.api_name, times=1)
    # aiohttp itself repeats a GET whose connection was closed, once
    aws.fault("drop", operation=case.job_type.describe.api_name, times=2)
    aws.settle(case.job_type.name, {}, case.succeeded)
    assert "snapshot" in await event(trigger(run))


async def test_what_stays_is_an_event(case: Case, aws: Emulator, run: dict[str, Any]) -> None:
    """A trigger that raises loses the AWS error on its way to the task."""
    aws.fault("error", code="AccessDeniedException", operation=case.job_type.describe.api_name)
    payload = await event(trigger(run))
    assert payload["code"] == "AccessDeniedException"
    assert "AccessDeniedException" in payload["error"]


async def test_a_deleted_job_is_an_event(case: Case, aws: Emulator, run: dict[str, Any]) -> None:
    """A job that somebody deleted must not be waited for."""
    aws.delete(case.job_type.name, {})
    assert (await event(trigger(run, started_at=time.time() - 61)))["meaning"] == "not found"


async def test_a_kill_cancels(
    case: Case, aws: Emulator, run: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed task's job must end, also when Airflow cannot be asked, and gives the cancel no time."""
    monkeypatch.setattr(aws_job, "still_waits", _says(RuntimeError("no supervisor")))
    aws.fault("delay", delay=0.5, operation=case.job_type.cancel.api_name, times=1)
    killed = asyncio.create_task(trigger(run, cancel_on_kill=True).on_kill())
    await asyncio.sleep(0.2)
    killed.cancel()
    with pytest.raises(asyncio.CancelledError):
        await killed
    await asyncio.gather(*aws_job._cancels)
    assert aws.jobs()[0]["status"] == case.cancelled
    assert not aws_job._cancels


async def test_a_kill_of_a_young_trigger_is_told_as_a_kill(
    run: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow knows by a cancel's message that the task was killed; without it, on_kill is never called."""
    opens = threading.Event()

    def open_slowly(*_: Any, **__: Any) -> Any:
        opens.set()
        time.sleep(0.5)
        raise AssertionError("nobody waits for this client any more")

    monkeypatch.setattr(AwsJobHook, "get_client_type", open_slowly)
    waiting = asyncio.create_task(event(trigger(run)))
    await asyncio.to_thread(opens.wait, 10)
    waiting.cancel("killed by its user")
    with pytest.raises(asyncio.CancelledError, match="killed by its user"):
        await waiting


async def test_a_kill_of_a_trigger_that_only_moved_cancels_nothing(
    aws: Emulator, run: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow calls on_kill as well when a trigger is handed to another triggerer."""
    monkeypatch.setattr(aws_job, "still_waits", _says(True))
    await trigger(run, cancel_on_kill=True).on_kill()
    assert aws.jobs()[0]["cancels"] == 0


async def test_a_kill_without_cancel_on_kill_cancels_nothing(aws: Emulator, run: dict[str, Any]) -> None:
    """A sensor's trigger, and one whose author said so, cancel nothing."""
    await trigger(run, cancel_on_kill=False).on_kill()
    assert aws.jobs()[0]["cancels"] == 0


def _says(answer: Any) -> Any:
    async def still_waits(*_: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return still_waits
