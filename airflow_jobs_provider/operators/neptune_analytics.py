"""Load Neptune Analytics graphs, create graphs by a load, export graphs, and cancel all of that."""

from __future__ import annotations

from typing import Any

from airflow_jobs_provider.jobs.neptune_analytics import (
    NEPTUNE_CREATE_GRAPH,
    NEPTUNE_EXPORT,
    NEPTUNE_IMPORT,
)
from airflow_jobs_provider.operators.base import StartJobOperator
from airflow_jobs_provider.operators.cancel import CancelJobOperator
from airflow_jobs_provider.operators.checks import check_count
from airflow_jobs_provider.operators.conflict import ExclusiveStartJobOperator


class NeptuneStartImportTaskOperator(ExclusiveStartJobOperator):
    """Load data into an empty graph (``StartImportTask``), and wait for it.

    The API has no idempotency token: a start whose answer is lost is not repeated.

    For the other parameters see
    :class:`~airflow_jobs_provider.operators.conflict.ExclusiveStartJobOperator` (``on_conflict``,
    ``conflict_timeout``), :class:`~airflow_jobs_provider.operators.base.StartJobOperator`
    (``wait_for_completion``, ``poll_interval``, ``cancel_on_kill``, ``cancel_timeout``, ``durable``) and
    :class:`~airflow_jobs_provider.operators.common.AwsJobOperator` (``deferrable``, ``aws_conn_id``,
    ``region_name``, ``verify``, ``botocore_config``).

    :param graph_identifier: the graph, ``g-`` and 10 characters (templated).
    :param source: where the data is: an S3 path, or a Neptune database's endpoint or snapshot (templated).
    :param role_arn: the role with which Neptune Analytics reads it (templated).
    :param format: ``CSV``, ``OPEN_CYPHER``, ``PARQUET`` or ``NTRIPLES`` (templated).
    :param fail_on_error: stop at the first error, or skip what caused it (templated).
    :param parquet_type: ``COLUMNAR`` (templated).
    :param blank_node_handling: ``convertToIri``; needed with ``NTRIPLES`` (templated).
    :param import_options: ``{"neptune": {"s3ExportPath": ..., "s3ExportKmsKeyId": ...}}`` for a source that
        is a Neptune database (templated).
    :param max_errors: with ``fail_on_error=False``, fail if there were more errors; default: only warn.
    :returns: ``task_identifier``, ``region_name``, ``status``, ``details``.
    :raises JobFailedError: the import failed; the message has its statusReason.
    """

    job_type = NEPTUNE_IMPORT

    def __init__(
        self,
        *,
        graph_identifier: str,
        source: str,
        role_arn: str,
        format: str | None = None,  # noqa: A002 - the API's name
        fail_on_error: bool | None = None,
        parquet_type: str | None = None,
        blank_node_handling: str | None = None,
        import_options: dict[str, Any] | None = None,
        max_errors: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_errors = max_errors
        check_count("max_errors", max_errors)
        self.take(locals())


class NeptuneCreateGraphUsingImportTaskOperator(StartJobOperator):
    """Create a graph and load data into it (``CreateGraphUsingImportTask``), and wait for it.

    A graph of that name must not exist. When the task is cancelled, what was made of the graph is rolled back
    by AWS; a graph that is there is paid for until somebody deletes it. The API has no idempotency token: a
    start whose answer is lost is not repeated.

    For the other parameters see :class:`~airflow_jobs_provider.operators.base.StartJobOperator`
    (``wait_for_completion``, ``poll_interval``, ``cancel_on_kill``, ``cancel_timeout``, ``durable``) and
    :class:`~airflow_jobs_provider.operators.common.AwsJobOperator` (``deferrable``, ``aws_conn_id``,
    ``region_name``, ``verify``, ``botocore_config``); for ``source``, ``role_arn``, ``format``,
    ``fail_on_error``, ``parquet_type``, ``blank_node_handling``, ``import_options`` and ``max_errors``
    :class:`NeptuneStartImportTaskOperator`.

    :param graph_name: of the new graph, 1 to 63 small letters, digits and hyphens (templated).
    :param tags: of the new graph, at most 50 (templated).
    :param public_connectivity: whether it can be reached over the internet (templated).
    :param kms_key_identifier: the ARN of the KMS key that encrypts it (templated).
    :param vector_search_configuration: ``{"dimension": 1 to 65536}`` (templated).
    :param replica_count: 0 to 2; AWS's default is 1, and each costs as much as the graph (templated).
    :param deletion_protection: whether it can be deleted (templated).
    :param max_provisioned_memory: m-NCUs at the most, 16 to 24576 (templated).
    :param min_provisioned_memory: m-NCUs at the least, 16 to 24576 (templated).
    :returns: ``task_identifier``, ``region_name``, ``status``, ``details`` (with the ``graphId``).
    :raises JobFailedError: the import failed; the message has its statusReason.
    :raises QuotaExceededError: the account's quota of graphs, or of their memory, is used up.
    """

    job_type = NEPTUNE_CREATE_GRAPH

    def __init__(
        self,
        *,
        graph_name: str,
        source: str,
        role_arn: str,
        format: str | None = None,  # noqa: A002 - the API's name
        fail_on_error: bool | None = None,
        parquet_type: str | None = None,
        blank_node_handling: str | None = None,
        import_options: dict[str, Any] | None = None,
        tags: dict[str, str] | None = None,
        public_connectivity: bool | None = None,
        kms_key_identifier: str | None = None,
        vector_search_configuration: dict[str, int] | None = None,
        replica_count: int | None = None,
        deletion_protection: bool | None = None,
        max_provisioned_memory: int | None = None,
        min_provisioned_memory: int | None = None,
        max_errors: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_errors = max_errors
        check_count("max_errors", max_errors)
        self.take(locals())


class NeptuneStartExportTaskOperator(ExclusiveStartJobOperator):
    """Export a graph to S3 (``StartExportTask``), and wait for it.

    The API has no idempotency token: a start whose answer is lost is not repeated. For the other parameters
    see :class:`NeptuneStartImportTaskOperator`.

    :param graph_identifier: the graph, ``g-`` and 10 characters (templated).
    :param role_arn: the role with which Neptune Analytics writes (templated).
    :param format: ``CSV`` or ``PARQUET`` (templated).
    :param destination: the S3 path to write to (templated).
    :param kms_key_identifier: the ARN of the KMS key that encrypts what is written (templated).
    :param parquet_type: ``COLUMNAR`` (templated).
    :param export_filter: which vertices, edges and properties, as the API has it: ``{"vertexFilter": {label:
        {"properties": {name: {"outputType": ...}}}}, "edgeFilter": ...}`` (templated).
    :param tags: of the task, at most 50 (templated).
    :returns: ``task_identifier``, ``region_name``, ``status``, ``details``.
    :raises JobFailedError: the export failed; the message has its statusReason.
    """

    job_type = NEPTUNE_EXPORT

    def __init__(
        self,
        *,
        graph_identifier: str,
        role_arn: str,
        format: str,  # noqa: A002 - the API's name
        destination: str,
        kms_key_identifier: str,
        parquet_type: str | None = None,
        export_filter: dict[str, Any] | None = None,
        tags: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.take(locals())


class _CancelTaskOperator(CancelJobOperator):
    def __init__(self, *, task_identifier: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.take(locals())


class NeptuneCancelImportTaskOperator(_CancelTaskOperator):
    """Cancel an import, also one that creates a graph (``CancelImportTask``). All of it is rolled back.

    That can take long: ``cancel_timeout``. For the other parameters see
    :class:`~airflow_jobs_provider.operators.cancel.CancelJobOperator` (``wait_for_completion``,
    ``poll_interval``, ``cancel_timeout``, ``missing_ok``) and
    :class:`~airflow_jobs_provider.operators.common.AwsJobOperator`.

    :param task_identifier: the import task, ``t-`` and 10 characters (templated).
    :returns: ``task_identifier``, ``region_name``, ``status`` (which end the task had), ``details``.
    :raises JobNotFoundError: Neptune Analytics does not know it, and ``missing_ok`` is off.
    """

    job_type = NEPTUNE_IMPORT


class NeptuneCancelExportTaskOperator(_CancelTaskOperator):
    """Cancel an export (``CancelExportTask``).

    For the other parameters see :class:`~airflow_jobs_provider.operators.cancel.CancelJobOperator`
    (``wait_for_completion``, ``poll_interval``, ``cancel_timeout``, ``missing_ok``) and
    :class:`~airflow_jobs_provider.operators.common.AwsJobOperator`.

    :param task_identifier: the export task, ``t-`` and 10 characters (templated).
    :returns: ``task_identifier``, ``region_name``, ``status`` (which end the task had), ``details``.
    :raises JobNotFoundError: Neptune Analytics does not know it, and ``missing_ok`` is off.
    """

    job_type = NEPTUNE_EXPORT
