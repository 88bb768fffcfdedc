"""Whatever happens to a task: its job never outlives it, and is never started twice.

Each scenario is a row of the table in the README, for every job type in worker and deferred mode, by real
Airflow processes and real HTTP. The emulator's jobs and journal are the judge: ``Cell.history`` fails where
two jobs of a task ran at once, and where a job was asked to end that was wanted.
"""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, cast

import pytest

from tests.live.matrix import BOTH, Matrix, Row, Wave

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.live.cells import Cell, Cells

matrix = Matrix()

CANCELLED = "cancelled"
GOES_ON = "goes on"
ANOTHER = "starts another, when the old one has ended"
TAKES_OVER = "takes the job over"
WORKER = ("worker",)
DEFERRED = ("deferred",)


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


# People


@matrix.row("the task is cleared", job=CANCELLED, next_try=ANOTHER)
def clear_task(cell: Cell, mode: str) -> None:
    """The task itself, alone."""
    cell.start_and_wait(f"{mode}_plain")
    cell.clear()
    starts_another(cell)


@matrix.row("it is cleared with what comes after it", job=CANCELLED, next_try=ANOTHER)
def clear_from_upstream(cell: Cell, mode: str) -> None:
    """From a task before it, downstream."""
    cell.start_and_wait(f"{mode}_plain")
    cell.airflow.clear(cell.dag_id, cell.run_id, ["before"], include_downstream=True)
    starts_another(cell)


@matrix.row("its run is cleared", job=CANCELLED, next_try=ANOTHER)
def clear_run(cell: Cell, mode: str) -> None:
    """All tasks of the run."""
    cell.start_and_wait(f"{mode}_plain")
    cell.airflow.clear_run(cell.dag_id, cell.run_id)
    starts_another(cell)


@matrix.row(
    "it is cleared while the DAG is paused", job="cancelled, at the latest by the next try", next_try=ANOTHER
)
def clear_while_paused(cell: Cell, mode: str) -> None:
    """Airflow tells a trigger of the kill only when the DAG is unpaused."""
    cell.start_and_wait(f"{mode}_paused")
    cell.airflow.pause(cell.dag_id)
    try:
        cell.clear()
        cell.until(lambda: cell.state() not in {"running", "deferred"}, "the task is cleared")
        assert len(cell.jobs()) == 1
    finally:
        cell.airflow.pause(cell.dag_id, paused=False)
    starts_another(cell)


@matrix.row("it is marked failed", job=CANCELLED)
def mark_failed(cell: Cell, mode: str) -> None:
    """Nobody waits any more."""
    cell.start_and_wait(f"{mode}_plain")
    cell.mark("failed")
    is_cancelled(cell)


@matrix.row("it is marked success", job=CANCELLED)
def mark_success(cell: Cell, mode: str) -> None:
    """Nobody waits any more."""
    cell.start_and_wait(f"{mode}_plain")
    cell.mark("success")
    is_cancelled(cell)


@matrix.row("it is marked skipped", job=CANCELLED)
def mark_skipped(cell: Cell, mode: str) -> None:
    """Nobody waits any more."""
    cell.start_and_wait(f"{mode}_plain")
    cell.mark("skipped")
    is_cancelled(cell)


@matrix.row("its run is marked failed", job=CANCELLED)
def run_failed(cell: Cell, mode: str) -> None:
    """Nobody waits any more."""
    cell.start_and_wait(f"{mode}_plain")
    cell.airflow.set_run_state(cell.dag_id, cell.run_id, "failed")
    is_cancelled(cell)


@matrix.row("its run is marked success", job=CANCELLED)
def run_succeeded(cell: Cell, mode: str) -> None:
    """Nobody waits any more."""
    cell.start_and_wait(f"{mode}_plain")
    cell.airflow.set_run_state(cell.dag_id, cell.run_id, "success")
    is_cancelled(cell)


@matrix.row("the task instance is deleted", job=CANCELLED, next_try=ANOTHER)
def task_instance_deleted(cell: Cell, mode: str) -> None:
    """In a run that has no other, the scheduler makes it anew at once, and counts its tries anew."""
    cell.start_and_wait(f"{mode}_alone")
    cell.airflow.delete_task_instance(cell.dag_id, cell.run_id, "job")
    cell.until(lambda: len(cell.jobs()) == 2, "a second job")
    cell.succeed(cell.jobs()[1])
    cell.sees("success")
    assert cell.history() == ["cancelled", "succeeded"]


