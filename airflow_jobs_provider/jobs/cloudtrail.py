"""CloudTrail Lake query.

Shapes and statuses are the botocore model's; the meaning of codes is from the CloudTrail API reference
(StartQuery, DescribeQuery, CancelQuery) and the CloudTrail user guide (CloudTrail Lake).
"""

from __future__ import annotations

from typing import Any

from airflow_jobs_provider.jobs.errors import ErrorKind
from airflow_jobs_provider.jobs.lineage import Lineage
from airflow_jobs_provider.jobs.model import JobType
from airflow_jobs_provider.jobs.parts import (
    Aftermath,
    Comment,
    Iam,
    OneOf,
    Operation,
    Overview,
    Parameter,
    Results,
    Search,
)
from airflow_jobs_provider.jobs.run import JobState
from airflow_jobs_provider.jobs.values import ListOf, Text

_STORE = ("event_data_store", "event_data_store_owner_account_id")
_IDENTITY = ("query_id", *_STORE)
_START = ("query_statement", "query_alias", "query_parameters", "delivery_s3_uri", _STORE[1])

_DESCRIBE = Operation(method="describe_query", parameters=_IDENTITY, optional=_STORE, rate=10.0)
# A statement names the event data stores that it reads by the last part of their ARNs; any of them will do.
# No other name has hyphens, unless it is quoted.
_NAMED_STORE = r"""(?i)\b(?:from|join)\s+["'`]?([0-9a-z]+(?:-[0-9a-z]+){2,})\b"""
_WITHIN = {"event_data_store": ("query_statement", _NAMED_STORE)}


def _row(item: list[dict[str, str]]) -> dict[str, Any]:
    """Return a row; GetQueryResults has a dict for every column of it."""
    return {column: value for pair in item for column, value in pair.items()}


