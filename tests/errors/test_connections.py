"""What is wrong before AWS is asked: connections, credentials, regions, networks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_jobs_provider.exceptions import AwsApiError
from tests.conftest import Context

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_jobs_provider.testing import Emulator
    from tests.cases import Case

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_ANY = "an Airflow connection (aws_conn_id is None)"
_NOPE = "the Airflow connection 'nope', which does not exist"
_CHAIN = "boto3's own chain (aws_conn_id is None)"
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
        f"look at the extra of {_CHAIN}",
    ),
    "no region": (
        *(None, None, {"AWS_DEFAULT_REGION": None}),
        "NoRegionError: You must specify a region",
        f"give region_name, or set it in the extra of {_CHAIN}",
    ),
    "a connection without a region": (
        *("bi", {"login": "a", "password": "b"}, {"AWS_DEFAULT_REGION": None}),
        "NoRegionError: You must specify a region",
        "give region_name, or set it in the extra of the Airflow connection 'bi'",
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
    assert says in message
    assert message.endswith(f" - {what_to_do}")
    assert aws.jobs() == []


def test_a_wrong_region(case: Case, aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A region that does not exist, or without the service, has no endpoint: nothing is there to answer."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    message = told(case.start(region_name="eu-west-9"))
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
    assert message.startswith(f"sts GetCallerIdentity answered {code}: The security token is no good - ")
    assert what_to_do in message
