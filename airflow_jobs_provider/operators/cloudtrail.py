"""Run CloudTrail Lake queries, and cancel them."""

from __future__ import annotations

from typing import Any

from airflow_jobs_provider.jobs.cloudtrail import CLOUDTRAIL_QUERY
from airflow_jobs_provider.operators.cancel import CancelJobOperator
from airflow_jobs_provider.operators.checks import check_flags
from airflow_jobs_provider.operators.results import StartQueryOperator


class CloudTrailStartQueryOperator(StartQueryOperator):
    """Run a query in CloudTrail Lake (``StartQuery``), and wait for it.

    AWS bills by the bytes scanned. How many that will be cannot be known before: narrow the query by
    ``eventTime``. How many it were stands in the log and in the result
    (``details["QueryStatistics"]["BytesScanned"]``).

    For the other parameters see :class:`~airflow_jobs_provider.operators.results.StartQueryOperator`.

    :param query_statement: the SQL, or the name of a ``.sql`` file with it (templated); it names the event
        data store after FROM. Whoever can fill it decides what is read: nothing for ``dag_run.conf``.
    :param query_alias: a query of a dashboard instead (templated).
    :param query_parameters: the values of its placeholders, 1 to 10 strings (templated): the safe way for
        values that come from outside.
    :param delivery_s3_uri: where the result is written to, ``s3://bucket/prefix`` (templated).
    :param event_data_store_owner_account_id: the account of the event data store, where it is another one
        (templated).
    :param wait_for_delivery: with ``delivery_s3_uri``, wait until the result is there, and fail if it could
        not be written: a query that is FINISHED has not been delivered yet.
    :returns: ``query_id``, ``event_data_store``, ``event_data_store_owner_account_id``, ``region_name``,
        ``status``, ``details`` (without the statement) and, with ``fetch_results``, ``rows``.
    :raises JobFailedError: the query failed or timed out, or its result could not be delivered.
    """

    job_type = CLOUDTRAIL_QUERY

    def __init__(
        self,
        *,
        query_statement: str | None = None,
        query_alias: str | None = None,
        query_parameters: list[str] | None = None,
        delivery_s3_uri: str | None = None,
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


class CloudTrailCancelQueryOperator(CancelJobOperator):
    """Cancel a query in CloudTrail Lake (``CancelQuery``).

    For the other parameters see :class:`~airflow_jobs_provider.operators.cancel.CancelJobOperator`
    (``wait_for_completion``, ``poll_interval``, ``cancel_timeout``, ``missing_ok``) and
    :class:`~airflow_jobs_provider.operators.common.AwsJobOperator`.

    :param query_id: the query, 36 characters (templated).
    :param event_data_store: the event data store that it reads, its ARN or id; not needed (templated).
    :param event_data_store_owner_account_id: its account, where it is another one (templated).
    :returns: as :class:`CloudTrailStartQueryOperator`; ``status`` says which end the query had.
    :raises JobNotFoundError: CloudTrail does not know it, and ``missing_ok`` is off.
    """

    job_type = CLOUDTRAIL_QUERY

    def __init__(
        self,
        *,
        query_id: str,
        event_data_store: str | None = None,
        event_data_store_owner_account_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.take(locals())
