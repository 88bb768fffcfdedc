"""Every job type at once: a scenario is written for one of them, and runs for all of them side by side."""

from __future__ import annotations

import traceback
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.cases import CASES
from tests.live.cell import Cell
from tests.live.job_types import LIVE_JOB_TYPES
from tests.live.looks import Looks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_jobs_provider.testing import EmulatorClient
    from tests.live.airflow import LocalAirflow


class Cells:
    """Cells for every job type.

    :param copies: how many of each.
    """

    def __init__(self, airflow: LocalAirflow, emulator: EmulatorClient, copies: int = 1) -> None:
        emulator.reset()
        self.airflow = airflow
        looks = Looks(airflow, emulator)
        self._cells = [
            Cell(case=case, live=LIVE_JOB_TYPES[case.name], airflow=airflow, emulator=emulator, looks=looks)
            for case in CASES
            for _ in range(copies)
        ]
        self._emulator = emulator

    def configure(self, **life: Any) -> None:
        """Set the life of all jobs that are started from now on."""
        for cell in self._cells:
            self._emulator.configure(cell.name, **cell.live.unlimited, **life)

    @property
    def all(self) -> list[Cell]:
        """The cells."""
        return list(self._cells)

    def configure_failure(self) -> None:
        """Let all jobs fail, each as its type does."""
        for cell in self._cells:
            self._emulator.configure(cell.name, **cell.case.failed)

    def only(self, condition: Callable[[Cell], bool]) -> Cells:
        """Leave out job types that a scenario makes no sense for."""
        self._cells = [cell for cell in self._cells if condition(cell)]
        return self

    def start_all(self, *starts: tuple[str, str]) -> tuple[list[Cell], ...]:
        """Start a task of every job type for each of these, and wait until it waits for its job.

        No job ends by itself before the test does.

        :param starts: modes, each with the DAG's variant.
        :returns: the tasks' cells, start by start.
        """
        self.configure(duration=900)
        started = tuple([cell.on_a_new_target() for cell in self._cells] for _ in starts)
        for start, those in zip(starts, started, strict=True):
            self.each(partial(_start_and_wait, *start), those)
        return started

    def each(self, scenario: Callable[[Cell], object], cells: Sequence[Cell] | None = None) -> None:
        """Run a scenario for all job types at once; fail with what went wrong with any of them.

        :param cells: those that it is to run for instead.
        """
        cells = self._cells if cells is None else cells
        with ThreadPoolExecutor(max(1, len(cells))) as pool:
            told = list(pool.map(partial(failure_of, scenario), cells))
        failures = [text for text in told if text is not None]
        if failures:
            heading = f"{len(failures)} of {len(told)}"
            pytest.fail("\n\n".join([heading, *failures]), pytrace=False)


def failure_of(scenario: Callable[[Cell], object], cell: Cell) -> str | None:
    """Run a scenario for a job type; return what went wrong."""
    try:
        scenario(cell)
    except Exception as error:  # noqa: BLE001 - told with those of the other job types
        if cell.looks.over.is_set():
            return f"{cell.name}: nobody waits any more"
        trace = error.__traceback__ and error.__traceback__.tb_next
        told = "".join(traceback.format_exception(type(error), error, trace))
        return f"=== {cell.name}, target {cell.target} ===\n{told}{cell.story()}"
    return None


def _start_and_wait(mode: str, variant: str, cell: Cell) -> None:
    cell.start_and_wait(mode, variant)
