"""The retry policy, asked by Airflow's task runner about failures that real calls have made."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk.api.datamodels._generated import TaskInstanceState
from airflow.sdk.exceptions import TaskDeferred
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import RetryTask, TaskState

from airflow_jobs_provider.exceptions import (
    AwsApiError,
    AwsJobError,
    JobNotEndedError,
    QuotaExceededError,
    TaskKilledError,
    not_succeeded,
    still_ending,
)
from airflow_jobs_provider.jobs.errors import ErrorKind
from airflow_jobs_provider.jobs.quicksight import QUICKSIGHT_INGESTION
from airflow_jobs_provider.jobs.run import FailureKind, JobRun
from airflow_jobs_provider.retry import AwsJobRetryPolicy
from tests.cases import CASES, Case
from tests.conftest import Context
from tests.triggers.jobs import event

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import Emulator

[QUICKSIGHT] = [case for case in CASES if case.job_type is QUICKSIGHT_INGESTION]
QUICKSIGHT_MODEL: Any = botocore.session.get_session().get_service_model("quicksight")
ERROR_TYPES = QUICKSIGHT_MODEL.shape_for("IngestionErrorType").enum
RUN = JobRun("quicksight-ingestion", dict.fromkeys(QUICKSIGHT_INGESTION.identity, "x"), "eu-west-1")
DAY = timedelta(days=1)


def asked(
    operator: Any, error: BaseException, *, try_number: int = 1, max_tries: int = 2, left: bool = True
) -> RetryTask | TaskState:
    """Let Airflow's task runner end a failed try, and return what it tells the supervisor."""
    # Only what the runner looks at: a whole one needs a server that has made it.
    ti: Any = task_runner.RuntimeTaskInstance.model_construct(task=operator, try_number=try_number)
    ti.__pydantic_private__ = {
        "_ti_context_from_server": SimpleNamespace(max_tries=max_tries, should_retry=left),
        "_failure_metrics_emitted": True,
    }
    context: Any = {"task": operator, "ti": ti}
    message, state = task_runner._handle_current_task_failed(ti, error, task_runner.log, context)
    assert (state is TaskInstanceState.UP_FOR_RETRY) is isinstance(message, RetryTask)
    return message


def delay_of(answer: RetryTask | TaskState) -> float | None:
    """Return the delay of another try; ``None`` for the task's own."""
    assert isinstance(answer, RetryTask)
    return answer.retry_delay_seconds


def ends(answer: RetryTask | TaskState) -> bool:
    """Whether there is no other try."""
    return isinstance(answer, TaskState) and answer.state is TaskInstanceState.FAILED


def start(case: Case = QUICKSIGHT, policy: AwsJobRetryPolicy | None = None, **options: Any) -> Any:
    """Return a start operator with a policy."""
    return case.start(retries=2, retry_policy=policy or AwsJobRetryPolicy(), **options)


def failure_of(operator: Any, context: Context | None = None) -> AwsJobError:
    """Run an operator, and return how it failed."""
    with pytest.raises(AwsJobError) as caught:
        operator.execute(context or Context())
    return caught.value


def used_up(aws: Emulator) -> tuple[Any, datetime]:
    """Use up the quota of a data set; return when that was, too."""
    aws.configure("quicksight-ingestion", quota=1, duration=0)
    QUICKSIGHT.start(wait_for_completion=False).execute(Context())
    [job] = aws.jobs()
    return job, datetime.fromtimestamp(time.time(), tz=timezone.utc)


def test_a_failure_that_may_pass_is_tried_again(aws: Emulator) -> None:
    """A lost connection to the source at night must not wait for somebody at nine."""
    aws.configure("quicksight-ingestion", duration=0.1, status="FAILED", error_type="CONNECTION_FAILURE")
    operator = start()
    error = failure_of(operator)
    answer = asked(operator, error)
    assert delay_of(answer) == pytest.approx(120, rel=0.11)
    assert isinstance(answer, RetryTask)
    assert "CONNECTION_FAILURE may pass" in str(answer.retry_reason)


