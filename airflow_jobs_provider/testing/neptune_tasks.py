"""The job types of Amazon Neptune Analytics, one for each operation that starts a task, and their settings.

Facts marked [I] are inferred: AWS documents them nowhere. A task that rolls back, exports or provisions anew
before it ends is played with a ``timeline``, for example ``{"ROLLING_BACK": 30}``. The settings beyond those
of every job type:

``progress``
    progressPercentage at the end.
``statement_count``, ``dictionary_entry_count``, ``error_count``, ``error_details``, ``attempt_number``
    importTaskDetails at the end, and attemptNumber (imports).
``details_delay``
    seconds after FAILED in which importTaskDetails still says IN_PROGRESS, and statusReason is missing.
``vertices_written``, ``edges_written``
    exportTaskDetails at the end (exports).
``status_reason``
    statusReason of an ended task; by default one sentence for a failed one.
``limit_per_graph``
    tasks of any type that may run on a graph at a time, else ConflictException; 1, None for no limit; not for
    one job. An export counts, too [I].
``limit_per_account``
    graphs that may be created at a time, else ServiceQuotaExceededException (402); no limit; not for one job.
``missing_targets``
    ids of graphs that do not exist (imports and exports); not for one job.
``existing_targets``
    names of graphs that exist already (creations): ConflictException; not for one job.
``cancel_ended``
    what a cancel says of a task that has ended: ``ConflictException`` or ``ValidationException``; not for one
    job.
"""

from __future__ import annotations

from dataclasses import replace

from airflow_jobs_provider.testing.lifecycle import LifeCycle
from airflow_jobs_provider.testing.settings import (
    MISSING_TARGETS,
    Setting,
    count,
    count_from_one,
    limit,
    optional,
    refusal,
    seconds,
    text,
)

SERVICE = "neptune-graph"

_SHARED = {
    "progress": Setting(100, count, "progressPercentage at the end"),
    "status_reason": Setting(None, optional(text), "statusReason at the end"),
    "cancel_ended": refusal("ConflictException", "ValidationException"),
}
_ON_A_GRAPH = {"limit_per_graph": limit(1, "running tasks of a graph"), "missing_targets": MISSING_TARGETS}
_IMPORT = {
    **_SHARED,
    "statement_count": Setting(1000, count, "statements at the end"),
    "dictionary_entry_count": Setting(100, count, "dictionary entries at the end"),
    "error_count": Setting(0, count, "errors at the end"),
    "error_details": Setting(None, optional(text), "what the errors are"),
    "attempt_number": Setting(1, count_from_one, "attemptNumber"),
    "details_delay": Setting(0.0, seconds, "seconds for which the details lag", needs_status="FAILED"),
}


def _reason(why: str) -> dict[str, str]:
    return {"status_reason": why}


IMPORT = LifeCycle(
    job_type="neptune-import",
    service=SERVICE,
    start="StartImportTask",
    identity=("taskIdentifier",),
    phases={
        "INITIALIZING": 0.1,
        "EXPORTING": 0.0,
        "ANALYZING_DATA": 0.1,
        "IMPORTING": None,
        "REPROVISIONING": 0.0,
        "ROLLING_BACK": 0.0,
    },
    ends=("SUCCEEDED", "FAILED", "CANCELLED", "DELETED"),
    cancelled="CANCELLED",
    stopping="CANCELLING",
    own_settings={**_IMPORT, **_ON_A_GRAPH},
    reason=_reason,
)
CREATE_GRAPH = replace(
    IMPORT,
    job_type="neptune-create-graph",
    start="CreateGraphUsingImportTask",
    own_settings={
        **_IMPORT,
        "limit_per_account": limit(None, "graphs that are being created"),
        "existing_targets": replace(MISSING_TARGETS, doc="names of graphs that exist already"),
    },
)
EXPORT = LifeCycle(
    job_type="neptune-export",
    service=SERVICE,
    start="StartExportTask",
    identity=("taskIdentifier",),
    phases={"INITIALIZING": 0.1, "EXPORTING": None},
    ends=("SUCCEEDED", "FAILED", "CANCELLED", "DELETED"),
    cancelled="CANCELLED",
    stopping="CANCELLING",
    own_settings={
        **_SHARED,
        **_ON_A_GRAPH,
        "vertices_written": Setting(100, count, "numVerticesWritten at the end"),
        "edges_written": Setting(200, count, "numEdgesWritten at the end"),
    },
    reason=_reason,
)
