"""Fixtures for what runs in the triggerer."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from airflow_jobs_provider.operators import starting
from airflow_jobs_provider.triggers import aws_job, lanes, poller
from tests.conftest import TaskInstance
from tests.triggers.supervisor import Supervisor, supervise

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import Emulator


@pytest.fixture
def airflow(aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    """Return the supervisor of the triggerer; the emulated AWS comes first."""
    assert aws.jobs() == []
    # Here, all triggerers are one process.
    monkeypatch.setattr(starting, "_CLAIMED_WITHIN", 0.1)
    return supervise(monkeypatch)


@pytest.fixture
def ti() -> TaskInstance:
    """Return the task instance of a first try."""
    return TaskInstance(state="deferred")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the emulated AWS what the real one would not take, and keep no client for later."""
    monkeypatch.setattr(lanes, "_UNPUBLISHED", (500.0, 500.0))
    monkeypatch.setattr(poller, "_LINGER", 0.1)
    # Airflow's own logger writes to standard output, past what tests can see.
    monkeypatch.setattr(aws_job.AwsJobTrigger, "log", logging.getLogger("trigger"))
