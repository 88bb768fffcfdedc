"""A task that only starts the job, and the sensor that waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.live.matrix import Matrix
from tests.live.rows.outcomes import ANOTHER, BY_WORKERS, CANCELLED, GOES_ON

if TYPE_CHECKING:
    from tests.live.cell import Cell

matrix = Matrix()


@matrix.row(
    "a task with `wait_for_completion=False` has succeeded, and is cleared with the sensor that waits",
    job=CANCELLED,
    next_try=ANOTHER,
)
def start_and_sensor_cleared(cell: Cell, mode: str) -> None:
    """The record of a start outlives its task, as the job does."""
    cell.start(mode, "with_sensor")
    cell.sees("success")
    cell.sees("running" if mode == "worker" else "deferred", task_id="wait")
    cell.airflow.clear(cell.dag_id, cell.run_id, ["job"], include_downstream=True)
    cell.until(lambda: len(cell.jobs()) == 2, "a second job")
    cell.succeed(cell.jobs()[1])
    cell.sees("success", task_id="wait")
    assert cell.history() == ["cancelled", "succeeded"]


@matrix.row(
    "a sensor that waits for it is cleared", job=GOES_ON, next_try="waits for it again", modes=BY_WORKERS
)
def sensor_cleared(cell: Cell, mode: str) -> None:
    """A sensor cancels nothing."""
    cell.start(mode, "with_sensor")
    cell.sees("success")
    cell.sees("deferred" if mode == "deferred" else "running", task_id="wait")
    cell.airflow.clear(cell.dag_id, cell.run_id, ["wait"])
    cell.until(lambda: bool(cell.log(2, "wait")), "the next try of the sensor")
    cell.succeed(cell.jobs()[0])
    cell.sees("success", task_id="wait")
    assert cell.history() == ["succeeded"]


@matrix.row("a sensor that waits for it times out", job=GOES_ON, modes=BY_WORKERS)
def sensor_timed_out(cell: Cell, mode: str) -> None:
    """A sensor cancels nothing."""
    cell.start(mode, "with_impatient_sensor")
    cell.sees("success")
    cell.sees("failed", task_id="wait")
    assert "AirflowSensorTimeout" in cell.logs("wait")
    assert cell.history() == ["running"]
