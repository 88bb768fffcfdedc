"""What became of every task and every job of a storm, by Airflow's states and the emulator's jobs."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.cases import CASES
from tests.live.chaos import plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.live.chaos.plan import Done, Task
    from tests.live.rest import Json

_CASES = {case.name: case for case in CASES}
# A scheduler takes its task processes with it, and what it told them to end is not known.
_UNWANTED = {plan.TERM_TASK, plan.CLEAR_DEFERRED, plan.CLEAR_RUNNING, plan.MARK_FAILED, plan.CUT_OFF}
# The last of them decides how its task is to end.
_DECIDE = {plan.CLEAR_DEFERRED, plan.CLEAR_RUNNING, plan.MARK_FAILED}
# Seconds in which a process that was told to end may yet start a job.
_IN_FLIGHT = 10.0
# Seconds in which the try after a clear asks again for what was never answered: that may start the job, to be
# cancelled at once.
_ASKED_AGAIN = 60.0
# Seconds after a task's end in which its job must have been asked to end.
_GRACE = 60.0


@dataclass
class Verdict:
    """What was found; each entry is a target and a sentence."""

    states: list[tuple[str, str]] = field(default_factory=list)
    orphans: list[tuple[str, str]] = field(default_factory=list)
    duplicates: list[tuple[str, str]] = field(default_factory=list)
    wrong_cancels: list[tuple[str, str]] = field(default_factory=list)

    @property
    def wrong(self) -> list[tuple[str, str]]:
        """Everything that must not be."""
        return [*self.states, *self.orphans, *self.duplicates, *self.wrong_cancels]


def judge(
    tasks: Mapping[str, Task],
    instances: Mapping[str, Json],
    jobs: Iterable[Json],
    done: Iterable[Done],
) -> Verdict:
    """Judge a storm.

    :param tasks: what was started, by target
    :param instances: the task instances, by target
    :param jobs: the emulator's jobs
    :param done: which deeds were done
    """
    verdict = Verdict()
    jobs_of, deeds_of = defaultdict(list), defaultdict(list)
    for job in sorted(jobs, key=lambda job: float(job["created"])):
        jobs_of[plan.target_of(job)].append(job)
    for deed in done:
        deeds_of[deed.victim].append(deed)
    for target, task in tasks.items():
        _Trial(verdict, target, task, instances[target], jobs_of[target], deeds_of[target]).hold()
    return verdict


@dataclass
class _Trial:
    verdict: Verdict
    target: str
    task: Task
    instance: Json
    jobs: list[Json]
    deeds: list[Done]

    def hold(self) -> None:
        last = [deed.kind for deed in self.deeds if deed.kind in _DECIDE][-1:]
        wanted, state = "failed" if last == [plan.MARK_FAILED] else "success", self.instance["state"]
        if state != wanted:
            self.verdict.states.append((self.target, f"is {state}, not {wanted}"))
        ends = [job["status"] for job in self.jobs]
        if state == "success" and ends[-1:] != [_CASES[self.task.job_type].succeeded]:
            self.verdict.states.append((self.target, f"is {state}, and its jobs ended {ends}"))
        self._find_orphans()
        self._find_duplicates()
        self._find_wrong_cancels()

    def _find_orphans(self) -> None:
        if not self.instance["end_date"]:
            return
        end = datetime.fromisoformat(self.instance["end_date"]).timestamp()
        for job in self.jobs:
            if job["ended"] is None or job["ended"] > end + _GRACE:
                self.verdict.orphans.append((self.target, f"{_told(job)} outlived its task"))

    def _find_duplicates(self) -> None:
        for old, new in pairwise(self.jobs):
            if old["ended"] is None or new["created"] < old["ended"]:
                self.verdict.duplicates.append((self.target, f"{_told(new)} ran beside {_told(old)}"))
            elif old["status"] == _CASES[self.task.job_type].succeeded and not any(
                old["created"] - _IN_FLIGHT <= deed.time <= new["created"] for deed in self._excuses()
            ):
                self.verdict.duplicates.append((self.target, f"{_told(new)} was started after {_told(old)}"))

    def _find_wrong_cancels(self) -> None:
        excuses = self._excuses()
        for job in self.jobs:
            asked = job["cancel_requested"]
            if asked is None:
                continue
            fits = (deed for deed in excuses if job["created"] - _ASKED_AGAIN <= deed.time <= asked)
            excuse = next(fits, None)
            if excuse is None:
                self.verdict.wrong_cancels.append((self.target, f"{_told(job)} was wanted"))
            elif not excuse.twice:
                # It makes one job unwanted.
                excuses.remove(excuse)

    def _excuses(self) -> list[Done]:
        return [deed for deed in self.deeds if deed.kind in _UNWANTED]


def _told(job: Json) -> str:
    return f"{job['job_type']} {list(job['ids'].values())[-1]} ({job['status']})"
