"""The life of a job, over real HTTP; each test for every job type."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout, TaskDeferralError, TaskDeferred

from airflow_jobs_provider.exceptions import (
    AwsApiError,
    AwsJobError,
    JobCancelledError,
    JobExistsError,
    QuotaExceededError,
    TaskKilledError,
)
from airflow_jobs_provider.jobs.errors import ErrorKind
from airflow_jobs_provider.jobs.run import JobRun
from airflow_jobs_provider.links.aws_job import AwsJobLink
from airflow_jobs_provider.operators.base import StartJobOperator
from airflow_jobs_provider.operators.earlier import EarlierJob
from airflow_jobs_provider.operators.held import HeldJob
from airflow_jobs_provider.operators.record import JobRecord, JobRecordStore
from tests.cases import Case
from tests.conftest import Context, TaskInstance
from tests.operators.scenes import (
    check_replaced,
    crashed,
    death,
    deferred,
    died,
    during,
    killed,
    named_before,
    only_job,
    timed_out,
    tokened,
    tokenless,
    with_quota,
)

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import Emulator


def test_result_names_the_job(case: Case, aws: Emulator, context: Context) -> None:
    """A sensor and a cancel operator must take a result's keys as they are."""
    aws.configure(case.job_type.name, duration=0.3)
    result = case.start().execute(context)
    assert set(case.job_type.identity) <= set(result)
    assert result["status"] == case.succeeded
    assert result["region_name"] == "eu-west-1"
    assert result["details"]
    assert only_job(aws)["cancels"] == 0
    assert context["task_state_store"].values["aws_job"]["succeeded"] is True


def test_without_waiting_it_returns_what_the_start_answered(
    case: Case, aws: Emulator, context: Context
) -> None:
    """A task that does not wait must give the sensor its job, and a later clear the record of it."""
    aws.configure(case.job_type.name, duration=60)
    result = case.start(wait_for_completion=False).execute(context)
    assert set(case.job_type.identity) <= set(result)
    assert context["task_state_store"].values
    assert not aws.journal(case.job_type.describe.api_name)


def test_failure_says_why(case: Case, aws: Emulator, context: Context) -> None:
    """On-call must read in the exception what failed, why, and where to look."""
    aws.configure(case.job_type.name, duration=0.2, **case.failed)
    with pytest.raises(case.failure, match=re.escape(case.says)) as caught:
        case.start().execute(context)
    error = caught.value
    assert isinstance(error, AwsJobError)
    assert error.snapshot is not None
    assert error.run is not None
    assert case.job_type.describe_run(error.run) in str(error)
    assert (case.job_type.console_url(error.run) or "") in str(error)


def test_cancelled_by_somebody(case: Case, aws: Emulator, context: Context) -> None:
    """A job that somebody else cancelled is no success, and no mystery."""
    aws.configure(case.job_type.name, duration=0.2, status=case.cancelled)
    with pytest.raises(JobCancelledError, match="was cancelled"):
        case.start().execute(context)


@with_quota
def test_quota_is_told_after_one_request(case: Case, aws: Emulator, context: Context) -> None:
    """A start that is refused by the daily quota must say so, and not ask again and again."""
    code = str(case.code(ErrorKind.QUOTA))
    aws.fault("error", code=code, operation=case.job_type.start.api_name)
    with pytest.raises(QuotaExceededError, match=re.escape(case.job_type.quota_rule)):
        case.start().execute(context)
    assert len(aws.journal(case.job_type.start.api_name)) == 1
    assert context["task_state_store"].values == {}


@pytest.mark.parametrize("kind", ["throttle", "server_error", "drop", "drop_after", "expired_token"])
def test_a_start_that_goes_wrong_starts_one_job(
    case: Case, aws: Emulator, context: Context, kind: str
) -> None:
    """An answer that never came must not cost a second job."""
    aws.configure(case.job_type.name, duration=0.2)
    aws.fault(kind, operation=case.job_type.start.api_name, times=1)
    if case.job_type.token is None and kind in ("server_error", "drop"):
        with pytest.raises(AwsApiError, match=r"could not be started: .*; it may have been, and be running"):
            case.start().execute(context)
        assert len(aws.journal(case.job_type.start.api_name)) == 1
        return
    assert case.start().execute(context)["status"] == case.succeeded
    assert len(aws.jobs()) == 1


