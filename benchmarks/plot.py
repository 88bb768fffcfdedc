"""Bar charts as SVG, for README and docs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _LEFT, _BARS = 720, 190, 400
_STEP, _THICK, _GAP = 18, 15, 14
_OURS, _OTHERS = "#1b7f5c", "#b9b9b9"


@dataclass(frozen=True)
class Bar:
    """A bar.

    :param value: its length, on the scale of its group.
    :param text: what stands beside it.
    :param is_ours: whether it is this provider's.
    """

    value: float
    text: str
    is_ours: bool


@dataclass(frozen=True)
class Group:
    """Bars with a name.

    :param most: the value of the longest possible bar.
    """

    name: str
    bars: Sequence[Bar]
    most: float


def svg(title: str, groups: Sequence[Group], *, others: str = "the amazon provider") -> str:
    """Return a picture.

    :param others: whose bars are not ours.
    """
    parts = [
        _text(16, 26, title, weight="bold"),
        _text(16, 46, f"dark: this provider; light: {others}", colour="#555"),
    ]
    top = 62
    for group in groups:
        parts.append(_text(16, top + 5 + 9 * len(group.bars), group.name))
        for bar in group.bars:
            length = max(1.0, bar.value / max(group.most, 1e-9) * _BARS)
            colour = _OURS if bar.is_ours else _OTHERS
            parts += [
                f'<rect x="{_LEFT}" y="{top}" width="{length:.1f}" height="{_THICK}" fill="{colour}"/>',
                _text(_LEFT + length + 6, top + 12, bar.text),
            ]
            top += _STEP
        top += _GAP
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{top}"',
        'font-family="system-ui, sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{top}" fill="white"/>',
    ]
    return "\n".join([*head, *parts, "</svg>"]) + "\n"


def _text(x: float, y: float, text: str, *, weight: str = "normal", colour: str = "#111") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-weight="{weight}" fill="{colour}">{escape(text)}</text>'
