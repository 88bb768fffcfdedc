"""What happens to tasks and their jobs, shared by the tests of start operators."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout, TaskDeferred

from airflow_jobs_provider.exceptions import JobCancelledError, TaskKilledError
from airflow_jobs_provider.hooks.aws_job import AwsJobHook
from airflow_jobs_provider.jobs.errors import ErrorKind
from airflow_jobs_provider.operators.asking import StartCall
from airflow_jobs_provider.operators.base import StartJobOperator
from airflow_jobs_provider.operators.held import HeldJob
from airflow_jobs_provider.operators.record import JobRecord, JobRecordStore
from tests.cases import CASES, Case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_jobs_provider.testing import Emulator
    from tests.conftest import Context


def of(condition: Callable[[Case], object]) -> pytest.MarkDecorator:
    """Return a mark for what only some job types have; each of them is tested."""
    return pytest.mark.parametrize(
        "case", [case for case in CASES if condition(case)], ids=lambda case: case.name
    )


tokened = of(lambda case: case.job_type.token is not None)
tokenless = of(lambda case: case.job_type.token is None)
with_quota = of(lambda case: case.code(ErrorKind.QUOTA) is not None)
ids_in_answer = of(lambda case: case.job_type.token not in case.job_type.identity)
# The job's id is the token: it is known before the start is answered.
named_before = of(lambda case: case.job_type.token in case.job_type.identity)


def only_job(aws: Emulator) -> dict[str, Any]:
    """Return the one job that there is."""
    [job] = aws.jobs()
    return job


@contextmanager
def during(aws: Emulator, operation: str, act: Callable[[], object], since: int = 0) -> Iterator[None]:
    """Do something beside the block, as soon as it has called an operation.

    :param since: the number of the last call before the block.
    """

    def when_called() -> None:
        while not aws.journal(operation, since):
            time.sleep(0.01)
        act()

    beside = threading.Thread(target=when_called)
    beside.start()
    yield
    beside.join()


def deferred(operator: Any, context: Context) -> Any:
    """Run an operator until it defers."""
    with pytest.raises(TaskDeferred) as caught:
        operator.execute(context)
    return caught.value


def crashed(case: Case, aws: Emulator, context: Context, **options: Any) -> dict[str, Any]:
    """Start a job and lose the worker: what a SIGKILL leaves."""
    deferred(case.start(**options, deferrable=True), context)
    return only_job(aws)


@contextmanager
def death(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Let nothing that the block breaks off be tidied up: its process is dead."""
    with monkeypatch.context() as dying:
        dying.setattr(StartCall, "_interrupted", lambda *_: None)
        dying.setattr(StartJobOperator, "_abandon", lambda *_: None)
        yield dying


def died(
    case: Case, context: Context, monkeypatch: pytest.MonkeyPatch, *, sent: bool = True, **options: Any
) -> None:
    """Lose the worker between the start and the record of it: what a SIGKILL leaves.

    :param sent: AWS has carried the start out.
    """
    start = AwsJobHook.start

    def die(hook: AwsJobHook, values: Any) -> Any:
        if sent:
            start(hook, values)
        raise SystemExit

    with death(monkeypatch) as dying:
        dying.setattr(AwsJobHook, "start", die)
        with pytest.raises(SystemExit):
            case.start(**options).execute(context)


def killed(
    operator: Any, context: Context, aws: Emulator, operation: str, kill: Callable[[], object] | None = None
) -> None:
    """Run an operator, and tell its task to end as soon as it has called an operation.

    :param kill: what tells it; by default its ``on_kill``.
    """
    with (
        during(aws, operation, kill or operator.on_kill),
        pytest.raises((TaskKilledError, JobCancelledError)),
    ):
        operator.execute(context)


def timed_out(
    operator: Any, context: Context, aws: Emulator, operation: str, until: Callable[[], object]
) -> None:
    """Run an operator, and interrupt it by an alarm, as Airflow does, when it has called an operation.

    :param until: returns when it is time.
    """
    _ = operator.hook.region  # made before the alarm

    def interrupt(*_: object) -> None:
        raise AirflowTaskTimeout("execution_timeout")

    def alarm() -> None:
        until()
        signal.raise_signal(signal.SIGALRM)

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with during(aws, operation, alarm), pytest.raises(AirflowTaskTimeout):
            operator.execute(context)
    finally:
        signal.signal(signal.SIGALRM, before)


def check_replaced(case: Case, aws: Emulator) -> dict[str, Any]:
    """Check that one job was cancelled, and that another was started when it had ended; return that one."""
    first, second = aws.jobs()
    assert first["status"] == case.cancelled
    assert first["ended"] <= second["created"]
    return dict(second)


def asked_for_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all starts have been asked for minutes ago."""
    begin = JobRecordStore.begin

    def long_ago(*arguments: Any) -> JobRecord:
        record = begin(*arguments)
        return replace(record, started_at=record.started_at - 300)

    monkeypatch.setattr(JobRecordStore, "begin", long_ago)


def died_in_the_start(case: Case, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lose the worker when its start call has been dropped: what a SIGKILL inside the call leaves."""

    def die(*_: Any) -> None:
        raise SystemExit

    with death(monkeypatch) as dying:
        dying.setattr(HeldJob, "sleep", die)
        with pytest.raises(SystemExit):
            case.start().execute(context)


def not_seen_once(case: Case, aws: Emulator) -> None:
    """Have AWS not know a job the next time that it is read, as in the seconds after a start."""
    code = next(code for code, kind in case.job_type.errors.items() if kind is ErrorKind.NOT_FOUND)
    aws.fault("error", code=code, operation=case.job_type.describe.api_name, times=1)


def dated(case: Case) -> dict[str, Any]:
    """Return settings with which a Neptune task tells from its start on when it was created."""
    return {"timeline": {"INITIALIZING": 0}} if "INITIALIZING" in case.job_type.states else {}
