"""What happens in the demo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demo.judge import judge
from demo.kinds import IMPORT, QUERY, REFRESH, SYNC
from demo.watch import Watch

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import EmulatorClient
    from demo.screen import Screen
    from tests.live.airflow import LocalAirflow

NIGHTLY, SIMPLE, MAPPED = "example_nightly_load", "example_quicksight", "example_spice_refresh"
LOADS = ("load_graph", "sync", "refresh")
CLEARED = 2
QUERY_SECONDS, JOB_SECONDS, SECOND_TRY_SECONDS, ROLLBACK_SECONDS = 3, 15, 6, 4
ROWS = [
    {"who": "arn:aws:sts::123456789012:assumed-role/Ingest/nightly", "what": "PutObject", "times": "42"},
]


class Story:
    """One run with four services, two more with one, and two of their tasks cleared."""

    def __init__(self, screen: Screen, airflow: LocalAirflow, emulator: EmulatorClient) -> None:
        self._screen = screen
        self._airflow = airflow
        self._emulator = emulator
        self._watch = Watch(screen, airflow, emulator)
        self._names: list[str] = []
        self._nightly = ""

    def play(self) -> None:
        """Run the demo; raises ``DemoError`` if the promise of this provider was not seen to hold."""
        self._prepare()
        with self._screen.table():
            self._query()
            self._load_side_by_side()
            self._clear_two()
            self._watch.until("The runs do not finish", self._watch.finished, timeout=90)
            self._watch.look()
        self._judge()

    def _prepare(self) -> None:
        """Learn the names of the datasets from the DAGs, and set how long the emulated jobs take."""
        for dag_id in (NIGHTLY, SIMPLE, MAPPED):
            self._airflow.wait_for_dag(dag_id)
        self._names = self._airflow.dag_params(MAPPED)["data_set_ids"]
        self._nightly = self._airflow.dag_params(NIGHTLY)["data_set_id"]
        self._airflow.set_pool("spice_refresh", len(self._names), include_deferred=True)
        self._emulator.configure(QUERY.job_type, duration=QUERY_SECONDS, rows=ROWS)
        for kind in (IMPORT, SYNC, REFRESH):
            self._emulator.configure(kind.job_type, duration=JOB_SECONDS)
        # Those that will be cleared would take minutes, so that they cannot end before.
        cleared = {"DataSetId": self._names[CLEARED]}
        self._emulator.script(REFRESH.job_type, match=cleared, times=1, duration=600)
        self._emulator.script(IMPORT.job_type, times=1, duration=600, cancel_delay=ROLLBACK_SECONDS)

    def _query(self) -> None:
        self._screen.say(
            f"Unpausing {NIGHTLY}: its schedule says that a run is due. It asks CloudTrail Lake\n"
            "who has changed the data, and then loads it into a Neptune Analytics graph, a Bedrock\n"
            "knowledge base and a QuickSight dataset."
        )
        self._unpause(NIGHTLY)

        def audited() -> bool:
            return self._watch.states(NIGHTLY, "audit") == ["success"]

        self._watch.until("The data was not found to be in order", audited, timeout=60)
        self._screen.say("The query's rows say that nobody has changed the data who should not.")

    def _load_side_by_side(self) -> None:
        self._screen.say(
            f"At the same time, unpausing {MAPPED}: one task, mapped over the datasets\n"
            f"{', '.join(self._names)}; and triggering {SIMPLE}: start, wait, cancel."
        )
        self._unpause(MAPPED)
        self._watch.runs[SIMPLE] = self._airflow.trigger(SIMPLE, {"data_set_id": "orders"})
        targets = ((IMPORT, ""), (SYNC, ""), *((REFRESH, name) for name in (self._nightly, *self._names)))

        def all_wait() -> bool:
            states = [*self._watch.states(NIGHTLY, *LOADS), *self._watch.states(MAPPED, "refresh")]
            jobs = [self._watch.jobs_of(*target) for target in targets]
            side_by_side = all(len(of_target) == 1 and of_target[0]["ended"] is None for of_target in jobs)
            return states == ["deferred"] * len(targets) and side_by_side

        self._watch.until("The loads were not seen to run side by side", all_wait, timeout=60)
        self._screen.say(
            f"{len(targets)} jobs of 3 services run side by side. Their tasks are deferred: they wait in\n"
            "the triggerer and occupy no worker.",
            "bold",
        )

    def _clear_two(self) -> None:
        name = self._names[CLEARED]
        self._screen.say(
            f"Somebody clears load_graph and refresh[{CLEARED}] ({name}) now. Their jobs must be cancelled\n"
            "in AWS, and only when they have ended may others be started. Neptune needs a while for that:\n"
            f"it rolls back what it has imported, for {ROLLBACK_SECONDS} s here.",
            "bold",
        )
        for kind in (IMPORT, REFRESH):
            self._emulator.configure(kind.job_type, duration=SECOND_TRY_SECONDS)
        self._airflow.clear(NIGHTLY, self._watch.runs[NIGHTLY], "load_graph")
        self._airflow.clear(MAPPED, self._watch.runs[MAPPED], "refresh", CLEARED)

        def replaced() -> bool:
            both = [[job["status"] for job in self._watch.jobs_of(*target)] for target in cleared]
            return all(statuses[0] == "CANCELLED" and len(statuses) > 1 for statuses in both)

        cleared = ((IMPORT, ""), (REFRESH, name))
        problem = "The jobs of the cleared tasks were not cancelled in AWS and started again"
        self._watch.until(problem, replaced, timeout=60)
        self._screen.say("Both old jobs are CANCELLED, and new ones run.", "bold")

    def _judge(self) -> None:
        """Compare what was seen with the emulator's journal: every call that AWS would have got."""
        names = ("orders", self._nightly, *self._names)
        refreshes: dict[str, tuple[str, ...]] = dict.fromkeys(names, ("COMPLETED",))
        refreshes[self._names[CLEARED]] = ("CANCELLED", "COMPLETED")
        wanted = {
            (QUERY, ""): ("FINISHED",),
            (IMPORT, ""): ("CANCELLED", "SUCCEEDED"),
            (SYNC, ""): ("COMPLETE",),
            **{(REFRESH, name): ends for name, ends in refreshes.items()},
        }
        self._screen.say(judge(self._emulator, wanted), "bold green")

    def _unpause(self, dag_id: str) -> None:
        """Let a schedule start its run."""
        self._airflow.pause(dag_id, paused=False)
        run = self._airflow.wait_until(
            lambda: next(iter(self._airflow.runs(dag_id)), None),
            30,
            lambda: f"The schedule of {dag_id} did not start a run.",
            "scheduler",
        )
        self._watch.runs[dag_id] = run["dag_run_id"]
