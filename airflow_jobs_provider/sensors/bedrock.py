"""Wait for syncs of Bedrock knowledge bases."""

from __future__ import annotations

from typing import Any

from airflow_jobs_provider.jobs.bedrock import BEDROCK_INGESTION
from airflow_jobs_provider.sensors.base import JobSensor


class BedrockIngestionJobSensor(JobSensor):
    """Wait until the sync of a data source has completed (``GetIngestionJob``).

    For the other parameters see :class:`~airflow_jobs_provider.sensors.base.JobSensor` (``poke_interval``,
    ``timeout``, ``mode``, ``soft_fail``) and
    :class:`~airflow_jobs_provider.operators.common.AwsJobOperator`.

    :param knowledge_base_id: the knowledge base, 10 characters (templated).
    :param data_source_id: its data source, 10 characters (templated).
    :param ingestion_job_id: the job, 10 characters (templated).
    :returns: ``knowledge_base_id``, ``data_source_id``, ``ingestion_job_id``, ``region_name``, ``status``,
        ``details``.
    :raises JobFailedError: the job failed.
    :raises JobCancelledError: somebody stopped the job.
    """

    job_type = BEDROCK_INGESTION

    def __init__(
        self, *, knowledge_base_id: str, data_source_id: str, ingestion_job_id: str, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.take(locals())