def test_the_delay_grows_and_a_clear_begins_anew() -> None:
    """What is broken for an hour must not be asked sixty times, nor a cleared task wait for an hour."""
    error = not_succeeded(RUN, QUICKSIGHT_INGESTION.read_record(record("QUERY_TIMEOUT")))
    policy = AwsJobRetryPolicy(delay=timedelta(minutes=10), longest_delay=timedelta(minutes=30))
    operator = start(policy=policy)
    tries = [(1, 2), (2, 2), (3, 2), (1000, 2), (4, 5), (5, 5)]
    delays = [delay_of(asked(operator, error, try_number=of, max_tries=most)) for of, most in tries]
    assert delays == [pytest.approx(60 * x, rel=0.11) for x in (10, 20, 30, 30, 10, 20)]


def test_retries_stay_the_limit(aws: Emulator) -> None:
    """A policy that tried for ever would burn the daily quota."""
    error = not_succeeded(RUN, QUICKSIGHT_INGESTION.read_record(record("QUERY_TIMEOUT")))
    assert ends(asked(start(), error, try_number=3, left=False))


def test_no_permission_is_not_tried_again(case: Case, aws: Emulator) -> None:
    """Rights do not come by waiting; whoever can give them should hear of it at once."""
    aws.fault("error", code="AccessDeniedException", operation=case.job_type.start.api_name)
    operator = start(case)
    error = failure_of(operator)
    assert error.code == "AccessDeniedException"
    assert ends(asked(operator, error))


def test_bad_input_is_not_tried_again(case: Case, aws: Emulator) -> None:
    """A template that renders to nonsense renders to the same again; of others it may mean anything."""
    operator = start(case)
    parameter, value = next(
        (name, value) for name, value in case.bad if name in case.job_type.start.parameters
    )
    setattr(operator, parameter, value)
    with pytest.raises(ValueError, match=parameter) as caught:
        operator.execute(Context())
    assert ends(asked(operator, caught.value))
    python = PythonOperator(
        task_id="python", python_callable=print, retry_policy=AwsJobRetryPolicy(), retries=2
    )
    assert delay_of(asked(python, caught.value)) is None


def test_throttling_to_the_end_is_tried_again(case: Case, aws: Emulator) -> None:
    """An API that is busy for minutes is not busy for ever."""
    aws.fault("throttle", operation=case.job_type.start.api_name)
    operator = start(case)
    error = failure_of(operator)
    assert error.kind is FailureKind.TRANSIENT
    assert delay_of(asked(operator, error)) == pytest.approx(120, rel=0.11)


def test_a_busy_target_is_tried_again() -> None:
    """Whoever uses the target will be done some day."""
    error = AwsApiError("busy", meaning=ErrorKind.BUSY, code="ConflictException")
    assert delay_of(asked(start(), error)) == pytest.approx(120, rel=0.11)


def test_the_daily_quota_is_waited_for(aws: Emulator) -> None:
    """A try before the window frees is lost; one after it needs nobody."""
    job, _ = used_up(aws)
    operator = start()
    error = failure_of(operator)
    assert isinstance(error, QuotaExceededError)
    assert error.code == "LimitExceededException"
    wait = job["created"] + DAY.total_seconds() - time.time()
    answer = asked(operator, error)
    assert delay_of(answer) == pytest.approx(wait + 60, abs=5)
    frees_at = datetime.fromtimestamp(job["created"], tz=timezone.utc) + DAY
    assert isinstance(answer, RetryTask)
    assert f"the quota frees at {frees_at.isoformat(timespec='seconds')[:13]}" in str(answer.retry_reason)


def test_a_quota_that_frees_too_late_is_not_waited_for(aws: Emulator) -> None:
    """A refresh for the morning's meeting is of no use tomorrow."""
    used_up(aws)
    operator = start(policy=AwsJobRetryPolicy(longest_quota_delay=timedelta(hours=6)))
    assert ends(asked(operator, failure_of(operator)))


def test_without_the_right_to_list_it_comes_back_after_a_while(aws: Emulator) -> None:
    """The right is optional: nobody can say when the quota frees, and the task must not fail for that."""
    used_up(aws)
    aws.fault("error", code="AccessDeniedException", operation="ListIngestions")
    operator = start(policy=AwsJobRetryPolicy(quota_delay=timedelta(minutes=45)))
    error = failure_of(operator)
    assert delay_of(asked(operator, error)) == 45 * 60
    assert aws.journal("ListIngestions")
    assert ends(asked(start(policy=AwsJobRetryPolicy(quota_delay=None)), error))


