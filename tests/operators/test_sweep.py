"""The sweep over real HTTP: every verdict, for every job type that can be swept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from airflow_jobs_provider.exceptions import AwsJobError
from airflow_jobs_provider.operators.marks import TaskKey
from airflow_jobs_provider.operators.sweep import AwsJobSweepOperator
from airflow_jobs_provider.testing.job_service import JobService
from tests.conftest import Context, TaskInstance
from tests.operators.test_marks import SETTING, SWEPT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_jobs_provider.testing import Emulator
    from tests.cases import Case

UNLIMITED = {
    "quicksight-ingestion": {"quota": None},
    "bedrock-ingestion": dict.fromkeys(
        ("limit_per_data_source", "limit_per_knowledge_base", "limit_per_account")
    ),
}


@dataclass
class Sweeper(TaskInstance):
    """The task instance of a sweep, and the Airflow that answers it.

    :ivar states: what Airflow knows of other task instances.
    :ivar claims: their XCom about the job that they wait for.
    :ivar asked: the arguments of each question about states.
    :ivar silent: what Airflow does not answer: "states", "xcoms".
    """

    states: dict[TaskKey, str | None] = field(default_factory=dict)
    claims: dict[TaskKey, Any] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)

    def get_task_states(self, **asked: Any) -> dict[str, dict[str, str | None]]:
        """Answer as Airflow 3.3 does: by run, a mapped task instance under a name made of its index."""
        self.asked.append(asked)
        if "states" in self.silent:
            raise RuntimeError("API_SERVER_ERROR")
        found: dict[str, dict[str, str | None]] = {}
        for key, state in self.states.items():
            wanted = key.dag_id == asked["dag_id"] and key.run_id in asked["run_ids"]
            if wanted and key.task_id in asked["task_ids"]:
                name = key.task_id if key.map_index < 0 else f"{key.task_id}_{key.map_index}"
                found.setdefault(key.run_id, {})[name] = state
        return found

    def xcom_pull(self, **asked: Any) -> Any:
        """Answer with a claim."""
        assert asked["key"] == "aws_job"
        if "xcoms" in self.silent:
            raise RuntimeError("API_SERVER_ERROR")
        key = TaskKey(asked["dag_id"], asked["run_id"], asked["task_ids"], asked["map_indexes"])
        return self.claims.get(key)


@dataclass
class Net:
    """A job type, what runs of it, and a sweep of it."""

    case: Case
    aws: Emulator
    ti: Sweeper = field(default_factory=Sweeper)

    def start(self, state: str | None = "deferred", **options: Any) -> TaskKey:
        """Start a job as a task does, that is in a state by now."""
        of_ti = {
            name: options.pop(name)
            for name in ("dag_id", "run_id", "task_id", "map_index")
            if name in options
        }
        started_by = TaskInstance(**of_ti)
        operator = self.case.start(deferrable=True, **options)
        operator.hook = self.hook
        with pytest.raises(TaskDeferred):
            operator.execute(Context(started_by))
        key = TaskKey(started_by.dag_id, started_by.run_id, started_by.task_id, started_by.map_index)
        self.ti.states[key] = state
        self.ti.claims[key] = started_by.xcoms["aws_job"]
        return key

    def sweep(self, **options: Any) -> list[dict[str, Any]]:
        """Sweep, and return the result."""
        return self.operator(**options).execute(self.context)

    def operator(self, **options: Any) -> AwsJobSweepOperator:
        """Return a sweep that judges young jobs, too."""
        common: dict[str, Any] = {"task_id": "sweep", "aws_conn_id": None, "min_age": 0}
        return AwsJobSweepOperator(**{**common, "job_type": self.case.name, **options})

    @cached_property
    def hook(self) -> Any:
        """The hook of all starts: a client for each would be what the tests' time is spent on."""
        return self.case.start().hook

    @property
    def context(self) -> Any:
        """The context of the sweep."""
        return Context(self.ti)

    @property
    def cancels(self) -> list[int]:
        """How often each job was asked to end, in the order of their start."""
        return [job["cancels"] for job in self.aws.jobs()]


