"""Tasks that start and end in the triggerer: what happens to others happens to them, and no process is made.

The rows of the kill matrix that can happen to them, for all job types; and hundreds of them at once.
"""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.live.matrix import Row, Wave
from tests.live.rows import aws, people, times, workers
from tests.live.rows.outcomes import starts_another, succeeds_with_the_only_job
from tests.live.test_jobs import test_cancel_operator as cancel_operator
from tests.live.test_jobs import test_failure as failure
from tests.live.test_jobs import test_sensor as sensor
from tests.live.test_jobs import test_success as success

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_jobs_provider.testing import EmulatorClient
    from tests.live.airflow import LocalAirflow
    from tests.live.cells import Cell, Cells
    from tests.live.rest import Json

CROWD = 200
MODE = "workerless"
# What needs another process, or a class of a DAG file, cannot happen here.
_ROWS = {
    *("clear_task", "clear_from_upstream", "clear_run", "clear_while_paused", "mark_failed"),
    *("mapped_instance", "mark_success", "mark_skipped", "run_failed", "run_succeeded"),
    *("execution_timeout", "dagrun_timeout", "mark_failed_in_the_start", "clear_in_the_start"),
    *("cancelled_by_others", "deleted_by_others"),
}
ROWS = [
    row
    for matrix in (people.matrix, times.matrix, workers.matrix, aws.matrix)
    for row in matrix.rows
    if row.name in _ROWS
]


@pytest.fixture(scope="module")
def wave(module_cells: Cells) -> Iterator[Wave]:
    """All rows, side by side."""
    module_cells.configure(duration=900, cancel_delay=4)
    wave = Wave(module_cells.all, [(row, MODE) for row in ROWS])
    yield wave
    wave.end()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row(wave: Wave, row: Row) -> None:
    """A row of the kill matrix, for all job types."""
    wave.check(row, MODE)


@pytest.mark.parametrize("mode", ["ending", MODE])
def test_success(cells: Cells, mode: str) -> None:
    """The same result, link and log as a worker's."""
    success(cells, mode)


@pytest.mark.parametrize("mode", ["ending", MODE])
def test_failure(cells: Cells, mode: str) -> None:
    """The same message, and retries."""
    failure(cells, mode)


def test_cancel_operator(cells: Cells) -> None:
    """Its end is a rollback's."""
    cancel_operator(cells, MODE)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_triggerer_restart(cells: Cells, number: signal.Signals) -> None:
    """One triggerer after the other has the task, and its one job."""

    def goes_on(cell: Cell) -> None:
        cell.succeed(cell.jobs()[0])
        succeeds_with_the_only_job(cell)

    cells.configure(duration=900)
    cells.each(lambda cell: cell.start_and_wait(f"{MODE}_plain"))
    cells.airflow.restart("triggerer", number)
    cells.each(goes_on)


def test_triggerer_dies_in_the_start(cells: Cells) -> None:
    """Its start was sent and not answered: the next triggerer finds the job, by token or by list."""

    def begins(cell: Cell) -> None:
        cell.start_slowly(f"{MODE}_plain")

    def goes_on(cell: Cell) -> None:
        cell.until(cell.is_waited_for, "a triggerer reads the job")
        cell.succeed(cell.jobs()[0])
        succeeds_with_the_only_job(cell)

    cells.configure(duration=900)
    cells.each(begins)
    cells.airflow.restart("triggerer", signal.SIGKILL)
    cells.each(goes_on)


def test_clear_without_a_triggerer(cells: Cells) -> None:
    """Nobody was told: the record of another task instance tells the next try."""
    cells.configure(duration=900)
    cells.each(lambda cell: cell.start_and_wait(f"{MODE}_plain"))
    cells.airflow.kill("triggerer", signal.SIGKILL, whole=True)
    try:
        cells.each(lambda cell: cell.clear())
    finally:
        cells.airflow.restart("triggerer", signal.SIGKILL)
    cells.each(starts_another)


def test_task_instance_deleted(cells: Cells) -> None:
    """Its record goes with it: the old job ends when its trigger is told, beside the new one's start."""

    def starts_another(cell: Cell) -> None:
        cell.start_and_wait(f"{MODE}_alone")
        cell.airflow.delete_task_instance(cell.dag_id, cell.run_id, "job")
        cell.until(lambda: len(cell.jobs()) == 2, "a second job")
        cell.until(lambda: cell.jobs()[0]["status"] == cell.case.cancelled, "the first is cancelled")
        cell.succeed(cell.jobs()[1])
        cell.sees("success")
        assert cell.jobs()[1]["cancels"] == 0

    cells.configure(duration=900)
    cells.each(starts_another)


def test_sensor(cells: Cells) -> None:
    """A time-out skips by way of a worker; all else ends where it was seen."""
    sensor(cells, MODE)


def test_a_crowd(airflow: LocalAirflow, emulator: EmulatorClient) -> None:
    """Two hundred refreshes, and two hundred sensors of them: every result right, and no process."""
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

        for each in airflow.wait_until(over, 300, lambda: "not all have succeeded", "triggerer"):
            assert (each["pid"], each["hostname"] or "", each["try_number"]) == (None, "", 1)
            result = airflow.xcom(each["dag_id"], each["dag_run_id"], "job")
            assert result["status"] == "COMPLETED"
    assert len(emulator.jobs()) == CROWD
    assert {job["data_set_id"] for job in jobs} == set(targets)
    assert all(job["cancels"] == 0 for job in emulator.jobs())


def all_tasks(airflow: LocalAirflow, dag_id: str) -> list[Json]:
    """Return the task instances of all runs of a DAG; Airflow gives a hundred at a time."""
    path = f"/dags/{dag_id}/dagRuns/~/taskInstances"
    pages = [
        airflow.request("GET", path, params={"limit": 100, "offset": offset})["task_instances"]
        for offset in range(0, CROWD, 100)
    ]
    return [each for page in pages for each in page]
