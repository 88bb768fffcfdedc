"""A bar chart as SVG, for the README."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from benchmarks.results import FIGURES, Medians
from benchmarks.scenarios import Scenario

_ROWS = ("CPU", "peak memory", "longest block", "sockets")
_WIDTH, _ROW, _LEFT, _BARS = 720, 50, 150, 400
_COLOURS = {"ours": "#1b7f5c", "amazon": "#b9b9b9"}


def svg(scenario: Scenario, found: Medians) -> str:
    """Return a picture of a scenario in which both sides were measured."""
    height = 70 + _ROW * len(_ROWS)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}"',
        'font-family="system-ui, sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        _text(16, 26, f"{scenario.title}: one triggerer process", weight="bold"),
        _text(16, 46, "dark: this provider, light: the amazon provider", colour="#555"),
    ]
    for number, figure in enumerate(_ROWS):
        top = 62 + number * _ROW
        unit = FIGURES[figure][0]
        values = {side: found.of(scenario.name, side, figure) for side in _COLOURS}
        most = max(*values.values(), 1e-9)
        parts.append(_text(16, top + 23, figure))
        for place, (side, value) in enumerate(values.items()):
            length = max(1.0, value / most * _BARS)
            y = top + place * 18
            parts += [
                f'<rect x="{_LEFT}" y="{y}" width="{length:.1f}" height="15" fill="{_COLOURS[side]}"/>',
                _text(_LEFT + length + 6, y + 12, f"{_short(value)} {unit}".strip()),
            ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _text(x: float, y: float, text: str, *, weight: str = "normal", colour: str = "#111") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-weight="{weight}" fill="{colour}">{escape(text)}</text>'


def pictured(scenarios: Sequence[Scenario], found: Medians) -> Scenario | None:
    """Return the scenario to be shown: the one in which nothing can be shared."""
    return next(
        (
            each
            for each in scenarios
            if each.name == "separate" and all(found.has(each.name, side) for side in _COLOURS)
        ),
        None,
    )
