"""Every example DAG, run by a real Airflow against the emulated AWS."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from airflow_jobs_provider.testing import Emulator, EmulatorServer
from tests.live.airflow import LocalAirflow, aws_connection
from tests.live.home import QUICK_RETRIES, REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE_DAGS = REPOSITORY / "example_dags"
# A dozen runs have more to do at a time than one; the sweeper needs an id.
SETTINGS = {
    "AIRFLOW__CORE__PARALLELISM": "8",
    "AIRFLOW__AIRFLOW_JOBS_PROVIDER__DEPLOYMENT_ID": "examples",
    **QUICK_RETRIES,
}
# Started by its schedule and by hand.
BOTH_WAYS = "example_cloudtrail_lake"
# Which AWS jobs a run of each DAG starts.
STARTS: dict[str, dict[str, int]] = {
    "example_spice_refreshed": {},  # first: a DAG that is paused hears of no refresh
    "example_bedrock": {"bedrock-ingestion": 1},
    "example_bedrock_three_tasks": {"bedrock-ingestion": 1},
    "example_cloudtrail_lake": {"cloudtrail-query": 1},
    "example_cloudtrail_lake_three_tasks": {"cloudtrail-query": 1},
    "example_logs_insights": {"logs-query": 1},
    "example_neptune_analytics": {"neptune-import": 1},
    "example_neptune_analytics_new_graph": {"neptune-create-graph": 1, "neptune-export": 1},
    "example_nightly_load": {
        "cloudtrail-query": 1,
        "neptune-import": 1,
        "bedrock-ingestion": 1,
        "quicksight-ingestion": 1,
    },
    "example_quicksight": {"quicksight-ingestion": 1},
    "example_spice_refresh": {"quicksight-ingestion": 3},
    "example_spice_refresh_workerless": {"quicksight-ingestion": 3},
    "example_sweeper": {},
}
START_CALLS = {
    "bedrock-ingestion": ("bedrock-agent", "StartIngestionJob"),
    "cloudtrail-query": ("cloudtrail", "StartQuery"),
    "logs-query": ("logs", "StartQuery"),
    "neptune-create-graph": ("neptune-graph", "CreateGraphUsingImportTask"),
    "neptune-export": ("neptune-graph", "StartExportTask"),
    "neptune-import": ("neptune-graph", "StartImportTask"),
    "quicksight-ingestion": ("quicksight", "CreateIngestion"),
}
TEARDOWNS = ["CancelImportTask", "CancelIngestion", "CancelQuery", "StopIngestionJob"]
SUCCEEDED = {"Complete", "COMPLETE", "COMPLETED", "FINISHED", "SUCCEEDED"}
INGEST = "arn:aws:sts::123456789012:assumed-role/Ingest/nightly"
ROWS = [
    {"who": INGEST, "what": "PutObject", "times": "41"},
    {"who": INGEST, "what": "CopyObject", "times": "1"},
]


@dataclass(frozen=True)
class Ran:
    """All example DAGs have run once: what Airflow and the emulated AWS have seen of it."""

    airflow: LocalAirflow
    aws: Emulator
    runs: list[tuple[str, str]]


@pytest.fixture(scope="module")
def ran() -> Iterator[Ran]:
    """Run them side by side: those that are due by their schedules, the others by hand, one both ways."""
    aws = Emulator()
    for job_type in START_CALLS:
        aws.configure(job_type, duration=3)
    aws.configure("cloudtrail-query", rows=ROWS, delivery_delay=1)
    aws.configure("logs-query", rows=[{"@logStream": "web-1", "errors": "3"}])
    with (
        EmulatorServer(emulator=aws) as server,
        LocalAirflow(
            dags=EXAMPLE_DAGS, connections={"aws_default": aws_connection(server.url)}, env=SETTINGS
        ) as airflow,
    ):
        airflow.set_pool("spice_refresh", 3, include_deferred=True)
        runs: list[tuple[str, str]] = []
        for dag_id in STARTS:
            due = airflow.wait_for_dag(dag_id)["next_dagrun_run_after"]
            if due is None or datetime.fromisoformat(due) > datetime.now(timezone.utc):
                runs.append((dag_id, airflow.trigger(dag_id)))
            else:
                airflow.pause(dag_id, paused=False)
                runs.append((dag_id, _scheduled_run(airflow, dag_id)))
        runs.append((BOTH_WAYS, airflow.trigger(BOTH_WAYS)))
        for dag_id, run_id in runs:
            airflow.wait_for_run(dag_id, run_id, timeout=150)
        yield Ran(airflow, aws, runs)


def test_every_example_is_run_here() -> None:
    """An example that nobody runs stops working, and newcomers are the first to find out."""
    declared = {
        dag_id
        for path in EXAMPLE_DAGS.glob("*.py")
        for dag_id in re.findall(r'dag_id="(\w+)"', path.read_text())
    }
    assert set(STARTS) == declared


def test_every_job_is_started_once_and_succeeds(ran: Ran) -> None:
    """An example that starts a job twice, or leaves one running, would be copied into production."""
    wanted: Counter[str] = Counter()
    for dag_id, _ in ran.runs:
        wanted.update(STARTS[dag_id])
    jobs = ran.aws.jobs()
    assert Counter(job["job_type"] for job in jobs) == wanted
    assert [job for job in jobs if job["status"] not in SUCCEEDED] == []
    calls = Counter((call["service"], call["operation"]) for call in ran.aws.journal() if call["executed"])
    assert {job_type: calls[call] for job_type, call in START_CALLS.items()} == wanted


def test_only_teardowns_cancel_and_find_nothing_to_cancel(ran: Ran) -> None:
    """A cancel that hits a job which is still wanted, or a start that is refused: a broken example."""
    assert [job for job in ran.aws.jobs() if job["cancel_requested"] is not None] == []
    cancels = [call for call in ran.aws.journal() if call["operation"].startswith(("Cancel", "Stop"))]
    assert sorted(call["operation"] for call in cancels) == TEARDOWNS
    others = [call for call in ran.aws.journal() if call not in cancels]
    assert [call for call in others if call["outcome"] != "ok"] == []


def test_the_sweeper_looks_and_leaves_alone_what_runs(ran: Ran) -> None:
    """A net that takes hold of the jobs of other DAGs would be worse than none."""
    [run_id] = [run_id for dag_id, run_id in ran.runs if dag_id == "example_sweeper"]
    for task_id in ("sweep_quicksight_ingestion", "sweep_bedrock_ingestion"):
        found = ran.airflow.xcom("example_sweeper", run_id, task_id)
        assert {job["verdict"] for job in found} <= {"young"}
        assert "of others; on" in ran.airflow.log("example_sweeper", run_id, task_id)


def test_what_is_refreshed_runs_the_next_dag(ran: Ran) -> None:
    """A DAG that waits for data sets, and does not hear how many rows they have, has to ask AWS itself."""

    def reported() -> dict[str, int] | None:
        rows: dict[str, int] = {}
        for run in ran.airflow.runs("example_spice_refreshed"):
            if run["run_type"] == "asset_triggered" and run["state"] == "success":
                rows |= ran.airflow.xcom("example_spice_refreshed", run["dag_run_id"], "report")
        return rows if len(rows) == 3 else None

    rows = ran.airflow.wait_until(reported, 60, lambda: "not every refresh has run the next DAG", "scheduler")
    assert rows == dict.fromkeys(("sales", "inventory", "web-traffic"), 1000)


def test_a_query_is_about_the_day_before_its_run(ran: Ran) -> None:
    """A time range that only scheduled runs have would fail in manual ones, or ask for no time at all."""
    queries = [call["parameters"].get("QueryStatement", "") for call in ran.aws.journal("StartQuery")]
    for dag_id, run_id in ran.runs:
        if dag_id in (BOTH_WAYS, "example_nightly_load"):
            due = datetime.fromisoformat(ran.airflow.run(dag_id, run_id)["run_after"])
            begin, end = (f"{due - timedelta(hours=hours):%Y-%m-%d %H:%M:%S}" for hours in (25, 1))
            assert any(f">= '{begin}'" in query and f"< '{end}'" in query for query in queries), run_id


def test_the_rows_of_a_query_reach_the_next_task(ran: Ran) -> None:
    """Rows that end in a log are what people query CloudTrail Lake for by hand."""
    for dag_id, run_id in ran.runs:
        if dag_id == BOTH_WAYS:
            assert ran.airflow.xcom(dag_id, run_id, "report") == {INGEST: 42}
        if dag_id == "example_logs_insights":
            assert ran.airflow.xcom(dag_id, run_id, "report") == 3
        if dag_id == "example_nightly_load":
            assert ran.airflow.xcom(dag_id, run_id, "audit") == 42


def _scheduled_run(airflow: LocalAirflow, dag_id: str) -> str:
    def first() -> str | None:
        return next((str(run["dag_run_id"]) for run in airflow.runs(dag_id)), None)

    return airflow.wait_until(first, 30, lambda: f"the schedule of {dag_id} did not start a run", "scheduler")
