"""The state of the emulated services: jobs, scripts, faults and the journal. It knows no service."""
# ruff: noqa: D102 - the docstrings of what tests call stand in EmulatorControl

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_jobs_provider.testing.clock import Clock, SystemClock
from airflow_jobs_provider.testing.control import EmulatorControl
from airflow_jobs_provider.testing.faults import Fault, fault_of
from airflow_jobs_provider.testing.job import Job
from airflow_jobs_provider.testing.journal import Call, Journal
from airflow_jobs_provider.testing.lifecycle import LIFE_CYCLES, LifeCycle, life_cycle
from airflow_jobs_provider.testing.operations import check_operation, parameters_of
from airflow_jobs_provider.testing.settings import count_from_one, named, optional


@dataclass
class _Script:
    match: Mapping[str, Any]
    times: int | None
    settings: Mapping[str, Any]

    def accepts(self, parameters: Mapping[str, Any]) -> bool:
        return all(parameters.get(name) == value for name, value in self.match.items())


class Emulator(EmulatorControl):
    """The emulated services, in process.

    :param clock: where the time comes from; real time by default.
    :param journal_limit: how many calls the journal keeps.
    """

    def __init__(self, clock: Clock | None = None, journal_limit: int = 100_000) -> None:
        self.clock: Clock = clock or SystemClock()
        #: Held by a service while it looks and then acts.
        self.lock = threading.RLock()
        self._journal_limit = named("journal_limit", journal_limit, count_from_one)
        self._settings: dict[str, dict[str, Any]] = {}
        self._scripts: dict[str, list[_Script]] = {}
        self._faults: list[Fault] = []
        self._jobs: dict[tuple[str, ...], Job] = {}
        self._targets: dict[tuple[str, ...], list[Job]] = {}
        self._positions = itertools.count()
        self._journal = Journal(self._journal_limit)

    # What tests call.

    def configure(self, job_type: str, **settings: Any) -> None:
        checked = life_cycle(job_type).check(settings)
        with self.lock:
            self._settings[job_type] = {**self.settings(job_type), **checked}

    def script(
        self, job_type: str, match: Mapping[str, Any] | None = None, times: int | None = 1, **settings: Any
    ) -> None:
        life = life_cycle(job_type)
        named("times", times, optional(count_from_one))
        _check_match(match or {}, parameters_of(life.service, life.start), job_type)
        with self.lock:
            end = settings.get("status", self.settings(job_type)["status"])
            script = _Script(dict(match or {}), times, life.check(settings, end))
            self._scripts.setdefault(job_type, []).append(script)

    def settle(self, job_type: str, match: Mapping[str, Any], status: str, **settings: Any) -> int:
        life = life_cycle(job_type)
        if status not in life.statuses:
            raise ValueError(f"status={status!r} must be one of {', '.join(life.statuses)}")
        checked = life.check(settings, status)
        with self.lock:
            now = self.clock.time()
            found = [job for job in self._matching(life, match) if job.ended(now) is None]
            if not found:
                raise ValueError(f"no {job_type} with match={dict(match)!r} is running")
            for job in found:
                job.settle(now, status, checked)
        return len(found)

    def delete(self, job_type: str, match: Mapping[str, Any]) -> int:
        life = life_cycle(job_type)
        with self.lock:
            found = self._matching(life, match)
            if not found:
                raise ValueError(f"there is no {job_type} with match={dict(match)!r}")
            gone = {id(job) for job in found}
            self._jobs = {key: job for key, job in self._jobs.items() if id(job) not in gone}
            self._targets = {
                key: [job for job in jobs if id(job) not in gone] for key, jobs in self._targets.items()
            }
        return len(found)

    def fault(self, kind: str, **options: Any) -> None:
        fault = fault_of(kind, options)
        with self.lock:
            if fault.lasts is not None:
                fault.ends = self.clock.time() + fault.lasts
            self._faults.append(fault)

    def clear_faults(self) -> None:
        with self.lock:
            self._faults = []

    def journal(self, operation: str | None = None, since: int = 0) -> list[dict[str, Any]]:
        check_operation(operation)
        return self._journal.entries(operation, since)

    def counts(self) -> dict[str, dict[str, int]]:
        return self._journal.counts()

    def jobs(self, job_type: str | None = None) -> list[dict[str, Any]]:
        life = None if job_type is None else life_cycle(job_type)
        with self.lock:
            now = self.clock.time()
            return [job.record(now) for job in self._jobs.values() if life in (None, job.life)]

    def reset(self) -> None:
        with self.lock:
            self._settings, self._scripts, self._faults = {}, {}, []
            self._journal = Journal(self._journal_limit)
            self.forget_jobs()

    # What services call.

    def forget_jobs(self) -> None:
        """Forget the jobs, and nothing else: what moto's own reset does to a service."""
        with self.lock:
            self._jobs, self._targets = {}, {}

    def settings(self, job_type: str) -> dict[str, Any]:
        """Return the configured settings of a job type."""
        with self.lock:
            if job_type not in self._settings:
                self._settings[job_type] = LIFE_CYCLES[job_type].defaults()
            return self._settings[job_type]

    def start(
        self,
        life: LifeCycle,
        *,
        account: str,
        region: str,
        ids: Mapping[str, str],
        target: tuple[str, ...],
        parameters: Mapping[str, Any],
        age: float = 0.0,
    ) -> Job:
        """Start a job: by the first script that matches, or by the defaults.

        :param target: what it runs on, from the outside in (a knowledge base, a data source): each part of
            the way is a target too, and the whole account is the one with no name.
        :param age: how many seconds ago that was.
        """
        with self.lock:
            job = Job(
                life,
                account=account,
                region=region,
                ids=ids,
                parameters=parameters,
                settings={**self.settings(life.job_type), **self._scripted(life.job_type, parameters)},
                created=self.clock.time() - age,
                position=next(self._positions),
            )
            for depth in range(len(target) + 1):
                part = (life.job_type, account, region, *target[:depth])
                self._targets.setdefault(part, []).append(job)
            key = (life.job_type, account, region, *job.ids.values())
            self._jobs[key] = job
            return job

    def find(self, life: LifeCycle, account: str, region: str, *ids: str) -> Job | None:
        """Return the job with these ids (in the order of ``life.identity``), or None."""
        return self._jobs.get((life.job_type, account, region, *ids))

    def on_target(self, life: LifeCycle, account: str, region: str, *target: str) -> list[Job]:
        """Return the jobs of a target in the order of their start."""
        return self._targets.get((life.job_type, account, region, *target), [])

    def cancel(self, job: Job) -> bool:
        """Cancel a job; False if it had ended already."""
        with self.lock:
            return job.cancel(self.clock.time())

    def arrived(self, **call: Any) -> Call:
        """Write a call into the journal."""
        return self._journal.arrived(self.clock.time(), **call)

    def answered(self, call: Call, outcome: str, status: int | None) -> None:
        """Write into the journal how a call ended."""
        self._journal.answered(call, outcome, status)

    def strike(self, service: str, operation: str, parameters: Mapping[str, Any]) -> Fault | None:
        """Wait as the faults say, and return the one that the call must fail with, if any."""
        if not self._faults:
            return None
        delay, hit = 0.0, None
        with self.lock:
            now = self.clock.time()
            self._faults = [fault for fault in self._faults if fault.ends is None or now < fault.ends]
            for fault in self._faults:
                # Of several failures only the first one is used up.
                if (fault.kind == "delay" or hit is None) and fault.strikes(service, operation, parameters):
                    delay += fault.delay or 0.0
                    hit = hit if fault.kind == "delay" else fault
            self._faults = [fault for fault in self._faults if fault.times != 0]
        if delay:
            self.clock.sleep(delay)
        return hit

    def _scripted(self, job_type: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        scripts = self._scripts.get(job_type, [])
        script = next((script for script in scripts if script.accepts(parameters)), None)
        if script is None:
            return {}
        if script.times is not None:
            script.times -= 1
            if script.times == 0:
                scripts.remove(script)
        return script.settings

    def _matching(self, life: LifeCycle, match: Mapping[str, Any]) -> list[Job]:
        _check_match(match, {*life.identity, *parameters_of(life.service, life.start)}, life.job_type)
        return [job for job in self._jobs.values() if job.life is life and job.matches(match)]


def _check_match(match: Mapping[str, Any], known: set[str] | frozenset[str], job_type: str) -> None:
    for name, value in match.items():
        if name not in known:
            has = ", ".join(sorted(known))
            raise ValueError(f"match={{{name!r}: {value!r}}} fits no {job_type}; it has {has}")


#: The emulator of this process: what ``mock_aws`` and, unless told otherwise, an ``EmulatorServer`` use.
emulator = Emulator()
