"""A nightly load with four services in one run: who changed the data, then load it into three places."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, Param, task
from airflow.sdk.exceptions import AirflowFailException

from airflow_jobs_provider.operators.bedrock import BedrockStartIngestionJobOperator
from airflow_jobs_provider.operators.cloudtrail import CloudTrailStartQueryOperator
from airflow_jobs_provider.operators.neptune_analytics import NeptuneStartImportTaskOperator
from airflow_jobs_provider.operators.quicksight import QuickSightCreateIngestionOperator

# Privileged inputs: what is executed, and whose rights are used, is not for those who trigger a run.
EVENT_DATA_STORE = "aaaaaaaa-1111-2222-3333-bbbbbbbbbbbb"
BUCKET = "example-data"
ROLE = "arn:aws:iam::123456789012:role/NeptuneAnalyticsData"
WRITERS = ("arn:aws:sts::123456789012:assumed-role/Ingest/",)

DOC = """
### The nightly load

1. `changes` asks **CloudTrail Lake** who has changed the files in the bucket since the night before
   (`sql/data_changes.sql`).
2. `audit` reads the rows. If somebody has who should not, it fails, and nothing is loaded.
3. Side by side, `load_graph` imports the files into a **Neptune Analytics** graph, `sync` ingests them into
   a **Bedrock** knowledge base, and `refresh` loads them into a **QuickSight** data set.

All jobs are waited for in the triggerer: five minutes or three hours, no worker is held. Each task can be
retried and cleared alone. Clearing or failing it cancels its job, and a next try starts another when the
old one has ended: it waits for the rollback of a graph's import, for instance.

The graph must be empty before an import (`aws neptune-graph reset-graph`).
"""

IDENTIFIER = {"type": "string", "pattern": "^[0-9a-zA-Z]{10}$"}

with DAG(
    dag_id="example_nightly_load",
    schedule="0 4 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    doc_md=DOC,
    default_args={"execution_timeout": timedelta(hours=4), "retries": 2},
    params={
        "graph_identifier": Param("g-0nightly01", type="string", pattern="^g-[a-z0-9]{10}$"),
        "knowledge_base_id": Param("KBNIGHTLY1", **IDENTIFIER),
        "data_source_id": Param("DSNIGHTLY1", **IDENTIFIER),
        "data_set_id": Param("nightly", type="string", minLength=1),
    },
    user_defined_macros={"event_data_store": EVENT_DATA_STORE, "bucket": BUCKET},
    tags=["example", "cloudtrail", "neptune", "bedrock", "quicksight"],
):
    changes = CloudTrailStartQueryOperator(
        task_id="changes",
        query_statement="sql/data_changes.sql",
        fetch_results=True,
        deferrable=True,
    )

    @task
    def audit(rows: list[dict[str, str]]) -> int:
        """Return how many changes there were; fail if somebody made one who should not."""
        strangers = sorted({row["who"] for row in rows if not row["who"].startswith(WRITERS)})
        if strangers:
            # Not to be retried: the same query would find the same changes.
            raise AirflowFailException(f"the data was changed by {', '.join(strangers)}, and is not loaded")
        return sum(int(row["times"]) for row in rows)

    load_graph = NeptuneStartImportTaskOperator(
        task_id="load_graph",
        graph_identifier="{{ params.graph_identifier }}",
        source=f"s3://{BUCKET}/graph/",
        format="CSV",
        role_arn=ROLE,
        fail_on_error=True,
        deferrable=True,
    )
    sync = BedrockStartIngestionJobOperator(
        task_id="sync",
        knowledge_base_id="{{ params.knowledge_base_id }}",
        data_source_id="{{ params.data_source_id }}",
        max_documents_failed=0,
        deferrable=True,
    )
    refresh = QuickSightCreateIngestionOperator(
        task_id="refresh",
        data_set_id="{{ params.data_set_id }}",
        deferrable=True,
    )

    audit(changes.output["rows"]) >> [load_graph, sync, refresh]
