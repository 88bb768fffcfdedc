"""Waits whose jobs are read with one list."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_jobs_provider.jobs import job_type_of
from airflow_jobs_provider.jobs.parts import Overview
from airflow_jobs_provider.jobs.run import JobSnapshot

if TYPE_CHECKING:
    from airflow_jobs_provider.jobs.model import JobType
    from airflow_jobs_provider.triggers.waiter import Waiter

_log = logging.getLogger(__name__)

# A list pays from so many readings a page on: it brings more bytes than a single reading does, and what it
# shows as ended may have to be read singly all the same.
_WORTH = 3
# So many lists in vain, one after the other, and for so many seconds there is none.
_IN_VAIN = 3
_GIVEN_UP = 300.0


class Group:
    """The waits for jobs that one list shows.

    :param key: what it is known by.
    :param job_type: reads what it lists.
    :param overview: the list.
    :param values: its parameters.
    """

    def __init__(self, key: Any, job_type: JobType, overview: Overview, values: Mapping[str, str]) -> None:
        self.key = key
        self._job_type = job_type
        self._by_ids: dict[tuple[Any, ...], set[Waiter]] = {}
        self.operation = overview.operation
        self.overview = overview
        self.values = values
        self.members: set[Waiter] = set()
        self.queued = False
        #: False where AWS does not know what they have in common: their data set is deleted, say.
        self.can_be_listed = True
        #: How often its list was throttled, one time after the other.
        self.throttled = 0
        #: Up to which page somebody's job was found the last time.
        self.pages = 1
        #: Until when it is not listed (seconds of the loop's clock).
        self.given_up_until = 0.0
        self._in_vain = 0
        #: Those who wait for its next list.
        self.asked: set[Waiter] = set()

    def join(self, waiter: Waiter) -> None:
        """Take a wait in."""
        self.members.add(waiter)
        self._by_ids.setdefault(self._ids_of(waiter), set()).add(waiter)

    def leave(self, waiter: Waiter) -> None:
        """Let a wait go."""
        self.members.discard(waiter)
        self.asked.discard(waiter)
        ids = self._ids_of(waiter)
        self._by_ids[ids].discard(waiter)
        if not self._by_ids[ids]:
            del self._by_ids[ids]

    def waiting_for(self, record: Mapping[str, Any]) -> Collection[Waiter]:
        """Return the waits for a listed job."""
        return self._by_ids.get(self._job_type.listed_ids(record), ())

    @property
    def is_worth_a_list(self) -> bool:
        """Whether there may be enough waits to read them together."""
        may_be_listed = self.can_be_listed and asyncio.get_running_loop().time() >= self.given_up_until
        return may_be_listed and len(self.members) >= _WORTH * self.pages

    def give_up(self, seconds: float) -> None:
        """Have no list for so many seconds."""
        self.given_up_until = asyncio.get_running_loop().time() + seconds

    def saved(self, calls: int) -> None:
        """Note how many calls a list has saved: where it is none, time after time, lists are given up."""
        self._in_vain = 0 if calls > 0 else self._in_vain + 1
        if self._in_vain >= _IN_VAIN:
            self._in_vain = 0
            self.give_up(_GIVEN_UP)

    def _ids_of(self, waiter: Waiter) -> tuple[Any, ...]:
        return tuple(waiter.run.ids.get(name) for name in self.overview.ids)

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
        self._useful = 1
        self._group = group
        self._asked, group.asked = group.asked & group.members, set()
        now = asyncio.get_running_loop().time()
        self._missing = {each for each in group.members if each in self._asked or each.would_read_soon(now)}
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
        if not self.pages:
            return bool(self._missing)
        # For one whom the list does not show at all, all its pages would be read, again and again.
        worth = len(self._missing) >= _WORTH and self.pages < self._readers // _WORTH
        return worth and not self._is_last

    def saw(self, records: Sequence[Mapping[str, Any]], *, last: bool) -> None:
        """Give the waits what a page shows of their jobs."""
        self.pages += 1
        self._is_last = last
        now = asyncio.get_running_loop().time()
        for record in records:
            for waiter in self._group.waiting_for(record):
                self._shown[waiter] = record
                if waiter in self._missing:
                    self._missing.discard(waiter)
                    self._useful = self.pages
                asked = waiter in self._asked or waiter in self._group.asked
                if asked or waiter.would_read_soon(now):
                    self._asked.discard(waiter)
                    self._group.asked.discard(waiter)
                    waiter.told(self._reading(waiter))

    def again(self) -> None:
        """Let those who have no answer yet go on asking."""
        self._group.asked |= self._asked
        self._asked = set()

    def end(self) -> None:
        """Have those read singly whose jobs were not shown.

        Who has asked too late for the page with his job has his answer from it all the same: another list
        for a few would follow at once, and another one for those who ask during that one.
        """
        if self.pages:
            # Not those that were read in vain, for jobs that are not listed yet: with so many pages no list
            # might ever pay again.
            self._group.pages = self._useful
            self._group.saved(self._readers - len(self._missing) - self.pages)
        for waiter in self._asked:
            waiter.told(None)
        for waiter in self._group.asked & self._shown.keys():
            self._group.asked.discard(waiter)
            waiter.told(self._reading(waiter))

    def _reading(self, waiter: Waiter) -> JobSnapshot | None:
        """Return what was shown of a job, or ``None`` where that is not all, or makes no sense."""
        record = self._shown[waiter]
        if waiter.listed is None or waiter.listed[0] != record:
            try:
                waiter.listed = (record, job_type_of(waiter.run).read_record(record, brief=True))
            except Exception as error:  # noqa: BLE001 - of one record: the others' waits are not to hang for it
                _log.debug("what a list shows of a job cannot be read: %r", error)
                return None
        snapshot = waiter.listed[1]
        tells_all = self._group.overview.complete or (snapshot.known and not snapshot.state.is_over)
        return snapshot if tells_all else None
