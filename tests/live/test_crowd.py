"""Hundreds of tasks that start and end in the triggerer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import EmulatorClient
    from tests.live.airflow import LocalAirflow
    from tests.live.rest import Json

CROWD = 200


def test_crowd(airflow: LocalAirflow, emulator: EmulatorClient) -> None:
    """Two hundred refreshes, and as many sensors of them: every result right, and no process of a task."""
    emulator.reset()
    emulator.configure("quicksight-ingestion", duration=20)
    targets = {f"crowd-{number}": number for number in range(CROWD)}
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda target: airflow.trigger("crowd_refresh", conf={"target": target}), targets))
        airflow.wait_until(
            lambda: len(emulator.jobs()) >= CROWD or None, 300, lambda: "not all are started", "triggerer"
        )
        jobs = [
            {
                "data_set_id": job["ids"]["DataSetId"],
                "ingestion_id": job["ids"]["IngestionId"],
                "aws_account_id": job["ids"]["AwsAccountId"],
            }
            for job in emulator.jobs()
        ]
        list(pool.map(lambda job: airflow.trigger("crowd_sensor", conf={"job": job}), jobs))
    for dag_id in ("crowd_refresh", "crowd_sensor"):

        def over(dag_id: str = dag_id) -> list[Json] | None:
            found = all_tasks(airflow, dag_id)
            return found if [each["state"] for each in found] == ["success"] * CROWD else None

        wanted = {run["dag_run_id"]: run["conf"] for run in all_runs(airflow, dag_id)}
        for each in airflow.wait_until(over, 300, lambda: "not all have succeeded", "triggerer"):
            # A worker says its process and its host when it begins with a task.
            assert (each["pid"], each["hostname"] or "", each["try_number"]) == (None, "", 1)
            result, conf = airflow.xcom(dag_id, each["dag_run_id"], "job"), wanted[each["dag_run_id"]]
            own = conf["job"] if dag_id == "crowd_sensor" else {"data_set_id": conf["target"]}
            assert result.items() >= {**own, "status": "COMPLETED"}.items()
    assert len(emulator.jobs()) == CROWD
    assert {job["data_set_id"] for job in jobs} == set(targets)
    assert all(job["cancels"] == 0 for job in emulator.jobs())


def all_tasks(airflow: LocalAirflow, dag_id: str) -> list[Json]:
    """Return the task instances of all runs of a DAG."""
    return _all(airflow, f"/dags/{dag_id}/dagRuns/~/taskInstances", "task_instances")


def all_runs(airflow: LocalAirflow, dag_id: str) -> list[Json]:
    """Return the runs of a DAG."""
    return _all(airflow, f"/dags/{dag_id}/dagRuns", "dag_runs")


def _all(airflow: LocalAirflow, path: str, what: str) -> list[Json]:
    # Airflow gives a hundred at a time.
    pages = [
        airflow.request("GET", path, params={"limit": 100, "offset": offset})[what]
        for offset in range(0, CROWD, 100)
    ]
    return [each for page in pages for each in page]
