"""What many threads wait for at the same time, read once for all of them."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

from tests.live.processes import LiveError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_jobs_provider.testing import EmulatorClient
    from tests.live.rest import AirflowApi, Json

T = TypeVar("T")

PAUSE = 2.0
"""Seconds between two looks at the same thing."""


class Looks:
    """The task instances of the runs that somebody waits for, and the emulator's jobs and journal.

    :ivar over: nobody is to wait any more.

    Each is read at most once in ``PAUSE`` seconds, however many threads ask: a hundred that ask by themselves
    keep the API server so busy that nothing happens.
    """

    def __init__(self, airflow: AirflowApi, emulator: EmulatorClient) -> None:
        self._airflow = airflow
        self._emulator = emulator
        self.over = threading.Event()
        self._runs: set[str] = set()
        self._calls: dict[int, Json] = {}
        self._by_value: dict[tuple[str, str], list[Json]] = {}
        self._tasks: Look[dict[tuple[str, str, str, int], Json]] = Look(self._read_tasks, self.over)
        self._jobs: Look[list[Json]] = Look(emulator.jobs, self.over)
        self._journal: Look[dict[tuple[str, str], list[Json]]] = Look(self._read_journal, self.over)

    def go_on(self) -> None:
        """Raise if nobody is to wait any more."""
        go_on(self.over)

    def begin(self, run_id: str) -> None:
        """Read the task instances of a run from now on."""
        self._runs = {*self._runs, run_id}

    def end(self, run_id: str) -> None:
        """Read them no more."""
        self._runs = self._runs - {run_id}

    def task(self, dag_id: str, run_id: str, task_id: str, since: float, map_index: int = -1) -> Json:
        """Return a task instance; empty while there is none.

        :param since: it is read after this moment (``time.monotonic()``).
        """
        return self._tasks.after(since).get((dag_id, run_id, task_id, map_index), {})

    def jobs(self, job_type: str, since: float) -> list[Json]:
        """Return the jobs of a type."""
        return [job for job in self._jobs.after(since) if job["job_type"] == job_type]

    def calls(self, operation: str, since: float, value: str = "") -> list[Json]:
        """Return the calls of an operation; with ``value`` those that have it as a parameter's value."""
        return self._journal.after(since).get((operation, value), [])

    def _read_tasks(self) -> dict[tuple[str, str, str, int], Json]:
        body = {"dag_run_ids": sorted(self._runs), "page_limit": 1000}
        found = self._airflow.request("POST", "/dags/~/dagRuns/~/taskInstances/list", json=body)
        return {
            (task["dag_id"], task["dag_run_id"], task["task_id"], task["map_index"]): task
            for task in found["task_instances"]
        }

    def _read_journal(self) -> dict[tuple[str, str], list[Json]]:
        # What is still in flight may be answered by now: read from there on.
        flying = [number for number, call in self._calls.items() if call["outcome"] == "in flight"]
        first = min(flying, default=max(self._calls, default=0) + 1)
        for call in self._emulator.journal(since=first - 1):
            known = self._calls.setdefault(call["number"], call)
            if known is not call:
                known.update(call)
                continue
            for value in {"", *map(str, call["parameters"].values())}:
                self._by_value.setdefault((call["operation"], value), []).append(known)
        return self._by_value


def go_on(over: threading.Event) -> None:
    """Raise if nobody is to wait any more."""
    if over.is_set():
        raise LiveError("nobody waits any more")


class Look(Generic[T]):
    """A thing that is read by one thread for all that want it."""

    def __init__(self, read: Callable[[], T], over: threading.Event) -> None:
        self._read = read
        self._over = over
        self._lock = threading.Lock()
        self._began = float("-inf")
        self._value: T | None = None

    def after(self, since: float) -> T:
        """Return what is read after a moment (``time.monotonic()``); at most ``PAUSE`` seconds old."""
        with self._lock:
            go_on(self._over)
            age = time.monotonic() - self._began
            if self._began < since or age >= PAUSE:
                time.sleep(max(0.0, PAUSE - age))
                self._began = time.monotonic()
                self._value = self._read()
            return self._value  # type: ignore[return-value]
