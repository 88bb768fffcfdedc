"""Refresh one data set: start, wait, and cancel whatever happens in between."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_jobs_provider.operators.quicksight import (
    QuickSightCancelIngestionOperator,
    QuickSightCreateIngestionOperator,
)
from airflow_jobs_provider.sensors.quicksight import QuickSightIngestionSensor

DOC = """
### Three tasks for one refresh

`start` begins the refresh and does not wait. `wait` is a sensor: it waits in the triggerer and never
cancels what it watches. `cancel` is the teardown: when `wait` fails or is marked failed, it ends the refresh;
when the refresh has completed, there is nothing to cancel and it says so.

One operator can do all of it: `QuickSightCreateIngestionOperator` with its defaults starts, waits, and
cancels when its task is cleared. See `example_spice_refresh`.
"""

with DAG(
    dag_id="example_quicksight",
    schedule=None,
    catchup=False,
    doc_md=DOC,
    params={"data_set_id": Param("sales", type="string", minLength=1)},
    tags=["example", "quicksight"],
):
    start = QuickSightCreateIngestionOperator(
        task_id="start",
        data_set_id="{{ params.data_set_id }}",
        wait_for_completion=False,
    )
    # The result of a start has the sensor's and the cancel operator's parameters under their own names.
    ingestion = {
        name: start.output[name] for name in ("aws_account_id", "data_set_id", "ingestion_id", "region_name")
    }
    wait = QuickSightIngestionSensor(task_id="wait", deferrable=True, timeout=60 * 60, **ingestion)
    cancel = QuickSightCancelIngestionOperator(task_id="cancel", **ingestion).as_teardown(setups=start)

    start >> wait >> cancel
