"""Time-outs, and a trigger that fails."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from tests.live.matrix import Matrix
from tests.live.rows.outcomes import (
    ANOTHER,
    CANCELLED,
    DEFERRED,
    EVERY,
    GOES_ON,
    WORKERLESS,
    is_cancelled,
    starts_another,
    succeeds_with_the_only_job,
)

if TYPE_CHECKING:
    from tests.live.cell import Cell

matrix = Matrix()


@matrix.row("`execution_timeout`", job=CANCELLED, next_try="as `retries` say", modes=EVERY)
def execution_timeout(cell: Cell, mode: str) -> None:
    """Airflow itself does not enforce it while a task is deferred."""
    cell.start(mode, "timeout")
    cell.until(lambda: "AirflowTaskTimeout" in cell.log(), "the time-out")
    starts_another(cell)
    # By this try, and not only by the next one, which there may not be.
    ended = datetime.fromisoformat(cell.tries()[0]["end_date"]).timestamp()
    assert cell.jobs()[0]["cancel_requested"] <= ended


@matrix.row("`dagrun_timeout` of its run", job=CANCELLED, is_long=True)
def dagrun_timeout(cell: Cell, mode: str) -> None:
    """Airflow skips what is unfinished."""
    cell.start_and_wait(mode, "run_timeout")
    cell.until(cell.is_cancelled, "the job is cancelled", 240)
    is_cancelled(cell)


@matrix.row("its trigger fails", job=CANCELLED, next_try=ANOTHER, modes=DEFERRED)
def trigger_fails(cell: Cell, mode: str) -> None:
    """Airflow calls no on_kill, and drops what was given to defer."""
    cell.start(mode, "with_a_trigger_that_fails")
    cell.until(lambda: len(cell.jobs()) == 2, "a second job")
    cell.until(lambda: cell.statuses() == [cell.case.cancelled] * 2, "both jobs are cancelled")
    cell.sees("failed")
    assert cell.history() == ["cancelled", "cancelled"]


@matrix.row(
    "what waits in one that starts in the triggerer fails",
    job=GOES_ON,
    next_try="(a worker goes on with it)",
    modes=WORKERLESS,
)
def wait_fails(cell: Cell, mode: str) -> None:
    """The triggerer has no more to say, and the try goes on: the worker finds the job that it has started."""
    cell.start(mode, "with_a_trigger_that_fails")
    cell.until(lambda: "a worker ends the task" in cell.log(), "a worker goes on")
    cell.until(lambda: "taking over" in cell.log(), "the job is found")
    cell.succeed(cell.jobs()[0])
    succeeds_with_the_only_job(cell)
    assert len(cell.tries()) == 1
