"""A task that only starts the job, and the sensor that waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.live.matrix import Matrix
from tests.live.rows.outcomes import ANOTHER, CANCELLED, GOES_ON

if TYPE_CHECKING:
    from airflow_jobs_provider.jobs.run import JobRun
    from tests.live.cell import Cell
    from tests.live.rest import Json

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


@matrix.row("a sensor that waits for a job is cleared", job=GOES_ON, next_try="waits for it again")
def sensor_cleared(cell: Cell, mode: str) -> None:
    """A sensor cancels nothing."""
    job = watch(cell, mode, "sensor_alone")
    cell.sees("running" if mode == "worker" else "deferred", task_id="wait")
    cell.airflow.clear(cell.dag_id, cell.run_id, ["wait"])
    cell.until(lambda: own_id(job) in cell.log(2, "wait"), "the next try of the sensor")
    cell.succeed(cell.job_of(job))
    cell.sees("success", task_id="wait")
    is_left_alone(cell, job)


@matrix.row("a sensor that waits for a job times out", job=GOES_ON)
def sensor_timed_out(cell: Cell, mode: str) -> None:
    """A sensor cancels nothing."""
    job = watch(cell, mode, "impatient_sensor_alone")
    cell.sees("failed", task_id="wait")
    assert "AirflowSensorTimeout" in cell.logs("wait")
    assert cell.case.job_type.states[is_left_alone(cell, job)["status"]].value == "running"


def watch(cell: Cell, mode: str, variant: str) -> JobRun:
    """Start a job that is no task's, and a sensor that waits for it."""
    job = cell.start_outside()
    cell.start(mode, variant, job=dict(job.ids))
    return job


def own_id(job: JobRun) -> str:
    """Return the part of a job's identity that no other job has."""
    return list(job.ids.values())[-1]


def is_left_alone(cell: Cell, job: JobRun) -> Json:
    """Check that nothing asked for the end of a job; return it as the emulator has it."""
    found = cell.job_of(job)
    assert found["cancels"] == 0
    return found