@matrix.row("the task is taken out of the DAG's file", job=CANCELLED)
def task_removed(cell: Cell, mode: str) -> None:
    """Airflow marks what runs as removed."""
    cell.add_dag(mode)
    cell.start_and_wait(f"{mode}_{cell.target}")
    cell.add_dag(None)
    is_cancelled(cell)


# Time


@matrix.row("`execution_timeout`", job=CANCELLED, next_try="as `retries` say")
def execution_timeout(cell: Cell, mode: str) -> None:
    """Airflow itself does not enforce it while a task is deferred."""
    cell.start_and_wait(f"{mode}_timeout")
    cell.sees("failed")
    is_cancelled(cell)
    assert "AirflowTaskTimeout" in cell.log()


@matrix.row("`dagrun_timeout` of its run", job=CANCELLED)
def dagrun_timeout(cell: Cell, mode: str) -> None:
    """Airflow skips what is unfinished."""
    cell.start_and_wait(f"{mode}_run_timeout")
    is_cancelled(cell)


@matrix.row("its trigger fails", job=CANCELLED, next_try=ANOTHER, modes=DEFERRED)
def trigger_fails(cell: Cell, mode: str) -> None:
    """Airflow calls no on_kill, and drops what was given to defer."""
    cell.start(f"{mode}_with_a_trigger_that_fails")
    cell.until(lambda: len(cell.jobs()) == 2, "a second job")
    cell.until(lambda: cell.statuses() == [cell.case.cancelled] * 2, "both jobs are cancelled")
    cell.sees("failed")
    assert cell.history() == ["cancelled", "cancelled"]


# Workers


@matrix.row(
    "the worker is told to end (SIGTERM)",
    job="cancelled within the 5 s that Airflow grants",
    next_try=ANOTHER,
    modes=WORKER,
)
def worker_told_to_end(cell: Cell, mode: str) -> None:
    """A deploy, a scale-down, a spot instance that is taken away."""
    cell.start_and_wait(f"{mode}_plain")
    cell.process().terminate()
    starts_another(cell)


@matrix.row(
    "the same, inside a call to AWS",
    job="cancelled within the 5 s that Airflow grants",
    next_try=ANOTHER,
    modes=WORKER,
)
def worker_told_to_end_in_a_call(cell: Cell, mode: str) -> None:
    """The main thread may hold the lock of its client, or of the connection pool."""
    cell.start_and_wait(f"{mode}_plain")
    cell.until(lambda: bool(cell.readings()), "the job is read")
    cell.fault_readings("delay", delay=20, times=1)
    cell.until(lambda: cell.readings()[-1]["outcome"] == "in flight", "a reading is in flight")
    stuck = cell.readings()[-1]
    cell.process().terminate()
    starts_another(cell)
    assert cell.jobs()[0]["cancel_requested"] < stuck["time"] + 20


@matrix.row(
    "the same, while the start call is in flight",
    job="cancelled within the 5 s that Airflow grants",
    next_try=ANOTHER,
    modes=BOTH,
)
def worker_told_to_end_in_the_start(cell: Cell, mode: str) -> None:
    """Where only the answer tells the job's id, it is not known yet."""
    cell.start_slowly(f"{mode}_plain")
    cell.process().terminate()
    starts_another(cell)


@matrix.row("it is marked failed while the start call is in flight", job=CANCELLED)
def mark_failed_in_the_start(cell: Cell, mode: str) -> None:
    """No next try will look for the job, and Airflow keeps no record of this one any more."""
    cell.start_slowly(f"{mode}_plain")
    cell.mark("failed")
    is_cancelled(cell)


@matrix.row("it is cleared while the start call is in flight", job=CANCELLED, next_try=ANOTHER)
def clear_in_the_start(cell: Cell, mode: str) -> None:
    """The job cannot be recorded when the answer comes: Airflow has forgotten the try."""
    cell.start_slowly(f"{mode}_plain")
    cell.clear()
    starts_another(cell)


@matrix.row("the worker dies (SIGKILL) before the start call", job="is not started", next_try="starts it")
def worker_dies_before_the_start(cell: Cell, mode: str) -> None:
    """Nothing is there to be taken over."""
    cell.start(f"{mode}_held_up_before_the_start")
    cell.until(lambda: "held up" in cell.log(), "the task is held up")
    cell.process().kill()
    cell.until(lambda: bool(cell.jobs()), "a job")
    cell.succeed(cell.jobs()[0])
    succeeds_with_the_only_job(cell)


