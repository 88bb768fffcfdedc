"""What the provider says when something goes wrong, read from its source: troubleshooting.md must have it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "airflow_jobs_provider"
HOLE = "\0"
"""Stands in a text for what is only known at run time."""

_LOGGED = ("warning", "error", "exception")
_PLACE = re.compile(r"%[sdrg]|%\.\d+f")


@dataclass(frozen=True)
class Text:
    """A text in the source.

    :ivar said: with :data:`HOLE` where a value stands.
    :ivar is_trouble: whether it is logged as a warning or an error, or raised.
    """

    module: str
    line: int
    said: str
    is_trouble: bool

    @property
    def fragments(self) -> list[str]:
        """What stands in it whatever the values are."""
        return [part.strip() for part in self.said.split(HOLE) if re.search(r"\w{3}", part)]


def texts() -> list[Text]:
    """Return every text of the package, without those of the emulator and without docstrings."""
    found: list[Text] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        module = path.relative_to(PACKAGE).as_posix()
        if not module.startswith("testing/"):
            found += _of(ast.parse(path.read_text()), module)
    return found


def _of(tree: ast.Module, module: str) -> Iterator[Text]:
    troubles = {id(node) for node in ast.walk(tree) if _is_trouble(node)}
    trouble_parts = {id(part) for node in ast.walk(tree) if id(node) in troubles for part in ast.walk(node)}
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if id(node) in inner | docs:
            continue
        said = _said(node)
        if said:
            yield Text(module, getattr(node, "lineno", 0), said, id(node) in trouble_parts)


def _is_trouble(node: ast.AST) -> bool:
    if isinstance(node, ast.Raise):
        return True
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _LOGGED


def _said(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _PLACE.sub(HOLE, node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values)
    return ""
