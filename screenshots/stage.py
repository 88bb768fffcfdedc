"""What is to be seen: two example DAGs in a real Airflow, at the moment that the pictures show."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tests.live.airflow import LocalAirflow, aws_connection
from tests.live.emulator import emulated_aws
from tests.live.home import QUICK_RETRIES, REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_jobs_provider.testing import EmulatorClient

NIGHTLY, MAPPED = "example_nightly_load", "example_spice_refresh"
LOADS = ("load_graph", "sync", "refresh")
REGION = "eu-west-1"
# Of the mapped refreshes: one that is still running when its picture is taken, and one that has ended.
RUNNING, ENDED = "sales", "inventory"
# Seconds; what is to be seen running runs until Airflow is stopped.
_SHORT, _ENDLESS = 4, 3600
# Pages show where a trigger runs: no picture tells the name of anybody's machine.
_SETTINGS = {**QUICK_RETRIES, "AIRFLOW__CORE__HOSTNAME_CALLABLE": "platform.system"}
_ROWS = [
    {"who": "arn:aws:sts::123456789012:assumed-role/Ingest/nightly", "what": "PutObject", "times": "42"},
]


@dataclass(frozen=True)
class Played:
    """The running Airflow, and the runs in it by their DAGs."""

    airflow: LocalAirflow
    aws: EmulatorClient
    runs: dict[str, str]

    def page(self, dag_id: str, *parts: str) -> str:
        """Return the address of a run's page, or of one below it."""
        return "/".join(
            [self.airflow.url, "dags", dag_id, "runs", quote(self.runs[dag_id], safe=":+"), *parts]
        )

    def map_index(self, data_set_id: str) -> int:
        """Return which of the mapped refreshes is that of a data set."""
        names: list[str] = self.airflow.dag_params(MAPPED)["data_set_ids"]
        return names.index(data_set_id)

    def job(self, **parameters: str) -> dict[str, Any]:
        """Return the one job that was started with these parameters."""
        [found] = [job for job in self.aws.jobs() if parameters.items() <= job["parameters"].items()]
        return found


@contextmanager
def stage(folder: Path) -> Iterator[Played]:
    """Bring all to where the pictures are to be taken; everything ends with the block.

    :param folder: takes Airflow's home, and the logs of its parts
    """
    with (
        emulated_aws(folder / "emulator.log") as aws,
        LocalAirflow(
            dags=REPOSITORY / "example_dags",
            home=folder / "airflow",
            connections={"aws_default": aws_connection(aws.url, REGION)},
            env=_SETTINGS,
        ) as airflow,
    ):
        aws.configure("cloudtrail-query", duration=_SHORT, rows=_ROWS)
        for job_type in ("neptune-import", "bedrock-ingestion", "quicksight-ingestion"):
            aws.configure(job_type, duration=_ENDLESS)
        aws.script("quicksight-ingestion", match={"DataSetId": ENDED}, times=None, duration=_SHORT)
        runs = {dag_id: _scheduled(airflow, dag_id) for dag_id in (MAPPED, NIGHTLY)}
        played = Played(airflow, aws, runs)
        for task_id in LOADS:
            airflow.wait_for_task(NIGHTLY, runs[NIGHTLY], task_id, "deferred", timeout=120)
        index = played.map_index(ENDED)
        airflow.wait_for_task(MAPPED, runs[MAPPED], "refresh", "success", map_index=index, timeout=120)
        yield played


def _scheduled(airflow: LocalAirflow, dag_id: str) -> str:
    """Let a schedule start its run, and return the run's id."""
    airflow.wait_for_dag(dag_id)
    if dag_id == MAPPED:
        names = airflow.dag_params(MAPPED)["data_set_ids"]
        airflow.set_pool("spice_refresh", len(names), include_deferred=True)
    airflow.pause(dag_id, paused=False)
    run = airflow.wait_until(
        lambda: next(iter(airflow.runs(dag_id)), None),
        30,
        lambda: f"the schedule of {dag_id} did not start a run",
        "scheduler",
    )
    return str(run["dag_run_id"])
