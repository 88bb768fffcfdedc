"""What is special about Neptune Analytics' tasks."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from botocore.exceptions import ClientError

from airflow_jobs_provider.testing import EmulatorServer, ManualClock
from tests.testing.conftest import ClientFactory
from tests.testing.kinds import CREATE_GRAPH, EXPORT, GRAPH, IMPORT, Calls, start_parameters
from tests.testing.test_emulated_services import code_of

JOB = "neptune-import"


@pytest.fixture
def neptune(client: ClientFactory) -> Any:
    """Return a client of the server."""
    return client("neptune-graph")


def test_progress_of_an_import(neptune: Any, server: EmulatorServer, clock: ManualClock) -> None:
    """A log of the progress, and a look at the errors of a success, could not be tested."""
    server.emulator.configure(
        JOB,
        timeline={"INITIALIZING": 10, "ANALYZING_DATA": 0, "IMPORTING": 100},
        statement_count=500,
        error_count=4,
        error_details="bad lines",
    )
    options = {"neptune": {"s3ExportPath": "s3://x", "s3ExportKmsKeyId": "k"}}
    started = neptune.start_import_task(**start_parameters(IMPORT), importOptions=options)
    task = {"taskIdentifier": started["taskId"]}
    assert started["importOptions"] == options
    assert "importTaskDetails" not in neptune.get_import_task(**task)
    clock.advance(35)
    running = neptune.get_import_task(**task)["importTaskDetails"]
    clock.advance(75)
    record = neptune.get_import_task(**task)

    assert (running["status"], running["progressPercentage"], running["statementCount"]) == (
        "IN_PROGRESS",
        25,
        125,
    )
    details = record["importTaskDetails"]
    assert (record["status"], details["status"], details["progressPercentage"]) == (
        "SUCCEEDED",
        "SUCCEEDED",
        100,
    )
    assert (details["errorCount"], details["errorDetails"]) == (4, "bad lines")
    assert (details["timeElapsedSeconds"], record["attemptNumber"]) == (110, 1)


def test_a_success_from_outside_is_complete(neptune: Any, server: EmulatorServer, clock: ManualClock) -> None:
    """A test that ends a job early, as a success, would see it with nothing done."""
    server.emulator.configure(JOB, duration=None)
    task = {"taskIdentifier": neptune.start_import_task(**start_parameters(IMPORT))["taskId"]}
    clock.advance(5)
    server.emulator.settle(JOB, task, "SUCCEEDED", statement_count=42)

    details = neptune.get_import_task(**task)["importTaskDetails"]
    assert (details["progressPercentage"], details["statementCount"]) == (100, 42)


def test_details_lag_behind_a_failure(neptune: Any, server: EmulatorServer, clock: ManualClock) -> None:
    """The reason of a failure is written late: a caller that reads once would miss it."""
    server.emulator.script(JOB, status="FAILED", details_delay=5, status_reason="no such file", progress=40)
    task = {"taskIdentifier": neptune.start_import_task(**start_parameters(IMPORT))["taskId"]}
    clock.advance(1)
    early = neptune.get_import_task(**task)
    clock.advance(5)
    late = neptune.get_import_task(**task)

    assert (early["status"], early["importTaskDetails"]["status"]) == ("FAILED", "IN_PROGRESS")
    assert "statusReason" not in early
    assert (late["importTaskDetails"]["status"], late["statusReason"]) == ("FAILED", "no such file")
    assert late["importTaskDetails"]["progressPercentage"] == 40


def test_roll_back(neptune: Any, server: EmulatorServer, clock: ManualClock) -> None:
    """ROLLING_BACK comes after the work, and is not the end: the task must still be waited for."""
    server.emulator.script(JOB, status="FAILED", duration=10, timeline={"ROLLING_BACK": 4})
    task = {"taskIdentifier": neptune.start_import_task(**start_parameters(IMPORT))["taskId"]}
    clock.advance(7)

    assert neptune.get_import_task(**task)["status"] == "ROLLING_BACK"
    clock.advance(3)
    assert neptune.get_import_task(**task)["status"] == "FAILED"


def test_busy_graph(neptune: Any) -> None:
    """The error must say why, and an export must not start while an import runs."""
    neptune.start_import_task(**start_parameters(IMPORT))
    with pytest.raises(ClientError) as caught:
        neptune.start_export_task(**start_parameters(EXPORT))
    answer: Any = caught.value.response

    assert (answer["Error"]["Code"], answer["reason"]) == ("ConflictException", "CONCURRENT_MODIFICATION")
    other = {**start_parameters(EXPORT), "graphIdentifier": "g-0000000000"}
    assert neptune.start_export_task(**other)["status"] == "INITIALIZING"


@pytest.mark.parametrize("kind", [IMPORT, CREATE_GRAPH, EXPORT])
def test_validation_error_of_a_late_cancel(
    neptune: Any, server: EmulatorServer, clock: ManualClock, kind: Any
) -> None:
    """The model has two errors for it: a cancel must be idempotent with both."""
    server.emulator.configure(kind.job_type, cancel_ended="ValidationException")
    ids = Calls(kind, neptune).start()
    clock.advance(1)

    assert code_of(Calls(kind, neptune).cancel, ids) == "ValidationException"


def test_list_of_the_account(neptune: Any, clock: ManualClock) -> None:
    """One list call must show the imports of all graphs, new ones included, and no exports."""
    tasks = [neptune.create_graph_using_import_task(**start_parameters(CREATE_GRAPH))]
    tasks.append(neptune.start_import_task(**start_parameters(IMPORT)))
    tasks.append(neptune.create_graph_using_import_task(**start_parameters(CREATE_GRAPH)))
    neptune.start_export_task(**{**start_parameters(EXPORT), "graphIdentifier": "g-0000000000"})
    listed = neptune.list_import_tasks()["tasks"]

    assert [task["taskId"] for task in listed] == [task["taskId"] for task in reversed(tasks)]
    assert listed[1].keys() == {"graphId", "taskId", "source", "roleArn", "status"}
    page = neptune.list_import_tasks(maxResults=2)
    rest = neptune.list_import_tasks(maxResults=2, nextToken=page["nextToken"])
    assert [task["taskId"] for task in rest["tasks"]] == [tasks[0]["taskId"]]
    assert [task["graphId"] for task in neptune.list_import_tasks(graphIdentifier=GRAPH)["tasks"]] == [GRAPH]


def test_graph_of_an_import(neptune: Any, server: EmulatorServer, clock: ManualClock) -> None:
    """A search for a creation that got no answer knows the graph's name and age from here only."""
    server.emulator.configure("neptune-create-graph", duration=10)
    created = datetime.fromtimestamp(clock.now, timezone.utc)
    task = neptune.create_graph_using_import_task(**start_parameters(CREATE_GRAPH), replicaCount=0)
    clock.advance(1)
    graph = neptune.get_graph(graphIdentifier=task["graphId"])

    assert (graph["id"], graph["status"], graph["createTime"]) == (task["graphId"], "CREATING", created)
    assert graph["name"] == start_parameters(CREATE_GRAPH)["graphName"]
    assert (graph["replicaCount"], graph["publicConnectivity"]) == (0, False)
    clock.advance(10)
    assert neptune.get_graph(graphIdentifier=task["graphId"])["status"] == "AVAILABLE"
    assert code_of(neptune.get_graph, graphIdentifier="g-0000000000") == "ResourceNotFoundException"


def test_export(neptune: Any, server: EmulatorServer, clock: ManualClock) -> None:
    """A result read out of the final record would be tested against invented members."""
    server.emulator.script("neptune-export", vertices_written=7, edges_written=9, duration=4)
    task = {"taskIdentifier": neptune.start_export_task(**start_parameters(EXPORT))["taskId"]}
    clock.advance(4)
    record = neptune.get_export_task(**task)

    assert {name: record[name] for name in ("status", "destination", "format")} == {
        "status": "SUCCEEDED",
        "destination": "s3://bucket/0",
        "format": "CSV",
    }
    details = record["exportTaskDetails"]
    del details["startTime"]
    assert details == {
        "timeElapsedSeconds": 4,
        "progressPercentage": 100,
        "numVerticesWritten": 7,
        "numEdgesWritten": 9,
    }


def test_job_that_starts_ended(neptune: Any, server: EmulatorServer) -> None:
    """A duration of 0 must be answered by every operation, with no member that the model has not."""
    server.emulator.configure(JOB, duration=0, status="FAILED")

    assert neptune.start_import_task(**start_parameters(IMPORT))["status"] == "FAILED"
    assert neptune.list_import_tasks()["tasks"][0]["status"] == "FAILED"