def test_a_window_counts_what_the_service_counts() -> None:
    """Scheduled refreshes do not count, and a refresh of yesterday has freed its place already."""
    now = time.time()

    def listed(ago: float, **more: Any) -> dict[str, Any]:
        created = datetime.fromtimestamp(now - ago, tz=timezone.utc)
        return {"IngestionStatus": "COMPLETED", "CreatedTime": created, **more}

    hour = 3600.0
    records = [listed(hour), listed(25 * hour), listed(5 * hour), listed(9 * hour, RequestSource="SCHEDULED")]
    assert QUICKSIGHT_INGESTION.frees_at(records, now) == pytest.approx(now + 19 * hour, abs=1)
    assert QUICKSIGHT_INGESTION.frees_at(records[1:2], now) is None


def test_other_quotas_are_tried_again_after_a_while() -> None:
    """How many jobs may run at a time changes with the first that ends."""
    error = QuotaExceededError("no more", code="ServiceQuotaExceededException")
    [bedrock] = [case for case in CASES if case.name == "bedrock-ingestion"]
    assert delay_of(asked(start(bedrock), error)) == 3600


@pytest.mark.parametrize(
    ("settings", "kind", "option"),
    [
        (
            {"status": "FAILED", "error_type": "INGESTION_SUPERSEDED"},
            FailureKind.SUPERSEDED,
            "retry_superseded",
        ),
        ({"status": "FAILED", "error_type": "INGESTION_CANCELED"}, FailureKind.CANCELLED, "retry_cancelled"),
        ({"status": "CANCELLED"}, FailureKind.CANCELLED, "retry_cancelled"),
    ],
)
def test_what_others_did_is_respected(
    settings: dict[str, Any], kind: FailureKind, option: str, aws: Emulator
) -> None:
    """Who cancelled a refresh, or started a newer one, does not want the old one; unless one says so."""
    aws.configure("quicksight-ingestion", duration=0.1, **settings)
    operator = start()
    error = failure_of(operator)
    assert error.kind is kind
    assert ends(asked(operator, error))
    options: dict[str, Any] = {option: True}
    eager = start(policy=AwsJobRetryPolicy(**options))
    assert delay_of(asked(eager, error)) == pytest.approx(120, rel=0.11)


def test_a_failure_without_a_reason_is_tried_as_without_a_policy(case: Case, aws: Emulator) -> None:
    """Most services do not say what may pass: the author's ``retries`` and ``retry_delay`` hold."""
    aws.configure(case.name, duration=0.1, **case.failed)
    operator = start(case)
    error = failure_of(operator)
    assert error.record
    assert error.record == (error.snapshot.details if error.snapshot else None)
    answer = asked(operator, error)
    if case.job_type.failure is None:
        assert error.code is None
        assert delay_of(answer) is None
    else:
        assert error.code == case.failed["error_type"]
        assert delay_of(answer) is not None


def test_a_sensor_does_not_wait_for_a_job_that_has_failed(case: Case, aws: Emulator) -> None:
    """However often it looks, the job has failed: only the task that starts jobs can start another."""
    aws.configure(case.name, duration=0.1, **case.failed)
    result = case.start(wait_for_completion=False).execute(Context())
    ids = {name: result[name] for name in case.job_type.identity}
    sensor = case.sensor(**ids, retries=2, retry_policy=AwsJobRetryPolicy())
    assert ends(asked(sensor, failure_of(sensor)))
    passing = AwsApiError("slow down", meaning=ErrorKind.REJECTED, code="ThrottlingException")
    assert delay_of(asked(sensor, passing)) == pytest.approx(120, rel=0.11)


def test_too_many_losses_are_not_tried_again(aws: Emulator) -> None:
    """The same rows would be dropped again."""
    aws.configure("quicksight-ingestion", duration=0.1, rows_dropped=3)
    operator = start(max_rows_dropped=0)
    assert ends(asked(operator, failure_of(operator)))


def record(error_type: str) -> dict[str, Any]:
    """Return the record of a failed ingestion."""
    return {"IngestionStatus": "FAILED", "ErrorInfo": {"Type": error_type, "Message": "why"}}


