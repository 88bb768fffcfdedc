"""Tasks that end in the triggerer (``end_from_trigger``), over real HTTP; each test for every job type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG, AssetAlias
from airflow.sdk.exceptions import TaskDeferred
from airflow.triggers.base import TaskFailedEvent, TaskSuccessEvent

from airflow_jobs_provider.exceptions import JobFailedError
from airflow_jobs_provider.retry import AwsJobRetryPolicy
from airflow_jobs_provider.triggers.aws_job import AwsJobTrigger
from tests.conftest import Context, TaskInstance
from tests.operators.scenes import deferred, of
from tests.triggers.supervisor import Supervisor, supervise

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import Emulator
    from tests.cases import Case


ENDS: dict[str, Any] = {"end_from_trigger": True, "deferrable": None}


@pytest.fixture(autouse=True)
def airflow(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    """Return the supervisor of the triggerer."""
    return supervise(monkeypatch)


def hand_over(operator: Any, context: Context | None = None) -> AwsJobTrigger:
    """Run an operator until it defers, and return its trigger as the triggerer makes it."""
    trigger = deferred(operator, context or Context()).trigger
    made = AwsJobTrigger(**{**trigger.serialize()[1], "poll_interval": 0.05})
    made.task_instance = TaskInstance()  # type: ignore[assignment]
    made.trigger_id = 1
    return made


async def event(waiting: AwsJobTrigger) -> Any:
    """Return a trigger's one event."""
    [fired] = [fired async for fired in waiting.run()]
    return fired


def sensor_of(case: Case, aws: Emulator, **options: Any) -> Any:
    """Return a sensor for a job that runs."""
    started = case.start(wait_for_completion=False).execute(Context())
    ids = {name: started[name] for name in case.job_type.identity if started[name] is not None}
    return case.sensor(**ids, **ENDS, **options)


@pytest.mark.parametrize("kind", ["start", "sensor"])
async def test_the_result_is_a_workers(case: Case, aws: Emulator, airflow: Supervisor, kind: str) -> None:
    """Tasks after it must not see which process has ended it."""
    aws.configure(case.name, duration=60)
    operator = case.start(**ENDS) if kind == "start" else sensor_of(case, aws)
    trigger = hand_over(operator)
    aws.settle(case.name, {}, case.succeeded)
    assert isinstance(await event(trigger), TaskSuccessEvent)
    result = airflow.pulled["return_value"]
    snapshot = operator.hook.describe(trigger.job_run)
    assert result == operator.conclude(trigger.job_run, snapshot)
    assert result["status"] == case.succeeded
    assert {key: airflow.pulled[key] for key in result} == result


@of(lambda case: case.name.startswith("neptune"))
async def test_a_cancel_ends_there(case: Case, aws: Emulator, airflow: Supervisor) -> None:
    """A rollback takes long: its end is the task's result."""
    aws.configure(case.name, duration=60, cancel_delay=60)
    result = case.start(wait_for_completion=False).execute(Context())
    ids = {name: result[name] for name in case.job_type.cancel.parameters if result[name] is not None}
    trigger = hand_over(case.cancel(**ids, **ENDS))
    aws.settle(case.name, {}, case.cancelled)
    assert isinstance(await event(trigger), TaskSuccessEvent)
    assert airflow.pulled["return_value"]["status"] == case.cancelled


