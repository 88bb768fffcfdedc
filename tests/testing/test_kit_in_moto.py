"""Our operators inside moto's mock_aws: boto3 and aiobotocore are answered in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from airflow.sdk import DAG
from moto import mock_aws

from airflow_jobs_provider.testing import AwsJobs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_jobs_provider.testing.pytest_plugin import DagRunner
    from tests.cases import Case

BOTH_WAYS = pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])


@pytest.fixture
def mocked(monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsJobs]:
    """Yield what the documentation shows."""
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://?region_name=eu-west-1")
    with mock_aws():
        jobs = AwsJobs.in_mock_aws(region="eu-west-1")
        yield jobs
        jobs.emulator.reset()


def one_task(operator: type[Any], **parameters: Any) -> DAG:
    """Return a DAG."""
    with DAG("mocked", schedule=None) as dag:
        operator(task_id="it", **parameters)
    return dag


@BOTH_WAYS
def test_jobs_and_sensors(case: Case, deferrable: bool, mocked: AwsJobs, run_dag: DagRunner) -> None:
    """Who has tests with mock_aws must not need another way for these operators, in a worker or deferred."""
    run = run_dag(one_task(case.start_class, deferrable=deferrable, **case.target))
    assert run.state == "success", run.task("it").error
    assert [job["status"] for job in mocked.jobs()] == [case.succeeded]
    ids = {name: run.task("it").result[name] for name in case.job_type.identity}
    run = run_dag(one_task(case.sensor_class, deferrable=deferrable, poke_interval=0.1, **ids))
    assert run.state == "success", run.task("it").error


@BOTH_WAYS
def test_cancels(case: Case, deferrable: bool, mocked: AwsJobs, run_dag: DagRunner) -> None:
    """A teardown is a part of the DAG that is tested."""
    mocked.next_never_ends(case.name)
    run = run_dag(one_task(case.start_class, wait_for_completion=False, **case.target))
    ids = {name: run.task("it").result[name] for name in case.job_type.identity}
    run = run_dag(one_task(case.cancel_class, deferrable=deferrable, **ids))
    assert run.state == "success", run.task("it").error
    assert [job["status"] for job in mocked.jobs()] == [case.cancelled]


@BOTH_WAYS
def test_errors(case: Case, deferrable: bool, mocked: AwsJobs, run_dag: DagRunner) -> None:
    """Answers with an error take another way through aiobotocore than the others."""
    mocked.access_denied(case.name, call="read")
    run = run_dag(one_task(case.start_class, deferrable=deferrable, **case.target))
    assert run.state == "failed"
    assert "AccessDeniedException" in str(run.task("it").error)


def test_the_rest_of_moto_is_there(mocked: AwsJobs) -> None:
    """A DAG has more than our operators: its other tasks find the bucket that the test has made."""
    s3: Any = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="results")
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["results"]
    with pytest.raises(ValueError, match="inside mock_aws there is no url"):
        _ = mocked.url
