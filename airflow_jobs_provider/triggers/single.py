"""Jobs that are read one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_jobs_provider.exceptions import AwsApiError
from airflow_jobs_provider.jobs import job_type_of
from airflow_jobs_provider.jobs.errors import THROTTLES
from airflow_jobs_provider.jobs.parts import Operation
from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot

if TYPE_CHECKING:
    from airflow_jobs_provider.hooks.aws_job import AwsJobHook
    from airflow_jobs_provider.triggers.lanes import Lane

# How often a reading is asked for again that was throttled, before its wait hears of it. A wait that heard of
# each would log it; one that heard of none would miss its deadline.
PATIENCE = 3


class _Reading:
    """A reading of one job that is asked for: by all who wait for it."""

    def __init__(self, run: JobRun) -> None:
        self.run = run
        self.answer: asyncio.Future[JobSnapshot] = asyncio.get_running_loop().create_future()
        self.waiters = 0
        self.throttled = 0


class SingleReadings:
    """Readings that are asked for, one for each job.

    :param hook: returns the hook that makes the calls.
    :param lane: returns the queue of an operation.
    """

    def __init__(self, hook: Callable[[], Awaitable[AwsJobHook]], lane: Callable[[Operation], Lane]) -> None:
        self._hook = hook
        self._lane = lane
        self._readings: dict[Any, _Reading] = {}

    async def read(self, run: JobRun) -> JobSnapshot:
        """Read a job; who asks for one that is asked for already gets the same answer.

        :raises AwsApiError: as the hook does.
        """
        describe = job_type_of(run).describe
        key = (describe.method, *sorted(run.ids.items()))
        reading = self._readings.get(key)
        if reading is None:
            reading = self._readings[key] = _Reading(run)
            self._put(describe, key, reading)
        reading.waiters += 1
        try:
            return await asyncio.shield(reading.answer)
        finally:
            reading.waiters -= 1

    def _put(self, describe: Operation, key: Any, reading: _Reading) -> None:
        def wanted() -> bool:
            if not reading.waiters:
                self._readings.pop(key, None)
            return bool(reading.waiters)

        self._lane(describe).put(wanted, partial(self._describe, describe, key, reading))

    async def _describe(self, describe: Operation, key: Any, reading: _Reading) -> None:
        bucket = self._lane(describe).bucket
        try:
            snapshot = await (await self._hook()).adescribe(reading.run)
        except Exception as error:  # noqa: BLE001 - it is the waits' to judge
            if isinstance(error, AwsApiError) and error.code in THROTTLES:
                bucket.throttled()
                reading.throttled += 1
                if reading.throttled <= PATIENCE:
                    self._put(describe, key, reading)
                    return
            self._readings.pop(key, None)
            reading.answer.set_exception(error)
            reading.answer.exception()  # perhaps nobody waits any more
        else:
            bucket.answered()
            self._readings.pop(key, None)
            reading.answer.set_result(snapshot)
