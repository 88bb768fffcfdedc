"""Tasks that start in the triggerer (``start_from_trigger``), over real HTTP, for every job type."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.exceptions import AirflowTaskTimeout, TaskDeferred
from airflow.sdk.execution_time import comms, task_runner
from airflow.triggers.base import TaskFailedEvent, TaskSuccessEvent, TriggerEvent

from airflow_jobs_provider.exceptions import AwsApiError, AwsJobError
from airflow_jobs_provider.jobs.run import JobRun
from airflow_jobs_provider.links.aws_job import AwsJobLink
from airflow_jobs_provider.operators.packing import unpack
from airflow_jobs_provider.triggers.aws_job import AwsJobTrigger
from airflow_jobs_provider.triggers.host import XComRecords
from tests.cases import CASES
from tests.conftest import Context, TaskInstance
from tests.operators.scenes import check_replaced, ids_in_answer, of, only_job
from tests.triggers.supervisor import Supervisor
from tests.triggers.tasks import (
    STARTS,
    WORKERLESS,
    begun,
    die,
    dies_in_the_start,
    event,
    keep_record,
    kill,
    trigger,
    until,
)

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import Emulator
    from tests.cases import Case

pytestmark = pytest.mark.usefixtures("airflow")


async def test_a_start_is_a_workers(case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance) -> None:
    """Job, result, link and record: tasks after it, and people, must not see where it has run."""
    aws.configure(case.name, duration=60)
    running = await begun(trigger(case.start(**WORKERLESS), ti), aws)
    record = airflow.pulled["aws_job"]
    assert record["ti_id"] == str(ti.id)
    assert record["run"] is not None
    aws.settle(case.name, {}, case.succeeded)
    assert isinstance(await running, TaskSuccessEvent)
    result = airflow.pulled["return_value"]
    assert result["status"] == case.succeeded
    assert {key: airflow.pulled[key] for key in result} == result
    operator = case.start(aws_conn_id=None)
    run = JobRun.from_json(record["run"])
    assert result == operator.conclude(run, operator.hook.describe(run))
    url = case.job_type.console_url(run)
    assert airflow.pulled.get("aws_job_link") == url
    assert only_job(aws)["cancels"] == 0


async def test_a_sensor_is_a_workers(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance
) -> None:
    """The simplest case: nothing is started."""
    aws.configure(case.name, duration=60)
    started = case.start(wait_for_completion=False).execute(Context())
    ids = {name: started[name] for name in case.job_type.identity if started[name] is not None}
    running = await begun(trigger(case.sensor(**ids, **WORKERLESS), ti), aws)
    aws.settle(case.name, {}, case.succeeded)
    assert isinstance(await running, TaskSuccessEvent)
    assert airflow.pulled["return_value"]["status"] == case.succeeded


async def test_a_sensor_of_an_ended_job_ends_at_once(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance
) -> None:
    """There is nothing to wait for."""
    aws.configure(case.name, duration=60)
    started = case.start(wait_for_completion=False).execute(Context())
    ids = {name: started[name] for name in case.job_type.identity if started[name] is not None}
    aws.settle(case.name, {}, case.succeeded)
    assert isinstance(await event(trigger(case.sensor(**ids, **WORKERLESS), ti)), TaskSuccessEvent)
    assert airflow.pulled["return_value"]["status"] == case.succeeded


async def test_a_cancel_is_a_workers(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance
) -> None:
    """Also a cancel operator needs no process."""
    aws.configure(case.name, duration=60)
    started = case.start(wait_for_completion=False).execute(Context())
    ids = {name: started[name] for name in case.job_type.cancel.parameters if started[name] is not None}
    assert isinstance(await event(trigger(case.cancel(**ids, **WORKERLESS), ti)), TaskSuccessEvent)
    assert airflow.pulled["return_value"]["status"] == case.cancelled


async def test_templates_are_rendered_there(case: Case, aws: Emulator, ti: TaskInstance) -> None:
    """Targets come from params and dates, which Airflow gives the triggerer."""
    aws.configure(case.name, duration=60)
    target = {
        key: f"{{{{ params.it.{key} }}}}" if isinstance(value, str) else value
        for key, value in case.target.items()
    }
    operator = case.start_class(
        task_id="refresh", aws_conn_id=None, region_name="{{ params.region }}", **{**target, **WORKERLESS}
    )
    made = trigger(operator, ti, {"params": {"it": dict(case.target), "region": "eu-west-1"}})
    running = await begun(made, aws)
    assert only_job(aws)["cancels"] == 0
    await die(running, made)


async def test_a_refused_start_fails_it(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    """With AWS's own words in the log, and without a process."""
    aws.fault("error", code="AccessDeniedException", operation=case.job_type.start.api_name)
    assert isinstance(await event(trigger(case.start(**WORKERLESS), ti)), TaskFailedEvent)
    assert "AccessDeniedException" in capsys.readouterr().out
    assert airflow.pulled["aws_job"] == {"ti_id": str(ti.id), "run": None}


