"""Put the rows that a query has found into its task's result."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot
from airflow_jobs_provider.jobs.values import Whole
from airflow_jobs_provider.operators.checks import check_flags
from airflow_jobs_provider.operators.common import PATIENCE, AwsJobOperator
from airflow_jobs_provider.operators.conflict import ExclusiveStartJobOperator
from airflow_jobs_provider.pages import read_rows
from airflow_jobs_provider.steps import drive


class QueryResults(AwsJobOperator):
    """What operators and sensors of queries take beside their own parameters.

    :param fetch_results: put the rows into the result, as ``rows``: a list of dicts, all values strings.
    :param max_result_rows: how many that may be; a query that finds more fails its task.
    :raises ResultTooLargeError: the query has found more; it is not run again by a retry, unless
        that starts in the triggerer.
    """

    def __init__(self, *, fetch_results: bool = False, max_result_rows: int = 1000, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.fetch_results = fetch_results
        self.max_result_rows = max_result_rows
        check_flags(self, ("fetch_results",))
        Whole(1).read("max_result_rows", max_result_rows)

    def outcome(
        self, run: JobRun, snapshot: JobSnapshot, sleep: Callable[[float], object] = time.sleep
    ) -> dict[str, Any]:
        """Return the result of a query that has succeeded, with its rows if they are wanted."""
        result = self.result(run, snapshot)
        if self.fetch_results:
            steps = read_rows(
                run, log=self.log, started_at=0.0, limit=self.max_result_rows, patience=PATIENCE
            )
            result["rows"] = drive(steps, self.hook_for(run), sleep)
        return result


class StartQueryOperator(QueryResults, ExclusiveStartJobOperator):
    """Run a query where an account may run so many at a time, and wait for it.

    It takes what these take: :class:`QueryResults` (``fetch_results``, ``max_result_rows``),
    :class:`~airflow_jobs_provider.operators.conflict.ExclusiveStartJobOperator` (``on_conflict``: ``wait`` or
    ``fail``; ``conflict_timeout``), :class:`~airflow_jobs_provider.operators.base.StartJobOperator`
    (``wait_for_completion``, ``poll_interval``, ``cancel_on_kill``, ``cancel_timeout``, ``durable``) and
    :class:`~airflow_jobs_provider.operators.common.AwsJobOperator` (``deferrable``, ``aws_conn_id``,
    ``region_name``, ``verify``, ``botocore_config``).

    :returns: the query's identity, ``region_name``, ``status``, ``details`` (without the query's text) and,
        with ``fetch_results``, ``rows``.
    :raises JobFailedError: the query failed or timed out.
    :raises JobCancelledError: somebody cancelled the query.
    :raises TargetBusyError: the account runs as many queries as it may, and the task was not to wait, or not
        any longer.
    :raises ResultTooLargeError: the query has found more than ``max_result_rows``.
    """
