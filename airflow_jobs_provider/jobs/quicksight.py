"""QuickSight SPICE ingestion: the refresh of a data set.

Shapes and statuses are the botocore model's; the meaning of codes is from the QuickSight API reference
(CreateIngestion, DescribeIngestion, ErrorInfo) and the QuickSight user guide (SPICE refresh).
"""

from __future__ import annotations

from airflow_jobs_provider.jobs.errors import ErrorKind
from airflow_jobs_provider.jobs.lineage import Lineage
from airflow_jobs_provider.jobs.model import JobType
from airflow_jobs_provider.jobs.parts import (
    Discovery,
    Iam,
    Loss,
    Operation,
    Overview,
    Parameter,
    QuotaWindow,
    Sweep,
)
from airflow_jobs_provider.jobs.run import FailureKind, JobState
from airflow_jobs_provider.jobs.values import Choice, Text

_IDENTITY = ("aws_account_id", "data_set_id", "ingestion_id")

QUICKSIGHT_INGESTION = JobType(
    name="quicksight-ingestion",
    title="SPICE ingestion {ingestion_id} of data set {data_set_id} in account {aws_account_id}",
    target="data set {data_set_id}",
    service="quicksight",
    parameters={
        "aws_account_id": Parameter(
            "AwsAccountId", Text(r"[0-9]{12}", "a string of 12 digits"), caller_account=True
        ),
        "data_set_id": Parameter("DataSetId"),
        "ingestion_id": Parameter(
            "IngestionId",
            Text(r"[a-zA-Z0-9_-]{1,128}", "1 to 128 letters, digits, hyphens or underscores"),
        ),
        "ingestion_type": Parameter("IngestionType", Choice("INCREMENTAL_REFRESH", "FULL_REFRESH")),
    },
    identity=dict.fromkeys(_IDENTITY),
    start=Operation(
        method="create_ingestion", parameters=(*_IDENTITY, "ingestion_type"), optional=("ingestion_id",)
    ),
    describe=Operation(method="describe_ingestion", parameters=_IDENTITY, record="Ingestion"),
    cancel=Operation(method="cancel_ingestion", parameters=_IDENTITY),
    list_jobs=Operation(
        method="list_ingestions",
        parameters=("aws_account_id", "data_set_id"),
        record="Ingestions",
        next_token="NextToken",
    ),
    overview=Overview(
        operation=Operation(
            method="list_ingestions",
            parameters=("aws_account_id", "data_set_id"),
            constants={"MaxResults": 100},
            record="Ingestions",
            next_token="NextToken",
            rate=5.0,
        ),
        ids={"ingestion_id": "IngestionId"},
        complete=True,
    ),
    # A repeated CreateIngestion with the same id gives ResourceExistsException and starts nothing.
    token="ingestion_id",
    token_lengths=(1, 128),
    status="IngestionStatus",
    states={
        "INITIALIZED": JobState.RUNNING,
        "QUEUED": JobState.RUNNING,
        "RUNNING": JobState.RUNNING,
        "COMPLETED": JobState.SUCCEEDED,
        "FAILED": JobState.FAILED,
        "CANCELLED": JobState.CANCELLED,
    },
    created="CreatedTime",
    reason="join(': ', [ErrorInfo.Type, ErrorInfo.Message][?@])",
    failure="ErrorInfo.Type",
    failures={
        **dict.fromkeys(
            (
                "INTERNAL_SERVICE_ERROR",
                "CONNECTION_FAILURE",
                "DATA_SOURCE_CONNECTION_FAILED",
                "QUERY_TIMEOUT",
                "SOURCE_API_LIMIT_EXCEEDED_FAILURE",
                "SOURCE_RESOURCE_LIMIT_EXCEEDED",
                "SQL_EXCEPTION",
            ),
            FailureKind.TRANSIENT,
        ),
        **dict.fromkeys(("INGESTION_SUPERSEDED", "REFRESH_SUPPRESSED_BY_EDIT"), FailureKind.SUPERSEDED),
        "INGESTION_CANCELED": FailureKind.CANCELLED,
    },
    progress={
        "rows ingested": "RowInfo.RowsIngested",
        "rows dropped": "RowInfo.RowsDropped",
        # AWS's words: the API reference explains the two the other way round than their names.
        "waiting on ingestion": "QueueInfo.WaitingOnIngestion",
        "queued ingestion": "QueueInfo.QueuedIngestion",
    },
    losses=(Loss(what="rows dropped", count="RowInfo.RowsDropped", limit="max_rows_dropped"),),
    sweep=Sweep(
        parameter="ingestion_id",
        mark="IngestionId",
        discover=(
            Discovery(
                finds="data_set_id",
                operation=Operation(
                    method="list_data_sets",
                    parameters=("aws_account_id",),
                    # Only those in SPICE are ingested; ListIngestions refuses the others.
                    record="DataSetSummaries[?ImportMode != 'DIRECT_QUERY'].DataSetId",
                    next_token="NextToken",
                ),
            ),
        ),
    ),
    errors={
        "ResourceNotFoundException": ErrorKind.NOT_FOUND,
        "ResourceExistsException": ErrorKind.EXISTS,
        # Named like a throttle and counted as one by botocore's standard retry mode; it is the daily quota.
        "LimitExceededException": ErrorKind.QUOTA,
    },
    quota_rule=(
        "QuickSight allows 32 manual refreshes of a data set in 24 hours in Enterprise edition, "
        "8 in Standard edition; each frees 24 hours after it was started"
    ),
    quota_window=QuotaWindow(seconds=24 * 3600.0, counts="RequestSource != 'SCHEDULED'"),
    console="https://{region}.quicksight.aws.amazon.com/sn/data-sets/{data_set_id}/view",
    iam=Iam(
        prefix="quicksight",
        resources={
            "arn:{partition}:quicksight:{region}:{account}:dataset/{data_set_id}/ingestion/*": (
                "create_ingestion",
                "describe_ingestion",
                "cancel_ingestion",
            ),
            "*": ("list_ingestions", "list_data_sets"),
        },
    ),
    lineage=Lineage(
        id="ingestion_id",
        writes=("quicksight://{region}/{aws_account_id}/{data_set_id}",),
        figures={
            "rows_ingested": "RowInfo.RowsIngested",
            "rows_dropped": "RowInfo.RowsDropped",
            "rows_in_data_set": "RowInfo.TotalRowsInDataset",
            "bytes_ingested": "IngestionSizeInBytes",
            "seconds": "IngestionTimeInSeconds",
        },
        rows="rows_ingested",
        size="bytes_ingested",
    ),
)
