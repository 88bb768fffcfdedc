"""Measurements: an emulator each, jobs in it, and one side that waits for them."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from airflow_jobs_provider.jobs import JOB_TYPES
from airflow_jobs_provider.testing import EmulatorClient
from benchmarks.scenarios import REGION, Scenario

if TYPE_CHECKING:
    from typing_extensions import Self

_ROOT = Path(__file__).parent.parent
# Seconds from the last start to the beginning of the waits, and what of it a side needs.
_PREPARATION = 4.0
_READY = 2.0
# Jobs that can be started in a second; the shortest job must not end before the waits begin.
_STARTS = 200.0
# Threads that start them, and how many ends there are at the least: jobs that start together last as long.
_AT_A_TIME = 2
_ENDS = 100
# Seconds between the beginnings of those that are measured together: the other side makes its clients then.
_APART = 15.0


@contextmanager
def emulator() -> Iterator[EmulatorClient]:
    """Yield an emulated AWS in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "airflow_jobs_provider.testing", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT)
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        if found is None:
            raise RuntimeError("the emulator does not start")
        yield EmulatorClient(found[0], timeout=120)
    finally:
        process.terminate()
        process.wait()


class Measurement:
    """One side of a scenario, with an emulated AWS of its own: each in a process of its own.

    A context: both processes have ended when it is left.

    :param side: whose triggers wait: ``"amazon"`` or ``"ours"``.
    """

    def __init__(self, scenario: Scenario, side: str) -> None:
        self.scenario, self.side = scenario, side
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with self._stack:
            self._aws = self._stack.enter_context(emulator())
            home = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
            self._process = self._stack.enter_context(_side(self.scenario, self.side, self._aws, home))
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End both processes, if that is not done."""
        self._stack.close()

    def is_ready(self) -> None:
        """Wait until the side has imported what it needs."""
        if self._line() != "ready":
            raise RuntimeError("a side does not start")

    def start(self, begin: float) -> None:
        """Start the jobs.

        :param begin: when the waits are to begin (seconds since the epoch).
        """
        scenario, self._begin = self.scenario, begin
        self._runs = _start(scenario, self._aws, begin)
        if scenario.limit is not None:
            for operation in scenario.kind.read:
                self._aws.fault("throttle", operation=operation, above=scenario.limit)

    def begin(self) -> None:
        """Have the side wait for the jobs."""
        if time.time() + _READY > self._begin:
            raise RuntimeError(f"{self.scenario.name}: the jobs took too long to start; is the machine busy?")
        self._sockets = _Sockets(self._process.pid)
        self._sockets.start()
        self._before = self._aws.counts()
        work = {
            "runs": self._runs,
            "begin": self._begin,
            "poll_interval": self.scenario.poll_interval,
            "sample_at": self._begin + self.scenario.durations[0] - 1,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(work) + "\n")
        self._process.stdin.flush()

    def is_over(self) -> None:
        """Wait until the last wait has ended, and read what the emulated AWS has seen."""
        if self._line() != "over":
            raise RuntimeError(f"{self.scenario.name}: a side ended without an answer")
        self._sockets.stop.set()
        ended = {frozenset(job["ids"].values()): job["ended"] for job in self._aws.jobs()}
        self._ended = [ended[frozenset(run["ids"].values())] for run in self._runs]
        before, after, read = self._before, self._aws.counts(), self.scenario.kind.read
        calls = sum(sum(after.get(name, {}).values()) - sum(before.get(name, {}).values()) for name in read)
        ok = sum(after.get(name, {}).get("ok", 0) - before.get(name, {}).get("ok", 0) for name in read)
        durations = [end - self._begin for end in self._ended if end is not None]
        self._found = {
            "calls": calls,
            "throttled": calls - ok,
            "watched": _watched(self.scenario, self._aws, self._begin),
            "sockets": self._sockets.most,
            "allowed_calls": sum(6 + duration / self.scenario.poll_interval for duration in durations),
        }

    def figures(self) -> dict[str, Any]:
        """Return the figures, when the side has seen what is left."""
        line = self._line()
        if not line:
            raise RuntimeError(f"{self.scenario.name}: a side ended without an answer")
        figures: dict[str, Any] = json.loads(line)
        latencies = [
            at - max(end, self._begin)
            for at, end in zip(figures.pop("seen"), self._ended, strict=True)
            if at is not None and end is not None
        ]
        return {**figures, **self._found, "latencies": sorted(latencies)}

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def _side(scenario: Scenario, side: str, aws: EmulatorClient, home: str) -> Iterator[subprocess.Popen[str]]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "AIRFLOW"))}
    environment.update(
        AIRFLOW_HOME=home,
        AWS_ENDPOINT_URL=aws.url,
        AWS_ACCESS_KEY_ID="emulated-key",
        AWS_SECRET_ACCESS_KEY="emulated-secret",
        AWS_DEFAULT_REGION=REGION,
        AWS_EC2_METADATA_DISABLED="true",
    )
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.side", scenario.kind.job_type, side],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=_ROOT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def begin_together(measurements: Sequence[Measurement]) -> None:
    """Begin some measurements, one soon after the other; all jobs are started before the first wait."""
    for measurement in measurements:
        measurement.is_ready()
    begin = time.time() + sum(each.scenario.waits for each in measurements) / _STARTS + _PREPARATION
    for number, measurement in enumerate(measurements):
        measurement.start(begin + number * _APART)
    for measurement in measurements:
        measurement.begin()


def _start(scenario: Scenario, aws: EmulatorClient, begin: float) -> list[dict[str, Any]]:
    """Start the jobs, some at a time: what they last is set for those together."""
    import boto3
    from botocore.config import Config

    kind, job_type = scenario.kind, JOB_TYPES[scenario.kind.job_type]
    make: Any = boto3.client
    client = make(
        job_type.service,
        region_name=REGION,
        endpoint_url=aws.url,
        aws_access_key_id="emulated-key",
        aws_secret_access_key="emulated-secret",
        config=Config(retries={"total_max_attempts": 1}),
    )

    def start(number: int) -> dict[str, Any]:
        values = kind.values(number, scenario.targets)
        answer = getattr(client, job_type.start.method)(**job_type.request(job_type.start, values))
        run = job_type.run_of(values, REGION, job_type.read(job_type.start, answer).details)
        assert run is not None
        return run.to_json()

    chance = random.Random(scenario.name)
    runs: list[dict[str, Any]] = []
    together = max(1, scenario.waits // _ENDS)
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        for first in range(0, scenario.waits, together):
            duration = begin - time.time() + chance.uniform(*scenario.durations)
            aws.configure(kind.job_type, **kind.settings, duration=duration)
            runs += pool.map(start, range(first, min(first + together, scenario.waits)))
    return runs


def _watched(scenario: Scenario, aws: EmulatorClient, begin: float) -> float:
    """Return the seconds until each job was read for the first time, singly or with a list."""
    single, many = scenario.kind.read
    # Where jobs are listed, those that have ended may be read singly once more.
    calls = aws.journal(many) or aws.journal(single)
    first: dict[str, float] = {}
    for call in calls:
        if call["outcome"] == "ok":
            asked = {name: value for name, value in call["parameters"].items() if name.lower() != "nexttoken"}
            first.setdefault(json.dumps(asked, sort_keys=True, default=str), call["time"])
    return max(first.values(), default=begin) - begin


class _Sockets(threading.Thread):
    """Counts a process's connections, from outside, so that it costs that process nothing."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.most = 0
        self.stop = threading.Event()
        self._process = psutil.Process(pid)

    def run(self) -> None:
        """Count once a second."""
        while not self.stop.wait(1.0):
            try:
                self.most = max(self.most, len(self._process.net_connections("inet")))
            except psutil.Error:
                return
