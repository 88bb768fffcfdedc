"""What becomes of a job and of its task, in the words of the table and as checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.live.modes import HALVES, MATRIX

if TYPE_CHECKING:
    from tests.live.cell import Cell
    from tests.live.rest import Json

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
# ... with those between them, and all of them.
BY_TRIGGERERS = (*IN_TRIGGERERS, *HALVES)
EVERY = (*MATRIX, *HALVES)


def starts_another(cell: Cell) -> None:
    """See the next try start another job, and succeed with it."""
    cell.until(lambda: len(cell.jobs()) == 2, "a second job")
    cell.succeed(cell.jobs()[1])
    cell.sees("success", try_number=2)
    assert cell.history() == ["cancelled", "succeeded"]
    returns(cell, cell.jobs()[1])


def is_cancelled(cell: Cell) -> None:
    """See the only job cancelled."""
    cell.until(cell.is_cancelled, "the job is cancelled")
    assert cell.history() == ["cancelled"]


def succeeds_with_the_only_job(cell: Cell) -> None:
    """See the task end with the result of the job that was started first."""
    cell.sees("success")
    assert cell.history() == ["succeeded"]
    returns(cell, cell.jobs()[0])


def returns(cell: Cell, job: Json) -> None:
    """Check that the task has returned this job's result, and no other's."""
    result = cell.result()
    assert result["status"] == cell.case.succeeded
    assert list(job["ids"].values())[-1] in result.values()


def goes_on_with_the_only_job(cell: Cell) -> None:
    """See the next try take the job over, and succeed with it."""
    cell.until(lambda: "taking over" in cell.logs(), "the job is taken over")
    cell.succeed(cell.jobs()[0])
    succeeds_with_the_only_job(cell)


def finish(cell: Cell) -> None:
    """Let the only job succeed, and see the task end with it."""
    cell.succeed(cell.jobs()[0])
    cell.sees("success")
    is_untouched(cell)


def is_untouched(cell: Cell) -> None:
    """Check that one job was started, succeeded, and that nothing asked for its end before.

    It may be asked to end when it has: Airflow can tell a triggerer that hung of a kill after the event.
    """
    [job] = cell.jobs()
    assert (job["status"], job["cancel_requested"]) == (cell.case.succeeded, None)


def has_ended_once(cell: Cell) -> None:
    """Check that one event, and no more, was delivered to the task, in its only try."""
    # What starts in the triggerer does not begin in a worker, and what ends there does not resume.
    resumes = {"deferred": 1, "workerless": -1}.get(cell.mode, 0)
    assert (len(cell.tries()), cell.resumes()) == (1, resumes)
