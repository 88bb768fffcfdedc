"""What the live tests need to know of each job type; the DAGs in ``dags/jobs.py`` are made of it, too."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_jobs_provider.operators.bedrock import BedrockStartIngestionJobOperator
from airflow_jobs_provider.operators.cloudtrail import CloudTrailStartQueryOperator
from airflow_jobs_provider.operators.logs import LogsStartQueryOperator
from airflow_jobs_provider.operators.neptune_analytics import (
    NeptuneCreateGraphUsingImportTaskOperator,
    NeptuneStartExportTaskOperator,
    NeptuneStartImportTaskOperator,
)
from airflow_jobs_provider.operators.quicksight import QuickSightCreateIngestionOperator
from airflow_jobs_provider.sensors.bedrock import BedrockIngestionJobSensor
from airflow_jobs_provider.sensors.cloudtrail import CloudTrailQuerySensor
from airflow_jobs_provider.sensors.logs import LogsQuerySensor
from airflow_jobs_provider.sensors.neptune_analytics import NeptuneExportTaskSensor, NeptuneImportTaskSensor
from airflow_jobs_provider.sensors.quicksight import QuickSightIngestionSensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_jobs_provider.jobs.model import JobType

IMPORTS = ("airflow.dag_processing.dagbag", "airflow_jobs_provider.hooks.aws_job", __name__)
"""What the process of every task that starts such a job, or waits for it, has to import."""

TARGET = "{{ params.target }}"
"""Stands for a target: a small letter and 9 small letters or digits."""

_ROLE = "arn:aws:iam::123456789012:role/neptune"
_KEY = "arn:aws:kms:us-east-1:123456789012:key/12345678-1234-1234-1234-123456789012"
_SOURCE = {"source": f"s3://bucket/{TARGET}", "role_arn": _ROLE}


@dataclass(frozen=True, kw_only=True, repr=False)
class LiveJobType:
    """One job type; the rest of what tests know of it is in ``tests/cases.py``.

    :param operator: starts a job; ``arguments`` are its own, with ``TARGET`` in them.
    :param sensor: waits for one.
    :param progress: settings of the emulator for a job that has succeeded.
    :param shown: what the task's log then says.
    :param exclusive: a target runs one job at a time.
    :param unlimited: settings of the emulator for an account that runs as many jobs as it likes.
    """

    operator: Any
    arguments: Mapping[str, Any]
    sensor: Any
    progress: Mapping[str, Any]
    shown: str
    exclusive: bool = False
    unlimited: Mapping[str, Any] = field(default_factory=dict)

    @property
    def job_type(self) -> JobType:
        """What the engine knows of it."""
        found: JobType = self.operator.job_type
        return found


_ALL = (
    LiveJobType(
        operator=QuickSightCreateIngestionOperator,
        arguments={"data_set_id": TARGET},
        sensor=QuickSightIngestionSensor,
        progress={"rows_ingested": 42},
        shown="rows ingested 42",
    ),
    LiveJobType(
        operator=BedrockStartIngestionJobOperator,
        arguments={"knowledge_base_id": TARGET, "data_source_id": TARGET},
        sensor=BedrockIngestionJobSensor,
        progress={"statistics": {"numberOfDocumentsScanned": 42}},
        unlimited={"limit_per_account": None},
        shown="scanned 42",
        exclusive=True,
    ),
    LiveJobType(
        operator=NeptuneStartImportTaskOperator,
        arguments={"graph_identifier": f"g-{TARGET}", **_SOURCE},
        sensor=NeptuneImportTaskSensor,
        progress={"statement_count": 42},
        shown="statements 42",
        exclusive=True,
    ),
    LiveJobType(
        operator=NeptuneCreateGraphUsingImportTaskOperator,
        arguments={"graph_name": TARGET, **_SOURCE},
        sensor=NeptuneImportTaskSensor,
        progress={"statement_count": 42},
        shown="statements 42",
    ),
    LiveJobType(
        operator=NeptuneStartExportTaskOperator,
        arguments={
            "graph_identifier": f"g-{TARGET}",
            "role_arn": _ROLE,
            "format": "CSV",
            "destination": "s3://bucket/export",
            "kms_key_identifier": _KEY,
        },
        sensor=NeptuneExportTaskSensor,
        progress={"vertices_written": 42},
        shown="vertices 42",
        exclusive=True,
    ),
    LiveJobType(
        operator=CloudTrailStartQueryOperator,
        arguments={"query_statement": f"SELECT * FROM {TARGET}-0000-0000"},
        sensor=CloudTrailQuerySensor,
        progress={"bytes_scanned": 42},
        unlimited={"limit_per_account": None},
        shown="bytes scanned 42",
    ),
    LiveJobType(
        operator=LogsStartQueryOperator,
        arguments={
            "query_string": "fields @message",
            "log_group_name": TARGET,
            "start_time": 0,
            "end_time": 3600,
        },
        sensor=LogsQuerySensor,
        progress={"bytes_scanned": 42},
        unlimited={"limit_per_account": None},
        shown="bytes scanned 42",
    ),
)
LIVE_JOB_TYPES = {live.job_type.name: live for live in _ALL}
