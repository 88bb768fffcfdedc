"""What goes wrong between a caller and the service, on request."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from airflow_jobs_provider.testing.operations import check_operation, check_service
from airflow_jobs_provider.testing.settings import (
    Check,
    count,
    count_from_one,
    named,
    number,
    one_of,
    optional,
    seconds,
    text,
)

#: Kinds of fault that answer with an error.
ERRORS = ("throttle", "server_error", "expired_token", "error")
#: Every kind of fault.
KINDS = (*ERRORS, "drop", "drop_after", "delay")


def _probability(value: Any) -> float:
    what = "a number above 0 and at most 1"
    if number(value, what) > 1 or value == 0:
        raise ValueError(f"must be {what}")
    return float(value)


def _error_status(value: Any) -> int:
    lowest, highest = 400, 599
    what = f"an HTTP status from {lowest} to {highest}"
    if number(value, what, minimum=lowest, whole=True) > highest:
        raise ValueError(f"must be {what}")
    return int(value)


_CHECKS: Mapping[str, Check] = {
    "kind": one_of(*KINDS),
    "times": optional(count_from_one),
    "probability": optional(_probability),
    "seed": optional(count),
    "delay": optional(seconds),
    "code": optional(text),
    "http_status": optional(_error_status),
    "message": optional(text),
    "containing": optional(text),
    "lasts": optional(seconds),
    "above": optional(count_from_one),
}


@dataclass
class Fault:
    """One fault; see :meth:`EmulatorControl.fault` for the parameters, and :func:`fault_of` to make one."""

    kind: str
    service: str | None = None
    operation: str | None = None
    times: int | None = None
    probability: float | None = None
    seed: int | None = None
    delay: float | None = None
    code: str | None = None
    http_status: int | None = None
    message: str | None = None
    containing: str | None = None
    lasts: float | None = None
    above: int | None = None
    #: When it is over (the emulator's clock).
    ends: float | None = field(default=None, init=False)
    _random: random.Random = field(init=False, repr=False)
    _spared: deque[float] = field(default_factory=deque, init=False, repr=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - no secret

    def strikes(self, service: str, operation: str, parameters: Mapping[str, Any]) -> bool:
        """Return whether it hits this call, and count it."""
        if self.service not in (None, service) or self.operation not in (None, operation) or self.times == 0:
            return False
        if self.containing is not None and not any(
            self.containing in str(value) for value in parameters.values()
        ):
            return False
        if self.above is not None and not self._is_above(self.above):
            return False
        if self.probability is not None and self._random.random() >= self.probability:
            return False
        if self.times is not None:
            self.times -= 1
        return True

    def _is_above(self, limit: int) -> bool:
        now = time.monotonic()
        while self._spared and now - self._spared[0] > 1:
            self._spared.popleft()
        if len(self._spared) >= limit:
            return True
        self._spared.append(now)
        return False


def fault_of(kind: str, options: Mapping[str, Any]) -> Fault:
    """Return a fault; ``ValueError`` names the option that makes no sense."""
    known = {item.name for item in fields(Fault) if item.init}
    for name, value in options.items():
        if name not in known:
            raise ValueError(f"a fault has no option {name}={value!r}; it has {', '.join(sorted(known))}")
    for name, value in {"kind": kind, **options}.items():
        if name in _CHECKS:
            named(name, value, _CHECKS[name], "a fault")
    for wanted, name in (("error", "code"), ("delay", "delay")):
        if kind == wanted and options.get(name) is None:
            raise ValueError(f"a fault of kind={kind!r} needs {name}")
    for name in ("code", "http_status", "message"):
        if kind not in ERRORS and options.get(name) is not None:
            raise ValueError(f"{name}={options[name]!r} has no meaning for a fault of kind={kind!r}")
    check_service(options.get("service"))
    check_operation(options.get("operation"), options.get("service"))
    return Fault(kind, **options)