@pytest.fixture(params=SWEPT, ids=lambda case: case.name)
def net(request: pytest.FixtureRequest, aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> Net:
    """Return each job type that can be swept in turn, whose jobs do not end, in an Airflow that has an id."""
    monkeypatch.setenv(SETTING, "prod")
    aws.configure(request.param.name, duration=600, **UNLIMITED[request.param.name])
    return Net(request.param, aws)


def test_a_job_whose_task_has_ended_is_cancelled(net: Net) -> None:
    """A job that nobody wants costs money, and holds its target."""
    states = ["success", "failed", "skipped", "upstream_failed", "removed"]
    keys = [net.start(state, task_id=f"is_{state}") for state in states]
    swept = {found["task_id"]: found for found in net.sweep(dry_run=False)}
    for key, state in zip(keys, states, strict=True):
        found = swept[key.task_id]
        assert (found["verdict"], found["action"], found["error"]) == ("orphan", "cancelled", None)
        assert (found["dag_id"], found["run_id"], found["map_index"]) == (key.dag_id, key.run_id, -1)
        assert (found["try_number"], found["task_state"]) == (1, state)
        assert found["job"] == net.ti.claims[key]["run"]
        assert found["console_url"].startswith("https://eu-west-1.")
    assert json.loads(json.dumps(swept)) == swept
    assert {job["status"] for job in net.aws.jobs()} == {net.case.cancelled}


def test_a_task_at_work_says_which_job_it_wants(net: Net) -> None:
    """A wanted job that is cancelled is the worst that a sweep can do; one of a try before is not wanted."""
    for state in ("running", "deferred"):
        net.start(state, task_id=f"{state}_wants_it")
        replaced = net.start(state, task_id=f"{state}_wants_another")
        claim = net.ti.claims[replaced]
        net.ti.claims[replaced] = {**claim, "run": {**claim["run"], "ids": {"some": "other"}}}
        del net.ti.claims[net.start(state, task_id=f"{state}_wants_none_yet")]
        # A start in the triggerer records that it begins, before AWS has told the job's id.
        begins = net.start(state, task_id=f"{state}_begins")
        net.ti.claims[begins] = {**net.ti.claims[begins], "run": None}
    swept = {found["task_id"]: (found["verdict"], found["action"]) for found in net.sweep(dry_run=False)}
    for state in ("running", "deferred"):
        assert swept[f"{state}_wants_it"] == ("wanted", "none")
        assert swept[f"{state}_wants_another"] == ("orphan", "cancelled")
        assert swept[f"{state}_wants_none_yet"] == ("undecided", "none")
        assert swept[f"{state}_begins"] == ("undecided", "none")
    assert net.cancels == [0, 1, 0, 0] * 2


def test_a_task_that_will_be_tried_again_is_left_to_it(net: Net) -> None:
    """A retry takes the running job over: it must not find it cancelled."""
    states = ["scheduled", "queued", "up_for_retry", "up_for_reschedule", "restarting", None, "a new state"]
    for index, state in enumerate(states):
        net.start(state, map_index=index)
    swept = net.sweep(dry_run=False)
    assert [found["task_state"] for found in sorted(swept, key=lambda found: found["map_index"])] == states
    assert {(found["verdict"], found["action"]) for found in swept} == {("pending", "none")}
    assert set(net.cancels) == {0}


def test_a_job_whose_run_airflow_does_not_know_is_reported_only(net: Net) -> None:
    """A database that was restored from a backup knows less than what runs."""
    key = net.start()
    del net.ti.states[key]
    assert [found["verdict"] for found in net.sweep(dry_run=False)] == ["unknown"]
    assert net.cancels == [0]


@pytest.mark.parametrize("silent", ["states", "xcoms"])
def test_a_job_is_not_touched_when_airflow_does_not_answer(net: Net, silent: str) -> None:
    """No answer is no "no"."""
    net.start("deferred")
    net.ti.silent = {silent}
    assert [found["verdict"] for found in net.sweep(dry_run=False)] == ["unanswered"]
    assert net.cancels == [0]


def test_a_dry_run_cancels_nothing(net: Net, capsys: pytest.CaptureFixture[str]) -> None:
    """Who tries a sweep for the first time wants to see, not to lose jobs."""
    net.start("failed")
    [found] = net.sweep()
    assert (found["verdict"], found["action"]) == ("orphan", "would cancel")
    assert net.cancels == [0]
    out = capsys.readouterr().out
    assert "task refresh, try 1: orphan, its task is failed: would cancel" in out
    assert "1 running jobs of this Airflow: 1 orphan (1 would cancel); 0 of others; on 1 targets" in out


def test_a_young_job_is_not_judged(net: Net) -> None:
    """What happens in its first minutes is better seen to by those who are at it."""
    net.start("failed")
    assert [found["verdict"] for found in net.sweep(dry_run=False, min_age=900)] == ["young"]
    assert net.ti.asked == []
    assert net.cancels == [0]


def test_jobs_of_others_are_not_even_asked_about(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test Airflow in the same AWS account must never touch production."""
    monkeypatch.setenv(SETTING, "staging")
    net.start("failed")
    monkeypatch.delenv(SETTING)
    net.start("failed")
    monkeypatch.setenv(SETTING, "prod")
    sweep = net.case.job_type.sweep
    assert sweep is not None
    net.start("failed", **{sweep.parameter: "the-authors-own"})
    assert net.sweep(dry_run=False) == []
    assert net.ti.asked == []
    assert net.cancels == [0, 0, 0]


def test_a_job_that_has_ended_is_none_of_its_business(net: Net) -> None:
    """A list has all jobs of months."""
    net.start("success")
    net.aws.settle(net.case.name, {}, net.case.succeeded)
    assert net.sweep(dry_run=False) == []


def test_airflow_is_asked_again_right_before_the_cancel(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """While others are cancelled somebody may clear the task, whose next try then sees to the job."""
    key = net.start("failed")
    ask = net.ti.get_task_states

    def cleared_meanwhile(**asked: Any) -> Any:
        told = ask(**asked)
        net.ti.states[key] = "scheduled"
        return told

    monkeypatch.setattr(net.ti, "get_task_states", cleared_meanwhile)
    assert [(found["verdict"], found["action"]) for found in net.sweep(dry_run=False)] == [
        ("pending", "none")
    ]
    assert net.cancels == [0]


def test_one_cancel_that_fails_does_not_stop_the_others(net: Net) -> None:
    """The one that cannot be cancelled must be said, with the way to do it by hand; the rest must go."""
    for task_id in ("one", "other", "third"):
        net.start("failed", task_id=task_id)
    net.aws.fault("error", code="AccessDeniedException", operation=net.case.job_type.cancel.api_name, times=1)
    with pytest.raises(AwsJobError, match=f"by hand: aws {net.case.job_type.service}"):
        net.sweep(dry_run=False)
    result = net.ti.xcoms["return_value"]
    assert sorted(found["action"] for found in result) == ["cancelled", "cancelled", "failed"]
    [failed] = [found for found in result if found["action"] == "failed"]
    assert "AccessDeniedException" in failed["error"]
    assert sorted(net.cancels) == [0, 1, 1]


def test_a_job_that_ends_meanwhile_is_said_to_have_ended(net: Net) -> None:
    """The report must say what was achieved, not what was asked for."""
    net.start("failed")
    ask = net.ti.get_task_states

    def ended_meanwhile(**asked: Any) -> Any:
        if net.ti.asked:
            net.aws.settle(net.case.name, {}, net.case.succeeded)
        return ask(**asked)

    net.ti.get_task_states = ended_meanwhile  # type: ignore[method-assign]
    assert [found["action"] for found in net.sweep(dry_run=False)] == ["had ended"]


def test_a_job_that_takes_its_time_is_said_to_be_ending(net: Net) -> None:
    """Who needs its target free must not be told too early."""
    net.aws.configure(net.case.name, cancel_delay=600)
    net.start("failed")
    assert [found["action"] for found in net.sweep(dry_run=False)] == ["ending"]


def test_one_question_for_each_run(net: Net) -> None:
    """Hundreds of mapped tasks must not be hundreds of questions."""
    for index in range(3):
        net.start("failed", map_index=index)
    net.start("failed", task_id="other")
    net.start("deferred", run_id="manual__1")
    found = net.sweep()
    assert sorted(each["run_ids"][0] for each in net.ti.asked) == ["manual__1", TaskInstance().run_id]
    assert sorted(each["map_index"] for each in found if each["verdict"] == "orphan") == [-1, 0, 1, 2]


def test_a_mapped_task_is_not_taken_for_another_of_that_name(net: Net) -> None:
    """Airflow calls the second one of "load" load_1, as somebody may have called a task."""
    net.start("failed", task_id="load", map_index=1)
    net.start("deferred", task_id="load_1")
    net.start("deferred", task_id="load_10", map_index=1)
    states = {(found["task_id"], found["task_state"]) for found in net.sweep()}
    assert states == {("load", "failed"), ("load_1", "deferred"), ("load_10", "deferred")}


def test_the_targets_that_are_given_are_looked_at(net: Net) -> None:
    """Who may not list everything, or does not want to, says where to look."""
    net.start("failed")
    net.start("failed", task_id="other", **net.case.other_target)
    target = {key: net.case.other_target[key] for key in net.case.target}
    assert [found["task_id"] for found in net.sweep(targets=[target, target])] == ["other"]
    discovery = {step.operation.api_name for step in _sweep(net.case).discover}
    assert not [call for call in net.aws.journal() if call["operation"] in discovery]
    part = dict(list(target.items())[:1])
    assert [found["task_id"] for found in net.sweep(targets=[part])] == ["other"]
    assert len(net.sweep()) == 2
    assert net.sweep(targets=[]) == []
    since = net.aws.journal()[-1]["number"]
    net.sweep(targets=[target] * 3)
    assert len(net.aws.journal("GetCallerIdentity", since)) <= 1


def test_a_target_that_cannot_be_listed_is_said(net: Net, capsys: pytest.CaptureFixture[str]) -> None:
    """One data set without rights must not hide the orphans of all others."""
    net.start("failed")
    net.start("failed", task_id="other", **net.case.other_target)
    listing = net.case.job_type.list_jobs
    assert listing is not None
    net.aws.fault("error", code="AccessDeniedException", operation=listing.api_name, times=1)
    assert len(net.sweep()) == 1
    out = capsys.readouterr().out
    assert "cannot be read:" in out
    assert "on 1 targets; 1 lists could not be read" in out


@pytest.mark.parametrize("which", ["jobs", "targets"])
def test_a_sweep_that_sees_nothing_fails(net: Net, which: str) -> None:
    """A net that nobody knows to be cut is none."""
    net.start("failed")
    listing = net.case.job_type.list_jobs if which == "jobs" else _sweep(net.case).discover[0].operation
    assert listing is not None
    net.aws.fault("error", code="AccessDeniedException", operation=listing.api_name)
    with pytest.raises(AwsJobError, match=r"nothing could be looked at: .*AccessDeniedException"):
        net.sweep()


def test_what_passes_is_survived(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """A throttled list must be asked for again; when AWS stays away, not for each target anew."""
    net.start("failed")
    listing = net.case.job_type.list_jobs
    assert listing is not None
    net.aws.fault("throttle", operation=listing.api_name, times=2)
    assert len(net.sweep()) == 1
    monkeypatch.setattr("airflow_jobs_provider.operators.sweep.PATIENCE", 0.5)
    net.start("failed", task_id="other", **net.case.other_target)
    net.aws.fault("throttle", operation=listing.api_name)
    since = net.aws.journal()[-1]["number"]
    with pytest.raises(AwsJobError, match="nothing could be looked at"):
        net.sweep()
    lists = [call["parameters"] for call in net.aws.journal(listing.api_name, since)]
    assert len(lists) > 1
    assert lists.count(lists[-1]) == 1


def test_all_pages_are_read(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of a list may not be documented: what runs may be on its last page."""
    for name, one in (("page", JobService.page), ("slice", JobService.slice)):
        monkeypatch.setattr(
            JobService, name, lambda self, items, token, _, one=one: one(self, items, token, 1)
        )
    for task_id in ("one", "other", "third"):
        net.start("failed", task_id=task_id)
    net.start("failed", task_id="fourth", **net.case.other_target)
    found = net.sweep(dry_run=False)
    assert {each["task_id"]: each["action"] for each in found} == dict.fromkeys(
        ("one", "other", "third", "fourth"), "cancelled"
    )


def test_without_a_deployment_id_it_fails_at_once(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep that can find nothing must not be green."""
    monkeypatch.delenv(SETTING)
    with pytest.raises(ValueError, match=rf"set \[airflow_jobs_provider\] deployment_id \({SETTING}\)"):
        net.sweep()
    assert net.aws.journal() == []


BAD: Mapping[str, Iterable[Any]] = {
    "job_type": ("neptune-import", "quicksight", None),
    "dry_run": ("no", 1, None),
    "min_age": (-1, "900", True, float("inf")),
    "targets": ("sales", {"data_set_id": "sales"}, ["sales"], [{}], [{"graph_identifier": "g-1"}]),
    "aws_conn_id": ("",),
    "region_name": ("eu west 1",),
}


def test_bad_input_is_refused_when_the_dag_is_parsed(net: Net) -> None:
    """A sweep that nobody looks at must not fail for a typing error at its first run."""
    for key, values in BAD.items():
        for value in values:
            with pytest.raises(ValueError, match=key):
                net.operator(**{key: value})


def test_targets_are_checked_as_a_start_checks_them(net: Net) -> None:
    """An id that the service would refuse is a typing error."""
    first = next(iter(net.case.target))
    with pytest.raises(ValueError, match=first):
        net.operator(targets=[{first: ""}])
    with pytest.raises(ValueError, match=first):
        net.sweep(targets=[dict(list({**net.case.target, "x": "y"}.items())[1:])])


def test_it_is_armed_by_a_template(net: Net) -> None:
    """A DAG param that arms one run renders to a string."""
    net.start("failed")
    operator = net.operator(dry_run="{{ params.dry_run }}", targets="{{ params.targets }}")
    operator.render_template_fields({"params": {"dry_run": False, "targets": None}})
    operator.targets = None  # rendered to a string, where templates are not rendered to native objects
    assert [found["action"] for found in operator.execute(net.context)] == ["cancelled"]
    assert {"dry_run", "targets", "region_name"} <= set(operator.template_fields)


def _sweep(case: Case) -> Any:
    return case.job_type.sweep
