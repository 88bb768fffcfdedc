"""Our operator in three modes, and once without an XCom for each part of what it returns."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG

from airflow_jobs_provider.operators.quicksight import QuickSightCreateIngestionOperator

MODES: dict[str, dict[str, Any]] = {
    "worker": {"deferrable": False},
    "deferred": {"deferrable": True},
    "workerless": {"start_from_trigger": True, "end_from_trigger": True},
    "lean": {"start_from_trigger": True, "end_from_trigger": True, "multiple_outputs": False},
}
for mode, options in MODES.items():
    with DAG(mode, schedule=None, max_active_runs=1000, max_active_tasks=1000) as dag:
        QuickSightCreateIngestionOperator(
            task_id="refresh", data_set_id="{{ run_id }}", poll_interval=5, **options
        )
    globals()[mode] = dag
