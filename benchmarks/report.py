"""What was measured, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.page import machine
from benchmarks.plot import Bar, Group, svg
from benchmarks.results import FIGURES, Medians, Rounds, goals
from benchmarks.scenarios import Scenario

_PICTURED, _FIGURES = "separate", ("CPU", "peak memory", "longest block", "sockets")


def report(scenarios: Sequence[Scenario], rounds: Rounds, import_cpu: float, *, quick: bool) -> str:
    """Return the results as Markdown."""
    found = Medians(rounds)
    lines = [
        "## Many waits in one process",
        "",
        "Made by `make bench" + (" QUICK=1`: few waits, so the ratios say little" if quick else "`") + ".",
        "",
        f"{machine()}. Medians of the rounds; each side in a process of its own, with an emulated AWS in",
        "another. What leaves the machine nearly idle is measured beside others, and says so; the rest",
        "alone, one after the other. The amazon provider's loop is blocked for most of its polls, so its own",
        "calls are no measure. CPU is without what the ticks cost by which blocks are measured.",
        "",
        "| must reach | limit | measured | |",
        "|---|---|---|---|",
    ]
    for goal in goals(import_cpu):
        if all(found.has(name) for name in goal.needs) and (
            "times less" not in goal.limit or found.has(goal.needs[0], "amazon")
        ):
            value = goal.value(found)
            verdict = "met" if goal.met(value) else "**not met**"
            lines.append(f"| {goal.what} | {goal.limit} | {goal.unit.format(value)} | {verdict} |")
        else:
            lines.append(f"| {goal.what} | {goal.limit} | | not measured |")
    for scenario in scenarios:
        lines += ["", *_table(scenario, found, rounds)]
    return "\n".join(lines) + "\n"


def _table(scenario: Scenario, found: Medians, rounds: Rounds) -> list[str]:
    shortest, longest = scenario.durations
    limit = f", throttled above {scenario.limit} readings a second" if scenario.limit else ""
    count = len(rounds.get(scenario.name, {}).get("ours", ()))
    beside = f"; {' and '.join(scenario.light)}: beside other light ones" if scenario.light else ""
    lines = [
        f"### `{scenario.name}`: {scenario.title}",
        "",
        f"Jobs of {shortest:g} to {longest:g} s, poll_interval {scenario.poll_interval} s{limit};",
        f"rounds: {count}{beside}.",
        "",
        "| | ours | amazon | |",
        "|---|---:|---:|---:|",
    ]
    for figure, (unit, _) in FIGURES.items():
        cells = [
            f"{found.of(scenario.name, side, figure):,.2f} {unit}".strip()
            if found.has(scenario.name, side)
            else ""
            for side in ("ours", "amazon")
        ]
        both = found.has(scenario.name) and found.has(scenario.name, "amazon")
        ours = found.of(scenario.name, "ours", figure) if both else 0
        ratio = f"{found.less(scenario.name, figure):.1f} times" if ours > 0 else ""
        lines.append(f"| {figure} | {cells[0]} | {cells[1]} | {ratio} |")
    return lines


def picture(scenarios: Sequence[Scenario], rounds: Rounds) -> str | None:
    """Return a picture of the scenario in which nothing can be shared, if both sides were measured."""
    found = Medians(rounds)
    for scenario in scenarios:
        if scenario.name == _PICTURED and found.has(_PICTURED) and found.has(_PICTURED, "amazon"):
            groups = [_group(found, figure) for figure in _FIGURES]
            return svg(f"{scenario.title}: one triggerer process", groups)
    return None


def _group(found: Medians, figure: str) -> Group:
    values = {side: found.of(_PICTURED, side, figure) for side in ("ours", "amazon")}
    unit = FIGURES[figure][0]
    bars = [
        Bar(value, f"{value:,.{1 if unit and value < 10 else 0}f} {unit}".strip(), side == "ours")
        for side, value in values.items()
    ]
    return Group(figure, bars, max(values.values()))
