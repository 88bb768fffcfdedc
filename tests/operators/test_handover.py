"""What becomes of a job whose task Airflow did not defer; for every job type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from airflow_jobs_provider.links.aws_job import AwsJobLink
from tests.conftest import Context, TaskInstance
from tests.operators.scenes import crashed, only_job

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import Emulator
    from tests.cases import Case


def deferred(case: Case, context: Context, **options: Any) -> Any:
    """Return an operator that has started its job and has asked to be deferred."""
    operator = case.start(deferrable=True, **options)
    with pytest.raises(TaskDeferred):
        operator.execute(context)
    return operator


@pytest.mark.parametrize("map_index", [-1, 3])
@pytest.mark.parametrize("state", ["failed", "success", "skipped", "removed", "deleted"])
def test_a_task_that_ended_meanwhile_leaves_no_job(
    case: Case, aws: Emulator, state: str, map_index: int
) -> None:
    """The triggerer never hears of a deferral that Airflow refuses."""
    aws.configure(case.name, duration=60)
    context = Context(TaskInstance(map_index=map_index))
    operator = deferred(case, context)
    context["ti"].state = state
    AwsJobLink().get_link(operator, ti_key=context["ti"])
    assert only_job(aws)["status"] == case.cancelled


@pytest.mark.parametrize("state", ["deferred", "scheduled", "queued", "running", None])
def test_a_task_that_goes_on_keeps_its_job(case: Case, aws: Emulator, context: Context, state: str) -> None:
    """A trigger may fire before the process has ended; after a clear the next try sees to the job."""
    aws.configure(case.name, duration=60)
    operator = deferred(case, context)
    context["ti"].state = state
    # Airflow asks for links last, and stores the answer over what was stored.
    link = AwsJobLink().get_link(operator, ti_key=context["ti"])
    assert link == context["ti"].xcoms.get(AwsJobLink.xcom_key, "")
    assert only_job(aws)["cancels"] == 0


def test_a_job_that_is_to_go_on_goes_on(case: Case, aws: Emulator, context: Context) -> None:
    """cancel_on_kill=False holds for every kind of end."""
    aws.configure(case.name, duration=60)
    operator = deferred(case, context, cancel_on_kill=False)
    context["ti"].state = "failed"
    AwsJobLink().get_link(operator, ti_key=context["ti"])
    assert only_job(aws)["cancels"] == 0


def test_an_airflow_that_does_not_answer_has_most_probably_deferred_it(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not to know is no reason to cancel what a trigger waits for."""
    aws.configure(case.name, duration=60)
    operator = deferred(case, context)

    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("no answer")

    monkeypatch.setattr(context["ti"], "get_task_states", fails)
    AwsJobLink().get_link(operator, ti_key=context["ti"])
    assert only_job(aws)["cancels"] == 0


@pytest.mark.parametrize("state", ["failed", "up_for_retry"])
def test_a_task_that_failed_before_its_first_line_sees_to_the_job_so_far(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """A template may fail in a retry, or when a deferred task resumes: Airflow calls nothing of ours then.

    If it is tried again, the next try takes the job over.
    """
    aws.configure(case.name, duration=60)
    crashed(case, aws, context)
    later = context.retried()
    later["ti"].state = state
    monkeypatch.setattr(TaskInstance, "get_template_context", lambda _: later, raising=False)
    AwsJobLink().get_link(case.start(), ti_key=later["ti"])
    assert only_job(aws)["cancels"] == (state == "failed")


def test_a_task_that_failed_before_its_first_line_may_leave_nothing(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There was no try before."""
    context["ti"].state = "failed"
    monkeypatch.setattr(TaskInstance, "get_template_context", lambda _: context, raising=False)
    assert not AwsJobLink().get_link(case.start(), ti_key=context["ti"])
    assert not aws.jobs()
