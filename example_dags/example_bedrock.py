"""Sync a data source of a Bedrock knowledge base: with one operator, and in three tasks."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from airflow_jobs_provider.operators.bedrock import (
    BedrockStartIngestionJobOperator,
    BedrockStopIngestionJobOperator,
)
from airflow_jobs_provider.sensors.bedrock import BedrockIngestionJobSensor

ONE_TASK = """
### One operator

`sync` starts the sync and waits for it in the triggerer: no worker is held. Clearing or failing the task,
or its `execution_timeout`, stops the sync in Bedrock.

* **A busy data source**: Bedrock runs one sync of a data source, and of a knowledge base, at a time. If
  there is one already, the task waits for its turn (`on_conflict="wait"`, the default). It can fail instead
  (`"fail"`), or take the running one for its own (`"adopt"`).
* **Documents that could not be ingested**: Bedrock calls such a sync complete. `max_documents_failed` says
  how many there may be; without it there is only a warning in the log.
"""

THREE_TASKS = """
### Three tasks for one sync

`start` begins the sync and does not wait. `wait` is a sensor: it waits in the triggerer and never stops
what it watches. `stop` is the teardown: when `wait` fails or is marked failed, it ends the sync; when the
sync has completed, there is nothing to stop and it says so.

This is for a DAG in which something happens between the start and the wait. Otherwise one operator is less
to read: see `example_bedrock`.
"""


def target(knowledge_base: str, data_source: str) -> dict[str, Param]:
    """Return the DAG params that name a data source."""
    identifier = {"type": "string", "pattern": "^[0-9a-zA-Z]{10}$"}
    return {
        "knowledge_base_id": Param(knowledge_base, **identifier),
        "data_source_id": Param(data_source, **identifier),
    }


with DAG(
    dag_id="example_bedrock",
    schedule=None,
    catchup=False,
    doc_md=ONE_TASK,
    params=target("KBHANDBOOK", "DSHANDBOOK"),
    tags=["example", "bedrock"],
):
    BedrockStartIngestionJobOperator(
        task_id="sync",
        knowledge_base_id="{{ params.knowledge_base_id }}",
        data_source_id="{{ params.data_source_id }}",
        max_documents_failed=5,
        deferrable=True,
        execution_timeout=timedelta(hours=2),
    )

with DAG(
    dag_id="example_bedrock_three_tasks",
    schedule=None,
    catchup=False,
    doc_md=THREE_TASKS,
    params=target("KBPRODUCTS", "DSPRODUCTS"),
    tags=["example", "bedrock"],
):
    start = BedrockStartIngestionJobOperator(
        task_id="start",
        knowledge_base_id="{{ params.knowledge_base_id }}",
        data_source_id="{{ params.data_source_id }}",
        wait_for_completion=False,
    )
    # The result of a start has the sensor's and the stop operator's parameters under their own names.
    ingestion = {
        name: start.output[name]
        for name in ("knowledge_base_id", "data_source_id", "ingestion_job_id", "region_name")
    }
    wait = BedrockIngestionJobSensor(task_id="wait", deferrable=True, timeout=2 * 60 * 60, **ingestion)
    stop = BedrockStopIngestionJobOperator(task_id="stop", **ingestion).as_teardown(setups=start)

    start >> wait >> stop
