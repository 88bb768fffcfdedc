"""What assets and OpenLineage hear of jobs in a real run of a DAG, from Airflow's own task runner."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_jobs_provider.testing import Emulator, EmulatorServer

ROOT = Path(__file__).parent.parent
SALES, BASE = "quicksight://eu-west-1/123456789012/sales", "bedrock://eu-west-1/KB12345678"

RUN = """
import json, pathlib, sys
from airflow.dag_processing.dagbag import DagBag
from airflow.models.asset import AssetDagRunQueue, AssetEvent
from airflow.utils.session import create_session

dag_run = DagBag(sys.argv[1]).dags["lineage"].test()
states = {ti.task_id: ti.state for ti in dag_run.get_task_instances()}
with create_session() as session:
    events = {event.asset.uri: event.extra for event in session.query(AssetEvent)}
    due = sorted({row.target_dag_id for row in session.query(AssetDagRunQueue)})
told = {"states": states, "events": events, "due": due}
pathlib.Path("told.json").write_text(json.dumps(told))
"""


@dataclass(frozen=True)
class Ran:
    """A run of the DAG: what Airflow's database has of it, and what OpenLineage was sent."""

    states: dict[str, str]
    events: dict[str, dict[str, Any]]
    due: list[str]
    sent: list[dict[str, Any]]

    def end(self, task_id: str) -> dict[str, Any]:
        """Return the event about the end of a task."""
        [event] = [
            event
            for event in self.sent
            if event["job"]["name"] == f"lineage.{task_id}" and event["eventType"] != "START"
        ]
        return event


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Run it once, with OpenLineage's listener at work."""
    home = tmp_path_factory.mktemp("airflow")
    aws, sent = Emulator(), home / "openlineage.json"
    for job_type in ("quicksight-ingestion", "bedrock-ingestion"):
        aws.configure(job_type, duration=1)
    aws.configure("quicksight-ingestion", rows_ingested=1200)
    aws.script("quicksight-ingestion", {"DataSetId": "broken"}, status="FAILED", error_type="QUERY_TIMEOUT")
    with EmulatorServer(emulator=aws) as server:
        extra = {"region_name": "eu-west-1", "endpoint_url": server.url}
        connection = {"conn_type": "aws", "login": "emulated", "password": "emulated", "extra": extra}
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "AIRFLOW__"))},
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            # Only DAGs that are not paused are due.
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "tests" / "dags"),
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(
                {"type": "file", "log_file_path": str(sent), "append": True}
            ),
            "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(connection),
            "PYTHONPATH": str(ROOT),
        }
        airflow = str(Path(sys.executable).parent / "airflow")
        for command in (
            [airflow, "db", "migrate"],
            [airflow, "dags", "reserialize"],
            [sys.executable, "-c", RUN, str(ROOT / "tests" / "dags")],
        ):
            done = subprocess.run(
                command, cwd=home, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((home / "told.json").read_text())
    return Ran(**told, sent=[json.loads(line) for line in sent.read_text().splitlines()])


def test_events_in_the_database_tell_what_was_done(ran: Ran) -> None:
    """What a worker puts into its context counts only if Airflow has kept it."""
    assert ran.states == dict.fromkeys(("worker", "deferred", "sensor"), "success") | {"fails": "failed"}
    assert set(ran.events) == {SALES, BASE, "seen"}
    assert ran.events[SALES]["rows_ingested"] == 1200
    assert ran.events[BASE]["documents_scanned"] == 10
    assert ran.events["seen"] == ran.events[SALES]


def test_dags_are_due_by_what_was_refreshed(ran: Ran) -> None:
    """An asset, and an alias that stands for what the job has written, run the next DAG."""
    assert ran.due == ["on_sales", "on_synced"]


def test_openlineage_is_sent_the_data_and_the_job(ran: Ran) -> None:
    """The listener asks in the process in which the task ends, also after a deferral."""
    for task_id, uri, read in (
        ("worker", SALES, []),
        ("deferred", BASE, [f"{BASE}/DS12345678"]),
        ("sensor", SALES, []),
    ):
        event = ran.end(task_id)
        assert event["eventType"] == "COMPLETE"
        assert [f"{data['namespace']}/{data['name']}" for data in event["outputs"]] == [uri]
        assert [f"{data['namespace']}/{data['name']}" for data in event["inputs"]] == read
        assert event["run"]["facets"]["externalQuery"]["externalQueryId"] in ran.events[uri].values()
    statistics = ran.end("worker")["outputs"][0]["outputFacets"]["outputStatistics"]
    assert (statistics["rowCount"], statistics["size"]) == (1200, 1_048_576)


def test_openlineage_is_sent_why_a_job_failed(ran: Ran) -> None:
    """The listener has the error itself; the job's id is what is looked for in AWS."""
    event = ran.end("fails")
    assert event["eventType"] == "FAIL"
    assert [data["name"] for data in event["outputs"]] == ["123456789012/broken"]
    facets = event["run"]["facets"]
    assert "QUERY_TIMEOUT" in facets["errorMessage"]["message"]
    assert facets["externalQuery"]["externalQueryId"] in facets["errorMessage"]["message"]
