"""The tables of the kill matrix: they must not say more than was seen."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.live.table import Seen


def item(name: str) -> Any:
    """Return a test that shows the one row."""
    mark = pytest.mark.kill_matrix(event="its triggerer dies", job="goes on", modes=("deferred",)).mark
    return SimpleNamespace(nodeid=name, user_properties=[("job_types", 7)], get_closest_marker=lambda _: mark)


@pytest.mark.parametrize("passed", [(True, False), (False, True)])
def test_the_least_counts(passed: tuple[bool, bool]) -> None:
    """What holds after SIGKILL and not after SIGTERM does not hold, in whichever order they were tried."""
    seen, items = Seen(), [item("SIGTERM"), item("SIGKILL")]
    seen.expect(items)
    for each, held in zip(items, passed, strict=True):
        assert not seen.is_whole
        seen.saw(each, passed=held)
    assert seen.is_whole
    assert "0 of 7" in seen.table(with_counts=True)
    assert "7 of 7" not in seen.table(with_counts=True)
