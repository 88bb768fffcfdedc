"""What a try does about the job of the try before, over real HTTP; each test for every job type."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from airflow_jobs_provider.exceptions import (
    AwsApiError,
    AwsJobError,
    JobExistsError,
)
from airflow_jobs_provider.jobs.errors import ErrorKind
from airflow_jobs_provider.operators.earlier import EarlierJob
from tests.cases import CASES, ROLE, Case
from tests.conftest import Context, TaskInstance
from tests.operators.scenes import (
    check_replaced,
    crashed,
    deferred,
    died,
    died_in_the_start,
    named_before,
    not_seen_once,
    only_job,
    tokened,
    tokenless,
)

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import Emulator


def test_a_retry_takes_the_running_job_over(case: Case, aws: Emulator, context: Context) -> None:
    """A worker that died must not cost a second job."""
    aws.configure(case.job_type.name, duration=0.5)
    job = crashed(case, aws, context)
    result = case.start().execute(context.retried())
    assert result["status"] == case.succeeded
    assert only_job(aws)["ids"] == job["ids"]


def test_a_retry_that_cannot_ask_whose_the_account_is_keeps_the_job(
    aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A moment without STS must not cost a job of hours."""
    [quicksight] = [case for case in CASES if case.name == "quicksight-ingestion"]
    monkeypatch.setattr("airflow_jobs_provider.operators.common._PAUSE", 0.1)
    aws.configure(quicksight.name, duration=0.5)
    crashed(quicksight, aws, context, aws_account_id=None)
    aws.fault("error", code="ExpiredToken", service="sts", times=3)
    result = quicksight.start(aws_account_id=None).execute(context.retried())
    assert result["status"] == quicksight.succeeded
    assert only_job(aws)["cancels"] == 0


