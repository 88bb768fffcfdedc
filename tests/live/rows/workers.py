"""What happens to the process that runs a task."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import psutil

from tests.live.matrix import Matrix
from tests.live.rows.outcomes import (
    ANOTHER,
    BY_WORKERS,
    CANCELLED,
    DEFERRED,
    EVERY,
    GOES_ON,
    TAKES_OVER,
    WORKER,
    goes_on_with_the_only_job,
    is_cancelled,
    starts_another,
    succeeds_with_the_only_job,
)

if TYPE_CHECKING:
    from tests.live.cell import Cell

matrix = Matrix()

# Seconds that a call to AWS takes, while a kill comes: long enough to be seen on a machine that is busy.
_STUCK = 50.0


@matrix.row(
    "the worker is told to end (SIGTERM)",
    job="cancelled within the 5 s that Airflow grants",
    next_try=ANOTHER,
    modes=WORKER,
)
def worker_told_to_end(cell: Cell, mode: str) -> None:
    """A deploy, a scale-down, a spot instance that is taken away."""
    cell.start_and_wait(mode, "plain")
    process = cell.process()
    process.terminate()
    # As Airflow's supervisor does it: what is still there after 5 seconds is killed.
    psutil.wait_procs([process], 5)
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()
    ended = time.time()
    starts_another(cell)
    # By the try that was told to end, not by the next one.
    assert cell.jobs()[0]["cancel_requested"] < ended


@matrix.row(
    "it is marked failed while its worker is inside a call to AWS",
    job="cancelled within the 5 s that Airflow grants",
    modes=WORKER,
)
def mark_failed_in_a_call(cell: Cell, mode: str) -> None:
    """The main thread may hold the lock of its client, or of the connection pool.

    Airflow sends SIGTERM, and SIGKILL 5 seconds later; nobody else is there to cancel the job.
    """
    cell.start_and_wait(mode, "plain")
    cell.until(lambda: bool(cell.readings()), "the job is read")
    cell.fault_readings("delay", delay=_STUCK, times=1)
    cell.until(lambda: cell.readings()[-1]["outcome"] == "in flight", "a reading is in flight")
    stuck = cell.readings()[-1]
    cell.mark("failed")
    is_cancelled(cell)
    assert cell.jobs()[0]["cancel_requested"] < stuck["time"] + _STUCK


@matrix.row(
    "the worker is told to end while the start call is in flight",
    job=CANCELLED,
    next_try=ANOTHER,
    modes=(*BY_WORKERS, "ending"),
)
def worker_told_to_end_in_the_start(cell: Cell, mode: str) -> None:
    """Where only the answer tells the job's id, it is not known yet."""
    cell.in_the_start(mode, "plain", lambda: cell.process().terminate())
    starts_another(cell)


@matrix.row("it is marked failed while the start call is in flight", job=CANCELLED, modes=EVERY)
def mark_failed_in_the_start(cell: Cell, mode: str) -> None:
    """No next try will look for the job, and Airflow keeps no record of this one any more."""
    cell.in_the_start(mode, "plain", lambda: cell.mark("failed"))
    is_cancelled(cell)


@matrix.row("it is cleared while the start call is in flight", job=CANCELLED, next_try=ANOTHER, modes=EVERY)
def clear_in_the_start(cell: Cell, mode: str) -> None:
    """The job cannot be recorded when the answer comes: Airflow has forgotten the try."""
    cell.in_the_start(mode, "plain", cell.clear)
    starts_another(cell)


@matrix.row("Airflow refuses to record the job after its start", job=CANCELLED, next_try=ANOTHER)
def record_refused(cell: Cell, mode: str) -> None:
    """A job that no later try could find must end with the try that knows of it."""
    cell.start(mode, "refused_its_record")
    starts_another(cell)
    words = "the task has failed" if mode == "workerless" else "Task failed with exception"
    before_the_failure, failed, _ = cell.log().partition(words)
    assert failed
    assert "is to end" in before_the_failure or "is cancelled" in before_the_failure


@matrix.row(
    "the worker dies (SIGKILL) before the start call, before or after it has recorded that it will make it",
    job="is not started",
    next_try="starts it",
    modes=BY_WORKERS,
)
def worker_dies_before_the_start(cell: Cell, mode: str) -> None:
    """Nothing is there to be taken over, though the second try has left word of a job."""
    cell.start(mode, "held_up_before_the_start")
    for number, where in enumerate(("before the record", "before the call"), start=1):
        cell.until(lambda number=number, where=where: f"held up {where}" in cell.log(number), where)  # type: ignore[misc]
        cell.process().kill()
    cell.until(lambda: bool(cell.jobs()), "a job")
    cell.succeed(cell.jobs()[0])
    succeeds_with_the_only_job(cell)


@matrix.row(
    "the worker dies during the start call",
    job=GOES_ON,
    next_try=TAKES_OVER,
    modes=(*BY_WORKERS, "ending"),
)
def worker_dies_in_the_start(cell: Cell, mode: str) -> None:
    """The answer reaches nobody."""
    cell.in_the_start(mode, "plain", lambda: cell.process().kill())
    goes_on_with_the_only_job(cell)


