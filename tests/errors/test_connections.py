"""What is wrong before AWS is asked: connections, credentials, regions, networks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_jobs_provider.exceptions import AwsApiError, AwsJobError
from airflow_jobs_provider.jobs.errors import ErrorKind
from tests.conftest import Context
from tests.operators.scenes import of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_jobs_provider.testing import Emulator
    from tests.cases import Case

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_ANY = "an Airflow connection (aws_conn_id is None)"
_CHAIN = "boto3's own chain (aws_conn_id is None)"
_NOPE = "the Airflow connection 'nope', which does not exist"
# A connection (None: boto3's own chain), what the environment lacks or has, and what the user is told.
WRONG: Mapping[str, tuple[str | None, Any, Mapping[str, str | None], str, str]] = {
    "no credentials": (
        *(None, None, dict.fromkeys(_KEYS)),
        "NoCredentialsError: Unable to locate credentials",
        f"put credentials or a role into {_ANY}, or give the process a role",
    ),
    "a connection without credentials": (
        *("bi", {"extra": {"region_name": "eu-west-1"}}, dict.fromkeys(_KEYS)),
        "NoCredentialsError: Unable to locate credentials",
        "put credentials or a role into the Airflow connection 'bi', or give the process a role",
    ),
    "no such connection": (
        *("nope", None, dict.fromkeys(_KEYS)),
        "NoCredentialsError: Unable to locate credentials",
        f"put credentials or a role into {_NOPE}, or give the process a role",
    ),
    "half of the credentials": (
        *(None, None, {"AWS_SECRET_ACCESS_KEY": None}),
        "PartialCredentialsError: Partial credentials found in env, missing: AWS_SECRET_ACCESS_KEY",
        f"look at the environment and the AWS files of this machine: the credentials are those of {_CHAIN}",
    ),
    "no region": (
        *(None, None, {"AWS_DEFAULT_REGION": None}),
        "NoRegionError: You must specify a region",
        f"give region_name, or set it in the extra of {_ANY}",
    ),
    "a connection without a region": (
        *("bi", {"login": "a", "password": "b"}, {"AWS_DEFAULT_REGION": None}),
        "NoRegionError: You must specify a region",
        "give region_name, or set it in the extra of the Airflow connection 'bi'",
    ),
    "no such connection, which would have had the region": (
        *("nope", None, {"AWS_DEFAULT_REGION": None}),
        "NoRegionError: You must specify a region",
        f"give region_name, or set it in the extra of {_NOPE}",
    ),
    "a profile that is not there": (
        *("bi", {"extra": {"profile_name": "finance", "region_name": "eu-west-1"}}, {}),
        "ProfileNotFound: The config profile (finance) could not be found",
        "look at the extra of the Airflow connection 'bi'",
    ),
    "a role that is none": (
        *("bi", {"extra": {"role_arn": "finance", "region_name": "eu-west-1"}}, {}),
        "ParamValidationError: Parameter validation failed",
        "look at the extra of the Airflow connection 'bi'",
    ),
}


def told(operator: Any) -> str:
    """Return what the task of an operator fails with."""
    with pytest.raises(AwsApiError) as caught:
        operator.execute(Context())
    assert ".." not in str(caught.value)
    return str(caught.value)


def target(case: Case) -> str:
    """Return what a job was to work on, in the words of an error."""
    return case.job_type.describe_target({**dict.fromkeys(case.job_type.parameters), **case.target})


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said(case: Case, what: str, aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sets up a deployment meets these first, and has nobody to ask."""
    conn_id, connection, environment, says, what_to_do = WRONG[what]
    for name, value in environment.items():
        if value is None:
            monkeypatch.delenv(name)
    if connection is not None:
        monkeypatch.setenv(
            f"AIRFLOW_CONN_{str(conn_id).upper()}", json.dumps({"conn_type": "aws", **connection})
        )
    message = told(case.start(aws_conn_id=conn_id))
    assert message.startswith(f"a job on {target(case)} could not be started: ")
    assert says in message
    assert message.endswith(f" - {what_to_do}")
    assert aws.jobs() == []


