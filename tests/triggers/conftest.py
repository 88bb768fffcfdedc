"""Fixtures for what runs in the triggerer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import TaskInstance
from tests.triggers.supervisor import Supervisor, supervise

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import Emulator


@pytest.fixture
def airflow(aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    """Return the supervisor of the triggerer; the emulated AWS comes first."""
    assert aws.jobs() == []
    return supervise(monkeypatch)


@pytest.fixture
def ti() -> TaskInstance:
    """Return the task instance of a first try."""
    return TaskInstance(state="deferred")
