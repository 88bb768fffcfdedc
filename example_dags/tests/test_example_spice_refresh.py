"""How a DAG is tested: ``example_spice_refresh`` against an emulated AWS. Copy it, and test yours."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import AwsJobs
    from airflow_jobs_provider.testing.pytest_plugin import DagRunner

DAG_FILE = Path(__file__).parent.parent / "example_spice_refresh.py"
DAG_ID = "example_spice_refresh"
REFRESH = "quicksight-ingestion"
SALES = {"data_set_ids": ["sales"]}


def test_every_data_set_is_refreshed_once(aws_jobs: AwsJobs, run_dag: DagRunner) -> None:
    """The morning as it should be."""
    run = run_dag(DAG_FILE, DAG_ID)
    assert run.state == "success"
    # dag.test() runs the instances of a mapped task in any order.
    assert sorted(job["ids"]["DataSetId"] for job in aws_jobs.jobs()) == ["inventory", "sales", "web-traffic"]
    assert run.task("refresh", map_index=0).result["status"] == "COMPLETED"


@pytest.mark.parametrize(("day", "expected"), [(21, "INCREMENTAL_REFRESH"), (22, "FULL_REFRESH")])
def test_sunday_is_the_day_of_the_full_refresh(
    day: int, expected: str, aws_jobs: AwsJobs, run_dag: DagRunner
) -> None:
    """November 22 in 2026 is a Sunday."""
    run_dag(DAG_FILE, DAG_ID, conf=SALES, run_after=datetime(2026, 11, day, 5, tzinfo=timezone.utc))
    [job] = aws_jobs.jobs()
    assert job["parameters"]["IngestionType"] == expected


def test_a_query_that_timed_out_is_tried_again(aws_jobs: AwsJobs, run_dag: DagRunner) -> None:
    """The warehouse was busy at five: nobody need be called."""
    aws_jobs.next_fails(REFRESH, "QUERY_TIMEOUT", on={"data_set_id": "sales"})
    run = run_dag(DAG_FILE, DAG_ID, conf=SALES)
    assert run.state == "success"
    first, second = run.task("refresh").tries
    assert (first.state, second.state) == ("up_for_retry", "success")
    # Airflow would have waited; the fixture does not.
    assert first.retry_in is not None
    assert timedelta(minutes=9) <= first.retry_in <= timedelta(minutes=11)


def test_what_no_retry_mends_is_alerted_at_once(
    aws_jobs: AwsJobs, run_dag: DagRunner, caplog: pytest.LogCaptureFixture
) -> None:
    """A changed password must be somebody's first task of the day; the other data sets are refreshed."""
    aws_jobs.next_fails(REFRESH, "PASSWORD_AUTHENTICATION_FAILURE", on={"data_set_id": "inventory"})
    run = run_dag(DAG_FILE, DAG_ID)
    assert run.state == "failed"
    assert run.states("refresh") == ["success", "failed", "success"]
    assert len(run.task("refresh", map_index=1).tries) == 1
    assert "inventory was not refreshed" in caplog.text
    assert "PASSWORD_AUTHENTICATION_FAILURE" in caplog.text


def test_a_quota_that_frees_soon_is_waited_for(aws_jobs: AwsJobs, run_dag: DagRunner) -> None:
    """Somebody has refreshed by hand all night: the first of those refreshes is 22 hours old."""
    frees_in = timedelta(hours=2)
    aws_jobs.quota_used_up(REFRESH, times=1, on={"data_set_id": "sales"}, frees_in=frees_in)
    run = run_dag(DAG_FILE, DAG_ID, conf=SALES)
    first, second = run.task("refresh").tries
    assert (first.state, second.state) == ("up_for_retry", "success")
    assert first.retry_in is not None
    assert frees_in <= first.retry_in <= frees_in + timedelta(minutes=5)


def test_a_quota_that_frees_in_the_evening_is_not(aws_jobs: AwsJobs, run_dag: DagRunner) -> None:
    """The day's readers are gone by then."""
    aws_jobs.quota_used_up(REFRESH, on={"data_set_id": "sales"}, frees_in=timedelta(hours=12))
    run = run_dag(DAG_FILE, DAG_ID, conf=SALES)
    assert run.task("refresh").state == "failed"
    assert len(run.task("refresh").tries) == 1
    assert "32 manual refreshes" in str(run.task("refresh").error)


def test_throttling_goes_by(aws_jobs: AwsJobs, run_dag: DagRunner) -> None:
    """The provider waits for it by itself: it costs no retry."""
    aws_jobs.throttled(REFRESH, times=2)
    run = run_dag(DAG_FILE, DAG_ID, conf=SALES)
    assert [each.state for each in run.task("refresh").tries] == ["success"]


def test_without_any_process_of_a_task(aws_jobs: AwsJobs, run_dag: DagRunner) -> None:
    """The variant that runs in the triggerer does the same work."""
    run = run_dag(DAG_FILE, "example_spice_refresh_workerless")
    assert run.state == "success"
    assert sorted(job["ids"]["DataSetId"] for job in aws_jobs.jobs()) == ["inventory", "sales", "web-traffic"]
