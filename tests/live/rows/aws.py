"""What AWS does, and what others do to the job there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.live.matrix import Matrix
from tests.live.rows.outcomes import (
    ANOTHER,
    CANCELLED,
    EVERY,
    GOES_ON,
    IN_TRIGGERERS,
    WORKER,
    is_cancelled,
    starts_another,
    succeeds_with_the_only_job,
)

if TYPE_CHECKING:
    from tests.live.cell import Cell

matrix = Matrix()


@matrix.row(
    "AWS throttles, fails, drops connections, or says that credentials have expired",
    job=GOES_ON,
    next_try="(the wait goes on)",
    modes=EVERY,
)
def trouble_while_reading(cell: Cell, mode: str) -> None:
    """None of these says anything about the job."""
    cell.start_and_wait(mode, "plain")
    # aiohttp repeats a call by itself whose connection was dropped.
    for kind, times in (("throttle", 1), ("server_error", 1), ("drop", 2), ("expired_token", 1)):
        cell.fault_readings(kind, times=times)
    cell.until(lambda: len(cell.failed(cell.readings())) >= 4, "readings fail")
    cell.until(lambda: cell.readings()[-1]["outcome"] == "ok", "the job is read again")
    cell.succeed(cell.jobs()[0])
    succeeds_with_the_only_job(cell)


@matrix.row("the same while the job is to be cancelled", job=CANCELLED)
def trouble_while_cancelling(cell: Cell, mode: str) -> None:
    """A cancel that is not certain is asked for again; a worker has 5 seconds for that."""
    if mode != "worker":
        cell.start_and_wait(mode, "plain")
        is_cancelled_in_spite_of(cell, "throttle", "server_error", "drop", "expired_token")
        return
    cell.start_and_wait("worker", "plain")
    is_cancelled_in_spite_of(cell, "throttle", "drop")
    cell.clear()
    cell.until(lambda: len(cell.jobs()) == 2, "a second job")
    is_cancelled_in_spite_of(cell, "server_error", "expired_token")
    for number in (0, 1):
        first = cell.cancels(number)[0]
        assert cell.jobs()[number]["cancel_requested"] < first["time"] + 5


def is_cancelled_in_spite_of(cell: Cell, *kinds: str) -> None:
    """Mark the task's run as failed, and see its job cancelled although cancels go wrong."""
    for kind in kinds:
        cell.fault_cancels(kind, times=1)
    # A run whose task was marked fails later, and must not be cleared before.
    cell.airflow.set_run_state(cell.dag_id, cell.run_id, "failed")
    cell.until(lambda: cell.statuses()[-1] == cell.case.cancelled, "the job is cancelled")
    assert set(cell.history()) == {"cancelled"}
    # A connection that was dropped is repeated unseen where the client is aiohttp's.
    assert len(cell.failed(cell.cancels())) == len(kinds)


@matrix.row("AWS cannot be reached for two minutes", job=GOES_ON, next_try="(the wait goes on)", is_long=True)
def outage_while_reading(cell: Cell, mode: str) -> None:
    """An outage costs no job."""
    cell.start_and_wait(mode, "plain")
    cell.fault_readings("drop", lasts=120)
    began = time.monotonic()
    cell.until(lambda: time.monotonic() - began > 120, "two minutes pass", 150)
    assert cell.failed(cell.readings())
    cell.until(lambda: cell.readings()[-1]["outcome"] == "ok", "the job is read again")
    cell.succeed(cell.jobs()[0])
    succeeds_with_the_only_job(cell)


@matrix.row(
    "it is cleared, and AWS cannot be reached for two minutes",
    job="cancelled when AWS is back",
    next_try=ANOTHER,
    is_long=True,
)
def outage_while_cancelling(cell: Cell, mode: str) -> None:
    """What the kill could not do, the next try does first."""
    cell.start_and_wait(mode, "plain")
    [job] = cell.jobs()
    cell.lose_aws(120)
    began = time.monotonic()
    cell.clear()
    cell.until(lambda: time.monotonic() - began > 120, "two minutes pass", 150)
    starts_another(cell)
    assert cell.failed(cell.cancels(0))
    assert cell.jobs()[0]["cancel_requested"] > job["created"] + 120


