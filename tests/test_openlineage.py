"""What OpenLineage hears of jobs; for every job type, asked for by its provider's own extractor."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.openlineage.extractors.manager import ExtractorManager
from airflow.providers.openlineage.utils.utils import translate_airflow_asset
from airflow.sdk import Asset
from airflow.utils.state import TaskInstanceState

from airflow_jobs_provider.exceptions import AwsJobError
from airflow_jobs_provider.jobs import JOB_TYPES
from airflow_jobs_provider.jobs.lineage import namespace_and_name, uris
from airflow_jobs_provider.provider_info import get_provider_info
from tests.cases import CASES, Case
from tests.lineage import ACCOUNT, READS, REGION, STORE, WAYS, WRITES, ended, writes, writing
from tests.operators.scenes import deferred, only_job

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import Emulator
    from tests.conftest import Context


def extracted(operator: Any, state: TaskInstanceState) -> Any:
    """Return what OpenLineage's provider makes of an operator."""
    manager: Any = ExtractorManager()  # type: ignore[no-untyped-call]
    return manager.extract_metadata(
        dagrun=SimpleNamespace(run_id="r"), task=operator, task_instance_state=state, task_instance=None
    )


def named(data: list[Any]) -> list[tuple[str, str]]:
    """Return the namespaces and names of data."""
    return [(one.namespace, one.name) for one in data]


def names(uris: list[str]) -> list[tuple[str, str]]:
    """Return what OpenLineage calls the data at URIs."""
    return [namespace_and_name(uri) for uri in uris]


@pytest.mark.parametrize("way", WAYS)
def test_openlineage_hears_of_a_job_that_succeeded(
    case: Case, aws: Emulator, context: Context, way: str
) -> None:
    """A lineage in which refreshes are boxes without arrows shows nobody what a late load spoils."""
    operator = ended(case, aws, context, way)
    told = extracted(operator, TaskInstanceState.SUCCESS)
    assert named(told.outputs) == names(writes(case, aws))
    if way == "sensor" and case.name == "cloudtrail-query":
        assert told.inputs == []  # only the statement names them
    elif way == "sensor" and case.name == "logs-query":
        assert told.inputs == []  # likewise, the request
    else:
        assert named(told.inputs) == names(READS.get(case.name, []))
    query = told.run_facets["externalQuery"]
    assert query.source == case.job_type.service
    assert query.externalQueryId in only_job(aws)["ids"].values()
    for output in told.outputs:
        statistics = output.outputFacets.get("outputStatistics")
        if case.name == "quicksight-ingestion":
            assert (statistics.rowCount, statistics.size) == (1200, 4096)
        else:
            assert statistics is None


@pytest.mark.parametrize("is_deferred", [False, True])
def test_openlineage_hears_of_a_job_that_failed(
    case: Case, aws: Emulator, context: Context, is_deferred: bool
) -> None:
    """Who looks at a data set that is old wants to find the refresh that failed."""
    aws.configure(case.name, duration=0.1, **case.failed)
    operator = case.start(deferrable=is_deferred)
    if is_deferred:
        aws.configure(case.name, duration=60)
        event = deferred(operator, context)
        aws.settle(case.name, {}, **case.failed)
        operator = case.start(deferrable=True)
        with pytest.raises(AwsJobError):
            operator.resume_execution("execute_complete", {**event.kwargs, "event": None}, context)
    else:
        with pytest.raises(AwsJobError):
            operator.execute(context)
    told = extracted(operator, TaskInstanceState.FAILED)
    assert all(output.outputFacets == {} for output in told.outputs)  # what it has counted is not there
    assert named(told.inputs) == names(READS.get(case.name, []))
    assert named(told.outputs) == names(writes(case, aws))
    assert told.run_facets["externalQuery"].externalQueryId in only_job(aws)["ids"].values()