@matrix.row("the worker dies during the start call", job=GOES_ON, next_try=TAKES_OVER)
def worker_dies_in_the_start(cell: Cell, mode: str) -> None:
    """The answer reaches nobody."""
    cell.start_slowly(f"{mode}_plain")
    cell.process().kill()
    goes_on_with_the_only_job(cell)


@matrix.row("the worker dies after the start, before it has recorded it", job=GOES_ON, next_try=TAKES_OVER)
def worker_dies_after_the_start(cell: Cell, mode: str) -> None:
    """The job runs, and nothing in Airflow names it but the intent to start it."""
    cell.start(f"{mode}_held_up_after_the_start")
    cell.until(lambda: bool(cell.jobs()), "a job")
    cell.process().kill()
    goes_on_with_the_only_job(cell)


@matrix.row("the worker dies while it waits", job=GOES_ON, next_try=TAKES_OVER, modes=WORKER)
def worker_dies(cell: Cell, mode: str) -> None:
    """The job has done half of its work."""
    cell.start_and_wait(f"{mode}_plain")
    cell.process().kill()
    goes_on_with_the_only_job(cell)


def goes_on_with_the_only_job(cell: Cell) -> None:
    """See the next try take the job over, and succeed with it."""
    cell.until(lambda: "taking over" in cell.log(2), "the job is taken over")
    cell.succeed(cell.jobs()[0])
    succeeds_with_the_only_job(cell)


@matrix.row(
    "the worker dies, and the job succeeds meanwhile",
    job="has succeeded",
    next_try="returns its result",
    modes=WORKER,
)
def worker_dies_and_the_job_succeeds(cell: Cell, mode: str) -> None:
    """A refresh that costs an hour, or a day's quota, is not made twice."""
    cell.start_and_wait(f"{mode}_plain")
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
    cell.start_and_wait(f"{mode}_plain")
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
)
def worker_dies_at_the_end(cell: Cell, mode: str) -> None:
    """As when Airflow fails a deferred task that resumed quickly (apache/airflow#72716, #71580)."""
    cell.start(f"{mode}_held_up_at_the_end")
    cell.until(lambda: bool(cell.jobs()), "a job")
    cell.succeed(cell.jobs()[0])
    cell.until(lambda: "held up" in cell.log(), "the task is held up")
    cell.process().kill()
    succeeds_with_the_only_job(cell)


# AWS


@matrix.row(
    "AWS throttles, fails, drops connections, or says that credentials have expired",
    job=GOES_ON,
    next_try="(the wait goes on)",
)
def trouble_while_reading(cell: Cell, mode: str) -> None:
    """None of these says anything about the job."""
    cell.start_and_wait(f"{mode}_plain")
    # aiohttp repeats a call by itself whose connection was dropped.
    for kind, times in (("throttle", 1), ("server_error", 1), ("drop", 2), ("expired_token", 1)):
        cell.fault_readings(kind, times=times)
    cell.until(lambda: len(cell.failed(cell.readings())) >= 4, "readings fail")
    cell.until(lambda: cell.readings()[-1]["outcome"] == "ok", "the job is read again")
    cell.succeed(cell.jobs()[0])
    succeeds_with_the_only_job(cell)


@matrix.row("the same while the job is to be cancelled", job=CANCELLED, modes=DEFERRED)
def trouble_while_cancelling(cell: Cell, mode: str) -> None:
    """A cancel that is not certain is asked for again."""
    cell.start_and_wait(f"{mode}_plain")
    for kind in ("throttle", "server_error", "drop", "expired_token"):
        cell.fault_cancels(kind, times=2)
    cell.mark("failed")
    is_cancelled(cell)
    assert len(cell.failed(cell.cancels())) >= 4


@matrix.row("AWS cannot be reached for two minutes", job=GOES_ON, next_try="(the wait goes on)")
def outage_while_reading(cell: Cell, mode: str) -> None:
    """An outage costs no job."""
    cell.start_and_wait(f"{mode}_plain")
    cell.fault_readings("drop", lasts=120)
    began = time.monotonic()
    cell.until(lambda: time.monotonic() - began > 120, "two minutes pass", 150)
    assert cell.failed(cell.readings())
    cell.until(lambda: cell.readings()[-1]["outcome"] == "ok", "the job is read again")
    cell.succeed(cell.jobs()[0])
    succeeds_with_the_only_job(cell)


@matrix.row("it is cleared while AWS cannot be reached", job="cancelled when AWS is back", next_try=ANOTHER)
def outage_while_cancelling(cell: Cell, mode: str) -> None:
    """What the kill could not do, the next try does first."""
    cell.start_and_wait(f"{mode}_plain")
    cell.fault_cancels("drop", lasts=30)
    cell.clear()
    starts_another(cell)
    assert cell.failed(cell.cancels(0))


