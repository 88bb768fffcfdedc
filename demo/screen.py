"""What the demo shows: a live table in a terminal, plain lines anywhere else."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_STYLES = {
    **dict.fromkeys(("success", "COMPLETED"), "green"),
    **dict.fromkeys(("failed", "upstream_failed", "FAILED"), "bold red"),
    **dict.fromkeys(("deferred", "RUNNING", "QUEUED", "INITIALIZED"), "magenta"),
    **dict.fromkeys(("running", "queued", "scheduled", "restarting"), "cyan"),
    **dict.fromkeys(("cleared", "CANCELLED"), "yellow"),
}

_COLUMNS = {"task instance": 13, "try": 3, "state": 9, "dataset": 11, "in AWS": 11, "ingestion id": 0}
"""The table's columns and the least width of each."""


@dataclass(frozen=True)
class Row:
    """A task instance and the AWS job that belongs to it; empty strings for what there is not (yet)."""

    dag: str
    task: str
    attempt: int
    state: str
    data_set: str
    ingestion: str
    status: str


class Screen:
    """The terminal, or the file or pipe in its place."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._fancy = self._console.is_terminal
        self._began = time.monotonic()
        self._live: Live | None = None
        self._shown: dict[tuple[str, str, int], str] = {}

    def say(self, text: str, style: str = "") -> None:
        """Tell something that stays on the screen."""
        stamp = f"{time.monotonic() - self._began:5.1f} s  "
        indent = "\n" + " " * len(stamp)
        self._console.print(Text(stamp, "dim") + Text(text.replace("\n", indent), style), soft_wrap=True)

    @contextlib.contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Tell what takes time while it does."""
        self.say(text)
        if self._fancy:
            with self._console.status("", spinner="dots"):
                yield
        else:
            yield

    @contextlib.contextmanager
    def table(self) -> Iterator[None]:
        """Keep the table of :meth:`show` below everything that is said inside; it stays at the end."""
        if not self._fancy:
            yield
            return
        with Live(console=self._console, auto_refresh=False) as self._live:
            yield
        self._live = None

    def show(self, rows: Sequence[Row]) -> None:
        """Bring the table up to date; without a terminal, a line for each row that changed."""
        if self._live is not None:
            self._live.update(_tables(rows, self._console.width), refresh=True)
            return
        for row in rows:
            key = (row.dag, row.task, row.attempt)
            job = f"; its ingestion of {row.data_set} is {row.status}" if row.status else ""
            line = f"  {row.task} (try {row.attempt}) is {row.state}{job}"
            if row.state and self._shown.get(key) != line:
                self._shown[key] = line
                self.say(line)


def _tables(rows: Sequence[Row], width: int) -> Group:
    """A table for each DAG."""
    parts: list[Text | Table] = []
    for dag, of_dag in groupby(rows, key=lambda row: row.dag):
        parts += [Text(dag, "bold"), _table(of_dag, width)]
    return Group(*parts)


def _table(rows: Iterable[Row], width: int) -> Table:
    table = Table(box=SIMPLE_HEAD, header_style="dim", border_style="dim")
    for title, least in _COLUMNS.items():
        table.add_column(title, no_wrap=True, min_width=least)
    room = max(10, width - sum(_COLUMNS.values()) - 2 * len(_COLUMNS) - 8)
    for row in rows:
        # The end of an id tells the tries of a task apart, so that is what a narrow terminal shows.
        fits = len(row.ingestion) <= room
        table.add_row(
            row.task,
            str(row.attempt),
            Text(row.state or "-", _STYLES.get(row.state, "dim")),
            row.data_set,
            Text(row.status or "-", _STYLES.get(row.status, "dim")),
            row.ingestion if fits else f"…{row.ingestion[1 - room :]}",
        )
    return table
