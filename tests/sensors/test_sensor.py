"""Watching a job, over real HTTP; each test for every job type."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import (
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    TaskDeferralError,
    TaskDeferred,
)
from botocore.exceptions import ClientError

from airflow_jobs_provider.exceptions import AwsApiError, JobCancelledError, JobFailedError, JobNotFoundError
from tests.conftest import Context

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import Emulator
    from tests.cases import Case


@pytest.fixture
def started(case: Case, aws: Emulator) -> dict[str, Any]:
    """Start a job, and return what names it."""
    aws.configure(case.job_type.name, duration=60)
    result = case.start(wait_for_completion=False).execute(Context())
    return {name: result[name] for name in case.job_type.identity}


def deferred(sensor: Any, context: Context) -> Any:
    """Run a sensor until it defers."""
    with pytest.raises(TaskDeferred) as caught:
        sensor.execute(context)
    return caught.value


def test_it_succeeds_with_the_jobs_result(
    case: Case, aws: Emulator, context: Context, started: dict[str, Any]
) -> None:
    """A task after the sensor must get what it would get from the start operator."""
    sensor = case.sensor(**started)
    assert sensor.poke(context).is_done is False
    aws.settle(case.job_type.name, {}, case.succeeded)
    result = sensor.execute(context)
    assert {name: result[name] for name in started} == started
    assert result["status"] == case.succeeded
    assert aws.jobs()[0]["cancels"] == 0


@pytest.mark.parametrize("soft_fail", [False, True])
@pytest.mark.parametrize("deferrable", [False, True])
def test_a_failed_job_fails_it_softly_or_not(
    case: Case, aws: Emulator, context: Context, started: dict[str, Any], soft_fail: bool, deferrable: bool
) -> None:
    """A failed refresh that shows as skipped is a failure that nobody sees."""
    failed = {key: value for key, value in case.failed.items() if key != "status"}
    aws.settle(case.job_type.name, {}, str(case.failed["status"]), **failed)
    with pytest.raises(JobFailedError, match=case.says):
        case.sensor(**started, soft_fail=soft_fail, deferrable=deferrable).execute(context)


def test_reschedule_gives_the_worker_back(
    case: Case, aws: Emulator, context: Context, started: dict[str, Any]
) -> None:
    """A sensor in reschedule mode must not sleep in a worker."""
    with pytest.raises(AirflowRescheduleException):
        case.sensor(**started, mode="reschedule").execute(context)


def test_rescheduled_it_says_and_asks_everything_once(
    case: Case, aws: Emulator, context: Context, started: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Every reading is a new process, which must not ask STS and say the status again."""
    ids = {key: value for key, value in started.items() if key != "aws_account_id"}
    asked = len(aws.journal("GetCallerIdentity"))
    running = next(s for s, k in case.job_type.states.items() if k.value == "running")
    aws.settle(case.job_type.name, {}, running)
    for _ in range(3):
        with pytest.raises(AirflowRescheduleException):
            case.sensor(**ids, mode="reschedule").execute(context)
    assert len(aws.journal("GetCallerIdentity")) <= asked + 1
    assert capsys.readouterr().out.count(f"is {running} after") == 1
    aws.settle(case.job_type.name, {}, case.succeeded)
    case.sensor(**ids, mode="reschedule").execute(context)
    assert context["task_state_store"].values == {}


