"""What became of every task and every job of a storm, by Airflow's states and the emulator's jobs."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from botocore import xform_name

from tests.cases import CASES
from tests.live.chaos import plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.live.chaos.plan import Done, Task
    from tests.live.rest import Json

UNHEARD: frozenset[str] = frozenset()
"""Names of job types whose starts can be lost: neither a token nor a list tells what was started.

A job of theirs whose start was not answered, or whose task process was killed in that moment, is counted and
forgiven. None has to be, at the moment.
"""

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
# Seconds that a process that was killed may have been busy with a start, and the start with it.
_CALL = 3.0
# Seconds after a task's end in which its job must have been asked to end.
_GRACE = 60.0


@dataclass
class Verdict:
    """What was found; each entry is a target and a sentence.

    :ivar forgiven: jobs that nobody could know of, see ``UNHEARD``; they count for nothing else.
    """

    states: list[tuple[str, str]] = field(default_factory=list)
    orphans: list[tuple[str, str]] = field(default_factory=list)
    duplicates: list[tuple[str, str]] = field(default_factory=list)
    wrong_cancels: list[tuple[str, str]] = field(default_factory=list)
    forgiven: list[tuple[str, str]] = field(default_factory=list)

    @property
    def wrong(self) -> list[tuple[str, str]]:
        """Everything that must not be."""
        return [*self.states, *self.orphans, *self.duplicates, *self.wrong_cancels]


def judge(
    tasks: Mapping[str, Task],
    instances: Mapping[str, Json],
    jobs: Iterable[Json],
    journal: Iterable[Json],
    done: Iterable[Done],
) -> Verdict:
    """Judge a storm.

    :param tasks: what was started, by target
    :param instances: the task instances, by target
    :param jobs: the emulator's jobs
    :param journal: its journal
    :param done: which deeds were done
    """
    verdict = Verdict()
    jobs_of, deeds_of, lost = defaultdict(list), defaultdict(list), defaultdict(list)
    for job in sorted(jobs, key=lambda job: float(job["created"])):
        jobs_of[plan.target_of(job)].append(job)
    for deed in done:
        deeds_of[deed.victim].append(deed)
    starts = {case.job_type.start.method for case in CASES}
    for call in journal:
        if xform_name(call["operation"]) in starts and call["outcome"] == "dropped" and call["executed"]:
            lost[plan.target_of(call)].append(call["time"])
    for target, task in tasks.items():
        _Trial(
            verdict, target, task, instances[target], jobs_of[target], deeds_of[target], lost[target]
        ).hold()
    return verdict


@dataclass
class _Trial:
    verdict: Verdict
    target: str
    task: Task
    instance: Json
    jobs: list[Json]
    deeds: list[Done]
    lost: list[float]

    def hold(self) -> None:
        last = [deed.kind for deed in self.deeds if deed.kind in _DECIDE][-1:]
        wanted, state = "failed" if last == [plan.MARK_FAILED] else "success", self.instance["state"]
        if state != wanted:
            self.verdict.states.append((self.target, f"is {state}, not {wanted}"))
        unheard = [job for job in self.jobs if self._was_unheard(job)]
        known = [job for job in self.jobs if job not in unheard]
        # A job that was not heard of, and found all the same, is like any other.
        for job in unheard:
            if job["cancel_requested"] is not None or job is self.jobs[-1]:
                known.append(job)
            else:
                self.verdict.forgiven.append((self.target, f"nobody could know of {_told(job)}"))
        known.sort(key=lambda job: float(job["created"]))
        self._find_orphans(known)
        self._find_duplicates(known)
        self._find_wrong_cancels(known)

    def _was_unheard(self, job: Json) -> bool:
        if self.task.job_type not in UNHEARD:
            return False
        created = job["created"]
        killed = [deed.time for deed in self.deeds if deed.kind in (plan.KILL_TASK, plan.CUT_OFF)]
        return any(time <= created <= time + _CALL for time in self.lost) or any(
            abs(time - created) <= _CALL for time in killed
        )

    def _find_orphans(self, jobs: list[Json]) -> None:
        if not self.instance["end_date"]:
            return
        end = datetime.fromisoformat(self.instance["end_date"]).timestamp()
        for job in jobs:
            if job["ended"] is None or job["ended"] > end + _GRACE:
                self.verdict.orphans.append((self.target, f"{_told(job)} outlived its task"))

    def _find_duplicates(self, jobs: list[Json]) -> None:
        for old, new in pairwise(jobs):
            if old["ended"] is None or new["created"] < old["ended"]:
                self.verdict.duplicates.append((self.target, f"{_told(new)} ran beside {_told(old)}"))
            elif old["status"] == _CASES[self.task.job_type].succeeded and not any(
                old["created"] - _IN_FLIGHT <= deed.time <= new["created"] for deed in self._excuses()
            ):
                self.verdict.duplicates.append((self.target, f"{_told(new)} was started after {_told(old)}"))

    def _find_wrong_cancels(self, jobs: list[Json]) -> None:
        excuses = self._excuses()
        for job in jobs:
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
