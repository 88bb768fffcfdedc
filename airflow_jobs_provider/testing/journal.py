"""The journal: every call that reached the emulator, in the order of their arrival."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass, fields
from typing import Any


@dataclass(slots=True)
class Call:
    """One call; see :meth:`EmulatorControl.journal`."""

    number: int
    time: float
    service: str
    operation: str
    region: str
    account: str
    access_key: str
    parameters: dict[str, Any]
    outcome: str = "in flight"
    status: int | None = None
    executed: bool = False


_FIELDS = tuple(field.name for field in fields(Call))


class Journal:
    """The calls.

    :param limit: how many it keeps; the counts go on.
    """

    def __init__(self, limit: int) -> None:
        self._lock = threading.Lock()
        self._calls: deque[Call] = deque(maxlen=limit)
        self._counts: Counter[tuple[str, str]] = Counter()
        self._number = 0

    def arrived(self, time: float, **call: Any) -> Call:
        """Write down a call."""
        with self._lock:
            self._number += 1
            entry = Call(self._number, time, **call)
            self._calls.append(entry)
        return entry

    def answered(self, call: Call, outcome: str, status: int | None) -> None:
        """Write down how it ended."""
        with self._lock:
            call.outcome, call.status = outcome, status
            self._counts[call.operation, outcome] += 1

    def entries(self, operation: str | None, since: int) -> list[dict[str, Any]]:
        """Return the calls of an operation (None: all) with a number above ``since``."""
        with self._lock:
            calls = [call for call in self._calls if call.number > since]
        return [
            {name: getattr(call, name) for name in _FIELDS}
            for call in calls
            if operation in (None, call.operation)
        ]

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many calls of each operation had which outcome."""
        result: dict[str, dict[str, int]] = {}
        with self._lock:
            for (operation, outcome), calls in self._counts.items():
                result.setdefault(operation, {})[outcome] = calls
        return result
