"""One measurement: an emulator, jobs in it, and one side that waits for them."""

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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from airflow_jobs_provider.jobs import JOB_TYPES
from airflow_jobs_provider.testing import EmulatorClient
from benchmarks.scenarios import REGION, Scenario

_ROOT = Path(__file__).parent.parent
# Seconds from the last start to the beginning of the waits.
_PREPARATION = 4.0
# Jobs that can be started in a second; the shortest job must not end before the waits begin.
_STARTS = 100.0


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


def measure(scenario: Scenario, side: str, aws: EmulatorClient) -> dict[str, Any]:
    """Return the figures of one side."""
    aws.reset()
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "AIRFLOW"))}
    environment.update(
        AWS_ENDPOINT_URL=aws.url,
        AWS_ACCESS_KEY_ID="emulated-key",
        AWS_SECRET_ACCESS_KEY="emulated-secret",
        AWS_DEFAULT_REGION=REGION,
        AWS_EC2_METADATA_DISABLED="true",
    )
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        environment["AIRFLOW_HOME"] = home
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.side", scenario.kind.job_type, side],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=_ROOT,
        )
        try:
            return _measured(scenario, process, aws)
        finally:
            process.kill()
            process.wait()


def _measured(scenario: Scenario, process: subprocess.Popen[str], aws: EmulatorClient) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    if process.stdout.readline().strip() != "ready":
        raise RuntimeError("a side does not start")
    begin = time.time() + scenario.waits / _STARTS + _PREPARATION
    runs = _start(scenario, aws, begin)
    if time.time() > begin:
        raise RuntimeError(f"{scenario.name}: the jobs took too long to start; is the machine busy?")
    if scenario.limit is not None:
        for operation in scenario.kind.read:
            aws.fault("throttle", operation=operation, above=scenario.limit)
    sockets = _Sockets(process.pid)
    sockets.start()
    before = aws.counts()
    work = {
        "runs": runs,
        "begin": begin,
        "poll_interval": scenario.poll_interval,
        "sample_at": begin + scenario.durations[0] - 1,
    }
    process.stdin.write(json.dumps(work) + "\n")
    process.stdin.flush()
    line = process.stdout.readline()
    sockets.stop.set()
    if not line:
        raise RuntimeError(f"{scenario.name}: a side ended without an answer")
    figures: dict[str, Any] = json.loads(line)
    ends = {json.dumps(job["ids"], sort_keys=True): job["ended"] for job in aws.jobs()}
    seen = figures.pop("seen")
    ended = list(ends.values())  # in the order of their start, as the runs are
    figures["latencies"] = sorted(
        at - max(end, begin)
        for at, end in zip(seen, ended, strict=True)
        if at is not None and end is not None
    )
    after = aws.counts()
    figures["calls"] = sum(
        sum(after.get(name, {}).values()) - sum(before.get(name, {}).values()) for name in scenario.kind.read
    )
    figures["throttled"] = figures["calls"] - sum(
        after.get(name, {}).get("ok", 0) - before.get(name, {}).get("ok", 0) for name in scenario.kind.read
    )
    figures["watched"] = _watched(scenario, aws, begin)
    figures["sockets"] = sockets.most
    durations = [end - begin for end in ended if end is not None]
    figures["allowed_calls"] = sum(6 + duration / scenario.poll_interval for duration in durations)
    return figures


def _start(scenario: Scenario, aws: EmulatorClient, begin: float) -> list[dict[str, Any]]:
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
    chance = random.Random(scenario.name)
    runs = []
    for number in range(scenario.waits):
        duration = begin - time.time() + chance.uniform(*scenario.durations)
        aws.configure(kind.job_type, **kind.settings, duration=duration)
        values = kind.values(number, scenario.targets)
        answer = getattr(client, job_type.start.method)(**job_type.request(job_type.start, values))
        run = job_type.run_of(values, REGION, job_type.read(job_type.start, answer).details)
        assert run is not None
        runs.append(run.to_json())
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