async def test_a_bad_value_of_a_template_is_refused_before_any_call(
    case: Case, aws: Emulator, airflow: Supervisor, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a worker: by its name and with its value, and nothing is started or recorded."""
    tried = 0
    for name, value in case.bad:
        if name not in case.job_type.start.parameters or not isinstance(value, str) or not value:
            continue
        operator = case.start(**{name: "{{ params.value }}"}, **WORKERLESS)
        fired = await event(trigger(operator, TaskInstance(state="deferred"), {"params": {"value": value}}))
        assert isinstance(fired, TaskFailedEvent)
        with pytest.raises(ValueError, match=f"^{name} ") as told:
            case.start(**{name: value})
        assert f"the task has failed: {told.value}" in capsys.readouterr().out
        tried += 1
    assert tried
    assert aws.jobs() == []
    assert aws.journal(case.job_type.start.api_name) == []
    assert airflow.xcoms == {}


async def test_what_the_client_refuses_is_not_sent(
    case: Case,
    aws: Emulator,
    airflow: Supervisor,
    ti: TaskInstance,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What our own checks would let pass, botocore's refuse in a worker: here, too."""
    name = next(iter(case.target))
    right = case.start_class.parameters

    def wrong(operator: Any, operation: Any) -> dict[str, Any]:
        return {**right(operator, operation), name: ["no", "such"]}

    monkeypatch.setattr(case.start_class, "parameters", wrong)
    monkeypatch.setattr(
        "airflow_jobs_provider.operators.starting.commented", lambda _, values, __: (values, {})
    )
    assert isinstance(await event(trigger(case.start(**WORKERLESS), ti)), TaskFailedEvent)
    told = capsys.readouterr().out
    assert f"Invalid type for parameter {case.job_type.parameters[name].api}, value: ['no', 'such']" in told
    assert aws.journal(case.job_type.start.api_name) == []
    assert not (airflow.pulled["aws_job"] or {}).get("run")


async def test_without_an_end_there_a_worker_goes_on(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance
) -> None:
    """It finds the job of this try, and gives its result."""
    aws.configure(case.name, duration=60)
    operator = case.start(**STARTS)
    running = await begun(trigger(operator, ti), aws)
    aws.settle(case.name, {}, case.succeeded)
    fired = await running
    assert type(fired) is TriggerEvent
    ti.xcoms = airflow.pulled
    assert operator.go_on(Context(ti), fired.payload)["status"] == case.succeeded
    assert only_job(aws)["cancels"] == 0


async def test_a_start_that_failed_there_fails_in_the_worker(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance
) -> None:
    """There a policy, and callbacks, get the error itself."""
    aws.fault("error", code="AccessDeniedException", operation=case.job_type.start.api_name)
    operator = case.start(**STARTS)
    fired = await event(trigger(operator, ti))
    assert fired.payload is None
    ti.xcoms = airflow.pulled
    with pytest.raises(AwsApiError, match="AccessDenied"):
        operator.go_on(Context(ti), fired.payload)


async def test_a_job_that_a_worker_has_started_is_known_here(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance
) -> None:
    """The start failed here, a worker has made it, and the task is cleared when nobody can be told."""
    aws.configure(case.name, duration=60)
    aws.fault("error", code="AccessDeniedException", operation=case.job_type.start.api_name, times=1)
    operator = case.start(**STARTS)
    await event(trigger(operator, ti))
    ti.xcoms = airflow.pulled
    with pytest.raises(TaskDeferred):
        operator.go_on(Context(ti), None)
    await keep_record(airflow, ti.xcoms["aws_job"])
    later = TaskInstance(try_number=2, state="deferred")
    running = await begun(trigger(case.start(**STARTS), later), aws)
    check_replaced(case, aws)
    running.cancel()


async def test_job_types_of_a_service_share_a_client(aws: Emulator, airflow: Supervisor) -> None:
    """What one of them asks for must not be another one's job."""
    kinds = [case for case in CASES if case.name.startswith("neptune")]
    runs = []
    for case in kinds:
        aws.configure(case.name, duration=60)
        runs.append(await begun(trigger(case.start(**WORKERLESS), TaskInstance(task_id=case.name)), aws))
    assert sorted(job["job_type"] for job in aws.jobs()) == sorted(case.name for case in kinds)
    for running in runs:
        running.cancel()


async def test_another_triggerer_goes_on_with_the_same_job(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance
) -> None:
    """A triggerer that dies while the job runs must leave one job."""
    aws.configure(case.name, duration=60)
    first = trigger(case.start(**WORKERLESS), ti)
    await die(await begun(first, aws), first)
    running = await begun(trigger(case.start(**WORKERLESS), ti), aws)
    aws.settle(case.name, {}, case.succeeded)
    assert isinstance(await running, TaskSuccessEvent)
    assert only_job(aws)["cancels"] == 0


@pytest.mark.parametrize("by_hand", [False, True], ids=["failed", "cancelled"])
@pytest.mark.parametrize("modes", [STARTS, WORKERLESS], ids=["starts", "starts-and-ends"])
async def test_a_job_that_ended_while_no_triggerer_lived_ends_the_try(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance, by_hand: bool, modes: dict[str, Any]
) -> None:
    """It failed, or was cancelled by hand: that is for a retry to mend, and not for the same try."""
    aws.configure(case.name, duration=60)
    first = trigger(case.start(**modes), ti)
    await die(await begun(first, aws), first)
    end = {"status": case.cancelled} if by_hand else case.failed
    aws.settle(case.name, {}, **end)
    fired = await event(trigger(case.start(**modes), ti))
    if modes is STARTS:
        ti.xcoms = airflow.pulled
        with pytest.raises(AwsJobError, match=str(end["status"])):
            case.start(**modes).go_on(Context(ti), fired.payload)
    else:
        assert isinstance(fired, TaskFailedEvent)
    assert only_job(aws)["cancels"] == 0


@ids_in_answer
async def test_a_triggerer_may_die_in_a_start(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS has answered, and nothing was recorded: the next one finds the job, by its token or by the list."""
    aws.configure(case.name, duration=60)
    first = trigger(case.start(**WORKERLESS), ti)
    await dies_in_the_start(first, airflow, aws, monkeypatch)
    assert airflow.pulled["aws_job"]["confirmed"] is False
    again = await begun(trigger(case.start(**WORKERLESS), ti), aws)
    aws.settle(case.name, {}, case.succeeded)
    assert isinstance(await again, TaskSuccessEvent)
    assert only_job(aws)["cancels"] == 0


async def test_a_clear_ends_the_old_job_first(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance
) -> None:
    """No triggerer was told of the clear: the record of another task instance tells."""
    aws.configure(case.name, duration=60)
    first = trigger(case.start(**WORKERLESS), ti)
    await die(await begun(first, aws), first)
    later = TaskInstance(try_number=2, state="deferred")
    running = await begun(trigger(case.start(**WORKERLESS), later), aws)
    check_replaced(case, aws)
    assert airflow.pulled["aws_job"]["ti_id"] == str(later.id)
    running.cancel()


@of(lambda case: case.busy is not None)
async def test_a_busy_target_is_waited_for(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance
) -> None:
    """On the event loop, not in a thread."""
    aws.configure(case.name, duration=60, **(case.busy or {}))
    case.start(wait_for_completion=False).execute(Context())
    made = trigger(case.start(**WORKERLESS), ti)
    running = asyncio.create_task(event(made))
    await until(lambda: made._waits is not None)
    aws.settle(case.name, {}, case.succeeded)
    await until(lambda: len(aws.jobs()) == 2)
    await until(lambda: isinstance(made._waits, AwsJobTrigger))
    aws.settle(case.name, {}, case.succeeded)
    assert isinstance(await running, TaskSuccessEvent)


async def test_a_broken_trigger_leaves_its_job_to_the_worker(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance
) -> None:
    """Airflow resumes with __fail__, and no record in the store: the one in XCom tells the job."""
    aws.configure(case.name, duration=60)
    operator = case.start(**WORKERLESS)
    made = trigger(operator, ti)
    await die(await begun(made, aws), made)
    ti.xcoms = airflow.pulled
    with pytest.raises(AirflowTaskTimeout):
        operator.resume_execution("__fail__", {"error": "Trigger timeout"}, Context(ti))
    assert only_job(aws)["status"] == case.cancelled


def test_a_copy_is_the_same(case: Case) -> None:
    """What an author has set must hold in the triggerer, too."""
    for make in (case.start, case.sensor, case.cancel):
        operator = make(**WORKERLESS, region_name="{{ ds }}", multiple_outputs=False)
        operator.resolve_template_files()
        copy = unpack(operator.start_trigger_args.trigger_kwargs["packed"])
        for name in (*operator.template_fields, "multiple_outputs", "deferrable", "end_from_trigger"):
            assert getattr(copy, name) == getattr(operator, name)


async def test_a_time_out_before_the_start_fails_it(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow's time-out is no Exception: the task would fail as that of a broken trigger."""

    def late(*_: object) -> None:
        raise AirflowTaskTimeout("no job could be started within execution_timeout")

    monkeypatch.setattr(case.start_class, "execute", late)
    assert isinstance(await event(trigger(case.start(**WORKERLESS), ti)), TaskFailedEvent)
    fired = await event(trigger(case.start(**STARTS), ti))
    assert type(fired) is TriggerEvent
    assert fired.payload is None
    ti.start_date -= timedelta(hours=2)
    operator = case.start(**STARTS, execution_timeout=timedelta(hours=1))
    with pytest.raises(AirflowTaskTimeout, match="no job could be started"):
        operator.go_on(Context(ti), None)
    assert aws.jobs() == []


async def test_what_the_store_has_of_an_earlier_try_is_not_this_ones(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance
) -> None:
    """A worker has ended the try before the clear, and left its record where it outlives that."""
    aws.configure(case.name, duration=60)
    running = await begun(trigger(case.start(**STARTS), ti), aws)
    aws.settle(case.name, {}, case.succeeded)
    ti.xcoms = airflow.pulled
    context = Context(ti)
    case.start(**STARTS).go_on(context, (await running).payload)
    assert context["task_state_store"].values
    await keep_record(airflow, ti.xcoms["aws_job"])
    later = context.cleared()
    later["ti"].state = "deferred"
    made = trigger(case.start(**STARTS), later["ti"])
    await die(await begun(made, aws), made)
    later["ti"].xcoms = airflow.pulled
    with pytest.raises(AirflowTaskTimeout):
        case.start(**STARTS).resume_execution("__fail__", {"error": "Trigger timeout"}, later)
    assert [job["status"] for job in aws.jobs()] == [case.succeeded, case.cancelled]


async def test_templates_without_values_are_a_workers(case: Case, aws: Emulator, ti: TaskInstance) -> None:
    """The DAG was changed while the task waits: nothing may be started with braces in its parameters."""
    made = trigger(case.start(**WORKERLESS, region_name="{{ params.region }}"), ti)
    fired = await event(made)
    assert type(fired) is TriggerEvent
    assert fired.payload is None
    assert aws.journal() == []


async def test_a_worker_goes_on_although_the_dag_says_otherwise_by_now(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance
) -> None:
    """The author has left the mode out while the job runs: it is the one that is found."""
    aws.configure(case.name, duration=60)
    made = trigger(case.start(**WORKERLESS), ti)
    await die(await begun(made, aws), made)
    ti.xcoms = airflow.pulled
    with pytest.raises(TaskDeferred):
        case.start(deferrable=True).go_on(Context(ti), None)
    assert only_job(aws)["cancels"] == 0


async def test_what_is_not_there_is_not_empty(case: Case, aws: Emulator, ti: TaskInstance) -> None:
    """A DAG's templates are strict: a misspelled param must not start a job elsewhere."""
    operator = case.start(**WORKERLESS, region_name="eu-west-1{{ params.missing }}")
    fired = await event(trigger(operator, ti, {"params": {}}))
    assert type(fired) is TriggerEvent
    assert aws.journal() == []


async def test_templates_that_fail_leave_no_earlier_job(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance
) -> None:
    """The next try has other params, and ends before it has looked at what it finds."""
    aws.configure(case.name, duration=60)
    operator = case.start(**WORKERLESS, region_name="eu-west-1{{ params.more }}")
    first = trigger(operator, ti, {"params": {"more": ""}})
    await die(await begun(first, aws), first)
    later = TaskInstance(try_number=2, state="deferred")
    fired = await event(trigger(operator, later, {"params": {}}))
    assert type(fired) is TriggerEvent
    assert only_job(aws)["status"] == case.cancelled


class Backend(BaseXCom):
    """One that asks Airflow for a connection, and keeps values elsewhere."""

    kept: ClassVar[dict[str, Any]] = {}

    @classmethod
    def serialize_value(cls, value: Any, *, key: str | None = None, **_: Any) -> Any:
        """Keep a value."""
        cls.ask()
        cls.kept[str(key)] = value
        return str(key)

    @classmethod
    def deserialize_value(cls, result: Any) -> Any:
        """Return a value."""
        cls.ask()
        return cls.kept[result.value]

    @staticmethod
    def ask() -> None:
        """Ask Airflow, as code for workers does."""
        question = comms.GetXCom(key="a", dag_id="d", run_id="r", task_id="t")
        task_runner.SUPERVISOR_COMMS.send(question)


async def test_xcoms_go_through_the_deployments_backend(
    case: Case, aws: Emulator, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may use connections, which Airflow refuses to code on the event loop."""
    monkeypatch.setattr("airflow.sdk.execution_time.xcom.XCom", Backend)
    monkeypatch.setattr(Backend, "kept", {})
    aws.configure(case.name, duration=60)
    made = trigger(case.start(**WORKERLESS), ti)
    await kill(await begun(made, aws), made)  # it has only moved
    assert only_job(aws)["cancels"] == 0
    running = await begun(trigger(case.start(**WORKERLESS), ti), aws)
    aws.settle(case.name, {}, case.succeeded)
    assert isinstance(await running, TaskSuccessEvent)
    assert Backend.kept["return_value"]["status"] == case.succeeded
    assert only_job(aws)["cancels"] == 0


async def test_a_try_that_fails_leaves_no_result_of_the_one_before(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance
) -> None:
    """Airflow removes it only when a worker starts a try; tasks after it would take it for this try's."""
    aws.configure(case.name, duration=60)
    running = await begun(trigger(case.start(**WORKERLESS), ti), aws)
    aws.settle(case.name, {}, case.succeeded)
    assert isinstance(await running, TaskSuccessEvent)
    assert airflow.pulled["status"] == case.succeeded
    aws.fault("error", code="AccessDeniedException", operation=case.job_type.start.api_name)
    later = TaskInstance(try_number=2, state="deferred")
    assert isinstance(await event(trigger(case.start(**WORKERLESS), later)), TaskFailedEvent)
    assert set(airflow.xcoms) <= {"aws_job", "aws_job_link"}


async def test_templates_that_fail_when_the_triggerer_has_died_cost_no_job(
    case: Case, aws: Emulator, ti: TaskInstance
) -> None:
    """A variable that is gone by then is a worker's problem; the job runs on, for a worker to find."""
    aws.configure(case.name, duration=60)
    operator = case.start(**WORKERLESS, region_name="eu-west-1{{ params.more }}")
    first = trigger(operator, ti, {"params": {"more": ""}})
    await die(await begun(first, aws), first)
    fired = await event(trigger(operator, ti, {"params": {}}))
    assert (type(fired), fired.payload) == (TriggerEvent, None)
    assert only_job(aws)["cancels"] == 0


async def test_a_triggerer_that_cannot_make_the_operator_gives_it_to_a_worker(
    case: Case, aws: Emulator, ti: TaskInstance
) -> None:
    """It may be another installation than the workers."""
    made = trigger(case.start(**WORKERLESS), ti)
    made.packed = made.packed.replace('"operator": "', '"operator": "not_there.')
    fired = await event(made)
    assert (type(fired), fired.payload) == (TriggerEvent, None)
    assert not aws.jobs()


async def test_a_mistake_after_the_start_ends_the_job_and_the_try(
    case: Case,
    aws: Emulator,
    ti: TaskInstance,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As in a worker; one that went on would start another job in the same try."""
    monkeypatch.setattr(AwsJobLink, "persist", mistake)
    aws.configure(case.name, duration=60)
    assert isinstance(await event(trigger(case.start(**WORKERLESS), ti)), TaskFailedEvent)
    assert only_job(aws)["status"] == case.cancelled
    assert "the task has failed: nobody has thought of this" in capsys.readouterr().out


async def test_a_mistake_before_the_start_is_a_workers(
    case: Case, aws: Emulator, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost by it, and a worker may know better."""
    monkeypatch.setattr(XComRecords, "get", mistake)
    fired = await event(trigger(case.start(**WORKERLESS), ti))
    assert (type(fired), fired.payload) == (TriggerEvent, None)
    assert not aws.jobs()


async def test_a_wait_that_breaks_off_leaves_the_job_to_a_worker(
    case: Case, aws: Emulator, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job runs, and the worker finds it on record."""
    monkeypatch.setattr(AwsJobTrigger, "_outcome", mistake)
    aws.configure(case.name, duration=60)
    fired = await event(trigger(case.start(**WORKERLESS), ti))
    assert (type(fired), fired.payload) == (TriggerEvent, None)
    assert only_job(aws)["cancels"] == 0


def mistake(*_: object) -> None:
    """Do what nobody has thought of."""
    raise RuntimeError("nobody has thought of this")
