"""A service that moto has not, in a few lines: the engine knows no service by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from airflow_jobs_provider.testing import (
    Emulator,
    EmulatorServer,
    ManualClock,
    install,
    lifecycle,
    operations,
    responses,
)
from airflow_jobs_provider.testing.errors import EmulatedError
from airflow_jobs_provider.testing.job import Job
from airflow_jobs_provider.testing.job_service import JobService
from airflow_jobs_provider.testing.lifecycle import LifeCycle
from tests.testing.conftest import ClientFactory

GRAPH = "g-0123456789"
START = {"graphIdentifier": GRAPH, "source": "s3://b/k", "roleArn": "arn:aws:iam::123456789012:role/r"}


@pytest.fixture(scope="module", autouse=True)
def neptune() -> Iterator[None]:
    """Add a stand-in for Neptune Analytics, and take it away again."""
    import_task = LifeCycle(
        job_type="stand-in",
        service="neptune-graph",
        start="StartImportTask",
        identity=("taskIdentifier",),
        phases={"INITIALIZING": 0.1, "IMPORTING": None, "ROLLING_BACK": 0.0},
        ends=("SUCCEEDED", "FAILED", "CANCELLED"),
        cancelled="CANCELLED",
        stopping="CANCELLING",
    )
    before = [*responses.RESPONSES], {*operations.SERVICES}, {**lifecycle.LIFE_CYCLES}

    class StandIn(JobService):
        service = "neptune-graph"
        moto_package = "neptunegraph"
        lives = (import_task,)
        emulates = ("StartImportTask", "GetImportTask", "CancelImportTask")
        url_paths = ("{0}/.*$",)

        def start_import_task(self, parameters: dict[str, Any]) -> dict[str, Any]:
            target = parameters["graphIdentifier"]
            account = self.current_account
            with self.emulator.lock:
                now = self.emulator.clock.time()
                jobs = self.emulator.on_target(import_task, account, self.region, target)
                if jobs and jobs[-1].ended(now) is None:
                    raise EmulatedError("ConflictException", "busy", reason="CONCURRENT_MODIFICATION")
                ids = {"taskIdentifier": f"t-{len(jobs):010}"}
                job = self.emulator.start(
                    import_task,
                    account=account,
                    region=self.region,
                    ids=ids,
                    target=(target,),
                    parameters=parameters,
                )
            return self._answer_of(job)

        def get_import_task(self, parameters: dict[str, Any]) -> dict[str, Any]:
            return self._answer_of(self._find(parameters))

        def cancel_import_task(self, parameters: dict[str, Any]) -> dict[str, Any]:
            job = self._find(parameters)
            if not self.emulator.cancel(job):
                raise EmulatedError("ConflictException", "too late", reason="CONCURRENT_MODIFICATION")
            return self._answer_of(job)

        def _find(self, parameters: dict[str, Any]) -> Job:
            task = parameters["taskIdentifier"]
            job = self.emulator.find(import_task, self.current_account, self.region, task)
            if job is None:
                raise EmulatedError("ResourceNotFoundException", f"no {task}")
            return job

        def _answer_of(self, job: Job) -> dict[str, Any]:
            status = job.status(self.emulator.clock.time())
            return {
                "taskId": job.ids["taskIdentifier"],
                "source": "s3://b/k",
                "roleArn": "arn",
                "status": status,
            }

    install()
    yield
    responses.RESPONSES[:] = before[0]
    operations.SERVICES.clear()
    operations.SERVICES.update(before[1])
    lifecycle.LIFE_CYCLES.clear()
    lifecycle.LIFE_CYCLES.update(before[2])


def test_stopping_takes_its_time(server: EmulatorServer, client: ClientFactory, clock: ManualClock) -> None:
    """A cancel with a status of its own (STOPPING, CANCELLING) could not be waited for."""
    graph = client("neptune-graph")
    server.emulator.configure("stand-in", duration=60, cancel_delay=10)
    task = graph.start_import_task(**START)["taskId"]
    clock.advance(5)
    assert graph.cancel_import_task(taskIdentifier=task)["status"] == "CANCELLING"
    clock.advance(10)
    assert graph.get_import_task(taskIdentifier=task)["status"] == "CANCELLED"
    with pytest.raises(ClientError, match="ConflictException"):
        graph.cancel_import_task(taskIdentifier=task)


def test_last_status_before_a_failure(
    server: EmulatorServer, client: ClientFactory, clock: ManualClock
) -> None:
    """A roll-back after the work is a running status, too."""
    graph = client("neptune-graph")
    server.emulator.script("stand-in", status="FAILED", duration=10, timeline={"ROLLING_BACK": 4})
    task = graph.start_import_task(**START)["taskId"]
    seen = []
    for seconds in (0.5, 4, 3, 2.5):
        clock.advance(seconds)
        seen.append(graph.get_import_task(taskIdentifier=task)["status"])
    assert seen == ["INITIALIZING", "IMPORTING", "ROLLING_BACK", "FAILED"]


def test_busy_target(client: ClientFactory, clock: ManualClock) -> None:
    """A service that runs one job at a time must be able to say so, with the members of its error."""
    graph = client("neptune-graph")
    graph.start_import_task(**START)
    with pytest.raises(ClientError) as caught:
        graph.start_import_task(**START)
    answer: Any = caught.value.response
    assert (answer["Error"]["Code"], answer["reason"]) == ("ConflictException", "CONCURRENT_MODIFICATION")
    clock.advance(1)
    graph.start_import_task(**START)


def test_in_process(installed: Emulator) -> None:
    """Moto must route a service that it does not know."""
    with mock_aws():
        graph: Any = boto3.client("neptune-graph", region_name="eu-central-1")
        task = graph.start_import_task(**START)["taskId"]
        assert graph.get_import_task(taskIdentifier=task)["status"] == "INITIALIZING"
        with pytest.raises(ClientError, match="ValidationException"):
            graph.start_import_task(**{**START, "graphIdentifier": "no graph"})
    assert installed.journal()[0]["region"] == "eu-central-1"
