"""``python -m benchmarks.tasks``: what a task costs a whole Airflow, way by way, in one run.

So many refreshes as runs of a DAG with one task, on PostgreSQL with the LocalExecutor. Counted is the CPU of
all processes of Airflow, those that have ended included, beyond what they use when nothing happens. The runs
are made while their DAG is paused: what the API server needs for that is nobody's.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import psutil

from benchmarks.page import Page, machine
from benchmarks.plot import Bar, Group, svg
from tests.live.airflow import LocalAirflow, aws_connection
from tests.live.emulator import emulated_aws
from tests.live.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_jobs_provider.testing import EmulatorClient

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Way:
    """One way to run a task.

    :param title: in the table.
    :param label: in the picture.
    :param goal: how many times less CPU for a task than the amazon provider's it must need.
    """

    title: str
    label: str
    is_ours: bool = True
    goal: float | None = None


WAYS = {
    "amazon": Way("the amazon provider, deferrable", "amazon, deferrable", is_ours=False),
    "worker": Way("ours, in a worker", "in a worker"),
    "deferred": Way("ours, deferred", "deferred", goal=1.5),
    "workerless": Way("ours, workerless", "workerless", goal=30.0),
    "lean": Way("ours, workerless, with `multiple_outputs=False`", "with one XCom", goal=30.0),
    "least": Way(
        "no job at all: Airflow's own `DateTimeSensorAsync`, workerless", "no job at all", is_ours=False
    ),
}
# Seconds that a refresh takes, and in which the idle processes are watched.
_DURATION, _IDLE = 20.0, 30.0


@dataclass
class Found:
    """What one way has cost.

    :param cpu: seconds for a task, beyond what an idle Airflow uses.
    :param wall: seconds from the first task to the last.
    """

    way: str
    cpu: float
    wall: float


def spent(airflow: LocalAirflow) -> float:
    """Return the seconds of CPU that all processes of an Airflow have used, with those that have ended."""
    total = 0.0
    for process in airflow.processes():
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def idle_rate(airflow: LocalAirflow) -> float:
    """Return how many seconds of CPU an idle Airflow uses in a second."""
    before, began = spent(airflow), time.monotonic()
    time.sleep(_IDLE)
    return (spent(airflow) - before) / (time.monotonic() - began)


def measure(airflow: LocalAirflow, way: str, tasks: int, idle: float) -> Found:
    """Run so many tasks one way."""
    airflow.wait_for_dag(way)
    airflow.pause(way)
    mark = f"{way}-{time.time():.0f}"
    for number in range(tasks):
        body = {"dag_run_id": f"{mark}-{number}", "logical_date": None}
        airflow.request("POST", f"/dags/{way}/dagRuns", json=body)
    before, began = spent(airflow), time.monotonic()
    airflow.pause(way, paused=False)
    query = {"state": ["queued", "running"], "limit": 1}
    while airflow.request("GET", f"/dags/{way}/dagRuns", params=query)["total_entries"]:
        if time.monotonic() - began > 1200:
            raise RuntimeError(f"{way}: not over after 20 minutes")
        time.sleep(2)
    wall = time.monotonic() - began
    failed = airflow.request("GET", f"/dags/{way}/dagRuns", params={"state": "failed", "limit": 1})
    if failed["total_entries"]:
        raise RuntimeError(f"{way}: not all have succeeded")
    return Found(way, (spent(airflow) - before - idle * wall) / tasks, wall)


def report(rounds: Sequence[Found], tasks: int) -> str:
    """Return what was measured, as Markdown."""
    cpu = _medians(rounds, "cpu")
    wall = _medians(rounds, "wall")
    lines = [
        "## What a task costs a whole Airflow",
        "",
        "Made by `make bench-tasks`.",
        "",
        f"{machine()}; PostgreSQL, LocalExecutor.",
        f"{tasks} refreshes of {_DURATION:g} seconds at once, each a run of a DAG with this one task;",
        f"medians of {len(rounds) // len(WAYS)} rounds, the ways alternating. CPU is that of all processes",
        "of Airflow, beyond what they use when nothing happens.",
        "",
        "| way | CPU for a task | times less | goal | wall time of all |",
        "|---|---:|---:|---|---:|",
    ]
    for name, way in WAYS.items():
        less = cpu["amazon"] / max(cpu[name], 1e-9)
        goal = ""
        if way.goal is not None:
            goal = f"at least {way.goal:g}: {'met' if less >= way.goal else '**not met**'}"
        lines.append(
            f"| {way.title} | {cpu[name] * 1000:.0f} ms | {less:.1f} | {goal} | {wall[name]:.0f} s |"
        )
    return "\n".join([*lines, ""])


def picture(rounds: Sequence[Found]) -> str:
    """Return a picture of the CPU for a task."""
    cpu = _medians(rounds, "cpu")
    groups = [
        Group(way.label, [Bar(cpu[name], f"{cpu[name] * 1000:.0f} ms", way.is_ours)], max(cpu.values()))
        for name, way in WAYS.items()
    ]
    return svg("One refresh: CPU of all of Airflow's processes", groups, others="Airflow's own")


def _medians(rounds: Sequence[Found], figure: str) -> dict[str, float]:
    return {way: median(getattr(each, figure) for each in rounds if each.way == way) for way in WAYS}


def main() -> None:
    """Measure, and write a part of RESULTS.md and its picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tasks", description=__doc__)
    parser.add_argument("--tasks", type=int, default=100, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="folder for the results (default: the repository's)")
    options = parser.parse_args()
    rounds: list[Found] = []
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        emulated_aws(Path(folder) / "emulator.log") as aws,
        PostgresServer() as postgres,
        LocalAirflow(
            dags=_HERE / "dags", connections={"aws_default": aws_connection(aws.url)}, database=postgres.url
        ) as airflow,
    ):
        configure(aws)
        for way in WAYS:  # what is imported once is nobody's
            measure(airflow, way, 3, 0.0)
        idle = idle_rate(airflow)
        for _ in range(options.rounds):
            for way in WAYS:
                found = measure(airflow, way, options.tasks, idle)
                print(json.dumps(asdict(found)), flush=True)
                rounds.append(found)
    text = report(rounds, options.tasks)
    page = Page.in_folder(options.out)
    page.write("make bench-tasks", text)
    page.draw("bench-tasks", picture(rounds))
    print(text)


def configure(aws: EmulatorClient) -> None:
    """Have refreshes last, and succeed."""
    aws.configure("quicksight-ingestion", duration=_DURATION, quota=None)


if __name__ == "__main__":
    main()
