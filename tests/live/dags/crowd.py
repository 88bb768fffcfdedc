"""What hundreds of runs are made of: a refresh, and a sensor of one, that start and end in the triggerer."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_jobs_provider.operators.quicksight import QuickSightCreateIngestionOperator
from airflow_jobs_provider.sensors.quicksight import QuickSightIngestionSensor
from tests.live.modes import ARGUMENTS

with DAG("crowd_refresh", schedule=None, params={"target": "sales"}, max_active_runs=400):
    QuickSightCreateIngestionOperator(
        task_id="job", data_set_id="{{ params.target }}", poll_interval=5, **ARGUMENTS["workerless"]
    )

with DAG("crowd_sensor", schedule=None, params={"job": {}}, max_active_runs=400):
    QuickSightIngestionSensor(
        task_id="job",
        data_set_id="{{ params.job.data_set_id }}",
        ingestion_id="{{ params.job.ingestion_id }}",
        aws_account_id="{{ params.job.aws_account_id }}",
        poke_interval=5,
        **ARGUMENTS["workerless"],
    )
