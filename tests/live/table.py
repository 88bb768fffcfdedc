"""The tables of the kill matrix in README.md and in docs/: made of what a test session has seen.

A test that shows a row has the mark ``kill_matrix``. A session that has run all of them, and in which nothing
failed, compares the tables with what it has seen, or, with ``--write-matrix``, writes them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from tests.cases import CASES
from tests.live.home import REPOSITORY
from tests.live.modes import HALVES, MATRIX

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pytest

FILES = {
    REPOSITORY / "README.md": False,
    REPOSITORY / "docs" / "cancellation.md": False,
    REPOSITORY / "docs" / "kill-matrix.md": True,
}
"""Which files have the table, and whether with the counts."""

_BEGIN = "<!-- kill matrix: `make matrix` writes this table -->"
_END = "<!-- end of the kill matrix -->"


@dataclass
class Line:
    """A row of the table.

    :ivar held: mode -> for how many job types it held, of how many.
    """

    event: str
    job: str
    next_try: str
    held: dict[str, tuple[int, int]] = field(default_factory=dict)


class Seen:
    """What a session has seen of the kill matrix."""

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}
        self._missing: set[str] = set()

    def expect(self, items: Iterable[pytest.Item]) -> None:
        """Make the rows of a session of all tests, those of the matrix itself first."""
        marked = [item for item in items if item.get_closest_marker("kill_matrix")]
        for item in sorted(marked, key=lambda item: "test_kill_matrix" not in item.nodeid):
            self._missing.add(item.nodeid)
            self._line(item)

    def saw(self, item: pytest.Item, *, passed: bool) -> None:
        """Note how a test has ended; of several of one row and mode, the one that held least often counts."""
        mark = item.get_closest_marker("kill_matrix")
        if mark is None or not self._lines:
            return
        self._missing.discard(item.nodeid)
        of = next((cast("int", n) for key, n in item.user_properties if key == "job_types"), len(CASES))
        held = self._line(item).held
        for mode in mark.kwargs["modes"]:
            told = (of if passed else 0, of)
            held[mode] = min(told, held.get(mode, told))

    @property
    def is_whole(self) -> bool:
        """Whether every row was seen."""
        return bool(self._lines) and not self._missing

    def write(self) -> None:
        """Write the tables."""
        for path, with_counts in FILES.items():
            before, _, after = _parts(path)
            path.write_text(f"{before}{self.table(with_counts=with_counts)}{after}")

    def differences(self) -> list[str]:
        """Return the files whose table says something else."""
        return [
            path.name
            for path, with_counts in FILES.items()
            if _parts(path)[1] != self.table(with_counts=with_counts)
        ]

    def table(self, *, with_counts: bool) -> str:
        """Return the table in Markdown."""
        heads = ["what happens to the task", "what happens to the AWS job", "the next try"]
        titles = MATRIX | HALVES
        heads += titles.values() if with_counts else ["proven"]
        rows = [heads, ["---"] * len(heads)]
        for line in self._lines.values():
            if with_counts:
                shown = [_count(line.held.get(mode)) for mode in titles]
            else:
                shown = [_listed([title for mode, title in MATRIX.items() if mode in line.held])]
            rows.append([line.event, line.job, line.next_try, *shown])
        return "".join(f"| {' | '.join(row)} |\n" for row in rows)

    def _line(self, item: pytest.Item) -> Line:
        mark = item.get_closest_marker("kill_matrix")
        assert mark is not None
        told = mark.kwargs
        line = Line(told["event"], told["job"], told.get("next_try", ""))
        return self._lines.setdefault(line.event, line)


def _listed(names: list[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _count(held: tuple[int, int] | None) -> str:
    return "" if held is None else f"{held[0]} of {held[1]}"


def _parts(path: Path) -> tuple[str, str, str]:
    """Return what is before the table in a file, the table, and what is after it."""
    found = re.fullmatch(f"(.*{_BEGIN}\n)(.*)({_END}.*)", path.read_text(), re.DOTALL)
    assert found, f"{path.name} has no place for the kill matrix: {_BEGIN} ... {_END}"
    return found[1], found[2], found[3]
