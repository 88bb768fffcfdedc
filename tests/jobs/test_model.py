"""How answers are read and values are checked, whatever the service."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest

from airflow_jobs_provider.jobs import JOB_TYPES, job_type_of
from airflow_jobs_provider.jobs.errors import ErrorKind
from airflow_jobs_provider.jobs.quicksight import QUICKSIGHT_INGESTION
from airflow_jobs_provider.jobs.run import FailureKind, JobRun, JobSnapshot, JobState

RUN = JobRun(
    "quicksight-ingestion",
    {"aws_account_id": "123456789012", "data_set_id": "sales", "ingestion_id": "i1"},
    "eu-west-1",
)


def read(**record: object) -> JobSnapshot:
    """Read a record of a QuickSight ingestion."""
    return QUICKSIGHT_INGESTION.read(QUICKSIGHT_INGESTION.describe, {"Ingestion": record})


def test_identity_and_reading_survive_json() -> None:
    """What a trigger, an XCom or the state store gives back must be what was put in."""
    snapshot = read(
        IngestionStatus="FAILED",
        CreatedTime=datetime(2026, 11, 22, tzinfo=timezone.utc),
        ErrorInfo={"Type": "QUERY_TIMEOUT", "Message": "slow"},
    )
    assert JobRun.from_json(json.loads(json.dumps(RUN.to_json()))) == RUN
    assert JobSnapshot.from_json(json.loads(json.dumps(snapshot.to_json()))) == snapshot
    assert snapshot.details["CreatedTime"] == "2026-11-22T00:00:00+00:00"


def test_a_failure_says_why_and_whether_to_retry() -> None:
    """A retry of what can never succeed burns the daily quota."""
    failed = read(IngestionStatus="FAILED", ErrorInfo={"Type": "QUERY_TIMEOUT", "Message": "slow"})
    assert (failed.state, failed.reason) == (JobState.FAILED, "QUERY_TIMEOUT: slow")
    assert failed.failure is FailureKind.TRANSIENT
    assert read(IngestionStatus="FAILED", ErrorInfo={"Type": "X"}).failure is FailureKind.PERMANENT
    assert read(IngestionStatus="FAILED").reason == ""


def test_an_unknown_status_is_never_success() -> None:
    """A status that AWS adds tomorrow must not end a task today."""
    snapshot = read(IngestionStatus="PONDERING")
    assert snapshot.state is JobState.RUNNING
    assert not snapshot.known


def test_errors_are_classified() -> None:
    """A throttle that fails a task, or a denial that is asked again for hours, is a bad night."""
    classify = QUICKSIGHT_INGESTION.classify
    assert classify("ThrottlingException", 400) is ErrorKind.REJECTED
    assert classify("LimitExceededException", 409) is ErrorKind.QUOTA
    assert classify("ExpiredTokenException", 403) is ErrorKind.REJECTED
    assert classify("AccessDeniedException", 401) is ErrorKind.FATAL
    assert classify("SomethingElse", 503) is ErrorKind.TRANSIENT
    assert classify("SomethingElse", 429) is ErrorKind.REJECTED
    assert classify("SomethingElse", 400) is ErrorKind.FATAL


@pytest.mark.parametrize(
    ("region", "link"),
    [
        ("eu-west-1", "https://eu-west-1.quicksight.aws.amazon.com/sn/data-sets/sales/view"),
        ("cn-north-1", None),
        ("us-gov-west-1", None),
        ("us-iso-east-1", None),
        ("eusc-de-east-1", None),
    ],
)
def test_no_link_where_we_know_of_none(region: str, link: str | None) -> None:
    """A link to the wrong console is worse than none."""
    assert QUICKSIGHT_INGESTION.console_url(JobRun(RUN.job_type, RUN.ids, region)) == link


def test_the_command_to_cancel_by_hand() -> None:
    """What on-call copies from the log must work."""
    assert QUICKSIGHT_INGESTION.cancel_command(RUN) == (
        "aws quicksight cancel-ingestion --aws-account-id 123456789012 --data-set-id sales "
        "--ingestion-id i1 --region eu-west-1"
    )


def test_an_unknown_job_type_is_named() -> None:
    """A trigger written by a newer version must fail with a sentence."""
    with pytest.raises(ValueError, match=r"job_type must be one of .* not 'glue-crawl'"):
        job_type_of(JobRun("glue-crawl", {}, "eu-west-1"))
    assert job_type_of(RUN) is JOB_TYPES[RUN.job_type]
