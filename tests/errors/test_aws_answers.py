"""What AWS refuses: rights, credentials, targets that are not there; for every job type and call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_jobs_provider.exceptions import AwsJobError
from tests.conftest import Context
from tests.operators.scenes import of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_jobs_provider.testing import Emulator
    from tests.cases import Case

# What AWS answers: its code and its sentence, and what the user is told to do.
DENIED = "User: arn:aws:sts::123456789012:assumed-role/airflow/worker is not authorized"
CHAIN = "boto3's own chain (aws_conn_id is None)"
IAM = "python -m airflow_jobs_provider.iam {job_type}"
ANSWERS: Mapping[str, tuple[str, str, str]] = {
    "no right": (
        *("AccessDeniedException", DENIED),
        f"the credentials are those of {CHAIN}; they need the right {{right}}: {IAM} prints them all",
    ),
    "no such key": (
        *("UnrecognizedClientException", "The security token included in the request is invalid."),
        f"AWS does not take the credentials of {CHAIN}: are they complete, and not deleted?",
    ),
    "a wrong secret": (
        *("InvalidSignatureException", "The request signature we calculated does not match."),
        "AWS does not take the credentials of boto3's own chain",
    ),
}
# Targets that are not there: with the emulator's setting, and the words of the target in the message.
TARGETS: Mapping[str, tuple[str, str]] = {
    "quicksight-ingestion": ("sales", "of data set sales"),
    "bedrock-ingestion": ("KB12345678", "knowledge base KB12345678"),
    "neptune-import": ("g-a1b2c3d4e5", "graph g-a1b2c3d4e5"),
    "neptune-export": ("g-a1b2c3d4e5", "graph g-a1b2c3d4e5"),
    "cloudtrail-query": ("12345678-abcd-1234-abcd-123456789012", "12345678-abcd-1234-abcd-123456789012"),
    "logs-query": ("/app/web", "/app/web"),
}


def told(operator: Any) -> AwsJobError:
    """Return what the task of an operator fails with."""
    with pytest.raises(AwsJobError) as caught:
        operator.execute(Context())
    assert ".." not in str(caught.value)
    return caught.value


@pytest.fixture(params=ANSWERS)
def answer(request: pytest.FixtureRequest) -> tuple[str, str, str]:
    """Return each answer in turn."""
    found: tuple[str, str, str] = ANSWERS[request.param]
    return found


@pytest.fixture(autouse=True)
def not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have credentials that are refused after all be of no use any more: others are waited for a minute."""
    monkeypatch.setattr("airflow_jobs_provider.hooks.clients._REPLACED", 0.0)


def let_fail(aws: Emulator, case: Case, operation: Any, code: str, message: str) -> None:
    """Have the emulator answer a call so."""
    service = case.job_type.service
    aws.fault("error", service=service, operation=operation.api_name, code=code, message=message)


def test_at_the_start(case: Case, answer: tuple[str, str, str], aws: Emulator) -> None:
    """What was not started, what AWS has said, and what is missing."""
    code, message, what_to_do = answer
    let_fail(aws, case, case.job_type.start, code, message)
    error = told(case.start())
    right = f"{case.job_type.iam.prefix}:{case.job_type.start.api_name}"
    said = f"{case.job_type.service} {case.job_type.start.api_name} answered {code}: {message.rstrip('.')} - "
    assert f" could not be started: {said}" in str(error)
    assert what_to_do.format(right=right, job_type=case.name) in str(error)
    for value in case.named:
        assert value in str(error)


def test_at_a_reading(case: Case, answer: tuple[str, str, str], aws: Emulator) -> None:
    """Which job it is that could not be read: its task must not leave it without a word."""
    code, message, what_to_do = answer
    let_fail(aws, case, case.job_type.describe, code, message)
    right = f"{case.job_type.iam.prefix}:{case.job_type.describe.api_name}"
    for operator in (case.start(), case.sensor()):
        error = told(operator)
        assert error.run is not None
        assert str(error).startswith(f"{case.job_type.describe_run(error.run)} could not be read: ")
        assert str(error).count(case.job_type.describe_run(error.run)) == 1
        assert what_to_do.format(right=right, job_type=operator.job_type.name) in str(error)


def test_at_a_cancel(case: Case, answer: tuple[str, str, str], aws: Emulator) -> None:
    """A job that goes on costs money: with the command to end it by hand."""
    code, message, what_to_do = answer
    let_fail(aws, case, case.job_type.cancel, code, message)
    operator = case.cancel()
    error = told(operator)
    right = f"{case.job_type.iam.prefix}:{case.job_type.cancel.api_name}"
    assert "could not be cancelled and may still be running: " in str(error)
    assert what_to_do.format(right=right, job_type=operator.job_type.name) in str(error)
    assert ". To cancel it by hand: aws " in str(error)


def test_of_an_earlier_try(case: Case, aws: Emulator) -> None:
    """Why the next try starts nothing, of which job it speaks, and how to go on; each of them once."""
    aws.configure(case.name, duration=60)
    context = Context()
    case.start(wait_for_completion=False).execute(context)
    code, message, what_to_do = ANSWERS["no right"]
    let_fail(aws, case, case.job_type.describe, code, message)
    with pytest.raises(AwsJobError) as caught:
        case.start().execute(context.retried())
    error = caught.value
    assert error.run is not None
    right = f"{case.job_type.iam.prefix}:{case.job_type.describe.api_name}"
    assert str(error) == (
        f"{case.job_type.describe_run(error.run)} could not be read: {case.job_type.service}"
        f" {case.job_type.describe.api_name} answered {code}: {message} -"
        f" {what_to_do.format(right=right, job_type=case.name)} - it is the job of try 1: nothing else is"
        " started, and it is cancelled if that can be done; to cancel it by hand:"
        f" {case.job_type.cancel_command(error.run)}"
    )


@of(lambda case: case.name in TARGETS)
def test_no_such_target(case: Case, aws: Emulator) -> None:
    """A data set of another region or account looks as if it were not there: the first thing to check."""
    target, words = TARGETS[case.name]
    aws.configure(case.name, missing_targets=[target])
    error = told(case.start())
    assert words in str(error)
    assert str(error).endswith(
        " - is it there in region 'eu-west-1', and in the account of boto3's own chain (aws_conn_id is None)?"
    )


@of(lambda case: any(each.caller_account for each in case.job_type.parameters.values()))
def test_another_account(case: Case, aws: Emulator) -> None:
    """An account's number that was mistyped: AWS says "denied", and the message has the number in it."""
    code, message, _ = ANSWERS["no right"]
    let_fail(aws, case, case.job_type.start, code, message)
    error = told(case.start(aws_account_id="111111111111"))
    assert "in account 111111111111 could not be started" in str(error)
    assert "leave aws_account_id out to use the account of the credentials" in str(error)
