"""Neptune Analytics tasks: import into a graph, creation of a graph by an import, export of a graph.

Shapes and statuses are the botocore model's; the meaning of codes is from the Neptune Analytics
API reference.
"""

from __future__ import annotations

from dataclasses import replace

from airflow_jobs_provider.jobs.errors import ErrorKind
from airflow_jobs_provider.jobs.lineage import Lineage
from airflow_jobs_provider.jobs.model import JobType
from airflow_jobs_provider.jobs.parts import Aftermath, Iam, Loss, Operation, Overview, Parameter, Search
from airflow_jobs_provider.jobs.run import JobState
from airflow_jobs_provider.jobs.values import Choice, Flag, MapOf, Structure, Text, Whole

_TASK = ("task_identifier",)
_ARN = "arn:{partition}:neptune-graph:{region}:{account}"
_GRAPH = Parameter("graphIdentifier", Text(r"g-[a-z0-9]{10}", "g- and 10 small letters or digits"))
_ROLE = Parameter(
    "roleArn",
    Text(r"arn:aws[^:]*:iam::[0-9]{12}:(role|role/service-role)(/[\w+=,.@-]+)+", "the ARN of an IAM role"),
)
_KEY = Parameter(
    "kmsKeyIdentifier",
    Text(r"arn:aws[^:]*:kms:[a-zA-Z0-9-]*:[0-9]{12}:key/[a-zA-Z0-9-]{36}", "the ARN of a KMS key"),
)
_TAGS = Parameter(
    "tags",
    MapOf(
        Text(r".{0,256}", "0 to 256 characters"),
        key=Text(r"[a-zA-Z+-=._:/]{1,128}", "1 to 128 letters, digits or +-=._:/"),
        maximum=50,
    ),
    language="json",
)
_SOME = Text(r".{1,1024}", "1 to 1024 characters")
_NCUS = Whole(16, 24576)  # memory-optimized Neptune Capacity Units

_SHARED = {
    "task_identifier": Parameter(
        "taskIdentifier", Text(r"t-[a-z0-9]{10}", "t- and 10 small letters or digits")
    ),
    "graph_identifier": _GRAPH,
    "role_arn": _ROLE,
    "parquet_type": Parameter("parquetType", Choice("COLUMNAR")),
}
_SOURCE = {
    **_SHARED,
    "source": Parameter("source"),
    "format": Parameter("format", Choice("CSV", "OPEN_CYPHER", "PARQUET", "NTRIPLES")),
    "fail_on_error": Parameter("failOnError", Flag()),
    "blank_node_handling": Parameter("blankNodeHandling", Choice("convertToIri")),
    "import_options": Parameter(
        "importOptions",
        Structure(
            {
                "neptune": Structure(
                    {
                        "s3ExportPath": _SOME,
                        "s3ExportKmsKeyId": _SOME,
                        "preserveDefaultVertexLabels": Flag(),
                        "preserveEdgeIds": Flag(),
                    },
                    required=("s3ExportPath", "s3ExportKmsKeyId"),
                )
            }
        ),
        language="json",
    ),
}
_SOURCE_OPTIONS = ("format", "fail_on_error", "parquet_type", "blank_node_handling", "import_options")
_LABEL = Text(r".{1,128}", "1 to 128 characters")
_PER_LABEL = MapOf(
    Structure(
        {
            "properties": MapOf(
                Structure(
                    {
                        "outputType": Choice(
                            *("Any", "Byte", "Short", "Int", "Long", "Float", "Double", "String"),
                            *("Bool", "Boolean", "Float[]", "Double[]"),
                        ),
                        "sourcePropertyName": _LABEL,
                        "multiValueHandling": Choice("TO_LIST", "PICK_FIRST"),
                    }
                ),
                key=Text(r"[a-zA-Z0-9_]{1,128}", "1 to 128 letters, digits or underscores"),
            )
        }
    ),
    key=_LABEL,
)
_OVER = dict.fromkeys(("ConflictException", "ValidationException"), ErrorKind.OVER)

_GET_IMPORT = Operation(method="get_import_task", parameters=_TASK)
_GET_EXPORT = Operation(method="get_export_task", parameters=_TASK)
# Without a graph, the list is that of the account; it has no details.
_ALL_IMPORTS, _ALL_EXPORTS = (
    Overview(
        operation=Operation(
            method=method,
            parameters=(),
            constants={"maxResults": 100},
            record="tasks",
            next_token="nextToken",
        ),
        ids={"task_identifier": "taskId"},
    )
    for method in ("list_import_tasks", "list_export_tasks")
)
# What a listed task tells of its start.
_LISTED = {"role_arn": "roleArn", "format": "format", "parquet_type": "parquetType"}
_LISTED_IMPORT = {"source": "source", **_LISTED}
_LISTED_EXPORT = {"destination": "destination", "kms_key_identifier": "kmsKeyIdentifier", **_LISTED}
_DATA = "neptune-graph://{region}/{graph_identifier}"

