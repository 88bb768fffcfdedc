"""What goes wrong between a deferred task and the triggerer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowSensorTimeout, TaskDeferralError, TaskDeferralTimeout

import airflow_jobs_provider.hooks
from airflow_jobs_provider.exceptions import AwsApiError
from tests.operators.scenes import deferred, only_job
from tests.triggers.jobs import event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_jobs_provider.testing import Emulator
    from tests.cases import Case
    from tests.conftest import Context

# What Airflow says of a deferral that no event has ended, and what that means.
NO_TRIGGERER = (
    "no triggerer has told of {job} until its task's time was over; does one run (airflow triggerer), and"
    " does it keep up?"
)
BROKEN: Mapping[str, tuple[type[Exception], str]] = {
    "Trigger timeout": (
        TaskDeferralTimeout,
        NO_TRIGGERER,
    ),
    "Trigger failure": (TaskDeferralError, "the trigger that read {job} broke off; its log says why"),
}


@pytest.mark.parametrize("reason", BROKEN)
def test_no_event_came(case: Case, reason: str, aws: Emulator, context: Context) -> None:
    """Two words of Airflow's tell nobody that there is no triggerer."""
    kind, says = BROKEN[reason]
    aws.configure(case.name, duration=60)
    operator = case.start(deferrable=True)
    run = deferred(operator, context).trigger.job_run
    with pytest.raises(kind) as caught:
        operator.resume_execution("__fail__", {"error": reason}, context)
    assert str(caught.value) == f"{reason}: {says.format(job=case.job_type.describe_run(run))}"
    assert only_job(aws)["status"] == case.cancelled


def test_no_event_came_for_a_sensor(case: Case, aws: Emulator, context: Context) -> None:
    """A sensor's own time-out must not hide that nobody has looked for it."""
    sensor = case.sensor(timeout=600)
    says = (
        "no triggerer .* has told of the job with .*, which has not ended within the sensor's timeout"
        " .600 seconds."
    )
    with pytest.raises(AirflowSensorTimeout, match=says) as caught:
        sensor.resume_execution("__fail__", {"error": "Trigger timeout"}, context)
    for name, value in case.ids.items():
        assert f"{name} {value!r}" in str(caught.value)


def test_who_reads_it_now_is_said(
    case: Case, aws: Emulator, context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a triggerer a task without a time-out waits for ever: its log tells for what."""
    aws.configure(case.name, duration=60)
    run = deferred(case.start(deferrable=True), context).trigger.job_run
    said = f"a triggerer reads {case.job_type.describe_run(run)} from now on; this task holds no worker"
    assert said in capsys.readouterr().out


async def test_aiobotocore_is_missing(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The triggerer may be another installation than the workers: what to install, and where."""
    operator = case.start(deferrable=True)
    deferral = deferred(operator, context)
    monkeypatch.setattr("airflow_jobs_provider.hooks", airflow_jobs_provider.hooks)  # as it was, at the end
    for name in [
        name for name in sys.modules if name.startswith(("aiobotocore", "airflow_jobs_provider.hooks"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "aiobotocore", None)
    message = await _told(operator, deferral, context)
    job = case.job_type.describe_run(deferral.trigger.job_run)
    needs = "airflow_jobs_provider needs aiobotocore, in workers and triggerers ("
    assert message.startswith(f"{job} could not be read: {needs}")
    assert message.endswith("pip install 'apache-airflow-providers-amazon[aiobotocore]'")


async def test_the_triggerer_has_no_credentials(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker has a role and the triggerer none: the same sentence as in a worker, with the job in it."""
    operator = case.start(deferrable=True)
    deferral = deferred(operator, context)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    message = await _told(operator, deferral, context)
    assert message.startswith(f"{case.job_type.describe_run(deferral.trigger.job_run)} could not be read: ")
    assert message.endswith("(aws_conn_id is None), or give the process a role")


async def test_the_triggerer_has_no_right(case: Case, aws: Emulator, context: Context) -> None:
    """Likewise of a right."""
    operator = case.start(deferrable=True)
    deferral = deferred(operator, context)
    operation = case.job_type.describe.api_name
    aws.fault("error", service=case.job_type.service, operation=operation, code="AccessDeniedException")
    message = await _told(operator, deferral, context)
    assert f"they need the right {case.job_type.iam.prefix}:{operation}: " in message


async def _told(operator: Any, deferral: Any, context: Context) -> str:
    """Return what the task fails with when the trigger has told what it has met."""
    payload = await event(deferral.trigger)
    with pytest.raises(AwsApiError) as caught:
        operator.execute_complete(context, payload, **deferral.kwargs)
    assert ".." not in str(caught.value)
    return str(caught.value)
