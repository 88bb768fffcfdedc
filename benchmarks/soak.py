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
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import psutil

from airflow_jobs_provider.jobs import JOB_TYPES
from airflow_jobs_provider.testing import EmulatorClient
from benchmarks.page import Page, machine
from benchmarks.runs import emulator
from benchmarks.scenarios import NEPTUNE, QUICKSIGHT, REGION, Kind

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

# Simulated seconds in a second.
_FASTER = 20.0
_POLL_INTERVAL = 5.0 / _FASTER
_DURATIONS = (20.0 / _FASTER, 60.0 / _FASTER)
# Waits at a time: on data sets of their own, on five data sets, and imports into graphs.
_WAITS = 60
_TARGETS = ((QUICKSIGHT, 10_000), (QUICKSIGHT, 5), (NEPTUNE, 10_000))
# Seconds after the last wait of a stretch until nothing may be left.
_AFTER = 7.0
# The share of the time in which the pollers' caches fill, and seconds between two countings from then on.
_WARM, _EVERY = 0.2, 1.0
# How often calls go wrong: what expires has the clients replaced.
_FAULTS = {"expired_token": 0.02, "throttle": 0.02, "drop": 0.02, "server_error": 0.02}
# Every so many waits are given up on the way, after so many seconds: their tasks were cleared.
_GIVEN_UP, _PATIENCE = 10, 0.7
# By how much the median of the last third may exceed that of the first one, and be flat.
_FLAT = 0.05

Counts = dict[str, float]


@dataclass
class Found:
    """What was counted: in a poller that lives on, and after the last wait of each stretch.

    :param given_up: how many waits were cancelled on the way.
    :param lost: how many of the others ended without the event that their job has ended.
    """

    waits: int = 0
    given_up: int = 0
    lost: int = 0
    alive: list[Counts] = field(default_factory=list)
    left: list[Counts] = field(default_factory=list)


def counts(process: psutil.Process) -> Counts:
    """Return what this process has, now."""
    gc.collect()
    return {
        "memory (MB)": process.memory_info().rss / 1024 / 1024,
        "tasks": len(asyncio.all_tasks()) - 1,
        "sockets": len(process.net_connections()),
        "descriptors": process.num_fds(),
    }


class Soak:
    """Waits, one after the other in each of :data:`_WAITS` places."""

    def __init__(self, aws: EmulatorClient) -> None:
        from airflow_jobs_provider.hooks.aws_job import AwsJobHook

        self.found = Found()
        self._aws = aws
        for number, operation in enumerate((*QUICKSIGHT.read, *NEPTUNE.read)):
            for fault, probability in _FAULTS.items():
                aws.fault(fault, operation=operation, probability=probability, seed=number)
        self._chance, self._process = random.Random(0), psutil.Process()
        self._started = 0
        # One at a time: the connections that are counted are to be the pollers', not these.
        self._starts = ThreadPoolExecutor(1)
        self._hooks = {
            kind.job_type: AwsJobHook(JOB_TYPES[kind.job_type], aws_conn_id=None, region_name=REGION)
            for kind in (QUICKSIGHT, NEPTUNE)
        }

    async def live(self, seconds: float) -> None:
        """Count once in a while, as long as the pollers have something to do."""
        waiting = asyncio.gather(*self._waits(seconds))
        until = time.monotonic() + seconds
        await asyncio.sleep(seconds * _WARM)
        while time.monotonic() < until:
            self.found.alive.append(counts(self._process))
            await asyncio.sleep(_EVERY)
        await waiting

    async def drain(self, seconds: float) -> None:
        """Let all waits end, and count what is left."""
        await asyncio.gather(*self._waits(seconds))
        await asyncio.sleep(_AFTER)
        for hook in self._hooks.values():
            # The connections by which the jobs were started.
            client: Any = hook.get_conn()
            client.close()
        self.found.left.append(counts(self._process))

    def _waits(self, seconds: float) -> list[Coroutine[Any, Any, None]]:
        for kind in (QUICKSIGHT, NEPTUNE):
            duration = self._chance.uniform(*_DURATIONS)
            self._aws.configure(kind.job_type, **kind.settings, duration=duration)
        until = time.monotonic() + seconds
        return [self._one_after_another(*_TARGETS[place % len(_TARGETS)], until) for place in range(_WAITS)]

    async def _one_after_another(self, kind: Kind, targets: int, until: float) -> None:
        from airflow_jobs_provider.triggers.aws_job import AwsJobTrigger

        while time.monotonic() < until:
            self._started += 1
            values = kind.values(self._started, targets)
            run, _ = await self._beside(self._hooks[kind.job_type].start, values)
            trigger = AwsJobTrigger(
                run=run.to_json(), poll_interval=_POLL_INTERVAL, started_at=time.time(), aws_conn_id=None
            )
            waiting = asyncio.create_task(_payload(trigger))
            self.found.waits += 1
            if self._started % _GIVEN_UP == 0:
                await asyncio.wait((waiting,), timeout=_PATIENCE)
                self.found.given_up += waiting.cancel()
                await asyncio.wait((waiting,))
            else:
                self.found.lost += "snapshot" not in await waiting
            # The emulated AWS keeps all jobs, and lists them.
            job_type = JOB_TYPES[kind.job_type]
            ids = job_type.request(job_type.describe, run.ids)
            await self._beside(self._aws.delete, kind.job_type, ids)

    def _beside(self, call: Callable[..., Any], *arguments: Any) -> Awaitable[Any]:
        return asyncio.get_running_loop().run_in_executor(self._starts, call, *arguments)


