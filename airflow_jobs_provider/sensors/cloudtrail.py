"""Wait for CloudTrail Lake queries."""

from __future__ import annotations

from typing import Any

from airflow_jobs_provider.jobs.cloudtrail import CLOUDTRAIL_QUERY
from airflow_jobs_provider.operators.checks import check_flags
from airflow_jobs_provider.operators.results import QueryResults
from airflow_jobs_provider.sensors.base import JobSensor


class CloudTrailQuerySensor(QueryResults, JobSensor):
    """Wait until a query in CloudTrail Lake has finished (``DescribeQuery``).

    For the other parameters see :class:`~airflow_jobs_provider.operators.results.QueryResults`
    (``fetch_results``, ``max_result_rows``), :class:`~airflow_jobs_provider.sensors.base.JobSensor`
    (``poke_interval``, ``timeout``, ``mode``, ``soft_fail``) and
    :class:`~airflow_jobs_provider.operators.common.AwsJobOperator`.

    :param query_id: the query, 36 characters (templated).
    :param event_data_store: the event data store that it reads, its ARN or id; not needed (templated).
    :param event_data_store_owner_account_id: its account, where it is another one (templated).
    :param wait_for_delivery: where the result is delivered to S3, wait until it is there, and fail if it
        could not be written.
    :returns: ``query_id``, ``event_data_store``, ``event_data_store_owner_account_id``, ``region_name``,
        ``status``, ``details`` (without the statement) and, with ``fetch_results``, ``rows``.
    :raises JobFailedError: the query failed or timed out, or its result could not be delivered.
    :raises JobCancelledError: somebody cancelled the query.
    """

    job_type = CLOUDTRAIL_QUERY

    def __init__(
        self,
        *,
        query_id: str,
        event_data_store: str | None = None,
        event_data_store_owner_account_id: str | None = None,
        wait_for_delivery: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.wait_for_delivery = wait_for_delivery
        check_flags(self, ("wait_for_delivery",))
        self.take(locals())

    @property
    def settles(self) -> bool:
        """Whether to wait for the delivery of the result."""
        return self.wait_for_delivery
