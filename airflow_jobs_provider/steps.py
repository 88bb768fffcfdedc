"""What a wait is made of: steps, and how to take them with boto3 or with aiobotocore.

The logic is written once, as generators of steps (:class:`Read`, :class:`Cancel`, :class:`ReadPage`,
:class:`Pause`); :func:`drive` takes them one by one with the hook and ``time.sleep``, :func:`adrive` with its
asynchronous twin.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, Union

from airflow_jobs_provider.exceptions import AwsApiError
from airflow_jobs_provider.jobs.parts import Operation
from airflow_jobs_provider.jobs.run import JobRun

if TYPE_CHECKING:
    from airflow_jobs_provider.hooks.protocol import JobHook, Page
    from airflow_jobs_provider.jobs.run import JobSnapshot

T = TypeVar("T")


class Log(Protocol):
    """What we need of a logger; Airflow's are of several kinds."""

    def info(self, message: str, /, *args: object) -> object:
        """Log a line."""

    def warning(self, message: str, /, *args: object) -> object:
        """Log a warning."""


@dataclass(frozen=True)
class Read:
    """Step: read the job."""

    run: JobRun


@dataclass(frozen=True)
class Cancel:
    """Step: ask AWS to cancel the job; answered with whether it took that."""

    run: JobRun


@dataclass(frozen=True)
class ReadPage:
    """Step: read a page of a list."""

    operation: Operation
    values: Mapping[str, Any]
    token: str | None = None


@dataclass(frozen=True)
class Pause:
    """Step: do nothing for so many seconds.

    :param anew: to be asked when a reading that nobody asked for shows what the last one has shown: how many
        seconds to pause from then on; ``None`` if that reading is wanted all the same.
    """

    seconds: float
    anew: Callable[[], float | None] | None = None


Step = Union[Read, Cancel, ReadPage, Pause]  # noqa: UP007 - evaluated at import, also on Python 3.10
Steps = Generator[Step, Any, T]


def drive(steps: Steps[T], hook: JobHook, sleep: Callable[[float], object] = time.sleep) -> T:
    """Take the steps with boto3."""
    try:
        step = next(steps)
        while True:
            try:
                if isinstance(step, Pause):
                    answer: Any = sleep(step.seconds)
                elif isinstance(step, ReadPage):
                    answer = hook.read_page(step.operation, step.values, step.token)
                else:
                    call = hook.describe if isinstance(step, Read) else hook.request_cancel
                    answer = call(step.run)
            except AwsApiError as error:
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result


class AsyncCalls(Protocol):
    """What takes the steps on an event loop: the hook, or what shares one."""

    async def adescribe(self, run: JobRun, /) -> JobSnapshot:
        """Read a job."""

    async def arequest_cancel(self, run: JobRun, /) -> bool:
        """Ask for the end of a job."""

    async def aread_page(self, operation: Operation, values: Mapping[str, Any], token: str | None, /) -> Page:
        """Read a page of a list."""


async def _sleep(pause: Pause) -> None:
    await asyncio.sleep(pause.seconds)


async def adrive(
    steps: Steps[T], hook: AsyncCalls, sleep: Callable[[Pause], Awaitable[object]] = _sleep
) -> T:
    """Take the steps with aiobotocore, on the running event loop."""
    try:
        step = next(steps)
        while True:
            try:
                if isinstance(step, Pause):
                    answer: Any = await sleep(step)
                elif isinstance(step, ReadPage):
                    answer = await hook.aread_page(step.operation, step.values, step.token)
                else:
                    call = hook.adescribe if isinstance(step, Read) else hook.arequest_cancel
                    answer = await call(step.run)
            except AwsApiError as error:
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result
