"""Neptune Analytics: load a graph, and make a graph from files and export it."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from airflow_jobs_provider.operators.neptune_analytics import (
    NeptuneCancelImportTaskOperator,
    NeptuneCreateGraphUsingImportTaskOperator,
    NeptuneStartExportTaskOperator,
    NeptuneStartImportTaskOperator,
)
from airflow_jobs_provider.sensors.neptune_analytics import NeptuneImportTaskSensor

# Whoever chooses the role chooses what Neptune may read and write, so neither it nor the key is a param.
ROLE = "arn:aws:iam::123456789012:role/NeptuneAnalyticsData"
KEY = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
BUCKET = "s3://example-graph-data"

# A param can be set by everybody who may trigger the DAG; its pattern keeps it within the bucket.
SOURCE = {"type": "string", "pattern": f"^{BUCKET}/.+"}
FORMAT = {"type": "string", "enum": ["CSV", "OPEN_CYPHER", "PARQUET"]}

LOAD = """
### Load a graph, in three tasks

`start` begins the import and does not wait. `wait` is a sensor: it waits in the triggerer and never cancels
what it watches. `cancel` is the teardown: when `wait` fails or is marked failed, it ends the import, which
Neptune rolls back; when the import has succeeded, there is nothing to cancel and it says so.

The graph must be empty (`aws neptune-graph reset-graph`), and runs one import or export at a time: if it is
busy, `start` waits for its turn. One operator with `deferrable=True` can do all of it: see
`example_neptune_analytics_new_graph`.
"""

NEW_GRAPH = """
### Make a graph from files, and export it

`create` makes a graph and loads it, and `export` writes it to S3. Both wait in the triggerer: no worker is
held. Clearing or failing a task cancels its job, and Neptune rolls back what there is of the new graph.

**A graph costs money from its first minute until it is deleted** (`aws neptune-graph delete-graph`), which
this DAG does not do: there is no schedule for that reason.
"""

with DAG(
    dag_id="example_neptune_analytics",
    schedule=None,
    catchup=False,
    doc_md=LOAD,
    params={
        "graph_identifier": Param("g-0friends01", type="string", pattern="^g-[a-z0-9]{10}$"),
        "source": Param(f"{BUCKET}/friends/", **SOURCE),
        "format": Param("CSV", **FORMAT),
    },
    tags=["example", "neptune"],
):
    start = NeptuneStartImportTaskOperator(
        task_id="start",
        graph_identifier="{{ params.graph_identifier }}",
        source="{{ params.source }}",
        format="{{ params.format }}",
        role_arn=ROLE,
        fail_on_error=True,
        wait_for_completion=False,
    )
    # The result of a start has the sensor's and the cancel operator's parameters under their own names.
    import_task = {name: start.output[name] for name in ("task_identifier", "region_name")}
    wait = NeptuneImportTaskSensor(task_id="wait", deferrable=True, timeout=4 * 60 * 60, **import_task)
    cancel = NeptuneCancelImportTaskOperator(task_id="cancel", **import_task).as_teardown(setups=start)

    start >> wait >> cancel

with DAG(
    dag_id="example_neptune_analytics_new_graph",
    schedule=None,
    catchup=False,
    doc_md=NEW_GRAPH,
    params={
        "graph_name": Param("friends", type="string", pattern="^[a-z]+$", maxLength=40),
        "source": Param(f"{BUCKET}/friends/", **SOURCE),
        "format": Param("CSV", **FORMAT),
        "memory": Param(16, type="integer", minimum=16, maximum=128, description="m-NCUs at the most"),
    },
    tags=["example", "neptune"],
):
    create = NeptuneCreateGraphUsingImportTaskOperator(
        task_id="create",
        # A graph of that name must not exist: run_after, which every run has, makes it a new one.
        graph_name="{{ params.graph_name }}-{{ dag_run.run_after.strftime('%Y%m%d-%H%M%S') }}",
        source="{{ params.source }}",
        format="{{ params.format }}",
        role_arn=ROLE,
        fail_on_error=False,
        max_errors=10,
        replica_count=0,
        max_provisioned_memory="{{ params.memory }}",
        tags={"made-by": "airflow"},
        deferrable=True,
        execution_timeout=timedelta(hours=4),
    )
    export = NeptuneStartExportTaskOperator(
        task_id="export",
        graph_identifier="{{ ti.xcom_pull('create')['details']['graphId'] }}",
        destination=BUCKET
        + "/exports/{{ params.graph_name }}/{{ dag_run.run_after.strftime('%Y%m%d-%H%M%S') }}/",
        format="PARQUET",
        parquet_type="COLUMNAR",
        role_arn=ROLE,
        kms_key_identifier=KEY,
        deferrable=True,
        execution_timeout=timedelta(hours=4),
    )

    create >> export
