"""Sync data sources of Bedrock knowledge bases, and stop syncs."""

from __future__ import annotations

from typing import Any

from airflow_jobs_provider.jobs.bedrock import BEDROCK_INGESTION
from airflow_jobs_provider.operators.cancel import CancelJobOperator
from airflow_jobs_provider.operators.checks import check_count
from airflow_jobs_provider.operators.conflict import ExclusiveStartJobOperator

_TARGET = ("knowledge_base_id", "data_source_id")


class BedrockStartIngestionJobOperator(ExclusiveStartJobOperator):
    """Ingest a data source into its knowledge base (``StartIngestionJob``), and wait for it.

    For the other parameters see
    :class:`~airflow_jobs_provider.operators.conflict.ExclusiveStartJobOperator` (``on_conflict``,
    ``conflict_timeout``), :class:`~airflow_jobs_provider.operators.base.StartJobOperator`
    (``wait_for_completion``, ``poll_interval``, ``cancel_on_kill``, ``cancel_timeout``, ``durable``) and
    :class:`~airflow_jobs_provider.operators.common.AwsJobOperator` (``deferrable``, ``aws_conn_id``,
    ``region_name``, ``verify``, ``botocore_config``).

    :param knowledge_base_id: the knowledge base, 10 characters (templated).
    :param data_source_id: its data source, 10 characters (templated).
    :param description: of the job, up to 200 characters; default: which DAG, run, task and try started it
        (templated).
    :param client_token: an idempotency token of your own, 33 to 256 characters, not used before; default: one
        derived from DAG, run, task, map index and try (templated).
    :param max_documents_failed: fail if more documents could not be ingested; default: only warn.
    :returns: ``knowledge_base_id``, ``data_source_id``, ``ingestion_job_id``, ``region_name``, ``status``,
        ``details``.
    :raises JobFailedError: the job failed, or too many documents did.
    :raises QuotaExceededError: the account runs as many ingestion jobs as it may.
    """

    job_type = BEDROCK_INGESTION

    def __init__(
        self,
        *,
        knowledge_base_id: str,
        data_source_id: str,
        description: str | None = None,
        client_token: str | None = None,
        max_documents_failed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_documents_failed = max_documents_failed
        check_count("max_documents_failed", max_documents_failed)
        self.take(locals())


class BedrockStopIngestionJobOperator(CancelJobOperator):
    """Stop the sync of a data source (``StopIngestionJob``).

    What was ingested stays; a new sync takes the rest.

    For the other parameters see :class:`~airflow_jobs_provider.operators.cancel.CancelJobOperator`
    (``wait_for_completion``, ``poll_interval``, ``cancel_timeout``, ``missing_ok``) and
    :class:`~airflow_jobs_provider.operators.common.AwsJobOperator`.

    :param knowledge_base_id: the knowledge base (templated).
    :param data_source_id: its data source (templated).
    :param ingestion_job_id: the job, 10 characters (templated).
    :returns: as :class:`BedrockStartIngestionJobOperator`; ``status`` says which end the job had.
    :raises JobNotFoundError: Bedrock does not know it, and ``missing_ok`` is off.
    """

    job_type = BEDROCK_INGESTION

    def __init__(
        self, *, knowledge_base_id: str, data_source_id: str, ingestion_job_id: str, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.take(locals())
