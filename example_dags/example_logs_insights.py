"""Count the errors in a log group with CloudWatch Logs Insights, and use the rows in the next task."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_jobs_provider.operators.logs import LogsStartQueryOperator

DOC = """
### A query and its rows

`count` runs the query, waits in the triggerer, and puts its rows into XCom; clearing it stops the query.
`report` uses them.

The time range ends when the run was due (`dag_run.run_after`), scheduled or by hand. It does not move with
the clock: a retry asks for the same range, and so finds the query of the try before.

The log group is a DAG param with a pattern: whoever triggers the DAG chooses one of those that the connection
may read, and cannot write into the query.
"""

ERRORS = """
filter @message like /ERROR/
| stats count(*) as errors by @logStream
| sort errors desc
"""

with DAG(
    dag_id="example_logs_insights",
    schedule="0 6 * * *",
    catchup=False,
    doc_md=DOC,
    params={
        "log_group": Param("/app/web", type="string", pattern="^[.\\-_/#A-Za-z0-9]{1,512}$"),
        "hours": Param(24, type="integer", minimum=1, description="how far back the query looks"),
    },
    tags=["example", "logs"],
):
    count = LogsStartQueryOperator(
        task_id="count",
        query_string=ERRORS,
        # Both ends are within the range: it ends a second before the next one begins.
        start_time="{{ dag_run.run_after.timestamp() | int - params.hours * 3600 }}",
        end_time="{{ dag_run.run_after.timestamp() | int - 1 }}",
        log_group_name="{{ params.log_group }}",
        limit=100,
        fetch_results=True,
        max_result_rows=100,
        deferrable=True,
        execution_timeout=timedelta(hours=1),
    )

    @task
    def report(rows: list[dict[str, str]]) -> int:
        """Log how many errors each log stream had, and return how many there were."""
        for row in rows:
            print(f"{row['@logStream']}: {row['errors']} errors")  # noqa: T201 - a task's output is its log
        return sum(int(row["errors"]) for row in rows)

    # An item of the result is an XCom of its own.
    rows: Any = count.output["rows"]
    report(rows)
