"""The kill matrix: what can happen to a task, what then becomes of its AWS job, and whether that was seen.

A row is a scenario for one job type in one mode; all of them run side by side (:class:`Wave`). The table in
the README is made of what was seen (:mod:`tests.live.table`).
"""

from __future__ import annotations

import contextlib
import logging
import random
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice
from math import ceil
from typing import TYPE_CHECKING

import pytest

from tests.live.cells import failure_of
from tests.live.modes import MATRIX
from tests.live.processes import LiveError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.live.cell import Cell

    Scenario = Callable[[Cell, str], object]

log = logging.getLogger(__name__)


# How many cells are under way at a time: most of their time is Airflow's.
_AT_A_TIME = 32


@dataclass(frozen=True)
class Row:
    """One thing that can happen to a task.

    :param event: what, in words.
    :param job: what then becomes of its AWS job.
    :param next_try: what the next try does, if there is one.
    :param modes: in which modes that can happen.
    :param scenario: lets it happen, and looks.
    :param only: the job types that it can happen to.
    :param is_long: it lasts for minutes, of which it does nothing for most.
    """

    event: str
    job: str
    next_try: str
    modes: tuple[str, ...]
    scenario: Scenario
    only: Callable[[Cell], bool]
    is_long: bool

    @property
    def name(self) -> str:
        """The scenario's name."""
        return self.scenario.__name__

    def mark(self, mode: str) -> pytest.MarkDecorator:
        """Return the mark of the test that shows it in a mode, see :mod:`tests.live.table`."""
        return pytest.mark.kill_matrix(event=self.event, job=self.job, next_try=self.next_try, modes=(mode,))


class Matrix:
    """Rows, in the order in which they are written."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def row(
        self,
        event: str,
        *,
        job: str,
        next_try: str = "",
        modes: tuple[str, ...] = tuple(MATRIX),
        only: Callable[[Cell], bool] = lambda _: True,
        is_long: bool = False,
    ) -> Callable[[Scenario], Scenario]:
        """Make a scenario a row."""

        def decorate(scenario: Scenario) -> Scenario:
            self.rows.append(Row(event, job, next_try, modes, scenario, only, is_long))
            return scenario

        return decorate


def parametrize(*matrices: Matrix) -> pytest.MarkDecorator:
    """Return the mark of a test of each row in each of its modes."""
    return pytest.mark.parametrize(
        ("row", "mode"),
        [
            pytest.param(row, mode, id=f"{row.name}-{mode}", marks=row.mark(mode))
            for matrix in matrices
            for row in matrix.rows
            for mode in row.modes
        ],
    )


class Wave:
    """Cells that run side by side.

    :param cells: one for each job type.
    :param wanted: the rows and modes; they begin now.
    :param times: how often each of them is run; what has a race in it may hold once by luck.
    :param dealt: deal the job types out among the modes of a row, instead of all to each: every row is still
        seen for every job type, and in every mode, but not for every job type in every mode.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        wanted: Sequence[tuple[Row, str]],
        times: int = 1,
        *,
        dealt: bool = False,
    ) -> None:
        self._threads = ThreadPoolExecutor(_AT_A_TIME)
        self._over = cells[0].looks.over
        self._told: dict[tuple[str, str], list[tuple[Cell, Future[Ended]]]] = {}
        self._cells = cells
        begun = [
            (row, mode, cell.on_a_new_target())
            for row, mode, cell in _deal(cells, wanted, dealt=dealt)
            for _ in range(times)
        ]
        # Rows of a kind are written side by side: mixed, they do not all want the same at the same time.
        # What lasts long comes in the first half: in the end nothing else would be left to be done meanwhile.
        chance = random.Random(7)
        begun.sort(key=lambda one: chance.random() * (0.5 if one[0].is_long else 1.0))
        for row, mode, cell in begun:
            told = self._threads.submit(_run, row, mode, cell)
            self._told.setdefault((row.name, mode), []).append((cell, told))

    def check(self, row: Row, mode: str) -> int:
        """Wait for a row's cells; fail with what went wrong with any of them.

        :returns: how many job types it can happen to.
        """
        told = [(cell, future.result()) for cell, future in self._told[row.name, mode]]
        failures = [ended.told for _, ended in told if ended.told is not None]
        for cell, ended in told:
            # Most rows have ended minutes ago: long enough for a start that nobody waited for.
            if ended.told is None and len(cell.jobs()) != ended.jobs:
                failures.append(f"{cell.name}: another job was started afterwards: {cell.jobs()}")
        if failures:
            heading = f"{row.event}, {mode}: {len(failures)} of {len(told)} cells"
            pytest.fail("\n\n".join([heading, *failures]), pytrace=False)
        return sum(row.only(cell) for cell in self._cells)

    def end(self) -> None:
        """Give up what has not begun."""
        self._over.set()
        self._threads.shutdown(cancel_futures=True)


def _deal(
    cells: Sequence[Cell], wanted: Sequence[tuple[Row, str]], *, dealt: bool
) -> Iterator[tuple[Row, str, Cell]]:
    modes = Counter(row.name for row, _ in wanted)
    # It goes on from row to row: a job type does not have the same mode in all of them.
    turn = cycle(cells)
    for row, mode in wanted:
        share = sum(row.only(cell) for cell in cells)
        if dealt:
            share = ceil(share / modes[row.name])
        for cell in islice(filter(row.only, turn), share):
            yield row, mode, cell


@dataclass(frozen=True)
class Ended:
    """How a cell has ended.

    :param told: what went wrong.
    :param jobs: how many its target had by then.
    """

    told: str | None
    jobs: int = 0


def _run(row: Row, mode: str, cell: Cell) -> Ended:
    began = time.monotonic()
    told = failure_of(lambda cell: row.scenario(cell, mode), cell)
    if cell.looks.over.is_set():
        # An aborted session has closed what is logged to, and Airflow ends: neither is to be waited for.
        return Ended(told or "nobody waits any more")
    with contextlib.suppress(LiveError):
        cell.leave()
    verdict = "held" if told is None else "DID NOT HOLD"
    # What went wrong is told at once: the session may be ended before its report is made.
    log.info(
        "%s, %s, %s: %s after %.0f s%s",
        row.name,
        mode,
        cell.name,
        verdict,
        time.monotonic() - began,
        f"\n{told}" if told else "",
    )
    return Ended(told, len(cell.jobs()) if told is None else 0)
