"""A job that a process leaves to the triggerer: whether Airflow has taken the deferral.

The task may be marked, or deleted, while its process starts the job: Airflow 3.3 then refuses the deferral
with a line in the log, the process ends before a heartbeat could tell it of the kill, and nobody calls
``on_kill``. The last that Airflow asks of a process, after it has reported how its task goes on, are the
operator's links.
"""

from __future__ import annotations

from typing import Any

ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
"""States in which a task instance waits for nothing, and in which no other try follows."""


def ended_instead(ti: Any) -> str | None:
    """Return what became of a task that has asked to be deferred; ``None`` where it goes on.

    A task that was cleared goes on: its next try sees to the job.

    :param ti: the task instance, in its own process.
    """
    mapped = ti.map_index is not None and ti.map_index >= 0
    states = ti.get_task_states(
        dag_id=ti.dag_id,
        run_ids=[ti.run_id],
        task_ids=[ti.task_id],
        map_index=ti.map_index if mapped else None,
    )
    state = states.get(ti.run_id, {}).get(f"{ti.task_id}_{ti.map_index}" if mapped else ti.task_id, "deleted")
    return str(state) if state == "deleted" or state in ENDED else None
