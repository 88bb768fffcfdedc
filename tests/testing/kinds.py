"""What tests must know of each job type to put it through what all of them share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jmespath
from botocore import xform_name

from tests.testing.conftest import ACCOUNT


@dataclass(frozen=True)
class Kind:
    """A job type.

    :param start: the start operation.
    :param parameters: those of every start.
    :param fresh: those that differ: ``{n}`` is the number of the start.
    :param ids: the parameters of a read and of a cancel: JMESPath over the start's parameters and answer.
    :param status: JMESPath to the status in the answer of the read.
    :param statuses: the running ones in order, then the success.
    :param main: the running one in which the work is done.
    :param late: the error of a cancel that comes too late; None: it is a success.
    :param busy: which setting limits the starts, and the error of a start when the limit is reached.
    :param limits: every setting that limits the starts.
    :param listing: the list operation, its parameters, and JMESPath to the ids of what it lists.
    :param paging: the parameters for the size and for the token of a page.
    :param unknown: ids of a job that does not exist, and the error of a read or a cancel of it.
    :param missing: a setting, a target to put there, and the error of a start on that target.
    :param bad: parameters of the start that get past botocore, and the error that the service has for them.
    """

    job_type: str
    service: str
    start: str
    parameters: Mapping[str, Any]
    ids: Mapping[str, str]
    read: str
    status: str
    cancel: str
    statuses: tuple[str, ...]
    cancelled: str
    listing: tuple[str, Mapping[str, Any], str]
    paging: tuple[str, str]
    unknown: tuple[Mapping[str, Any], str]
    missing: tuple[str, str, str]
    bad: tuple[Mapping[str, Any], str]
    bad_token: str
    busy: tuple[str, str]
    limits: tuple[str, ...]
    fresh: Mapping[str, str]
    main: str
    stopping: str | None = None
    failed: str = "FAILED"
    late: str | None = None

    def unlimited(self) -> dict[str, None]:
        """Return settings that take every limit away."""
        return dict.fromkeys(self.limits)


class Calls:
    """The calls of a job type by a client, in few words."""

    def __init__(self, kind: Kind, client: Any) -> None:
        self.kind = kind
        self._client = client

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Call an operation."""
        return dict(getattr(self._client, xform_name(operation))(**parameters))

    def start(self, number: int = 0, **more: Any) -> dict[str, Any]:
        """Start the job with this number and return the ids by which it is read and cancelled."""
        parameters = start_parameters(self.kind, number, more)
        return ids_of(self.kind, parameters, self.call(self.kind.start, parameters))

    def status(self, ids: Mapping[str, Any]) -> str:
        """Read the job's status."""
        return str(jmespath.search(self.kind.status, self.call(self.kind.read, ids)))

    def cancel(self, ids: Mapping[str, Any]) -> dict[str, Any]:
        """Cancel the job."""
        return self.call(self.kind.cancel, ids)

    def page(self, size: int, token: str | None = None) -> tuple[list[str], str | None]:
        """Return the ids on a page, and the next page's token."""
        operation, parameters, path = self.kind.listing
        sized, paged = self.kind.paging
        further = {} if token is None else {paged: token}
        answer = self.call(operation, {**parameters, sized: size, **further})
        return jmespath.search(path, answer), answer.get(paged)


