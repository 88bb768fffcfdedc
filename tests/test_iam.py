"""The policies: that they allow what the provider calls, and no more."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from airflow_jobs_provider import iam
from airflow_jobs_provider.jobs import JOB_TYPES
from tests.cases import CASES, Case
from tests.conftest import Context
from tests.jobs.test_contract import operations
from tests.operators.scenes import died
from tests.operators.test_lost import beside
from tests.rights import rights, table

if TYPE_CHECKING:
    from airflow_jobs_provider.jobs.model import JobType
    from airflow_jobs_provider.testing import Emulator

WITH_RESULTS = [case for case in CASES if case.job_type.results is not None]
SWEPT = [job_type for job_type in JOB_TYPES.values() if job_type.sweep is not None]


def allowed(policy: dict[str, Any]) -> dict[str, str | list[str]]:
    """Return action -> resources."""
    found: dict[str, str | list[str]] = {}
    for statement in policy["Statement"]:
        actions = statement["Action"]
        for action in [actions] if isinstance(actions, str) else actions:
            assert action not in found
            found[action] = statement["Resource"]
    return found


def called(aws: Emulator, case: Case, since: int = 0) -> set[str]:
    """Return the actions that were needed for what was called; GetCallerIdentity needs none."""
    prefix = case.job_type.iam.prefix
    calls = [call["operation"] for call in aws.journal(since=since)]
    return {f"{prefix}:{operation}" for operation in calls if operation != "GetCallerIdentity"}


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """Return the policy that the command prints."""
    assert iam.main(arguments) == 0
    return json.loads(capsys.readouterr().out)


def test_a_task_calls_what_its_policy_allows(case: Case, aws: Emulator, context: Context) -> None:
    """A right that is missing fails at night, one too many is what an auditor asks about."""
    aws.configure(case.name, duration=0.2)
    case.start().execute(context)
    ids = case.start(wait_for_completion=False).execute(Context())
    aws.configure(case.name, duration=0)
    case.cancel(**{name: ids[name] for name in case.job_type.identity}).execute(Context())
    rights = set(allowed(iam.policy([case.job_type]))) - {"iam:PassRole"}
    assert called(aws, case) == rights


def test_waiting_and_watching_call_what_their_policies_allow(
    case: Case, aws: Emulator, context: Context
) -> None:
    """Whoever gives the triggerer, or a sensor, a role of its own must not have to guess."""
    aws.configure(case.name, duration=0.5)
    result = case.start(wait_for_completion=False).execute(context)
    ids = {name: result[name] for name in case.job_type.identity}
    number = aws.journal()[-1]["number"]
    case.sensor(**ids).execute(Context())
    assert called(aws, case, number) == set(allowed(iam.policy([case.job_type], role="sensor")))
    case.cancel(**ids).execute(Context())
    assert called(aws, case, number) == set(allowed(iam.policy([case.job_type], role="triggerer")))


def test_a_lost_start_is_looked_for_with_the_right_to_list(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The optional rights must be those that find the job."""
    beside(case, aws, duration=0.3)
    died(case, context, monkeypatch)
    case.start().execute(context.retried())
    rights = allowed(iam.policy([case.job_type], with_list=True))
    assert called(aws, case) <= set(rights)
    assert rights.keys() > allowed(iam.policy([case.job_type])).keys()


@pytest.mark.parametrize("case", WITH_RESULTS, ids=lambda case: case.name)
def test_rows_are_fetched_with_the_right_to(case: Case, aws: Emulator, context: Context) -> None:
    """A query that has cost money must not fail when its rows are to be read."""
    aws.configure(case.name, duration=0.1)
    case.start(fetch_results=True).execute(context)
    rights = allowed(iam.policy([case.job_type], with_results=True))
    assert called(aws, case) <= set(rights)


@pytest.mark.parametrize("job_type", SWEPT, ids=lambda job_type: job_type.name)
def test_a_sweep_starts_nothing(job_type: JobType) -> None:
    """What looks at everything should be able to do as little as possible."""
    assert job_type.sweep is not None
    assert job_type.list_jobs is not None
    operations = [*(step.operation for step in job_type.sweep.discover), job_type.list_jobs]
    operations += [job_type.describe, job_type.cancel]
    rights = allowed(iam.policy([job_type], role="sweeper"))
    assert rights.keys() == {f"{job_type.iam.prefix}:{operation.api_name}" for operation in operations}
    assert not any(name.upper() in str(rights) for name in job_type.parameters), "a target is to be filled in"


@pytest.mark.parametrize("role", iam.ROLES)
def test_what_is_optional_stands_apart(role: str) -> None:
    """An auditor strikes out a statement; nobody takes a policy to pieces, action by action."""
    swept = [job_type for job_type in JOB_TYPES.values() if role != "sweeper" or job_type.sweep is not None]
    minimal = iam.policy(swept, role=role)["Statement"]
    whole = iam.policy(swept, role=role, with_list=True, with_results=True)["Statement"]
    assert whole[: len(minimal)] == minimal
    assert not any(statement["Sid"].startswith("Optional") for statement in minimal)
    assert all(statement["Sid"].startswith("Optional") for statement in whole[len(minimal) :])
    names = [statement["Sid"] for statement in whole]
    assert len(set(names)) == len(names), "AWS refuses two statements of one name"
    assert all(re.fullmatch(r"[A-Za-z0-9]+", name) for name in names), "AWS refuses such a name"


