"""CloudWatch Logs Insights query (botocore model, API reference): one call reads its status and its rows."""

from airflow_jobs_provider.jobs.errors import ErrorKind
from airflow_jobs_provider.jobs.lineage import Lineage
from airflow_jobs_provider.jobs.model import JobType
from airflow_jobs_provider.jobs.parts import Comment, Iam, OneOf, Operation, Parameter, Results, Search
from airflow_jobs_provider.jobs.run import JobState
from airflow_jobs_provider.jobs.values import Choice, ListOf, Text, Whole

_ID, _SOURCE, _TOTAL = ("query_id",), r"(?i)(^|\|)\s*source\b", "statistics.resultCount"
_GROUPS = ("log_group_name", "log_group_names", "log_group_identifiers")  # SQL queries name them themselves
_OPTIONAL = (*_GROUPS, "limit", "query_language")
_TEXT = Text(r".{1,10000}", "1 to 10000 characters")
_GROUP = Text(r"[.\-_/#A-Za-z0-9]{1,512}", "1 to 512 letters, digits and any of .-_/#")
_GROUP_ID = Text(r"[\w#+=/:,.@-]{1,2048}", "the name of a log group, or its ARN without :* at the end")
_OVER = {"InvalidParameterException": ErrorKind.OVER}  # "Query is not currently running"
_ARN = "arn:{partition}:logs:{region}:{account}:log-group:{log_group_name}:*"
_RIGHTS = {_ARN: ("start_query", "get_query_results"), "*": ("stop_query", "describe_queries")}
_ROWS = Operation(method="get_query_results", parameters=_ID, record="results", next_token="nextToken")

LOGS_QUERY = JobType(
    name="logs-query",
    title="CloudWatch Logs Insights query {query_id}",
    target="CloudWatch Logs Insights",
    service="logs",
    parameters={
        "query_id": Parameter("queryId", Text(r".{1,256}", "a query id of 1 to 256 characters")),
        "query_string": Parameter("queryString", _TEXT, files=(".sql", ".ppl", ".cwli"), language="sql"),
        **{f"{end}_time": Parameter(f"{end}Time", Whole(0)) for end in ("start", "end")},
        "log_group_name": Parameter("logGroupName", _GROUP),
        "log_group_names": Parameter("logGroupNames", ListOf(_GROUP, 0, 50), language="json"),
        "log_group_identifiers": Parameter("logGroupIdentifiers", ListOf(_GROUP_ID, 0, 50), language="json"),
        "limit": Parameter("limit", Whole(1, 100_000)),
        "query_language": Parameter("queryLanguage", Choice("CWLI", "SQL", "PPL")),
    },
    identity={"query_id": "queryId"},
    start=Operation(
        method="start_query",
        parameters=("query_string", "start_time", "end_time", *_OPTIONAL),
        optional=_OPTIONAL,
        one_of=(OneOf(_GROUPS, unless={"query_language": "SQL", "query_string": _SOURCE}),),
        errors={"LimitExceededException": ErrorKind.BUSY},  # the account runs as many queries as it may
    ),
    describe=Operation(method="get_query_results", parameters=_ID),  # brings rows, too: private
    cancel=Operation(method="stop_query", parameters=_ID, taken="success", errors=_OVER),
    list_jobs=Operation(method="describe_queries", parameters=(), record="queries", next_token="nextToken"),
    comment=Comment("query_string", "# {}", "MalformedQueryException", {"query_language": "SQL|PPL"}),
    search=Search(created="createTime", text="queryString"),  # AWS documents no comments of SQL and PPL
    status="status",
    states={
        **dict.fromkeys(("Scheduled", "Running", "Unknown"), JobState.RUNNING),
        "Complete": JobState.SUCCEEDED,
        **dict.fromkeys(("Failed", "Timeout"), JobState.FAILED),
        "Cancelled": JobState.CANCELLED,
    },
    private=frozenset({"results", "nextToken"}),
    progress={"bytes scanned": "statistics.bytesScanned", "records matched": "statistics.recordsMatched"},
    results=Results(operation=_ROWS, total=_TOTAL, row=lambda r: {c["field"]: c.get("value") for c in r}),
    errors={"ResourceNotFoundException": ErrorKind.NOT_FOUND},
    console="https://{region}.console.{domain}/cloudwatch/home?region={region}#logsV2:logs-insights",
    iam=Iam(prefix="logs", resources=_RIGHTS),
    lineage=Lineage(
        id="query_id",
        reads=tuple(f"cloudwatch-logs://{{region}}/{{{name}}}" for name in _GROUPS),
        figures={
            "rows": _TOTAL,
            "records_scanned": "statistics.recordsScanned",
            "records_matched": "statistics.recordsMatched",
            "bytes_scanned": "statistics.bytesScanned",
        },
    ),
)
