"""A job that a process leaves to the triggerer: whether Airflow has taken the deferral.

The task may be marked, or deleted, while its process starts the job: Airflow 3.3 then refuses the deferral
(409, or 404) with a line in the log, the process ends before a heartbeat could tell it of the kill, and
nobody calls ``on_kill``. The last that Airflow asks of a process, after it has reported how its task goes on,
are the operator's links.
"""

from __future__ import annotations

from typing import Any

from airflow_jobs_provider.task_states import ENDED, key_in_answer, own_question


def ended_instead(ti: Any) -> str | None:
    """Return what became of a task that has asked to be deferred; ``None`` where it goes on.

    A task that was cleared goes on: its next try sees to the job.

    :param ti: the task instance, in its own process.
    """
    states = ti.get_task_states(**own_question(ti))
    state = states.get(ti.run_id, {}).get(key_in_answer(ti.task_id, ti.map_index), "deleted")
    return str(state) if state == "deleted" or state in ENDED else None
