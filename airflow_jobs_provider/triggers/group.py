"""Waits whose jobs are read with one list."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_jobs_provider.jobs import job_type_of
from airflow_jobs_provider.jobs.parts import Operation, Overview
from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot
from airflow_jobs_provider.steps import Pause

if TYPE_CHECKING:
    from airflow_jobs_provider.hooks.protocol import Page
    from airflow_jobs_provider.triggers.poller import Poller

# A list pays from so many readings a page on: it brings more bytes than a single reading does, and what it
# shows as ended may have to be read singly all the same.
_WORTH = 3
# A wait takes part in the others' list when it has slept this share of its pause. With half of it, the waits
# of a group come into step within two lists; with less, each new wait would have all others read anew.
_SOON = 0.5


class Waiter:
    """Reads one job for one wait: what :func:`~airflow_jobs_provider.steps.adrive` asks for steps."""

    __slots__ = (
        "_anew",
        "_answer",
        "_awake",
        "_last",
        "_poller",
        "_sleeps_until",
        "_slept_enough",
        "_timer",
        "fresh",
        "group",
        "listed",
        "run",
        "singly",
    )

    def __init__(self, poller: Poller, run: JobRun, group: Group | None) -> None:
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
        #: What it has asked for while its wait sleeps on.
        self._answer: asyncio.Future[JobSnapshot | None] | None = None
        self._slept_enough = self._sleeps_until = 0.0

    @property
    def would_read_soon(self) -> bool:
        """Whether it sleeps, and has for most of its pause."""
        return self._awake is not None and asyncio.get_running_loop().time() >= self._slept_enough

    def saw(self, snapshot: JobSnapshot | None) -> None:
        """Take what a list shows of the job while its wait sleeps; ``None``: it is to be read singly.

        A job in which nothing changes does not wake its wait: that costs more than all that the list costs.
        """
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
            for each in (self._timer, self._answer):
                if each is not None:
                    each.cancel()
            self._awake = self._anew = self._timer = self._answer = None

    async def adescribe(self, _: JobRun) -> JobSnapshot:
        """Read the job."""
        snapshot, self.fresh, self._last = self.fresh, None, None
        self._last = snapshot or await self._poller.read(self)
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
        self._answer = self._poller.ask(self) if listed and self._anew is not None else None
        if self._answer is None:
            self._wake()
        else:
            self._answer.add_done_callback(self._answered)

    def _answered(self, answer: asyncio.Future[JobSnapshot | None]) -> None:
        if answer is self._answer and not answer.cancelled():
            self._answer = None
            self.saw(answer.result())

    def _wake(self) -> None:
        if self._awake is not None and not self._awake.done():
            self._awake.set_result(None)


class Group:
    """The waits for jobs that one list shows.

    :param key: what it is known by.
    :param overview: the list.
    :param values: its parameters.
    """

    def __init__(self, key: Any, overview: Overview, values: Mapping[str, str]) -> None:
        self.key = key
        self.operation = overview.operation
        self.overview = overview
        self.values = values
        self.members: set[Waiter] = set()
        self.queued = False
        #: False where AWS does not know what they have in common: their data set is deleted, say.
        self.can_be_listed = True
        #: How often its list was throttled, one time after the other.
        self.throttled = 0
        #: How many pages it took the last time.
        self.pages = 1
        self.asked: dict[Waiter, asyncio.Future[JobSnapshot | None]] = {}

    @property
    def is_worth_a_list(self) -> bool:
        """Whether there may be enough waits to read them together."""
        return self.can_be_listed and len(self.members) >= _WORTH * self.pages

    def ask(self, waiter: Waiter) -> asyncio.Future[JobSnapshot | None]:
        """Return what will be the reading, or ``None``: the job is to be read singly."""
        answer: asyncio.Future[JobSnapshot | None] = asyncio.get_running_loop().create_future()
        self.asked[waiter] = answer
        return answer

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Yield what is to be read now; whoever has asked and got no answer reads singly."""
        turn = Turn(self)
        try:
            yield turn
        finally:
            turn.end()


class Turn:
    """One list for those who have asked, or ask while it is read, and for those who soon would."""

    def __init__(self, group: Group) -> None:
        self.pages = 0
        self._group = group
        self._asked, group.asked = group.asked, {}
        self._asked = {waiter: answer for waiter, answer in self._asked.items() if not answer.done()}
        self._members: dict[tuple[Any, ...], list[Waiter]] = {}
        for waiter in group.members:
            ids = tuple(waiter.run.ids.get(name) for name in group.overview.ids)
            self._members.setdefault(ids, []).append(waiter)
        self._missing = {each for each in group.members if each in self._asked or each.would_read_soon}
        self._readers = len(self._missing)
        self._shown: dict[Waiter, Mapping[str, Any]] = {}
        self._is_last = False

    @property
    def pays(self) -> bool:
        """Whether a list is cheaper than single readings."""
        return bool(self._asked) and self._readers >= _WORTH * self._group.pages

    @property
    def goes_on(self) -> bool:
        """Whether another page may show somebody's job, and still pays."""
        worth = self.pages < max(1, self._readers // _WORTH)
        return bool(self._missing) and not self._is_last and worth

    def saw(self, records: Sequence[Mapping[str, Any]], *, last: bool) -> None:
        """Give the waits what a page shows of their jobs."""
        self.pages += 1
        self._is_last = last
        for record in records:
            for waiter in self._members.get(self._ids(record), ()):
                self._shown[waiter] = record
                self._missing.discard(waiter)
                answer = self._asked.pop(waiter, None) or self._group.asked.pop(waiter, None)
                if answer is not None:
                    self._answer(answer, waiter)
                elif waiter.would_read_soon:
                    waiter.saw(self._reading(waiter))

    def again(self) -> None:
        """Let those who have no answer yet go on asking."""
        self._group.asked = {**self._asked, **self._group.asked}
        self._asked = {}

    def end(self) -> None:
        """Have those read singly whose jobs were not shown.

        Who has asked too late for the page with his job has his answer from it all the same: another list
        for a few would follow at once, and another one for those who ask during that one.
        """
        if self.pages:
            self._group.pages = max(1, self.pages)
        for answer in self._asked.values():
            if not answer.done():
                answer.set_result(None)
        for waiter in [waiter for waiter in self._group.asked if waiter in self._shown]:
            self._answer(self._group.asked.pop(waiter), waiter)

    def _ids(self, record: Mapping[str, Any]) -> tuple[Any, ...]:
        waiter = next(iter(self._group.members), None)
        return () if waiter is None else job_type_of(waiter.run).listed_ids(record)

    def _answer(self, answer: asyncio.Future[JobSnapshot | None], waiter: Waiter) -> None:
        if not answer.done():
            answer.set_result(self._reading(waiter))

    def _reading(self, waiter: Waiter) -> JobSnapshot | None:
        """Return what was shown of a job, or ``None`` where that is not all."""
        record = self._shown[waiter]
        if waiter.listed is None or waiter.listed[0] != record:
            waiter.listed = (record, job_type_of(waiter.run).read_record(record, brief=True))
        snapshot = waiter.listed[1]
        tells_all = self._group.overview.complete or (snapshot.known and not snapshot.state.is_over)
        return snapshot if tells_all else None