def test_the_names_of_optional_statements_tell() -> None:
    """Who reads a policy a year later has only the names."""
    whole = iam.policy([JOB_TYPES["cloudtrail-query"]], with_list=True, with_results=True)["Statement"]
    assert {statement["Sid"]: statement["Action"] for statement in whole[1:]} == {
        "OptionalFetchRows": "cloudtrail:GetQueryResults",
        "OptionalListJobs": "cloudtrail:ListQueries",
    }


def test_without_the_optional_rights_the_task_works(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever leaves them out must lose comfort, and no task: not even after a worker has died in a start."""
    beside(case, aws, duration=0.3)
    died(case, context, monkeypatch)
    minimal = allowed(iam.policy([case.job_type])).keys()
    refused = allowed(iam.policy([case.job_type], with_list=True)).keys() - minimal
    assert refused
    for right in refused:
        aws.fault("error", code="AccessDeniedException", operation=right.partition(":")[2])
    assert case.start().execute(context.retried())["status"] == case.succeeded


@pytest.mark.parametrize("job_type", JOB_TYPES.values(), ids=lambda job_type: job_type.name)
def test_every_right_is_explained(job_type: JobType) -> None:
    """A right that nobody can explain is given to nobody, or to everybody."""
    needs = job_type.iam
    names = {operation.method: operation.api_name for operation in operations(job_type)}
    asked = {f"{needs.prefix}:{names[method]}" for methods in needs.resources.values() for method in methods}
    asked |= {*needs.key, *(("iam:PassRole",) if needs.passes_role else ())}
    assert asked <= rights().keys()
    assert all(right.uses and right.options for right in rights().values())
    assert all(f"| `{action}` | " in table(()) for action in asked)


@pytest.mark.parametrize("name", JOB_TYPES)
def test_a_policy_that_is_not_filled_in_allows_nothing(name: str) -> None:
    """Who forgets to name the data set must not have given all of them away."""
    for action, resources in allowed(iam.policy([JOB_TYPES[name]])).items():
        bound = [arn for arn in ([resources] if isinstance(resources, str) else resources) if arn != "*"]
        assert all(re.search(r":ACCOUNT:|^ROLE_ARN$", arn) for arn in bound)
        assert bound or action == "logs:StopQuery", f"{action} has no resource"


def test_values_stand_in_the_arns(capsys: pytest.CaptureFixture[str]) -> None:
    """A policy that still has to be edited by hand is edited wrongly."""
    policy = printed(
        capsys,
        *("quicksight-ingestion", "--region", "cn-north-1", "--account", "123456789012"),
        *("--on", "data_set_id=sales", "--on", "data_set_id=returns"),
    )
    [statement] = policy["Statement"]
    start = "arn:aws-cn:quicksight:cn-north-1:123456789012:dataset"
    assert statement["Resource"] == [f"{start}/sales/ingestion/*", f"{start}/returns/ingestion/*"]


def test_only_the_service_may_be_passed_the_role(capsys: pytest.CaptureFixture[str]) -> None:
    """A role that can be passed to anything is a way to more rights."""
    policy = printed(capsys, "neptune-import", "neptune-export", "--on", "role_arn=arn:aws:iam::1:role/r")
    [passing] = [statement for statement in policy["Statement"] if statement["Action"] == "iam:PassRole"]
    assert passing["Resource"] == "arn:aws:iam::1:role/r"
    assert passing["Condition"] == {
        "StringEquals": {"iam:PassedToService": "neptune-graph.amazonaws.com"},
    }


def test_the_rights_on_a_key_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """An event data store with a key of one's own cannot be queried without them, others need none."""
    key = "arn:aws:kms:eu-west-1:123456789012:key/1"
    assert "kms:Decrypt" not in allowed(printed(capsys, "cloudtrail-query"))
    rights = allowed(printed(capsys, "cloudtrail-query", "--kms-key", key))
    assert rights["kms:Decrypt"] == rights["kms:GenerateDataKey"] == key


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["quicksight"], "no job type 'quicksight'; there are quicksight-ingestion, bedrock-ingestion"),
        (["logs-query", "--for", "sweeper"], "logs-query jobs are not swept"),
        (["logs-query", "--kms-key", "arn"], "none of these jobs needs rights on a KMS key"),
        (["quicksight-ingestion", "--on", "graph=g-1"], "graph stands in no ARN of these rights"),
        (["quicksight-ingestion", "--on", "sales"], "'sales' must be NAME=VALUE"),
    ],
)
def test_bad_arguments_are_refused(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence must tell what is wrong, and what there is."""
    with pytest.raises(SystemExit) as caught:
        iam.main(arguments)
    assert caught.value.code == 2
    assert says in capsys.readouterr().err


def test_it_is_a_command() -> None:
    """The documentation says how to call it; it must need neither Airflow nor AWS."""
    script = "import sys, runpy; sys.argv = ['iam']; sys.modules.update(airflow=None, boto3=None);"
    script += "runpy.run_module('airflow_jobs_provider.iam', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == list(JOB_TYPES)
