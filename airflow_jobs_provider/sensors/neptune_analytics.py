"""Wait for imports into Neptune Analytics graphs, and for exports of them."""

from __future__ import annotations

from typing import Any

from airflow_jobs_provider.jobs.neptune_analytics import NEPTUNE_EXPORT, NEPTUNE_IMPORT
from airflow_jobs_provider.sensors.base import JobSensor


class _TaskSensor(JobSensor):
    def __init__(self, *, task_identifier: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.take(locals())


class NeptuneImportTaskSensor(_TaskSensor):
    """Wait until an import, also one that creates a graph, has succeeded (``GetImportTask``).

    For the other parameters see :class:`~airflow_jobs_provider.sensors.base.JobSensor` (``poke_interval``,
    ``timeout``, ``mode``, ``soft_fail``) and
    :class:`~airflow_jobs_provider.operators.common.AwsJobOperator`.

    :param task_identifier: the import task, ``t-`` and 10 characters (templated).
    :returns: ``task_identifier``, ``region_name``, ``status``, ``details``.
    :raises JobFailedError: the import failed; the message has its statusReason.
    :raises JobCancelledError: somebody cancelled or deleted the import.
    """

    job_type = NEPTUNE_IMPORT


class NeptuneExportTaskSensor(_TaskSensor):
    """Wait until an export has succeeded (``GetExportTask``).

    For the other parameters see :class:`~airflow_jobs_provider.sensors.base.JobSensor` (``poke_interval``,
    ``timeout``, ``mode``, ``soft_fail``) and
    :class:`~airflow_jobs_provider.operators.common.AwsJobOperator`.

    :param task_identifier: the export task, ``t-`` and 10 characters (templated).
    :returns: ``task_identifier``, ``region_name``, ``status``, ``details``.
    :raises JobFailedError: the export failed; the message has its statusReason.
    :raises JobCancelledError: somebody cancelled or deleted the export.
    """

    job_type = NEPTUNE_EXPORT
