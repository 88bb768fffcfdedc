"""A sweep of each job type that can be swept; the DAG param says whether it cancels."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_jobs_provider.operators.sweep import AwsJobSweepOperator
from tests.live.job_types import LIVE_JOB_TYPES

for name, live in LIVE_JOB_TYPES.items():
    if live.job_type.sweep is not None:
        dag_id = f"{name}_sweep"
        with DAG(dag_id, schedule=None, catchup=False, params={"dry_run": True}) as dag:
            AwsJobSweepOperator(
                task_id="sweep", job_type=name, dry_run="{{ params.dry_run }}", min_age=0, retries=0
            )
        globals()[dag_id] = dag
