"""Outlets in each way of waiting, one mapped; a job that fails; DAGs that are run by what was refreshed."""

from __future__ import annotations

from airflow.sdk import DAG, Asset, AssetAlias, task

from airflow_jobs_provider.operators.bedrock import BedrockStartIngestionJobOperator
from airflow_jobs_provider.operators.quicksight import QuickSightCreateIngestionOperator
from airflow_jobs_provider.sensors.quicksight import QuickSightIngestionSensor

SALES = Asset("quicksight://eu-west-1/123456789012/sales")
SYNCED = AssetAlias("synced")
SEEN = Asset("seen")

with DAG("lineage", schedule=None):
    sales = QuickSightCreateIngestionOperator(task_id="worker", data_set_id="sales", outlets=[SALES])
    BedrockStartIngestionJobOperator.partial(
        task_id="deferred", knowledge_base_id="KB12345678", deferrable=True, outlets=[SYNCED]
    ).expand(data_source_id=["DS12345678"])
    wait = QuickSightIngestionSensor(
        task_id="sensor",
        data_set_id="sales",
        ingestion_id="{{ ti.xcom_pull('worker', key='ingestion_id') }}",
        deferrable=True,
        outlets=[SEEN],
    )
    sales >> wait
    QuickSightCreateIngestionOperator(task_id="fails", data_set_id="broken", deferrable=True)


def reader(dag_id: str, schedule: list[Asset | AssetAlias]) -> None:
    """Make a DAG that is run by what was refreshed."""
    with DAG(dag_id, schedule=schedule):

        @task
        def read() -> None:
            """Do nothing: that the DAG is due is all."""

        read()


reader("on_sales", [SALES])
reader("on_synced", [SYNCED])
