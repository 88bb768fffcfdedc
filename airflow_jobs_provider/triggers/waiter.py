"""What reads one job for one wait: it sleeps on while lists show nothing new of the job."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_jobs_provider.exceptions import name
from airflow_jobs_provider.jobs.parts import Operation
from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot
from airflow_jobs_provider.steps import Pause
from airflow_jobs_provider.waiting import DeadlinePassedError

if TYPE_CHECKING:
    from typing_extensions import Self

    from airflow_jobs_provider.hooks.protocol import Page
    from airflow_jobs_provider.triggers.group import Group
    from airflow_jobs_provider.triggers.poller import Poller

# A wait takes part in the others' list when it has slept this share of its pause. With half of it, the waits
# of a group come into step within two lists; with less, each new wait would have all others read anew.
_SOON = 0.5


class Waiter:
    """Reads one job for one wait: what :func:`~airflow_jobs_provider.steps.adrive` asks for steps.

    A context: in it, the wait belongs to its group.
    """

    __slots__ = (
        "_anew",
        "_awake",
        "_is_late",
        "_last",
        "_late",
        "_patience",
        "_poller",
        "_reading",
        "_sleeps_until",
        "_slept_enough",
        "_timer",
        "fresh",
        "group",
        "listed",
        "run",
        "singly",
    )

    def __init__(self, poller: Poller, run: JobRun, group: Group | None, patience: float | None) -> None:
        self.run = run
        self.group = group
        #: A reading that it has not asked for yet.
        self.fresh: JobSnapshot | None = None
        #: Whether a list has shown that the job is to be read singly.
        self.singly = False
        #: What a list has shown of the job, and how it was read: most of the time nothing changes.
        self.listed: tuple[Mapping[str, Any], JobSnapshot] | None = None
        self._poller = poller
        #: The last reading, if it was no error.
        self._last: JobSnapshot | None = None
        self._awake: asyncio.Future[None] | None = None
        self._anew: Callable[[], float | None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        #: What its wait waits for, awake.
        self._reading: asyncio.Future[Any] | None = None
        self._patience = patience
        self._is_late = False
        self._late: asyncio.TimerHandle | None = None
        self._slept_enough = self._sleeps_until = 0.0

    def __enter__(self) -> Self:
        if self.group is not None:
            self.group.join(self)
        if self._patience is not None:
            self._late = asyncio.get_running_loop().call_later(self._patience, self._give_up)
        return self

    def __exit__(self, *_: object) -> None:
        if self.group is not None:
            self.group.leave(self)
            self._poller.left(self.group)
        if self._late is not None:
            self._late.cancel()

    def would_read_soon(self, now: float) -> bool:
        """Whether it sleeps, and has for most of its pause.

        :param now: seconds of the loop's clock.
        """
        return self._awake is not None and now >= self._slept_enough

    def answer(self) -> asyncio.Future[Any]:
        """Return what gets the reading that its wait waits for; ``None``: it is to be read singly."""
        self._reading = asyncio.get_running_loop().create_future()
        if self._is_late:
            self._give_up()
        return self._reading

    def _give_up(self) -> None:
        """Have the wait end with :class:`DeadlinePassedError` as soon as it waits for a reading.

        One that sleeps on, as the next list is to tell it of its job, does so now.
        """
        self._is_late = True
        if self._timer is None:
            self._wake()
        if self._reading is not None and not self._reading.done():
            late = DeadlinePassedError(f"{name(self.run)} has not ended in time", run=self.run)
            self._reading.set_exception(late)

    def told(self, snapshot: JobSnapshot | None) -> None:
        """Take what a list shows of the job; ``None``: it is to be read singly.

        A job in which nothing changes does not wake its wait: that costs more than all that the list costs.
        """
        if self._reading is not None:
            if not self._reading.done():
                self._reading.set_result(snapshot)
            return
        if snapshot is not None and snapshot is self._last and self._anew is not None:
            pause = self._anew()
            if pause is not None:
                self._pause(pause)
                return
        self.fresh = snapshot
        self.singly = snapshot is None
        self._wake()

    async def sleep(self, pause: Pause) -> None:
        """Pause, or until the list of others has shown something of the job that its wait wants to know."""
        if self.group is None:
            await asyncio.sleep(pause.seconds)
            return
        loop = asyncio.get_running_loop()
        self._awake, self._anew = loop.create_future(), pause.anew
        self._pause(pause.seconds)
        try:
            await self._awake
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._awake = self._anew = self._timer = None

    async def adescribe(self, _: JobRun) -> JobSnapshot:
        """Read the job."""
        snapshot, self.fresh, self._last = self.fresh, None, None
        try:
            self._last = snapshot or await self._poller.read(self)
        finally:
            self._reading = None
        return self._last

    async def arequest_cancel(self, run: JobRun) -> bool:
        """Ask for the end of the job."""
        return await (await self._poller.hook()).arequest_cancel(run)

    async def aread_page(self, operation: Operation, values: Mapping[str, Any], token: str | None) -> Page:
        """Read a page of a list."""
        return await (await self._poller.hook()).aread_page(operation, values, token)

    def _pause(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._slept_enough = now + seconds * _SOON
        self._sleeps_until = now + seconds
        if self._timer is None:
            self._timer = loop.call_at(self._sleeps_until, self._rings)

    def _rings(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        # The pause may have begun anew meanwhile: to move the timer each time would cost more.
        if loop.time() < self._sleeps_until:
            self._timer = loop.call_at(self._sleeps_until, self._rings)
            return
        # What a list has shown the last time, it probably shows again: nothing to wake the wait for.
        listed = self._last is not None and self.listed is not None and self._last is self.listed[1]
        sleeps_on = listed and not self._is_late and self._anew is not None
        if not (sleeps_on and self._poller.ask(self)):
            self._wake()

    def _wake(self) -> None:
        if self._awake is not None and not self._awake.done():
            self._awake.set_result(None)
