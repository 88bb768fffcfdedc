"""RESULTS.md and its pictures: each benchmark writes its own part, and leaves the others' alone."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent
_TITLE = "# Results\n"


@dataclass(frozen=True)
class Page:
    """Where results go.

    :param folder: of RESULTS.md.
    :param pictures: folder of the pictures.
    """

    folder: Path = _HERE
    pictures: Path = _HERE.parent / "docs" / "images"

    @classmethod
    def in_folder(cls, folder: Path | None) -> Page:
        """Return the page of the repository, or one that is all in a folder."""
        return cls() if folder is None else cls(folder, folder)

    def write(self, command: str, text: str) -> None:
        """Write what a command has measured, in place of what it had written before."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "RESULTS.md"
        page = path.read_text() if path.exists() else _TITLE
        part = f"<!-- {command} -->\n{text}<!-- end of {command} -->\n"
        before = re.compile(rf"<!-- {command} -->\n.*?<!-- end of {command} -->\n", re.DOTALL)
        page, count = before.subn(lambda _: part, page)
        path.write_text(page if count else f"{page}\n{part}")

    def draw(self, name: str, picture: str) -> None:
        """Write a picture."""
        self.pictures.mkdir(parents=True, exist_ok=True)
        (self.pictures / f"{name}.svg").write_text(picture)


def machine() -> str:
    """Return what was measured on, and with which versions."""
    names = ("apache-airflow", "apache-airflow-providers-amazon", "aiobotocore", "botocore", "aiohttp")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {versions}"