NEPTUNE_IMPORT = JobType(
    name="neptune-import",
    title="import task {task_identifier}",
    target="graph {graph_identifier}",
    service="neptune-graph",
    parameters=_SOURCE,
    identity={"task_identifier": "taskId"},
    start=Operation(
        method="start_import_task",
        parameters=("graph_identifier", "source", "role_arn", *_SOURCE_OPTIONS),
        optional=_SOURCE_OPTIONS,
        errors={"ConflictException": ErrorKind.BUSY},
    ),
    describe=_GET_IMPORT,
    cancel=Operation(method="cancel_import_task", parameters=_TASK, errors=_OVER),
    list_jobs=Operation(
        method="list_import_tasks",
        parameters=("graph_identifier",),
        record="tasks",
        next_token="nextToken",
    ),
    overview=_ALL_IMPORTS,
    search=Search(
        reads={"task": _GET_IMPORT},
        created="task.importTaskDetails.startTime",
        same={"graph_identifier": "graphId", "import_options": "task.importOptions", **_LISTED_IMPORT},
    ),
    status="status",
    states={
        "INITIALIZING": JobState.RUNNING,
        "EXPORTING": JobState.RUNNING,
        "ANALYZING_DATA": JobState.RUNNING,
        "IMPORTING": JobState.RUNNING,
        "REPROVISIONING": JobState.RUNNING,
        # After an error: it ends FAILED, and cannot be cancelled any more.
        "ROLLING_BACK": JobState.STOPPING,
        "CANCELLING": JobState.STOPPING,
        "SUCCEEDED": JobState.SUCCEEDED,
        "FAILED": JobState.FAILED,
        "CANCELLED": JobState.CANCELLED,
        "DELETED": JobState.CANCELLED,
    },
    created="importTaskDetails.startTime",
    reason="join(': ', [statusReason, importTaskDetails.errorDetails][?@])",
    progress={
        "progress %": "importTaskDetails.progressPercentage",
        "statements": "importTaskDetails.statementCount",
        "errors": "importTaskDetails.errorCount",
        "attempt": "attemptNumber",
    },
    losses=(
        Loss(
            what="errors",
            count="importTaskDetails.errorCount",
            limit="max_errors",
            why="importTaskDetails.errorDetails",
        ),
    ),
    aftermath=Aftermath(
        # The service is still writing down why.
        pending="status == 'FAILED' && importTaskDetails.status == 'IN_PROGRESS' && 'reason to come'",
        patience=10.0,
    ),
    adopts=_LISTED_IMPORT,
    errors={
        "ResourceNotFoundException": ErrorKind.NOT_FOUND,
        "ServiceQuotaExceededException": ErrorKind.QUOTA,
    },
    quota_rule="the account's quota of Neptune Analytics graphs, or of their memory, is used up",
    console="https://console.{domain}/neptune/home?region={region}#analytics-import-task-details:id={task_identifier}",
    iam=Iam(
        prefix="neptune-graph",
        resources={
            f"{_ARN}:graph/{{graph_identifier}}": ("start_import_task",),
            f"{_ARN}:import-task/*": (
                "start_import_task",
                "get_import_task",
                "cancel_import_task",
                "list_import_tasks",
            ),
        },
        passes_role="neptune-graph.amazonaws.com",
    ),
    lineage=Lineage(
        id="task_identifier",
        reads=("{source}",),
        writes=(_DATA,),
        told={"graph_identifier": "graphId", "source": "source"},
        figures={
            "statements": "importTaskDetails.statementCount",
            "dictionary_entries": "importTaskDetails.dictionaryEntryCount",
            "errors": "importTaskDetails.errorCount",
            "seconds": "importTaskDetails.timeElapsedSeconds",
        },
    ),
)

