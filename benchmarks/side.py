"""One side in a process of its own: ``python -m benchmarks.side JOB_TYPE SIDE``.

It is steered through its standard input: it says ``ready`` when everything is imported that a triggerer has
imported, reads one line of JSON (the jobs, and when to begin), waits for all of them, says ``over``, and
prints its figures when it has seen what is left.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import logging
import os
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import psutil

from benchmarks.scenarios import BEDROCK, NEPTUNE, QUICKSIGHT, REGION, Kind

# Seconds between two ticks of the loop's clock.
_TICK = 0.01
# Seconds after the last wait until nothing may be left.
_AFTER = 15.0
KINDS = {kind.job_type: kind for kind in (QUICKSIGHT, BEDROCK, NEPTUNE)}


def triggers(side: str, kind: Kind, work: dict[str, Any]) -> list[Any]:
    """Return what makes the triggers, one after the other."""
    if side == "amazon":
        module, name = kind.trigger
        amazon = getattr(importlib.import_module(module), name)
        return [
            lambda ids=run["ids"]: amazon(
                **kind.arguments(ids),
                waiter_delay=work["poll_interval"],
                waiter_max_attempts=10_000,
                aws_conn_id=None,
                region_name=REGION,
            )
            for run in work["runs"]
        ]
    from airflow_jobs_provider.triggers.aws_job import AwsJobTrigger

    return [
        lambda run=run: AwsJobTrigger(
            run=run,
            poll_interval=work["poll_interval"],
            started_at=work["begin"],
            aws_conn_id=None,
        )
        for run in work["runs"]
    ]


class Clock:
    """Ticks on the loop, and notes how late it is."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.total = 0.0

    async def run(self) -> None:
        """Tick until it is cancelled."""
        while True:
            before = time.perf_counter()
            await asyncio.sleep(_TICK)
            late = time.perf_counter() - before - _TICK
            if late > _TICK:
                self.total += late
            self.longest = max(self.longest, late)


async def wait_for(make: Any, seen: list[float]) -> None:
    """Wait with a trigger, and note when its event comes."""
    async for event in make().run():
        payload: Any = event.payload
        if not (payload.get("status") == "success" or "snapshot" in payload):
            raise RuntimeError(f"a wait was lost: {payload}")
        seen.append(time.time())


async def measure(side: str, kind: Kind, work: dict[str, Any], over: Callable[[], None]) -> dict[str, Any]:
    """Wait for all jobs, and return the figures.

    :param over: called after the last wait.
    """
    makers = triggers(side, kind, work)
    seen: list[list[float]] = [[] for _ in makers]
    process = psutil.Process()
    clock = Clock()
    left_before = _left(process)
    gc.collect()
    idle = await _cost_of_ticking()
    await asyncio.sleep(max(0.0, work["begin"] - time.time()))
    cpu, began, ticking = time.process_time(), time.perf_counter(), asyncio.create_task(clock.run())
    memory = process.memory_info().rss
    waiting = []
    for make, found in zip(makers, seen, strict=True):
        await asyncio.sleep(0)  # twice for each, as the triggerer does
        await asyncio.sleep(0)
        waiting.append(asyncio.create_task(wait_for(make, found)))
        if len(waiting) == 1 and len(makers) > 1:
            # What the first one costs is no other's: imports, the first client.
            await asyncio.sleep(2.0)
            memory = process.memory_info().rss
    sampled = asyncio.create_task(_memory(process, work["sample_at"]))
    await asyncio.gather(*waiting, return_exceptions=True)
    cpu = time.process_time() - cpu - idle * (time.perf_counter() - began)
    ticking.cancel()
    del waiting
    over()
    if side == "ours":
        await asyncio.sleep(_AFTER)
    gc.collect()
    left = _left(process)
    return {
        "cpu": cpu,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "per_wait": (await sampled - memory) / max(1, len(makers) - 1),
        "longest_block": clock.longest,
        "total_block": clock.total,
        "seen": [found[0] if found else None for found in seen],
        # Also those whose trigger has ended without an event.
        "lost": sum(not found for found in seen),
        "left": {name: left[name] - left_before[name] for name in left},
    }


async def _cost_of_ticking() -> float:
    """Return how many seconds of CPU a second costs in which nothing happens but the ticks."""
    ticking = asyncio.create_task(Clock().run())
    cpu, began = time.process_time(), time.perf_counter()
    await asyncio.sleep(1.5)
    ticking.cancel()
    return (time.process_time() - cpu) / (time.perf_counter() - began)


async def _memory(process: psutil.Process, at: float) -> float:
    await asyncio.sleep(max(0.0, at - time.time()))
    return float(process.memory_info().rss)


def _left(process: psutil.Process) -> dict[str, int]:
    return {
        "tasks": len(asyncio.all_tasks()),
        "sockets": len(process.net_connections()),
        "descriptors": process.num_fds(),
    }


def main() -> None:
    """Run one side."""
    job_type, side = sys.argv[1:]
    kind = KINDS[job_type]
    importlib.import_module(kind.trigger[0])
    importlib.import_module("airflow_jobs_provider.triggers.aws_job")
    importlib.import_module("airflow_jobs_provider.hooks.aws_job")
    logging.disable(logging.CRITICAL)  # what logging costs is the same for both
    answers = os.fdopen(os.dup(1), "w")
    sys.stdout.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Airflow's loggers write there
    print("ready", file=answers, flush=True)
    work = json.loads(sys.stdin.readline())
    over = partial(print, "over", file=answers, flush=True)
    print(json.dumps(asyncio.run(measure(side, kind, work, over))), file=answers, flush=True)


if __name__ == "__main__":
    main()