async def _payload(trigger: BaseTrigger) -> Any:
    [event] = [event async for event in trigger.run()]
    return event.payload


async def soak(aws: EmulatorClient, stretches: int, seconds: float) -> Found:
    """Wait for jobs: half of the time with pollers that live on, then in stretches with new ones.

    :param seconds: how long it lasts, without the pauses after the stretches.
    """
    from airflow_jobs_provider.triggers import lanes

    lanes._UNPUBLISHED = (25.0 * _FASTER, 25.0 * _FASTER)  # noqa: SLF001
    soaked = Soak(aws)
    await soaked.live(seconds / 2)
    for number in range(stretches):
        await soaked.drain(seconds / 2 / stretches)
        print(f"{number + 1}/{stretches}: {soaked.found.left[-1]}", flush=True)
    return soaked.found


def report(found: Found, simulated: float) -> str:
    """Return the findings as Markdown."""
    verdict = "none" if not found.lost else "**lost**"
    lines = [
        f"## {simulated / 60:.0f} simulated minutes of waits",
        "",
        "Made by `make soak`.",
        "",
        f"{machine()}. {found.waits:,} waits, {_WAITS} at a time, {_FASTER:g} times as fast as real ones;",
        f"{found.given_up} were given up on the way; of each kind of reading,",
        f"{' and '.join(f'{share:.0%} met `{name}`' for name, share in _FAULTS.items())}.",
        f"Waits that ended without the end of their job: {found.lost} ({verdict}).",
        "",
        "Half of the time the pollers always have something to do, and what the process has is counted every",
        f"{_EVERY:g} s:",
        "",
        *_compared(found.alive),
        "",
        f"In the other half all waits end after each of {len(found.left)} stretches, and what is left",
        f"{_AFTER:g} s later is counted:",
        "",
        *_compared(found.left),
    ]
    return "\n".join(lines) + "\n"


def _compared(counted: Sequence[Counts]) -> list[str]:
    third = max(1, len(counted) // 3)
    lines = ["| | first third | last third | |", "|---|---:|---:|---|"]
    for name in counted[0]:
        first = median(each[name] for each in counted[:third])
        last = median(each[name] for each in counted[-third:])
        flat = last <= first * (1 + _FLAT)
        lines.append(f"| {name} | {first:.1f} | {last:.1f} | {'flat' if flat else '**grows**'} |")
    return lines


def main() -> None:
    """Soak, and write a part of RESULTS.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="simulated (default: %(default)s)")
    parser.add_argument("--stretches", type=int, default=12, help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="folder for the results (default: the repository's)")
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
        found = asyncio.run(soak(aws, options.stretches, options.minutes * 60 / _FASTER))
    text = report(found, options.minutes * 60)
    Page.in_folder(options.out).write("make soak", text)
    print(text)


if __name__ == "__main__":
    main()
