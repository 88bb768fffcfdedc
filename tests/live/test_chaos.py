"""Jobs of all types, while everything that can be killed is killed: the emulator's jobs are the judge."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.live.chaos import plan
from tests.live.chaos.report import storm_over

if TYPE_CHECKING:
    from pathlib import Path


def test_storm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two troubles at once must not do what neither does alone: leave a job behind, or start it twice."""
    report = storm_over(seed=7, tasks=105, seconds=600, folder=tmp_path)
    with capsys.disabled():
        sys.stdout.write(f"\n{report.text}\n")
    if report.wrong:
        pytest.fail("\n".join(report.wrong), pytrace=False)
    # A storm in a teacup would prove nothing.
    assert all(report.counts[kind] for kind in plan.EVERY), report.counts
    assert report.counts["tasks"] == 105
