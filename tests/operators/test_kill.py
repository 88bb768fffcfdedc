"""What becomes of the job when its task is told to end, or interrupted, over real HTTP."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_jobs_provider.exceptions import (
    AwsApiError,
    TaskKilledError,
)
from airflow_jobs_provider.hooks.aws_job import AwsJobHook
from airflow_jobs_provider.links.aws_job import AwsJobLink
from airflow_jobs_provider.operators import held
from airflow_jobs_provider.operators.base import StartJobOperator
from airflow_jobs_provider.operators.record import JobRecordStore
from tests.cases import Case
from tests.conftest import Context
from tests.operators.scenes import (
    asked_for_long_ago,
    crashed,
    deferred,
    during,
    killed,
    only_job,
    timed_out,
)

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import Emulator


def test_a_kill_after_the_deferral_cancels_nothing(case: Case, aws: Emulator, context: Context) -> None:
    """The triggerer waits for the job by then; a worker that shuts down must not end it."""
    aws.configure(case.job_type.name, duration=60)
    operator = case.start(deferrable=True)
    deferred(operator, context)
    operator.on_kill()
    assert only_job(aws)["cancels"] == 0


def test_a_kill_cancels(case: Case, aws: Emulator, context: Context) -> None:
    """A worker that is told to end must not leave its job behind."""
    aws.configure(case.job_type.name, duration=60)
    operator = case.start()

    def kill() -> None:
        operator.on_kill()
        operator.on_kill()

    killed(operator, context, aws, case.job_type.describe.api_name, kill)
    assert only_job(aws)["status"] == case.cancelled


def test_a_kill_during_the_start_cancels(case: Case, aws: Emulator, context: Context) -> None:
    """A kill that lands inside the start call must cancel what that call starts."""
    aws.configure(case.job_type.name, duration=60)
    aws.fault("delay", delay=0.5, operation=case.job_type.start.api_name, times=1)
    operator = case.start()

    killed(operator, context, aws, case.job_type.start.api_name)
    assert only_job(aws)["status"] == case.cancelled


def test_a_kill_before_the_start_starts_nothing(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that was told to end while it got ready must not spend quota."""
    operator = case.start()
    begin = JobRecordStore.begin

    def killed(*arguments: Any) -> Any:
        operator.on_kill()
        return begin(*arguments)

    monkeypatch.setattr(JobRecordStore, "begin", killed)
    with pytest.raises(TaskKilledError):
        operator.execute(context)
    assert aws.jobs() == []
    assert context["task_state_store"].values == {}


def test_a_kill_before_execute_starts_nothing(case: Case, aws: Emulator, context: Context) -> None:
    """Airflow tells a task to end from its rendering on, and goes on with it: nobody tells it again."""
    operator = case.start()
    operator.on_kill()
    with pytest.raises(TaskKilledError):
        operator.execute(context)
    assert aws.jobs() == []
    assert context["task_state_store"].values == {}


def test_a_kill_of_a_retry_before_execute_ends_the_job_so_far(
    case: Case, aws: Emulator, context: Context
) -> None:
    """A retry that was marked as failed while it got ready has no other try that would see to the job."""
    aws.configure(case.job_type.name, duration=60)
    crashed(case, aws, context)
    operator = case.start()
    operator.on_kill()
    with pytest.raises(TaskKilledError):
        operator.execute(context.retried())
    assert only_job(aws)["status"] == case.cancelled


