"""Run CloudTrail Lake queries, and cancel them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_jobs_provider.jobs.cloudtrail import CLOUDTRAIL_QUERY
from airflow_jobs_provider.operators.cancel import CancelJobOperator
from airflow_jobs_provider.operators.checks import check_flags
from airflow_jobs_provider.operators.conflict import ExclusiveStartJobOperator
from airflow_jobs_provider.operators.results import QueryResults

if TYPE_CHECKING:
    from airflow_jobs_provider.jobs.model import Operation


class CloudTrailStartQueryOperator(QueryResults, ExclusiveStartJobOperator):
    """Run a query in CloudTrail Lake (``StartQuery``), and wait for it.

    AWS bills by the bytes scanned. How many that will be cannot be known before: narrow the query by
    ``eventTime``. How many it were stands in the log and in the result
    (``details["QueryStatistics"]["BytesScanned"]``).

    For the other parameters see :class:`~airflow_jobs_provider.operators.results.QueryResults`
    (``fetch_results``, ``max_result_rows``),
    :class:`~airflow_jobs_provider.operators.conflict.ExclusiveStartJobOperator` (``on_conflict``: ``wait`` or
    ``fail``; ``conflict_timeout``), :class:`~airflow_jobs_provider.operators.base.StartJobOperator`
    (``wait_for_completion``, ``poll_interval``, ``cancel_on_kill``, ``cancel_timeout``, ``durable``) and
    :class:`~airflow_jobs_provider.operators.common.AwsJobOperator` (``deferrable``, ``aws_conn_id``,
    ``region_name``, ``verify``, ``botocore_config``).

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
    template_fields: Sequence[str] = (
        *ExclusiveStartJobOperator.template_fields,
        *CLOUDTRAIL_QUERY.start.parameters,
    )
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"query_statement": "sql"}

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
        self.query_statement = query_statement
        self.query_alias = query_alias
        self.query_parameters = query_parameters
        self.delivery_s3_uri = delivery_s3_uri
        self.event_data_store_owner_account_id = event_data_store_owner_account_id
        self.wait_for_delivery = wait_for_delivery
        check_flags(self, ("wait_for_delivery",))
        self.check_parameters(self.job_type.start)

    @property
    def settles(self) -> bool:
        """Whether to wait for the delivery of the result."""
        return self.wait_for_delivery

    def check_parameters(self, operation: Operation) -> None:
        """Refuse a query that is given twice, or not at all."""
        super().check_parameters(operation)
        if (self.query_statement is None) == (self.query_alias is None):
            raise ValueError(
                "query_statement or query_alias must be given, and not both, not"
                f" {self.query_statement!r:.100} and {self.query_alias!r}"
            )
        if self.query_parameters is not None and self.query_alias is None:
            raise ValueError(
                f"query_parameters must go with a query_alias, not {self.query_parameters!r} without"
            )


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
    template_fields: Sequence[str] = (
        *CancelJobOperator.template_fields,
        *CLOUDTRAIL_QUERY.cancel.parameters,
    )

    def __init__(
        self,
        *,
        query_id: str,
        event_data_store: str | None = None,
        event_data_store_owner_account_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.query_id = query_id
        self.event_data_store = event_data_store
        self.event_data_store_owner_account_id = event_data_store_owner_account_id
        self.check_parameters(self.job_type.cancel)
