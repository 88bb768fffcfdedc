"""What a storm sees of Airflow and of AWS, and how it lets a job run on."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from botocore import xform_name

from airflow_jobs_provider.testing.lifecycle import LIFE_CYCLES
from tests.cases import CASES
from tests.live.chaos import plan
from tests.live.job_types import LIVE_JOB_TYPES

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import EmulatorClient
    from tests.live.airflow import LocalAirflow
    from tests.live.rest import Json

_CASES = {case.name: case for case in CASES}
_READS = {live.job_type.describe.method for live in LIVE_JOB_TYPES.values()}
_UNFINISHED = ("scheduled", "queued", "running", "restarting", "deferred", "up_for_retry")


class View:
    """Both, as they were at the last look.

    :ivar under_way: the task instances that have not ended, in the order of their targets.
    """

    def __init__(self, airflow: LocalAirflow, emulator: EmulatorClient) -> None:
        self.under_way: list[Json] = []
        self._airflow = airflow
        self._emulator = emulator
        # When a try of a task was first seen deferred, by target and try.
        self._deferred: dict[tuple[str, int], float] = {}
        # When a job was last read, by a part of its identity.
        self._read: dict[str, float] = {}
        self._call = 0

    def look(self) -> None:
        """Look anew."""
        params = {"state": _UNFINISHED, "limit": 100}
        answer = self._airflow.request("GET", "/dags/~/dagRuns/~/taskInstances", params=params)
        self.under_way = sorted(answer["task_instances"], key=lambda each: str(each["dag_run_id"]))
        for each in self.tasks("deferred"):
            self._deferred.setdefault((each["dag_run_id"], each["try_number"]), time.time())
        for call in self._emulator.journal(since=self._call):
            self._call = call["number"]
            if xform_name(call["operation"]) in _READS:
                self._read.update((str(value), call["time"]) for value in call["parameters"].values())

    def tasks(self, *states: str) -> list[Json]:
        """Return the task instances in some states."""
        return [each for each in self.under_way if each["state"] in states]

    def was_deferred(self, instance: Json) -> bool:
        """Whether this try of a task has been deferred."""
        return (instance["dag_run_id"], instance["try_number"]) in self._deferred

    def is_read(self, instance: Json, job: Json, since: float) -> bool:
        """Whether a trigger has read a task's job since some moment: Airflow can tell it of a mark."""
        deferred = self._deferred.get((instance["dag_run_id"], instance["try_number"]), time.time())
        own_id = str(list(job["ids"].values())[-1])  # the others are an account's, or a target's
        return self._read.get(own_id, 0.0) > max(since, deferred)

    def wanted_jobs(self) -> dict[str, Json]:
        """Return the running jobs whose end nobody has asked for, by their tasks' targets."""
        return {
            plan.target_of(job): job
            for job in self._emulator.jobs()
            if job["ended"] is None and job["cancel_requested"] is None
        }

    def tasks_are_over(self) -> bool:
        """Whether every task has ended."""
        params = {"state": ["queued", "running"], "limit": 1}
        return not self._airflow.request("GET", "/dags/~/dagRuns", params=params)["total_entries"]

    def forgotten(self) -> list[str]:
        """Return the targets of the tasks that nobody schedules, if all runs have ended (after a clear)."""
        params = {"state": "no_status", "limit": 100}
        answer = self._airflow.request("GET", "/dags/~/dagRuns/~/taskInstances", params=params)
        return [str(each["dag_run_id"]) for each in answer["task_instances"]]

    def jobs_are_over(self) -> bool:
        """Whether every job has ended."""
        return all(job["ended"] for job in self._emulator.jobs())

    def instances(self) -> dict[str, Json]:
        """Return every task instance, by target."""
        path = "/dags/~/dagRuns/~/taskInstances"
        found: list[Json] = []
        while True:
            page = self._airflow.request("GET", path, params={"limit": 100, "offset": len(found)})
            found += page["task_instances"]
            if not page["task_instances"] or len(found) >= page["total_entries"]:
                return {instance["dag_run_id"]: instance for instance in found}

    def let_run_on(self, job: Json) -> bool:
        """Let a job run until somebody cancels it; false where it has just ended, or is to end."""
        name, ids = job["job_type"], job["ids"]
        try:
            self._emulator.settle(name, ids, LIFE_CYCLES[name].main)
        except ValueError:
            return False
        [now] = [each for each in self._emulator.jobs(name) if each["ids"] == ids]
        if now["cancel_requested"] is not None and now["ended"] is None:
            # The cancel came just before, and the emulator would let the job run all the same.
            self.cancel(job)
            return False
        return True

    def cancel(self, job: Json) -> bool:
        """Cancel a job as somebody outside of Airflow would; false where it has just ended."""
        return self._end(job, status=_CASES[job["job_type"]].cancelled)

    def fail(self, job: Json) -> bool:
        """Let a job fail; false where it has just ended."""
        return self._end(job, **_CASES[job["job_type"]].failed)

    def _end(self, job: Json, **end: Any) -> bool:
        with suppress(ValueError):
            self._emulator.settle(job["job_type"], job["ids"], **end)
            return True
        return False
