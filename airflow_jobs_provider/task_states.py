"""The states of task instances, as Airflow's task SDK tells them."""

from __future__ import annotations

from typing import Any

ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
"""States in which a task instance waits for nothing, and in which no other try follows."""


def own_question(ti: Any) -> dict[str, Any]:
    """Return the arguments with which a task instance asks for its own state."""
    return {
        "dag_id": ti.dag_id,
        "run_ids": [ti.run_id],
        "task_ids": [ti.task_id],
        "map_index": ti.map_index if _is_mapped(ti.map_index) else None,
    }


def key_in_answer(task_id: str, map_index: int | None) -> str:
    """Return what a task instance is called in the answer, below its run."""
    return f"{task_id}_{map_index}" if _is_mapped(map_index) else task_id


def _is_mapped(map_index: int | None) -> bool:
    return map_index is not None and map_index >= 0
