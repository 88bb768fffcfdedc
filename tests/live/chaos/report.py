"""A storm from its beginning to its counts."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from tests.live.airflow import LocalAirflow, aws_connection
from tests.live.chaos import plan
from tests.live.chaos.judge import judge
from tests.live.chaos.storm import Storm
from tests.live.emulator import emulated_aws
from tests.live.job_types import IMPORTS
from tests.live.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_jobs_provider.testing import EmulatorClient
    from tests.live.rest import Json

_DAGS = Path(__file__).parents[1] / "dags" / "chaos.py"
_SETTINGS = {
    # More processes at once would keep the API server from answering.
    "AIRFLOW__CORE__PARALLELISM": "10",
    # Nobody changes the file: to parse it again and again only costs time.
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
}
# Seconds that all may take to come to an end when the storm is over.
_SETTLE = 600.0
# How many of the tasks that something is wrong with are told of at length.
_STORIES = 5


@dataclass(frozen=True)
class Report:
    """What a storm has shown.

    :param wrong: what must not be, a sentence each.
    :param counts: how much there was of everything.
    :param text: all of it, to read.
    """

    wrong: list[str]
    counts: Mapping[str, int]
    text: str


def storm_over(*, seed: int, tasks: int, seconds: float, folder: Path) -> Report:
    """Start an emulated AWS and an Airflow with two triggerers, let a storm rage, and judge it.

    :param tasks: how many tasks it is about
    :param seconds: how long it may rage, even if it has not come to all of them; then all may come to an end
    :param folder: for the emulator's log
    """
    with emulated_aws(folder / "emulator.log") as emulator, PostgresServer() as server:
        airflow = LocalAirflow(
            dags=_DAGS,
            database=server.url,
            preload=IMPORTS,
            triggerers=2,
            connections={"aws_default": aws_connection(emulator.url)},
            env=_SETTINGS,
        )
        with airflow:
            storm = Storm(airflow, emulator, seed)
            began = time.monotonic()
            storm.rage(tasks=tasks, seconds=seconds)
            raged = time.monotonic()
            storm.settle(_SETTLE)
            over = time.monotonic()
            heading = f"seed {seed}: {raged - began:.0f} s, and {over - raged:.0f} until all had ended"
            return _report(airflow, emulator, storm, heading)


def _report(airflow: LocalAirflow, emulator: EmulatorClient, storm: Storm, heading: str) -> Report:
    instances, jobs, journal = storm.view.instances(), emulator.jobs(), emulator.journal()
    verdict = judge(storm.tasks, instances, jobs, storm.done)
    deeds = Counter(done.kind for done in storm.done)
    resumed = Counter(done.kind for done in storm.done if done.resumed)
    counts = {
        "tasks": len(storm.tasks),
        "tries": sum(each["try_number"] for each in instances.values()),
        "jobs": len(jobs),
        **_faults(journal),
        **{kind: deeds[kind] for kind in (*plan.EVERY, *plan.UNPLANNED)},
        "wrong states": len(verdict.states),
        "orphans": len(verdict.orphans),
        "duplicates": len(verdict.duplicates),
        "wrong cancels": len(verdict.wrong_cancels),
    }
    lines = [
        heading,
        f"tasks: {len(storm.tasks)}: {_told(str(each['state']) for each in instances.values())}",
        f"tries: {counts['tries']}",
        f"jobs: {len(jobs)}: {_told(job['job_type'] for job in jobs)}",
        f"ends: {_told(job['status'].lower() for job in jobs)}",
        f"calls: {len(journal)}: {_told(call['outcome'] for call in journal)}",
        *(f"{kind}: {deeds[kind]}" + _after(resumed[kind]) for kind in deeds),
        f"nobody was found for: {_told(deed.kind for deed in storm.missed) or 'none'}",
        *(f"{what}: {counts[what]}" for what in list(counts)[-5:]),
    ]
    wrong = [f"{target} {what}" for target, what in verdict.wrong]
    targets = list(dict.fromkeys(target for target, _ in verdict.wrong))
    stories = [_story(airflow, storm, target, instances[target], jobs) for target in targets[:_STORIES]]
    return Report(wrong, counts, "\n".join([*lines, *wrong, *stories]))


def _faults(journal: Sequence[Json]) -> dict[str, int]:
    """Return how many calls AWS really throttled, failed and dropped."""
    return {
        "throttled": sum(bool(re.search("Throttl|TooManyRequests", call["outcome"])) for call in journal),
        "failed": sum((call["status"] or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR for call in journal),
        "dropped": sum(call["outcome"] == "dropped" for call in journal),
    }


def _told(values: Iterable[str]) -> str:
    return ", ".join(f"{value} {number}" for value, number in sorted(Counter(values).items()))


def _after(resumed: int) -> str:
    return f" ({resumed} of them resumed)" if resumed else ""


def _story(airflow: LocalAirflow, storm: Storm, target: str, instance: Json, jobs: Iterable[Json]) -> str:
    """Return what happened to a task, and what its tries have logged."""
    task = storm.tasks[target]
    lines = [f"=== {task.dag_id}, run {target}: {instance['state']} in try {instance['try_number']} ==="]
    lines += [str(job) for job in jobs if plan.target_of(job) == target]
    lines += [str(done) for done in storm.done if done.victim == target or done.victim.startswith("trig")]
    for number in range(1, instance["try_number"] + 1):
        lines += [f"log of try {number}:", airflow.log(task.dag_id, target, "job", number)]
    return "\n".join(lines)
