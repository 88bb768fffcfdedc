"""Calls of one API operation: in the order in which they were asked for, as fast as AWS takes them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from typing import Any

# Calls a second to begin with, and at the most, where AWS does not publish what it allows. Others in the
# account read there, too, and each reading costs the triggerer two to three milliseconds of CPU.
_UNPUBLISHED = (20.0, 25.0)
_SLOWEST = 0.5
# What a throttle leaves of the rate, and what a second without one adds to it (calls a second): around a
# limit of 25 the rate stays above 21.
_SLOWED = 0.85
_RECOVERY = 1.0
# Calls that were under way together are throttled together: that slows down once (seconds).
_MOMENT = 0.5
# Calls that may be made at once after a time without any.
_BURST = 5.0
# While calls queue, those of so many seconds are made together: five at a time cost half as much CPU as one
# after the other, as everything that they need is still in the processor's cache.
_BREATH = 0.5


class Bucket:
    """A token bucket whose rate learns what the API takes.

    :param rate: calls a second that AWS allows; ``None`` if it does not say.
    """

    def __init__(self, rate: float | None) -> None:
        self.rate, self.fastest = (rate, rate) if rate is not None else _UNPUBLISHED
        self._tokens = _BURST
        self._filled_at = self._changed_at = time.monotonic()
        self._throttled_at = 0.0
        self._taking = asyncio.Lock()

    async def take(self) -> None:
        """Wait for a token: in the order of the asking.

        Lists ask for their next pages past the queue of those who ask for their first: neither may starve.
        """
        async with self._taking:
            while True:
                now = time.monotonic()
                self._tokens = min(_BURST, self._tokens + (now - self._filled_at) * self.rate)
                self._filled_at = now
                if self._tokens >= 1:
                    self._tokens -= 1
                    return
                wanted = min(_BURST, max(1.0, self.rate * _BREATH))
                await asyncio.sleep((wanted - self._tokens) / self.rate)

    def throttled(self) -> None:
        """Slow down, once for all throttles of a moment."""
        now = time.monotonic()
        self._tokens = min(self._tokens, 0.0)
        if now - self._throttled_at > _MOMENT:
            self.rate = max(_SLOWEST, self.rate * _SLOWED)
            self._throttled_at = self._changed_at = now

    def answered(self) -> None:
        """Recover, with the time that passes without a throttle."""
        now = time.monotonic()
        self.rate = min(self.fastest, self.rate + min(1.0, now - self._changed_at) * _RECOVERY)
        self._changed_at = now


Work = Callable[[], Awaitable[None]]


class Lane:
    """A queue of calls, first come, first served. No task is left when it is empty.

    :param rate: calls a second that AWS allows; ``None`` if it does not say.
    :param slots: shared by all lanes of a client: how many calls are under way at a time.
    """

    def __init__(self, rate: float | None, slots: asyncio.Semaphore) -> None:
        self.bucket = Bucket(rate)
        self._slots = slots
        self._queue: deque[tuple[Callable[[], bool], Work]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._worker: asyncio.Task[None] | None = None

    def put(self, wanted: Callable[[], bool], work: Work) -> None:
        """Have a call made.

        :param wanted: says, when its turn has come, whether it is still to be made.
        :param work: makes it; raises nothing.
        """
        self._queue.append((wanted, work))
        if self._worker is None:
            self._worker = self._start(self._run())

    async def next_turn(self) -> None:
        """Wait, in work that is under way, until it may make another call; others make theirs meanwhile."""
        self._slots.release()
        try:
            await self.bucket.take()
        finally:
            await self._slots.acquire()

    async def close(self) -> None:
        """Stop, and have what is under way stopped."""
        self._queue.clear()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self) -> None:
        try:
            while self._queue:
                wanted, work = self._queue.popleft()
                if wanted():
                    await self.bucket.take()
                    await self._slots.acquire()
                    self._start(self._work(work))
        finally:
            self._worker = None

    async def _work(self, work: Work) -> None:
        try:
            await work()
        finally:
            self._slots.release()

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        # In a context of its own: else its log lines would be those of the trigger that happens to be first.
        task = Context().run(asyncio.get_running_loop().create_task, coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
