"""What tasks have logged, read from Airflow's files: its API server has enough to do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live.rest import Json

_SAID = frozenset(
    [
        *("timestamp", "level", "event", "logger", "filename", "lineno", "error_detail"),
        *("dag_id", "run_id", "task_id", "map_index", "try_number", "ti_id"),
    ]
)
"""Fields of a structured log line that are shown in another form or known to its reader."""


def read_log(
    folder: Path, dag_id: str, run_id: str, task_id: str, try_number: int, map_index: int = -1
) -> str:
    """Return what one try of a task logged, on the worker and in the triggerer; empty if nothing yet.

    :param folder: Airflow's base folder of logs.
    """
    task = folder / f"dag_id={dag_id}" / f"run_id={run_id}" / f"task_id={task_id}"
    if map_index >= 0:
        task /= f"map_index={map_index}"
    lines: list[str] = []
    for path in sorted(task.glob(f"attempt={try_number}.log*")):
        lines += map(_line, path.read_text(errors="replace").splitlines())
    # Each begins with its time; the triggerer has a file of its own.
    return "\n".join(sorted(lines))


def _line(text: str) -> str:
    try:
        entry: Json = json.loads(text)
    except ValueError:  # written by no logger, or not yet to its end
        return text
    rest = [f"{name}={value}" for name, value in entry.items() if name not in _SAID and value]
    for error in entry.get("error_detail") or ():
        frame = error["frames"][-1] if error["frames"] else {"filename": "?", "lineno": 0}
        rest.append(f"{error['exc_type']}: {error['exc_value']} ({frame['filename']}:{frame['lineno']})")
    said = [entry.get("timestamp") or "", entry.get("level") or "", entry.get("event") or ""]
    return " ".join([*said, *rest]).strip()
