"""Kills of tasks that start in the triggerer, over real HTTP, for every job type."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from airflow.sdk.exceptions import TaskDeferralError

from airflow_jobs_provider.operators.held import HeldJob
from airflow_jobs_provider.operators.triggered import TriggeredOperator
from airflow_jobs_provider.triggers import aws_job
from tests.conftest import Context, TaskInstance
from tests.operators.scenes import only_job
from tests.triggers.supervisor import Supervisor
from tests.triggers.tasks import (
    WORKERLESS,
    begun,
    die,
    event,
    keep_record,
    kill,
    trigger,
    until,
)

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import Emulator
    from tests.cases import Case

pytestmark = pytest.mark.usefixtures("airflow")


async def test_a_kill_cancels(case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance) -> None:
    """A task that was marked, or cleared, takes its job with it."""
    aws.configure(case.name, duration=60)
    made = trigger(case.start(**WORKERLESS), ti)
    running = await begun(made, aws)
    airflow.state = "failed"
    await kill(running, made)
    assert only_job(aws)["status"] == case.cancelled


async def test_a_kill_in_a_start_cancels(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance
) -> None:
    """The start's answer is on its way when the task is marked."""
    aws.configure(case.name, duration=60)
    aws.fault("delay", delay=0.7, operation=case.job_type.start.api_name, times=1)
    made = trigger(case.start(**WORKERLESS), ti)
    running = asyncio.create_task(event(made))
    await until(lambda: aws.journal(case.job_type.start.api_name))
    assert aws.jobs() == []
    airflow.state = "failed"
    await kill(running, made)
    # Until AWS has carried the start out there is nothing to be seen, whatever the kill has done.
    await until(lambda: all(call["outcome"] != "in flight" for call in aws.journal()))
    assert aws.jobs()
    await until(lambda: {job["status"] for job in aws.jobs()} == {case.cancelled})


@pytest.mark.parametrize("cancel_on_kill", [True, False], ids=["cancels", "keeps"])
async def test_a_kill_in_a_start_that_outlasts_the_tasks_log_is_announced_in_it(
    case: Case,
    aws: Emulator,
    airflow: Supervisor,
    ti: TaskInstance,
    capsys: pytest.CaptureFixture[str],
    cancel_on_kill: bool,
) -> None:
    """Airflow closes the log when on_kill is cancelled: what becomes of the job is said where few look."""
    aws.configure(case.name, duration=60)
    start, cancel = case.job_type.start.api_name, case.job_type.cancel
    aws.fault("delay", delay=1.5, operation=start, times=1)
    made = trigger(case.start(**WORKERLESS, cancel_on_kill=cancel_on_kill), ti)
    running = asyncio.create_task(event(made))
    await until(lambda: aws.journal(start))
    airflow.state = "failed"
    running.cancel("user-action")
    with pytest.raises(asyncio.CancelledError, match="user-action"):
        await running
    killing = asyncio.create_task(made.on_kill())
    await asyncio.sleep(0.2)
    killing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await killing
    [told] = [line for line in capsys.readouterr().out.splitlines() if "not certain yet" in line]
    assert "in its own log" in told
    command = f"To cancel it by hand: aws {case.job_type.service} {cancel.cli_name} --"
    named_before = case.job_type.token in case.job_type.identity
    assert (command in told) == (cancel_on_kill and named_before)
    assert ("what this task was doing" in told) != cancel_on_kill
    await asyncio.gather(*aws_job._cancels)
    said = capsys.readouterr().out
    assert "not certain yet" not in said
    job = only_job(aws)
    assert list(job["ids"].values())[-1] in said
    assert job["cancels"] > 0 if cancel_on_kill else job["cancels"] == 0


