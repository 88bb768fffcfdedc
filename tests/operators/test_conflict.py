"""Targets that run one job, or so many, at a time; each test for every job type that has them."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk.exceptions import AirflowTaskTimeout, TaskDeferred

from airflow_jobs_provider.exceptions import AwsApiError, JobFailedError, TargetBusyError, TaskKilledError
from airflow_jobs_provider.operators.conflict import ExclusiveStartJobOperator, pause_after
from airflow_jobs_provider.triggers.aws_job import AwsJobTrigger
from tests.cases import CASES, Case
from tests.conftest import Context

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_jobs_provider.testing import Emulator

EXCLUSIVE = tuple(case for case in CASES if issubclass(case.start_class, ExclusiveStartJobOperator))
ADOPTING = tuple(case for case in EXCLUSIVE if case.job_type.adopts is not None)


@pytest.fixture(params=EXCLUSIVE, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    """Return each job type whose target can be busy."""
    found: Case = request.param
    return found


@pytest.fixture(params=ADOPTING, ids=lambda case: case.name)
def adopting(request: pytest.FixtureRequest) -> Case:
    """Return each job type that may wait for another's job."""
    found: Case = request.param
    return found


def occupy(case: Case, aws: Emulator, **options: Any) -> dict[str, Any]:
    """Let another task start a job on the target, and return it."""
    assert case.busy is not None
    aws.configure(case.name, **case.busy)
    aws.script(case.name, duration=600)
    aws.configure(case.name, duration=0.2)
    case.start(wait_for_completion=False, **options).execute(Context())
    [job] = aws.jobs()
    return job


@contextmanager
def ends_after(aws: Emulator, operation: str, calls: int, case: Case, **end: Any) -> Iterator[None]:
    """Let the running job end, beside the block, when an operation has been called so often."""

    def settle() -> None:
        while len(aws.journal(operation)) < calls:
            time.sleep(0.01)
        aws.settle(case.name, {}, **{"status": case.succeeded, **end})

    beside = threading.Thread(target=settle)
    beside.start()
    yield
    beside.join()


def deferral(operator: Any, context: Context) -> Any:
    """Run an operator until it defers."""
    with pytest.raises(TaskDeferred) as caught:
        operator.execute(context)
    return caught.value


def test_a_busy_target_is_waited_for(case: Case, aws: Emulator, context: Context) -> None:
    """A sync that finds another one running must run after it, and neither fail nor disturb it."""
    occupy(case, aws)
    with ends_after(aws, case.job_type.start.api_name, 3, case):
        assert case.start().execute(context)["status"] == case.succeeded
    first, second = aws.jobs()
    assert (first["status"], first["cancels"]) == (case.succeeded, 0)
    assert first["ended"] <= second["created"]


def test_fail_means_at_once(case: Case, aws: Emulator, context: Context) -> None:
    """An author who does not want to wait must get a clear error, and nothing started."""
    occupy(case, aws)
    calls = len(aws.journal(case.job_type.start.api_name))
    with pytest.raises(TargetBusyError, match="is busy, and on_conflict is 'fail': ") as caught:
        case.start(on_conflict="fail").execute(context)
    for value in case.named:
        assert value in str(caught.value)
    assert len(aws.journal(case.job_type.start.api_name)) == calls + 1
    assert context["task_state_store"].values == {}


def test_patience_ends(case: Case, aws: Emulator, context: Context) -> None:
    """A wait without end would hide a job that hangs."""
    occupy(case, aws)
    with pytest.raises(TargetBusyError, match=r"was busy for all of conflict_timeout \(0.3 seconds\)"):
        case.start(conflict_timeout=0.3).execute(context)
    assert len(aws.jobs()) == 1


def test_deferred_it_waits_in_the_triggerer(case: Case, aws: Emulator, context: Context) -> None:
    """A target that is busy for an hour must hold no worker."""
    occupy(case, aws)
    operator = case.start(deferrable=True)
    event = deferral(operator, context)
    assert isinstance(event.trigger, DateTimeTrigger)
    assert (event.method_name, event.timeout) == ("start_again", None)
    assert context["task_state_store"].values == {}
    aws.settle(case.name, {}, case.succeeded)
    aws.configure(case.name, duration=600)
    with pytest.raises(TaskDeferred) as caught:
        operator.start_again(context, event="2026-11-22T05:00:00+00:00", **(event.kwargs or {}))
    assert isinstance(caught.value.trigger, AwsJobTrigger)
    assert caught.value.trigger.cancel_on_kill is True
    assert len(aws.jobs()) == 2


