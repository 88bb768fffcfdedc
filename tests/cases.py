"""Every job type with its operators and sensor: the engine is tested once, for each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_jobs_provider.exceptions import JobFailedError, JobFailedTransientlyError
from airflow_jobs_provider.jobs.bedrock import BEDROCK_INGESTION
from airflow_jobs_provider.jobs.cloudtrail import CLOUDTRAIL_QUERY
from airflow_jobs_provider.jobs.logs import LOGS_QUERY
from airflow_jobs_provider.jobs.neptune_analytics import (
    NEPTUNE_CREATE_GRAPH,
    NEPTUNE_EXPORT,
    NEPTUNE_IMPORT,
)
from airflow_jobs_provider.jobs.quicksight import QUICKSIGHT_INGESTION
from airflow_jobs_provider.operators.bedrock import (
    BedrockStartIngestionJobOperator,
    BedrockStopIngestionJobOperator,
)
from airflow_jobs_provider.operators.cloudtrail import (
    CloudTrailCancelQueryOperator,
    CloudTrailStartQueryOperator,
)
from airflow_jobs_provider.operators.logs import LogsStartQueryOperator, LogsStopQueryOperator
from airflow_jobs_provider.operators.neptune_analytics import (
    NeptuneCancelExportTaskOperator,
    NeptuneCancelImportTaskOperator,
    NeptuneCreateGraphUsingImportTaskOperator,
    NeptuneStartExportTaskOperator,
    NeptuneStartImportTaskOperator,
)
from airflow_jobs_provider.operators.quicksight import (
    QuickSightCancelIngestionOperator,
    QuickSightCreateIngestionOperator,
)
from airflow_jobs_provider.sensors.bedrock import BedrockIngestionJobSensor
from airflow_jobs_provider.sensors.cloudtrail import CloudTrailQuerySensor
from airflow_jobs_provider.sensors.logs import LogsQuerySensor
from airflow_jobs_provider.sensors.neptune_analytics import NeptuneExportTaskSensor, NeptuneImportTaskSensor
from airflow_jobs_provider.sensors.quicksight import QuickSightIngestionSensor

if TYPE_CHECKING:
    from airflow_jobs_provider.jobs.errors import ErrorKind
    from airflow_jobs_provider.jobs.model import JobType
    from airflow_jobs_provider.operators.base import StartJobOperator
    from airflow_jobs_provider.operators.cancel import CancelJobOperator
    from airflow_jobs_provider.sensors.base import JobSensor


@dataclass(frozen=True, kw_only=True)
class Case:
    """One job type.

    What it makes is Any: the tests' contexts are no Airflow contexts.

    :param target: the parameters that a start needs.
    :param other_target: those of another start.
    :param instead: what stands in place of the target with a parameter that does not go with it.
    :param named: the values of the target that an error about its job must name.
    :param ids: the parameters that name a job.
    :param token: an idempotency token as an author gives it.
    :param busy: settings of the emulator with which one running job makes the target busy, if it can be.
    :param succeeded: the status of success; likewise ``cancelled``.
    :param failed: settings of the emulator for a job that fails.
    :param failure: what the task must then raise, and ``says`` what it must say.
    :param losses: settings of the emulator for three lost pieces, by the parameter that limits them.
    :param bad: parameters of the start that the service would refuse.
    :param bad_ids: parameters of the sensor and the cancel that it would refuse.
    """

    job_type: JobType
    start_class: type[StartJobOperator]
    cancel_class: type[CancelJobOperator]
    sensor_class: type[JobSensor]
    target: Mapping[str, Any]
    other_target: Mapping[str, Any]
    instead: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    named: tuple[str, ...] = ()
    ids: Mapping[str, Any]
    token: str = ""
    busy: Mapping[str, Any] | None = None
    succeeded: str
    failed: Mapping[str, Any]
    failure: type[Exception] = JobFailedError
    says: str
    cancelled: str
    losses: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    bad: tuple[tuple[str, Any], ...]
    bad_ids: tuple[tuple[str, Any], ...]

    @property
    def name(self) -> str:
        """The job type's name; also the emulator's."""
        return self.job_type.name

    def code(self, kind: ErrorKind) -> str | None:
        """Return an error code of the service that means something, if there is one."""
        errors = {**self.job_type.errors, **self.job_type.start.errors}
        return next((code for code, meaning in errors.items() if meaning is kind), None)

    def start(self, **options: Any) -> Any:
        """Return a start operator."""
        target = next((self.instead[key] for key in self.instead if key in options), self.target)
        return self.start_class(**{**_COMMON, "task_id": "refresh", **target, **options})

    def cancel(self, **options: Any) -> Any:
        """Return a cancel operator."""
        return self.cancel_class(**{**_COMMON, "task_id": "cancel", **self.ids, **options})

    def sensor(self, **options: Any) -> Any:
        """Return a sensor."""
        options = {"poke_interval": 0.05, **{k: v for k, v in options.items() if k != "poll_interval"}}
        common = {key: value for key, value in _COMMON.items() if key != "poll_interval"}
        return self.sensor_class(**{**common, "task_id": "wait", **self.ids, **options})


_COMMON: Mapping[str, Any] = {"aws_conn_id": None, "deferrable": False, "poll_interval": 0.05}

ROLE = "arn:aws:iam::123456789012:role/neptune"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/12345678-1234-1234-1234-123456789012"
_BASE, _SOURCE, _GRAPH, _TASK = "KB12345678", "DS12345678", "g-a1b2c3d4e5", "t-a1b2c3d4e5"
_QUERY = "12345678-1234-1234-1234-123456789012"
_STORE = "12345678-abcd-1234-abcd-123456789012"
_SQL = f"SELECT eventName\nFROM {_STORE}\nWHERE eventTime > '2026-11-22'"
_LOGS = {"query_string": "fields eventName\n| sort @timestamp", "start_time": 0, "end_time": 3600}

_BAD_TASKS = (("task_identifier", ""), ("task_identifier", "t-1"), ("task_identifier", "g-a1b2c3d4e5"))
_BAD_SOURCES: tuple[tuple[str, Any], ...] = (
    ("source", ""),
    ("source", " s3://bucket"),
    ("role_arn", "neptune"),
    ("role_arn", f"{ROLE} "),
    ("format", "XML"),
    ("fail_on_error", "yes"),
    ("fail_on_error", 1),
    ("parquet_type", "ROWS"),
    ("blank_node_handling", "drop"),
    ("import_options", "fast"),
    ("import_options", {"neptun": {}}),
    ("import_options", {"neptune": {"s3ExportPath": "s3://b"}}),
    ("import_options", {"neptune": {"s3ExportPath": "", "s3ExportKmsKeyId": KEY}}),
    ("max_errors", -1),
)
_BAD_TAGS: tuple[tuple[str, Any], ...] = (
    ("tags", ["a"]),
    ("tags", {"a": 1}),
    ("tags", {"a b": "c"}),
    ("tags", {"a": "x" * 257}),
)

CASES = (
    Case(
        job_type=QUICKSIGHT_INGESTION,
        start_class=QuickSightCreateIngestionOperator,
        cancel_class=QuickSightCancelIngestionOperator,
        sensor_class=QuickSightIngestionSensor,
        target={"data_set_id": "sales"},
        other_target={"data_set_id": "returns"},
        named=("sales",),
        ids={"data_set_id": "sales", "ingestion_id": "i1"},
        token="nightly",
        succeeded="COMPLETED",
        failed={"status": "FAILED", "error_type": "SQL_EXCEPTION", "error_message": "no such table"},
        failure=JobFailedTransientlyError,
        says="SQL_EXCEPTION: no such table",
        cancelled="CANCELLED",
        losses={"max_rows_dropped": {"rows_dropped": 3}},
        bad=(
            ("data_set_id", ""),
            ("data_set_id", " sales"),
            ("data_set_id", 7),
            ("ingestion_id", ""),
            ("ingestion_id", "a b"),
            ("ingestion_id", "x" * 129),
            ("ingestion_id", "naïve"),
            ("aws_account_id", "12345"),
            ("aws_account_id", 123456789012),
            ("ingestion_type", "PARTIAL"),
            ("ingestion_type", None),
            ("max_rows_dropped", -1),
            ("max_rows_dropped", "3"),
        ),
        bad_ids=(("data_set_id", ""), ("ingestion_id", "a b"), ("aws_account_id", "1")),
    ),
    Case(
        job_type=BEDROCK_INGESTION,
        start_class=BedrockStartIngestionJobOperator,
        cancel_class=BedrockStopIngestionJobOperator,
        sensor_class=BedrockIngestionJobSensor,
        target={"knowledge_base_id": _BASE, "data_source_id": _SOURCE},
        other_target={"knowledge_base_id": "KB00000000", "data_source_id": "DS00000000"},
        named=(_BASE, _SOURCE),
        ids={"knowledge_base_id": _BASE, "data_source_id": _SOURCE, "ingestion_job_id": "JOB1234567"},
        token="a-token-of-the-authors-own-of-enough-characters",
        busy={},
        succeeded="COMPLETE",
        failed={"status": "FAILED", "failure_reasons": ["no access to the bucket"]},
        says="no access to the bucket",
        cancelled="STOPPED",
        losses={"max_documents_failed": {"statistics": {"numberOfDocumentsFailed": 3}}},
        bad=(
            ("knowledge_base_id", ""),
            ("knowledge_base_id", "KB1"),
            ("data_source_id", "DS-2345678"),
            ("data_source_id", None),
            ("description", ""),
            ("description", "x" * 201),
            ("client_token", "short"),
            ("client_token", "x" * 257),
            ("client_token", "-" + "x" * 40),
            ("client_token", "naïve" * 10),
            ("max_documents_failed", -1),
            ("max_documents_failed", True),
            ("on_conflict", "skip"),
            ("conflict_timeout", 0),
        ),
        bad_ids=(("knowledge_base_id", "KB1"), ("data_source_id", ""), ("ingestion_job_id", "job")),
    ),
    Case(
        job_type=NEPTUNE_IMPORT,
        start_class=NeptuneStartImportTaskOperator,
        cancel_class=NeptuneCancelImportTaskOperator,
        sensor_class=NeptuneImportTaskSensor,
        target={"graph_identifier": _GRAPH, "source": "s3://bucket/people", "role_arn": ROLE},
        other_target={
            "graph_identifier": "g-0000000000",
            "source": "s3://bucket/cities",
            "role_arn": ROLE,
            "format": "CSV",
            "fail_on_error": False,
            "import_options": {"neptune": {"s3ExportPath": "s3://b/{{ ds }}", "s3ExportKmsKeyId": KEY}},
        },
        named=(_GRAPH,),
        ids={"task_identifier": _TASK},
        busy={},
        succeeded="SUCCEEDED",
        failed={"status": "FAILED", "status_reason": "no access to the bucket"},
        says="no access to the bucket",
        cancelled="CANCELLED",
        losses={"max_errors": {"error_count": 3, "error_details": "3 lines have no id"}},
        bad=(
            ("graph_identifier", ""),
            ("graph_identifier", "graph"),
            *_BAD_SOURCES,
            ("on_conflict", "ignore"),
            ("conflict_timeout", "1h"),
        ),
        bad_ids=_BAD_TASKS,
    ),
    Case(
        job_type=NEPTUNE_CREATE_GRAPH,
        start_class=NeptuneCreateGraphUsingImportTaskOperator,
        cancel_class=NeptuneCancelImportTaskOperator,
        sensor_class=NeptuneImportTaskSensor,
        target={"graph_name": "people", "source": "s3://bucket/people", "role_arn": ROLE},
        other_target={
            "graph_name": "cities",
            "source": "s3://bucket/cities",
            "role_arn": ROLE,
            "tags": {"team": "graph", "empty": ""},
            "replica_count": 0,
            "max_provisioned_memory": 16,
            "vector_search_configuration": {"dimension": 128},
        },
        named=("people",),
        ids={"task_identifier": _TASK},
        succeeded="SUCCEEDED",
        failed={"status": "FAILED", "status_reason": "no access to the bucket"},
        says="no access to the bucket",
        cancelled="CANCELLED",
        losses={"max_errors": {"error_count": 3, "error_details": "3 lines have no id"}},
        bad=(
            ("graph_name", ""),
            ("graph_name", "g-people"),
            ("graph_name", "People"),
            ("graph_name", "a" * 64),
            *_BAD_SOURCES,
            *_BAD_TAGS,
            ("tags", dict.fromkeys(map(str, range(51)), "x")),
            ("public_connectivity", "no"),
            ("kms_key_identifier", "alias/key"),
            ("vector_search_configuration", {}),
            ("vector_search_configuration", {"dimension": 0}),
            ("replica_count", 3),
            ("replica_count", True),
            ("deletion_protection", 0),
            ("max_provisioned_memory", 15),
            ("min_provisioned_memory", 24577),
        ),
        bad_ids=_BAD_TASKS,
    ),
    Case(
        job_type=NEPTUNE_EXPORT,
        start_class=NeptuneStartExportTaskOperator,
        cancel_class=NeptuneCancelExportTaskOperator,
        sensor_class=NeptuneExportTaskSensor,
        target={
            "graph_identifier": _GRAPH,
            "role_arn": ROLE,
            "format": "CSV",
            "destination": "s3://bucket/export",
            "kms_key_identifier": KEY,
        },
        other_target={
            "graph_identifier": "g-0000000000",
            "role_arn": ROLE,
            "format": "PARQUET",
            "destination": "s3://bucket/other",
            "kms_key_identifier": KEY,
            "parquet_type": "COLUMNAR",
            "export_filter": {
                "vertexFilter": {"Person": {"properties": {"age": {"outputType": "Int"}}}},
                "edgeFilter": {"knows": {"properties": {}}},
            },
        },
        named=(_GRAPH,),
        ids={"task_identifier": _TASK},
        busy={},
        succeeded="SUCCEEDED",
        failed={"status": "FAILED", "status_reason": "no access to the bucket"},
        says="no access to the bucket",
        cancelled="CANCELLED",
        bad=(
            ("graph_identifier", "g-1"),
            ("role_arn", ""),
            ("format", "NTRIPLES"),
            ("format", None),
            ("destination", ""),
            ("destination", "s" * 1025),
            ("kms_key_identifier", "key"),
            ("parquet_type", "ROWS"),
            ("export_filter", {"vertices": {}}),
            ("export_filter", {"vertexFilter": {"Person": {"properties": {"age": {"outputType": "int"}}}}}),
            ("export_filter", {"vertexFilter": {"": {}}}),
            ("export_filter", {"edgeFilter": {"knows": {"properties": {"a b": {}}}}}),
            *_BAD_TAGS,
            ("on_conflict", None),
        ),
        bad_ids=_BAD_TASKS,
    ),
    Case(
        job_type=CLOUDTRAIL_QUERY,
        start_class=CloudTrailStartQueryOperator,
        cancel_class=CloudTrailCancelQueryOperator,
        sensor_class=CloudTrailQuerySensor,
        target={"query_statement": _SQL},
        other_target={
            "query_alias": "who-did-it",
            "query_parameters": [_STORE, "{{ ds }}"],
            "delivery_s3_uri": "s3://bucket/results",
        },
        instead={"query_alias": {}, "query_parameters": {"query_alias": "who-did-it"}},
        ids={"query_id": _QUERY},
        busy={"limit_per_account": 1},
        succeeded="FINISHED",
        failed={"status": "FAILED", "error_message": "the bucket is not there"},
        says="the bucket is not there",
        cancelled="CANCELLED",
        bad=(
            ("query_statement", ""),
            ("query_statement", "x" * 10001),
            ("query_statement", 7),
            ("query_alias", "1st"),
            ("query_parameters", []),
            ("query_parameters", ["x"] * 11),
            ("query_parameters", [""]),
            ("query_parameters", "x"),
            ("query_parameters", ["a\nb"]),
            ("delivery_s3_uri", "bucket/prefix"),
            ("delivery_s3_uri", "s3://Bucket"),
            ("event_data_store_owner_account_id", "12"),
            ("wait_for_delivery", "yes"),
            ("fetch_results", 1),
            ("max_result_rows", 0),
            ("on_conflict", "adopt"),
            ("conflict_timeout", -1),
        ),
        bad_ids=(
            ("query_id", ""),
            ("query_id", "a" * 35),
            ("event_data_store", "#"),
            ("event_data_store_owner_account_id", "1"),
        ),
    ),
    Case(
        job_type=LOGS_QUERY,
        start_class=LogsStartQueryOperator,
        cancel_class=LogsStopQueryOperator,
        sensor_class=LogsQuerySensor,
        target={**_LOGS, "log_group_name": "/app/web"},
        other_target={
            "query_string": "SELECT status FROM `/app/web`",
            "query_language": "SQL",
            "start_time": 0,
            "end_time": "3600",
            "limit": 7,
        },
        instead={
            "log_group_names": _LOGS,
            "log_group_identifiers": _LOGS,
        },
        ids={"query_id": _QUERY},
        busy={"limit_per_account": 1},
        succeeded="Complete",
        failed={"status": "Timeout"},
        says="Timeout",
        cancelled="Cancelled",
        bad=(
            ("query_string", None),
            ("query_string", ""),
            ("query_string", 7),
            ("query_string", "x" * 10001),
            ("start_time", -1),
            ("start_time", "2026-11-22"),
            ("end_time", 3600.5),
            ("end_time", None),
            ("log_group_name", ""),
            ("log_group_name", "/app/web:*"),
            ("log_group_name", "x" * 513),
            ("log_group_names", "/app/web"),
            ("log_group_names", ["/app/web", ""]),
            ("log_group_identifiers", ["a group"]),
            ("log_group_identifiers", ["x"] * 51),
            ("limit", 0),
            ("limit", "100001"),
            ("query_language", "KQL"),
            ("fetch_results", "yes"),
            ("max_result_rows", -1),
            ("on_conflict", "adopt"),
            ("conflict_timeout", 0),
        ),
        bad_ids=(("query_id", ""), ("query_id", "x" * 257)),
    ),
)
