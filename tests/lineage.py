"""Jobs that have ended, and what must be heard of them: shared by the tests of assets and of OpenLineage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_jobs_provider.jobs.run import JobRun
from tests.operators.scenes import deferred, of, only_job

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import Emulator
    from tests.cases import Case
    from tests.conftest import Context

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
WAYS = ("worker", "deferred", "sensor")
writing = of(lambda case: case.job_type.lineage.writes)


def writes(case: Case, aws: Emulator) -> list[str]:
    """Return the URIs of what the one job has written."""
    if case.name == "neptune-create-graph":
        return [f"neptune-graph://{REGION}/{only_job(aws)['parameters']['graphIdentifier']}"]
    return WRITES.get(case.name, [])


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
