"""Look every hour for AWS jobs that this Airflow has started and no task wants any more."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.sdk import DAG, Param, task
from airflow.sdk.exceptions import AirflowFailException

from airflow_jobs_provider.operators.sweep import AwsJobSweepOperator

DOC = """
### The last net

Jobs end with their tasks. Where nobody was left to see to that (a deferred task marked as failed while no
triggerer ran, say), the job goes on: this DAG finds it, and says so by failing.

* **It needs** `[airflow_jobs_provider] deployment_id` in the configuration of every part of Airflow: only
  jobs that were started with it are known.
* **It cancels nothing** while the DAG param `dry_run` is on. Look at what it finds for a week, then arm it:
  change the default below. To arm a single run, trigger it with `dry_run` off.
* **Alerting**: the task `nothing_is_left` fails if something was found, or if a sweep failed. Give it your
  `on_failure_callback`.
* A job of a task instance that Airflow does not know is reported, and never cancelled.
"""

with DAG(
    dag_id="example_sweeper",
    schedule="@hourly",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    doc_md=DOC,
    params={"dry_run": Param(True, type="boolean", description="report only, and cancel nothing")},
    tags=["example", "quicksight", "bedrock"],
):
    # All data sets of the account, and all data sources of all knowledge bases; name some with "targets".
    sweeps = [
        AwsJobSweepOperator(
            task_id=f"sweep_{job_type.replace('-', '_')}",
            job_type=job_type,
            dry_run="{{ params.dry_run }}",
            execution_timeout=timedelta(minutes=30),
        )
        for job_type in ("quicksight-ingestion", "bedrock-ingestion")
    ]

    @task(trigger_rule="all_done")
    def nothing_is_left(found: list[list[dict[str, Any]] | None]) -> None:
        """Fail if a job was found that no task wants, or whose task Airflow does not know."""
        jobs = [job for each in found for job in each or ()]
        bad = [
            f"{job['job']['ids']} of task {job['dag_id']}.{job['task_id']}: {job['why']}, {job['action']}"
            for job in jobs
            if job["verdict"] in ("orphan", "unknown")
        ]
        if None in found:
            bad.append("a sweep has failed before it had looked at all jobs")
        if bad:
            raise AirflowFailException("; ".join(bad))

    nothing_is_left([sweep.output for sweep in sweeps])
