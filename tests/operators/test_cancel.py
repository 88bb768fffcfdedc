"""Cancelling a job that somebody else has started, over real HTTP; each test for every job type."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout, TaskDeferred

from airflow_jobs_provider.exceptions import AwsJobError, JobNotFoundError
from tests.conftest import Context

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import Emulator
    from tests.cases import Case


@pytest.fixture
def started(case: Case, aws: Emulator) -> dict[str, Any]:
    """Start a job, and return what names it."""
    aws.configure(case.job_type.name, duration=60, cancel_delay=0.3)
    result = case.start(wait_for_completion=False).execute(Context())
    return {name: result[name] for name in case.job_type.identity}


@pytest.fixture
def ending(case: Case, aws: Emulator) -> dict[str, Any]:
    """Start a job that takes long to end once it is cancelled, and return what names it."""
    aws.configure(case.job_type.name, duration=600, cancel_delay=600)
    result = case.start(wait_for_completion=False).execute(Context())
    return {name: result[name] for name in case.job_type.identity}


def test_a_running_job_is_cancelled_and_its_end_awaited(
    case: Case, aws: Emulator, context: Context, started: dict[str, Any]
) -> None:
    """Who needs the target free must not be told too early."""
    result = case.cancel(**started).execute(context)
    assert result is not None
    assert {name: result[name] for name in started} == started
    assert result["status"] == case.cancelled
    assert aws.jobs()[0]["status"] == case.cancelled


def test_without_waiting_it_says_what_the_job_is_doing(
    case: Case, aws: Emulator, context: Context, ending: dict[str, Any]
) -> None:
    """A cancel that was only asked for must not be called one that has happened."""
    result = case.cancel(**ending, wait_for_completion=False).execute(context)
    assert result is not None
    assert result["status"] != case.cancelled
    assert aws.jobs()[0]["cancels"] == 1


def test_a_job_that_has_ended_is_a_success_that_says_so(
    case: Case, aws: Emulator, context: Context, started: dict[str, Any]
) -> None:
    """A teardown after a success must be green, and its result honest."""
    aws.settle(case.job_type.name, {}, case.succeeded)
    result = case.cancel(**started).execute(context)
    assert result is not None
    assert result["status"] == case.succeeded


def test_an_ended_job_whose_cancel_is_not_found_is_a_success(
    case: Case, aws: Emulator, context: Context, started: dict[str, Any]
) -> None:
    """Some APIs answer "not found" to the cancel of a job that has ended."""
    code = next(code for code, kind in case.job_type.errors.items() if kind.value == "not found")
    aws.settle(case.job_type.name, {}, case.succeeded)
    aws.fault("error", code=code, operation=case.job_type.cancel.api_name)
    result = case.cancel(**started).execute(context)
    assert result is not None
    assert result["status"] == case.succeeded


def test_an_unknown_job_fails_unless_accepted(
    case: Case, aws: Emulator, context: Context, started: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A typing error in an id must not pass for a cancel."""
    monkeypatch.setattr("airflow_jobs_provider.operators.cancel._GRACE", 0.0)
    aws.delete(case.job_type.name, {})
    with pytest.raises(JobNotFoundError, match="does not exist in eu-west-1"):
        case.cancel(**started).execute(context)
    assert case.cancel(**started, missing_ok=True).execute(context) is None


def test_a_job_that_was_just_started_is_found(
    case: Case, aws: Emulator, context: Context, started: dict[str, Any]
) -> None:
    """A teardown may come seconds after the start: "not found" is not believed at once."""
    code = next(code for code, kind in case.job_type.errors.items() if kind.value == "not found")
    aws.fault("error", code=code, operation=case.job_type.cancel.api_name, times=1)
    aws.fault("error", code=code, operation=case.job_type.describe.api_name, times=1)
    result = case.cancel(**started, missing_ok=True).execute(context)
    assert result is not None
    assert result["status"] == case.cancelled


def test_a_cancel_that_is_not_taken_is_a_failure(
    case: Case, aws: Emulator, context: Context, started: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancel of a job that goes on running must not be green."""
    monkeypatch.setattr("airflow_jobs_provider.operators.cancel.PATIENCE", 1.0)
    code = next(code for code, kind in case.job_type.errors.items() if kind.value == "not found")
    aws.fault("error", code=code, operation=case.job_type.cancel.api_name)
    with pytest.raises(AwsJobError, match="could not be cancelled and may still be running"):
        case.cancel(**started).execute(context)


def test_what_passes_is_survived(
    case: Case, aws: Emulator, context: Context, started: dict[str, Any]
) -> None:
    """A throttled cancel must be asked again."""
    aws.fault("throttle", operation=case.job_type.cancel.api_name, times=2)
    result = case.cancel(**started).execute(context)
    assert result is not None
    assert result["status"] == case.cancelled


def test_a_denied_cancel_says_how_to_do_it_by_hand(
    case: Case, aws: Emulator, context: Context, started: dict[str, Any]
) -> None:
    """A job that may still run must be named, with the way to end it."""
    aws.fault("error", code="AccessDeniedException", operation=case.job_type.cancel.api_name)
    with pytest.raises(AwsJobError, match=f"by hand: aws {case.job_type.service}"):
        case.cancel(**started).execute(context)


def test_a_cancel_whose_effect_cannot_be_read_says_so(
    case: Case, aws: Emulator, context: Context, started: dict[str, Any]
) -> None:
    """A cancel that AWS took must not be reported as one that failed."""
    aws.fault("error", code="AccessDeniedException", operation=case.job_type.describe.api_name)
    with pytest.raises(AwsJobError, match="was asked to end, but cannot be read"):
        case.cancel(**started).execute(context)
    assert aws.jobs()[0]["cancels"] == 1


def test_a_job_that_vanishes_while_it_ends_is_missing_too(
    case: Case, aws: Emulator, context: Context, ending: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """missing_ok means the end of the wait as well as its beginning."""
    monkeypatch.setattr("airflow_jobs_provider.watch._EVENTUALLY_CONSISTENT", 0.0)
    operator = case.cancel(**ending, deferrable=True, missing_ok=True)
    with pytest.raises(TaskDeferred) as caught:
        operator.execute(context)
    kwargs = caught.value.kwargs
    assert kwargs is not None
    aws.delete(case.job_type.name, {})
    assert operator.execute_complete(context, None, **kwargs) is None


def test_deferred_it_waits_in_the_triggerer(
    case: Case, aws: Emulator, context: Context, ending: dict[str, Any]
) -> None:
    """A cancel that takes long must hold no worker."""
    operator = case.cancel(**ending, deferrable=True, execution_timeout=timedelta(hours=2))
    with pytest.raises(TaskDeferred) as caught:
        operator.execute(context)
    kwargs = caught.value.kwargs
    assert kwargs is not None
    assert caught.value.trigger.serialize()[1]["cancel_on_kill"] is False
    with pytest.raises(AwsJobError, match="has not within cancel_timeout=3600 seconds"):
        operator.execute_complete(context, {**kwargs["wait"], "deadline": 1.0}, **kwargs)
    operator.execution_timeout = timedelta(minutes=1)
    with pytest.raises(AirflowTaskTimeout):
        operator.execute_complete(context, {**kwargs["wait"], "deadline": 1.0}, **kwargs)
    aws.settle(case.job_type.name, {}, case.cancelled)
    assert operator.execute_complete(context, None, **kwargs)["status"] == case.cancelled