def start_parameters(kind: Kind, number: int = 0, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the parameters of the start with this number."""
    fresh = {name: text.format(n=number) for name, text in kind.fresh.items()}
    return {**kind.parameters, **fresh, **(more or {})}


def ids_of(kind: Kind, parameters: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a read or a cancel."""
    return {name: jmespath.search(path, {**parameters, **answer}) for name, path in kind.ids.items()}


QUICKSIGHT = Kind(
    job_type="quicksight-ingestion",
    service="quicksight",
    start="CreateIngestion",
    parameters={"AwsAccountId": ACCOUNT, "DataSetId": "sales"},
    fresh={"IngestionId": "i{n}"},
    ids={"AwsAccountId": "AwsAccountId", "DataSetId": "DataSetId", "IngestionId": "IngestionId"},
    read="DescribeIngestion",
    status="Ingestion.IngestionStatus",
    cancel="CancelIngestion",
    statuses=("INITIALIZED", "QUEUED", "RUNNING", "COMPLETED"),
    main="RUNNING",
    cancelled="CANCELLED",
    listing=(
        "ListIngestions",
        {"AwsAccountId": ACCOUNT, "DataSetId": "sales"},
        "Ingestions[].IngestionId",
    ),
    paging=("MaxResults", "NextToken"),
    unknown=(
        {"AwsAccountId": ACCOUNT, "DataSetId": "sales", "IngestionId": "nobody"},
        "ResourceNotFoundException",
    ),
    missing=("missing_targets", "sales", "ResourceNotFoundException"),
    bad=({"IngestionType": "HALF"}, "InvalidParameterValueException"),
    bad_token="InvalidNextTokenException",
    busy=("quota", "LimitExceededException"),
    limits=("quota",),
)

KNOWLEDGE_BASE = {"knowledgeBaseId": "KB12345678", "dataSourceId": "DS12345678"}
BEDROCK = Kind(
    job_type="bedrock-ingestion",
    service="bedrock-agent",
    start="StartIngestionJob",
    parameters=KNOWLEDGE_BASE,
    fresh={"description": "run {n}"},
    ids={
        "knowledgeBaseId": "knowledgeBaseId",
        "dataSourceId": "dataSourceId",
        "ingestionJobId": "ingestionJob.ingestionJobId",
    },
    read="GetIngestionJob",
    status="ingestionJob.status",
    cancel="StopIngestionJob",
    statuses=("STARTING", "IN_PROGRESS", "COMPLETE"),
    main="IN_PROGRESS",
    stopping="STOPPING",
    cancelled="STOPPED",
    listing=("ListIngestionJobs", KNOWLEDGE_BASE, "ingestionJobSummaries[].ingestionJobId"),
    paging=("maxResults", "nextToken"),
    unknown=({**KNOWLEDGE_BASE, "ingestionJobId": "NOBODY1234"}, "ResourceNotFoundException"),
    missing=("missing_targets", "KB12345678", "ResourceNotFoundException"),
    bad=({"dataSourceId": "DS123456789"}, "ValidationException"),
    bad_token="ValidationException",
    late="ConflictException",
    busy=("limit_per_data_source", "ConflictException"),
    limits=("limit_per_data_source", "limit_per_knowledge_base", "limit_per_account"),
)

STORE = "11111111-2222-3333-4444-555555555555"
CLOUDTRAIL = Kind(
    job_type="cloudtrail-query",
    service="cloudtrail",
    start="StartQuery",
    parameters={},
    fresh={"QueryStatement": f"SELECT eventID, {{n}} FROM {STORE} LIMIT 5"},
    ids={"QueryId": "QueryId"},
    read="DescribeQuery",
    status="QueryStatus",
    cancel="CancelQuery",
    statuses=("QUEUED", "RUNNING", "FINISHED"),
    main="RUNNING",
    cancelled="CANCELLED",
    listing=("ListQueries", {"EventDataStore": STORE}, "Queries[].QueryId"),
    paging=("MaxResults", "NextToken"),
    unknown=({"QueryId": STORE}, "QueryIdNotFoundException"),
    missing=("missing_targets", STORE, "EventDataStoreNotFoundException"),
    bad=({"DeliveryS3Uri": "S3://nowhere"}, "InvalidParameterException"),
    bad_token="InvalidNextTokenException",
    late="InactiveQueryException",
    busy=("limit_per_account", "MaxConcurrentQueriesException"),
    limits=("limit_per_account",),
)

GRAPH = "g-0123456789"
ROLE = "arn:aws:iam::123456789012:role/r"
KEY_ARN = "arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555"
IMPORT = Kind(
    job_type="neptune-import",
    service="neptune-graph",
    start="StartImportTask",
    parameters={"graphIdentifier": GRAPH, "roleArn": ROLE},
    fresh={"source": "s3://bucket/{n}"},
    ids={"taskIdentifier": "taskId"},
    read="GetImportTask",
    status="status",
    cancel="CancelImportTask",
    statuses=(
        *("INITIALIZING", "EXPORTING", "ANALYZING_DATA", "IMPORTING", "REPROVISIONING", "ROLLING_BACK"),
        "SUCCEEDED",
    ),
    main="IMPORTING",
    stopping="CANCELLING",
    cancelled="CANCELLED",
    listing=("ListImportTasks", {"graphIdentifier": GRAPH}, "tasks[].taskId"),
    paging=("maxResults", "nextToken"),
    unknown=({"taskIdentifier": "t-nobody1234"}, "ResourceNotFoundException"),
    missing=("missing_targets", GRAPH, "ResourceNotFoundException"),
    bad=({"graphIdentifier": f"{GRAPH}0"}, "ValidationException"),
    bad_token="ValidationException",
    late="ConflictException",
    busy=("limit_per_graph", "ConflictException"),
    limits=("limit_per_graph",),
)
CREATE_GRAPH = replace(
    IMPORT,
    job_type="neptune-create-graph",
    start="CreateGraphUsingImportTask",
    parameters={"source": "s3://bucket/key", "roleArn": ROLE},
    fresh={"graphName": "graph-{n}"},
    listing=("ListImportTasks", {}, "tasks[].taskId"),
    missing=("existing_targets", "graph-0", "ConflictException"),
    bad=({"graphName": "g-raph"}, "ValidationException"),
    busy=("limit_per_account", "ServiceQuotaExceededException"),
    limits=("limit_per_account",),
)
EXPORT = replace(
    IMPORT,
    job_type="neptune-export",
    start="StartExportTask",
    parameters={"graphIdentifier": GRAPH, "roleArn": ROLE, "format": "CSV", "kmsKeyIdentifier": KEY_ARN},
    fresh={"destination": "s3://bucket/{n}"},
    read="GetExportTask",
    cancel="CancelExportTask",
    statuses=("INITIALIZING", "EXPORTING", "SUCCEEDED"),
    main="EXPORTING",
    listing=("ListExportTasks", {"graphIdentifier": GRAPH}, "tasks[].taskId"),
    bad=({"format": "XML"}, "ValidationException"),
)

LOGS = Kind(
    job_type="logs-query",
    service="logs",
    start="StartQuery",
    parameters={"logGroupName": "/app", "startTime": 1, "endTime": 2},
    fresh={"queryString": "fields @message | limit {n}"},
    ids={"queryId": "queryId"},
    read="GetQueryResults",
    status="status",
    cancel="StopQuery",
    statuses=("Scheduled", "Running", "Unknown", "Complete"),
    main="Running",
    failed="Failed",
    cancelled="Cancelled",
    listing=("DescribeQueries", {}, "queries[].queryId"),
    paging=("maxResults", "nextToken"),
    unknown=({"queryId": "nobody"}, "ResourceNotFoundException"),
    missing=("missing_targets", "/app", "ResourceNotFoundException"),
    bad=({"logGroupName": "no group"}, "InvalidParameterException"),
    bad_token="InvalidParameterException",
    late="InvalidParameterException",
    busy=("limit_per_account", "LimitExceededException"),
    limits=("limit_per_account",),
)

KINDS = (QUICKSIGHT, BEDROCK, CLOUDTRAIL, IMPORT, CREATE_GRAPH, EXPORT, LOGS)
