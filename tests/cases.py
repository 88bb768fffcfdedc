"""Every job type with its operators and sensor: the engine is tested once, for each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_jobs_provider.jobs.quicksight import QUICKSIGHT_INGESTION
from airflow_jobs_provider.operators.quicksight import (
    QuickSightCancelIngestionOperator,
    QuickSightCreateIngestionOperator,
)
from airflow_jobs_provider.sensors.quicksight import QuickSightIngestionSensor

if TYPE_CHECKING:
    from airflow_jobs_provider.jobs.model import JobType
    from airflow_jobs_provider.operators.base import StartJobOperator
    from airflow_jobs_provider.operators.cancel import CancelJobOperator
    from airflow_jobs_provider.sensors.base import JobSensor


@dataclass(frozen=True, kw_only=True)
class Case:
    """One job type.

    What it makes is Any: the tests' contexts are no Airflow contexts.

    :param target: the parameters that name what the job works on.
    :param ids: the parameters that name a job.
    :param succeeded: the status of success; likewise ``cancelled``.
    :param failed: settings of the emulator for a job that fails for a reason that may pass.
    :param says: what the task must then say.
    :param bad: parameters that the service would refuse.
    """

    job_type: JobType
    start_class: type[StartJobOperator]
    cancel_class: type[CancelJobOperator]
    sensor_class: type[JobSensor]
    target: Mapping[str, Any]
    ids: Mapping[str, Any]
    succeeded: str
    failed: Mapping[str, Any]
    says: str
    cancelled: str
    bad: tuple[tuple[str, Any], ...]

    def start(self, **options: Any) -> Any:
        """Return a start operator."""
        return self.start_class(**{**_COMMON, "task_id": "refresh", **self.target, **options})

    def cancel(self, **options: Any) -> Any:
        """Return a cancel operator."""
        return self.cancel_class(**{**_COMMON, "task_id": "cancel", **self.ids, **options})

    def sensor(self, **options: Any) -> Any:
        """Return a sensor."""
        options = {"poke_interval": 0.05, **{k: v for k, v in options.items() if k != "poll_interval"}}
        common = {key: value for key, value in _COMMON.items() if key != "poll_interval"}
        return self.sensor_class(**{**common, "task_id": "wait", **self.ids, **options})


_COMMON: Mapping[str, Any] = {"aws_conn_id": None, "deferrable": False, "poll_interval": 0.05}

CASES = (
    Case(
        job_type=QUICKSIGHT_INGESTION,
        start_class=QuickSightCreateIngestionOperator,
        cancel_class=QuickSightCancelIngestionOperator,
        sensor_class=QuickSightIngestionSensor,
        target={"data_set_id": "sales"},
        ids={"data_set_id": "sales", "ingestion_id": "i1"},
        succeeded="COMPLETED",
        failed={"status": "FAILED", "error_type": "SQL_EXCEPTION", "error_message": "no such table"},
        says="SQL_EXCEPTION: no such table",
        cancelled="CANCELLED",
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
    ),
)
