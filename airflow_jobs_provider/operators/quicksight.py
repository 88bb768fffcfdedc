"""Refresh QuickSight data sets in SPICE, and cancel refreshes."""

from __future__ import annotations

from typing import Any

from airflow_jobs_provider.jobs.quicksight import QUICKSIGHT_INGESTION
from airflow_jobs_provider.operators.base import StartJobOperator
from airflow_jobs_provider.operators.cancel import CancelJobOperator
from airflow_jobs_provider.operators.checks import check_count

_IDENTITY = ("data_set_id", "ingestion_id", "aws_account_id")


class QuickSightCreateIngestionOperator(StartJobOperator):
    """Refresh a data set in SPICE (``CreateIngestion``), and wait for it.

    For what all start operators take see
    :class:`~airflow_jobs_provider.operators.base.StartJobOperator` (``wait_for_completion``,
    ``poll_interval``, ``cancel_on_kill``, ``durable``) and
    :class:`~airflow_jobs_provider.operators.common.AwsJobOperator` (``deferrable``, ``aws_conn_id``,
    ``region_name``, ``verify``, ``botocore_config``).

    :param data_set_id: the data set (templated).
    :param ingestion_id: an id of your own for the refresh, not used before; default: one derived from DAG,
        run, task, map index and try (templated).
    :param ingestion_type: ``FULL_REFRESH`` or ``INCREMENTAL_REFRESH`` (templated).
    :param aws_account_id: the account of the data set, 12 digits; default: that of the credentials, from STS
        (templated).
    :param max_rows_dropped: fail if more rows were dropped; default: only warn.
    :returns: ``aws_account_id``, ``data_set_id``, ``ingestion_id``, ``region_name``, ``status``, ``details``.
    :raises JobFailedError: the refresh failed.
    :raises QuotaExceededError: the data set's refreshes of the last 24 hours are used up.
    """

    job_type = QUICKSIGHT_INGESTION

    def __init__(
        self,
        *,
        data_set_id: str,
        ingestion_id: str | None = None,
        ingestion_type: str = "FULL_REFRESH",
        aws_account_id: str | None = None,
        max_rows_dropped: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_rows_dropped = max_rows_dropped
        check_count("max_rows_dropped", max_rows_dropped)
        self.take(locals())


class QuickSightCancelIngestionOperator(CancelJobOperator):
    """Cancel the refresh of a data set (``CancelIngestion``). The data of the refresh before stays.

    For the other parameters see :class:`~airflow_jobs_provider.operators.cancel.CancelJobOperator`
    (``wait_for_completion``, ``poll_interval``, ``missing_ok``) and
    :class:`~airflow_jobs_provider.operators.common.AwsJobOperator`.

    :param data_set_id: the data set (templated).
    :param ingestion_id: the refresh (templated).
    :param aws_account_id: the account of the data set, 12 digits; default: that of the credentials, from STS
        (templated).
    :returns: as :class:`QuickSightCreateIngestionOperator`; ``status`` says which end the refresh had.
    :raises JobNotFoundError: QuickSight does not know it, and ``missing_ok`` is off.
    """

    job_type = QUICKSIGHT_INGESTION

    def __init__(
        self, *, data_set_id: str, ingestion_id: str, aws_account_id: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.take(locals())