@pytest.mark.parametrize("error_type", ERROR_TYPES)
def test_every_failure_of_quicksight_has_an_answer(error_type: str) -> None:
    """The table in the documentation is made of the same data: it must be what happens."""
    error = not_succeeded(RUN, QUICKSIGHT_INGESTION.read_record(record(error_type)))
    assert error.code == error_type
    kind = QUICKSIGHT_INGESTION.failures.get(error_type, FailureKind.PERMANENT)
    assert error.kind is kind
    assert ends(asked(start(), error)) is (kind is not FailureKind.TRANSIENT)


def test_what_says_nothing_of_the_job_is_tried_as_without_a_policy() -> None:
    """A node that is drained, or credentials that are not there for a second, are no reason to give up."""
    fatal = ErrorKind.FATAL
    for error in (
        TaskKilledError("the task was told to end"),
        AwsApiError("no credentials", meaning=fatal, code="NoCredentialsError"),
        AwsJobError("3 targets could not be listed"),
        RuntimeError("of somebody else"),
    ):
        assert delay_of(asked(start(), error)) is None


def test_a_job_that_still_ends_is_worth_another_try(case: Case, aws: Emulator) -> None:
    """The next try waits for it again; but what may not be cancelled may not be the next time either."""
    run = JobRun(case.name, dict.fromkeys(case.job_type.identity, "x"), "eu-west-1")
    assert delay_of(asked(start(case), still_ending(run, 5))) == pytest.approx(120, rel=0.11)
    aws.configure(case.name, duration=60)
    context = Context()
    start(case, wait_for_completion=False).execute(context)
    aws.fault("error", code="AccessDeniedException", operation=case.job_type.cancel.api_name)
    operator = start(case)
    error = failure_of(operator, context.cleared())
    assert isinstance(error, JobNotEndedError)
    assert ends(asked(operator, error))


def test_codes_can_be_chosen() -> None:
    """An author knows his source better than we do."""
    policy = AwsJobRetryPolicy(fail_codes=("SQL_EXCEPTION",), retry_codes=("DATA_SET_NOT_SPICE",))
    for error_type, tried in (
        ("SQL_EXCEPTION", False),
        ("DATA_SET_NOT_SPICE", True),
        ("QUERY_TIMEOUT", True),
    ):
        error = not_succeeded(RUN, QUICKSIGHT_INGESTION.read_record(record(error_type)))
        assert ends(asked(start(policy=policy), error)) is not tried


async def test_a_deferred_task_is_asked_about_the_same_failure(case: Case, aws: Emulator) -> None:
    """What the trigger has read must not lose its code on the way to the worker."""
    aws.configure(case.name, duration=60)
    context = Context()
    operator = start(case, deferrable=True)
    with pytest.raises(TaskDeferred) as deferral:
        operator.execute(context)
    aws.fault("error", code="AccessDeniedException", operation=case.job_type.describe.api_name)
    told = await event(deferral.value.trigger)
    with pytest.raises(AwsApiError) as caught:
        operator.execute_complete(context, told, **(deferral.value.kwargs or {}))
    assert caught.value.code == "AccessDeniedException"
    assert ends(asked(operator, caught.value))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"delay": 60}, "delay must be a timedelta, not 60"),
        ({"longest_delay": None}, "longest_delay must be a timedelta"),
        ({"quota_delay": timedelta(0)}, "quota_delay must be above 0"),
        ({"fail_codes": "SQL_EXCEPTION"}, "fail_codes must be a tuple of codes"),
        ({"fail_codes": ("A",), "retry_codes": ("A",)}, "must not both have A"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(arguments: dict[str, Any], says: str) -> None:
    """A mistake must show when the DAG is parsed, not at the first failure at night."""
    with pytest.raises(ValueError, match=says):
        AwsJobRetryPolicy(**arguments)


def test_it_survives_serialization() -> None:
    """Airflow's interface asks for JSON."""
    policy = AwsJobRetryPolicy(delay=timedelta(seconds=7), quota_delay=None, fail_codes=("A",))
    assert AwsJobRetryPolicy.deserialize(json.loads(json.dumps(policy.serialize()))) == policy


def test_a_dag_with_it_is_serialized() -> None:
    """The scheduler must take a DAG that has one."""
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("d", schedule=None) as dag:
        start()
        QUICKSIGHT.start_class.partial(task_id="m", retry_policy=AwsJobRetryPolicy()).expand(
            data_set_id=["a"]
        )
    made = json.dumps(DagSerialization.to_dict(dag))
    assert made.count('"has_retry_policy": true') == 2
