"""A start and its wait, over real HTTP; each test for every job type."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from airflow_jobs_provider.exceptions import (
    AwsApiError,
    AwsJobError,
    JobCancelledError,
    QuotaExceededError,
)
from airflow_jobs_provider.jobs.errors import ErrorKind
from tests.cases import Case
from tests.conftest import Context
from tests.operators.scenes import (
    asked_for_long_ago,
    not_seen_once,
    only_job,
    tokened,
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
    not_seen_once(case, aws)
    assert case.start().execute(context)["status"] == case.succeeded


def test_a_job_whose_start_was_asked_for_long_ago_is_waited_for(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While AWS throttles it a start is asked for again for minutes: AWS may not see its job at once."""
    aws.configure(case.job_type.name, duration=0.2)
    asked_for_long_ago(monkeypatch)
    not_seen_once(case, aws)
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


def test_nothing_is_started_that_cannot_be_recorded(case: Case, aws: Emulator, context: Context) -> None:
    """A job that Airflow knows nothing of could not be found again."""

    def refuse(*_: Any) -> None:
        raise RuntimeError("no state store")

    context["task_state_store"].set = refuse
    with pytest.raises(RuntimeError, match="no state store"):
        case.start().execute(context)
    assert aws.jobs() == []


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
