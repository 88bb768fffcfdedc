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
from airflow_jobs_provider.jobs.run import JobRun

if TYPE_CHECKING:
    from airflow_jobs_provider.hooks.aws_job import AwsJobHook
    from airflow_jobs_provider.triggers.lanes import Lane

    Answer = asyncio.Future[Any]

# How often a reading is asked for again that was throttled, before its wait hears of it. A wait that heard of
# each would log it; one that heard of none would miss its deadline.
PATIENCE = 3


class _Reading:
    """A reading of one job that is asked for: by all who wait for it."""

    __slots__ = ("answers", "key", "operation", "run", "throttled")

    def __init__(self, key: Any, operation: Operation, run: JobRun) -> None:
        self.key = key
        self.operation = operation
        self.run = run
        self.answers: list[Answer] = []
        self.throttled = 0

    @property
    def is_wanted(self) -> bool:
        """Whether anybody still waits for it."""
        return not all(answer.done() for answer in self.answers)


class SingleReadings:
    """Readings that are asked for, one for each job.

    :param hook: returns the hook that makes the calls.
    :param lane: returns the queue of an operation.
    """

    def __init__(self, hook: Callable[[], Awaitable[AwsJobHook]], lane: Callable[[Operation], Lane]) -> None:
        self._hook = hook
        self._lane = lane
        self._readings: dict[Any, _Reading] = {}

    def ask(self, run: JobRun, answer: Answer) -> None:
        """Have a job read; who asks for one that is asked for already gets the same answer.

        :param answer: gets the reading, or the hook's :class:`AwsApiError`.
        """
        describe = job_type_of(run).describe
        key = (describe.method, *sorted(run.ids.items()))
        reading = self._readings.get(key)
        if reading is None:
            reading = self._readings[key] = _Reading(key, describe, run)
            self._put(reading)
        reading.answers.append(answer)

    def _put(self, reading: _Reading) -> None:
        self._lane(reading.operation).put(partial(self._is_wanted, reading), partial(self._describe, reading))

    def _is_wanted(self, reading: _Reading) -> bool:
        if not reading.is_wanted:
            self._readings.pop(reading.key, None)
        return reading.is_wanted

    async def _describe(self, reading: _Reading) -> None:
        bucket = self._lane(reading.operation).bucket
        try:
            snapshot = await (await self._hook()).adescribe(reading.run)
        except Exception as error:  # noqa: BLE001 - it is the waits' to judge
            if isinstance(error, AwsApiError) and error.code in THROTTLES:
                bucket.throttled()
                reading.throttled += 1
                if reading.throttled <= PATIENCE:
                    self._put(reading)
                    return
            for answer in self._answers(reading):
                answer.set_exception(error)
        else:
            bucket.answered()
            for answer in self._answers(reading):
                answer.set_result(snapshot)

    def _answers(self, reading: _Reading) -> list[Answer]:
        """End a reading; return what is still waited for."""
        self._readings.pop(reading.key, None)
        return [answer for answer in reading.answers if not answer.done()]
