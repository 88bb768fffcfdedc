"""What becomes of a job and of its task, in the words of the table and as checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.live.cells import Cell

CANCELLED = "cancelled"
GOES_ON = "goes on"
ANOTHER = "starts another, when the old one has ended"
TAKES_OVER = "takes the job over"
# The modes that a row can happen in, where these are not all.
WORKER = ("worker",)
DEFERRED = ("deferred",)
WORKERLESS = ("workerless",)
BY_WORKERS = (*WORKER, *DEFERRED)
IN_TRIGGERERS = (*DEFERRED, *WORKERLESS)


def starts_another(cell: Cell) -> None:
    """See the next try start another job, and succeed with it."""
    cell.until(lambda: len(cell.jobs()) == 2, "a second job")
    cell.succeed(cell.jobs()[1])
    cell.sees("success", try_number=2)
    assert cell.history() == ["cancelled", "succeeded"]


def is_cancelled(cell: Cell) -> None:
    """See the only job cancelled."""
    cell.until(cell.is_cancelled, "the job is cancelled")
    assert cell.history() == ["cancelled"]


def succeeds_with_the_only_job(cell: Cell) -> None:
    """See the task end with the result of the job that was started first."""
    cell.sees("success")
    assert cell.history() == ["succeeded"]
    assert cell.result()["status"] == cell.case.succeeded


def goes_on_with_the_only_job(cell: Cell) -> None:
    """See the next try take the job over, and succeed with it."""
    cell.until(lambda: "taking over" in cell.logs(), "the job is taken over")
    cell.succeed(cell.jobs()[0])
    succeeds_with_the_only_job(cell)