@matrix.row(
    "it is marked failed, and AWS does not answer until Airflow kills the worker",
    job="goes on; **the log has the command to cancel it by hand**",
    modes=WORKER,
)
def outage_while_the_worker_ends(cell: Cell, mode: str) -> None:
    """Nobody is left who could cancel the job: on-call must know how."""
    cell.start_and_wait(f"{mode}_plain")
    cell.fault_cancels("drop", lasts=30)
    cell.mark("failed")
    command = cell.case.job_type.cancel.cli_name
    cell.until(lambda: f"aws {cell.case.job_type.service} {command}" in cell.log(), "the command in the log")
    assert cell.history() == ["running"]


@matrix.row("somebody else cancels the job", job="is cancelled", next_try="(the task fails and says so)")
def cancelled_by_others(cell: Cell, mode: str) -> None:
    """The author must learn that it was not Airflow."""
    cell.start_and_wait(f"{mode}_no_retry")
    cell.emulator.settle(cell.name, cell.jobs()[0]["ids"], cell.case.cancelled)
    cell.sees("failed")
    assert f"was cancelled ({cell.case.cancelled})" in cell.log()
    assert [job["cancels"] for job in cell.jobs()] == [0]


@matrix.row("somebody else deletes the job", job="is gone", next_try="(the task fails and says so)")
def deleted_by_others(cell: Cell, mode: str) -> None:
    """AWS knows nothing of it: in the first minute that may mean that it does not know it yet."""
    cell.start_and_wait(f"{mode}_no_retry")
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
    cell.start_and_wait(f"{mode}_no_retry")
    [job] = cell.jobs()
    cell.emulator.settle(cell.name, job["ids"], "FAILED", error_type="INGESTION_SUPERSEDED")
    cell.sees("failed")
    assert "INGESTION_SUPERSEDED" in cell.log()
    assert cell.history() == ["failed"]


# Options


@matrix.row(
    "`cancel_on_kill=False`, and it is cleared",
    job=GOES_ON,
    next_try="logs the old job's id and starts another",
)
def kept_and_cleared(cell: Cell, mode: str) -> None:
    """A target that runs one job at a time makes the new try wait for the old job."""
    cell.start_and_wait(f"{mode}_keep")
    [job] = cell.jobs()
    cell.clear()
    own_id = list(job["ids"].values())[-1]
    cell.until(lambda: "goes on, as cancel_on_kill is off" in cell.log(2), "the old job is logged")
    assert own_id in cell.log(2)
    if cell.live.exclusive:
        cell.until(lambda: "is busy" in cell.log(2), "the target is busy")
        cell.succeed(job)
    cell.until(lambda: len(cell.jobs()) == 2, "a second job")
    for job in cell.jobs():
        if job["ended"] is None:
            cell.succeed(job)
    cell.sees("success", try_number=2)
    assert [job["cancels"] for job in cell.jobs()] == [0, 0]


@matrix.row("`cancel_on_kill=False`, and it is marked failed", job=GOES_ON)
def kept_and_marked(cell: Cell, mode: str) -> None:
    """Its author has said so."""
    cell.start_and_wait(f"{mode}_keep")
    cell.mark("failed")
    wanted = "TaskKilledError" if mode == "worker" else "goes on: it is not to be cancelled"
    cell.until(lambda: wanted in cell.log(), "the task is told")
    assert cell.history() == ["running"]


@matrix.row("`cancel_on_kill=False`, and `execution_timeout`", job=GOES_ON)
def kept_and_timed_out(cell: Cell, mode: str) -> None:
    """Its author has said so."""
    cell.start_and_wait(f"{mode}_keep_timeout")
    cell.sees("failed")
    assert cell.history() == ["running"]


@matrix.row(
    "`cancel_on_kill=False`, and the worker is told to end", job=GOES_ON, next_try=TAKES_OVER, modes=WORKER
)
def kept_and_told_to_end(cell: Cell, mode: str) -> None:
    """Its author has said so."""
    cell.start_and_wait(f"{mode}_keep")
    cell.process().terminate()
    goes_on_with_the_only_job(cell)


