"""What assets and OpenLineage hear of jobs; for every job type, against the real classes of both."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.openlineage.extractors.manager import ExtractorManager
from airflow.providers.openlineage.utils.utils import translate_airflow_asset
from airflow.sdk import Asset, AssetAlias
from airflow.sdk.execution_time.context import OutletEventAccessors
from airflow.utils.state import TaskInstanceState

from airflow_jobs_provider.exceptions import AwsJobError
from airflow_jobs_provider.jobs import JOB_TYPES
from airflow_jobs_provider.jobs.lineage import namespace_and_name, uris
from airflow_jobs_provider.jobs.run import JobRun
from airflow_jobs_provider.provider_info import get_provider_info
from tests.cases import CASES, Case
from tests.operators.scenes import deferred, of, only_job

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import Emulator
    from tests.conftest import Context

REFRESHED = Asset("refreshed")
ALIAS = AssetAlias("whatever-was-written")
REGION, ACCOUNT = "eu-west-1", "123456789012"
STORE = "12345678-abcd-1234-abcd-123456789012"
_GRAPH = f"neptune-graph://{REGION}/g-a1b2c3d4e5"
# The settings of the emulator, and the figures that they make.
FIGURES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "quicksight-ingestion": (
        {"rows_ingested": 1200, "rows_dropped": 3, "size_in_bytes": 4096},
        {"rows_ingested": 1200, "rows_dropped": 3, "rows_in_data_set": 1200, "bytes_ingested": 4096},
    ),
    "bedrock-ingestion": (
        {
            "statistics": {
                "numberOfDocumentsScanned": 9,
                "numberOfNewDocumentsIndexed": 4,
                "numberOfModifiedDocumentsIndexed": 3,
                "numberOfDocumentsDeleted": 2,
                "numberOfDocumentsFailed": 1,
            }
        },
        {
            "documents_scanned": 9,
            "documents_new": 4,
            "documents_modified": 3,
            "documents_deleted": 2,
            "documents_failed": 1,
        },
    ),
    "neptune-import": (
        {"statement_count": 70, "dictionary_entry_count": 50, "error_count": 2},
        {"statements": 70, "dictionary_entries": 50, "errors": 2},
    ),
    "neptune-create-graph": (
        {"statement_count": 70, "dictionary_entry_count": 50, "error_count": 2},
        {"statements": 70, "dictionary_entries": 50, "errors": 2},
    ),
    "neptune-export": (
        {"vertices_written": 40, "edges_written": 90},
        {"vertices_written": 40, "edges_written": 90},
    ),
    "cloudtrail-query": (
        {"events_scanned": 500, "events_matched": 7, "bytes_scanned": 8192},
        {"events_scanned": 500, "events_matched": 7, "bytes_scanned": 8192},
    ),
    "logs-query": (
        {"records_scanned": 500, "records_matched": 7, "bytes_scanned": 8192, "rows": [{"n": "1"}]},
        {"records_scanned": 500, "records_matched": 7, "bytes_scanned": 8192, "rows": 1},
    ),
}
# What a start of Case.target reads and writes; of a new graph's id only the end of the job tells.
READS = {
    "bedrock-ingestion": [f"bedrock://{REGION}/KB12345678/DS12345678"],
    "neptune-import": ["s3://bucket/people"],
    "neptune-create-graph": ["s3://bucket/people"],
    "neptune-export": [_GRAPH],
    "cloudtrail-query": [f"cloudtrail://{REGION}/{STORE}"],
    "logs-query": [f"cloudwatch-logs://{REGION}//app/web"],
}
WRITES = {
    "quicksight-ingestion": [f"quicksight://{REGION}/{ACCOUNT}/sales"],
    "bedrock-ingestion": [f"bedrock://{REGION}/KB12345678"],
    "neptune-import": [_GRAPH],
    "neptune-export": ["s3://bucket/export"],
}
writing = of(lambda case: case.job_type.lineage.writes)


def writes(case: Case, aws: Emulator) -> list[str]:
    """Return the URIs of what the one job has written."""
    if case.name == "neptune-create-graph":
        return [f"neptune-graph://{REGION}/{only_job(aws)['parameters']['graphIdentifier']}"]
    return WRITES.get(case.name, [])


@pytest.fixture
def lineage(context: Context) -> Context:
    """Return a context in which the outlets' events are Airflow's own."""
    context["outlet_events"] = OutletEventAccessors()
    return context


@pytest.fixture(params=["worker", "deferred", "sensor"])
def way(request: pytest.FixtureRequest) -> str:
    """Return each way to wait for a job in turn."""
    return str(request.param)


def ended(case: Case, aws: Emulator, context: Context, way: str, **options: Any) -> Any:
    """Return what waits for a job that has succeeded, as it is in the process in which its task ends."""
    aws.configure(case.name, **FIGURES[case.name][0])
    if way == "worker":
        aws.configure(case.name, duration=0.1)
        operator = case.start(**options)
        operator.execute(context)
        return operator
    aws.configure(case.name, duration=60)
    event = deferred(case.start(**options, deferrable=True), context)
    run = JobRun.from_json(event.kwargs["wait"]["run"])
    aws.settle(case.name, {}, case.succeeded)
    if way == "sensor":
        operator = case.sensor(**run.ids, outlets=options.get("outlets", []))
        operator.execute(context)
        return operator
    told = {**event.kwargs["wait"], "snapshot": case.start().look(run, 0.0).to_json()}
    operator = case.start(**options, deferrable=True)
    operator.resume_execution("execute_complete", {**event.kwargs, "event": told}, context)
    return operator


def identity(aws: Emulator, case: Case, operator: Any) -> dict[str, Any]:
    """Return what an event says of the one job before its figures."""
    known = operator.known_job
    assert set(known.ids.values()) <= {*only_job(aws)["ids"].values(), ACCOUNT, STORE}
    return {"job_type": operator.job_type.name, **known.ids, "region_name": REGION}


def test_an_outlet_tells_what_the_job_has_done(case: Case, aws: Emulator, lineage: Context, way: str) -> None:
    """A DAG that is run by the refresh of a data set wants to know how many rows it has now."""
    operator = ended(case, aws, lineage, way, outlets=[REFRESHED])
    operator.post_execute(lineage)
    extra = lineage["outlet_events"][REFRESHED].extra
    wanted = {**identity(aws, case, operator), "status": case.succeeded, **FIGURES[case.name][1]}
    assert {key: extra[key] for key in wanted} == wanted
    assert set(extra) == {*identity(aws, case, operator), "status", *case.job_type.lineage.figures}


def test_what_the_author_says_stays(case: Case, aws: Emulator, lineage: Context, way: str) -> None:
    """Author and provider may both have something to say; the author knows better."""
    operator = ended(case, aws, lineage, way, outlets=[REFRESHED])
    lineage["outlet_events"][REFRESHED].extra = {"status": "ripe", "owner": "finance"}
    operator.post_execute(lineage)
    extra = lineage["outlet_events"][REFRESHED].extra
    assert (extra["status"], extra["owner"], extra["region_name"]) == ("ripe", "finance", REGION)


def test_an_alias_stands_for_what_was_written(case: Case, aws: Emulator, lineage: Context, way: str) -> None:
    """Which data sets a mapped task refreshes is not known when the DAG is written."""
    operator = ended(case, aws, lineage, way, outlets=[ALIAS])
    operator.post_execute(lineage)
    events = lineage["outlet_events"][ALIAS].asset_alias_events
    assert [event.dest_asset_key.uri for event in events] == writes(case, aws)
    assert all(event.extra["status"] == case.succeeded for event in events)


@writing
def test_an_alias_with_an_event_of_the_authors_gets_no_other(
    case: Case, aws: Emulator, lineage: Context
) -> None:
    """Two events for one refresh would run the next DAG twice."""
    operator = ended(case, aws, lineage, "worker", outlets=[ALIAS])
    lineage["outlet_events"][ALIAS].add(REFRESHED)
    operator.post_execute(lineage)
    [event] = lineage["outlet_events"][ALIAS].asset_alias_events
    assert event.dest_asset_key.name == REFRESHED.name


def test_a_job_that_goes_on_has_done_nothing_yet(case: Case, aws: Emulator, lineage: Context) -> None:
    """Without waiting nobody knows the figures, and nothing is written yet."""
    aws.configure(case.name, duration=60)
    operator = case.start(wait_for_completion=False, outlets=[REFRESHED, ALIAS])
    operator.execute(lineage)
    operator.post_execute(lineage)
    assert lineage["outlet_events"][REFRESHED].extra == identity(aws, case, operator)
    assert lineage["outlet_events"][ALIAS].asset_alias_events == []


def test_an_outlet_that_airflow_cannot_find_fails_nothing(
    case: Case, aws: Emulator, lineage: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    """The job has succeeded: a task that fails now would only be run again."""
    operator = ended(case, aws, lineage, "worker", outlets=[Asset.ref(name="nowhere"), REFRESHED])
    operator.post_execute(lineage)
    assert "does not tell what the job has done" in capsys.readouterr().out
    assert lineage["outlet_events"][REFRESHED].extra["job_type"] == case.name


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


def test_openlineage_hears_of_a_job_that_succeeded(
    case: Case, aws: Emulator, lineage: Context, way: str
) -> None:
    """A lineage in which refreshes are boxes without arrows shows nobody what a late load spoils."""
    operator = ended(case, aws, lineage, way)
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
    case: Case, aws: Emulator, lineage: Context, is_deferred: bool
) -> None:
    """Who looks at a data set that is old wants to find the refresh that failed."""
    aws.configure(case.name, duration=0.1, **case.failed)
    operator = case.start(deferrable=is_deferred)
    if is_deferred:
        aws.configure(case.name, duration=60)
        event = deferred(operator, lineage)
        aws.settle(case.name, {}, **case.failed)
        operator = case.start(deferrable=True)
        with pytest.raises(AwsJobError):
            operator.resume_execution("execute_complete", {**event.kwargs, "event": None}, lineage)
    else:
        with pytest.raises(AwsJobError):
            operator.execute(lineage)
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
def test_an_asset_and_the_job_mean_the_same_data(case: Case, aws: Emulator, lineage: Context) -> None:
    """An asset of another task's must be the same node of the graph as the job's own output."""
    operator = ended(case, aws, lineage, "worker")
    [uri] = writes(case, aws) or ["s3://bucket/results"]
    asset = Asset(uri)
    assert asset.uri == uri
    found = translate_airflow_asset(asset, None)
    assert found is not None
    assert named([found]) == names([uri])
    assert named(extracted(operator, TaskInstanceState.SUCCESS).outputs or [found]) == names([uri])


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
