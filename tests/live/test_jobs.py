"""Real tasks in real processes: the emulator's jobs and journal are the judge."""

from __future__ import annotations

import itertools
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
import pytest

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import EmulatorClient
    from tests.live.airflow import LocalAirflow

_numbers = itertools.count(1)


@dataclass
class Case:
    """One job type on one target of its own."""

    airflow: LocalAirflow
    emulator: EmulatorClient
    job_type: str
    target_parameter: str
    target: str = field(default_factory=lambda: f"target-{next(_numbers)}")

    def script(self, **life: Any) -> None:
        """Set the life of all jobs on this target."""
        self.emulator.script(self.job_type, match={self.target_parameter: self.target}, times=None, **life)

    def jobs(self) -> list[dict[str, Any]]:
        """Return the jobs that were started on this target."""
        jobs = self.emulator.jobs(self.job_type)
        return [job for job in jobs if job["parameters"][self.target_parameter] == self.target]

    def statuses(self) -> list[str]:
        """Return what the jobs on this target are doing."""
        return [job["status"] for job in self.jobs()]

    def start(self, mode: str, **conf: Any) -> tuple[str, str]:
        """Trigger the DAG of a mode; return its id and the run's."""
        dag_id = f"{self.job_type}_{mode}"
        return dag_id, self.airflow.trigger(dag_id, conf={"target": self.target, **conf})

    def running(self, mode: str) -> tuple[str, str]:
        """Like :meth:`start`, and wait until the task waits for its job."""
        dag_id, run_id = self.start(mode)
        if mode.startswith("deferred"):
            self.airflow.wait_for_task(dag_id, run_id, "job", "deferred")
            # Before a triggerer has taken the trigger, nobody can be told that the task was killed.
            self.until(lambda: self._has_triggerer(dag_id, run_id), "a triggerer runs the trigger")
        else:
            self.airflow.wait_for_task(dag_id, run_id, "job", "running")
        self.until(lambda: bool(self.jobs()), "a job was started")
        return dag_id, run_id

    def _has_triggerer(self, dag_id: str, run_id: str) -> bool:
        trigger = self.airflow.task_instance(dag_id, run_id, "job")["trigger"]
        return trigger is not None and trigger["triggerer_id"] is not None

    def until(self, condition: Any, what: str, timeout: float = 30.0) -> None:
        """Wait for something in the emulator."""
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, f"not seen within {timeout} seconds: {what}; {self.jobs()}"
            time.sleep(0.1)


@pytest.fixture(params=[("quicksight-ingestion", "DataSetId")], ids=lambda param: param[0])
def case(airflow: LocalAirflow, emulator: EmulatorClient, request: pytest.FixtureRequest) -> Case:
    """A job type and a new target."""
    return Case(airflow, emulator, *request.param)


modes = pytest.mark.parametrize("mode", ["worker", "deferred"])
sensor_modes = pytest.mark.parametrize("mode", ["poke", "reschedule", "deferred"])


@modes
def test_success(case: Case, mode: str) -> None:
    """A task that succeeds without its result, or without the console link, is of no use to the next one."""
    case.script(duration=600)
    dag_id, run_id = case.running(mode)
    case.until(
        lambda: case.airflow.extra_links(dag_id, run_id, "job")["AWS job"], "the link of a running job"
    )
    links = case.airflow.extra_links(dag_id, run_id, "job")
    [job] = case.jobs()
    case.emulator.settle(case.job_type, job["ids"], "COMPLETED", rows_ingested=42)
    case.airflow.wait_for_task(dag_id, run_id, "job", "success")
    result = case.airflow.xcom(dag_id, run_id, "job")
    [job] = case.jobs()
    assert job["status"] == "COMPLETED"
    assert job["cancels"] == 0
    assert result["status"] == "COMPLETED"
    assert result["ingestion_id"] == job["ids"]["IngestionId"]
    assert result["details"]["RowInfo"]["RowsIngested"] == 42
    assert links["AWS job"] == f"https://us-east-1.quicksight.aws.amazon.com/sn/data-sets/{case.target}/view"
    log = case.airflow.log(dag_id, run_id, "job")
    assert "rows ingested 42" in log


@modes
def test_failure(case: Case, mode: str) -> None:
    """On-call must read in the task's log why the job failed; a retry must start another job."""
    case.script(duration=2, status="FAILED", error_type="SQL_EXCEPTION", error_message="no such table")
    dag_id, run_id = case.start(mode)
    case.airflow.wait_for_run(dag_id, run_id, "failed")
    assert case.statuses() == ["FAILED", "FAILED"]
    for number in (1, 2):
        log = case.airflow.log(dag_id, run_id, "job", number)
        assert "SQL_EXCEPTION: no such table" in log
        assert case.target in log


@modes
def test_execution_timeout(case: Case, mode: str) -> None:
    """A job must not go on when its task has run out of time."""
    case.script(duration=600)
    dag_id, run_id = case.running(f"{mode}_timeout")
    case.airflow.wait_for_run(dag_id, run_id, "failed")
    assert case.statuses() == ["CANCELLED"]
    log = case.airflow.log(dag_id, run_id, "job")
    assert "is cancelled (CANCELLED)" in log
    assert "AirflowTaskTimeout" in log


