"""What ``cancel_on_kill=False`` lets go on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.live.matrix import Matrix
from tests.live.rows.outcomes import (
    BY_WORKERS,
    DEFERRED,
    EVERY,
    GOES_ON,
    TAKES_OVER,
    WORKER,
    goes_on_with_the_only_job,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.live.cell import Cell

matrix = Matrix()


@matrix.row(
    "`cancel_on_kill=False`, and it is cleared",
    job=GOES_ON,
    next_try="logs the old job's id and starts another",
    modes=EVERY,
)
def kept_and_cleared(cell: Cell, mode: str) -> None:
    """Its author has said so."""
    cell.start_and_wait(mode, "keep")
    starts_one_beside(cell, cell.clear, try_number=2)
    end_all(cell)
    cell.sees("success")
    assert [job["cancels"] for job in cell.jobs()] == [0, 0]


@matrix.row(
    "`cancel_on_kill=False`, and the task instance is deleted",
    job=GOES_ON,
    next_try="logs the old job's id and starts another",
    modes=BY_WORKERS,
)
def kept_and_deleted(cell: Cell, mode: str) -> None:
    """Airflow makes it anew, in a try with the number 1."""
    cell.start_and_wait(mode, "keep_paused")
    starts_one_beside(cell, partial(cell.delete, in_time=True), try_number=1)
    end_all(cell)
    cell.sees("success")
    assert [job["cancels"] for job in cell.jobs()] == [0, 0]


def starts_one_beside(cell: Cell, by: Callable[[], None], try_number: int) -> None:
    """Do something to the task, and see a try log the id of the job so far, which goes on, and start another.

    A target that runs one job at a time makes it wait for the old job.
    """
    [*before, job] = cell.jobs()
    by()
    own_id = list(job["ids"].values())[-1]
    cell.until(lambda: "goes on, as cancel_on_kill is off" in cell.log(try_number), "the old job is logged")
    assert own_id in cell.log(try_number)
    if cell.live.exclusive:
        cell.until(lambda: "is busy" in cell.log(try_number), "the target is busy")
        cell.succeed(job)
    cell.until(lambda: len(cell.jobs()) == len(before) + 2, "another job")


def end_all(cell: Cell) -> None:
    """Let all jobs succeed that go on."""
    for job in cell.jobs():
        if job["ended"] is None:
            cell.succeed(job)


@matrix.row("`cancel_on_kill=False`, and it, or its run, is marked failed", job=GOES_ON)
def kept_and_marked(cell: Cell, mode: str) -> None:
    """Its author has said so."""
    wanted = "TaskKilledError" if mode == "worker" else "goes on: it is not to be cancelled"
    cell.start_and_wait(mode, "keep")
    # The run first: one whose task was marked fails later, and must not be cleared before.
    cell.airflow.set_run_state(cell.dag_id, cell.run_id, "failed")
    cell.until(lambda: wanted in cell.log(), "the task is told")
    assert cell.history() == ["running"]
    starts_one_beside(cell, cell.clear, try_number=2)
    cell.until(lambda: cell.is_waited_for(2), "the second job is waited for")
    cell.mark("failed")
    cell.until(lambda: wanted in cell.log(2), "the task is told")
    assert cell.case.job_type.states[cell.statuses()[-1]].value == "running"
    assert [job["cancels"] for job in cell.jobs()] == [0, 0]


@matrix.row(
    "`cancel_on_kill=False`, and it is marked failed when it is about to be deferred",
    job=GOES_ON,
    modes=DEFERRED,
)
def kept_and_not_deferred(cell: Cell, mode: str) -> None:
    """Airflow refuses the deferral, and the process is the last to know of the job."""
    cell.start(mode, "keep_held_up_before_the_deferral")
    cell.until(lambda: "held up" in cell.log(), "the task is held up")
    process = cell.process()
    cell.mark("failed")
    cell.until(lambda: not process.is_running(), "the process ends")
    assert "Pausing task as DEFERRED" in cell.log()
    assert cell.history() == ["running"]


@matrix.row(
    "`cancel_on_kill=False`, and it is cleared while the start call is in flight",
    job=GOES_ON,
    next_try="logs that it may be running, and starts another",
    modes=BY_WORKERS,
)
def kept_and_cleared_in_the_start(cell: Cell, mode: str) -> None:
    """A kill that has to find out which job that was would be in vain, and could start it."""
    cell.in_the_start(mode, "keep", cell.clear)
    cell.until(
        lambda: "goes on, as cancel_on_kill is off" in cell.logs() or "it may be running" in cell.logs(),
        "the old job is logged",
    )
    if cell.live.exclusive:
        cell.until(lambda: "is busy" in cell.logs(), "the target is busy")
        cell.succeed(cell.jobs()[0])
    cell.until(lambda: len(cell.jobs()) == 2, "a second job")
    end_all(cell)
    cell.sees("success", try_number=2)
    assert [job["cancels"] for job in cell.jobs()] == [0, 0]


@matrix.row("`cancel_on_kill=False`, and its trigger fails", job=GOES_ON, next_try=TAKES_OVER, modes=DEFERRED)
def kept_and_trigger_fails(cell: Cell, mode: str) -> None:
    """Its author has said so."""
    cell.start(mode, "keep_with_a_trigger_that_fails")
    cell.until(lambda: "taking over" in cell.logs(), "the job is taken over")
    cell.sees("failed", try_number=2)
    assert "may go on: it is not to be cancelled with this task" in cell.logs()
    assert cell.history() == ["running"]


@matrix.row("`cancel_on_kill=False`, and `execution_timeout`", job=GOES_ON)
def kept_and_timed_out(cell: Cell, mode: str) -> None:
    """Its author has said so."""
    cell.start(mode, "keep_timeout")
    cell.sees("failed")
    assert cell.history() == ["running"]
    assert "may go on: it is not to be cancelled with this task" in cell.log()


@matrix.row(
    "`cancel_on_kill=False`, and the worker is told to end", job=GOES_ON, next_try=TAKES_OVER, modes=WORKER
)
def kept_and_told_to_end(cell: Cell, mode: str) -> None:
    """Its author has said so."""
    cell.start_and_wait(mode, "keep")
    cell.process().terminate()
    goes_on_with_the_only_job(cell)
