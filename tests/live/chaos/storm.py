"""The storm itself: starts the tasks, and does the deeds of the plan to them."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psutil

from airflow_jobs_provider.testing.lifecycle import LIFE_CYCLES
from tests.live.chaos import plan
from tests.live.chaos.plan import Done
from tests.live.chaos.supervisor import Supervisor
from tests.live.chaos.view import View
from tests.live.job_types import LIVE_JOB_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_jobs_provider.testing import EmulatorClient
    from tests.live.airflow import LocalAirflow
    from tests.live.chaos.plan import Deed, Task
    from tests.live.rest import Json

# Tasks that are under way at the same time.
_CROWD = 40
# Those of them that need a process.
_BUSY = 8
# Tasks that are started between two looks.
_AT_ONCE = 2
# Seconds between two looks.
_PAUSE = 0.5
# Seconds in which the last tasks' jobs are cancelled.
_CANCELS = 90.0
# Seconds in which the API server answers a call that need not be repeated.
_PROMPT = 1.0


class Storm:
    """One storm over an Airflow and an emulated AWS.

    :ivar tasks: what was started, by target.
    :ivar done: which deeds were done, in their order.
    :ivar missed: deeds that nobody has been found for.
    :ivar view: what it sees.
    """

    def __init__(self, airflow: LocalAirflow, emulator: EmulatorClient, seed: int) -> None:
        self.tasks: dict[str, Task] = {}
        self.done: list[Done] = []
        self.missed: list[Deed] = []
        self._airflow = airflow
        self._emulator = emulator
        self._seed = seed
        self.view = View(airflow, emulator)
        self._supervisor = Supervisor(airflow)
        # Jobs of tasks that were marked: until they are cancelled only the triggerer knows of them.
        self._given_up: list[Json] = []

    def rage(self, *, tasks: int, seconds: float) -> None:
        """Start tasks, and do deeds to them.

        :param tasks: how many
        :param seconds: when to start no more, even if that many have not been started
        """
        self._prepare()
        new, deeds = plan.tasks(self._seed), plan.deeds(self._seed)
        coming, end = next(deeds), time.monotonic() + seconds
        while len(self.tasks) < tasks and time.monotonic() < end:
            self._look()
            # Tasks that wait cost nothing; a machine that does not keep up with the others gets no more.
            crowd = len(self.view.under_way)
            busy = crowd - len(self.view.tasks("deferred"))
            for _ in range(min(_AT_ONCE, _BUSY - busy, _CROWD - crowd)):
                self._start(next(new))
            while coming.at <= len(self.tasks):
                self.missed.append(coming)
                coming = next(deeds)
            self._do_what_can_be_done()
            time.sleep(_PAUSE)

    def settle(self, timeout: float) -> None:
        """Wait until all tasks and all jobs have ended, or until the time is over; AWS goes on to fail."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            self._look()
            if self.view.tasks_are_over() and not self._cleared_again():
                if self.view.jobs_are_over():
                    break
                # What runs on for longer is nobody's.
                end = min(end, time.monotonic() + _CANCELS)
            time.sleep(1)
        self._supervisor.close()

    def _cleared_again(self) -> bool:
        """Clear tasks whose clear was lost, as a user would; true if there were any.

        Airflow 3.3's scheduler can end a run by what it read just before a task of it was cleared: the clear
        found the run running and left its state alone, and nobody schedules the task.
        """
        forgotten = self.view.forgotten()
        for target in forgotten:
            self.done.append(Done(time.time(), plan.LOST_CLEAR, target))
            self._airflow.clear(self.tasks[target].dag_id, target, "job")
        return bool(forgotten)

    def _prepare(self) -> None:
        self._airflow.look_every = 1.0
        self._emulator.reset()
        for name in LIVE_JOB_TYPES:
            if "limit_per_account" in LIFE_CYCLES[name].settings:
                self._emulator.configure(name, limit_per_account=None)
            self._airflow.wait_for_dag(f"chaos_{name}")
            self._airflow.pause(f"chaos_{name}", paused=False)
        for number, (kind, probability) in enumerate(plan.FAULTS.items()):
            delay = {"delay": 1.0} if kind == "delay" else {}
            self._emulator.fault(kind, probability=probability, seed=self._seed + number, **delay)

    def _start(self, task: Task) -> None:
        self._emulator.configure(task.job_type, duration=task.duration)
        self.tasks[task.target] = task
        self._airflow.create_run(task.dag_id, {"target": task.target}, task.target)

    def _look(self) -> None:
        """Look at what is under way; deeds are chosen by that."""
        self.view.look()
        for name in self._supervisor.dead():
            self._revive(name)

    def _revive(self, name: str) -> None:
        """Start what died by itself, as a supervisor would.

        Airflow 3.3's scheduler and triggerer do where a task is cleared just when they handle its end, or its
        event: IntegrityError, StaleDataError. What only they knew is lost with them.
        """
        self.done.append(Done(time.time(), plan.DEATH, name))
        if name.startswith("triggerer"):
            for job in self._unfinished_marks():
                self.view.cancel(job)
                self.done.append(Done(time.time(), plan.LOST_MARK, plan.target_of(job)))
        else:
            for each in self.view.tasks("queued", "running", "restarting"):
                self.done.append(Done(time.time(), plan.CUT_OFF, each["dag_run_id"]))
        self._supervisor.restart(name, signal.SIGKILL)

    def _unfinished_marks(self) -> list[Json]:
        """Return the jobs of marked tasks whose end nobody has asked for yet."""
        if self._given_up:
            wanted = {str(job["ids"]) for job in self.view.wanted_jobs().values()}
            self._given_up = [job for job in self._given_up if str(job["ids"]) in wanted]
        return self._given_up

    # Deeds

    def _do_what_can_be_done(self) -> None:
        """Do the first of each kind of deed, where there is somebody to do it to."""
        for deed in {deed.kind: deed for deed in reversed(self.missed)}.values():
            if self._do(deed):
                self.missed.remove(deed)

    def _do(self, deed: Deed) -> bool:
        """Do a deed; false where there is nobody to do it to now."""
        does: dict[str, Callable[[Deed], bool]] = {
            plan.KILL_TRIGGERER: self._restart,
            plan.TERM_TRIGGERER: self._restart,
            plan.KILL_TASK: self._signal,
            plan.TERM_TASK: self._signal,
            plan.CLEAR_DEFERRED: self._clear,
            plan.CLEAR_RUNNING: self._clear,
            plan.MARK_FAILED: self._mark,
            plan.CANCEL_JOB: self._end_job,
            plan.FAIL_JOB: self._end_job,
        }
        return does[deed.kind](deed)

    def _restart(self, deed: Deed) -> bool:
        names = [name for name in self._supervisor.idle() if name.startswith("triggerer")]
        if not names or self._unfinished_marks():
            return False
        name = _pick(names, deed)
        self._note(deed, name)
        number = signal.SIGKILL if deed.kind == plan.KILL_TRIGGERER else signal.SIGTERM
        self._supervisor.restart(name, number)
        return True

    def _signal(self, deed: Deed) -> bool:
        processes = self._airflow.task_processes()
        running = [each for each in self.view.tasks("running") if each["id"] in processes]
        if not running:
            return False
        victim = _pick(running, deed)
        target = victim["dag_run_id"]
        self._note(deed, target, resumed=self.view.was_deferred(victim))
        with suppress(psutil.NoSuchProcess):
            processes[victim["id"]].send_signal(
                signal.SIGKILL if deed.kind == plan.KILL_TASK else signal.SIGTERM
            )
        return True

    def _clear(self, deed: Deed) -> bool:
        found = self.view.tasks("deferred" if deed.kind == plan.CLEAR_DEFERRED else "running")
        if not found:
            return False
        target = _pick(found, deed)["dag_run_id"]
        job = self.view.wanted_jobs().get(target)
        if job is not None and not self.view.let_run_on(job):
            return False
        began = time.time()
        self._airflow.clear(self.tasks[target].dag_id, target, "job")
        self.done.append(Done(began, deed.kind, target, twice=time.time() > began + _PROMPT))
        return True

    def _mark(self, deed: Deed) -> bool:
        since = self._supervisor.calm_since
        jobs = self.view.wanted_jobs()
        found = [
            each["dag_run_id"]
            for each in self.view.tasks("deferred")
            if each["dag_run_id"] in jobs and self.view.is_read(each, jobs[each["dag_run_id"]], since)
        ]
        if not found:
            return False
        target = _pick(found, deed)
        if not self.view.let_run_on(jobs[target]):
            return False
        self._note(deed, target)
        self._given_up.append(jobs[target])
        self._airflow.set_task_state(self.tasks[target].dag_id, target, "job", "failed")
        return True

    def _end_job(self, deed: Deed) -> bool:
        jobs = self.view.wanted_jobs()
        found = [each["dag_run_id"] for each in self.view.tasks("deferred") if each["dag_run_id"] in jobs]
        if not found:
            return False
        target = _pick(found, deed)
        end = self.view.cancel if deed.kind == plan.CANCEL_JOB else self.view.fail
        if not end(jobs[target]):
            return False
        self._note(deed, target)
        return True

    def _note(self, deed: Deed, victim: str, *, resumed: bool = False) -> None:
        self.done.append(Done(time.time(), deed.kind, victim, resumed))


def _pick(found: Sequence[Any], deed: Deed) -> Any:
    return found[min(int(deed.pick * len(found)), len(found) - 1)]
