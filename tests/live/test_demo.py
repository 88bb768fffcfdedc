"""The demo, as ``make demo`` runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.live.home import clean_environment


def test_the_demo_tells_its_story_and_ends() -> None:
    """The demo is the first thing that a newcomer tries, and it runs the example DAGs on a real Airflow."""
    done = subprocess.run(
        [sys.executable, "-m", "demo"],
        cwd=Path(__file__).parents[2],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 jobs of 3 services run side by side" in done.stdout
    assert "Both old jobs are CANCELLED, and new ones run" in done.stdout
    assert "10 jobs started in 4 services, 8 succeeded" in done.stdout
    assert "2 cancelled for the cleared tasks, each before its successor" in done.stdout
