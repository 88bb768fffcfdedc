"""Whatever happens to a task: its job never outlives it, and is never started twice.

Each scenario is a row of the table in the README, for every job type in each mode in which it can happen (in
a worker, deferred, without a worker), by real Airflow processes and real HTTP. The emulator's jobs and
journal are the judge: ``Cell.history`` fails where two jobs of a task ran at once, and where a job was asked
to end that was wanted.
"""

from __future__ import annotations

import signal
from itertools import chain
from typing import TYPE_CHECKING, cast

import pytest

from tests.live.matrix import Row, Wave, parametrize
from tests.live.rows import aws, options, people, sensors, times, workers
from tests.live.rows.outcomes import (
    ANOTHER,
    BY_TRIGGERERS,
    CANCELLED,
    DEFERRED,
    GOES_ON,
    IN_TRIGGERERS,
    WORKERLESS,
    has_ended_once,
    is_cancelled,
    starts_another,
    succeeds_with_the_only_job,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.live.cell import Cell
    from tests.live.cells import Cells


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
    option = request.config.getoption
    wave = Wave(
        module_cells.all,
        wanted,
        times=option("--times", default=1),
        dealt=option("--dealt", default=False),
    )
    yield wave
    wave.end()


@parametrize(people.matrix, times.matrix, workers.matrix, aws.matrix, options.matrix, sensors.matrix)
def test_row(wave: Wave, row: Row, mode: str, record_property: Callable[[str, object], None]) -> None:
    """A row of the kill matrix, for all job types, or for the mode's share of them (``--dealt``)."""
    record_property("job_types", wave.check(row, mode))


# What stops all of Airflow's waits at once comes after the rest.


@pytest.mark.kill_matrix(
    event="it is cleared while no triggerer runs",
    job="cancelled, at the latest by the next try",
    next_try=ANOTHER,
    modes=IN_TRIGGERERS,
)
def test_clear_without_a_triggerer(cells: Cells) -> None:
    """With no triggerer alive nobody is told of a clear."""

    def starts_a_second(cell: Cell) -> None:
        cell.clear()
        # One that starts in the triggerer waits for the next one.
        if cell in deferred:
            cell.until(lambda: len(cell.jobs()) == 2, "a second job")

    # Jobs end as soon as they are told to: a try that has to wait for that would defer, and nobody wakes it.
    deferred, workerless = cells.start_all(*((mode, "plain") for mode in IN_TRIGGERERS))
    cells.airflow.kill("triggerer", signal.SIGKILL, whole=True)
    try:
        cells.each(starts_a_second, deferred + workerless)
    finally:
        cells.airflow.restart("triggerer", signal.SIGKILL)
    cells.each(starts_another, deferred + workerless)


@pytest.mark.kill_matrix(
    event="`execution_timeout`, and no triggerer runs",
    job=CANCELLED,
    next_try="as `retries` say",
    modes=DEFERRED,
)
def test_timeout_without_a_triggerer(cells: Cells) -> None:
    """The scheduler ends a deferral that nobody has ended in time, and a worker sees to the job."""

    def is_ended(cell: Cell) -> None:
        cell.until(lambda: "Trigger timeout" in cell.log(), "the scheduler ends the deferral", 240)
        cell.until(lambda: cell.jobs()[0]["status"] == cell.case.cancelled, "the job is cancelled")
        assert "does one run (airflow triggerer)" in cell.log()

    [deferred] = cells.start_all(("deferred", "timeout"))
    cells.airflow.kill("triggerer", signal.SIGKILL, whole=True)
    try:
        cells.each(is_ended, deferred)
    finally:
        cells.airflow.restart("triggerer", signal.SIGKILL)
    cells.each(starts_another, deferred)


@pytest.mark.kill_matrix(
    event="the triggerer is told to end, or dies, and is started again",
    job=GOES_ON,
    next_try="(the wait goes on)",
    modes=BY_TRIGGERERS,
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_triggerer_restart(cells: Cells, number: signal.Signals) -> None:
    """A deploy of the triggerer must neither lose a wait nor cancel a job."""

    def goes_on(cell: Cell) -> None:
        cell.succeed(cell.jobs()[0])
        succeeds_with_the_only_job(cell)
        has_ended_once(cell)

    waiting = list(chain(*cells.start_all(*((mode, "plain") for mode in BY_TRIGGERERS))))
    cells.airflow.restart("triggerer", number)
    cells.each(goes_on, waiting)


@pytest.mark.kill_matrix(
    event="the triggerer dies during the start call",
    job=GOES_ON,
    next_try="(the next triggerer finds it)",
    modes=WORKERLESS,
)
def test_triggerer_dies_in_the_start(cells: Cells) -> None:
    """Its start was sent and not answered: the next triggerer finds the job, by token or by list."""

    def goes_on(cell: Cell) -> None:
        cell.until(lambda: bool(cell.jobs()), "a job")
        cell.until(cell.is_waited_for, "a triggerer reads the job")
        cell.succeed(cell.jobs()[0])
        succeeds_with_the_only_job(cell)

    cells.configure(duration=900)
    cells.each(lambda cell: cell.start_slowly("workerless", "plain", seconds=6))
    cells.airflow.kill("triggerer", signal.SIGKILL, whole=True)
    try:
        in_time = [cell.is_in_the_start() for cell in cells.all]
    finally:
        cells.airflow.restart("triggerer", signal.SIGKILL)
    assert all(in_time)
    cells.each(goes_on)


# Once: Airflow knows the DAGs again only when their file has changed.
@pytest.mark.kill_matrix(event="its DAG is deleted", job=CANCELLED, modes=IN_TRIGGERERS, once=True)
def test_dag_deleted(cells: Cells) -> None:
    """Airflow refuses it while one of its tasks is in a worker."""
    deferred, workerless = cells.start_all(*((mode, "paused") for mode in IN_TRIGGERERS))
    # The scheduler of Airflow 3.3 may die of it (ObjectDeletedError).
    cells.airflow.expect_ends()
    cells.each(lambda cell: cell.airflow.delete_dag(cell.dag_id), deferred + workerless)
    cells.each(is_cancelled, deferred + workerless)
    cells.airflow.revive()
