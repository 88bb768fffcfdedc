"""Airflow's REST API as the live tests use it."""

from __future__ import annotations

import threading
import time
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from tests.live.processes import LiveError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

Json = dict[str, Any]

PATIENCE = 60.0
"""Seconds for which a call is tried again when the API server does not answer or fails."""


class AirflowApi:
    """A client of ``/api/v2`` that speaks of DAGs, runs and task instances.

    Calls are sent one at a time, from any thread (SQLite has one writer), and tried again for ``PATIENCE``
    seconds if the server is away or answers 5xx. Any other failure is a :class:`LiveError` at once.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=f"{url}/api/v2", timeout=30, trust_env=False)
        self._one_at_a_time = threading.Lock()

    def close(self) -> None:
        """Close the connections; no request can be sent afterwards."""
        self._client.close()

    def check(self) -> None:
        """Called before every request: raises if it is already known that no good can come of it."""

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Json | None = None,
        missing_ok: bool = False,
        again_on_conflict: bool = False,
    ) -> Any:
        """Send one request below ``/api/v2`` and return the decoded answer (``None`` if empty).

        :param missing_ok: return ``None`` when the server answers 404
        :param again_on_conflict: send it again when the server answers 409
        """
        deadline = time.monotonic() + PATIENCE
        attempt = 0
        while True:
            attempt += 1
            self.check()
            try:
                with self._one_at_a_time:
                    answer = self._client.request(method, path, json=json, params=params)
            except httpx.TransportError as error:
                problem = f"the API server does not answer ({type(error).__name__})"
            else:
                if answer.is_success:
                    return answer.json() if answer.content else None
                if answer.status_code == httpx.codes.NOT_FOUND and missing_ok:
                    return None
                conflict = answer.status_code == httpx.codes.CONFLICT
                if conflict and attempt > 1 and not again_on_conflict:
                    # The attempt before this one did arrive.
                    return None
                problem = f"the API server answered {answer.status_code}: {answer.text[:500]}"
                if not (answer.is_server_error or (conflict and again_on_conflict)):
                    raise LiveError(f"{method} {path} failed: {problem}")
            if time.monotonic() > deadline:
                raise LiveError(f"{method} {path} failed for {PATIENCE:g} s: {problem}")
            time.sleep(0.3)

    def health(self) -> dict[str, str | None]:
        """The status of each part of Airflow ("healthy", "unhealthy", or ``None`` for never seen)."""
        answer = self.request("GET", "/monitor/health")
        return {part: details["status"] for part, details in answer.items() if details is not None}

    def import_errors(self) -> dict[str, str]:
        """DAG files that cannot be imported, each with the traceback."""
        errors = self.request("GET", "/importErrors", params={"limit": 100})["import_errors"]
        return {error["filename"]: error["stack_trace"] for error in errors}

    def dag(self, dag_id: str) -> Json | None:
        """What Airflow knows about a DAG, or ``None`` if it has not been parsed yet."""
        found = self.request("GET", f"/dags/{quote(dag_id)}", missing_ok=True)
        return None if found is None or found["is_stale"] else dict(found)

    def dag_params(self, dag_id: str) -> Json:
        """The params of a DAG and their default values."""
        details = self.request("GET", f"/dags/{quote(dag_id)}/details")
        return {name: param["value"] for name, param in details["params"].items()}

    def pause(self, dag_id: str, *, paused: bool = True) -> None:
        """Pause a DAG, or unpause it."""
        self.request("PATCH", f"/dags/{quote(dag_id)}", json={"is_paused": paused})

    def delete_dag(self, dag_id: str) -> None:
        """Delete everything Airflow knows about a DAG."""
        self.request("DELETE", f"/dags/{quote(dag_id)}")

    def set_pool(self, name: str, slots: int, *, include_deferred: bool = True) -> None:
        """Create a pool."""
        body = {"name": name, "slots": slots, "include_deferred": include_deferred}
        self.request("POST", "/pools", json=body)

    def create_run(
        self,
        dag_id: str,
        conf: Json | None = None,
        run_id: str | None = None,
        logical_date: datetime | None = None,
    ) -> str:
        """Create a run of a DAG, with a run id of our own if none is given, and return its id."""
        run_id = run_id or f"live-{uuid.uuid4().hex[:8]}"
        body = {
            "dag_run_id": run_id,
            "conf": conf or {},
            "logical_date": logical_date.isoformat() if logical_date else None,
        }
        self.request("POST", f"/dags/{quote(dag_id)}/dagRuns", json=body)
        return run_id

    def runs(self, dag_id: str) -> list[Json]:
        """All runs of a DAG."""
        return list(self.request("GET", f"/dags/{quote(dag_id)}/dagRuns", params={"limit": 100})["dag_runs"])

    def run(self, dag_id: str, run_id: str) -> Json:
        """A DAG run: ``state`` and the rest."""
        return dict(self.request("GET", _run(dag_id, run_id)))

    def set_run_state(self, dag_id: str, run_id: str, state: str) -> None:
        """Mark a run as "success", "failed" or "queued"."""
        self.request("PATCH", _run(dag_id, run_id), json={"state": state})

    def clear_run(self, dag_id: str, run_id: str, **options: Any) -> None:
        """Clear a whole run, with the options of Airflow's endpoint (``only_failed=True``, ...)."""
        body = {"dry_run": False, **options}
        self.request("POST", f"{_run(dag_id, run_id)}/clear", json=body, again_on_conflict=True)

    def task_instances(self, dag_id: str, run_id: str) -> list[Json]:
        """Every task instance of a run, mapped ones included."""
        return list(
            self.request("GET", f"{_run(dag_id, run_id)}/taskInstances", params={"limit": 1000})[
                "task_instances"
            ]
        )

    def task_instance(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> Json:
        """One task instance: ``state``, ``try_number``, ``id`` and so on; empty while it does not exist."""
        return dict(self.request("GET", _task(dag_id, run_id, task_id, map_index), missing_ok=True) or {})

    def tries(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> list[Json]:
        """All tries of a task instance, the first one first."""
        path = f"{_task(dag_id, run_id, task_id)}/tries"
        tries = self.request("GET", path, params={"map_index": map_index})["task_instances"]
        return sorted(tries, key=lambda each: int(each["try_number"]))

    def events(self, dag_id: str, run_id: str, task_id: str, event: str) -> list[Json]:
        """What Airflow has noted of a task instance: "running" whenever a process of the task begins."""
        wanted = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "event": event}
        return list(self.request("GET", "/eventLogs", params=wanted)["event_logs"])

    def clear(
        self,
        dag_id: str,
        run_id: str,
        task_ids: str | Sequence[str],
        map_index: int | None = None,
        **options: Any,
    ) -> None:
        """Clear tasks of a run.

        :param map_index: clear only this one of a mapped task; ``None`` clears all
        :param options: those of Airflow's endpoint (``include_downstream=True``, ``only_failed=True``, ...)
        """
        wanted = [task_ids] if isinstance(task_ids, str) else task_ids
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": [task_id if map_index is None else [task_id, map_index] for task_id in wanted],
            "only_failed": False,
            **options,
        }
        # 409: a try of the task ended in the same moment, and nothing was cleared.
        self.request("POST", f"/dags/{quote(dag_id)}/clearTaskInstances", json=body, again_on_conflict=True)

    def set_task_state(
        self, dag_id: str, run_id: str, task_id: str, state: str, map_index: int = -1, **options: Any
    ) -> None:
        """Mark a task instance as "failed", "success" or "skipped"."""
        self.request("PATCH", _task(dag_id, run_id, task_id, map_index), json={"new_state": state, **options})

    def delete_task_instance(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> None:
        """Delete a task instance; the scheduler makes it anew at once while the run is running."""
        self.request("DELETE", _task(dag_id, run_id, task_id), params={"map_index": map_index})

    def xcom(
        self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1
    ) -> Any:
        """The value of an XCom, or ``None`` if there is none."""
        path = f"{_task(dag_id, run_id, task_id)}/xcomEntries/{quote(key)}"
        entry = self.request(
            "GET", path, params={"map_index": map_index, "deserialize": True}, missing_ok=True
        )
        return entry and entry["value"]

    def extra_links(
        self, dag_id: str, run_id: str, task_id: str, map_index: int = -1
    ) -> dict[str, str | None]:
        """The buttons of a task instance in the UI: name and address."""
        path = f"{_task(dag_id, run_id, task_id)}/links"
        return dict(self.request("GET", path, params={"map_index": map_index})["extra_links"])


def _run(dag_id: str, run_id: str) -> str:
    return f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id)}"


def _task(dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str:
    mapped = f"/{map_index}" if map_index >= 0 else ""
    return f"{_run(dag_id, run_id)}/taskInstances/{quote(task_id)}{mapped}"
