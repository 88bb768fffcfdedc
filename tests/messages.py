"""What the provider says when something goes wrong, read from its source: troubleshooting.md must have it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "airflow_jobs_provider"
HOLE = "..."
"""Stands for what is only known at run time."""

_LOGGED = ("warning", "error", "exception")
_PLACE = re.compile(r"%[sdr]|%\.?\d*[fg]")


@dataclass(frozen=True)
class Text:
    """A text in the source.

    :ivar said: with :data:`HOLE` where a value stands.
    :ivar is_trouble: whether it is logged as a warning or an error, raised, or made an exception of.
    """

    module: str
    line: int
    said: str
    is_trouble: bool

    @property
    def words(self) -> int:
        """How many words stand in it whatever the values are."""
        return len(re.findall(r"[A-Za-z]{2,}", self.said))


def texts() -> list[Text]:
    """Return every text of the package, without those of the emulator and without docstrings."""
    found: list[Text] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        module = path.relative_to(PACKAGE).as_posix()
        if not module.startswith("testing/"):
            found += _of(ast.parse(path.read_text()), module)
    return found


def _of(tree: ast.Module, module: str) -> Iterator[Text]:
    nodes = list(ast.walk(tree))
    troubles = {id(part) for node in nodes if _is_trouble(node) for part in ast.walk(node)}
    # A part of an f-string is no text of its own, and a docstring is said to nobody.
    silent = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    silent |= {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        said = _said(node)
        if said and id(node) not in silent:
            yield Text(module, getattr(node, "lineno", 0), said, id(node) in troubles)


def _is_trouble(node: ast.AST) -> bool:
    if isinstance(node, ast.Raise):
        return True
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Attribute):
        return node.func.attr in _LOGGED
    return isinstance(node.func, ast.Name) and node.func.id.endswith(("Error", "Timeout"))


def _said(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _PLACE.sub(HOLE, node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values)
    return ""
