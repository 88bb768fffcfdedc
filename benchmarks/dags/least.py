"""Airflow's own sensor, started and ended by the triggerer: the least that a task without a worker costs."""

from __future__ import annotations

from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
from airflow.sdk import DAG

with DAG("least", schedule=None, max_active_runs=1000, max_active_tasks=1000):
    DateTimeSensorAsync(
        task_id="wait",
        target_time="{{ (dag_run.run_after + macros.timedelta(seconds=20)).isoformat() }}",
        start_from_trigger=True,
        end_from_trigger=True,
    )
