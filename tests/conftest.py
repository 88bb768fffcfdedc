"""An emulated AWS over real HTTP, and a task instance's context without an Airflow around it."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

# Airflow reads its configuration when it is first imported.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-unit-")
atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
for name in [name for name in os.environ if name.startswith(("AWS_", "AIRFLOW__", "AIRFLOW_CONN_"))]:
    del os.environ[name]
# Among Airflow's examples is a plugin that listens to tasks: with one, it lets none end in the triggerer.
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

# Its listener would see every task of a test that runs a DAG; lineage.py is tested without it.
os.environ["AIRFLOW__OPENLINEAGE__DISABLED"] = "True"

import botocore.session  # noqa: E402
import pytest  # noqa: E402

from airflow_jobs_provider.testing import AwsJobs, Emulator  # noqa: E402
from tests.cases import CASES, Case  # noqa: E402

# Each hook has a botocore session of its own, and each session reads botocore's large JSON files anew: four
# fifths of the CPU of these tests. Here all sessions share one reader, as all clients of a session do anyway.
botocore.session.create_loader = functools.cache(botocore.session.create_loader)


class TaskStateStore:
    """Airflow's task state store, in memory."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value."""
        return self.values.get(key, default)

    def set(self, key: str, value: Any) -> None:
        """Keep a value."""
        self.values[key] = value

    def delete(self, key: str) -> None:
        """Forget a value."""
        self.values.pop(key, None)


@dataclass
class TaskInstance:
    """What operators use of Airflow's task instance."""

    id: uuid.UUID = field(default_factory=uuid.uuid4)
    dag_id: str = "finance"
    task_id: str = "refresh"
    run_id: str = "scheduled__2026-11-22T05:00:00+00:00"
    map_index: int = -1
    try_number: int = 1
    max_tries: int = 1
    start_date: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    xcoms: dict[str, Any] = field(default_factory=dict)
    state: str | None = "running"

    def get_task_states(self, **asked: Any) -> dict[str, Any]:
        """Return its own state, as Airflow 3.3 does."""
        own = {"dag_id": self.dag_id, "run_ids": [self.run_id], "task_ids": [self.task_id]}
        mapped = self.map_index >= 0
        assert asked == {**own, "map_index": self.map_index if mapped else None}
        called = f"{self.task_id}_{self.map_index}" if mapped else self.task_id
        return {self.run_id: {called: self.state}} if self.state != "deleted" else {}

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep an XCom."""
        self.xcoms[key] = value

    def xcom_pull(self, **asked: Any) -> Any:
        """Return one of its own XComs."""
        assert (asked["task_ids"], asked["map_indexes"]) == (self.task_id, self.map_index)
        return self.xcoms.get(asked["key"])

    def get_first_reschedule_date(self, _: Any) -> None:
        """Return that it was never rescheduled."""


class Context(dict[str, Any]):
    """A task's context, and those of its later tries."""

    def __init__(self, ti: TaskInstance | None = None, store: TaskStateStore | None = None) -> None:
        super().__init__(ti=ti or TaskInstance(), task_state_store=store or TaskStateStore())
        self["dag_run"] = SimpleNamespace(clear_number=0)

    def retried(self) -> Context:
        """Return the context of the next try after a failure."""
        ti = self["ti"]
        later = TaskInstance(try_number=ti.try_number + 1, max_tries=ti.max_tries)
        return Context(later, self["task_state_store"])

    def cleared(self) -> Context:
        """Return the context of the next try after a clear."""
        ti = self["ti"]
        later = TaskInstance(try_number=ti.try_number + 1, max_tries=ti.try_number + 1)
        return Context(later, self["task_state_store"])


@pytest.fixture
def context() -> Context:
    """Return the context of a first try."""
    return Context()


@pytest.fixture
def aws(aws_jobs: AwsJobs, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """Return the emulated AWS, fresh; boto3 and aiobotocore find it by themselves (``aws_conn_id=None``)."""
    # Jobs of a second, the emulator's own default: tests look at running ones.
    aws_jobs.emulator.reset()
    # Politeness towards the real services would be all that the tests' time is spent on.
    monkeypatch.setattr("airflow_jobs_provider.operators.asking.start_pauses", lambda _: iter([0.05] * 6))
    monkeypatch.setattr("airflow_jobs_provider.operators.conflict.pause_after", lambda *_: 0.1)
    monkeypatch.setattr("airflow_jobs_provider.watch._SLOWEST_AFTER_ERRORS", 0.1)
    for module in ("asking", "starting"):
        monkeypatch.setattr(f"airflow_jobs_provider.operators.{module}.LISTED_WITHIN", 1.0)
    return aws_jobs.emulator


@pytest.fixture(params=CASES, ids=lambda case: case.job_type.name)
def case(request: pytest.FixtureRequest) -> Case:
    """Return each job type in turn."""
    found: Case = request.param
    return found