async def test_a_kill_in_a_start_cancels_for_as_long_as_any_other(
    case: Case,
    aws: Emulator,
    airflow: Supervisor,
    ti: TaskInstance,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A marked task has no next try: a worker's two minutes are less than an outage of AWS lasts."""
    aws.configure(case.name, duration=60)
    start, cancel = case.job_type.start.api_name, case.job_type.cancel
    aws.fault("delay", delay=0.5, operation=start, times=1)
    aws.fault("throttle", operation=cancel.api_name)
    monkeypatch.setattr(TriggeredOperator, "cancel_patience", 0.0)
    # The thread of a kill has four seconds, and may have no luck in them.
    monkeypatch.setattr(HeldJob, "kill", lambda held: setattr(held, "killed", True))
    made = trigger(case.start(**WORKERLESS), ti)
    running = asyncio.create_task(event(made))
    await until(lambda: aws.journal(start))
    airflow.state = "failed"
    killing = asyncio.create_task(kill(running, made))
    # A patience of nothing ends with the first attempt.
    await until(lambda: "trying again" in capsys.readouterr().out)
    aws.clear_faults()
    await killing
    assert only_job(aws)["status"] == case.cancelled


async def test_a_kill_in_a_start_without_an_answer_looks_for_the_job_as_long(
    case: Case,
    aws: Emulator,
    airflow: Supervisor,
    ti: TaskInstance,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The answer is lost, and AWS throttles for longer than the four seconds of a worker's kill."""
    aws.configure(case.name, duration=60)
    start = case.job_type.start.api_name
    aws.fault("drop_after", operation=start, times=1)
    # As if its four seconds were over.
    monkeypatch.setattr(HeldJob, "kill", lambda held: setattr(held, "killed", True))
    # The first pause between two attempts of a start: a kill comes in it.
    made = trigger(case.start(**WORKERLESS), ti)
    running = asyncio.create_task(event(made))
    await until(lambda: [call for call in aws.journal(start) if call["outcome"] != "in flight"])
    aws.fault("throttle")
    airflow.state = "failed"
    killing = asyncio.create_task(kill(running, made))
    throttled = len(aws.journal())
    await until(lambda: len(aws.journal()) > throttled)
    await asyncio.sleep(1)
    assert not killing.done()
    aws.clear_faults()
    await killing
    assert only_job(aws)["status"] == case.cancelled


async def test_a_kill_before_the_trigger_has_looked_ends_the_earlier_job(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance
) -> None:
    """Nobody was told of the clear, and its next try is marked before it has done anything."""
    aws.configure(case.name, duration=60)
    first = trigger(case.start(**WORKERLESS), ti)
    await die(await begun(first, aws), first)
    later = trigger(case.start(**WORKERLESS), TaskInstance(try_number=2, state="deferred"))
    airflow.state = "failed"
    await later.on_kill()
    assert only_job(aws)["status"] == case.cancelled


async def test_a_trigger_that_fails_before_it_has_looked_ends_the_earlier_job(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance
) -> None:
    """Airflow resumes with __fail__, in a worker."""
    aws.configure(case.name, duration=60)
    operator = case.start(**WORKERLESS)
    first = trigger(operator, ti)
    await die(await begun(first, aws), first)
    later = TaskInstance(try_number=2)
    later.xcoms = airflow.pulled
    with pytest.raises(TaskDeferralError):
        operator.resume_execution("__fail__", {"error": "Trigger failure"}, Context(later))
    assert only_job(aws)["status"] == case.cancelled


async def test_a_kill_after_the_next_try_has_begun_cancels_the_old_job(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance
) -> None:
    """After a clear the task is deferred again: the id in the record tells whose job is whose."""
    aws.configure(case.name, duration=60)
    made = trigger(case.start(**WORKERLESS), ti)
    running = await begun(made, aws)
    stored = {**airflow.pulled["aws_job"], "ti_id": "another", "try_number": 2}
    await keep_record(airflow, stored)
    await kill(running, made)
    assert only_job(aws)["status"] == case.cancelled
    assert airflow.pulled["aws_job"] == stored