def test_a_retry_whose_role_cannot_be_assumed_yet_keeps_the_job(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To make a client is a call of STS, then, which comes before all others."""
    told = {"conn_type": "aws", "extra": {"region_name": "eu-west-1", "role_arn": ROLE}}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_JOBS", json.dumps(told))
    monkeypatch.setattr("airflow_jobs_provider.operators.common._PAUSE", 0.1)
    aws.configure(case.name, duration=0.5)
    crashed(case, aws, context, aws_conn_id="aws_jobs")
    aws.fault("error", code="ExpiredToken", service="sts", operation="AssumeRole", times=3)
    assert case.start(aws_conn_id="aws_jobs").execute(context.retried())["status"] == case.succeeded
    assert only_job(aws)["cancels"] == 0


def test_a_retry_returns_the_result_of_a_job_that_succeeded(
    case: Case, aws: Emulator, context: Context
) -> None:
    """Airflow can fail a deferred task whose job is done (apache/airflow#72716): it must not run twice."""
    aws.configure(case.job_type.name, duration=0.1)
    event = deferred(case.start(deferrable=True), context)
    time.sleep(0.2)
    case.start().execute_complete(context, None, **event.kwargs)
    assert case.start().execute(context.retried())["status"] == case.succeeded
    assert len(aws.jobs()) == 1


def test_a_retry_after_a_failure_starts_anew(case: Case, aws: Emulator, context: Context) -> None:
    """A job that failed is no job to take over."""
    aws.script(case.job_type.name, duration=0.1, **case.failed)
    aws.configure(case.job_type.name, duration=0.1)
    crashed(case, aws, context)
    time.sleep(0.2)
    assert case.start().execute(context.retried())["status"] == case.succeeded
    assert len(aws.jobs()) == 2


@pytest.mark.parametrize(("kind", "starts"), [("drop_after", 1), ("drop", 1)])
@tokened
def test_a_retry_asks_again_for_a_start_that_was_never_answered(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch, kind: str, starts: int
) -> None:
    """A worker that died inside the start call: its token finds the job, or starts it."""
    aws.configure(case.job_type.name, duration=0.5)
    aws.fault(kind, operation=case.job_type.start.api_name, times=1)
    died_in_the_start(case, context, monkeypatch)
    assert case.start().execute(context.retried())["status"] == case.succeeded
    assert len(aws.jobs()) == starts


@tokened
def test_a_late_retry_that_asks_again_does_not_start_another(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retry comes minutes later; the job that it starts itself then may not be seen by AWS yet."""
    aws.configure(case.job_type.name, duration=0.5)
    died(case, context, monkeypatch, sent=False)
    context["task_state_store"].values["aws_job"]["started_at"] -= 300
    not_seen_once(case, aws)
    assert case.start().execute(context.retried())["status"] == case.succeeded
    assert len(aws.jobs()) == 1


@tokened
def test_a_retry_whose_unanswered_start_has_failed_starts_another(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure of a job that nobody waited for must not use up the retry."""
    aws.script(case.job_type.name, duration=0.1, **case.failed)
    aws.configure(case.job_type.name, duration=0.1)
    aws.fault("drop_after", operation=case.job_type.start.api_name, times=1)
    died_in_the_start(case, context, monkeypatch)
    time.sleep(0.2)
    assert case.start().execute(context.retried())["status"] == case.succeeded
    assert len(aws.jobs()) == 2


def test_a_job_not_seen_yet_is_not_started_again(case: Case, aws: Emulator, context: Context) -> None:
    """A worker that died in the first seconds: AWS may not find its job yet, but it is there."""
    aws.configure(case.job_type.name, duration=0.5)
    crashed(case, aws, context)
    not_seen_once(case, aws)
    assert case.start().execute(context.retried())["status"] == case.succeeded
    assert len(aws.jobs()) == 1


def test_a_retry_that_may_not_read_the_old_job_ends_it(case: Case, aws: Emulator, context: Context) -> None:
    """A retry that fails before it has taken the job over must not leave it to nobody."""
    aws.configure(case.job_type.name, duration=60)
    crashed(case, aws, context)
    aws.fault("error", code="AccessDeniedException", operation=case.job_type.describe.api_name)
    with pytest.raises(AwsJobError, match=r"could not be read: .* of try 1: .*hand: aws"):
        case.start().execute(context.retried())
    assert only_job(aws)["status"] == case.cancelled


def test_a_retry_whose_parameters_are_bad_ends_the_old_job(
    case: Case, aws: Emulator, context: Context
) -> None:
    """A template that renders to nothing in the second try must not leave the first one's job."""
    aws.configure(case.job_type.name, duration=60)
    crashed(case, aws, context)
    operator = case.start()
    setattr(operator, next(iter(case.target)), "")  # what rendering does
    with pytest.raises(ValueError, match="must be"):
        operator.execute(context.retried())
    assert only_job(aws)["status"] == case.cancelled


@pytest.mark.parametrize(
    "record",
    [
        "ingestion-7",
        {},
        {"run": {"job_type": "bedrock-ingestion"}},
        {"run": {"job_type": "glue-job", "ids": {"run_id": "jr_7"}, "region": "eu-west-1"}},
    ],
)
@named_before
def test_a_record_that_cannot_be_read_is_said(
    case: Case, aws: Emulator, context: Context, caplog: pytest.LogCaptureFixture, record: Any
) -> None:
    """Another version has written it: on-call must see what it says, and the task must not fail for ever."""
    aws.configure(case.job_type.name, duration=0.1)
    crashed(case, aws, context)
    [kept] = context["task_state_store"].values.values()
    context["task_state_store"].set("aws_job", {**kept, **record} if "ids" in str(record) else record)
    assert case.start().execute(context.retried())["status"] == case.succeeded
    assert "cannot be read by this version; its job may be running" in caplog.text


def test_a_region_that_is_wrong_by_now_does_not_hide_the_old_job(
    case: Case, aws: Emulator, context: Context
) -> None:
    """A clear after a typing error in the region must still end the job of before."""
    aws.configure(case.job_type.name, duration=60)
    crashed(case, aws, context, region_name="us-east-1")
    operator = case.start(region_name="{{ params.region }}")
    operator.region_name = "us east 1"  # what rendering does
    with pytest.raises(ValueError, match="region_name must be"):
        operator.execute(context.cleared())
    assert only_job(aws)["status"] == case.cancelled


@named_before
def test_a_quota_that_the_lost_start_has_used_up_finds_its_job(
    case: Case, aws: Emulator, context: Context
) -> None:
    """The start that was not answered may have been the last one allowed: its job must not be cancelled."""
    aws.configure(case.job_type.name, duration=0.2)
    code = str(case.code(ErrorKind.QUOTA))
    aws.fault("drop_after", operation=case.job_type.start.api_name, times=1)
    aws.fault("error", code=code, operation=case.job_type.start.api_name, times=1)
    assert case.start().execute(context)["status"] == case.succeeded
    assert only_job(aws)["cancels"] == 0


def test_a_clear_after_a_success_asks_nothing_about_it(case: Case, aws: Emulator, context: Context) -> None:
    """The connection may lead to another account by now; the job that has succeeded is no obstacle."""
    aws.configure(case.job_type.name, duration=0.1)
    case.start().execute(context)
    read = len(aws.journal(case.job_type.describe.api_name))
    aws.fault("error", code="AccessDeniedException", operation=case.job_type.describe.api_name, times=1)
    with pytest.raises(AwsApiError):  # the new job's reading, not the old one's
        case.start().execute(context.cleared())
    assert len(aws.jobs()) == 2
    assert len(aws.journal(case.job_type.describe.api_name)) > read


def test_a_clear_finds_the_old_job_in_its_region(case: Case, aws: Emulator, context: Context) -> None:
    """A DAG whose region was mended must not leave the job in the wrong one."""
    aws.script(case.job_type.name, duration=60)
    aws.configure(case.job_type.name, duration=0.2)
    crashed(case, aws, context, region_name="us-east-1")
    case.start(region_name="eu-west-1").execute(context.cleared())
    assert [(job["region"], job["status"]) for job in aws.jobs()] == [
        ("us-east-1", case.cancelled),
        ("eu-west-1", case.succeeded),
    ]


def test_a_clear_after_fewer_retries_is_still_a_clear(case: Case, aws: Emulator, context: Context) -> None:
    """A clear sets max_tries by the task's retries: lowered by one, it stays what it was."""
    aws.configure(case.job_type.name, duration=0.1)
    event = deferred(case.start(deferrable=True, retries=1), context)
    time.sleep(0.2)
    case.start(retries=1).execute_complete(context, None, **event.kwargs)
    case.start(retries=0).execute(context.retried())
    assert len(aws.jobs()) == 2


def test_without_durable_a_try_that_keeps_its_id_takes_nothing_over(
    case: Case, aws: Emulator, context: Context
) -> None:
    """Airflow keeps the id of a task instance that it fails while it is queued."""
    aws.script(case.job_type.name, duration=60)
    aws.configure(case.job_type.name, duration=0.1)
    crashed(case, aws, context)
    again = context.retried()
    again["ti"].id = context["ti"].id
    case.start(durable=False).execute(again)
    assert [job["status"] for job in aws.jobs()] == [case.cancelled, case.succeeded]


def test_an_old_job_that_vanishes_is_no_obstacle(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody may delete the old job while a cleared task is about to cancel it."""
    monkeypatch.setattr("airflow_jobs_provider.watch._EVENTUALLY_CONSISTENT", 0.0)
    aws.script(case.job_type.name, duration=60)
    aws.configure(case.job_type.name, duration=0.1)
    crashed(case, aws, context)
    code = next(code for code, kind in case.job_type.errors.items() if kind.value == "not found")
    aws.fault("error", code=code, operation=case.job_type.cancel.api_name)
    aws.settle(
        case.job_type.name, {}, next(s for s, k in case.job_type.states.items() if k.value == "running")
    )
    monkeypatch.setattr(EarlierJob, "_read", _then_delete(aws, case))
    assert case.start().execute(context.cleared())["status"] == case.succeeded


def _then_delete(aws: Emulator, case: Case) -> Any:
    read = EarlierJob._read

    def read_and_delete(*arguments: Any) -> Any:
        found = read(*arguments)
        aws.delete(case.job_type.name, {})
        return found

    return read_and_delete


def test_without_durable_a_retry_cancels_and_starts_anew(case: Case, aws: Emulator, context: Context) -> None:
    """An author who wants every try fresh must still never have two jobs at once."""
    aws.script(case.job_type.name, duration=60, cancel_delay=0.3)
    aws.configure(case.job_type.name, duration=0.2)
    crashed(case, aws, context)
    case.start(durable=False).execute(context.retried())
    check_replaced(case, aws)


def test_a_clear_cancels_and_starts_anew(case: Case, aws: Emulator, context: Context) -> None:
    """A clear means a new job, and never two at once."""
    aws.script(case.job_type.name, duration=60, cancel_delay=0.3)
    aws.configure(case.job_type.name, duration=0.2)
    crashed(case, aws, context)
    assert case.start().execute(context.cleared())["status"] == case.succeeded
    check_replaced(case, aws)


def test_a_clear_of_a_running_task_is_no_retry(case: Case, aws: Emulator, context: Context) -> None:
    """Airflow leaves max_tries as it is; a job that the old worker cancels must not be taken over."""
    aws.script(case.job_type.name, duration=60, cancel_delay=1)
    aws.configure(case.job_type.name, duration=0.2)
    crashed(case, aws, context)
    later = context.retried()
    later["dag_run"].clear_number = 1
    assert case.start().execute(later)["status"] == case.succeeded
    check_replaced(case, aws)


def test_a_deleted_task_instance_counts_as_cleared(case: Case, aws: Emulator, context: Context) -> None:
    """A task instance made again starts to count its tries anew: that is no retry."""
    aws.script(case.job_type.name, duration=60)
    aws.configure(case.job_type.name, duration=0.2)
    crashed(case, aws, context)
    case.start().execute(Context(TaskInstance(), context["task_state_store"]))
    assert [job["status"] for job in aws.jobs()] == [case.cancelled, case.succeeded]


def test_with_cancel_on_kill_off_the_old_job_goes_on(case: Case, aws: Emulator, context: Context) -> None:
    """Who switched cancelling off must find the old job running, and a new one after a clear."""
    aws.script(case.job_type.name, duration=1)
    aws.configure(case.job_type.name, duration=0.2)
    crashed(case, aws, context, cancel_on_kill=False)
    case.start(cancel_on_kill=False).execute(context.cleared())
    first, second = aws.jobs()
    assert (first["cancels"], second["status"]) == (0, case.succeeded)


def test_another_request_is_not_taken_over(case: Case, aws: Emulator, context: Context) -> None:
    """A retry after the DAG was mended must not wait for the job of the broken DAG."""
    aws.script(case.job_type.name, duration=60)
    aws.configure(case.job_type.name, duration=0.2)
    crashed(case, aws, context)
    case.start(**case.other_target).execute(context.retried())
    assert [job["status"] for job in aws.jobs()] == [case.cancelled, case.succeeded]


@tokened
def test_an_id_of_the_authors_own_is_never_adopted(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A static id would otherwise return yesterday's success."""
    token = str(case.job_type.token)
    aws.configure(case.job_type.name, duration=0.1)
    own = {token: case.token, **({case.job_type.label: "mine"} if case.job_type.label else {})}
    case.start(**own).execute(Context())
    monkeypatch.setattr("airflow_jobs_provider.operators.unanswered._SKEW", -0.01)
    with pytest.raises(JobExistsError, match=f"{token} '{case.token}' was used before"):
        case.start(**own).execute(context)
    assert context["task_state_store"].values == {}
    with pytest.raises(JobExistsError, match=f"{token} '{case.token}' was used before"):
        case.start(**{token: case.token}).execute(context)
    assert context["task_state_store"].values == {}
    assert len(aws.jobs()) == 1


@tokened
def test_a_clear_learns_of_a_start_that_was_never_answered(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job whose id nobody was told must be ended all the same before another is started."""
    aws.script(case.job_type.name, duration=60)
    aws.configure(case.job_type.name, duration=0.2)
    aws.fault("drop_after", operation=case.job_type.start.api_name, times=1)
    died_in_the_start(case, context, monkeypatch)
    assert case.start().execute(context.cleared())["status"] == case.succeeded
    assert check_replaced(case, aws)["status"] == case.succeeded


@tokenless
def test_a_start_without_token_that_was_never_answered_is_said(
    case: Case,
    aws: Emulator,
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where the API has no token, on-call must at least be told that a job may be running."""
    aws.configure(case.job_type.name, duration=0.2)
    died(case, context, monkeypatch, sent=False)
    assert case.start().execute(context.retried())["status"] == case.succeeded
    assert (
        "try 1 was about to start a job and never heard of it; it may be running" in capsys.readouterr().out
    )


@tokened
def test_a_start_that_is_to_be_left_alone_is_not_asked_for_again(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To learn the id of a job that nobody would cancel, the question itself would start it."""
    aws.configure(case.job_type.name, duration=0.1)
    aws.fault("drop", operation=case.job_type.start.api_name, times=1)
    died_in_the_start(case, context, monkeypatch)
    monkeypatch.setattr("airflow_jobs_provider.watch._EVENTUALLY_CONSISTENT", 0.0)
    case.start(cancel_on_kill=False).execute(context.cleared())
    assert len(aws.jobs()) == 1


@tokened
def test_a_start_that_cannot_be_asked_for_again_is_not_forgotten(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A right that is missing for an hour must not hide a job for ever."""
    aws.script(case.job_type.name, duration=60)
    aws.configure(case.job_type.name, duration=0.1)
    aws.fault("drop_after", operation=case.job_type.start.api_name, times=1)
    died_in_the_start(case, context, monkeypatch)
    cleared = context.cleared()
    aws.fault("error", code="AccessDeniedException")
    with pytest.raises(AwsJobError, match="AccessDeniedException"):
        case.start().execute(cleared)
    aws.clear_faults()
    assert case.start().execute(cleared.retried())["status"] == case.succeeded
    assert [job["status"] for job in aws.jobs()] == [case.cancelled, case.succeeded]


def test_the_end_of_an_old_job_is_awaited_in_the_triggerer(
    case: Case, aws: Emulator, context: Context
) -> None:
    """A rollback that takes an hour must hold no worker."""
    aws.script(case.job_type.name, duration=600, cancel_delay=600)
    aws.configure(case.job_type.name, duration=600)
    crashed(case, aws, context)
    cleared = context.cleared()
    operator = case.start(deferrable=True)
    event = deferred(operator, cleared)
    assert event.method_name == "start_again"
    assert event.trigger.cancel_on_kill is False
    assert len(aws.jobs()) == 1
    aws.settle(case.job_type.name, {}, case.cancelled)
    with pytest.raises(TaskDeferred) as caught:
        operator.start_again(cleared, event={"snapshot": {}}, **event.kwargs)
    assert caught.value.method_name == "execute_complete"
    first, second = aws.jobs()
    assert (first["status"], first["cancels"]) == (case.cancelled, 1)
    assert first["ended"] <= second["created"]


@pytest.mark.parametrize("deferrable", [False, True])
def test_an_old_job_that_does_not_end_is_said(
    case: Case, aws: Emulator, context: Context, deferrable: bool
) -> None:
    """A rollback that hangs must not make its task wait for ever, and never be overtaken by another job."""
    aws.configure(case.job_type.name, duration=60, cancel_delay=60)
    crashed(case, aws, context)
    cleared = context.cleared()
    operator = case.start(cancel_timeout=60 if deferrable else 1, deferrable=deferrable)
    if deferrable:
        assert deferred(operator, cleared).trigger.deadline == cleared["ti"].start_date.timestamp() + 60
        cleared["ti"].start_date -= timedelta(seconds=60)
    with pytest.raises(AwsJobError, match=r"has not within cancel_timeout=\d+ seconds"):
        operator.start_again(cleared)
    assert len(aws.jobs()) == 1