@matrix.row(
    "it is marked failed, and AWS cannot be reached for two minutes",
    job="cancelled when AWS is back",
    modes=IN_TRIGGERERS,
    is_long=True,
)
def outage_while_the_triggerer_cancels(cell: Cell, mode: str) -> None:
    """After a mark there is no next try: the triggerer is the last that can cancel the job.

    Airflow closes the task's log long before that is done: who reads it must learn where to read on.
    """
    cell.start_and_wait(mode, "plain")
    cell.lose_aws(120)
    began = time.monotonic()
    cell.mark("failed")
    cell.until(lambda: "it is not certain yet" in cell.log(), "the task's log says that the cancel goes on")
    cell.until(lambda: time.monotonic() - began > 120, "two minutes pass", 150)
    is_cancelled(cell)
    assert cell.failed(cell.cancels())
    ends = ("is cancelled (", "is to end; it is still ")
    cell.until(lambda: any(map(cell.triggerer_says, ends)), "the triggerer's log says how it ended")


@matrix.row(
    "it is marked failed, and AWS does not answer until Airflow kills the worker",
    job="goes on; **the log has the command to cancel it by hand**",
    modes=WORKER,
)
def outage_while_the_worker_ends(cell: Cell, mode: str) -> None:
    """Nobody is left who could cancel the job: on-call must know how."""
    cell.start_and_wait(mode, "plain")
    process = cell.process()
    # Silence; and what has waited in it does not arrive in the end.
    cell.fault_cancels("delay", delay=30, lasts=60)
    cell.fault_cancels("drop", lasts=60)
    cell.mark("failed")
    command = cell.case.job_type.cancel.cli_name
    cell.until(lambda: f"aws {cell.case.job_type.service} {command}" in cell.log(), "the command in the log")
    cell.until(lambda: not process.is_running(), "the process ends")
    assert cell.history() == ["running"]


@matrix.row(
    "somebody else cancels the job",
    job="is cancelled",
    next_try="(the task fails and says so)",
    modes=EVERY,
)
def cancelled_by_others(cell: Cell, mode: str) -> None:
    """The author must learn that it was not Airflow."""
    cell.start_and_wait(mode, "no_retry")
    cell.emulator.settle(cell.name, cell.jobs()[0]["ids"], cell.case.cancelled)
    cell.sees("failed")
    assert f"was cancelled ({cell.case.cancelled})" in cell.log()
    assert [job["cancels"] for job in cell.jobs()] == [0]


@matrix.row("somebody else deletes the job", job="is gone", next_try="(the task fails and says so)")
def deleted_by_others(cell: Cell, mode: str) -> None:
    """AWS knows nothing of it: in the first minute that may mean that it does not know it yet."""
    cell.start_and_wait(mode, "no_retry")
    cell.emulator.delete(cell.name, cell.jobs()[0]["ids"])
    cell.sees("failed")
    assert "JobNotFoundError" in cell.log()


@matrix.row(
    "a newer refresh supersedes the job (QuickSight)",
    job="has failed",
    next_try="(the task fails and says so)",
    only=lambda cell: "INGESTION_SUPERSEDED" in cell.case.job_type.failures,
)
def superseded(cell: Cell, mode: str) -> None:
    """The data are fresh all the same, but not by this task."""
    cell.start_and_wait(mode, "no_retry")
    [job] = cell.jobs()
    cell.emulator.settle(cell.name, job["ids"], "FAILED", error_type="INGESTION_SUPERSEDED")
    cell.sees("failed")
    assert "INGESTION_SUPERSEDED" in cell.log()
    assert cell.history() == ["failed"]
