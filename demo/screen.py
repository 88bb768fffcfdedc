"""What the demo shows: a live table in a terminal, plain lines anywhere else."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_STYLES = {
    **dict.fromkeys(("success", "COMPLETED"), "green"),
    **dict.fromkeys(("failed", "upstream_failed", "FAILED"), "bold red"),
    **dict.fromkeys(("deferred", "RUNNING", "QUEUED", "INITIALIZED"), "magenta"),
    **dict.fromkeys(("running", "queued", "scheduled", "restarting"), "cyan"),
    **dict.fromkeys(("cleared", "CANCELLED"), "yellow"),
}


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
            self._live.update(_table(rows, self._console.width), refresh=True)
            return
        for row in rows:
            key = (row.dag, row.task, row.attempt)
            job = f"; its ingestion of {row.data_set} is {row.status}" if row.status else ""
            line = f"  {row.task} (try {row.attempt}) is {row.state}{job}"
            if row.state and self._shown.get(key) != line:
                self._shown[key] = line
                self.say(line)


def _table(rows: Sequence[Row], width: int) -> Table:
    # The end of an id tells the tries of a task apart, so that is what a narrow terminal shows.
    room = max(10, width - 64)
    table = Table(expand=True, header_style="bold", border_style="dim")
    for title in ("task instance", "try", "state", "dataset", "in AWS", "ingestion id"):
        table.add_column(title, no_wrap=True)
    dag = ""
    for row in rows:
        if row.dag != dag:
            dag = row.dag
            table.add_section()
            table.add_row(Text(dag, "bold"))
        table.add_row(
            f"  {row.task}",
            str(row.attempt),
            Text(row.state or "-", _STYLES.get(row.state, "dim")),
            row.data_set,
            Text(row.status or "-", _STYLES.get(row.status, "dim")),
            row.ingestion if len(row.ingestion) <= room else f"…{row.ingestion[1 - room :]}",
        )
    return table
