"""Amazon QuickSight's SPICE ingestions.

Facts marked [I] are inferred: AWS documents them nowhere. The settings beyond those of every job type:

``rows_ingested``, ``rows_dropped``, ``total_rows``
    what RowInfo counts at the end; the total is the ingested ones by default.
``size_in_bytes``
    IngestionSizeInBytes of a completed ingestion.
``error_type``, ``error_message``
    ErrorInfo of a failed one.
``quota``
    manual refreshes of a dataset in 24 hours (Enterprise 32, Standard 8); None for no limit; not for one job.
``missing_targets``
    ids of datasets that do not exist; not for one job.
``data_sets``
    datasets that ListDataSets has beside those that were refreshed, with their ImportMode:
    ``{"sales": "SPICE", "live": "DIRECT_QUERY"}``; not for one job.
``cancel_ended``
    what CancelIngestion says of an ingestion that has ended: ``success`` or ``ResourceNotFoundException``;
    public code copes with both [I]; not for one job.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, ClassVar

from moto.quicksight.responses import QuickSightResponse

from airflow_jobs_provider.testing.clock import moment
from airflow_jobs_provider.testing.errors import EmulatedError
from airflow_jobs_provider.testing.job import Job
from airflow_jobs_provider.testing.job_service import JobService
from airflow_jobs_provider.testing.lifecycle import LifeCycle
from airflow_jobs_provider.testing.settings import (
    MISSING_TARGETS,
    Setting,
    count,
    limit,
    mapping,
    one_of,
    one_of_shape,
    optional,
    refusal,
    text,
)

DAY = 24 * 60 * 60

INGESTION = LifeCycle(
    job_type="quicksight-ingestion",
    service="quicksight",
    start="CreateIngestion",
    identity=("AwsAccountId", "DataSetId", "IngestionId"),
    phases={"INITIALIZED": 0.05, "QUEUED": 0.15, "RUNNING": None},
    ends=("COMPLETED", "FAILED", "CANCELLED"),
    cancelled="CANCELLED",
    own_settings={
        "rows_ingested": Setting(None, optional(count), "rows at the end; None: 1000, or 0 of a failed one"),
        "rows_dropped": Setting(0, count, "rows dropped at the end"),
        "total_rows": Setting(None, optional(count), "rows in the dataset at the end"),
        "size_in_bytes": Setting(1_048_576, count, "size of the ingested data"),
        "error_type": Setting(
            "SQL_EXCEPTION",
            one_of_shape("quicksight", "IngestionErrorType"),
            "ErrorInfo.Type",
            needs_status="FAILED",
        ),
        "error_message": Setting(
            "The emulated ingestion failed.", text, "ErrorInfo.Message", needs_status="FAILED"
        ),
        "quota": limit(32, "manual refreshes of a dataset in 24 hours"),
        "missing_targets": MISSING_TARGETS,
        "data_sets": Setting(
            {},
            mapping(one_of("SPICE", "DIRECT_QUERY"), "a mapping of ids of datasets to their ImportMode"),
            "datasets beside those that were refreshed",
            per_job=False,
        ),
        "cancel_ended": refusal("success", "ResourceNotFoundException"),
    },
    reason=lambda why: {"error_message": why},
    error_type="error_type",
)


class QuickSightEmulation(JobService, QuickSightResponse):
    """The four operations on ingestions, and the list of datasets; all others are moto's."""

    service = "quicksight"
    moto_package = "quicksight"
    lives = (INGESTION,)
    emulates = (
        *("CreateIngestion", "DescribeIngestion", "CancelIngestion", "ListIngestions"),
        "ListDataSets",
    )
    # moto has the first, but for ids without a dot and account ids of digits only.
    url_paths: ClassVar[tuple[str, ...]] = (
        "{0}/accounts/(?P<account_id>[^/]+)/data-sets/(?P<datasetid>[^/]+)/ingestions/(?P<ingestionid>[^/]+)$",
        "{0}/accounts/(?P<account_id>[^/]+)/data-sets/(?P<datasetid>[^/]+)/ingestions$",
    )
    validation_error = "InvalidParameterValueException"
    parameter_errors: ClassVar[dict[str, str]] = {"NextToken": "InvalidNextTokenException"}

    def create_ingestion(self, parameters: dict[str, Any]) -> dict[str, Any]:  # type: ignore[override]
        """Start an ingestion."""
        account, dataset, ingestion = (parameters[name] for name in INGESTION.identity)
        parameters = {"IngestionType": "FULL_REFRESH", **parameters}
        self._require_dataset(dataset)
        with self.emulator.lock:
            if self.emulator.find(INGESTION, account, self.region, account, dataset, ingestion):
                raise EmulatedError(
                    "ResourceExistsException",
                    f"Ingestion {ingestion} of dataset {dataset} already exists.",
                    ResourceType="INGESTION",
                )
            self._require_quota(account, dataset)
            job = self.emulator.start(
                INGESTION,
                account=account,
                region=self.region,
                ids={name: parameters[name] for name in INGESTION.identity},
                target=(dataset,),
                parameters=parameters,
            )
        arn = _arn(self.partition, job)
        return {"Arn": arn, "IngestionId": ingestion, "IngestionStatus": "INITIALIZED", "Status": 201}

    def describe_ingestion(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return an ingestion's full record."""
        return {"Ingestion": self._record(self._find(parameters)), "Status": 200}

    def cancel_ingestion(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Cancel an ingestion. The answer does not say in which status it is."""
        job = self._find(parameters)
        answer = self.setting(INGESTION, "cancel_ended")
        if not self.emulator.cancel(job) and answer != "success":
            raise EmulatedError(
                answer, f"Ingestion {job.ids['IngestionId']} is not running.", ResourceType="INGESTION"
            )
        return {"Arn": _arn(self.partition, job), "IngestionId": job.ids["IngestionId"], "Status": 200}

    def list_ingestions(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return a page of a dataset's ingestions, with full records. The real order is not documented."""
        account, dataset = parameters["AwsAccountId"], parameters["DataSetId"]
        self._require_dataset(dataset)
        jobs = self.emulator.on_target(INGESTION, account, self.region, dataset)
        page, token = self.page(jobs, parameters.get("NextToken"), parameters.get("MaxResults", 100))
        return {"Ingestions": [self._record(job) for job in page], "NextToken": token, "Status": 200}

    def list_data_sets(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return a page of the datasets that exist in moto, were refreshed, or are configured."""
        account = parameters["AwsAccountId"]
        refreshed = self.emulator.on_target(INGESTION, account, self.region)
        modes = {
            **dict.fromkeys(self.quicksight_backend.data_sets, "SPICE"),
            **{job.ids["DataSetId"]: "SPICE" for job in refreshed},
            **self.setting(INGESTION, "data_sets"),
        }
        names = sorted(modes.keys() - self.setting(INGESTION, "missing_targets"))
        page, token = self.slice(names, parameters.get("NextToken"), parameters.get("MaxResults", 100))
        summaries = [
            {
                "Arn": f"arn:{self.partition}:quicksight:{self.region}:{account}:dataset/{name}",
                "DataSetId": name,
                "Name": name,
                "ImportMode": modes[name],
            }
            for name in page
        ]
        return {"DataSetSummaries": summaries, "NextToken": token, "Status": 200}

    def _find(self, parameters: dict[str, Any]) -> Job:
        account, dataset, ingestion = (parameters[name] for name in INGESTION.identity)
        self._require_dataset(dataset)
        job = self.emulator.find(INGESTION, account, self.region, account, dataset, ingestion)
        if job is None:
            raise EmulatedError(
                "ResourceNotFoundException",
                f"Ingestion {ingestion} of dataset {dataset} is not found.",
                ResourceType="INGESTION",
            )
        return job

    def _require_dataset(self, dataset: str) -> None:
        if dataset in self.setting(INGESTION, "missing_targets"):
            raise EmulatedError(
                "ResourceNotFoundException", f"Dataset {dataset} is not found.", ResourceType="DATA_SET"
            )

    def _require_quota(self, account: str, dataset: str) -> None:
        quota = self.setting(INGESTION, "quota")
        if quota is None:
            return
        jobs = self.emulator.on_target(INGESTION, account, self.region, dataset)
        # They stand in the order of their start: it is enough to look at one.
        if quota == 0 or (len(jobs) >= quota and jobs[-quota].created > self.now - DAY):
            raise EmulatedError(
                "LimitExceededException",
                f"The limit of {quota} manual refreshes of dataset {dataset} in 24 hours is reached.",
                ResourceType="INGESTION",
            )

    def _record(self, job: Job) -> dict[str, Any]:
        now = self.now
        status, ended = job.status(now), job.ended(now)
        record: dict[str, Any] = {
            "Arn": _arn(self.partition, job),
            "IngestionId": job.ids["IngestionId"],
            "IngestionStatus": status,
            "CreatedTime": moment(job.created),
            "RequestSource": "MANUAL",
            "RequestType": job.parameters.get("IngestionType", "FULL_REFRESH"),
        }
        if status == "QUEUED":
            record["QueueInfo"] = {
                "WaitingOnIngestion": self._runs_before(job, now),
                "QueuedIngestion": job.ids["IngestionId"],
            }
        elif status != "INITIALIZED":
            record["RowInfo"] = _row_info(job, status, now)
            took = (now if ended is None else ended) - job.began("RUNNING")
            record["IngestionTimeInSeconds"] = max(0, int(took))
        if status == "COMPLETED":
            record["IngestionSizeInBytes"] = job.settings["size_in_bytes"]
        elif status == "FAILED":
            record["ErrorInfo"] = {
                "Type": job.settings["error_type"],
                "Message": job.settings["error_message"],
            }
        elif status == "CANCELLED":
            record["ErrorInfo"] = {"Type": "INGESTION_CANCELED", "Message": "The ingestion was cancelled."}
        return record

    def _runs_before(self, job: Job, now: float) -> str:
        jobs = self.emulator.on_target(INGESTION, job.account, job.region, job.ids["DataSetId"])
        index = bisect_left(jobs, job.position, key=lambda other: other.position)
        before = jobs[index - 1] if index else job
        return before.ids["IngestionId"] if before.ended(now) is None else job.ids["IngestionId"]


def _arn(partition: str, job: Job) -> str:
    ids = job.ids
    return (
        f"arn:{partition}:quicksight:{job.region}:{job.account}"
        f":dataset/{ids['DataSetId']}/ingestion/{ids['IngestionId']}"
    )


def _row_info(job: Job, status: str, now: float) -> dict[str, int]:
    rows = job.settings["rows_ingested"]
    if rows is None:
        rows = 0 if status == "FAILED" else 1000
    done = job.progress(now) if status in ("RUNNING", "CANCELLED") else 1.0
    ingested, dropped = int(rows * done), int(job.settings["rows_dropped"] * done)
    total = job.settings["total_rows"]
    return {
        "RowsIngested": ingested,
        "RowsDropped": dropped,
        "TotalRowsInDataset": ingested if total is None else total,
    }
