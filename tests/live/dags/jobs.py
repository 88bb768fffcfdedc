"""Every job type in every mode: a DAG ``<job type>_<mode>`` with one task, whose target is a DAG param."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_jobs_provider.operators.quicksight import QuickSightCreateIngestionOperator
from airflow_jobs_provider.sensors.quicksight import QuickSightIngestionSensor

# job type -> its start operator and sensor, with what names the target and the job
STARTS: dict[str, tuple[type, dict[str, Any]]] = {
    "quicksight-ingestion": (
        QuickSightCreateIngestionOperator,
        {"data_set_id": "{{ params.target }}"},
    ),
}
SENSORS: dict[str, tuple[type, dict[str, Any]]] = {
    "quicksight-ingestion": (
        QuickSightIngestionSensor,
        {"data_set_id": "{{ params.target }}", "ingestion_id": "{{ params.job }}"},
    ),
}
MODES: dict[str, dict[str, Any]] = {"worker": {"deferrable": False}, "deferred": {"deferrable": True}}
SENSOR_MODES: dict[str, dict[str, Any]] = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferred": {"deferrable": True},
}
PARAMS = {"target": "target", "job": "job"}

for job_type, (operator, arguments) in STARTS.items():
    for mode, options in MODES.items():
        with DAG(f"{job_type}_{mode}", schedule=None, catchup=False, params=PARAMS) as dag:
            operator(
                task_id="job",
                poll_interval=1,
                retries=1,
                retry_delay=timedelta(seconds=1),
                **options,
                **arguments,
            )
        globals()[dag.dag_id] = dag
        with DAG(f"{job_type}_{mode}_timeout", schedule=None, catchup=False, params=PARAMS) as dag:
            operator(
                task_id="job", poll_interval=1, execution_timeout=timedelta(seconds=6), **options, **arguments
            )
        globals()[dag.dag_id] = dag

for job_type, (operator, arguments) in SENSORS.items():
    for mode, options in SENSOR_MODES.items():
        with DAG(f"{job_type}_sensor_{mode}", schedule=None, catchup=False, params=PARAMS) as dag:
            operator(task_id="job", poke_interval=2, timeout=60, **options, **arguments)
            operator(task_id="impatient", poke_interval=2, timeout=4, soft_fail=True, **options, **arguments)
        globals()[dag.dag_id] = dag