def test_a_wrong_region(case: Case, aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A region that does not exist, or without the service, has no endpoint: nothing is there to answer."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    message = told(case.start(region_name="eu-west-9"))
    assert message.startswith(f"a job on {target(case)} could not be started: ")
    assert "EndpointConnectionError" in message
    assert message.endswith(
        " - is region 'eu-west-9' right, does the service exist there, and does the network lead to it?"
    )


@pytest.mark.parametrize(
    ("code", "what_to_do"),
    [
        ("InvalidClientTokenId", "AWS does not take the credentials of the Airflow connection 'aws_default'"),
        ("ExpiredToken", "renew the credentials of the Airflow connection 'aws_default'; with a role_arn"),
    ],
)
def test_sts_refuses(code: str, what_to_do: str, aws: Emulator) -> None:
    """QuickSight's jobs ask STS for the account first: its answer must say the same as QuickSight's."""
    from tests.cases import CASES

    [case] = [case for case in CASES if case.name == "quicksight-ingestion"]
    aws.fault("error", service="sts", code=code, message="The security token is no good.")
    message = told(case.start(aws_conn_id="aws_default"))
    prefix = "a job on data set sales could not be started: "
    assert message.removeprefix(prefix).startswith(
        f"sts GetCallerIdentity answered {code}: The security token is no good - "
    )
    assert what_to_do in message


def test_a_misspelt_connection_is_told_where_all_goes_well(
    case: Case, aws: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """The machine's own credentials may be another account's: its jobs are then nowhere to be found."""
    aws.configure(case.name, duration=0.1)
    assert case.start(aws_conn_id="nope").execute(Context())["status"] == case.succeeded
    told = capsys.readouterr().out
    warnings = [
        line for line in told.splitlines() if "aws_conn_id names the Airflow connection 'nope'" in line
    ]
    assert len(warnings) == 1, told
    assert all("which Airflow does not have: the credentials are boto3's own" in each for each in warnings)
    assert all("say aws_conn_id=None; if not, look at the name" in each for each in warnings)


def test_a_misspelt_connection_is_told_where_nothing_is_found(
    case: Case, aws: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another account there is no such job: whoever looks at the ids looks in the wrong place."""
    # A job that AWS does not know may have been started a moment ago: for a minute it is asked again.
    monkeypatch.setattr("airflow_jobs_provider.watch._EVENTUALLY_CONSISTENT", 0.0)
    monkeypatch.setattr("airflow_jobs_provider.operators.cancel._GRACE", 0.0)
    for operator in (case.sensor(aws_conn_id="nope"), case.cancel(aws_conn_id="nope")):
        code = next(code for code, kind in case.job_type.errors.items() if kind is ErrorKind.NOT_FOUND)
        aws.fault("error", service=case.job_type.service, code=code, message="Not found.")
        with pytest.raises(AwsJobError) as caught:
            operator.execute(Context())
        assert "there is no Airflow connection 'nope', which aws_conn_id names: is it spelt right?" in str(
            caught.value
        )


def test_what_names_the_job_is_said_before_aws_knows_it(
    case: Case, aws: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sensor or a cancel that gets no further than to its region must say which job it was about."""
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    for operator in (case.sensor(), case.cancel()):
        message = told(operator)
        assert message.startswith("the job with ")
        assert " could not be looked for: " in message
        assert message.endswith(f" - give region_name, or set it in the extra of {_ANY}")
        for name, value in case.ids.items():
            assert f"{name} {value!r}" in message


@of(lambda case: "aws_account_id" in case.job_type.identity)
def test_a_moment_without_sts_is_survived(case: Case, aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sensors and cancels ask for the account, too."""
    monkeypatch.setattr("airflow_jobs_provider.operators.common._PAUSE", 0.1)
    aws.configure(case.name, duration=0.1)
    started = case.start(wait_for_completion=False).execute(Context())
    ids = {name: started[name] for name in case.job_type.identity if name != "aws_account_id"}
    for make in (case.sensor, case.cancel):
        aws.fault("error", code="ExpiredToken", service="sts", times=2)
        result = make(**ids, aws_account_id=None).execute(Context())
        assert result["aws_account_id"] == started["aws_account_id"]