@pytest.mark.parametrize("kind", ["throttle", "server_error", "drop", "expired_token"])
def test_polling_survives_what_passes(case: Case, aws: Emulator, context: Context, kind: str) -> None:
    """A bad minute of the API must not fail a task whose job is fine."""
    aws.configure(case.job_type.name, duration=0.2)
    aws.fault(kind, operation=case.job_type.describe.api_name, times=2)
    assert case.start().execute(context)["status"] == case.succeeded


def test_a_job_not_seen_yet_is_waited_for(case: Case, aws: Emulator, context: Context) -> None:
    """AWS may not find a job in the seconds after its start."""
    aws.configure(case.job_type.name, duration=0.2)
    code = next(code for code, kind in case.job_type.errors.items() if kind.value == "not found")
    aws.fault("error", code=code, operation=case.job_type.describe.api_name, times=1)
    assert case.start().execute(context)["status"] == case.succeeded


def asked_for_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all starts have been asked for minutes ago."""
    begin = JobRecordStore.begin

    def long_ago(*arguments: Any) -> JobRecord:
        record = begin(*arguments)
        return replace(record, started_at=record.started_at - 300)

    monkeypatch.setattr(JobRecordStore, "begin", long_ago)


def test_a_job_whose_start_was_asked_for_long_ago_is_waited_for(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While AWS throttles it a start is asked for again for minutes: AWS may not see its job at once."""
    aws.configure(case.job_type.name, duration=0.2)
    asked_for_long_ago(monkeypatch)
    code = next(code for code, kind in case.job_type.errors.items() if kind.value == "not found")
    aws.fault("error", code=code, operation=case.job_type.describe.api_name, times=1)
    assert case.start().execute(context)["status"] == case.succeeded
    assert len(aws.jobs()) == 1


def test_an_error_that_stays_fails_at_once_and_leaves_no_job(
    case: Case, aws: Emulator, context: Context
) -> None:
    """A task that may not read its job must not leave it running."""
    aws.configure(case.job_type.name, duration=60)
    aws.fault("error", code="AccessDeniedException", operation=case.job_type.describe.api_name, times=1)
    with pytest.raises(AwsApiError, match="AccessDeniedException"):
        case.start().execute(context)
    assert only_job(aws)["status"] == case.cancelled


def test_a_refused_start_leaves_no_record(case: Case, aws: Emulator, context: Context) -> None:
    """A record of a job that was never started would make the next try look for it."""
    aws.fault("error", code="AccessDeniedException", operation=case.job_type.start.api_name, times=1)
    with pytest.raises(AwsApiError, match=r"could not be started: .*AccessDeniedException") as caught:
        case.start().execute(context)
    for value in case.named:
        assert value in str(caught.value)
    assert context["task_state_store"].values == {}
    assert aws.jobs() == []


def test_a_retry_takes_the_running_job_over(case: Case, aws: Emulator, context: Context) -> None:
    """A worker that died must not cost a second job."""
    aws.configure(case.job_type.name, duration=0.5)
    job = crashed(case, aws, context)
    result = case.start().execute(context.retried())
    assert result["status"] == case.succeeded
    assert only_job(aws)["ids"] == job["ids"]


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