_GRAPH_OPTIONS = (
    *("tags", "public_connectivity", "kms_key_identifier", "vector_search_configuration", "replica_count"),
    *("deletion_protection", "max_provisioned_memory", "min_provisioned_memory"),
)
NEPTUNE_CREATE_GRAPH = replace(
    NEPTUNE_IMPORT,
    name="neptune-create-graph",
    target="new graph {graph_name}",
    parameters={
        **_SOURCE,
        "graph_name": Parameter(
            "graphName",
            Text(
                r"(?=.{1,63}\Z)(?!g-)[a-z][a-z0-9]*(-[a-z0-9]+)*",
                "1 to 63 small letters, digits and single hyphens, begin with a letter and not with g-",
            ),
        ),
        "tags": _TAGS,
        "public_connectivity": Parameter("publicConnectivity", Flag()),
        "kms_key_identifier": _KEY,
        "vector_search_configuration": Parameter(
            "vectorSearchConfiguration",
            Structure({"dimension": Whole(1, 65536)}, required=("dimension",)),
            language="json",
        ),
        "replica_count": Parameter("replicaCount", Whole(0, 2)),
        "deletion_protection": Parameter("deletionProtection", Flag()),
        "max_provisioned_memory": Parameter("maxProvisionedMemory", _NCUS),
        "min_provisioned_memory": Parameter("minProvisionedMemory", _NCUS),
    },
    start=Operation(
        method="create_graph_using_import_task",
        parameters=("graph_name", "source", "role_arn", *_SOURCE_OPTIONS, *_GRAPH_OPTIONS),
        optional=(*_SOURCE_OPTIONS, *_GRAPH_OPTIONS),
    ),
    list_jobs=Operation(method="list_import_tasks", parameters=(), record="tasks", next_token="nextToken"),
    search=Search(
        ids={"graph_identifier": "graphId"},
        reads={
            "task": _GET_IMPORT,
            "graph": Operation(method="get_graph", parameters=("graph_identifier",)),
        },
        created="graph.createTime",
        same={
            "graph_name": "graph.name",
            "import_options": "task.importOptions",
            "public_connectivity": "graph.publicConnectivity",
            "kms_key_identifier": "graph.kmsKeyIdentifier",
            "vector_search_configuration": "graph.vectorSearchConfiguration",
            "replica_count": "graph.replicaCount",
            "deletion_protection": "graph.deletionProtection",
            **_LISTED_IMPORT,
        },
    ),
    # There is no graph yet that could be busy.
    adopts=None,
    iam=Iam(
        prefix="neptune-graph",
        resources={
            f"{_ARN}:graph/*": ("create_graph_using_import_task", "get_graph"),
            f"{_ARN}:import-task/*": (
                "create_graph_using_import_task",
                "get_import_task",
                "cancel_import_task",
                "list_import_tasks",
            ),
        },
        passes_role="neptune-graph.amazonaws.com",
        key=("kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey"),
    ),
)

_EXPORT_OPTIONS = ("parquet_type", "export_filter", "tags")
NEPTUNE_EXPORT = replace(
    NEPTUNE_IMPORT,
    name="neptune-export",
    title="export task {task_identifier}",
    parameters={
        **_SHARED,
        "format": Parameter("format", Choice("PARQUET", "CSV")),
        "destination": Parameter("destination", _SOME),
        "kms_key_identifier": _KEY,
        "export_filter": Parameter(
            "exportFilter",
            Structure({"vertexFilter": _PER_LABEL, "edgeFilter": _PER_LABEL}),
            language="json",
        ),
        "tags": _TAGS,
    },
    start=Operation(
        method="start_export_task",
        parameters=(
            *("graph_identifier", "role_arn", "format", "destination", "kms_key_identifier"),
            *_EXPORT_OPTIONS,
        ),
        optional=_EXPORT_OPTIONS,
        errors={"ConflictException": ErrorKind.BUSY},
    ),
    describe=_GET_EXPORT,
    cancel=Operation(method="cancel_export_task", parameters=_TASK, errors=_OVER),
    list_jobs=Operation(
        method="list_export_tasks",
        parameters=("graph_identifier",),
        record="tasks",
        next_token="nextToken",
    ),
    overview=_ALL_EXPORTS,
    search=Search(
        reads={"task": _GET_EXPORT},
        created="task.exportTaskDetails.startTime",
        same={"graph_identifier": "graphId", "export_filter": "task.exportFilter", **_LISTED_EXPORT},
    ),
    states={
        "INITIALIZING": JobState.RUNNING,
        "EXPORTING": JobState.RUNNING,
        "CANCELLING": JobState.STOPPING,
        "SUCCEEDED": JobState.SUCCEEDED,
        "FAILED": JobState.FAILED,
        "CANCELLED": JobState.CANCELLED,
        "DELETED": JobState.CANCELLED,
    },
    created="exportTaskDetails.startTime",
    reason="statusReason",
    progress={
        "progress %": "exportTaskDetails.progressPercentage",
        "vertices": "exportTaskDetails.numVerticesWritten",
        "edges": "exportTaskDetails.numEdgesWritten",
    },
    losses=(),
    aftermath=None,
    adopts=_LISTED_EXPORT,
    # The console has a page for import tasks only.
    console=None,
    iam=Iam(
        prefix="neptune-graph",
        resources={
            f"{_ARN}:graph/{{graph_identifier}}": ("start_export_task",),
            f"{_ARN}:export-task/*": (
                "start_export_task",
                "get_export_task",
                "cancel_export_task",
                "list_export_tasks",
            ),
        },
        passes_role="neptune-graph.amazonaws.com",
    ),
    lineage=Lineage(
        id="task_identifier",
        reads=(_DATA,),
        writes=("{destination}",),
        told={"graph_identifier": "graphId", "destination": "destination"},
        figures={
            "vertices_written": "exportTaskDetails.numVerticesWritten",
            "edges_written": "exportTaskDetails.numEdgesWritten",
            "seconds": "exportTaskDetails.timeElapsedSeconds",
        },
    ),
)
