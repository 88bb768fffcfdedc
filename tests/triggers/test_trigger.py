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
from tests.conftest import Context
from tests.triggers.jobs import event, says, trigger
from tests.triggers.tasks import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_jobs_provider.testing import Emulator
    from tests.cases import Case


@pytest.fixture
def run(case: Case, aws: Emulator) -> dict[str, Any]:
    """Start a job, and return its identity as triggers take it."""
    aws.configure(case.job_type.name, duration=60)
    result = case.start(wait_for_completion=False).execute(Context())
    ids = {name: result[name] for name in case.job_type.identity if result[name] is not None}
    return {"job_type": case.job_type.name, "ids": ids, "region": "eu-west-1"}


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


async def test_the_deadline_does_not_wait_for_a_slow_answer(
    case: Case, aws: Emulator, run: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An API that answers minutes late must not keep a sensor beyond its time-out."""
    monkeypatch.setattr(aws_job, "_LATE_READING", 0.2)
    aws.fault("delay", delay=30, operation=case.job_type.describe.api_name)
    deadline = time.time() + 0.3
    waiting = asyncio.create_task(event(trigger(run, deadline=deadline)))
    assert (await asyncio.wait_for(waiting, 20))["deadline"] == deadline


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
    monkeypatch.setattr(aws_job, "still_waits", says(RuntimeError("no supervisor")))
    aws.fault("delay", delay=0.5, operation=case.job_type.cancel.api_name, times=1)
    killed = asyncio.create_task(trigger(run, cancel_on_kill=True).on_kill())
    await asyncio.sleep(0.2)
    killed.cancel()
    with pytest.raises(asyncio.CancelledError):
        await killed
    await asyncio.gather(*aws_job._cancels)
    assert aws.jobs()[0]["status"] == case.cancelled
    assert not aws_job._cancels


async def killed_as_airflow_does(waiting: AwsJobTrigger, after: Callable[[], object]) -> None:
    """Call a trigger's on_kill, and cancel it, as Airflow does a second later."""
    killing = asyncio.create_task(waiting.on_kill())
    await until(after)
    killing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await killing


async def test_a_cancel_that_outlasts_the_tasks_log_is_announced_in_it(
    case: Case,
    aws: Emulator,
    run: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Airflow closes the log when on_kill is cancelled: how the cancel ends is said where few people look."""
    monkeypatch.setattr(aws_job, "still_waits", says(False))
    cancel = case.job_type.cancel
    aws.fault("throttle", operation=cancel.api_name)
    await killed_as_airflow_does(trigger(run, cancel_on_kill=True), lambda: aws.journal(cancel.api_name))
    [told] = [line for line in capsys.readouterr().out.splitlines() if "not certain yet" in line]
    assert list(run["ids"].values())[-1] in told
    assert "for up to 10 minutes" in told
    assert "in its own log" in told
    assert f"To cancel it by hand: aws {case.job_type.service} {cancel.cli_name} --" in told
    aws.clear_faults()
    await asyncio.gather(*aws_job._cancels)
    said = capsys.readouterr().out
    assert "is cancelled (" in said or "is to end; it is still" in said
    assert "not certain yet" not in said


async def test_a_cancel_that_is_done_is_not_announced(
    case: Case,
    aws: Emulator,
    run: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A command to cancel by hand, for a job that is cancelled, would wake people for nothing."""
    monkeypatch.setattr(aws_job, "still_waits", says(False))
    await trigger(run, cancel_on_kill=True).on_kill()
    assert aws.jobs()[0]["cancels"] == 1
    assert "not certain yet" not in capsys.readouterr().out


async def test_a_cancel_that_fails_is_said_with_the_command(
    case: Case,
    aws: Emulator,
    run: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A missing right is said at once; who reads the log must be able to cancel by hand."""
    monkeypatch.setattr(aws_job, "still_waits", says(False))
    cancel = case.job_type.cancel
    aws.fault("error", code="AccessDeniedException", operation=cancel.api_name)
    await trigger(run, cancel_on_kill=True).on_kill()
    [told] = [line for line in capsys.readouterr().out.splitlines() if "may still be running" in line]
    assert "AccessDeniedException" in told
    assert f"To cancel it by hand: aws {case.job_type.service} {cancel.cli_name} --" in told
    assert aws.jobs()[0]["cancels"] == 0


async def test_a_cancel_that_is_given_up_is_said_with_the_command(
    case: Case,
    aws: Emulator,
    run: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """After ten minutes without AWS nobody cancels any more: the last line must say so, and how to."""
    monkeypatch.setattr(aws_job, "still_waits", says(False))
    monkeypatch.setattr(aws_job, "CANCEL_PATIENCE", 0.6)
    cancel = case.job_type.cancel
    aws.fault("throttle", operation=cancel.api_name)
    await trigger(run, cancel_on_kill=True).on_kill()
    [told] = [line for line in capsys.readouterr().out.splitlines() if "may still be running" in line]
    assert f"To cancel it by hand: aws {case.job_type.service} {cancel.cli_name} --" in told


async def test_a_cancel_that_breaks_is_said_with_the_command(
    case: Case,
    run: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever it is, an exception of a task of the event loop would reach nobody."""
    monkeypatch.setattr(aws_job, "still_waits", says(False))

    async def breaks(*_: Any) -> Any:
        raise RuntimeError("out of sockets")

    monkeypatch.setattr(AwsJobHook, "arequest_cancel", breaks)
    await trigger(run, cancel_on_kill=True).on_kill()
    [told] = [line for line in capsys.readouterr().out.splitlines() if "may still be running" in line]
    assert "out of sockets" in told
    assert f"aws {case.job_type.service} {case.job_type.cancel.cli_name} --" in told


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
    monkeypatch.setattr(aws_job, "still_waits", says(True))
    await trigger(run, cancel_on_kill=True).on_kill()
    assert aws.jobs()[0]["cancels"] == 0


async def test_a_kill_without_cancel_on_kill_cancels_nothing(aws: Emulator, run: dict[str, Any]) -> None:
    """A sensor's trigger, and one whose author said so, cancel nothing."""
    await trigger(run, cancel_on_kill=False).on_kill()
    assert aws.jobs()[0]["cancels"] == 0
