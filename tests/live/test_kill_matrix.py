"""Whatever happens to a task: its job never outlives it, and is never started twice.

Each scenario is a row of the table in the README, for every job type in worker and deferred mode, by real
Airflow processes and real HTTP. The emulator's jobs and journal are the judge: ``Cell.history`` fails where
two jobs of a task ran at once, and where a job was asked to end that was wanted.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, cast

import pytest

from tests.live.matrix import Row, Wave, parametrize
from tests.live.rows import aws, options, people, sensors, times, workers
from tests.live.rows.outcomes import (
    ANOTHER,
    CANCELLED,
    DEFERRED,
    GOES_ON,
    is_cancelled,
    succeeds_with_the_only_job,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.live.cells import Cell, Cells


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


@parametrize(people.matrix, times.matrix, workers.matrix, aws.matrix, options.matrix, sensors.matrix)
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