@modes
def test_clear(case: Case, mode: str) -> None:
    """A cleared task's job must end before the new try starts another, which then counts."""
    case.script(duration=600, cancel_delay=3)
    dag_id, run_id = case.running(mode)
    case.airflow.clear(dag_id, run_id, ["job"])
    case.until(lambda: len(case.jobs()) == 2, "a second job")
    first, second = case.jobs()
    assert first["status"] == "CANCELLED"
    assert first["ended"] <= second["created"]
    case.emulator.settle(case.job_type, second["ids"], "COMPLETED")
    case.airflow.wait_for_run(dag_id, run_id)
    assert case.statuses() == ["CANCELLED", "COMPLETED"]
    assert case.jobs()[1]["cancels"] == 0


@modes
def test_mark_failed(case: Case, mode: str) -> None:
    """A task that somebody marked failed must take its job with it."""
    case.script(duration=600)
    dag_id, run_id = case.running(mode)
    case.airflow.set_task_state(dag_id, run_id, "job", "failed")
    case.until(lambda: case.statuses() == ["CANCELLED"], "the job is cancelled")
    case.airflow.wait_for_run(dag_id, run_id, "failed")
    assert len(case.jobs()) == 1


@pytest.mark.parametrize("state", ["success", "skipped"])
def test_mark_something_else(case: Case, state: str) -> None:
    """Whatever a deferred task is marked as, nobody waits for its job any more."""
    case.script(duration=600)
    dag_id, run_id = case.running("deferred")
    case.airflow.set_task_state(dag_id, run_id, "job", state)
    case.until(lambda: case.statuses() == ["CANCELLED"], "the job is cancelled")


def test_run_marked_failed(case: Case) -> None:
    """A run that is given up takes the jobs of its deferred tasks with it."""
    case.script(duration=600)
    dag_id, run_id = case.running("deferred")
    case.airflow.set_run_state(dag_id, run_id, "failed")
    case.until(lambda: case.statuses() == ["CANCELLED"], "the job is cancelled")


def test_clear_without_a_triggerer(case: Case) -> None:
    """With no triggerer alive nobody is told of a clear: the next try must find the old job and end it."""
    case.script(duration=600)
    dag_id, run_id = case.running("deferred")
    case.airflow.kill("triggerer", signal.SIGKILL, whole=True)
    try:
        case.airflow.clear(dag_id, run_id, ["job"])
        case.until(lambda: len(case.jobs()) == 2, "a second job", 60)
        first, second = case.jobs()
        assert first["status"] == "CANCELLED"
        assert first["ended"] <= second["created"]
    finally:
        case.airflow.restart("triggerer", signal.SIGKILL)
    case.emulator.settle(case.job_type, second["ids"], "COMPLETED")
    case.airflow.wait_for_task(dag_id, run_id, "job", "success", timeout=60)


def test_worker_told_to_end(case: Case) -> None:
    """A worker that is drained has five seconds: its job must end, and the retry starts another."""
    case.script(duration=600)
    dag_id, run_id = case.running("worker")
    case.airflow.task_process(dag_id, run_id, "job").terminate()
    case.until(lambda: len(case.jobs()) == 2, "a second job", 60)
    first, second = case.jobs()
    assert first["status"] == "CANCELLED"
    assert first["ended"] <= second["created"]
    case.emulator.settle(case.job_type, second["ids"], "COMPLETED")
    case.airflow.wait_for_run(dag_id, run_id)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_triggerer_restart(case: Case, number: signal.Signals) -> None:
    """A deploy of the triggerer must neither lose a wait nor cancel a job."""
    case.script(duration=600)
    dag_id, run_id = case.running("deferred")
    case.airflow.restart("triggerer", number)
    [job] = case.jobs()
    assert job["ended"] is None
    case.emulator.settle(case.job_type, job["ids"], "COMPLETED")
    case.airflow.wait_for_task(dag_id, run_id, "job", "success", timeout=60)
    [job] = case.jobs()
    assert job["cancels"] == 0


def test_worker_killed(case: Case) -> None:
    """A worker that dies must not cost a second refresh: the retry takes the running job over."""
    case.script(duration=600)
    dag_id, run_id = case.running("worker")
    case.airflow.task_process(dag_id, run_id, "job").kill()
    case.airflow.wait_for_task(dag_id, run_id, "job", "up_for_retry", "running")
    case.until(
        lambda: "taking over" in case.airflow.log(dag_id, run_id, "job", 2), "the job is taken over", 60
    )
    [job] = case.jobs()
    case.emulator.settle(case.job_type, job["ids"], "COMPLETED")
    case.airflow.wait_for_run(dag_id, run_id)
    [job] = case.jobs()
    assert job["cancels"] == 0


@sensor_modes
def test_sensor(case: Case, mode: str) -> None:
    """A sensor must see the end, skip at a time-out only, and never cancel what it watches."""
    quicksight: Any = boto3.client(
        "quicksight",
        region_name="us-east-1",
        endpoint_url=case.emulator.url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    ids = {"AwsAccountId": "123456789012", "DataSetId": case.target, "IngestionId": "watched"}
    case.script(duration=600)
    quicksight.create_ingestion(**ids)
    quicksight.close()
    dag_id, run_id = case.start(f"sensor_{mode}", job="watched")
    case.airflow.wait_for_task(dag_id, run_id, "impatient", "skipped")
    case.emulator.settle(case.job_type, ids, "FAILED", error_type="PERMISSION_DENIED")
    case.airflow.wait_for_task(dag_id, run_id, "job", "failed")
    assert "PERMISSION_DENIED" in case.airflow.log(dag_id, run_id, "job")
    [job] = case.jobs()
    assert job["cancels"] == 0
