"""Airflow on PostgreSQL and with two triggerers, and what fails where it runs like that."""

from __future__ import annotations

import signal
import time
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.live.airflow import LocalAirflow, aws_connection
from tests.live.job_types import IMPORTS
from tests.live.looks import PAUSE
from tests.live.modes import MATRIX
from tests.live.postgres import PostgresServer
from tests.live.rows.outcomes import BY_TRIGGERERS, DEFERRED, finish, has_ended_once, is_untouched
from tests.live.triggerers import defer_on_the_first, freeze, has_moved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_jobs_provider.testing import EmulatorClient
    from tests.live.cell import Cell
    from tests.live.cells import Cells

ENV = {
    # Airflow's defaults, which the harness makes shorter for the other tests: with them Airflow now and then
    # fails tasks that resume quickly (apache/airflow#72716).
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "5",
    "AIRFLOW__WORKERS__SOCKET_CLEANUP_TIMEOUT": "60",
    # After three (about 40 seconds) Airflow ends a task itself, and so its job: an API server needs longer to
    # start on a busy machine.
    "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "30",
}
# Seconds without a metadata database.
OUTAGE = 20.0


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """A server of this module's own, to be shut down."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="module")
def airflow(emulator: EmulatorClient, postgres: PostgresServer) -> Iterator[LocalAirflow]:
    """An Airflow of this module's own."""
    with LocalAirflow(
        dags=Path(__file__).parent / "dags",
        connections={"aws_default": aws_connection(emulator.url)},
        env=ENV,
        triggerers=2,
        database=postgres.url,
        preload=IMPORTS,
    ) as airflow:
        airflow.look_every = PAUSE
        yield airflow


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Tell what was measured, whatever pytest makes of the output of tests."""

    def tell(what: str) -> None:
        with capsys.disabled():
            print(f"\n{what}")  # noqa: T201

    return tell


def kill(airflow: LocalAirflow, *names: str) -> None:
    """Kill components with all that runs in them."""
    for name in names:
        airflow.kill(name, signal.SIGKILL, whole=True)
        airflow.components[name].wait(10)


def goes_on(cell: Cell) -> None:
    """See the job read, and read again."""
    seen = len(cell.readings() + cell.lists())
    cell.until(lambda: len(cell.readings() + cell.lists()) > seen + 1, "the job is read")
    assert cell.history() == ["running"]
    assert len(cell.tries()) == 1


@pytest.mark.kill_matrix(
    event="its triggerer hangs until another one has taken the trigger, and then wakes",
    job="goes on",
    next_try="(the wait goes on)",
    modes=BY_TRIGGERERS,
)
def test_frozen_triggerer(cells: Cells, postgres: PostgresServer) -> None:
    """A triggerer that hung for a while must harm no job that another one waits for when it wakes."""
    airflow = cells.airflow
    # Airflow tells the states of mapped tasks by another key: whether this one still waits is asked by it.
    starts = (("deferred", "mapped"), *((mode, "") for mode in BY_TRIGGERERS), ("deferred", ""))
    *those, others = defer_on_the_first(cells, postgres, *starts)
    late = list(chain(*those))
    early, cleared = others[::2], others[1::2]
    try:
        has_moved(cells, late + others, lambda: freeze(cells, postgres, "triggerer"))
        cells.each(finish, early)
    finally:
        airflow.kill("triggerer", signal.SIGCONT, whole=True)

    def is_left_alone(cell: Cell) -> None:
        told = "is waited for by another triggerer: not cancelled"
        cell.until(lambda: told in cell.log(), "the woken triggerer lets the job go on", 150)

    def starts_anew(cell: Cell) -> None:
        cell.clear()
        cell.until(lambda: len(cell.jobs()) == 2, "a second job")
        first, second = cell.jobs()
        assert first["status"] == cell.case.cancelled
        assert first["ended"] <= second["created"]
        cell.succeed(second)
        cell.sees("success", try_number=2)
        assert cell.statuses() == [cell.case.cancelled, cell.case.succeeded]
        # As in is_untouched.
        assert cell.jobs()[1]["cancel_requested"] is None

    cells.each(is_left_alone, late + cleared)
    cells.each(starts_anew, cleared)
    cells.each(finish, late)
    for cell in early + late:
        is_untouched(cell)
        has_ended_once(cell)


@pytest.mark.kill_matrix(
    event="its triggerer is told to end, or dies, and another one lives",
    job="goes on",
    next_try="(the wait goes on)",
    modes=BY_TRIGGERERS,
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_killed_triggerer(cells: Cells, postgres: PostgresServer, number: signal.Signals) -> None:
    """Where a second triggerer lives, the death of one must cost no wait and no job."""
    airflow = cells.airflow
    waiting = list(chain(*defer_on_the_first(cells, postgres, *((mode, "") for mode in BY_TRIGGERERS))))
    try:
        has_moved(cells, waiting, lambda: airflow.kill("triggerer", number, whole=number == signal.SIGKILL))
        cells.each(finish, waiting)
    finally:
        airflow.restart("triggerer", signal.SIGKILL)
    for cell in waiting:
        has_ended_once(cell)


@pytest.mark.kill_matrix(
    event="Airflow's metadata database is gone for 20 s",
    job="goes on",
    next_try="(the wait goes on)",
    modes=tuple(MATRIX),
)
def test_database_outage(cells: Cells, postgres: PostgresServer, say: Callable[[str], None]) -> None:
    """The failover of the metadata database takes much of Airflow with it, and must take no job."""
    airflow = cells.airflow
    worker, deferred, workerless = cells.start_all(*((mode, "") for mode in MATRIX))
    # What ends while Airflow cannot be told of it, and what goes on.
    early = worker[::2] + deferred[1::2] + workerless[::2]
    late = worker[1::2] + deferred[::2] + workerless[1::2]
    airflow.expect_ends()
    postgres.shut_down()
    try:
        for cell in early:
            cell.succeed(cell.jobs()[0])
        time.sleep(OUTAGE)
    finally:
        postgres.start()
    # A scheduler that lost its database ends, but only when the last task that it started has.
    in_workers = [cell for cell in late if cell.mode == "worker"]
    cells.each(lambda cell: cell.succeed(cell.jobs()[0]), in_workers)

    def decided() -> bool | None:
        scheduler = airflow.components["scheduler"]
        return True if not scheduler.alive or airflow.health()["scheduler"] == "healthy" else None

    airflow.wait_until(decided, 60, lambda: "The scheduler neither works nor ends.", "scheduler")
    say(f"Without its database ended: {', '.join(airflow.revive())}")
    # The triggers of the dead triggerers have moved: whoever took that for a kill would end these jobs now.
    in_triggerers = [cell for cell in late if cell.mode != "worker"]
    cells.each(goes_on, in_triggerers)
    cells.each(finish, in_triggerers)
    cells.each(has_ended_once, in_triggerers)
    cells.each(lambda cell: cell.sees("success"), early + in_workers)
    cells.each(is_untouched, early + late)


@pytest.mark.kill_matrix(
    event="API server, dag-processor and scheduler die, and are started again",
    job="goes on",
    next_try="takes the job over, if its task ran in a worker of the scheduler",
    modes=tuple(MATRIX),
)
def test_restarts(cells: Cells) -> None:
    """A deploy, or a crash, of what no task runs in must cost no job; nor must one of what tasks run in."""
    airflow = cells.airflow
    worker, deferred, workerless = cells.start_all(*((mode, "") for mode in MATRIX))
    waiting = deferred + workerless

    for name in ("api-server", "dag-processor"):
        airflow.restart(name, signal.SIGTERM)
    cells.each(goes_on, worker + waiting)
    kill(airflow, "api-server", "dag-processor")
    airflow.revive()
    cells.each(goes_on, worker + waiting)
    # Told to end, it waits for its tasks; who has told it kills it when that takes too long. With the
    # LocalExecutor's scheduler, all that runs in a container or a service dies.
    airflow.kill("scheduler", signal.SIGTERM)
    cells.each(goes_on, worker + waiting)
    kill(airflow, "scheduler")
    # Only when it counts as dead does another one care for its tasks: when it starts, and every five minutes.
    airflow.wait_until(
        lambda: True if airflow.health()["scheduler"] == "unhealthy" else None,
        90,
        lambda: "It is not missed.",
    )
    airflow.revive()

    def is_taken_over(cell: Cell) -> None:
        cell.until(lambda: "taking over" in cell.log(2), "the job is taken over")

    cells.each(is_taken_over, worker)
    cells.each(goes_on, waiting)
    cells.each(finish, worker + waiting)


@pytest.mark.kill_matrix(
    event="it resumes quickly after its deferral, and Airflow fails it for that, or does not",
    job="has succeeded",
    next_try="returns its result",
    modes=DEFERRED,
)
def test_quick_resume(cells: Cells, say: Callable[[str], None]) -> None:
    """Airflow fails tasks that resume quickly now and then: that must cost no second job."""
    resumed: list[Cell] = []

    def start(cell: Cell) -> None:
        for _ in range(2):
            one = cell.on_a_new_target()
            one.start("deferred")
            resumed.append(one)

    def ends_well(cell: Cell) -> None:
        cell.sees("success")
        is_untouched(cell)
        assert cell.result()["status"] == cell.case.succeeded

    cells.configure(duration=3)
    failed = 0
    # It did so with one in three on a busy machine, and with one in thirty on an idle one: the row about a
    # worker that dies at the end shows the same, and for certain.
    for _ in range(3):
        cells.each(start)
        cells.each(ends_well, resumed)
        failed = sum(len(cell.tries()) - 1 for cell in resumed)
        if failed:
            break
    say(f"Airflow failed {failed} of {len(resumed)} tasks that resumed after 3 seconds")
