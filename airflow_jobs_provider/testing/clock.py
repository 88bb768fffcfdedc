"""The emulator's clock, and one that tests move by hand."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Protocol


class Clock(Protocol):
    """Where the emulator gets the time from."""

    def time(self) -> float:
        """Return seconds since the epoch."""

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass."""


def moment(seconds: float) -> datetime:
    """Return seconds since the epoch as a timestamp for an answer."""
    return datetime.fromtimestamp(seconds, timezone.utc)


def seconds_of(timestamp: datetime) -> float:
    """Return a request's timestamp as seconds since the epoch; moto leaves out the zone, which is UTC."""
    return (timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=timezone.utc)).timestamp()


class SystemClock:
    """Real time."""

    def time(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


class ManualClock:
    """A clock that stands still until it is moved: an hour's refresh is tested in no time.

    :param now: where it starts, seconds since the epoch.
    """

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def time(self) -> float:
        """Return seconds since the epoch."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Move on without waiting."""
        self.now += seconds

    advance = sleep
