"""CloudTrail Lake: a daily query whose rows go to the next task, and a dashboard's query in three tasks.

What CloudTrail Lake executes, and what it reads and writes with your rights, is decided by whoever sets the
SQL, the event data store and ``delivery_s3_uri`` (as whoever sets a ``role_arn`` of other jobs decides for
them). They are privileged inputs, and ``dag_run.conf``, which is where params come from, is open to
everybody who may trigger the DAG. So none of them is a param here: they are constants.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, Param, task

from airflow_jobs_provider.operators.cloudtrail import (
    CloudTrailCancelQueryOperator,
    CloudTrailStartQueryOperator,
)
from airflow_jobs_provider.sensors.cloudtrail import CloudTrailQuerySensor

EVENT_DATA_STORE = "aaaaaaaa-1111-2222-3333-bbbbbbbbbbbb"
BUCKET = "example-data"
DELIVERY = "s3://example-query-results/cloudtrail"
# A dashboard's query: aws cloudtrail get-dashboard shows the alias and the parameters of each.
ALIAS = "errors-by-user"

ROWS = """
### A daily query, and its rows

`query` runs `sql/data_changes.sql`, in which the time range comes from the run: the
same run asks for the same day, whenever it is tried again. It waits in the triggerer: no worker is held.
Clearing or failing the task cancels the query.

With `fetch_results=True` the result has the `rows`, a list of dicts whose values are strings, and `report`
takes them. They go through XCom, so there may be 1000 (`max_result_rows`): let SQL count and group, or have
more delivered to S3.
"""

THREE_TASKS = """
### A dashboard's query, delivered to S3, in three tasks

`start` begins the query and does not wait. `wait` is a sensor: it waits in the triggerer until the query
has finished *and* its result lies in S3, and never cancels what it watches. `cancel` is the teardown: when
`wait` fails or is marked failed, it ends the query; when the query has finished, there is nothing to cancel
and it says so.

A query is also known by an alias: those of dashboards are. What fills its placeholders are
`query_parameters`, which CloudTrail Lake takes as values and never executes: the param `user` may come from
outside.
"""

with DAG(
    dag_id="example_cloudtrail_lake",
    schedule="0 6 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    doc_md=ROWS,
    # Constants for the .sql file; unlike params, a run cannot set them.
    user_defined_macros={"event_data_store": EVENT_DATA_STORE, "bucket": BUCKET},
    tags=["example", "cloudtrail"],
):
    query = CloudTrailStartQueryOperator(
        task_id="query",
        query_statement="sql/data_changes.sql",
        fetch_results=True,
        deferrable=True,
        execution_timeout=timedelta(hours=1),
    )

    @task
    def report(rows: list[dict[str, str]]) -> dict[str, int]:
        """Return, and write to the log, how many changes each one has made."""
        changes: dict[str, int] = {}
        for row in rows:
            changes[row["who"]] = changes.get(row["who"], 0) + int(row["times"])
        for who, times in changes.items():
            logging.getLogger(__name__).info("%s has changed %d files", who, times)
        return changes

    report(query.output["rows"])

with DAG(
    dag_id="example_cloudtrail_lake_three_tasks",
    schedule=None,
    catchup=False,
    doc_md=THREE_TASKS,
    params={"user": Param("alice", type="string", pattern="^[\\w+=,.@-]{1,64}$")},
    tags=["example", "cloudtrail"],
):
    start = CloudTrailStartQueryOperator(
        task_id="start",
        query_alias=ALIAS,
        # In the order of the question marks in the query.
        query_parameters=[
            EVENT_DATA_STORE,
            "{{ (dag_run.run_after - macros.timedelta(days=1)).strftime('%Y-%m-%d %H:%M:%S') }}",
            "{{ dag_run.run_after.strftime('%Y-%m-%d %H:%M:%S') }}",
            "{{ params.user }}",
        ],
        delivery_s3_uri=DELIVERY,
        wait_for_completion=False,
    )
    # The result of a start has the sensor's and the cancel operator's parameters under their own names.
    query_run = {name: start.output[name] for name in ("query_id", "region_name")}
    wait = CloudTrailQuerySensor(task_id="wait", deferrable=True, timeout=60 * 60, **query_run)
    cancel = CloudTrailCancelQueryOperator(task_id="cancel", **query_run).as_teardown(setups=start)

    start >> wait >> cancel
