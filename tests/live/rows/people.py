"""What people do to a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.live.matrix import Matrix
from tests.live.rows.outcomes import (
    ANOTHER,
    BY_WORKERS,
    CANCELLED,
    EVERY,
    WORKERLESS,
    is_cancelled,
    starts_another,
)

if TYPE_CHECKING:
    from tests.live.cell import Cell

matrix = Matrix()


@matrix.row("the task is cleared", job=CANCELLED, next_try=ANOTHER, modes=EVERY)
def clear_task(cell: Cell, mode: str) -> None:
    """The task itself, alone."""
    cell.start_and_wait(mode, "plain")
    cell.clear()
    starts_another(cell)


@matrix.row("it is cleared with what comes after it", job=CANCELLED, next_try=ANOTHER)
def clear_from_upstream(cell: Cell, mode: str) -> None:
    """From a task before it, downstream."""
    cell.start_and_wait(mode, "plain")
    cell.airflow.clear(cell.dag_id, cell.run_id, ["before"], include_downstream=True)
    starts_another(cell)


@matrix.row("its run is cleared", job=CANCELLED, next_try=ANOTHER)
def clear_run(cell: Cell, mode: str) -> None:
    """All tasks of the run."""
    cell.start_and_wait(mode, "plain")
    cell.airflow.clear_run(cell.dag_id, cell.run_id)
    starts_another(cell)


@matrix.row(
    "it is cleared while the DAG is paused",
    job="cancelled, at the latest by the next try",
    next_try=ANOTHER,
)
def clear_while_paused(cell: Cell, mode: str) -> None:
    """Airflow tells a trigger of the kill only when the DAG is unpaused."""
    cell.start_and_wait(mode, "paused")
    with cell.paused():
        cell.clear()
        cell.until(lambda: cell.state() not in {"running", "deferred"}, "the task is cleared")
        assert len(cell.jobs()) == 1
    starts_another(cell)


@matrix.row("it is marked failed", job=CANCELLED, modes=EVERY)
def mark_failed(cell: Cell, mode: str) -> None:
    """Nobody waits any more."""
    cell.start_and_wait(mode, "plain")
    cell.mark("failed")
    is_cancelled(cell)


@matrix.row("an instance of a mapped task is marked failed, and cleared", job=CANCELLED, next_try=ANOTHER)
def mapped_instance(cell: Cell, mode: str) -> None:
    """Airflow tells the states of such instances by another key, and keeps their records by it, too."""
    cell.start_and_wait(mode, "mapped")
    cell.mark("failed")
    is_cancelled(cell)
    cell.clear()
    starts_another(cell)


@matrix.row("it is marked success", job=CANCELLED)
def mark_success(cell: Cell, mode: str) -> None:
    """Nobody waits any more."""
    cell.start_and_wait(mode, "plain")
    cell.mark("success")
    is_cancelled(cell)


@matrix.row("it is marked skipped", job=CANCELLED)
def mark_skipped(cell: Cell, mode: str) -> None:
    """Nobody waits any more."""
    cell.start_and_wait(mode, "plain")
    cell.mark("skipped")
    is_cancelled(cell)


@matrix.row("its run is marked failed", job=CANCELLED)
def run_failed(cell: Cell, mode: str) -> None:
    """Nobody waits any more."""
    cell.start_and_wait(mode, "plain")
    cell.airflow.set_run_state(cell.dag_id, cell.run_id, "failed")
    is_cancelled(cell)


@matrix.row("its run is marked success", job=CANCELLED)
def run_succeeded(cell: Cell, mode: str) -> None:
    """Nobody waits any more."""
    cell.start_and_wait(mode, "plain")
    cell.airflow.set_run_state(cell.dag_id, cell.run_id, "success")
    is_cancelled(cell)


@matrix.row("the task instance is deleted", job=CANCELLED, next_try=ANOTHER, modes=BY_WORKERS)
def task_instance_deleted(cell: Cell, mode: str) -> None:
    """In a run that has no other, the scheduler makes it anew at once, and counts its tries anew.

    The new one has the key of the old one: when the executor tells late that the process of the old one has
    died, the scheduler fails the new one's first try for it, and its job is cancelled, too.
    """
    cell.start_and_wait(mode, "alone")
    cell.delete()
    cell.until(lambda: _succeeds_if_wanted(cell), "another job, and success with it")
    *unwanted, last = cell.one_at_a_time()
    assert unwanted[0]["status"] == cell.case.cancelled
    assert all(job["cancels"] for job in unwanted)
    assert (last["status"], last["cancels"]) == (cell.case.succeeded, 0)


def _succeeds_if_wanted(cell: Cell) -> bool:
    """Whether the task has succeeded; let its newest job do so, unless that was told to end."""
    job = cell.jobs()[-1]
    if len(cell.jobs()) > 1 and job["ended"] is None and not job["cancels"]:
        cell.succeed(job)
    return cell.state() == "success"


@matrix.row(
    "the task instance of one that starts in the triggerer is deleted",
    job=CANCELLED,
    next_try="starts another, maybe before the old one has ended",
    modes=WORKERLESS,
)
def task_instance_and_record_deleted(cell: Cell, mode: str) -> None:
    """Its record goes with it: the old job ends when its trigger is told, beside the new one's start."""
    cell.start_and_wait(mode, "alone")
    cell.delete()
    cell.until(lambda: len(cell.jobs()) == 2, "a second job")
    cell.until(lambda: cell.jobs()[0]["status"] == cell.case.cancelled, "the first is cancelled")
    cell.succeed(cell.jobs()[1])
    cell.sees("success")
    assert cell.jobs()[1]["cancels"] == 0


@matrix.row("the task is taken out of the DAG's file", job=CANCELLED)
def task_removed(cell: Cell, mode: str) -> None:
    """Airflow marks what runs as removed."""
    cell.add_dag(mode)
    cell.start_and_wait(mode, cell.target)
    cell.add_dag(None)
    is_cancelled(cell)