def died_in_the_start(case: Case, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lose the worker when its start call has been dropped: what a SIGKILL inside the call leaves."""

    def die(*_: Any) -> None:
        raise SystemExit

    with death(monkeypatch) as dying:
        dying.setattr(HeldJob, "sleep", die)
        with pytest.raises(SystemExit):
            case.start().execute(context)


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
    code = next(code for code, kind in case.job_type.errors.items() if kind.value == "not found")
    aws.fault("error", code=code, operation=case.job_type.describe.api_name, times=1)
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
    code = next(code for code, kind in case.job_type.errors.items() if kind.value == "not found")
    aws.fault("error", code=code, operation=case.job_type.describe.api_name, times=1)
    assert case.start().execute(context.retried())["status"] == case.succeeded
    assert len(aws.jobs()) == 1


def test_a_retry_that_may_not_read_the_old_job_ends_it(case: Case, aws: Emulator, context: Context) -> None:
    """A retry that fails before it has taken the job over must not leave it to nobody."""
    aws.configure(case.job_type.name, duration=60)
    crashed(case, aws, context)
    aws.fault("error", code="AccessDeniedException", operation=case.job_type.describe.api_name)
    with pytest.raises(AwsJobError, match=r"of try 1 cannot be read: .*hand: aws"):
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


def test_a_kill_after_the_deferral_cancels_nothing(case: Case, aws: Emulator, context: Context) -> None:
    """The triggerer waits for the job by then; a worker that shuts down must not end it."""
    aws.configure(case.job_type.name, duration=60)
    operator = case.start(deferrable=True)
    deferred(operator, context)
    operator.on_kill()
    assert only_job(aws)["cancels"] == 0


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


@pytest.mark.parametrize("kind", ["drop_after", "server_error"])
@tokened
def test_an_id_of_the_authors_own_survives_a_lost_answer(
    case: Case, aws: Emulator, context: Context, kind: str
) -> None:
    """Our own repeated start must not be taken for somebody else's job."""
    token = str(case.job_type.token)
    aws.configure(case.job_type.name, duration=0.1)
    aws.fault(kind, operation=case.job_type.start.api_name, times=1)
    assert case.start(**{token: case.token}).execute(context)["status"] == case.succeeded
    assert len(aws.jobs()) == 1


def test_a_kill_cancels(case: Case, aws: Emulator, context: Context) -> None:
    """A worker that is told to end must not leave its job behind."""
    aws.configure(case.job_type.name, duration=60)
    operator = case.start()

    def kill() -> None:
        operator.on_kill()
        operator.on_kill()

    killed(operator, context, aws, case.job_type.describe.api_name, kill)
    assert only_job(aws)["status"] == case.cancelled


def test_a_kill_during_the_start_cancels(case: Case, aws: Emulator, context: Context) -> None:
    """A kill that lands inside the start call must cancel what that call starts."""
    aws.configure(case.job_type.name, duration=60)
    aws.fault("delay", delay=0.5, operation=case.job_type.start.api_name, times=1)
    operator = case.start()

    killed(operator, context, aws, case.job_type.start.api_name)
    assert only_job(aws)["status"] == case.cancelled


def test_a_kill_before_the_start_starts_nothing(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that was told to end while it got ready must not spend quota."""
    operator = case.start()
    begin = JobRecordStore.begin

    def killed(*arguments: Any) -> Any:
        operator.on_kill()
        return begin(*arguments)

    monkeypatch.setattr(JobRecordStore, "begin", killed)
    with pytest.raises(TaskKilledError):
        operator.execute(context)
    assert aws.jobs() == []
    assert context["task_state_store"].values == {}


def test_a_kill_before_execute_starts_nothing(case: Case, aws: Emulator, context: Context) -> None:
    """Airflow tells a task to end from its rendering on, and goes on with it: nobody tells it again."""
    operator = case.start()
    operator.on_kill()
    with pytest.raises(TaskKilledError):
        operator.execute(context)
    assert aws.jobs() == []
    assert context["task_state_store"].values == {}


def test_a_kill_of_a_retry_before_execute_ends_the_job_so_far(
    case: Case, aws: Emulator, context: Context
) -> None:
    """A retry that was marked as failed while it got ready has no other try that would see to the job."""
    aws.configure(case.job_type.name, duration=60)
    crashed(case, aws, context)
    operator = case.start()
    operator.on_kill()
    with pytest.raises(TaskKilledError):
        operator.execute(context.retried())
    assert only_job(aws)["status"] == case.cancelled


def test_a_kill_before_the_deferral_hands_nothing_over(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that was told to end would otherwise be deferred, with a trigger for a job that is cancelled."""
    aws.configure(case.job_type.name, duration=60)
    operator = case.start(deferrable=True)

    def killed(*_: Any) -> None:
        operator.on_kill()

    monkeypatch.setattr("airflow_jobs_provider.operators.base.claim", killed)
    with pytest.raises(TaskKilledError):
        operator.execute(context)
    assert only_job(aws)["status"] == case.cancelled


def test_a_kill_before_a_task_that_does_not_wait_has_ended_is_no_success(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its job is cancelled: a success would hand it to the sensor."""
    aws.configure(case.job_type.name, duration=60)
    operator = case.start(wait_for_completion=False)

    def killed(*_: Any) -> None:
        operator.on_kill()

    monkeypatch.setattr(AwsJobLink, "persist", killed)
    with pytest.raises(TaskKilledError):
        operator.execute(context)
    assert only_job(aws)["status"] == case.cancelled


def test_a_kill_that_comes_before_aws_knows_the_job_cancels_it(
    case: Case, aws: Emulator, context: Context
) -> None:
    """AWS may not find a job in the seconds after its start; it runs all the same."""
    aws.configure(case.job_type.name, duration=60)
    code = next(code for code, kind in case.job_type.errors.items() if kind.value == "not found")
    operator = case.start()

    def kill() -> None:
        aws.fault("error", code=code, operation=case.job_type.cancel.api_name, times=1)
        aws.fault("error", code=code, operation=case.job_type.describe.api_name, times=1)
        operator.on_kill()

    killed(operator, context, aws, case.job_type.describe.api_name, kill)
    assert only_job(aws)["status"] == case.cancelled


def test_a_kill_without_cancel_on_kill_cancels_nothing(
    case: Case, aws: Emulator, context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who switched cancelling off means it; the log says what goes on."""
    aws.configure(case.job_type.name, duration=60)
    operator = case.start(cancel_on_kill=False)

    with during(aws, case.job_type.describe.api_name, operator.on_kill), pytest.raises(TaskKilledError):
        operator.execute(context)
    job = only_job(aws)
    assert job["cancels"] == 0
    [told] = [line for line in capsys.readouterr().out.splitlines() if "may go on" in line]
    assert list(job["ids"].values())[-1] in told


def test_nothing_is_started_that_cannot_be_recorded(case: Case, aws: Emulator, context: Context) -> None:
    """A job that Airflow knows nothing of could not be found again."""

    def refuse(*_: Any) -> None:
        raise RuntimeError("no state store")

    context["task_state_store"].set = refuse
    with pytest.raises(RuntimeError, match="no state store"):
        case.start().execute(context)
    assert aws.jobs() == []


def test_a_start_that_cannot_be_confirmed_is_cancelled(case: Case, aws: Emulator, context: Context) -> None:
    """After a clear Airflow takes no record any more: the job must not outlive its try."""
    aws.configure(case.job_type.name, duration=60)
    store = context["task_state_store"]
    keep, kept = store.set, []

    def once(key: str, value: Any) -> None:
        kept.append(key)
        if len(kept) > 1:
            raise RuntimeError("404: the task instance was not found")
        keep(key, value)

    store.set = once
    with pytest.raises(RuntimeError, match="404"):
        case.start().execute(context)
    assert only_job(aws)["status"] == case.cancelled


def test_a_cancel_that_fails_is_said_with_the_command(
    case: Case, aws: Emulator, context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    """On-call must be able to end by hand what we could not."""
    aws.configure(case.job_type.name, duration=60)
    aws.fault("error", code="AccessDeniedException", operation=case.job_type.describe.api_name)
    aws.fault("error", code="AccessDeniedException", operation=case.job_type.cancel.api_name)
    with pytest.raises(AwsApiError, match="AccessDeniedException"):
        case.start().execute(context)
    assert f"aws {case.job_type.service} {case.job_type.cancel.cli_name} --" in capsys.readouterr().out


def test_a_kill_whose_cancel_takes_too_long_says_how_to_do_it_by_hand(
    case: Case,
    aws: Emulator,
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Airflow kills the process while the thread still tries: nothing comes after what is said then."""
    aws.configure(case.job_type.name, duration=60)
    monkeypatch.setattr("airflow_jobs_provider.operators.held._PATIENCE", 0.4)
    aws.fault("throttle", operation=case.job_type.cancel.api_name)
    operator = case.start()
    said: list[str] = []

    def kill() -> None:
        operator.on_kill()
        said.append(capsys.readouterr().out)
        aws.clear_faults()

    killed(operator, context, aws, case.job_type.describe.api_name, kill)
    assert "AWS has not answered within 0.4 seconds" in said[0]
    assert f"aws {case.job_type.service} {case.job_type.cancel.cli_name} --" in said[0]


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


def test_a_broken_trigger_cancels(case: Case, aws: Emulator, context: Context) -> None:
    """A trigger that dies calls no on_kill: the task that resumes to fail must see to the job."""
    aws.configure(case.job_type.name, duration=60)
    deferred(case.start(deferrable=True), context)
    with pytest.raises(TaskDeferralError):
        case.start().resume_execution("__fail__", {"error": "Trigger failure"}, context)
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


def test_a_time_out_inside_the_start_call_cancels_what_it_starts(
    case: Case, aws: Emulator, context: Context
) -> None:
    """Airflow interrupts the call by an alarm; the job whose id was on its way must not be lost."""
    aws.configure(case.job_type.name, duration=60)
    operator = case.start()
    aws.fault("delay", delay=1.5, operation=case.job_type.start.api_name, times=1)
    timed_out(operator, context, aws, case.job_type.start.api_name, lambda: None)
    assert only_job(aws)["status"] == case.cancelled


def test_a_time_out_inside_a_start_of_long_ago_cancels_what_it_starts(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS may not see the job at once, however long its start was asked for before."""
    aws.configure(case.job_type.name, duration=60)
    asked_for_long_ago(monkeypatch)
    code = next(code for code, kind in case.job_type.errors.items() if kind.value == "not found")
    for operation in (case.job_type.cancel, case.job_type.describe):
        aws.fault("error", code=code, operation=operation.api_name, times=1)
    start = case.job_type.start.api_name
    aws.fault("delay", delay=0.5, operation=start, times=1)
    timed_out(case.start(), context, aws, start, lambda: None)
    assert only_job(aws)["status"] == case.cancelled


def test_a_time_out_inside_the_cancel_does_not_end_it(case: Case, aws: Emulator, context: Context) -> None:
    """The time may be over while a task that has failed sees to its job: nobody else would."""
    aws.configure(case.job_type.name, duration=60)
    cancel = case.job_type.cancel.api_name
    aws.fault("error", code="AccessDeniedException", operation=case.job_type.describe.api_name, times=1)
    aws.fault("throttle", operation=cancel)
    with pytest.raises(AwsApiError, match="AccessDeniedException"):
        timed_out(case.start(), context, aws, cancel, aws.clear_faults)
    assert only_job(aws)["status"] == case.cancelled


def test_a_kill_during_the_start_keeps_the_id(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow may end the process before the cancel is done: the next try must know which job it was."""
    aws.configure(case.job_type.name, duration=60)
    aws.fault("delay", delay=0.5, operation=case.job_type.start.api_name, times=1)
    operator = case.start()
    monkeypatch.setattr(StartJobOperator, "_abandon", lambda *_: None)
    killed(operator, context, aws, case.job_type.start.api_name)
    assert context["task_state_store"].values["aws_job"]["run"] is not None


def test_a_kill_during_a_start_that_was_asked_for_long_ago_cancels(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS throttles a start for minutes, say: of what it begins then, AWS may not know in the next second."""
    aws.configure(case.job_type.name, duration=60)
    asked_for_long_ago(monkeypatch)
    aws.fault("delay", delay=1, operation=case.job_type.start.api_name, times=1)
    operator = case.start()
    # The process may not live until it has the answer.
    monkeypatch.setattr(StartJobOperator, "_abandon", lambda *_: None)
    killed(operator, context, aws, case.job_type.start.api_name)
    assert only_job(aws)["status"] == case.cancelled


def test_a_deferred_start_does_not_outlast_its_time(case: Case, aws: Emulator, context: Context) -> None:
    """Airflow gives a task that resumes all of its time anew."""
    aws.fault("throttle", operation=case.job_type.start.api_name)
    context["ti"].start_date -= timedelta(seconds=60)
    with pytest.raises(AwsApiError, match="Throttl"):
        case.start(execution_timeout=timedelta(seconds=60)).execute(context)
    assert len(aws.journal(case.job_type.start.api_name)) == 1


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


def test_losses_warn_or_fail(
    case: Case, aws: Emulator, context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lost rows must be seen, and fail the task of an author who said how many are too many."""
    assert {loss.limit for loss in case.job_type.losses} == set(case.losses)
    for loss in case.job_type.losses:
        aws.configure(case.job_type.name, duration=0.1, **case.losses[loss.limit])
        case.start(**{loss.limit: 3}).execute(context)
        assert f"3 {loss.what}" in capsys.readouterr().out
        again = context.cleared()
        with pytest.raises(AwsJobError, match=f"3 {loss.what}, more than {loss.limit}=2"):
            case.start(**{loss.limit: 2}).execute(again)
        assert again["task_state_store"].values == {}
