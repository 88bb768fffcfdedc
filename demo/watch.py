"""What Airflow and the emulated AWS are doing, brought together: each task beside its AWS job."""

from __future__ import annotations

import time
from collections import Counter
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from demo.kinds import KINDS, Kind, kind_of
from demo.screen import Row, Screen

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_jobs_provider.testing import EmulatorClient
    from tests.live.airflow import LocalAirflow


class DemoError(Exception):
    """The demo did not go as it should; the message says how, in one sentence."""


class Watch:
    """Looks at some runs and their jobs, and shows them."""

    def __init__(self, screen: Screen, airflow: LocalAirflow, emulator: EmulatorClient) -> None:
        self._screen = screen
        self._airflow = airflow
        self._emulator = emulator
        #: The runs to look at: DAG and run.
        self.runs: dict[str, str] = {}
        self._tasks: list[dict[str, Any]] = []
        self._jobs: list[dict[str, Any]] = []
        # By job id and whether it cancels.
        self._calls: Counter[tuple[str, bool]] = Counter()
        self._last_call = 0
        self._targets: dict[tuple[str, str], str] = {}
        self._began: dict[tuple[str, str], str] = {}

    def look(self) -> None:
        """Ask both, and bring the screen up to date."""
        self._airflow.check()
        self._tasks = [
            task
            for dag_id, run_id in self.runs.items()
            for task in sorted(self._airflow.task_instances(dag_id, run_id), key=self._place)
        ]
        self._jobs = self._emulator.jobs()
        self._count_calls()
        self._screen.show([row for task in self._tasks for row in self._rows(task)])

    def until(self, problem: str, condition: Callable[[], bool], timeout: float) -> None:
        """Keep the screen up to date until ``condition`` is true of what it shows."""
        deadline = time.monotonic() + timeout
        while True:
            self.look()
            if condition():
                return
            failed = self._failure()
            if failed:
                raise DemoError(f"{problem}: {failed}.")
            if time.monotonic() > deadline:
                raise DemoError(f"{problem} within {timeout:g} s; shown above is how far they came.")
            time.sleep(0.3)

    def jobs_of(self, kind: Kind, target: str = "") -> list[dict[str, Any]]:
        """Return the jobs of a kind that were started for a target, the oldest first."""
        return [
            job for job in self._jobs if job["job_type"] == kind.job_type and kind.target_of(job) == target
        ]

    def states(self, dag_id: str, *task_ids: str) -> list[str]:
        """Return the states of tasks, mapped ones included."""
        return [
            str(task["state"])
            for task in self._tasks
            if task["dag_id"] == dag_id and task["task_id"] in task_ids
        ]

    def finished(self) -> bool:
        """Whether all runs have succeeded; raises :class:`DemoError` if one has failed."""
        states = {dag_id: self._airflow.run(dag_id, run_id)["state"] for dag_id, run_id in self.runs.items()}
        failed = [dag_id for dag_id, state in states.items() if state == "failed"]
        if failed:
            raise DemoError(f"The run of {failed[0]} failed: {self._failure()}.")
        return set(states.values()) == {"success"}

    def _count_calls(self) -> None:
        """Count what was asked of AWS about each job since the last look, but for the starts."""
        for call in self._emulator.journal(since=self._last_call):
            self._last_call = call["number"]
            for kind in KINDS:
                job_id = call["parameters"].get(kind.identifier)
                if job_id is not None and call["operation"] != kind.start:
                    self._calls[job_id, call["operation"] == kind.cancel] += 1

    def _place(self, task: dict[str, Any]) -> tuple[str, str, int]:
        """Order tasks by when they started first, so that no row moves when a task is tried again."""
        if task["start_date"]:
            self._began.setdefault((task["dag_id"], task["task_id"]), task["start_date"])
        began = self._began.get((task["dag_id"], task["task_id"]), "not yet")
        return (began, task["task_id"], task["map_index"])

    def _rows(self, task: dict[str, Any]) -> list[Row]:
        """A task instance beside its job, and above it the jobs of its earlier tries."""
        label = task["task_id"] if task["map_index"] < 0 else f"{task['task_id']}[{task['map_index']}]"
        operator, attempt = task["operator_name"] or "", max(task["try_number"], 1)
        kind = kind_of(operator)
        jobs, target = [], ""
        if kind is not None:
            target = self._target(task, label, kind)
            jobs = self.jobs_of(kind, target)
        if "Start" in operator or "Create" in operator:
            tries = list(zip_longest(range(1, attempt + 1), jobs[:attempt]))
        else:
            # A sensor or a cancel speaks of the job that another task has started.
            tries = [(attempt, jobs[-1] if jobs else None)]
        rows = []
        for number, job in tries:
            job_id = kind.id_of(job) if kind and job else ""
            row = Row(
                dag=task["dag_id"],
                task=label,
                attempt=number,
                state=task["state"] or "" if number == attempt else "cleared",
                job=f"{kind.name} {target}".strip() if kind else "",
                status=job["status"] if job else "",
                reads=self._calls[job_id, False],
                cancels=self._calls[job_id, True],
                job_id=job_id,
            )
            rows.append(row)
        return rows

    def _target(self, task: dict[str, Any], label: str, kind: Kind) -> str:
        # Airflow forgets the rendered fields of a cleared task until its next try renders them again.
        key = (task["dag_id"], label)
        target = (task["rendered_fields"] or {}).get(kind.field) or self._targets.get(key, "")
        self._targets[key] = target
        return str(target)

    def _failure(self) -> str:
        """The first failed task and the end of its log, or nothing."""
        for task in self._tasks:
            if task["state"] == "failed":
                where = (task["dag_id"], self.runs[task["dag_id"]], task["task_id"], task["try_number"])
                log = self._airflow.log(*where, task["map_index"]).splitlines()
                return f"task {task['task_id']} of {task['dag_id']} failed, and its log ends\n" + "\n".join(
                    log[-15:]
                )
        return ""