def test_the_wait_ends_with_the_task(case: Case, aws: Emulator, context: Context) -> None:
    """execution_timeout must hold before the start as well as after it."""
    occupy(case, aws)
    operator = case.start(deferrable=True, execution_timeout=timedelta(seconds=0.2))
    event = deferral(operator, context)
    assert event.trigger.moment.timestamp() <= context["ti"].start_date.timestamp() + 0.3
    assert event.timeout is not None
    time.sleep(0.3)
    with pytest.raises(AirflowTaskTimeout, match=r"no job could be started within execution_timeout \(0.2"):
        operator.start_again(context, event="now")
    assert len(aws.jobs()) == 1


def test_a_kill_while_waiting_touches_nobody(case: Case, aws: Emulator, context: Context) -> None:
    """The job that makes the target busy is another's."""
    occupy(case, aws)
    operator = case.start()
    killer = threading.Timer(0.5, operator.on_kill)
    killer.start()
    with pytest.raises(TaskKilledError):
        operator.execute(context)
    killer.join()
    [job] = aws.jobs()
    assert job["cancels"] == 0


def test_adopt_waits_for_the_job_that_runs(adopting: Case, aws: Emulator, context: Context) -> None:
    """Two tasks that want the same sync must be content with one."""
    occupied = occupy(adopting, aws)
    with ends_after(aws, adopting.job_type.describe.api_name, 1, adopting):
        result = adopting.start(on_conflict="adopt").execute(context)
    assert result["status"] == adopting.succeeded
    assert all(value in result.values() for value in occupied["ids"].values())
    assert len(aws.jobs()) == 1


def test_an_adopted_job_is_not_cancelled(adopting: Case, aws: Emulator, context: Context) -> None:
    """A task that is cleared must not end what another one has started."""
    occupy(adopting, aws)
    operator = adopting.start(on_conflict="adopt", deferrable=True)
    event = deferral(operator, context)
    assert event.trigger.cancel_on_kill is False
    assert context["task_state_store"].values == {}
    told = {**event.kwargs["wait"], "error": "it answered Denied", "meaning": "fatal", "code": "Denied"}
    with pytest.raises(AwsApiError, match="it answered Denied"):
        operator.execute_complete(context, told, **event.kwargs)
    with pytest.raises(AwsApiError, match="it answered Denied"):
        operator.execute_complete(context, told)  # ``airflow dags test`` drops the arguments
    worker = adopting.start(on_conflict="adopt")
    killer = threading.Timer(0.5, worker.on_kill)
    killer.start()
    with pytest.raises(TaskKilledError):
        worker.execute(context.cleared())
    killer.join()
    [job] = aws.jobs()
    assert job["cancels"] == 0


def test_the_failure_of_an_adopted_job_is_the_task_s(adopting: Case, aws: Emulator, context: Context) -> None:
    """A task that waits for another's job wants what that job does."""
    occupy(adopting, aws)
    with (
        ends_after(aws, adopting.job_type.describe.api_name, 1, adopting, **adopting.failed),
        pytest.raises(JobFailedError, match=adopting.says),
    ):
        adopting.start(on_conflict="adopt").execute(context)


@pytest.mark.parametrize(
    "adopting", [case for case in ADOPTING if case.job_type.adopts], ids=lambda case: case.name
)
def test_a_job_that_does_something_else_is_not_adopted(
    adopting: Case, aws: Emulator, context: Context
) -> None:
    """An import of other data is not what this task wants."""
    key = next(iter(adopting.job_type.adopts or ()))
    occupy(adopting, aws, **{key: "s3://bucket/something-else"})
    with ends_after(aws, adopting.job_type.start.api_name, 3, adopting):
        assert adopting.start(on_conflict="adopt").execute(context)["status"] == adopting.succeeded
    assert len(aws.jobs()) == 2


def test_a_missing_right_to_list_is_named(
    adopting: Case, aws: Emulator, context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without it there is nothing to adopt: the author must learn why, and the task waits as ever."""
    occupy(adopting, aws)
    assert adopting.job_type.list_jobs is not None
    aws.fault("error", code="AccessDeniedException", operation=adopting.job_type.list_jobs.api_name)
    with ends_after(aws, adopting.job_type.start.api_name, 3, adopting):
        assert adopting.start(on_conflict="adopt").execute(context)["status"] == adopting.succeeded
    assert len(aws.jobs()) == 2
    assert f"{adopting.job_type.list_jobs.api_name} answered AccessDenied" in capsys.readouterr().out


def test_the_pauses_are_polite() -> None:
    """A target that is busy for an hour must not be asked every second, nor only every hour."""
    for case in EXCLUSIVE:
        assert 10 <= pause_after(0, case.job_type) <= 11
        assert 60 <= pause_after(3600, case.job_type) <= 66
