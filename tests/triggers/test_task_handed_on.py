"""Tasks of the triggerer in other hands: another triggerer's, a worker's, a cluster policy's."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow import settings
from airflow.dag_processing.dagbag import DagBag
from airflow.exceptions import SerializationError
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowTaskTimeout, TaskDeferralError, TaskDeferralTimeout, TaskDeferred
from airflow.sdk.execution_time import comms
from airflow.serialization.serialized_objects import BaseSerialization, DagSerialization
from airflow.triggers.base import TaskFailedEvent, TriggerEvent

from airflow_jobs_provider.operators.packing import unpack
from airflow_jobs_provider.triggers.aws_job import AwsJobTrigger
from airflow_jobs_provider.triggers.tether import Tether
from tests.conftest import Context, TaskInstance
from tests.operators.scenes import check_replaced, crashed, dated, died, ids_in_answer, only_job
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


@pytest.mark.parametrize("state", ["deferred", "failed"])
async def test_nothing_is_done_until_airflow_has_said_whose_task_it_is(
    case: Case,
    aws: Emulator,
    airflow: Supervisor,
    ti: TaskInstance,
    monkeypatch: pytest.MonkeyPatch,
    state: str,
) -> None:
    """A trigger that moves is told as one that is killed; two triggerers would start the job side by side."""
    aws.configure(case.name, duration=60)
    made = trigger(case.start(**WORKERLESS), ti)
    answers, permit = airflow.asend, Tether.permit
    recorded, answered = asyncio.Event(), asyncio.Event()
    calls: list[str] = []

    async def slow(message: Any) -> Any:
        if isinstance(message, comms.GetTaskStates):
            calls.append("asked")
            await answered.wait()
        if isinstance(message, comms.SetXCom) and message.key == "aws_job":
            calls.append("recorded")
            await recorded.wait()
        return await answers(message)

    async def counted(tether: Tether) -> None:
        calls.append("next")
        await permit(tether)

    monkeypatch.setattr(airflow, "asend", slow)
    running = asyncio.create_task(event(made))
    await until(lambda: "recorded" in calls)
    airflow.state = state
    killing = asyncio.create_task(kill(running, made))
    await until(lambda: "asked" in calls)
    monkeypatch.setattr(Tether, "permit", counted)
    recorded.set()
    await until(lambda: "next" in calls)
    assert aws.journal(case.job_type.start.api_name) == []
    answered.set()
    await killing
    assert made._work is not None
    await until(made._work.done)
    if state == "deferred":
        assert aws.journal(case.job_type.start.api_name) == []
    else:
        await until(lambda: {job["status"] for job in aws.jobs()} <= {case.cancelled})


@pytest.mark.parametrize("error", ["Trigger timeout", "Trigger failure"])
async def test_a_start_without_an_answer_is_ended_by_the_worker(
    case: Case,
    aws: Emulator,
    airflow: Supervisor,
    ti: TaskInstance,
    monkeypatch: pytest.MonkeyPatch,
    error: str,
) -> None:
    """The task's time is over when no triggerer has heard which job it has started: there is no next try."""
    aws.configure(case.name, duration=60, **dated(case))
    operator = case.start(**WORKERLESS)
    await dies_in_the_start(trigger(operator, ti), airflow, aws, monkeypatch)
    ti.xcoms = airflow.pulled
    assert ti.xcoms["aws_job"]["confirmed"] is False
    with pytest.raises((AirflowTaskTimeout, TaskDeferralError)):
        operator.resume_execution("__fail__", {"error": error}, Context(ti))
    assert only_job(aws)["status"] == case.cancelled


async def test_a_broken_trigger_leaves_its_job_to_a_worker_whatever_the_dag_says_by_now(
    case: Case, aws: Emulator, ti: TaskInstance, airflow: Supervisor
) -> None:
    """The author has left the mode out while the job runs: the triggerer has recorded it."""
    aws.configure(case.name, duration=60)
    made = trigger(case.start(**WORKERLESS), ti)
    await die(await begun(made, aws), made)
    ti.xcoms = airflow.pulled
    with pytest.raises(TaskDeferralError):
        case.start(deferrable=True).resume_execution("__fail__", {"error": "Trigger failure"}, Context(ti))
    assert only_job(aws)["status"] == case.cancelled


