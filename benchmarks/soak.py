"""An hour of waits, twenty times as fast: ``python -m benchmarks.soak``. Nothing may be left, or grow."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import random
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from airflow_jobs_provider.jobs import JOB_TYPES
from airflow_jobs_provider.testing import EmulatorClient
from benchmarks.runs import emulator
from benchmarks.scenarios import NEPTUNE, QUICKSIGHT, REGION

# Simulated seconds in a second.
_FASTER = 20.0
_POLL_INTERVAL = 5.0 / _FASTER
_DURATIONS = (20.0 / _FASTER, 60.0 / _FASTER)
# Waits at a time: on data sets of their own, on five data sets, and imports into graphs.
_WAITS = 60
_TARGETS = ((QUICKSIGHT, 10_000), (QUICKSIGHT, 5), (NEPTUNE, 10_000))
# Seconds after the last wait of a stretch until nothing may be left.
_AFTER = 7.0


async def soak(aws: EmulatorClient, stretches: int, seconds: float) -> list[dict[str, float]]:
    """Wait for jobs, stretch by stretch; return what is left after each.

    :param seconds: how long each stretch lasts.
    """
    from airflow_jobs_provider.hooks.aws_job import AwsJobHook
    from airflow_jobs_provider.triggers import lanes
    from airflow_jobs_provider.triggers.aws_job import AwsJobTrigger

    lanes._UNPUBLISHED = (25.0 * _FASTER, 25.0 * _FASTER)  # noqa: SLF001
    chance, process, left = random.Random(0), psutil.Process(), []
    count = 0
    hooks = {
        kind.job_type: AwsJobHook(JOB_TYPES[kind.job_type], aws_conn_id=None, region_name=REGION)
        for kind in (QUICKSIGHT, NEPTUNE)
    }

    async def one_after_another(place: int, until: float) -> int:
        nonlocal count
        kind, targets = _TARGETS[place % len(_TARGETS)]
        waited = 0
        while time.monotonic() < until:
            count += 1
            run, _ = await asyncio.to_thread(hooks[kind.job_type].start, kind.values(count, targets))
            trigger = AwsJobTrigger(
                run=run.to_json(), poll_interval=_POLL_INTERVAL, started_at=time.time(), aws_conn_id=None
            )
            async for event in trigger.run():
                payload: Any = event.payload
                if "snapshot" not in payload:
                    raise RuntimeError(f"a wait was lost: {payload}")
            waited += 1
        return waited

    for number in range(stretches):
        # The emulated AWS keeps all jobs, and lists them: what ended in the last stretch may go.
        aws.reset()
        for kind in (QUICKSIGHT, NEPTUNE):
            aws.configure(kind.job_type, **kind.settings, duration=chance.uniform(*_DURATIONS))
        until = time.monotonic() + seconds
        waited = await asyncio.gather(*(one_after_another(place, until) for place in range(_WAITS)))
        await asyncio.sleep(_AFTER)
        for hook in hooks.values():
            # The connections by which the jobs were started.
            client: Any = hook.get_conn()
            client.close()
        gc.collect()
        left.append(
            {
                "waits": sum(waited),
                "memory (MB)": process.memory_info().rss / 1024 / 1024,
                "tasks": len(asyncio.all_tasks()) - 1,
                "sockets": len(process.net_connections()),
                "descriptors": process.num_fds(),
            }
        )
        print(f"{number + 1}/{stretches}: {left[-1]}", flush=True)
    return left


def report(left: list[dict[str, float]], simulated: float) -> str:
    """Return the findings as Markdown."""
    third = max(1, len(left) // 3)
    lines = [
        f"# {simulated / 60:.0f} simulated minutes of waits",
        "",
        f"Made by `make soak`: {sum(each['waits'] for each in left):.0f} waits, {_WAITS} at a time,",
        f"{_FASTER:g} times as fast as real ones. After",
        f"each of {len(left)} stretches all waits end, and what is left {_AFTER:g} s later is counted.",
        "",
        "| | first third | last third | |",
        "|---|---:|---:|---|",
    ]
    for name in ("memory (MB)", "tasks", "sockets", "descriptors"):
        first = median(each[name] for each in left[:third])
        last = median(each[name] for each in left[-third:])
        flat = last <= first * (1.05 if name.startswith("memory") else 1.0)
        lines.append(f"| {name} | {first:.1f} | {last:.1f} | {'flat' if flat else '**grows**'} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Soak, and write SOAK.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="simulated (default: %(default)s)")
    parser.add_argument("--stretches", type=int, default=12, help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "SOAK.md")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="soak-") as home, emulator() as aws:
        os.environ.update(
            AIRFLOW_HOME=home,
            AWS_ENDPOINT_URL=aws.url,
            AWS_ACCESS_KEY_ID="emulated-key",
            AWS_SECRET_ACCESS_KEY="emulated-secret",
            AWS_DEFAULT_REGION=REGION,
            AWS_EC2_METADATA_DISABLED="true",
        )
        seconds = options.minutes * 60 / _FASTER / options.stretches
        left = asyncio.run(soak(aws, options.stretches, seconds))
    text = report(left, options.minutes * 60)
    options.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
