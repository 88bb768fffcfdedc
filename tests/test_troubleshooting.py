"""The page that is read at night, held against what the provider really says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.messages import HOLE, Text, texts

PAGE = Path(__file__).parent.parent / "docs" / "troubleshooting.md"
TEXTS = texts()
QUOTES = [
    quote
    for row in re.findall(r"^\| (.*?) \|", PAGE.read_text(), re.MULTILINE)
    for quote in re.findall(r"`([^`]+)`", row)
    if " " in quote
]
# Said to nobody: caught where it is asked for.
_INTERNAL = ("... has not ended in time", "... is no JSON")


def matches(quote: str, said: str) -> bool:
    """Whether a line of the log that the page quotes can be what the code says."""
    parts = [re.escape(part.strip()) for part in quote.split(HOLE)]
    return re.search(".*".join(parts), said, re.DOTALL) is not None


@pytest.mark.parametrize("quote", QUOTES)
def test_what_is_quoted_is_said(quote: str) -> None:
    """Who searches the page for a line of the log finds it only if it is that line."""
    assert re.search(r"\w", quote.replace(HOLE, ""))
    assert any(matches(quote, text.said) for text in TEXTS), "nothing says so"


@pytest.mark.parametrize(
    "text",
    # A value's description completes the sentence "... must be ..., not ...".
    [text for text in TEXTS if text.is_trouble and text.words >= 3 and text.module != "jobs/values.py"],
    ids=lambda text: f"{text.module}:{text.line}",
)
def test_what_is_said_is_explained(text: Text) -> None:
    """A warning or an error that the page does not know leaves whoever is on call alone."""
    if text.said not in _INTERNAL:
        assert any(matches(quote, text.said) for quote in QUOTES), text.said


def test_a_quote_is_no_blank_cheque() -> None:
    """A quote that fits everything would explain everything, and nothing."""
    common = [quote for quote in QUOTES if sum(matches(quote, text.said) for text in TEXTS) > 3]
    assert common == ["... must be ..., not ..."]  # how every bad value is refused
