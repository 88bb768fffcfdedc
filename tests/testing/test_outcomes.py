"""What the fixture aws_jobs lets happen, asked for in the words of the field, for every job type."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_jobs_provider.exceptions import (
    AwsApiError,
    JobCancelledError,
    JobFailedError,
    QuotaExceededError,
)
from airflow_jobs_provider.jobs.errors import ErrorKind
from airflow_jobs_provider.testing.lifecycle import LIFE_CYCLES
from tests.conftest import Context
from tests.operators.scenes import of

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import AwsJobs, Emulator
    from tests.cases import Case

QUICKSIGHT = of(lambda case: case.name == "quicksight-ingestion")
WITH_REASON = of(lambda case: LIFE_CYCLES[case.name].reason is not None)


@pytest.fixture
def jobs(aws: Emulator, aws_jobs: AwsJobs) -> AwsJobs:
    """Return the fixture, without the pauses of politeness."""
    aws_jobs.reset()
    return aws_jobs


def ends(case: Case, **options: Any) -> str | BaseException:
    """Run a job, and return its status or what its task raises."""
    try:
        return str(case.start(**options).execute(Context())["status"])
    except Exception as error:  # noqa: BLE001 - looked at by the test
        return error


def test_by_default_a_job_succeeds(case: Case, jobs: AwsJobs) -> None:
    """Nothing need be said for the day on which all goes well."""
    assert ends(case) == case.succeeded
    [job] = jobs.jobs(case.name)
    assert job["ids"]


def test_the_next_one_fails(case: Case, jobs: AwsJobs) -> None:
    """One failure and no more: the retry is to succeed."""
    jobs.next_fails(case.name)
    assert isinstance(ends(case), JobFailedError)
    assert ends(case) == case.succeeded


@WITH_REASON
def test_with_a_reason(case: Case, jobs: AwsJobs) -> None:
    """An alert is tested by what it says."""
    jobs.next_fails(case.name, message="the bucket is not there")
    assert "the bucket is not there" in str(ends(case))


def test_the_next_one_is_cancelled(case: Case, jobs: AwsJobs) -> None:
    """Somebody presses a button in the console."""
    jobs.next_is_cancelled(case.name)
    assert isinstance(ends(case), JobCancelledError)


def test_the_next_one_ends_as_said(case: Case, jobs: AwsJobs) -> None:
    """TIMED_OUT, for one, is a word of one service only."""
    for status in LIFE_CYCLES[case.name].ends:
        jobs.next_ends(case.name, status)
    for status in LIFE_CYCLES[case.name].ends:
        result = ends(case)
        assert status in str(result), result


def test_only_on_a_target(case: Case, jobs: AwsJobs) -> None:
    """Of three data sets one fails: the others must not be held up."""
    name, value = next((name, value) for name, value in case.target.items() if isinstance(value, str))
    jobs.next_fails(case.name, on={name: f"{value}-other"})
    jobs.access_denied(case.name, on={name: f"{value}-other"})
    assert ends(case) == case.succeeded


def test_one_that_never_ends_is_there_until_it_is_cancelled(case: Case, jobs: AwsJobs) -> None:
    """execution_timeout is tested so."""
    jobs.next_never_ends(case.name)
    result = case.start(wait_for_completion=False).execute(Context())
    ids = {name: result[name] for name in case.job_type.identity}
    assert case.cancel(**ids).execute(Context())["status"] == case.cancelled


def test_throttled(case: Case, jobs: AwsJobs) -> None:
    """It costs the task nothing but time."""
    jobs.throttled(case.name, times=2)
    jobs.unavailable(case.name, call="read")
    assert ends(case) == case.succeeded
    outcomes = [call["outcome"] for call in jobs.calls(case.job_type.start.api_name)]
    assert len(outcomes) == 3
    assert outcomes[-1] == "ok"


@pytest.mark.parametrize("call", ["start", "read"])
def test_access_denied(case: Case, call: str, jobs: AwsJobs) -> None:
    """The right that is missing has its name in the error, as AWS says it."""
    jobs.access_denied(case.name, call=call)
    error = ends(case)
    assert isinstance(error, AwsApiError)
    operation = case.job_type.start if call == "start" else case.job_type.describe
    assert f"is not authorized to perform: {case.job_type.iam.prefix}:{operation.api_name}" in str(error)


@of(lambda case: case.code(ErrorKind.QUOTA) is not None)
def test_the_quota_is_used_up(case: Case, jobs: AwsJobs) -> None:
    """What a DAG does on the day on which somebody has refreshed too often."""
    jobs.quota_used_up(case.name, times=1)
    assert isinstance(ends(case), QuotaExceededError)
    assert ends(case) == case.succeeded


@of(lambda case: case.code(ErrorKind.BUSY) is not None)
def test_the_target_is_busy(case: Case, jobs: AwsJobs) -> None:
    """Whether it waits, or fails, is the DAG author's choice."""
    jobs.target_busy(case.name)
    error = ends(case, on_conflict="fail")
    assert isinstance(error, Exception)
    assert str(case.code(ErrorKind.BUSY)) in str(error)