def test_openlineage_hears_at_the_start_what_the_parameters_tell(case: Case) -> None:
    """No call to AWS is made for it, not even for the account: the task has not begun."""
    account = {"aws_account_id": ACCOUNT} if "aws_account_id" in case.job_type.parameters else {}
    told = extracted(case.start(region_name=REGION, **account), TaskInstanceState.RUNNING)
    assert named(told.inputs) == names(READS.get(case.name, []))
    assert named(told.outputs) == names(WRITES.get(case.name, []))
    assert told.run_facets == {}
    assert extracted(case.start(), TaskInstanceState.RUNNING).run_facets == {}


@writing
def test_an_asset_and_the_job_mean_the_same_data(case: Case, aws: Emulator, context: Context) -> None:
    """An asset of another task's must be the same node of the graph as the job's own output."""
    delivered = "delivery_s3_uri" in case.job_type.parameters
    options = {"delivery_s3_uri": "s3://bucket/results"} if delivered else {}
    told = extracted(ended(case, aws, context, "worker", **options), TaskInstanceState.SUCCESS)
    [uri] = options.values() or writes(case, aws)
    assert Asset(uri).uri == uri
    assert named([translate_airflow_asset(Asset(uri), None)]) == named(told.outputs)


def test_airflow_knows_the_uris_of_the_data() -> None:
    """Airflow gives OpenLineage only what it has a converter for."""
    templates = [
        uri for one in JOB_TYPES.values() for uri in (*one.lineage.reads, *one.lineage.writes) if "://" in uri
    ]
    [registered] = get_provider_info()["asset-uris"]
    assert set(registered["schemes"]) == {uri.partition("://")[0] for uri in templates}


def test_a_delivery_is_written() -> None:
    """CloudTrail's results in S3 are what the next job loads."""
    case = next(case for case in CASES if case.name == "cloudtrail-query")
    told = extracted(case.start(**case.other_target), TaskInstanceState.RUNNING)
    assert named(told.outputs) == [("s3://bucket", "results")]


def test_every_event_data_store_of_a_statement_is_read() -> None:
    """A query that joins two stores depends on both."""
    case = next(case for case in CASES if case.name == "cloudtrail-query")
    other = STORE.replace("1", "9")
    sql = f"SELECT a.eventName FROM {STORE} a JOIN {other} b ON a.eventID = b.eventID"
    told = extracted(case.start(query_statement=sql, region_name=REGION), TaskInstanceState.RUNNING)
    assert named(told.inputs) == [(f"cloudtrail://{REGION}", STORE), (f"cloudtrail://{REGION}", other)]


def test_log_groups_are_named_in_each_way() -> None:
    """A log group of another account is given by its ARN, which is its name then."""
    case = next(case for case in CASES if case.name == "logs-query")
    arn = "arn:aws:logs:eu-west-1:210987654321:log-group:/app/web"
    for options, wanted in (
        ({"log_group_names": ["/a", "b"]}, [(f"cloudwatch-logs://{REGION}", name) for name in ("/a", "b")]),
        ({"log_group_identifiers": [arn]}, [(arn.partition(":log-group")[0], "log-group:/app/web")]),
    ):
        told = extracted(case.start(**options, region_name=REGION), TaskInstanceState.RUNNING)
        assert named(told.inputs) == wanted


@pytest.mark.parametrize(
    ("uri", "wanted"),
    [
        ("s3://bucket/a/b/", ("s3://bucket", "a/b")),
        ("s3://bucket", ("s3://bucket", "/")),
        (
            "arn:aws:rds:eu-west-1:123456789012:cluster-snapshot:people",
            ("arn:aws:rds:eu-west-1:123456789012", "cluster-snapshot:people"),
        ),
    ],
)
def test_data_is_named_as_openlineage_has_it(uri: str, wanted: tuple[str, str]) -> None:
    """The graph joins what two systems tell only where both give it the same name."""
    assert list(uris(["{it}"], {"it": uri})) == [uri]
    assert namespace_and_name(uri) == wanted


@pytest.mark.parametrize("value", [None, "", 7, [], "no-uri", "{{ params.it }}"])
def test_what_is_no_uri_is_left_out(value: object) -> None:
    """A made-up name would join things that have nothing to do with each other."""
    assert list(uris(["{it}"], {"it": value})) == []
