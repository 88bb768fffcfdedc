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
    **dict.fromkeys(("success", "COMPLETED", "COMPLETE", "FINISHED", "SUCCEEDED"), "green"),
    **dict.fromkeys(("failed", "upstream_failed", "FAILED"), "bold red"),
    **dict.fromkeys(("running", "queued", "scheduled", "restarting"), "cyan"),
    **dict.fromkeys(("cleared", "CANCELLED", "CANCELLING", "STOPPING"), "yellow"),
    **dict.fromkeys(("deferred", "INITIALIZED", "INITIALIZING", "QUEUED", "STARTING"), "magenta"),
    **dict.fromkeys(("RUNNING", "IN_PROGRESS", "ANALYZING_DATA", "IMPORTING"), "magenta"),
}

_COLUMNS = {"task": 11, "try": 3, "state": 9, "AWS job": 17, "in AWS": 14, "reads": 5, "cancels": 7}
"""The table's columns and the width of each: together just less than 80."""

_NUMBERS = ("reads", "cancels")

_ID = 24
"""The least width of the job's id, which only a wide terminal shows."""


@dataclass(frozen=True)
class Row:
    """A task instance and the AWS job that belongs to it; empty strings for what there is not (yet).

    ``reads`` and ``cancels`` count the API calls that named the job.
    """

    dag: str
    task: str
    attempt: int
    state: str
    job: str
    status: str
    reads: int
    cancels: int
    job_id: str


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
            job = f"; {row.job} is {row.status}" if row.status else ""
            line = f"  {row.task} (try {row.attempt}) is {row.state}{job}"
            if row.state and self._shown.get(key) != line:
                self._shown[key] = line
                self.say(line)


def _tables(rows: Sequence[Row], width: int) -> Group:
    """One table for each DAG, with the columns' titles above the first."""
    parts: list[Text | Table] = []
    for dag, of_dag in groupby(rows, key=lambda row: row.dag):
        parts += [Text(dag, "bold"), _table(width, of_dag)]
    return Group(_table(width, header=True), *parts)


def _table(width: int, rows: Iterable[Row] = (), *, header: bool = False) -> Table:
    table = Table(
        box=SIMPLE_HEAD,
        show_header=header,
        show_edge=False,
        padding=(0, 1, 0, 0),
        header_style="dim",
        border_style="dim",
    )
    for title, wide in _COLUMNS.items():
        table.add_column(title, no_wrap=True, width=wide, justify="right" if title in _NUMBERS else "left")
    room = width - sum(_COLUMNS.values()) - 2 * len(_COLUMNS)
    if room > _ID:
        table.add_column("job id", no_wrap=True, width=room)
    for row in rows:
        cells: list[Text | str] = [
            row.task,
            str(row.attempt),
            Text(row.state or "-", _STYLES.get(row.state, "dim")),
            row.job or Text("-", "dim"),
            Text(row.status or "-", _STYLES.get(row.status, "dim")),
            str(row.reads) if row.job_id else "",
            str(row.cancels) if row.job_id else "",
        ]
        if room > _ID:
            # The end of an id tells the tries of a task apart, so that is what a narrow terminal shows.
            fits = len(row.job_id) <= room
            cells.append(row.job_id if fits else f"…{row.job_id[1 - room :]}")
        table.add_row(*cells)
    return table
