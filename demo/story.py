"""What happens in the demo, and the check that it really did."""

from __future__ import annotations

import time
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from demo.screen import Row, Screen

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_jobs_provider.testing import EmulatorClient
    from tests.live.airflow import LocalAirflow

JOB_TYPE = "quicksight-ingestion"
SIMPLE, MAPPED = "example_quicksight", "example_spice_refresh"
CLEARED = 2
REFRESH_SECONDS = 10


class DemoError(Exception):
    """The demo did not go as it should; the message says how, in one sentence."""


class Story:
    """Two example DAGs, three refreshes side by side, and one of them cleared."""

    def __init__(self, screen: Screen, airflow: LocalAirflow, emulator: EmulatorClient) -> None:
        self._screen = screen
        self._airflow = airflow
        self._emulator = emulator
        self._names: list[str] = []
        self._runs: dict[str, str] = {}
        self._tasks: list[dict[str, Any]] = []
        self._jobs: list[dict[str, Any]] = []
        self._data_sets: dict[tuple[str, str], str] = {}
        self._began: dict[tuple[str, str], str] = {}

    def play(self) -> None:
        """Run the demo; raises :class:`DemoError` if the promise of this provider was not seen to hold."""
        self._prepare()
        with self._screen.table():
            self._start()
            self._refresh_side_by_side()
            self._clear_one()
            self._until("The refreshes do not finish", self._finished, timeout=60)
            self._look()
        self._judge()

    def _prepare(self) -> None:
        """Learn the names of the datasets from the DAG, and set how long the emulated ingestions take."""
        self._airflow.wait_for_dag(MAPPED)
        self._names = self._airflow.dag_params(MAPPED)["data_set_ids"]
        self._airflow.set_pool("spice_refresh", len(self._names), include_deferred=True)
        self._emulator.configure(JOB_TYPE, duration=REFRESH_SECONDS)
        # The one that will be cleared would take minutes, so that it cannot end before.
        self._emulator.script(JOB_TYPE, match={"DataSetId": self._names[CLEARED]}, times=1, duration=600)

    def _start(self) -> None:
        self._screen.say(f"Triggering {SIMPLE}: start an ingestion, wait for it, cancel it if need be.")
        self._runs[SIMPLE] = self._airflow.trigger(SIMPLE, {"data_set_id": "orders"})
        self._screen.say(
            f"Unpausing {MAPPED}: its schedule says that a run is due. One task, mapped over\n"
            f"the datasets {', '.join(self._names)}."
        )
        self._airflow.pause(MAPPED, paused=False)
        run = self._airflow.wait_until(
            lambda: next(iter(self._airflow.runs(MAPPED)), None),
            30,
            lambda: f"The schedule of {MAPPED} did not start a run.",
            "scheduler",
        )
        self._runs[MAPPED] = run["dag_run_id"]

    def _refresh_side_by_side(self) -> None:
        def all_wait() -> bool:
            states = [task["state"] for task in self._tasks if task["task_id"] == "refresh"]
            statuses = [job["status"] for name in self._names for job in self._jobs_of(name)]
            return states == ["deferred"] * len(self._names) and statuses == ["RUNNING"] * len(self._names)

        self._until("The three refreshes were not seen to run side by side", all_wait, timeout=45)
        self._screen.say(
            f"{len(self._names)} SPICE ingestions run side by side. Their tasks are deferred: they wait in\n"
            "the triggerer and occupy no worker.",
            "bold",
        )

    def _clear_one(self) -> None:
        name = self._names[CLEARED]
        self._screen.say(
            f"Somebody clears refresh[{CLEARED}] ({name}) now. Its ingestion must be cancelled in AWS,\n"
            "and only then may another be started.",
            "bold",
        )
        self._airflow.clear(MAPPED, self._runs[MAPPED], "refresh", CLEARED)

        def replaced() -> bool:
            return [job["status"] for job in self._jobs_of(name)] in (
                ["CANCELLED", "RUNNING"],
                ["CANCELLED", "COMPLETED"],
            )

        problem = f"The cleared refresh of {name} was not cancelled in AWS and started again"
        self._until(problem, replaced, timeout=40)
        self._screen.say(f"The old ingestion of {name} is CANCELLED, and a new one runs.", "bold")

    def _finished(self) -> bool:
        states = {dag_id: self._airflow.run(dag_id, run_id)["state"] for dag_id, run_id in self._runs.items()}
        failed = [dag_id for dag_id, state in states.items() if state == "failed"]
        if failed:
            raise DemoError(f"The run of {failed[0]} failed: {self._failure()}.")
        return set(states.values()) == {"success"}

    def _judge(self) -> None:
        """Compare what was seen with the emulator's journal: every call that AWS would have got."""
        started = [call for call in self._emulator.journal("CreateIngestion") if call["outcome"] == "ok"]
        cancels = [call for call in self._emulator.journal("CancelIngestion") if call["outcome"] == "ok"]
        jobs = self._emulator.jobs(JOB_TYPE)
        running = [job["ids"]["IngestionId"] for job in jobs if job["ended"] is None]
        if running:
            raise DemoError(f"These ingestions have outlived their tasks: {', '.join(running)}.")
        for name in self._names:
            wanted = 2 if name == self._names[CLEARED] else 1
            calls = [call for call in started if call["parameters"]["DataSetId"] == name]
            if len(calls) != wanted:
                raise DemoError(f"{len(calls)} ingestions of {name} were started, and {wanted} were wanted.")
        old, new = self._jobs_of(self._names[CLEARED])
        if old["ids"]["IngestionId"] not in [call["parameters"]["IngestionId"] for call in cancels]:
            raise DemoError(f"Nobody cancelled ingestion {old['ids']['IngestionId']} of the cleared task.")
        if new["created"] < old["ended"]:
            raise DemoError("The cleared task started its new ingestion while the old one was still running.")
        cancelled = sum(job["status"] == "CANCELLED" for job in jobs)
        self._screen.say(
            f"Done, and checked against the emulator's journal: {len(started)} ingestions started, "
            f"{len(started) - cancelled} completed,\n{cancelled} cancelled for the cleared task before "
            "its successor was started, none left running.",
            "bold green",
        )

    def _until(self, problem: str, condition: Callable[[], bool], timeout: float) -> None:
        """Keep the screen up to date until ``condition`` is true of what it shows."""
        deadline = time.monotonic() + timeout
        while True:
            self._look()
            if condition():
                return
            failed = self._failure()
            if failed:
                raise DemoError(f"{problem}: {failed}.")
            if time.monotonic() > deadline:
                raise DemoError(f"{problem} within {timeout:g} s; shown above is how far they came.")
            time.sleep(0.3)

    def _look(self) -> None:
        self._airflow.check()
        self._tasks = [
            task
            for dag_id, run_id in self._runs.items()
            for task in sorted(self._airflow.task_instances(dag_id, run_id), key=self._place)
        ]
        self._jobs = self._emulator.jobs(JOB_TYPE)
        self._screen.show([row for task in self._tasks for row in self._rows(task)])

    def _place(self, task: dict[str, Any]) -> tuple[str, str, int]:
        """Order tasks by when they started first, so that no row moves when a task is tried again."""
        if task["start_date"]:
            self._began.setdefault((task["dag_id"], task["task_id"]), task["start_date"])
        began = self._began.get((task["dag_id"], task["task_id"]), "not yet")
        return (began, task["task_id"], task["map_index"])

    def _rows(self, task: dict[str, Any]) -> list[Row]:
        """A task instance beside its job, and above it the jobs of its earlier tries."""
        label = task["task_id"] if task["map_index"] < 0 else f"{task['task_id']}[{task['map_index']}]"
        # Airflow forgets the rendered fields of a cleared task until its next try renders them again.
        key = (task["dag_id"], label)
        data_set = (task["rendered_fields"] or {}).get("data_set_id") or self._data_sets.get(key, "")
        self._data_sets[key] = data_set
        jobs, attempt = self._jobs_of(data_set), max(task["try_number"], 1)
        if "CreateIngestion" in (task["operator_name"] or ""):
            tries = list(zip_longest(range(1, attempt + 1), jobs[:attempt]))
        else:
            # A sensor or a cancel speaks of the job that another task has started.
            tries = [(attempt, jobs[-1] if jobs else None)]
        return [
            Row(
                dag=task["dag_id"],
                task=label,
                attempt=number,
                state=task["state"] or "" if number == attempt else "cleared",
                data_set=data_set,
                ingestion=job["ids"]["IngestionId"] if job else "",
                status=job["status"] if job else "",
            )
            for number, job in tries
        ]

    def _jobs_of(self, data_set: str) -> list[dict[str, Any]]:
        return [job for job in self._jobs if job["ids"]["DataSetId"] == data_set]

    def _failure(self) -> str:
        """The first failed task and the end of its log, or nothing."""
        for task in self._tasks:
            if task["state"] == "failed":
                where = (task["dag_id"], self._runs[task["dag_id"]], task["task_id"], task["try_number"])
                log = self._airflow.log(*where, task["map_index"]).splitlines()
                return f"task {task['task_id']} of {task['dag_id']} failed, and its log ends\n" + "\n".join(
                    log[-15:]
                )
        return ""