@QUICKSIGHT
def test_a_quota_that_frees(case: Case, jobs: AwsJobs) -> None:
    """AWS's list of refreshes tells when."""
    jobs.quota_used_up(case.name, on={"data_set_id": "sales"}, frees_in=timedelta(hours=2))
    [job] = jobs.jobs()
    assert job["ids"]["DataSetId"] == "sales"
    assert isinstance(ends(case), QuotaExceededError)
    assert ends(case, data_set_id="returns") == case.succeeded


def test_an_unknown_job_type_is_named(jobs: AwsJobs) -> None:
    """A typing error in a test must not let it pass: nothing would fail."""
    says = "unknown job_type='quicksight'; known are bedrock-ingestion, "
    for method in (
        *(jobs.next_succeeds, jobs.next_fails, jobs.next_is_cancelled, jobs.next_never_ends),
        *(jobs.throttled, jobs.unavailable, jobs.access_denied, jobs.quota_used_up, jobs.target_busy),
    ):
        with pytest.raises(ValueError, match=says):
            method("quicksight")
    with pytest.raises(ValueError, match=says):
        jobs.next_ends("quicksight", "FAILED")


def test_an_unknown_word_is_named(case: Case, jobs: AwsJobs) -> None:
    """Likewise of statuses, parameters and calls."""
    with pytest.raises(ValueError, match=f"status='DONE' of {case.name} must be one of {case.succeeded}, "):
        jobs.next_ends(case.name, "DONE")
    with pytest.raises(ValueError, match=f"on={{'dataset': 'x'}} fits no {case.name}; it has "):
        jobs.next_fails(case.name, on={"dataset": "x"})
    with pytest.raises(
        ValueError, match=f"call='describe' of {case.name} must be one of start, read, cancel"
    ):
        jobs.throttled(case.name, call="describe")
    with pytest.raises(ValueError, match="times=0 must be"):
        jobs.next_fails(case.name, times=0)
    with pytest.raises(ValueError, match=f"{case.name} has no setting rows_eaten=3"):
        jobs.next_succeeds(case.name, rows_eaten=3)


@QUICKSIGHT
def test_an_unknown_error_type_is_named(case: Case, jobs: AwsJobs) -> None:
    """QuickSight has a word for each failure."""
    with pytest.raises(ValueError, match=r"error_type='QUERY_TIME_OUT' .* must be one of .*QUERY_TIMEOUT"):
        jobs.next_fails(case.name, "QUERY_TIME_OUT")
    for frees_in in (timedelta(days=2), timedelta(seconds=-1)):
        with pytest.raises(ValueError, match="must be a part of a day"):
            jobs.quota_used_up(case.name, on={"data_set_id": "sales"}, frees_in=frees_in)
    with pytest.raises(ValueError, match="must say which data_set_id has used up its quota"):
        jobs.quota_used_up(case.name, frees_in=timedelta(hours=1))
    with pytest.raises(ValueError, match="must be one parameter"):
        jobs.throttled(case.name, on={"data_set_id": "sales", "aws_account_id": "123456789012"})


def test_what_a_service_does_not_have_is_said(jobs: AwsJobs) -> None:
    """A test of what cannot happen is no test."""
    with pytest.raises(ValueError, match="error_type='SLOW': a logs-query has none"):
        jobs.next_fails("logs-query", "SLOW")
    with pytest.raises(ValueError, match="AWS does not say why a logs-query has failed"):
        jobs.next_fails("logs-query", message="slow")
    with pytest.raises(ValueError, match="cloudtrail-query: AWS has no error that says 'quota' of a start"):
        jobs.quota_used_up("cloudtrail-query")
    with pytest.raises(ValueError, match="bedrock-ingestion has no quota for a day"):
        jobs.quota_used_up("bedrock-ingestion", frees_in=timedelta(hours=1))
    with pytest.raises(ValueError, match="neptune-create-graph has no setting missing_targets"):
        jobs.missing("neptune-create-graph", "people")
