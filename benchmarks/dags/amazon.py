"""The amazon provider's deferrable operator."""

from __future__ import annotations

from airflow.providers.amazon.aws.operators.quicksight import QuickSightCreateIngestionOperator
from airflow.sdk import DAG

with DAG("amazon", schedule=None, max_active_runs=1000, max_active_tasks=1000):
    QuickSightCreateIngestionOperator(
        task_id="refresh",
        data_set_id="{{ run_id }}",
        ingestion_id="{{ run_id }}",
        waiter_delay=5,
        deferrable=True,
    )
