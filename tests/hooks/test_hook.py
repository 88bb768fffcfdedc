"""The hook's errors and clients, over real HTTP."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.utils import parse_timestamp

from airflow_jobs_provider.exceptions import AwsApiError
from airflow_jobs_provider.hooks.aws_job import AwsJobHook
from airflow_jobs_provider.hooks.lean import _moment
from airflow_jobs_provider.jobs.errors import ErrorKind
from tests.cases import CASES
from tests.conftest import Context

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import Emulator
    from tests.cases import Case


def test_one_attempt_whatever_the_user_configures(case: Case, aws: Emulator) -> None:
    """Retries of botocore would send a start twice, and ask five times for a daily quota."""
    aws.fault("server_error", operation=case.job_type.start.api_name)
    hook = AwsJobHook(case.job_type, aws_conn_id=None, botocore_config={"retries": {"total_max_attempts": 5}})
    with pytest.raises(AwsApiError) as caught:
        hook.start({"aws_account_id": "123456789012", **case.ids, **case.target})
    assert caught.value.meaning is ErrorKind.TRANSIENT
    assert len(aws.journal(case.job_type.start.api_name)) == 1


async def test_one_attempt_of_the_shared_client(case: Case, aws: Emulator) -> None:
    """Aiohttp repeats a PUT where a connection that was used before is closed without an answer."""
    start, token = case.job_type.start, case.job_type.token
    values = {**case.start().parameters(start), **({} if token is None else {token: "0" * 36})}
    aws.configure(case.job_type.name, duration=0)
    async with AwsJobHook(case.job_type, aws_conn_id=None) as hook:
        run, _ = await hook.astart(case.job_type, values)
        await hook.adescribe(run)
        aws.fault("drop_after", operation=start.api_name)
        with pytest.raises(AwsApiError) as caught:
            await hook.astart(case.job_type, values)
    assert caught.value.meaning is ErrorKind.TRANSIENT
    assert len(aws.journal(start.api_name)) == 2


async def test_a_bad_parameter_is_refused_by_both_clients(case: Case, aws: Emulator) -> None:
    """The shared client checks starts, though no readings: AWS must not be the first to see a mistake."""
    values = case.start().parameters(case.job_type.start)
    before = len(aws.journal())
    hook = AwsJobHook(case.job_type, aws_conn_id=None)
    async with hook:
        for name in case.target:
            bad = {**values, name: {"no": "such"} if not isinstance(values[name], dict) else 7}
            with pytest.raises(AwsApiError, match="Invalid type for parameter") as told:
                hook.start(bad)
            with pytest.raises(AwsApiError) as told_by_the_other:
                await hook.astart(case.job_type, bad)
            assert str(told_by_the_other.value) == str(told.value)
            assert (told.value.meaning, told.value.code) == (ErrorKind.FATAL, "ParamValidationError")
            assert (told_by_the_other.value.meaning, told_by_the_other.value.code) == (
                told.value.meaning,
                told.value.code,
            )
            assert case.job_type.parameters[name].api in str(told.value)
            assert repr(bad[name]) in str(told.value)
    assert len(aws.journal()) == before


def test_a_missing_region_is_named(case: Case, aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newcomer's first error must say what to do."""
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(AwsApiError, match=r"NoRegionError: .* - give region_name"):
        _ = AwsJobHook(case.job_type, aws_conn_id=None).region


def test_missing_credentials_are_named(case: Case, aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """So must the second one."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AwsApiError, match="put credentials or a role into an Airflow connection"):
        AwsJobHook(case.job_type, aws_conn_id=None).caller_account()


def test_an_endpoint_that_is_down_is_transient(case: Case, aws: Emulator) -> None:
    """AWS out of reach for a while is a reason to wait, not to fail."""
    hook = AwsJobHook(case.job_type, aws_conn_id=None, region_name="eu-west-1")
    run: Any = case.job_type.run_of({"aws_account_id": "123456789012", **case.ids}, "eu-west-1")
    aws.fault("drop", operation=case.job_type.describe.api_name)
    with pytest.raises(AwsApiError) as caught:
        hook.describe(run)
    assert caught.value.meaning is ErrorKind.TRANSIENT


async def test_no_connection_is_a_call_that_was_not_made(
    case: Case, aws: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that fails for a second must not fail a task; even a start can safely be repeated."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    run: Any = case.job_type.run_of({"aws_account_id": "123456789012", **case.ids}, "eu-west-1")
    async with AwsJobHook(case.job_type, aws_conn_id=None, region_name="eu-west-1") as hook:
        with pytest.raises(AwsApiError) as caught:
            hook.describe(run)
        assert caught.value.meaning is ErrorKind.REJECTED
        with pytest.raises(AwsApiError) as caught:
            await hook.adescribe(run)
        assert caught.value.meaning is ErrorKind.REJECTED


def test_sts_is_asked_as_often_as_we_say(aws: Emulator) -> None:
    """The retries of a user's botocore_config must not reach any client."""
    aws.fault("throttle", service="sts")
    # Once is enough: STS is told nothing of the job type, and botocore's pauses take four seconds.
    hook = AwsJobHook(CASES[0].job_type, aws_conn_id=None, botocore_config={"retries": {"max_attempts": 7}})
    with pytest.raises(AwsApiError):
        hook.caller_account()
    assert len(aws.journal("GetCallerIdentity")) == 4


def test_no_secret_in_an_error(case: Case) -> None:
    """A proxy's password must not get into the log."""
    with pytest.raises(ValueError, match="botocore_config") as caught:
        AwsJobHook(case.job_type, botocore_config={"proxy": "http://me:hunter2@proxy"})
    assert "hunter2" not in str(caught.value)


def test_a_bad_botocore_config_is_named(case: Case, aws: Emulator, context: Context) -> None:
    """A misspelt option must be found before anything is started."""
    with pytest.raises(ValueError, match=r"^botocore_config must be .* not \['read_time'\]"):
        case.start(botocore_config={"read_time": 3}).execute(context)
    assert aws.journal() == []


async def test_both_sides_behave_alike(case: Case, aws: Emulator) -> None:
    """The triggerer must see what the worker sees."""
    aws.configure(case.job_type.name, duration=60)
    result = case.start(wait_for_completion=False).execute(Context())
    ids = {name: result[name] for name in case.job_type.identity}
    run: Any = case.job_type.run_of(ids, "eu-west-1")
    hook = AwsJobHook(case.job_type, aws_conn_id=None, region_name="eu-west-1")
    async with AwsJobHook(case.job_type, aws_conn_id=None, region_name="eu-west-1") as other:
        assert (await other.adescribe(run)).state is hook.describe(run).state
        assert (await other.acancel(run)).status == case.cancelled
        assert (await other.acancel(run)).status == case.cancelled  # once more is harmless


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize(
    "moment",
    [
        0,
        1762059600,  # an hour that New York has twice
        1762063200,
        1700000000.123,
        "1700000000",
        "2026-11-22T10:00:00Z",
        "2026-11-22T10:00:00.123456+00:00",
        "Sun, 22 Nov 2026 10:00:00 GMT",
    ],
)
def test_timestamps_are_those_of_botocore(zone: str, moment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """They stand in a task's result, whether a worker or a triggerer has read them."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert _moment(parse_timestamp, moment).isoformat() == parse_timestamp(moment).isoformat()
    finally:
        monkeypatch.undo()
        time.tzset()