CLOUDTRAIL_QUERY = JobType(
    name="cloudtrail-query",
    title="CloudTrail Lake query {query_id}",
    target="CloudTrail Lake",
    service="cloudtrail",
    parameters={
        "query_id": Parameter("QueryId", Text(r"[a-f0-9-]{36}", "a query id of 36 characters")),
        "event_data_store": Parameter(
            "EventDataStore",
            Text(r"[a-zA-Z0-9._/\-:]{3,256}", "the ARN of an event data store, or the id in it"),
        ),
        "event_data_store_owner_account_id": Parameter(
            "EventDataStoreOwnerAccountId", Text(r"[0-9]{12,16}", "a string of 12 digits")
        ),
        "query_statement": Parameter(
            "QueryStatement",
            Text(r".{1,10000}", "1 to 10000 characters"),
            files=(".sql",),
            language="sql",
        ),
        "query_alias": Parameter(
            "QueryAlias",
            Text(
                r"[a-zA-Z][a-zA-Z0-9._-]{0,255}", "a letter and up to 255 letters, digits, dots, _ or hyphens"
            ),
        ),
        "query_parameters": Parameter(
            "QueryParameters",
            ListOf(Text(r"[^\n]{1,1024}", "1 to 1024 characters in one line"), 1, 10),
            language="json",
        ),
        "delivery_s3_uri": Parameter(
            "DeliveryS3Uri",
            Text(
                r"(?=.{1,1024}\Z)s3://[a-z0-9][.\-a-z0-9]{1,61}[a-z0-9](/.*)?",
                "s3://bucket or s3://bucket/prefix, of at most 1024 characters",
            ),
        ),
    },
    identity={"query_id": "QueryId", **dict.fromkeys(_STORE)},
    start=Operation(
        method="start_query",
        parameters=_START,
        optional=_START,
        one_of=(
            OneOf(("query_statement", "query_alias")),
            # Parameters are an alias's.
            OneOf(("query_statement", "query_parameters"), unless={"query_alias": "."}),
        ),
    ),
    describe=_DESCRIBE,
    cancel=Operation(
        method="cancel_query",
        parameters=_IDENTITY,
        optional=_STORE,
        errors={"ConflictException": ErrorKind.OVER},
    ),
    list_jobs=Operation(
        method="list_queries", parameters=("event_data_store",), record="Queries", next_token="NextToken"
    ),
    # The list tells nothing but the status.
    overview=Overview(
        operation=Operation(
            method="list_queries",
            parameters=("event_data_store",),
            constants={"MaxResults": 1000},
            record="Queries",
            next_token="NextToken",
            rate=10.0,
            errors=dict.fromkeys(
                ("EventDataStoreNotFoundException", "InactiveEventDataStoreException"), ErrorKind.NOT_FOUND
            ),
        ),
        ids={"query_id": "QueryId"},
    ),
    # CloudTrail Lake takes every Trino SELECT; AWS's own samples begin with a comment like this one.
    comment=Comment("query_statement", "/* {} */", "InvalidQueryStatementException"),
    search=Search(
        within=_WITHIN,
        since="StartTime",
        reads={"query": _DESCRIBE},
        created="CreationTime",
        text="query.QueryString",
    ),
    status="QueryStatus",
    states={
        "QUEUED": JobState.RUNNING,
        "RUNNING": JobState.RUNNING,
        "FINISHED": JobState.SUCCEEDED,
        "FAILED": JobState.FAILED,
        "TIMED_OUT": JobState.FAILED,
        "CANCELLED": JobState.CANCELLED,
    },
    private=frozenset({"QueryString", "Prompt"}),
    created="QueryStatistics.CreationTime",
    reason="ErrorMessage",
    progress={
        # This is what AWS bills.
        "bytes scanned": "QueryStatistics.BytesScanned",
        "events scanned": "QueryStatistics.EventsScanned",
        "events matched": "QueryStatistics.EventsMatched",
    },
    aftermath=Aftermath(
        pending="QueryStatus == 'FINISHED' && DeliveryStatus == 'PENDING' && 'delivery to S3 is PENDING'",
        flaw=(
            "DeliveryStatus && !contains(['SUCCESS', 'PENDING'], DeliveryStatus) && "
            "join(' ', ['the delivery to', DeliveryS3Uri || 'S3', 'is', DeliveryStatus])"
        ),
    ),
    results=Results(
        operation=Operation(
            method="get_query_results",
            parameters=_IDENTITY,
            optional=_STORE,
            constants={"MaxQueryResults": 1000},
            record="QueryResultRows",
            next_token="NextToken",
        ),
        row=_row,
        total="QueryStatistics.TotalResultsCount",
    ),
    errors={
        "QueryIdNotFoundException": ErrorKind.NOT_FOUND,
        "InactiveQueryException": ErrorKind.OVER,
        # Ten queries of an account may be queued or running in a region.
        "MaxConcurrentQueriesException": ErrorKind.BUSY,
    },
    console="https://{region}.console.{domain}/cloudtrailv2/home?region={region}#/lake/query",
    iam=Iam(
        prefix="cloudtrail",
        resources={
            "arn:{partition}:cloudtrail:{region}:{account}:eventdatastore/{event_data_store}": (
                "start_query",
                "describe_query",
                "cancel_query",
                "get_query_results",
                "list_queries",
            ),
        },
        key=("kms:Decrypt", "kms:GenerateDataKey"),
    ),
    lineage=Lineage(
        id="query_id",
        reads=("cloudtrail://{region}/{event_data_store}",),
        writes=("{delivery_s3_uri}",),
        within=_WITHIN,
        told={"delivery_s3_uri": "DeliveryS3Uri"},
        figures={
            "events_scanned": "QueryStatistics.EventsScanned",
            "events_matched": "QueryStatistics.EventsMatched",
            "bytes_scanned": "QueryStatistics.BytesScanned",
            "milliseconds": "QueryStatistics.ExecutionTimeInMillis",
        },
    ),
)