def test_a_kill_before_the_deferral_hands_nothing_over(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that was told to end would otherwise be deferred, with a trigger for a job that is cancelled."""
    aws.configure(case.job_type.name, duration=60)
    operator = case.start(deferrable=True)

    def killed(*_: Any) -> None:
        operator.on_kill()

    monkeypatch.setattr("airflow_jobs_provider.operators.base.claim", killed)
    with pytest.raises(TaskKilledError):
        operator.execute(context)
    assert only_job(aws)["status"] == case.cancelled


def test_a_kill_before_a_task_that_does_not_wait_has_ended_is_no_success(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its job is cancelled: a success would hand it to the sensor."""
    aws.configure(case.job_type.name, duration=60)
    operator = case.start(wait_for_completion=False)

    def killed(*_: Any) -> None:
        operator.on_kill()

    monkeypatch.setattr(AwsJobLink, "persist", killed)
    with pytest.raises(TaskKilledError):
        operator.execute(context)
    assert only_job(aws)["status"] == case.cancelled


def test_a_kill_that_comes_before_aws_knows_the_job_cancels_it(
    case: Case, aws: Emulator, context: Context
) -> None:
    """AWS may not find a job in the seconds after its start; it runs all the same."""
    aws.configure(case.job_type.name, duration=60)
    code = next(code for code, kind in case.job_type.errors.items() if kind.value == "not found")
    operator = case.start()

    def kill() -> None:
        aws.fault("error", code=code, operation=case.job_type.cancel.api_name, times=1)
        aws.fault("error", code=code, operation=case.job_type.describe.api_name, times=1)
        operator.on_kill()

    killed(operator, context, aws, case.job_type.describe.api_name, kill)
    assert only_job(aws)["status"] == case.cancelled


def test_a_kill_without_cancel_on_kill_cancels_nothing(
    case: Case, aws: Emulator, context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who switched cancelling off means it; the log says what goes on."""
    aws.configure(case.job_type.name, duration=60)
    operator = case.start(cancel_on_kill=False)

    with during(aws, case.job_type.describe.api_name, operator.on_kill), pytest.raises(TaskKilledError):
        operator.execute(context)
    job = only_job(aws)
    assert job["cancels"] == 0
    [told] = [line for line in capsys.readouterr().out.splitlines() if "may go on" in line]
    assert list(job["ids"].values())[-1] in told


def test_a_job_that_goes_on_after_a_kill_in_its_start_is_named(
    case: Case, aws: Emulator, context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    """With cancel_on_kill=False the log is all that tells which job goes on."""
    aws.configure(case.job_type.name, duration=60)
    aws.fault("delay", delay=0.5, operation=case.job_type.start.api_name, times=1)
    killed(case.start(cancel_on_kill=False), context, aws, case.job_type.start.api_name)
    check_goes_on_by_name(aws, capsys)


def test_a_job_that_goes_on_without_a_record_is_named(
    case: Case, aws: Emulator, context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    """With cancel_on_kill=False, and where Airflow keeps no record, the log is all that tells of the job."""
    aws.configure(case.job_type.name, duration=60)
    refuse_the_confirmation(context)
    with pytest.raises(RuntimeError, match="404"):
        case.start(cancel_on_kill=False).execute(context)
    check_goes_on_by_name(aws, capsys)


def check_goes_on_by_name(aws: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """Check that the one job was not cancelled, and that the log says which it is."""
    job = only_job(aws)
    assert job["cancels"] == 0
    told = [line for line in capsys.readouterr().out.splitlines() if "started " in line]
    assert any(list(job["ids"].values())[-1] in line for line in told)


def refuse_the_confirmation(context: Context) -> None:
    """Have Airflow keep what a try is about to start, but not what it has started."""
    store = context["task_state_store"]
    keep, kept = store.set, []

    def once(key: str, value: Any) -> None:
        kept.append(key)
        if len(kept) > 1:
            raise RuntimeError("404: the task instance was not found")
        keep(key, value)

    store.set = once


def test_a_start_that_cannot_be_confirmed_is_cancelled(case: Case, aws: Emulator, context: Context) -> None:
    """After a clear Airflow takes no record any more: the job must not outlive its try."""
    aws.configure(case.job_type.name, duration=60)
    refuse_the_confirmation(context)
    with pytest.raises(RuntimeError, match="404"):
        case.start().execute(context)
    assert only_job(aws)["status"] == case.cancelled


def test_a_cancel_that_fails_is_said_with_the_command(
    case: Case, aws: Emulator, context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    """On-call must be able to end by hand what we could not."""
    aws.configure(case.job_type.name, duration=60)
    aws.fault("error", code="AccessDeniedException", operation=case.job_type.describe.api_name)
    aws.fault("error", code="AccessDeniedException", operation=case.job_type.cancel.api_name)
    with pytest.raises(AwsApiError, match="AccessDeniedException"):
        case.start().execute(context)
    assert f"aws {case.job_type.service} {case.job_type.cancel.cli_name} --" in capsys.readouterr().out


def test_a_kill_whose_cancel_takes_too_long_says_how_to_do_it_by_hand(
    case: Case,
    aws: Emulator,
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Airflow kills the process while the thread still tries: nothing comes after what is said then."""
    aws.configure(case.job_type.name, duration=60)
    monkeypatch.setattr("airflow_jobs_provider.operators.held._PATIENCE", 0.4)
    aws.fault("throttle", operation=case.job_type.cancel.api_name)
    operator = case.start()
    said: list[str] = []

    def kill() -> None:
        operator.on_kill()
        said.append(capsys.readouterr().out)
        aws.clear_faults()

    killed(operator, context, aws, case.job_type.describe.api_name, kill)
    # What it still reads is not to be taken for a reading of the next test's job.
    for thread in threading.enumerate():
        if thread.name == "cancel-aws-job":
            thread.join(30)
    assert "AWS has not answered within 0.4 seconds" in said[0]
    assert f"aws {case.job_type.service} {case.job_type.cancel.cli_name} --" in said[0]


def test_a_kill_whose_cancel_hangs_tries_again_in_time(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An endpoint that is silent once must not use up the seconds that Airflow grants: those of a client of
    the main thread, a minute, are more than there are.
    """
    aws.configure(case.job_type.name, duration=60)
    twin = AwsJobHook.impatient_twin

    def more_impatient(hook: AwsJobHook, seconds: float) -> AwsJobHook:
        assert seconds == held._PATIENCE / 2
        return twin(hook, seconds / 4)  # so that a slow machine comes to the second attempt, too

    monkeypatch.setattr(AwsJobHook, "impatient_twin", more_impatient)
    # What a process does that outlives the kill would hide what the kill has done.
    monkeypatch.setattr(StartJobOperator, "_abandon", lambda *_: None)
    cancel = case.job_type.cancel.api_name
    aws.fault("delay", delay=6, operation=cancel, times=1)
    operator = case.start()
    seen: list[str] = []

    def kill() -> None:
        operator.on_kill()
        seen.append(only_job(aws)["status"])

    killed(operator, context, aws, case.job_type.describe.api_name, kill)
    assert len(aws.journal(cancel)) == 2
    assert seen == [case.cancelled]


def test_a_time_out_inside_the_start_call_cancels_what_it_starts(
    case: Case, aws: Emulator, context: Context
) -> None:
    """Airflow interrupts the call by an alarm; the job whose id was on its way must not be lost."""
    aws.configure(case.job_type.name, duration=60)
    operator = case.start()
    aws.fault("delay", delay=1.5, operation=case.job_type.start.api_name, times=1)
    timed_out(operator, context, aws, case.job_type.start.api_name, lambda: None)
    assert only_job(aws)["status"] == case.cancelled


def test_a_time_out_inside_a_start_of_long_ago_cancels_what_it_starts(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS may not see the job at once, however long its start was asked for before."""
    aws.configure(case.job_type.name, duration=60)
    asked_for_long_ago(monkeypatch)
    code = next(code for code, kind in case.job_type.errors.items() if kind.value == "not found")
    for operation in (case.job_type.cancel, case.job_type.describe):
        aws.fault("error", code=code, operation=operation.api_name, times=1)
    start = case.job_type.start.api_name
    aws.fault("delay", delay=0.5, operation=start, times=1)
    timed_out(case.start(), context, aws, start, lambda: None)
    assert only_job(aws)["status"] == case.cancelled


def test_a_time_out_inside_the_cancel_does_not_end_it(case: Case, aws: Emulator, context: Context) -> None:
    """The time may be over while a task that has failed sees to its job: nobody else would."""
    aws.configure(case.job_type.name, duration=60)
    cancel = case.job_type.cancel.api_name
    aws.fault("error", code="AccessDeniedException", operation=case.job_type.describe.api_name, times=1)
    aws.fault("throttle", operation=cancel)
    with pytest.raises(AwsApiError, match="AccessDeniedException"):
        timed_out(case.start(), context, aws, cancel, aws.clear_faults)
    assert only_job(aws)["status"] == case.cancelled


def test_a_kill_during_the_start_keeps_the_id(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow may end the process before the cancel is done: the next try must know which job it was."""
    aws.configure(case.job_type.name, duration=60)
    aws.fault("delay", delay=0.5, operation=case.job_type.start.api_name, times=1)
    operator = case.start()
    monkeypatch.setattr(StartJobOperator, "_abandon", lambda *_: None)
    killed(operator, context, aws, case.job_type.start.api_name)
    assert context["task_state_store"].values["aws_job"]["run"] is not None


def test_a_kill_during_a_start_that_was_asked_for_long_ago_cancels(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS throttles a start for minutes, say: of what it begins then, AWS may not know in the next second."""
    aws.configure(case.job_type.name, duration=60)
    asked_for_long_ago(monkeypatch)
    aws.fault("delay", delay=1, operation=case.job_type.start.api_name, times=1)
    operator = case.start()
    # The process may not live until it has the answer.
    monkeypatch.setattr(StartJobOperator, "_abandon", lambda *_: None)
    killed(operator, context, aws, case.job_type.start.api_name)
    assert only_job(aws)["status"] == case.cancelled


def test_a_kill_cancels_with_keys_that_were_replaced_meanwhile(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys live shorter than jobs: a kill that knew only those of the start would cancel nothing."""

    def connect(key: str) -> None:
        told = {"conn_type": "aws", "login": key, "password": "secret", "extra": {"region_name": "eu-west-1"}}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(told))

    connect("key-1111")
    read, cancel = case.job_type.describe.api_name, case.job_type.cancel.api_name
    aws.configure(case.job_type.name, duration=60)
    operator = case.start(aws_conn_id="aws_default")

    def replace_the_keys_and_kill() -> None:
        connect("key-2222")
        aws.fault("error", code="UnrecognizedClientException", operation=read, times=1)
        # The second reading comes after a pause in which the process knows the new keys.
        while [call["access_key"] for call in aws.journal(read) if call["outcome"] == "ok"].count("2222") < 2:
            time.sleep(0.01)
        operator.on_kill()

    killed(operator, context, aws, read, replace_the_keys_and_kill)
    assert {call["access_key"] for call in aws.journal(cancel)} == {"2222"}
    assert only_job(aws)["status"] == case.cancelled
