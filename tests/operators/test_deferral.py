"""How a deferred task ends, over real HTTP; each test for every job type."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout, TaskDeferralError, TaskDeferralTimeout, TaskDeferred

from airflow_jobs_provider.exceptions import (
    AwsApiError,
    AwsJobError,
)
from airflow_jobs_provider.jobs.run import JobRun
from airflow_jobs_provider.operators.base import StartJobOperator
from tests.cases import Case
from tests.conftest import Context
from tests.operators.scenes import (
    deferred,
    during,
    only_job,
)

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import Emulator


def test_a_deadline_while_deferred_cancels(case: Case, aws: Emulator, context: Context) -> None:
    """Airflow does not enforce execution_timeout while a task is deferred: we do."""
    aws.configure(case.job_type.name, duration=60)
    operator = case.start(deferrable=True, execution_timeout=timedelta(minutes=5))
    event = deferred(operator, context)
    deadline = context["ti"].start_date.timestamp() + 300
    assert event.trigger.serialize()[1]["deadline"] == deadline
    assert event.timeout is not None
    assert event.timeout > timedelta(minutes=5)
    with pytest.raises(AirflowTaskTimeout, match="execution_timeout"):
        operator.execute_complete(context, {**event.kwargs["wait"], "deadline": deadline}, **event.kwargs)
    assert only_job(aws)["status"] == case.cancelled


@pytest.mark.parametrize(
    ("error", "raised"),
    [("Trigger failure", TaskDeferralError), ("Trigger timeout", TaskDeferralTimeout)],
    ids=["it failed", "nobody reported the deadline"],
)
def test_a_broken_trigger_cancels(
    case: Case, aws: Emulator, context: Context, error: str, raised: type[Exception]
) -> None:
    """A trigger that dies calls no on_kill: the task that resumes to fail must see to the job."""
    aws.configure(case.job_type.name, duration=60)
    deferred(case.start(deferrable=True), context)
    with pytest.raises(raised):
        case.start().resume_execution("__fail__", {"error": error}, context)
    assert only_job(aws)["status"] == case.cancelled


def test_a_broken_trigger_of_a_job_that_is_done_returns_its_result(
    case: Case, aws: Emulator, context: Context
) -> None:
    """With the triggerer down, a job may have ended long ago: its result counts."""
    aws.configure(case.job_type.name, duration=0.1)
    deferred(case.start(deferrable=True), context)
    time.sleep(0.2)
    result = case.start().resume_execution("__fail__", {"error": "Trigger timeout"}, context)
    assert result["status"] == case.succeeded


def test_an_event_alone_is_enough(case: Case, aws: Emulator, context: Context) -> None:
    """``airflow dags test`` drops what a task gave to defer."""
    aws.configure(case.job_type.name, duration=0.1)
    operator = case.start(deferrable=True)
    event = deferred(operator, context)
    time.sleep(0.2)
    snapshot = operator.look(JobRun.from_json(event.kwargs["wait"]["run"]), 0.0)
    told = {**event.kwargs["wait"], "snapshot": snapshot.to_json()}
    assert operator.execute_complete(context, told)["status"] == case.succeeded


def test_an_event_of_another_job_is_not_believed(case: Case, aws: Emulator, context: Context) -> None:
    """On SQLite a task can be handed another trigger's event."""
    aws.configure(case.job_type.name, duration=60)
    operator = case.start(deferrable=True)
    event = deferred(operator, context)
    for foreign in ({"something": "else"}, context["ti"].start_date, None):
        with pytest.raises(TaskDeferred):
            operator.execute_complete(context, foreign, **event.kwargs)
    assert only_job(aws)["cancels"] == 0


def test_an_error_in_the_trigger_fails_the_task_and_cancels(
    case: Case, aws: Emulator, context: Context
) -> None:
    """A wait that cannot go on must not leave its job running."""
    aws.configure(case.job_type.name, duration=60)
    operator = case.start(deferrable=True)
    event = deferred(operator, context)
    told = {**event.kwargs["wait"], "error": "it answered Denied", "meaning": "fatal", "code": "Denied"}
    with pytest.raises(AwsApiError, match="it answered Denied") as caught:
        operator.execute_complete(context, told, **event.kwargs)
    assert caught.value.code == "Denied"
    assert only_job(aws)["status"] == case.cancelled


def test_a_deferred_start_does_not_outlast_its_time(case: Case, aws: Emulator, context: Context) -> None:
    """Airflow gives a task that resumes all of its time anew."""
    aws.fault("throttle", operation=case.job_type.start.api_name)
    context["ti"].start_date -= timedelta(seconds=60)
    with pytest.raises(AwsApiError, match="Throttl"):
        case.start(execution_timeout=timedelta(seconds=60)).execute(context)
    assert len(aws.journal(case.job_type.start.api_name)) == 1


@pytest.mark.parametrize("broken", [True, False], ids=["a broken trigger", "an event of another job"])
def test_a_kill_while_a_resumed_task_reads_its_job_cancels(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    """AWS may be silent for longer than the seconds that Airflow grants, and then the process is dead."""
    aws.configure(case.job_type.name, duration=60)
    event = deferred(case.start(deferrable=True), context)
    operator = case.start(deferrable=True)
    # What a process does that outlives the kill would hide what the kill has done.
    monkeypatch.setattr(StartJobOperator, "_abandon", lambda *_: None)
    describe = case.job_type.describe.api_name
    aws.fault("delay", delay=1, operation=describe, times=1)
    errors = (AwsJobError, TaskDeferralError)

    def resume() -> None:
        if broken:
            operator.resume_execution("__fail__", {"error": "Trigger failure"}, context)
        else:
            operator.execute_complete(context, {"something": "else"}, **event.kwargs)

    with during(aws, describe, operator.on_kill), pytest.raises(errors):
        resume()
    assert only_job(aws)["status"] == case.cancelled
