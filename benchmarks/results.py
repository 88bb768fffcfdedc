"""Medians, ratios, and what must be reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

#: scenario -> side -> the figures of each round.
Rounds = Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]

_MB = 1024 * 1024


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which a share of sorted values lies; 0 without values."""
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0


#: What is shown: name, unit, and how it is read from the figures of a round.
FIGURES: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], float]]] = {
    "CPU": ("s", lambda found: found["cpu"]),
    "peak memory": ("MB", lambda found: found["peak"] / _MB),
    "memory per wait": ("kB", lambda found: found["per_wait"] / 1024),
    "longest block": ("ms", lambda found: found["longest_block"] * 1000),
    "blocked in all": ("s", lambda found: found["total_block"]),
    "sockets": ("", lambda found: found["sockets"]),
    "API calls": ("", lambda found: found["calls"]),
    "throttled": ("", lambda found: found["throttled"]),
    "all watched after": ("s", lambda found: found["watched"]),
    "latency p50": ("s", lambda found: percentile(found["latencies"], 0.5)),
    "latency p95": ("s", lambda found: percentile(found["latencies"], 0.95)),
    "latency p99": ("s", lambda found: percentile(found["latencies"], 0.99)),
    "lost": ("", lambda found: found["lost"]),
}


class Medians:
    """The medians of all rounds."""

    def __init__(self, rounds: Rounds) -> None:
        self._rounds = rounds

    def has(self, scenario: str, side: str = "ours") -> bool:
        """Whether a side was measured."""
        return bool(self._rounds.get(scenario, {}).get(side))

    def of(self, scenario: str, side: str, figure: str) -> float:
        """Return the median of a figure."""
        read = FIGURES[figure][1]
        return median(read(found) for found in self._rounds[scenario][side])

    def less(self, scenario: str, figure: str) -> float:
        """Return how many times less our side needs."""
        return self.of(scenario, "amazon", figure) / max(self.of(scenario, "ours", figure), 1e-9)

    def worst(self, figure: str, but: str = "") -> float:
        """Return our worst median of all scenarios, or of all but one."""
        return max(self.of(name, "ours", figure) for name in self._rounds if self.has(name) and name != but)

    def left(self) -> int:
        """Return the most that was left of anything after the last wait."""
        return max(
            int(count)
            for sides in self._rounds.values()
            for found in sides.get("ours", ())
            for count in found["left"].values()
        )

    def calls_of_allowed(self, scenario: str) -> float:
        """Return our calls as a share of N x (6 + D / poll_interval)."""
        shares = (found["calls"] / found["allowed_calls"] for found in self._rounds[scenario]["ours"])
        return float(median(shares))


@dataclass(frozen=True)
class Goal:
    """One row of the table.

    :param what: in words, with its scenario.
    :param limit: what must be reached, in words.
    :param needs: scenario -> the side that must have been measured beside ours.
    :param value: reads it.
    :param met: judges it.
    :param unit: how it is written.
    """

    what: str
    limit: str
    needs: tuple[str, ...]
    value: Callable[[Medians], float]
    met: Callable[[float], bool]
    unit: str = "{:.1f}"


def _at_least(limit: float) -> Callable[[float], bool]:
    return lambda value: value >= limit


def _at_most(limit: float) -> Callable[[float], bool]:
    return lambda value: value <= limit


def _less(scenario: str, what: str, figure: str, limit: float) -> Goal:
    return Goal(
        f"{what} (`{scenario}`)",
        f"at least {limit:g} times less",
        (scenario,),
        lambda found: found.less(scenario, figure),
        _at_least(limit),
        "{:.1f} times less",
    )


def _calls(scenario: str, limit: float) -> Goal:
    return Goal(
        f"readings, as a share of N x (6 + D / poll_interval) (`{scenario}`)",
        f"at most {limit:g}",
        (scenario,),
        lambda found: found.calls_of_allowed(scenario),
        _at_most(limit),
        "{:.2f}",
    )


def _latency(scenario: str, limit: float) -> Goal:
    return Goal(
        f"detection latency p95 (`{scenario}`)",
        f"at most {limit:g} s",
        (scenario,),
        lambda found: found.of(scenario, "ours", "latency p95"),
        _at_most(limit),
        "{:.2f} s",
    )


def _own(scenario: str, what: str, figure: str, limit: float) -> Goal:
    unit = FIGURES[figure][0]
    return Goal(
        f"{what} (`{scenario}`)",
        f"at most {limit:g} {unit}".strip(),
        (scenario,),
        lambda found: found.of(scenario, "ours", figure),
        _at_most(limit),
        f"{{:.0f}} {unit}".strip(),
    )


def goals(import_cpu: float) -> list[Goal]:
    """Return what must be reached.

    :param import_cpu: seconds of CPU that an operator module needs over ``airflow.sdk.BaseOperator``.
    """
    return [
        _less("separate", "CPU", "CPU", 5),
        _less("neptune", "CPU", "CPU", 25),
        _less("shared", "CPU", "CPU", 25),
        _less("separate", "peak memory of the process", "peak memory", 10),
        # Of all scenarios: where the first wait has taken more than it keeps, others seem to cost nothing.
        Goal(
            "memory per further wait (all)",
            "at most 15 kB",
            ("separate",),
            lambda found: found.worst("memory per wait"),
            _at_most(15),
            "{:.0f} kB",
        ),
        Goal(
            "longest loop block (all but `crowd`)",
            "at most 100 ms",
            ("separate",),
            lambda found: found.worst("longest block", but="crowd"),
            _at_most(100),
            "{:.0f} ms",
        ),
        Goal(
            "sockets of a client (all)",
            "at most 10",
            ("separate",),
            lambda found: found.worst("sockets"),
            _at_most(10),
            "{:.0f}",
        ),
        *(_calls(name, 1) for name in ("separate", "minutes", "short")),
        *(_calls(name, 0.1) for name in ("shared", "neptune")),
        _latency("short", 3),
        _latency("minutes", 5),
        _latency("limited", 1.2 * 200 / 25),
        _latency("bedrock", 1.2 * 1000 / 10),
        _latency("separate", 1.2 * 1000 / 25),
        # Fifty lists, at five a second.
        _latency("shared", 1.2 * 50 / 5),
        # The list says that a task has ended, and a reading of the task how.
        _latency("neptune", 1.2 * 1000 / 25),
        _latency("crowd", 1.2 * 10_000 / 25),
        Goal(
            "tasks, sockets and descriptors left 15 s after the last wait (all)",
            "none",
            ("separate",),
            lambda found: float(found.left()),
            _at_most(0),
            "{:.0f}",
        ),
        _own("crowd", "peak memory", "peak memory", 300),
        _own("crowd", "longest loop block", "longest block", 200),
        _own("crowd", "waits lost", "lost", 0),
        Goal(
            "import of an operator module over `airflow.sdk.BaseOperator`",
            "at most 0.05 s of CPU",
            (),
            lambda _: import_cpu,
            _at_most(0.05),
            "{:.3f} s",
        ),
    ]