async def test_a_failed_job_fails_it(
    case: Case, aws: Emulator, airflow: Supervisor, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log must say why, as a worker's does, and no result may be there."""
    aws.configure(case.name, duration=60)
    trigger = hand_over(case.start(**ENDS))
    failed = {key: value for key, value in case.failed.items() if key != "status"}
    aws.settle(case.name, {}, str(case.failed["status"]), **failed)
    assert isinstance(await event(trigger), TaskFailedEvent)
    assert case.says in capsys.readouterr().out
    assert "return_value" not in airflow.xcoms


@of(lambda case: case.losses)
async def test_a_loss_is_a_workers(case: Case, aws: Emulator) -> None:
    """The author's limits hold wherever the task ends, and a retry starts another job."""
    [(limit, settings)] = list(case.losses.items())[:1]
    aws.configure(case.name, duration=60)
    context, operator = Context(), case.start(**ENDS, **{limit: 1})
    trigger = hand_over(operator, context)
    aws.settle(case.name, {}, case.succeeded, **settings)
    fired = await event(trigger)
    with pytest.raises(JobFailedError, match=limit):
        operator.execute_complete(context, fired.payload)
    with pytest.raises(TaskDeferred):
        case.start(**ENDS, **{limit: 1}).execute(context.retried())
    assert len(aws.jobs()) == 2


@of(lambda case: case.job_type.results is not None)
async def test_rows_are_fetched_there(case: Case, aws: Emulator, airflow: Supervisor) -> None:
    """A query's rows are part of its result."""
    aws.configure(case.name, duration=60)
    trigger = hand_over(case.start(**ENDS, fetch_results=True))
    aws.settle(case.name, {}, case.succeeded)
    assert isinstance(await event(trigger), TaskSuccessEvent)
    assert isinstance(airflow.pulled["return_value"]["rows"], list)


@pytest.mark.filterwarnings("ignore:Setting email")
@pytest.mark.parametrize(
    "options",
    [{"retry_policy": AwsJobRetryPolicy()}, {"email": "a@example.com"}],
    ids=lambda each: next(iter(each)),
)
async def test_some_failures_are_a_workers(case: Case, aws: Emulator, options: dict[str, Any]) -> None:
    """Airflow asks policies and writes e-mails in workers only: they get all that is known."""
    aws.configure(case.name, duration=60)
    operator = case.start(**ENDS, **options)
    trigger = hand_over(operator)
    failed = {key: value for key, value in case.failed.items() if key != "status"}
    aws.settle(case.name, {}, str(case.failed["status"]), **failed)
    fired = await event(trigger)
    with pytest.raises(case.failure, match=case.says):
        operator.execute_complete(Context(), fired.payload)


async def test_a_time_out_is_a_workers(case: Case, aws: Emulator) -> None:
    """There the job is cancelled, and its record says so."""
    aws.configure(case.name, duration=60)
    trigger = hand_over(case.start(**ENDS))
    trigger.deadline = 1.0
    assert (await event(trigger)).payload["deadline"] == 1.0


async def test_a_result_that_cannot_be_stored_is_a_workers(
    case: Case, aws: Emulator, airflow: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A success without its result would fail the tasks after it."""
    aws.configure(case.name, duration=60)
    trigger = hand_over(case.start(**ENDS))
    aws.settle(case.name, {}, case.succeeded)

    async def fails(_: Any) -> None:
        raise RuntimeError("no answer")

    monkeypatch.setattr(airflow, "asend", fails)
    assert (await event(trigger)).payload["snapshot"]["status"] == case.succeeded


@pytest.mark.parametrize(
    ("options", "stored"),
    [({"do_xcom_push": False}, set()), ({"multiple_outputs": False}, {"return_value"})],
    ids=["no result", "one"],
)
async def test_as_many_xcoms_as_the_author_wants(
    case: Case, aws: Emulator, airflow: Supervisor, options: dict[str, Any], stored: set[str]
) -> None:
    """A result may be secret, or large."""
    aws.configure(case.name, duration=60)
    trigger = hand_over(case.start(**ENDS, **options))
    aws.settle(case.name, {}, case.succeeded)
    assert isinstance(await event(trigger), TaskSuccessEvent)
    assert set(airflow.xcoms) == stored


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"outlets": [AssetAlias("a")]}, "outlets: Airflow emits no asset events"),
        ({"on_success_callback": print}, "on_success_callback: Airflow calls it in workers only"),
        ({"post_execute": print}, "post_execute: Airflow calls it in workers only"),
        ({"deferrable": False}, "deferrable=False: leave one of them out"),
    ],
    ids=lambda each: next(iter(each)) if isinstance(each, dict) else "",
)
def test_what_only_workers_do_is_refused(case: Case, options: dict[str, Any], says: str) -> None:
    """A DAG whose callbacks or asset events never come must not be found out at night."""
    for make in (case.start, case.sensor, case.cancel):
        with pytest.raises(ValueError, match=f"^end_from_trigger=True does not go with {says}"):
            make(**{**ENDS, **options})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"outlets": [AssetAlias("a")]}, "outlets"),
        ({"on_success_callback": print}, "on_success_callback"),
        ({"post_execute": print}, "post_execute"),
    ],
)
def test_mapped_tasks_are_refused_at_parse(case: Case, options: dict[str, Any], says: str) -> None:
    """Airflow makes the instances when they run: at night."""
    key, value = next(iter(case.target.items()))
    rest = {name: each for name, each in case.target.items() if name != key}
    with pytest.raises(ValueError, match=f"^end_from_trigger=True does not go with {says}"):
        case.start_class.partial(task_id="a", **rest, end_from_trigger=True, **options)
    case.start_class.partial(task_id="a", **rest, **options).expand(**{key: [value]})


def test_listeners_are_refused(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow refuses such a DAG itself, and does not say what to do."""
    monkeypatch.setattr("airflow_jobs_provider.operators.modes.has_listeners", lambda: True)
    with pytest.raises(ValueError, match="OpenLineage"):
        case.start(**ENDS)


def test_a_class_of_a_dag_file_is_refused(case: Case) -> None:
    """The triggerer imports modules, not DAG files."""
    local = type("Local", (case.start_class,), {"__module__": "unusual_prefix_0f_dag"})
    with pytest.raises(ValueError, match=r"^the triggerer cannot import Local from a DAG file"):
        local(task_id="a", **case.target, **ENDS)


@of(lambda case: "aws_account_id" in case.job_type.identity)
async def test_a_number_of_a_native_template_is_a_string(
    case: Case, aws: Emulator, airflow: Supervisor
) -> None:
    """With render_template_as_native_obj Airflow makes a number of an account."""
    aws.configure(case.name, duration=60)
    operator = sensor_of(case, aws)
    operator.aws_account_id = int(operator.aws_account_id)
    trigger = hand_over(operator)
    aws.settle(case.name, {}, case.succeeded)
    assert isinstance(await event(trigger), TaskSuccessEvent)


async def test_a_copy_that_cannot_be_made_is_a_workers(case: Case, aws: Emulator) -> None:
    """The triggerer may be another installation than the workers."""
    aws.configure(case.name, duration=60)
    trigger = hand_over(case.start(**ENDS))
    assert trigger.packed is not None
    trigger.packed = trigger.packed.replace('"operator": "', '"operator": "not_there.')
    aws.settle(case.name, {}, case.succeeded)
    assert (await event(trigger)).payload["snapshot"]["status"] == case.succeeded


def test_some_ends_are_a_workers(case: Case) -> None:
    """Airflow sees to them where workers report an end only."""
    with DAG("quick", schedule=None, fail_fast=True):
        assert case.start(**ENDS).worker_for == ["failure"]
    with DAG("told", schedule=None) as dag:
        told = case.start(**ENDS)
        dag.add_result(told.output)
    assert told.worker_for == ["success"]


def test_what_is_set_later_is_refused_later(case: Case) -> None:
    """Airflow asks once more when the whole file is read."""
    operator = case.start(**ENDS)
    operator.outlets = [AssetAlias("a")]
    with pytest.raises(ValueError, match=r"^end_from_trigger=True does not go with outlets"):
        operator.resolve_template_files()


def test_what_cannot_be_packed_is_refused_at_parse(case: Case) -> None:
    """Found out after the start, it would cancel the job."""
    operator = case.start(**ENDS)
    operator.botocore_config = {"connect_timeout": object()}
    with pytest.raises(ValueError, match=r"^the triggerer cannot make this \w+ anew"):
        operator.resolve_template_files()


def test_other_tasks_results_are_packed_when_they_are_there(case: Case) -> None:
    """At parse they have no value."""
    with DAG("d", schedule=None):
        output: Any = case.start_class(task_id="start", **case.target).output
        ids = {name: output[name] for name in case.job_type.identity}
        case.sensor_class(task_id="wait", **ids, **ENDS).resolve_template_files()
