"""The modes that a task can run in: see docs/modes.md. DAG files read this, too."""

from __future__ import annotations

from typing import Any

ARGUMENTS: dict[str, dict[str, Any]] = {
    "worker": {"deferrable": False},
    "deferred": {"deferrable": True},
    "ending": {"end_from_trigger": True},
    "starting": {"start_from_trigger": True},
    "workerless": {"start_from_trigger": True, "end_from_trigger": True},
}
"""What a start or cancel operator is told, mode by mode."""

MATRIX = {"worker": "in a worker", "deferred": "deferred", "workerless": "without a worker"}
"""Those of the kill matrix, in the words of its table."""

HALVES = {"starting": "only started by the triggerer", "ending": "only ended by it"}
"""Between deferred and without a worker: shown where what they share with those may not be all."""
