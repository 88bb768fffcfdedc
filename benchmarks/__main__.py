"""``python -m benchmarks``: measure, and write a part of RESULTS.md and its picture."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.page import Page
from benchmarks.report import picture, report
from benchmarks.runs import Measurement, begin_together
from benchmarks.scenarios import FULL, QUICK, batches

_IMPORT = """
import airflow.sdk, time
from airflow.sdk import BaseOperator, BaseSensorOperator
before = time.process_time()
import airflow_jobs_provider.operators.quicksight
print(time.process_time() - before)
"""


def import_cpu() -> float:
    """Return the seconds of CPU that an operator module needs: the best of five, to leave out the noise.

    Its bytecode is there, as pip makes it: the first of the five compiles it, whatever the environment says.
    """
    command = [sys.executable, "-W", "ignore", "-c", _IMPORT]
    with tempfile.TemporaryDirectory(prefix="bench-") as bytecode:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode, "PYTHONDONTWRITEBYTECODE": ""}
        run = [
            subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=True,
                cwd=Path(__file__).parents[1],
                env=environment,
            )
            for _ in range(5)
        ]
    return min(float(done.stdout.splitlines()[-1]) for done in run)


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few waits, one round: under three minutes")
    parser.add_argument("--rounds", type=int, default=3, help="of each scenario (default: %(default)s)")
    parser.add_argument("--only", nargs="*", help="these scenarios")
    parser.add_argument("--side", choices=("ours", "amazon"), help="this side only")
    parser.add_argument("--out", type=Path, help="folder for the results (default: the repository's)")
    options = parser.parse_args()
    scenarios = [
        each
        for each in (QUICK if options.quick else FULL)
        if options.only in (None, []) or each.name in options.only
    ]
    rounds: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    count = 1 if options.quick else options.rounds

    def note(number: int, measured: Sequence[Measurement]) -> None:
        for each in measured:
            found = each.figures()
            each.close()
            rounds[each.scenario.name][each.side].append(found)
            shown = {key: value for key, value in found.items() if key != "latencies"}
            name = f"{number + 1}/{count} {each.scenario.name} {each.side}"
            print(f"{name}: {json.dumps(shown)}", flush=True)

    with ExitStack() as stack:
        earlier: tuple[int, Sequence[Measurement]] = (0, ())
        for number in range(count):
            for batch in batches(scenarios, number, options.side):
                measured = [stack.enter_context(Measurement(*each)) for each in batch]
                begin_together(measured)
                # These have slept meanwhile, to see what is left.
                note(*earlier)
                for each in measured:
                    each.is_over()
                earlier = (number, measured)
        note(*earlier)
    text = report(scenarios, rounds, import_cpu(), quick=options.quick)
    # The repository keeps what is whole.
    if options.out is not None or not (options.quick or options.only or options.side):
        page = Page.in_folder(options.out)
        page.write("make bench", text)
        drawn = picture(scenarios, rounds)
        if drawn is not None:
            page.draw("bench-waits", drawn)
    print(text)


if __name__ == "__main__":
    main()