@ids_in_answer
async def test_a_start_that_was_not_sent_leaves_nothing_behind(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows that: what the question for it starts is ended, and the task fails as Airflow says."""
    aws.configure(case.name, duration=60)
    operator = case.start(**WORKERLESS)
    await dies_in_the_start(trigger(operator, ti), airflow, aws, monkeypatch, sent=False)
    ti.xcoms = airflow.pulled
    with pytest.raises((AirflowTaskTimeout, TaskDeferralTimeout)):
        operator.resume_execution("__fail__", {"error": "Trigger timeout"}, Context(ti))
    assert {job["status"] for job in aws.jobs()} <= {case.cancelled}


@ids_in_answer
async def test_a_start_without_an_answer_is_looked_for_although_the_dag_has_changed(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been broken meanwhile: the failure of the task is still Airflow's, and not ours."""
    aws.configure(case.name, duration=60, **dated(case))
    await dies_in_the_start(trigger(case.start(**WORKERLESS), ti), airflow, aws, monkeypatch)
    ti.xcoms = airflow.pulled
    name, value = case.bad[0]
    broken = case.start(**WORKERLESS)
    setattr(broken, name, value)  # what a template may render to
    with pytest.raises((AirflowTaskTimeout, TaskDeferralError)):
        broken.resume_execution("__fail__", {"error": "Trigger failure"}, Context(ti))
    others = case.start(**{**case.other_target, **WORKERLESS})
    with pytest.raises((AirflowTaskTimeout, TaskDeferralError)):
        others.resume_execution("__fail__", {"error": "Trigger failure"}, Context(ti))
    if case.job_type.comment is not None:
        assert only_job(aws)["status"] == case.cancelled


@ids_in_answer
async def test_a_start_without_an_answer_goes_on_if_it_may(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To ask for its job with the token might start it, and nobody would end it."""
    aws.configure(case.name, duration=60)
    operator = case.start(**WORKERLESS, cancel_on_kill=False)
    await dies_in_the_start(trigger(operator, ti), airflow, aws, monkeypatch, sent=False)
    ti.xcoms = airflow.pulled
    with pytest.raises(TaskDeferralError):
        operator.resume_execution("__fail__", {"error": "Trigger failure"}, Context(ti))
    assert aws.jobs() == []


async def goes_on_in_a_worker(case: Case, airflow: Supervisor, later: Context, **options: Any) -> None:
    """Begin a try in the triggerer, which leaves it to a worker; run that until it waits for a job."""
    operator = case.start(**WORKERLESS, **options)
    fired = await event(trigger(operator, later["ti"]))
    assert type(fired) is TriggerEvent
    assert fired.payload is None
    later["ti"].xcoms = airflow.pulled
    with pytest.raises(TaskDeferred) as deferred:
        operator.go_on(later, fired.payload)
    # The old job's end is waited for in a trigger of its own.
    while deferred.value.method_name == "start_again":
        [_] = [fired async for fired in deferred.value.trigger.run()]
        with pytest.raises(TaskDeferred) as deferred:
            operator.start_again(later)
    assert later["ti"].xcoms["aws_job"]["ti_id"] == str(later["ti"].id)


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
async def test_a_workers_job_is_taken_over_by_a_retry(
    case: Case, aws: Emulator, airflow: Supervisor, monkeypatch: pytest.MonkeyPatch, deferrable: bool
) -> None:
    """The mode was changed between the tries: only a worker can read what a worker's try has left."""
    aws.configure(case.name, duration=60, **dated(case))
    context = Context()
    died(case, context, monkeypatch, deferrable=deferrable)
    await goes_on_in_a_worker(case, airflow, context.retried())
    assert only_job(aws)["cancels"] == 0


async def test_a_workers_job_is_ended_by_a_clear(case: Case, aws: Emulator, airflow: Supervisor) -> None:
    """Nobody was told of the clear: what a deferred try says of its job in XCom is not all that there is."""
    aws.configure(case.name, duration=60)
    context = Context()
    crashed(case, aws, context)
    await keep_record(airflow, context["ti"].xcoms["aws_job"])
    await goes_on_in_a_worker(case, airflow, context.cleared())
    check_replaced(case, aws)


async def test_a_retry_stays_in_the_triggerer(
    case: Case, aws: Emulator, airflow: Supervisor, ti: TaskInstance
) -> None:
    """A try that was here, and has left nothing, costs no process."""
    aws.configure(case.name, duration=60)
    running = await begun(trigger(case.start(**WORKERLESS), ti), aws)
    aws.settle(case.name, {}, **case.failed)
    assert isinstance(await running, TaskFailedEvent)
    aws.fault("error", code="AccessDeniedException", operation=case.job_type.start.api_name, times=1)
    for number in (2, 3):
        later = TaskInstance(try_number=number, state="deferred")
        made = trigger(case.start(**WORKERLESS), later)
        running = await begun(made, aws)
    assert isinstance(made._waits, AwsJobTrigger)
    assert len(aws.jobs()) == 2
    running.cancel()


def test_what_a_cluster_policy_changes_goes_to_the_triggerer(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Policies give tasks their connection, region or time-out, after the DAG file has told its own."""

    def task_policy(task: Any) -> None:
        task.aws_conn_id = "of-the-policy"
        task.execution_timeout = timedelta(hours=3)

    monkeypatch.setattr(settings, "task_policy", task_policy)
    with DAG("d", schedule=None) as dag:
        case.start(**WORKERLESS)
    DagBag(dag_folder=os.devnull).bag_dag(dag)
    serialized = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    args = serialized.get_task("refresh").start_trigger_args
    assert args is not None
    copy = unpack(BaseSerialization.deserialize(args.trigger_kwargs)["packed"])
    assert args.timeout is None or args.timeout == copy.execution_timeout
    assert copy.aws_conn_id == "of-the-policy"
    assert copy.execution_timeout == timedelta(hours=3)


def test_what_a_cluster_policy_makes_impossible_is_refused(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A policy's change must not be lost without a word."""
    with DAG("d", schedule=None) as dag:
        operator = case.start(**STARTS)
    monkeypatch.setattr(
        settings, "task_policy", lambda task: setattr(task, "region_name", "{{ ti.hostname }}")
    )
    DagBag(dag_folder=os.devnull).bag_dag(dag)
    assert operator.start_from_trigger
    with pytest.raises(SerializationError, match=r"start_from_trigger=True does not go with ti\.hostname"):
        DagSerialization.to_dict(dag)
