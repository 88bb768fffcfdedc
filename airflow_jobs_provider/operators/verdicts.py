"""Whether a running job is still wanted, asked of Airflow from inside a worker."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from airflow_jobs_provider.exceptions import name
from airflow_jobs_provider.jobs import job_type_of
from airflow_jobs_provider.jobs.run import JobRun
from airflow_jobs_provider.operators.marks import Mark, TaskKey
from airflow_jobs_provider.task_states import ENDED, key_in_answer
from airflow_jobs_provider.triggers.ownership import XCOM_KEY

_AT_WORK = frozenset({"running", "deferred"})


class Verdict(str, Enum):
    """What a sweep thinks of a running job."""

    ORPHAN = "orphan"
    """Its task has ended, or was tried again and waits for another job: nobody wants it."""
    WANTED = "wanted"
    """Its task waits for it."""
    UNDECIDED = "undecided"
    """Its task is at work, and waits for no job yet: it is about to start one, or to see to this one."""
    PENDING = "pending"
    """Its task will be tried again, and that try will see to it."""
    UNKNOWN = "unknown"
    """Airflow does not know the task instance."""
    UNANSWERED = "unanswered"
    """Airflow did not answer."""
    YOUNG = "young"
    """It is too young to be judged; nothing was asked."""


@dataclass(frozen=True)
class Finding:
    """A verdict, and what it is made of.

    :param why: completes "...: <verdict>, <why>".
    :param state: of the task instance, as Airflow has it.
    """

    verdict: Verdict
    why: str
    state: str | None = None


@dataclass(frozen=True)
class Swept:
    """What was found out about a running job of ours, and done.

    :param action: ``none``; of an orphan ``would cancel``, ``cancelled``, ``ending`` (it was asked to end,
        and takes its time), ``had ended`` or ``failed``.
    :param error: why the cancel failed, with the command to do it by hand.
    """

    run: JobRun
    mark: Mark
    finding: Finding
    action: str = "none"
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what goes to XCom."""
        key = self.mark.key
        return {
            "job": self.run.to_json(),
            "console_url": job_type_of(self.run).console_url(self.run),
            "dag_id": key.dag_id,
            "run_id": key.run_id,
            "task_id": key.task_id,
            "map_index": key.map_index,
            "try_number": self.mark.try_number,
            "task_state": self.finding.state,
            "verdict": self.finding.verdict.value,
            "why": self.finding.why,
            "action": self.action,
            "error": self.error,
        }

    def __str__(self) -> str:
        """Return it as a line of the log."""
        key = self.mark.key
        mapped = f" [{key.map_index}]" if key.map_index >= 0 else ""
        task = f"DAG {key.dag_id}, run {key.run_id}, task {key.task_id}{mapped}, try {self.mark.try_number}"
        done = "" if self.action == "none" else f": {self.action}"
        return f"{name(self.run)} of {task}: {self.finding.verdict.value}, {self.finding.why}{done}"


@dataclass(frozen=True)
class _Answer:
    """What Airflow says of a task instance."""

    known: bool = True
    state: str | None = None
    problem: str | None = None


class Judge:
    """Asks Airflow once about each task instance.

    :param ti: the task instance that asks.
    """

    def __init__(self, ti: Any) -> None:
        self._ti = ti
        self._answers: dict[TaskKey, _Answer] = {}

    def ask(self, keys: Iterable[TaskKey]) -> None:
        """Ask for the states of task instances: one call for those of a run."""
        runs: dict[tuple[str, str], set[TaskKey]] = defaultdict(set)
        for key in keys:
            runs[key.dag_id, key.run_id].add(key)
        for (dag_id, run_id), of_run in runs.items():
            for task_ids in _unambiguous({key.task_id for key in of_run}):
                asked = [key for key in of_run if key.task_id in task_ids]
                self._answers.update(self._ask(dag_id, run_id, task_ids, asked))

    def judge(self, key: TaskKey, run: JobRun) -> Finding:
        """Say whether a job is wanted by the task instance that has started it; :meth:`ask` comes before."""
        answer = self._answers[key]
        state = answer.state
        if answer.problem is not None:
            return Finding(
                Verdict.UNANSWERED, f"Airflow does not tell the state of its task: {answer.problem}"
            )
        if not answer.known:
            return Finding(Verdict.UNKNOWN, "Airflow does not know its task instance")
        if state in ENDED:
            return Finding(Verdict.ORPHAN, f"its task is {state}", state)
        if state not in _AT_WORK:
            said = state or "about to be scheduled"
            return Finding(Verdict.PENDING, f"its task is {said}: its next try will see to it", state)
        return self._judge_at_work(key, run, f"its task is {state}", state)

    def _judge_at_work(self, key: TaskKey, run: JobRun, what: str, state: str | None) -> Finding:
        """Say whether a task that is at work waits for a job."""
        try:
            claimed = self._ti.xcom_pull(
                key=XCOM_KEY,
                dag_id=key.dag_id,
                run_id=key.run_id,
                task_ids=key.task_id,
                map_indexes=key.map_index,
            )
        except Exception as error:  # noqa: BLE001 - whatever it is: the job is not touched
            return Finding(
                Verdict.UNANSWERED, f"Airflow does not tell which job its task waits for: {error!r}"
            )
        if claimed is None or claimed["run"] is None:  # started in the triggerer, and not answered yet
            return Finding(Verdict.UNDECIDED, f"{what}, and waits for no job yet", state)
        if claimed["run"] == run.to_json():
            return Finding(Verdict.WANTED, f"{what}, and waits for it", state)
        return Finding(Verdict.ORPHAN, f"{what}, and waits for another job by now", state)

    def _ask(
        self, dag_id: str, run_id: str, task_ids: list[str], keys: Iterable[TaskKey]
    ) -> dict[TaskKey, _Answer]:
        try:
            states = self._ti.get_task_states(dag_id=dag_id, run_ids=[run_id], task_ids=task_ids)
        except Exception as error:  # noqa: BLE001 - whatever it is: the jobs are not touched
            return dict.fromkeys(keys, _Answer(problem=repr(error)))
        of_run = states.get(run_id, {})
        answers = {}
        for key in keys:
            called = key_in_answer(key.task_id, key.map_index)
            answers[key] = _Answer(known=called in of_run, state=of_run.get(called))
        return answers


def _unambiguous(task_ids: Iterable[str]) -> list[list[str]]:
    """Divide tasks so that Airflow's answer about each part can be read.

    It calls the mapped task instance 1 of the task "load" load_1, and a task may be called so, too.
    """
    parts: list[list[str]] = []
    for task_id in sorted(task_ids):
        for part in parts:
            if not any(_may_be_taken_for(task_id, other) for other in part):
                part.append(task_id)
                break
        else:
            parts.append([task_id])
    return parts


def _may_be_taken_for(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return re.fullmatch(rf"{re.escape(short)}(_[0-9]+)+", long) is not None
