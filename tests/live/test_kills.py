"""Airflow's own processes end, or are ended, while tasks of all job types wait for their jobs."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.live.cells import Cell, Cells


def test_clear_without_a_triggerer(cells: Cells) -> None:
    """With no triggerer alive nobody is told of a clear: the next try must find the old job and end it."""

    def starts_anew(cell: Cell) -> None:
        cell.clear()
        cell.until(lambda: len(cell.jobs()) == 2, "a second job", 90)
        first, second = cell.jobs()
        assert first["status"] == cell.case.cancelled
        assert first["ended"] <= second["created"]

    def succeeds(cell: Cell) -> None:
        cell.succeed(cell.jobs()[1])
        cell.sees("success")

    cells.configure(duration=600)
    cells.each(lambda cell: cell.start_and_wait("deferred"))
    cells.airflow.kill("triggerer", signal.SIGKILL, whole=True)
    try:
        cells.each(starts_anew)
    finally:
        cells.airflow.restart("triggerer", signal.SIGKILL)
    cells.each(succeeds)


def test_worker_told_to_end(cells: Cells) -> None:
    """A worker that is drained has five seconds: its job must end, and the retry starts another."""

    def starts_anew(cell: Cell) -> None:
        cell.start_and_wait("worker")
        cell.process().terminate()
        cell.until(lambda: len(cell.jobs()) == 2, "a second job")
        first, second = cell.jobs()
        assert first["status"] == cell.case.cancelled
        assert first["ended"] <= second["created"]
        cell.succeed(second)
        cell.ends()

    cells.configure(duration=600)
    cells.each(starts_anew)


def test_worker_killed(cells: Cells) -> None:
    """A worker that dies must not cost a second job: the retry takes the running one over."""

    def takes_over(cell: Cell) -> None:
        cell.start_and_wait("worker")
        cell.process().kill()
        cell.until(lambda: "taking over" in cell.log(2), "the job is taken over")
        [job] = cell.jobs()
        cell.succeed(job)
        cell.ends()
        [job] = cell.jobs()
        assert job["cancels"] == 0

    cells.configure(duration=600)
    cells.each(takes_over)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_triggerer_restart(cells: Cells, number: signal.Signals) -> None:
    """A deploy of the triggerer must neither lose a wait nor cancel a job."""

    def goes_on(cell: Cell) -> None:
        [job] = cell.jobs()
        assert job["ended"] is None
        cell.succeed(job)
        cell.sees("success")
        [job] = cell.jobs()
        assert job["cancels"] == 0

    cells.configure(duration=600)
    cells.each(lambda cell: cell.start_and_wait("deferred"))
    cells.airflow.restart("triggerer", number)
    cells.each(goes_on)
