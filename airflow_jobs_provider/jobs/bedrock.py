"""Bedrock knowledge base ingestion job: the sync of a data source.

Shapes and statuses are the botocore model's; the meaning of codes is from the API reference of Agents for
Amazon Bedrock (StartIngestionJob, StopIngestionJob). AWS documents neither which ValidationExceptions pass
nor what StopIngestionJob says of a job that has ended: both were seen in public code and issues.
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
    Search,
    Sweep,
)
from airflow_jobs_provider.jobs.run import JobState
from airflow_jobs_provider.jobs.values import Text

_TARGET = ("knowledge_base_id", "data_source_id")
_IDENTITY = (*_TARGET, "ingestion_job_id")
_ID = Text(r"[0-9a-zA-Z]{10}", "10 letters or digits")

BEDROCK_INGESTION = JobType(
    name="bedrock-ingestion",
    title="ingestion job {ingestion_job_id} of data source {data_source_id} in {knowledge_base_id}",
    target="data source {data_source_id} of knowledge base {knowledge_base_id}",
    service="bedrock-agent",
    parameters={
        "knowledge_base_id": Parameter("knowledgeBaseId", _ID),
        "data_source_id": Parameter("dataSourceId", _ID),
        "ingestion_job_id": Parameter("ingestionJobId", _ID),
        "client_token": Parameter(
            "clientToken",
            Text(
                r"(?=.{33,256}\Z)[a-zA-Z0-9](-*[a-zA-Z0-9])*",
                "33 to 256 letters, digits or hyphens, with no hyphen at its ends",
            ),
        ),
        "description": Parameter("description", Text(r".{1,200}", "1 to 200 characters")),
    },
    identity={**dict.fromkeys(_TARGET), "ingestion_job_id": "ingestionJobId"},
    start=Operation(
        method="start_ingestion_job",
        parameters=(*_TARGET, "client_token", "description"),
        optional=("client_token", "description"),
        record="ingestionJob",
        errors={"ConflictException": ErrorKind.BUSY},
        messages={
            # A token that was used before, for a request that differs.
            r"(?i)^(Validation|Conflict)Exception: .*client.?token": ErrorKind.EXISTS,
            # The vector store of a new knowledge base, and the rights on it, take a minute to be seen.
            r"^ValidationException: .*dependency error document status code: 404": ErrorKind.REJECTED,
            r"^ValidationException: .*server returned 401": ErrorKind.REJECTED,
            r"^ValidationException: .*ongoing KnowledgeBaseDocuments API request": ErrorKind.BUSY,
        },
    ),
    describe=Operation(method="get_ingestion_job", parameters=_IDENTITY, record="ingestionJob", rate=10.0),
    cancel=Operation(
        method="stop_ingestion_job",
        parameters=_IDENTITY,
        record="ingestionJob",
        errors=dict.fromkeys(("ConflictException", "ValidationException"), ErrorKind.OVER),
    ),
    list_jobs=Operation(
        method="list_ingestion_jobs",
        parameters=_TARGET,
        constants={"sortBy": {"attribute": "STARTED_AT", "order": "DESCENDING"}},
        record="ingestionJobSummaries",
        next_token="nextToken",
    ),
    # The list has no failureReasons.
    overview=Overview(
        operation=Operation(
            method="list_ingestion_jobs",
            parameters=_TARGET,
            constants={"sortBy": {"attribute": "STARTED_AT", "order": "DESCENDING"}, "maxResults": 1000},
            record="ingestionJobSummaries",
            next_token="nextToken",
            rate=10.0,
        ),
        ids={"ingestion_job_id": "ingestionJobId"},
    ),
    # A repeated StartIngestionJob with the same token returns the first job.
    token="client_token",
    token_lengths=(33, 256),
    label="description",
    # StartIngestionJob is taken once in ten seconds, so that to repeat it may take longer than a kill leaves.
    search=Search(created="startedAt", text="description", newest_first=True),
    status="status",
    states={
        "STARTING": JobState.RUNNING,
        "IN_PROGRESS": JobState.RUNNING,
        "STOPPING": JobState.STOPPING,
        "COMPLETE": JobState.SUCCEEDED,
        "FAILED": JobState.FAILED,
        "STOPPED": JobState.CANCELLED,
    },
    created="startedAt",
    # There can be two thousand, of two thousand characters each.
    shortened={"failureReasons": 20},
    reason="join('; ', (failureReasons || `[]`)[:5])",
    progress={
        "scanned": "statistics.numberOfDocumentsScanned",
        "new": "statistics.numberOfNewDocumentsIndexed",
        "modified": "statistics.numberOfModifiedDocumentsIndexed",
        "deleted": "statistics.numberOfDocumentsDeleted",
        "failed": "statistics.numberOfDocumentsFailed",
        "skipped": "statistics.numberOfDocumentsSkipped",
    },
    losses=(
        Loss(
            what="documents that could not be ingested",
            count="statistics.numberOfDocumentsFailed",
            limit="max_documents_failed",
            why="join('; ', (failureReasons || `[]`)[:5])",
        ),
    ),
    # Whatever runs on the same data source ingests the same documents.
    adopts={},
    sweep=Sweep(
        parameter="description",
        mark="description",
        discover=(
            Discovery(
                finds="knowledge_base_id",
                operation=Operation(
                    method="list_knowledge_bases",
                    parameters=(),
                    record="knowledgeBaseSummaries[].knowledgeBaseId",
                    next_token="nextToken",
                ),
            ),
            Discovery(
                finds="data_source_id",
                operation=Operation(
                    method="list_data_sources",
                    parameters=("knowledge_base_id",),
                    record="dataSourceSummaries[].dataSourceId",
                    next_token="nextToken",
                ),
            ),
        ),
    ),
    start_interval=10.0,
    errors={
        "ResourceNotFoundException": ErrorKind.NOT_FOUND,
        "ServiceQuotaExceededException": ErrorKind.QUOTA,
    },
    quota_rule="Bedrock runs so many ingestion jobs at a time in an account, by the quotas of the region",
    console="https://{region}.console.{domain}/bedrock/home?region={region}#/knowledge-bases/{knowledge_base_id}",
    iam=Iam(
        prefix="bedrock",
        resources={
            "arn:{partition}:bedrock:{region}:{account}:knowledge-base/{knowledge_base_id}": (
                "start_ingestion_job",
                "get_ingestion_job",
                "stop_ingestion_job",
                "list_ingestion_jobs",
                "list_data_sources",
            ),
            "*": ("list_knowledge_bases",),
        },
    ),
    lineage=Lineage(
        id="ingestion_job_id",
        reads=("bedrock://{region}/{knowledge_base_id}/{data_source_id}",),
        writes=("bedrock://{region}/{knowledge_base_id}",),
        figures={
            "documents_scanned": "statistics.numberOfDocumentsScanned",
            "documents_new": "statistics.numberOfNewDocumentsIndexed",
            "documents_modified": "statistics.numberOfModifiedDocumentsIndexed",
            "documents_deleted": "statistics.numberOfDocumentsDeleted",
            "documents_failed": "statistics.numberOfDocumentsFailed",
            "documents_skipped": "statistics.numberOfDocumentsSkipped",
        },
    ),
)
