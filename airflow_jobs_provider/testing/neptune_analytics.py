"""Amazon Neptune Analytics' import and export tasks; their settings stand in ``neptune_tasks``.

Facts marked [I] are inferred: AWS documents them nowhere. Graphs are not emulated: any id will do for a task.
GetGraph knows those that an import has created, or creates.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any, ClassVar

from airflow_jobs_provider.testing.clock import moment
from airflow_jobs_provider.testing.errors import EmulatedError
from airflow_jobs_provider.testing.job import Job, new_id
from airflow_jobs_provider.testing.job_service import JobService
from airflow_jobs_provider.testing.lifecycle import LifeCycle
from airflow_jobs_provider.testing.neptune_tasks import CREATE_GRAPH, EXPORT, IMPORT, SERVICE

BUSY: dict[str, Any] = {"reason": "CONCURRENT_MODIFICATION"}
IMPORTS, EXPORTS = (IMPORT, CREATE_GRAPH), (EXPORT,)

# What all answers repeat of the start's parameters, and what only those of the start and of the read do.
_ECHOED = ("source", "format", "parquetType", "roleArn")
_ECHOED_OF_EXPORT = ("destination", "kmsKeyIdentifier")
_ECHOED_IF_FULL = ("importOptions", "exportFilter")
_ECHOED_OF_GRAPH = (
    *("publicConnectivity", "kmsKeyIdentifier", "vectorSearchConfiguration"),
    *("replicaCount", "deletionProtection"),
)
_DEFAULTS_OF_GRAPH: Mapping[str, Any] = {
    "publicConnectivity": False,
    "kmsKeyIdentifier": "AWS_OWNED_KEY",  # [I]
    "replicaCount": 1,
    "deletionProtection": True,
}
SMALLEST_MEMORY = 16


class NeptuneAnalyticsEmulation(JobService):
    """The operations on tasks; moto has nothing of this service."""

    service = SERVICE
    moto_package = "neptunegraph"
    lives = (*IMPORTS, *EXPORTS)
    emulates = (
        *("StartImportTask", "CreateGraphUsingImportTask", "GetImportTask"),
        *("CancelImportTask", "ListImportTasks"),
        *("StartExportTask", "GetExportTask", "CancelExportTask", "ListExportTasks"),
        "GetGraph",
    )
    url_paths: ClassVar[tuple[str, ...]] = ("{0}/.*$",)

    def start_import_task(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Start an import into a graph."""
        return self._start_on_graph(IMPORT, parameters)

    def create_graph_using_import_task(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Start an import into a new graph."""
        name = parameters["graphName"]
        with self.emulator.lock:
            if name in self.setting(CREATE_GRAPH, "existing_targets"):
                raise EmulatedError("ConflictException", f"Graph {name} exists already.", **BUSY)
            most, tasks = self.setting(CREATE_GRAPH, "limit_per_account"), self.jobs_on(CREATE_GRAPH)
            self.require_room(most, tasks, "ServiceQuotaExceededException", "The account")
            return self._start(CREATE_GRAPH, f"g-{_new_id()}", parameters)

    def start_export_task(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Start an export of a graph."""
        return self._start_on_graph(EXPORT, parameters)

    def get_import_task(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return an import's full record."""
        job = self._find(IMPORTS, parameters)
        settings, done = job.settings, job.progress(self.now)
        record = {**self._full(job), **self._reason(job), "attemptNumber": settings["attempt_number"]}
        if record["status"] != "INITIALIZING":
            lags = job.ended(self.now) is None or self._lags(job)
            record["importTaskDetails"] = {
                **self._details(job),
                "status": "IN_PROGRESS" if lags else record["status"],
                "errorCount": int(settings["error_count"] * done),
                "errorDetails": settings["error_details"],
                "statementCount": int(settings["statement_count"] * done),
                "dictionaryEntryCount": int(settings["dictionary_entry_count"] * done),
            }
        return record

    def get_export_task(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return an export's full record."""
        job = self._find(EXPORTS, parameters)
        done = job.progress(self.now)
        record = self._full(job)
        if record["status"] != "INITIALIZING":
            record["exportTaskDetails"] = {
                **self._details(job),
                "numVerticesWritten": int(job.settings["vertices_written"] * done),
                "numEdgesWritten": int(job.settings["edges_written"] * done),
            }
        return record

    def cancel_import_task(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Cancel an import."""
        return self._cancel(self._find(IMPORTS, parameters))

    def cancel_export_task(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Cancel an export."""
        return self._cancel(self._find(EXPORTS, parameters))

    def list_import_tasks(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return a page of the imports of a graph or of the account, newest first [I]."""
        return self._list(IMPORTS, parameters)

    def list_export_tasks(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return a page of the exports of a graph or of the account, newest first [I]."""
        return self._list(EXPORTS, parameters)

    def get_graph(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return a graph that an import creates, or has created."""
        graph = parameters["graphIdentifier"]
        job = next(iter(self.jobs_on(CREATE_GRAPH, graph)), None)
        if job is None:
            raise EmulatedError("ResourceNotFoundException", f"Graph {graph} does not exist.")
        asked, over = job.parameters, job.ended(self.now) is not None
        arn = f"arn:aws:neptune-graph:{self.region}:{self.current_account}:graph/{graph}"
        return {
            **_DEFAULTS_OF_GRAPH,
            **{name: asked[name] for name in _ECHOED_OF_GRAPH if name in asked},
            "id": graph,
            "name": asked["graphName"],
            "arn": arn,
            "status": "AVAILABLE" if over else "CREATING",
            "createTime": moment(job.created),
            "provisionedMemory": asked.get("maxProvisionedMemory", SMALLEST_MEMORY),
        }

    def _start(self, life: LifeCycle, graph: str, parameters: dict[str, Any]) -> dict[str, Any]:
        ids = {"taskIdentifier": f"t-{_new_id()}"}
        return self._full(self.start_job(life, ids, (graph,), {**parameters, "graphIdentifier": graph}))

    def _start_on_graph(self, life: LifeCycle, parameters: dict[str, Any]) -> dict[str, Any]:
        graph = parameters["graphIdentifier"]
        self._require_graph(life, graph)
        with self.emulator.lock:
            most, tasks = self.setting(life, "limit_per_graph"), self._tasks(self.lives, graph)
            self.require_room(most, tasks, "ConflictException", f"Graph {graph}", **BUSY)
            return self._start(life, graph, parameters)

    def _find(self, lives: tuple[LifeCycle, ...], parameters: Mapping[str, Any]) -> Job:
        name = parameters["taskIdentifier"]
        for life in lives:
            job = self.find_job(life, name)
            if job is not None:
                return job
        raise EmulatedError("ResourceNotFoundException", f"Task {name} does not exist.")

    def _cancel(self, job: Job) -> dict[str, Any]:
        cancelled, record = self.emulator.cancel(job), self._record(job)
        if not cancelled:
            code = self.setting(job.life, "cancel_ended")
            raise EmulatedError(code, f"Task {record['taskId']} cannot be cancelled: {record['status']}.")
        return record

    def _list(self, lives: tuple[LifeCycle, ...], parameters: Mapping[str, Any]) -> dict[str, Any]:
        target = [parameters["graphIdentifier"]] if "graphIdentifier" in parameters else []
        for graph in target:
            self._require_graph(lives[0], graph)
        tasks = self._tasks(lives, *target)
        page, token = self.page(tasks, parameters.get("nextToken"), parameters.get("maxResults", 100))
        return {"tasks": [self._record(job) for job in page], "nextToken": token}

    def _tasks(self, lives: tuple[LifeCycle, ...], *target: str) -> list[Job]:
        found = [job for life in lives for job in self.jobs_on(life, *target)]
        return sorted(found, key=lambda job: job.position)

    def _require_graph(self, life: LifeCycle, graph: str) -> None:
        if graph in self.setting(life, "missing_targets"):
            raise EmulatedError("ResourceNotFoundException", f"Graph {graph} does not exist.")

    def _record(self, job: Job) -> dict[str, Any]:
        exports = job.life is EXPORT
        echoed = (*_ECHOED, *(_ECHOED_OF_EXPORT if exports else ()))
        return {
            "graphId": job.parameters["graphIdentifier"],
            "taskId": job.ids["taskIdentifier"],
            "status": job.status(self.now),
            **{name: job.parameters[name] for name in echoed if name in job.parameters},
            **(self._reason(job) if exports else {}),
        }

    def _full(self, job: Job) -> dict[str, Any]:
        options = {name: job.parameters[name] for name in _ECHOED_IF_FULL if name in job.parameters}
        return {**self._record(job), **options}

    def _reason(self, job: Job) -> dict[str, Any]:
        if job.ended(self.now) is None or self._lags(job):
            return {}
        failed = "The emulated task failed." if job.status(self.now) == "FAILED" else None
        return {"statusReason": job.settings["status_reason"] or failed}

    def _details(self, job: Job) -> dict[str, Any]:
        now, ended, began = self.now, job.ended(self.now), job.created
        return {
            "startTime": moment(began),
            "timeElapsedSeconds": int((now if ended is None else ended) - began),
            "progressPercentage": int(job.settings["progress"] * job.progress(now)),
        }

    def _lags(self, job: Job) -> bool:
        ended = job.ended(self.now)
        return ended is not None and self.now < ended + job.settings.get("details_delay", 0.0)


def _new_id() -> str:
    return new_id(string.ascii_lowercase + string.digits)
