"""What the storm of ``tests/live/chaos`` rages about: DAGs ``chaos_<job type>`` of one deferred task."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from tests.live.job_types import LIVE_JOB_TYPES

for name, live in LIVE_JOB_TYPES.items():
    with DAG(
        f"chaos_{name}",
        schedule=None,
        catchup=False,
        params={"target": "target"},
        max_active_runs=1000,
        max_active_tasks=1000,
    ) as dag:
        # One task in a run: a clear of any task of a run makes the next try of all of them start anew.
        live.operator(
            task_id="job",
            deferrable=True,
            poll_interval=2,
            retries=30,
            retry_delay=timedelta(seconds=1),
            **live.arguments,
        )
    globals()[dag.dag_id] = dag