def test_rescheduled_an_unknown_job_fails_after_a_minute(
    case: Case, aws: Emulator, context: Context, started: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every reading is a new process: the minute counts from the first."""
    aws.delete(case.job_type.name, {})
    with pytest.raises(AirflowRescheduleException):
        case.sensor(**started, mode="reschedule").execute(context)
    context["task_state_store"].values["aws_job_watch"]["started_at"] -= 61
    with pytest.raises(JobNotFoundError):
        case.sensor(**started, mode="reschedule").execute(context)


@pytest.mark.parametrize(("soft_fail", "end"), [(False, AirflowSensorTimeout), (True, AirflowSkipException)])
def test_a_time_out_is_the_same_in_every_mode(
    case: Case,
    aws: Emulator,
    context: Context,
    started: dict[str, Any],
    soft_fail: bool,
    end: type[Exception],
) -> None:
    """An author who switches a sensor to deferrable must not get another end."""
    with pytest.raises(end):
        case.sensor(**started, timeout=0.2, soft_fail=soft_fail).execute(context)
    sensor = case.sensor(**started, timeout=0.2, soft_fail=soft_fail, deferrable=True)
    event = deferred(sensor, context)
    assert event.trigger.serialize()[1]["deadline"] == context["ti"].start_date.timestamp() + 0.2
    kwargs = {**event.kwargs, "event": {**event.kwargs["wait"], "deadline": 1.0}}
    with pytest.raises(end):
        sensor.resume_execution("execute_complete", kwargs, context)
    with pytest.raises(end):
        sensor.resume_execution("__fail__", {"error": "Trigger timeout"}, context)


def test_execution_timeout_is_no_soft_failure(
    case: Case, aws: Emulator, context: Context, started: dict[str, Any]
) -> None:
    """soft_fail is about the sensor's own patience."""
    sensor = case.sensor(
        **started, soft_fail=True, deferrable=True, timeout=60, execution_timeout=timedelta(seconds=5)
    )
    event = deferred(sensor, context)
    kwargs = {**event.kwargs, "event": {**event.kwargs["wait"], "deadline": 1.0}}
    with pytest.raises(AirflowTaskTimeout):
        sensor.resume_execution("execute_complete", kwargs, context)
    with pytest.raises(AirflowTaskTimeout):
        sensor.resume_execution("__fail__", {"error": "Trigger timeout"}, context)


def test_a_broken_trigger_fails_it_softly_or_not(
    case: Case, aws: Emulator, context: Context, started: dict[str, Any]
) -> None:
    """soft_fail skips at a time-out only."""
    with pytest.raises(TaskDeferralError):
        case.sensor(**started, soft_fail=True).resume_execution(
            "__fail__", {"error": "Trigger failure"}, context
        )


def test_never_fail_skips_in_every_mode(
    case: Case, aws: Emulator, context: Context, started: dict[str, Any]
) -> None:
    """An author who never wants a failure gets none, deferred or not."""
    aws.settle(case.job_type.name, {}, str(case.failed["status"]))
    for deferrable in (False, True):
        with pytest.raises(AirflowSkipException):
            case.sensor(**started, never_fail=True, deferrable=deferrable).execute(context)


def test_a_killed_sensor_cancels_nothing(
    case: Case, aws: Emulator, context: Context, started: dict[str, Any]
) -> None:
    """A sensor never cancels what it watches."""
    sensor = case.sensor(**started, deferrable=True)
    assert deferred(sensor, context).trigger.serialize()[1]["cancel_on_kill"] is False
    sensor.on_kill()
    assert aws.jobs()[0]["cancels"] == 0


def test_a_job_not_seen_yet_is_waited_for(
    case: Case, aws: Emulator, context: Context, started: dict[str, Any]
) -> None:
    """AWS may not find a job in the seconds after its start."""
    code = next(code for code, kind in case.job_type.errors.items() if kind.value == "not found")
    aws.fault("error", code=code, operation=case.job_type.describe.api_name, times=1)
    assert case.sensor(**started).poke(context).is_done is False


def test_an_unknown_job_fails_after_a_minute(
    case: Case, aws: Emulator, context: Context, started: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A typing error in an id must not be waited for until the time-out."""
    aws.delete(case.job_type.name, {})
    sensor = case.sensor(**started)
    assert sensor.poke(context).is_done is False
    monkeypatch.setattr("airflow_jobs_provider.watch._EVENTUALLY_CONSISTENT", 0.0)
    with pytest.raises(JobNotFoundError, match="does not exist"):
        sensor.poke(context)


def test_denied_reading_fails_at_once(
    case: Case, aws: Emulator, context: Context, started: dict[str, Any]
) -> None:
    """What waiting does not mend must not be waited for."""
    aws.fault("error", code="AccessDeniedException", operation=case.job_type.describe.api_name)
    for deferrable in (False, True):
        with pytest.raises(AwsApiError, match="AccessDeniedException") as caught:
            case.sensor(**started, deferrable=deferrable).execute(context)
        assert isinstance(caught.value.__cause__, ClientError)


@pytest.mark.parametrize("mode", ["poke", "reschedule", "deferred"])
def test_a_cancelled_job_fails_it_in_every_mode(
    case: Case, aws: Emulator, context: Context, started: dict[str, Any], mode: str
) -> None:
    """A job that somebody cancelled must not be waited for, and is no success."""
    aws.settle(case.job_type.name, {}, case.cancelled)
    options: dict[str, Any] = {"deferrable": True} if mode == "deferred" else {"mode": mode}
    with pytest.raises(JobCancelledError, match=f"was cancelled .{case.cancelled}."):
        case.sensor(**started, **options).execute(context)