@matrix.row(
    "a task with `wait_for_completion=False` has succeeded, and is cleared with the sensor that waits",
    job=CANCELLED,
    next_try=ANOTHER,
)
def start_and_sensor_cleared(cell: Cell, mode: str) -> None:
    """The record of a start outlives its task, as the job does."""
    cell.start(f"{mode}_with_sensor")
    cell.sees("success")
    cell.sees("deferred" if mode == "deferred" else "running", task_id="wait")
    cell.airflow.clear(cell.dag_id, cell.run_id, ["job"], include_downstream=True)
    cell.until(lambda: len(cell.jobs()) == 2, "a second job")
    cell.succeed(cell.jobs()[1])
    cell.sees("success", task_id="wait")
    assert cell.history() == ["cancelled", "succeeded"]


@matrix.row("a sensor that waits for it is cleared", job=GOES_ON, next_try="waits for it again")
def sensor_cleared(cell: Cell, mode: str) -> None:
    """A sensor cancels nothing."""
    cell.start(f"{mode}_with_sensor")
    cell.sees("success")
    cell.sees("deferred" if mode == "deferred" else "running", task_id="wait")
    cell.airflow.clear(cell.dag_id, cell.run_id, ["wait"])
    cell.until(lambda: bool(cell.log(2, "wait")), "the next try of the sensor")
    cell.succeed(cell.jobs()[0])
    cell.sees("success", task_id="wait")
    assert cell.history() == ["succeeded"]


@pytest.fixture(scope="module")
def wave(request: pytest.FixtureRequest, module_cells: Cells) -> Iterator[Wave]:
    """All rows that this session wants, side by side."""
    wanted = [
        cast("tuple[Row, str]", (item.callspec.params["row"], item.callspec.params["mode"]))
        for item in request.session.items
        if isinstance(item, pytest.Function) and getattr(item, "originalname", "") == test_row.__name__
    ]
    # Long enough for the next try to be there before the old job has ended.
    module_cells.configure(duration=900, cancel_delay=4)
    wave = Wave(module_cells.all, wanted, request.config.getoption("--times", default=1))
    yield wave
    wave.end()


@matrix.parametrize()
def test_row(wave: Wave, row: Row, mode: str, record_property: Callable[[str, object], None]) -> None:
    """A row of the kill matrix, for all job types."""
    record_property("job_types", wave.check(row, mode))


# What stops all of Airflow's waits at once comes after the rest.


@pytest.mark.kill_matrix(
    event="it is cleared while no triggerer runs",
    job="cancelled, at the latest by the next try",
    next_try=ANOTHER,
    modes=DEFERRED,
)
def test_clear_without_a_triggerer(cells: Cells) -> None:
    """With no triggerer alive nobody is told of a clear."""

    def starts_a_second(cell: Cell) -> None:
        cell.clear()
        cell.until(lambda: len(cell.jobs()) == 2, "a second job")

    def succeeds(cell: Cell) -> None:
        cell.succeed(cell.jobs()[1])
        cell.sees("success", try_number=2)
        assert cell.history() == ["cancelled", "succeeded"]

    # A try that has to wait for the old job's end would defer, and nobody is there to wake it.
    cells.configure(duration=900)
    cells.each(lambda cell: cell.start_and_wait("deferred_plain"))
    cells.airflow.kill("triggerer", signal.SIGKILL, whole=True)
    try:
        cells.each(starts_a_second)
    finally:
        cells.airflow.restart("triggerer", signal.SIGKILL)
    cells.each(succeeds)


@pytest.mark.kill_matrix(
    event="the triggerer is told to end, or dies, and is started again",
    job=GOES_ON,
    next_try="(the wait goes on)",
    modes=DEFERRED,
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_triggerer_restart(cells: Cells, number: signal.Signals) -> None:
    """A deploy of the triggerer must neither lose a wait nor cancel a job."""

    def goes_on(cell: Cell) -> None:
        cell.succeed(cell.jobs()[0])
        succeeds_with_the_only_job(cell)

    cells.configure(duration=900)
    cells.each(lambda cell: cell.start_and_wait("deferred_plain"))
    cells.airflow.restart("triggerer", number)
    cells.each(goes_on)


@pytest.mark.kill_matrix(event="its DAG is deleted", job=CANCELLED, modes=DEFERRED)
def test_dag_deleted(cells: Cells) -> None:
    """Airflow refuses it while one of its tasks is in a worker."""
    cells.configure(duration=900)
    cells.each(lambda cell: cell.start_and_wait("deferred_paused"))
    # The scheduler of Airflow 3.3 may die of it (ObjectDeletedError).
    cells.airflow.expect_ends()
    cells.each(lambda cell: cell.airflow.delete_dag(cell.dag_id))
    cells.each(is_cancelled)
    cells.airflow.revive()
