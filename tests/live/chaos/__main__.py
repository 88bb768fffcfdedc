"""A storm of any length, and its counts; exit status 1 where the promise was not kept."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.live.chaos.report import storm_over


def main() -> int:
    """Run a storm as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.live.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="how long it rages (default: 600)")
    parser.add_argument("--seed", type=int, default=7, help="decides what happens, and when (default: 7)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        report = storm_over(
            seed=arguments.seed, tasks=sys.maxsize, seconds=arguments.seconds, folder=Path(folder)
        )
    print(report.text)  # noqa: T201
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