@matrix.row(
    "the worker dies during the start call, and the job succeeds meanwhile",
    job="has succeeded",
    next_try="returns its result",
    modes=BY_WORKERS,
)
def worker_dies_in_the_start_and_the_job_succeeds(cell: Cell, mode: str) -> None:
    """What is over by the time that somebody looks is this task's all the same."""
    cell.in_the_start(mode, "paused", lambda: cell.process().kill())
    # A paused DAG's tasks are not tried again.
    with cell.paused():
        cell.until(lambda: bool(cell.jobs()), "a job")
        cell.succeed(cell.jobs()[0])
        cell.until(lambda: cell.history() == ["succeeded"], "it is over")
    succeeds_with_the_only_job(cell)


@matrix.row(
    "the worker dies after the start, before it has recorded it",
    job=GOES_ON,
    next_try=TAKES_OVER,
    modes=BY_WORKERS,
)
def worker_dies_after_the_start(cell: Cell, mode: str) -> None:
    """The job runs, and nothing in Airflow names it but the intent to start it."""
    cell.start(mode, "held_up_after_the_start")
    cell.until(lambda: bool(cell.jobs()), "a job")
    cell.process().kill()
    goes_on_with_the_only_job(cell)


@matrix.row(
    "the worker dies when its task is about to be deferred", job=GOES_ON, next_try=TAKES_OVER, modes=DEFERRED
)
def worker_dies_before_the_deferral(cell: Cell, mode: str) -> None:
    """Its job is recorded, and no triggerer knows of it."""
    cell.start(mode, "held_up_before_the_deferral")
    cell.until(lambda: "held up" in cell.log(), "the task is held up")
    cell.process().kill()
    goes_on_with_the_only_job(cell)


@matrix.row("it is marked failed when it is about to be deferred", job=CANCELLED, modes=DEFERRED)
def mark_failed_before_the_deferral(cell: Cell, mode: str) -> None:
    """Airflow refuses the deferral, and no triggerer ever hears of the job."""
    cell.start(mode, "held_up_before_the_deferral")
    cell.until(lambda: "held up" in cell.log(), "the task is held up")
    cell.mark("failed")
    is_cancelled(cell)
    assert "Pausing task as DEFERRED" in cell.log()


@matrix.row("the worker dies while it waits", job=GOES_ON, next_try=TAKES_OVER, modes=WORKER)
def worker_dies(cell: Cell, mode: str) -> None:
    """The job has done half of its work."""
    cell.start_and_wait(mode, "plain")
    cell.process().kill()
    goes_on_with_the_only_job(cell)


@matrix.row(
    "`durable=False`, and the worker dies while it waits",
    job="cancelled by the next try",
    next_try=ANOTHER,
    modes=WORKER,
)
def worker_dies_and_the_job_is_not_wanted(cell: Cell, mode: str) -> None:
    """A job that must see what is there now is of no use to a later try."""
    cell.start_and_wait(mode, "not_durable")
    cell.process().kill()
    starts_another(cell)


@matrix.row(
    "the worker dies, and the job succeeds meanwhile",
    job="has succeeded",
    next_try="returns its result",
    modes=WORKER,
)
def worker_dies_and_the_job_succeeds(cell: Cell, mode: str) -> None:
    """A refresh that costs an hour, or a day's quota, is not made twice."""
    cell.start_and_wait(mode, "plain")
    process = cell.process()
    process.suspend()
    cell.succeed(cell.jobs()[0])
    process.kill()
    succeeds_with_the_only_job(cell)


@matrix.row(
    "the worker dies, and the job fails meanwhile", job="has failed", next_try="starts another", modes=WORKER
)
def worker_dies_and_the_job_fails(cell: Cell, mode: str) -> None:
    """A dead job is not worth taking over."""
    cell.start_and_wait(mode, "plain")
    process = cell.process()
    process.suspend()
    cell.fail(cell.jobs()[0])
    process.kill()
    cell.until(lambda: len(cell.jobs()) == 2, "a second job")
    cell.succeed(cell.jobs()[1])
    cell.sees("success")
    assert cell.history() == ["failed", "succeeded"]


@matrix.row(
    "the worker dies, or Airflow fails the task, after its job has succeeded",
    job="has succeeded",
    next_try="returns its result",
    modes=BY_WORKERS,
)
def worker_dies_at_the_end(cell: Cell, mode: str) -> None:
    """As when Airflow fails a deferred task that resumed quickly (apache/airflow#72716, #71580)."""
    cell.start(mode, "held_up_at_the_end")
    cell.until(lambda: bool(cell.jobs()), "a job")
    cell.succeed(cell.jobs()[0])
    cell.until(lambda: "held up" in cell.log(), "the task is held up")
    cell.process().kill()
    succeeds_with_the_only_job(cell)
