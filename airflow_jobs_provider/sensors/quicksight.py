"""Wait for refreshes of QuickSight data sets in SPICE."""

from __future__ import annotations

from typing import Any

from airflow_jobs_provider.jobs.quicksight import QUICKSIGHT_INGESTION
from airflow_jobs_provider.sensors.base import JobSensor


class QuickSightIngestionSensor(JobSensor):
    """Wait until the refresh of a data set has completed (``DescribeIngestion``).

    For the other parameters see :class:`~airflow_jobs_provider.sensors.base.JobSensor` (``poke_interval``,
    ``timeout``, ``mode``, ``soft_fail``) and
    :class:`~airflow_jobs_provider.operators.common.AwsJobOperator`.

    :param data_set_id: the data set (templated).
    :param ingestion_id: the refresh (templated).
    :param aws_account_id: the account of the data set, 12 digits; default: that of the credentials, from STS
        (templated).
    :returns: ``aws_account_id``, ``data_set_id``, ``ingestion_id``, ``region_name``, ``status``, ``details``.
    :raises JobFailedError: the refresh failed.
    :raises JobCancelledError: somebody cancelled the refresh.
    """

    job_type = QUICKSIGHT_INGESTION

    def __init__(
        self, *, data_set_id: str, ingestion_id: str, aws_account_id: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.take(locals())
