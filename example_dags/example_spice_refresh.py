"""Refresh a list of data sets every morning: the scheduled SPICE refresh that data teams need.

Two ways: with a task for each data set of a list that each run may choose, or without any process of a task.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from airflow.sdk import DAG, AssetAlias, Param, task

from airflow_jobs_provider.operators.quicksight import QuickSightCreateIngestionOperator
from airflow_jobs_provider.retry import AwsJobRetryPolicy

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

DOC = """
### The scheduled SPICE refresh

Every data set is a mapped task instance of its own: it can be retried, cleared and alerted on alone. While a
refresh runs, its task is deferred and holds no worker. Clearing or failing a task cancels its refresh.

* **How many at once**: the pool `spice_refresh`. A deferred task counts only in a pool that includes deferred
  tasks: `airflow pools set --include-deferred spice_refresh 4 "SPICE refreshes at once"`
* **Which**: the DAG param `data_set_ids`, for a manual run of a few as well.
* **Incremental or full**: incremental from Monday to Saturday, full on Sundays (UTC).
* **Retries**: only for failures that may be gone after a while. QuickSight counts every refresh, failed ones
  too, against 32 in 24 hours for a data set (8 in Standard edition). If they are used up, a retry waits until
  the next one is free, for up to six hours; with the right `quicksight:ListIngestions` it knows when that is.
* **Alerts**: once for a data set that is not refreshed, when no retry is left or none is worth it.
* **What comes next**: `example_spice_refreshed` runs when data sets are refreshed, and reads how many rows
  they have.
* **Tests**: `example_dags/tests/test_example_spice_refresh.py`
"""

# Failures that may pass are tried again after 10 and 20 minutes. Where the daily quota is used up, the task
# waits until it frees, if that is not too late for the day's readers; nothing else is tried again.
WORTH_ANOTHER_REFRESH = AwsJobRetryPolicy(
    delay=timedelta(minutes=10),
    longest_quota_delay=timedelta(hours=6),
)

INGESTION_TYPE = "{{ 'FULL_REFRESH' if dag_run.run_after.isoweekday() == 7 else 'INCREMENTAL_REFRESH' }}"


def alert(context: Context) -> None:
    """Say that a data set was not refreshed; put the notifier of your choice in its place.

    Where a worker has died, Airflow's DAG processor calls it: with no exception, and the mapped task itself.
    """
    data_set = getattr(context["task"], "data_set_id", f"map index {context['ti'].map_index}")
    logging.getLogger(__name__).error("%s was not refreshed: %s", data_set, context.get("exception"))


with DAG(
    dag_id="example_spice_refresh",
    schedule="0 5 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    doc_md=DOC,
    params={
        "data_set_ids": Param(
            ["sales", "inventory", "web-traffic"],
            type="array",
            items={"type": "string", "minLength": 1},
            description="the data sets to refresh",
        ),
    },
    tags=["example", "quicksight"],
):

    @task
    def data_sets(params: dict[str, list[str]]) -> list[str]:
        """Return the data sets of this run, each once."""
        return list(dict.fromkeys(params["data_set_ids"]))

    QuickSightCreateIngestionOperator.partial(
        task_id="refresh",
        map_index_template="{{ task.data_set_id }}",
        ingestion_type=INGESTION_TYPE,
        deferrable=True,
        poll_interval=30,
        pool="spice_refresh",
        execution_timeout=timedelta(hours=2),
        retries=2,
        retry_policy=WORTH_ANOTHER_REFRESH,
        outlets=[AssetAlias("spice_refreshed")],
        on_failure_callback=alert,
    ).expand(data_set_id=data_sets())


WORKERLESS_DOC = """
### The scheduled SPICE refresh, without workers

The triggerer starts the refreshes, waits for them and ends their tasks: no process is made for a task whose
refresh succeeds. A failure goes to a worker, which asks the retry policy. Airflow starts mapped tasks in
workers, so the data sets stand in this file; and it keeps no limit, as pools are for workers: all refreshes
start at once.
"""

with DAG(
    dag_id="example_spice_refresh_workerless",
    schedule="0 5 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    doc_md=WORKERLESS_DOC,
    tags=["example", "quicksight"],
):
    for data_set_id in ("sales", "inventory", "web-traffic"):
        QuickSightCreateIngestionOperator(
            task_id=f"refresh-{data_set_id}",
            data_set_id=data_set_id,
            ingestion_type=INGESTION_TYPE,
            start_from_trigger=True,
            end_from_trigger=True,
            # Each XCom from the triggerer costs more than a call to AWS: one result, not also its items.
            multiple_outputs=False,
            poll_interval=30,
            execution_timeout=timedelta(hours=2),
            retries=2,
            retry_policy=WORTH_ANOTHER_REFRESH,
        )
