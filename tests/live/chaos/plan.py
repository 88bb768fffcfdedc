"""What happens in a storm, and when: decided by a seed before it begins."""

from __future__ import annotations

import heapq
import itertools
import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.live.job_types import LIVE_JOB_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KILL_TRIGGERER = "SIGKILL of a triggerer"
TERM_TRIGGERER = "SIGTERM of a triggerer"
KILL_TASK = "SIGKILL of a task process"
TERM_TASK = "SIGTERM of a task process"
CLEAR_DEFERRED = "clear of a deferred task"
CLEAR_RUNNING = "clear of a running task"
MARK_FAILED = "deferred task marked as failed"
CANCEL_JOB = "job cancelled by somebody else"
FAIL_JOB = "job that failed"

# What nobody plans.
DEATH = "part of Airflow that died by itself"
CUT_OFF = "task whose scheduler died by itself"
LOST_MARK = "mark that died with its triggerer"
LOST_CLEAR = "clear of a task whose run Airflow ended in that moment"
UNPLANNED = (DEATH, CUT_OFF, LOST_MARK, LOST_CLEAR)

EVERY = {
    KILL_TRIGGERER: 40,
    TERM_TRIGGERER: 40,
    KILL_TASK: 3,
    TERM_TASK: 6,
    CLEAR_DEFERRED: 8,
    CLEAR_RUNNING: 10,
    MARK_FAILED: 12,
    CANCEL_JOB: 12,
    FAIL_JOB: 10,
}
"""How often each deed is done: once in so many tasks, however fast the machine gets through them."""

FAULTS = {
    "throttle": 0.2,
    "server_error": 0.0625,
    "drop": 0.03,
    "drop_after": 0.03,
    "delay": 0.1,
}
"""The chance that a call of AWS meets such a fault, if it has met none before it: a fifth of the calls is
throttled, a twentieth of all fails. Slow is what else there is of them, too."""

# Seconds that a job takes. Airflow can fail a task that resumes before the scheduler has heard that its first
# process has ended (apache/airflow#72716), and the scheduler often dies of it.
_DURATION = (10.0, 30.0)


@dataclass(frozen=True)
class Deed:
    """Something that is done to somebody.

    :param at: how many tasks have been started by then.
    :param kind: one of ``EVERY``.
    :param pick: which of those that it can be done to, in their order: from 0 for the first to 1.
    """

    at: float
    kind: str
    pick: float


@dataclass(frozen=True)
class Done:
    """A deed that was done.

    :param time: when it began (seconds since the epoch).
    :param victim: the target of a task, or a triggerer's name.
    :param resumed: the task process that it was done to had been deferred before.
    :param twice: perhaps it was done again, since Airflow did not answer at once.
    """

    time: float
    kind: str
    victim: str
    resumed: bool = False
    twice: bool = False


@dataclass(frozen=True)
class Task:
    """One task instance, alone in its DAG run.

    :param target: what its job works on, and what no other job does; also the run's id.
    :param job_type: its job's type.
    :param duration: seconds that jobs of this type take from its start on.
    """

    target: str
    job_type: str
    duration: float

    @property
    def dag_id(self) -> str:
        """The DAG that it belongs to."""
        return f"chaos_{self.job_type}"


def target_of(call: Mapping[str, Any]) -> str:
    """Return the target that a start call, or a job, is about."""
    found = re.search(r"storm\d{5}", str(call["parameters"]))
    return found[0] if found else ""


def deeds(seed: int) -> Iterator[Deed]:
    """Yield the deeds of a storm, in their order and without end."""
    streams = [_deeds(seed, kind, every) for kind, every in EVERY.items()]
    return heapq.merge(*streams, key=lambda deed: deed.at)


def _deeds(seed: int, kind: str, every: int) -> Iterator[Deed]:
    choose = random.Random(f"{kind} {seed}")
    for number in itertools.count():
        yield Deed((number + choose.random()) * every, kind, choose.random())


def tasks(seed: int) -> Iterator[Task]:
    """Yield the tasks of a storm, without end: all job types in turn."""
    choose = random.Random(f"tasks {seed}")
    for number in itertools.count(step=len(LIVE_JOB_TYPES)):
        names = sorted(LIVE_JOB_TYPES)
        choose.shuffle(names)
        for offset, name in enumerate(names):
            yield Task(f"storm{number + offset:05}", name, choose.uniform(*_DURATION))
