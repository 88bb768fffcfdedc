"""Starts whose answer was lost, and kills that come while a start is on its way, for every job type."""

from __future__ import annotations

import json
import re
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_jobs_provider.exceptions import AwsApiError, JobCancelledError, JobExistsError, TaskKilledError
from airflow_jobs_provider.hooks.aws_job import AwsJobHook
from airflow_jobs_provider.lost import COMMENT
from airflow_jobs_provider.testing.job_service import JobService
from tests.cases import CASES, Case
from tests.conftest import Context, TaskInstance
from tests.operators.scenes import (
    check_replaced,
    dated,
    death,
    died,
    during,
    ids_in_answer,
    killed,
    of,
    only_job,
    timed_out,
    tokenless,
)

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import Emulator

commenting = of(lambda case: case.job_type.comment is not None)
compared = of(lambda case: case.job_type.search is not None and case.job_type.search.text is None)
repeatable = of(lambda case: case.job_type.token is not None and case.job_type.search is not None)
CASES_BY_NAME = {case.name: case for case in CASES}
COMMENTING = {case.name: case for case in CASES if case.job_type.comment is not None}


def somebody_starts(case: Case, times: int = 1, **more: Any) -> None:
    """Start the same as the task, but not by the task."""
    hook = AwsJobHook(case.job_type, aws_conn_id=None)
    operator = case.start()
    for _ in range(times):
        hook.start({**operator.parameters(case.job_type.start), **more})


def beside(case: Case, aws: Emulator, **settings: Any) -> None:
    """Let several jobs of a target run at a time."""
    many = dict.fromkeys(case.busy or ())
    if "neptune" in case.name and case.busy is not None:
        many = {"limit_per_graph": None}
    aws.configure(case.name, **many, **dated(case), **settings)


def test_a_retry_finds_the_job_of_a_lost_answer(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that died between start and record must not cost a second job."""
    aws.configure(case.name, duration=0.5)
    died(case, context, monkeypatch)
    assert case.start().execute(context.retried())["status"] == case.succeeded
    assert only_job(aws)["cancels"] == 0


def test_a_clear_ends_the_job_of_a_lost_answer(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clear means a new job, also where nobody was told of the old one."""
    aws.script(case.name, duration=60, **dated(case))
    aws.configure(case.name, duration=0.1)
    died(case, context, monkeypatch)
    assert case.start().execute(context.cleared())["status"] == case.succeeded
    assert check_replaced(case, aws)["status"] == case.succeeded


@commenting
def test_a_commented_job_is_found_although_the_request_has_changed(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A DAG that was mended after the crash must still end what the broken one has started."""
    aws.script(case.name, duration=60, **dated(case))
    aws.configure(case.name, duration=0.1)
    died(case, context, monkeypatch)
    assert case.start(**case.other_target).execute(context.retried())["status"] == case.succeeded
    assert [job["status"] for job in aws.jobs()] == [case.cancelled, case.succeeded]


@commenting
def test_the_same_query_of_somebody_else_is_not_touched(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """People run the statements of DAGs by hand: theirs are neither adopted nor cancelled."""
    aws.configure(case.name, duration=60, **dated(case))
    died(case, context, monkeypatch, sent=False)
    somebody_starts(case)
    case.start(wait_for_completion=False).execute(context.cleared())
    theirs, ours = aws.jobs()
    assert (theirs["cancels"], ours["cancels"]) == (0, 0)
    assert len(aws.jobs()) == 2


@compared
def test_a_job_of_before_is_not_touched(
    case: Case,
    aws: Emulator,
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was running before the start was asked for cannot be its job."""
    beside(case, aws, duration=60)
    monkeypatch.setattr("airflow_jobs_provider.lost._SKEW", 0.0)
    somebody_starts(case)
    time.sleep(0.05)
    died(case, context, monkeypatch, sent=False)
    case.start(wait_for_completion=False).execute(context.cleared())
    assert [job["cancels"] for job in aws.jobs()] == [0, 0]


@tokenless
def test_siblings_of_a_mapped_task_do_not_touch_each_other(
    case: Case,
    aws: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Mapped tasks ask for the same at the same time; a wrong guess would cancel a job that is wanted."""
    beside(case, aws, duration=60)
    first, second = (Context(TaskInstance(map_index=index)) for index in (0, 1))
    died(case, second, monkeypatch)
    died(case, first, monkeypatch, sent=False)
    cleared = first.cleared()
    cleared["ti"].map_index = 0
    case.start(wait_for_completion=False).execute(cleared)
    assert [job["cancels"] for job in aws.jobs()] == [0, 0]
    told = capsys.readouterr().out
    assert ("mapped beside this one" in told) == (case.job_type.comment is None)
    assert (f"aws {case.job_type.service} {case.job_type.cancel.cli_name} " in told) == (
        case.job_type.comment is None
    )


@tokenless
def test_of_two_jobs_that_match_none_is_touched(
    case: Case,
    aws: Emulator,
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One of them is somebody else's, run again from the console's history say."""
    beside(case, aws, duration=60)
    died(case, context, monkeypatch)
    sent = only_job(aws)["parameters"]
    comment = case.job_type.comment
    again = {comment.parameter: sent[case.job_type.parameters[comment.parameter].api]} if comment else {}
    somebody_starts(case, **again)
    case.start(wait_for_completion=False).execute(context.cleared())
    assert [job["cancels"] for job in aws.jobs()] == [0, 0, 0]
    told = capsys.readouterr().out
    assert "2 jobs match, and it can have started one only" in told
    for job in aws.jobs()[:2]:
        assert next(iter(job["ids"].values())) in told


@tokenless
def test_without_the_right_to_list_it_goes_on(
    case: Case,
    aws: Emulator,
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A policy of before this version has no list right: said once, and no task fails for it."""
    assert case.job_type.list_jobs is not None
    beside(case, aws, duration=0.1)
    aws.fault("error", code="AccessDeniedException", operation=case.job_type.list_jobs.api_name)
    died(case, context, monkeypatch)
    assert case.start().execute(context.retried())["status"] == case.succeeded
    assert capsys.readouterr().out.count("cannot be found") == 1
    assert len(aws.journal(case.job_type.list_jobs.api_name)) == 1


@tokenless
@pytest.mark.parametrize("cleared", [False, True])
def test_a_kill_while_a_lost_job_is_looked_for_ends_it(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch, cleared: bool
) -> None:
    """A try that is marked as failed while it looks for the job of the one before has no successor."""
    aws.configure(case.name, duration=60, **dated(case))
    died(case, context, monkeypatch)
    later = context.cleared() if cleared else context.retried()
    assert case.job_type.list_jobs is not None
    listed = case.job_type.list_jobs.api_name
    aws.fault("throttle", operation=listed, times=1)
    aws.fault("delay", delay=1, operation=listed, times=1)
    operator = case.start()
    with during(aws, listed, operator.on_kill), pytest.raises(TaskKilledError):
        operator.execute(later)
    assert only_job(aws)["status"] == case.cancelled


def test_imports_into_graphs_that_are_gone_are_no_matches(
    aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account's list keeps the nightly imports of graphs that were deleted long ago."""
    case, other = (CASES_BY_NAME[name] for name in ("neptune-create-graph", "neptune-import"))
    for one in (case, other):
        aws.configure(one.name, duration=60, **dated(one))
    for number in range(3):
        somebody_starts(other, graph_identifier=f"g-012345678{number}", source=case.target["source"])
    aws.settle(other.name, {}, other.succeeded)
    died(case, context, monkeypatch)
    case.start(wait_for_completion=False).execute(context.retried())
    assert len(aws.jobs(case.name)) == 1


def test_a_parameter_that_no_list_tells_is_not_guessed(
    aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An import that looks alike may not be alike."""
    case = CASES_BY_NAME["neptune-create-graph"]
    aws.configure(case.name, duration=60, **dated(case))
    died(case, context, monkeypatch, fail_on_error=False)
    case.start(fail_on_error=False, wait_for_completion=False).execute(context.cleared())
    assert [job["cancels"] for job in aws.jobs()] == [0, 0]
    assert "AWS does not tell with which fail_on_error it was started" in capsys.readouterr().out


@compared
def test_a_job_that_does_something_else_is_no_match(
    case: Case,
    aws: Emulator,
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Jobs of other tasks run at the same time."""
    beside(case, aws, duration=60)
    died(case, context, monkeypatch)
    somebody_starts(case, role_arn="arn:aws:iam::123456789012:role/another")
    case.start(wait_for_completion=False).execute(context.cleared())
    first, second, _ = aws.jobs()
    assert first["status"] == case.cancelled
    assert second["cancels"] == 0


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cloudtrail-query", {"query_statement": "SELECT 1\nFROM {store}\n-- " + "x" * 9900}),
        ("cloudtrail-query", {"query_alias": "top", "query_parameters": ["{store}"]}),
        ("logs-query", {"query_language": "SQL"}),
        ("logs-query", {"query_language": "PPL"}),
    ],
)
def test_a_query_without_room_for_a_comment_is_sent_as_it_is(
    aws: Emulator,
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    options: dict[str, Any],
) -> None:
    """A comment must never be why AWS refuses a query; what cannot be found then is said when it matters."""
    store = "12345678-abcd-1234-abcd-123456789012"
    case = COMMENTING[name]
    given: dict[str, Any] = json.loads(json.dumps(options).replace("{store}", store))
    aws.configure(name, duration=0.1)
    died(case, context, monkeypatch, **given)
    sent = only_job(aws)["parameters"]
    assert not any("Airflow" in str(value) for value in sent.values())
    assert "cannot be looked for" not in capsys.readouterr().out
    case.start(**given).execute(context.retried())
    assert "cannot be looked for: it has no comment" in capsys.readouterr().out


@commenting
def test_the_comment_is_sent_and_nothing_else_changes(case: Case, aws: Emulator, context: Context) -> None:
    """The statement that authors see, and that is compared from try to try, must stay theirs."""
    comment = case.job_type.comment
    assert comment is not None
    aws.configure(case.name, duration=0.1)
    operator = case.start()
    written = getattr(operator, comment.parameter)
    operator.execute(context)
    sent = only_job(aws)["parameters"][case.job_type.parameters[comment.parameter].api]
    line, _, rest = sent.partition("\n")
    said = context["task_state_store"].values["aws_job"]["sent"][COMMENT]
    assert (line, rest) == (comment.template.format(said), written)
    assert getattr(operator, comment.parameter) == written
    assert re.search(r"Airflow DAG finance, run \S+, task refresh, try 1, [0-9a-f]{24}", said)


@commenting
def test_a_comment_that_is_refused_is_left_out(case: Case, aws: Emulator, context: Context) -> None:
    """A parser that takes no comment must not fail a query that worked before; a bad query still fails."""
    comment, job_type = case.job_type.comment, case.job_type
    assert comment is not None
    aws.configure(case.name, duration=0.1)
    aws.fault("error", code=comment.refused, service=job_type.service, operation="StartQuery", times=1)
    operator = case.start()
    assert operator.execute(context)["status"] == case.succeeded
    api = job_type.parameters[comment.parameter].api
    assert only_job(aws)["parameters"][api] == getattr(operator, comment.parameter)
    aws.fault("error", code=comment.refused, service=job_type.service, operation="StartQuery")
    with pytest.raises(AwsApiError, match=comment.refused):
        case.start().execute(Context())
    assert len(aws.journal("StartQuery")) == 4


@tokenless
def test_each_job_that_is_another_s_is_read_once(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To read all jobs of a busy account again and again takes longer than a kill may, and is throttled."""
    beside(case, aws, duration=60)
    monkeypatch.setattr("airflow_jobs_provider.lost._SKEW", 0.0)
    somebody_starts(case, times=3)
    others = aws.jobs()
    time.sleep(0.05)
    died(case, context, monkeypatch, sent=False)
    before = len(aws.journal())
    case.start(wait_for_completion=False).execute(context.retried())
    assert case.job_type.list_jobs is not None
    assert len(aws.journal(case.job_type.list_jobs.api_name)) > 1
    read = [call for call in aws.journal(case.job_type.describe.api_name) if call["number"] > before]
    wanted = len(case.job_type.search.reads) > 0 if case.job_type.search else None
    for job in others:
        ids = set(job["ids"].values())
        assert sum(ids <= set(call["parameters"].values()) for call in read) == wanted, ids


@commenting
def test_a_kill_does_not_read_all_jobs_of_a_busy_account(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves time for a few: the one that was created when the start was asked for comes first."""
    beside(case, aws, duration=60)
    lost = Lost(monkeypatch)
    operator = case.start()

    def kill() -> None:
        somebody_starts(case, times=30)
        # To read all of them, one by one, takes twice as long as there is.
        aws.fault("delay", delay=0.2, operation=case.job_type.describe.api_name)
        operator.on_kill()

    killed(operator, context, aws, case.job_type.start.api_name, kill)
    lost.release()
    ours, *others = aws.jobs()
    assert ours["status"] == case.cancelled
    assert [job["cancels"] for job in others] == [0] * 30
    calls = aws.journal()
    cancel = next(call for call in calls if call["operation"] == case.job_type.cancel.api_name)
    reads = [call for call in calls if call["operation"] == case.job_type.describe.api_name]
    assert len([call for call in reads if call["number"] < cancel["number"]]) < 30
    assert set(ours["ids"].values()) <= set(reads[0]["parameters"].values())


class Lost:
    """The first answer of a start is on its way until ``release``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._released = threading.Event()
        self._calls = 0
        start = AwsJobHook.start

        def late(hook: AwsJobHook, values: Any) -> Any:
            self._calls += 1
            first = self._calls == 1
            answer = start(hook, values)
            if first:
                self._released.wait(60)
            return answer

        monkeypatch.setattr(AwsJobHook, "start", late)

    def release(self) -> None:
        """Let it come."""
        self._released.set()


def test_a_kill_finds_out_what_an_unanswered_start_has_started(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow kills the process 5 seconds after the SIGTERM: the answer may not come before that."""
    aws.configure(case.name, duration=60, **dated(case))
    lost = Lost(monkeypatch)
    operator = case.start()
    seen: list[str] = []

    def kill() -> None:
        operator.on_kill()
        seen.extend(job["status"] for job in aws.jobs())
        if case.job_type.token in case.job_type.identity:
            lost.release()  # the others go on by themselves

    killed(operator, context, aws, case.job_type.start.api_name, kill)
    lost.release()
    assert seen == [case.cancelled]
    assert len(aws.jobs()) == 1


@repeatable
def test_a_kill_leaves_the_old_job_of_a_token_that_was_used_before(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token of the author's own may be answered with yesterday's job: this task has not started that."""
    aws.configure(case.name, duration=60)
    own: dict[str, Any] = {str(case.job_type.token): case.token, str(case.job_type.label): "nightly"}
    somebody_starts(case, **own)
    # Yesterday's: what is a moment older than the start counts as old.
    monkeypatch.setattr("airflow_jobs_provider.operators.unanswered._SKEW", -0.01)
    # The killer waits for an answer for longer than that.
    aws.fault("delay", delay=0.3, operation=case.job_type.start.api_name, times=1)
    operator = case.start(**own)
    with (
        during(aws, case.job_type.start.api_name, operator.on_kill, since=len(aws.journal())),
        pytest.raises((TaskKilledError, JobExistsError)),
    ):
        operator.execute(context)
    assert only_job(aws)["cancels"] == 0


def test_a_kill_during_a_slow_start_leaves_nothing(case: Case, aws: Emulator, context: Context) -> None:
    """A start that takes three seconds leaves one second to cancel what it starts."""
    aws.configure(case.name, duration=60, **dated(case))
    aws.fault("delay", delay=3, operation=case.job_type.start.api_name, times=1)
    operator = case.start()
    killed(operator, context, aws, case.job_type.start.api_name)
    while any(call["outcome"] == "in flight" for call in aws.journal(case.job_type.start.api_name)):
        time.sleep(0.05)  # a repeated call was answered first
    began = aws.journal(case.job_type.start.api_name)[0]["time"]
    job = only_job(aws)
    assert job["status"] == case.cancelled
    assert job["cancel_requested"] - began < 4.5


@compared
@pytest.mark.parametrize(("seconds", "jobs"), [(9, 1), (11, 2)])
def test_clocks_may_differ_by_ten_seconds(
    case: Case,
    aws: Emulator,
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
    seconds: int,
    jobs: int,
) -> None:
    """A worker's clock may be ahead of AWS's; what was created longer before the start is somebody else's."""
    beside(case, aws, duration=60)
    died(case, context, monkeypatch)
    context["task_state_store"].values["aws_job"]["started_at"] = only_job(aws)["created"] + seconds
    case.start(wait_for_completion=False).execute(context.retried())
    assert [job["cancels"] for job in aws.jobs()] == [0] * jobs


@compared
def test_a_kill_searches_no_further_when_the_start_is_answered(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a busy account the list is long, or slow: what is known by then can be cancelled in time."""
    page = JobService.page
    monkeypatch.setattr(JobService, "page", lambda self, jobs, token, _: page(self, jobs, token, 1))
    beside(case, aws, duration=60)
    somebody_starts(case, times=10)
    assert case.job_type.list_jobs is not None
    listed = case.job_type.list_jobs.api_name
    aws.fault("delay", delay=2.2, operation=case.job_type.start.api_name, times=1)
    aws.fault("delay", delay=0.5, operation=listed)
    operator = case.start()
    with (
        during(aws, case.job_type.start.api_name, operator.on_kill, since=len(aws.journal())),
        pytest.raises((TaskKilledError, JobCancelledError)),
    ):
        operator.execute(context)
    *others, ours = aws.jobs()
    assert ours["status"] == case.cancelled
    assert not any(job["cancels"] for job in others)
    operations = [call["operation"] for call in aws.journal()]
    before = operations[: operations.index(case.job_type.cancel.api_name)]
    assert 0 < before.count(listed) < 10


@ids_in_answer
def test_a_kill_of_a_start_that_was_refused_starts_nothing(
    case: Case, aws: Emulator, context: Context
) -> None:
    """Who looks for what was started must not start it."""
    aws.fault("delay", delay=0.5, operation=case.job_type.start.api_name, times=1)
    aws.fault("throttle", operation=case.job_type.start.api_name, times=1)
    operator = case.start()
    with (
        during(aws, case.job_type.start.api_name, operator.on_kill),
        pytest.raises(TaskKilledError),
    ):
        operator.execute(context)
    assert aws.jobs() == []
    assert len(aws.journal(case.job_type.start.api_name)) == 1
    # Or else a clear would start the job, to learn what there is to be cancelled.
    assert context["task_state_store"].values == {}


@repeatable
@pytest.mark.parametrize("may_list", [True, False])
def test_a_kill_finds_its_job_although_the_repeated_start_is_throttled(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch, may_list: bool
) -> None:
    """Bedrock takes one start in ten seconds; a job that is not found in four is nobody's."""
    assert case.job_type.list_jobs is not None
    aws.configure(case.name, duration=60)
    if not may_list:  # there is only the token
        aws.fault("error", code="AccessDeniedException", operation=case.job_type.list_jobs.api_name)
    lost = Lost(monkeypatch)
    operator = case.start()
    seen: list[str] = []

    def kill() -> None:
        aws.fault("throttle", operation=case.job_type.start.api_name, times=None if may_list else 1)
        operator.on_kill()
        seen.extend(job["status"] for job in aws.jobs())

    killed(operator, context, aws, case.job_type.start.api_name, kill)
    lost.release()
    assert seen == [case.cancelled]
    assert len(aws.journal(case.job_type.list_jobs.api_name)) == 1


@repeatable
def test_a_kill_that_cannot_find_its_job_says_so(
    case: Case,
    aws: Emulator,
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A throttled question has not told that no job was started: the next try must ask again."""
    assert case.job_type.list_jobs is not None
    aws.configure(case.name, duration=60)
    aws.fault("error", code="AccessDeniedException", operation=case.job_type.list_jobs.api_name)
    lost = Lost(monkeypatch)
    operator = case.start()

    def kill() -> None:
        aws.fault("throttle", operation=case.job_type.start.api_name)
        operator.on_kill()
        lost.release()

    # Airflow kills the process before the answer comes.
    with during(aws, case.job_type.start.api_name, kill), death(monkeypatch) as dying:
        dying.setattr("airflow_jobs_provider.operators.starting.JobRecordStore.started", lambda *_: None)
        with pytest.raises(TaskKilledError):
            operator.execute(context)
    assert "what try 1 may have started was not found: " in capsys.readouterr().out
    aws.clear_faults()
    aws.settle(case.name, {}, case.succeeded)
    assert case.start().execute(context.retried())["status"] == case.succeeded
    assert only_job(aws)["cancels"] == 0


@repeatable
@pytest.mark.parametrize("cleared", [False, True])
def test_the_next_try_asks_until_it_is_no_more_throttled(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch, cleared: bool
) -> None:
    """A throttled question has found nothing out: it neither starts another job nor fails the task."""
    aws.script(case.name, duration=60 if cleared else 0.2)
    aws.configure(case.name, duration=0.2)
    died(case, context, monkeypatch)
    aws.fault("throttle", operation=case.job_type.start.api_name, times=5)
    later = context.cleared() if cleared else context.retried()
    assert case.start().execute(later)["status"] == case.succeeded
    ended = [case.cancelled, case.succeeded] if cleared else [case.succeeded]
    assert [job["status"] for job in aws.jobs()] == ended


@repeatable
def test_a_next_try_that_is_throttled_to_the_end_forgets_nothing(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not found out today must be found out tomorrow."""
    aws.configure(case.name, duration=0.2)
    died(case, context, monkeypatch)
    aws.fault("throttle", operation=case.job_type.start.api_name)
    later = context.retried()
    with pytest.raises(AwsApiError, match="it may have been, and be running"):
        case.start().execute(later)
    aws.clear_faults()
    assert case.start().execute(later.retried())["status"] == case.succeeded
    assert len(aws.jobs()) == 1


@tokenless
def test_a_kill_whose_search_takes_too_long_says_so(
    case: Case,
    aws: Emulator,
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Airflow kills the process while the thread still looks: nothing comes after what is said then."""
    assert case.job_type.list_jobs is not None
    aws.configure(case.name, duration=60, **dated(case))
    monkeypatch.setattr("airflow_jobs_provider.operators.held._PATIENCE", 2.0)
    aws.fault("delay", delay=1, operation=case.job_type.list_jobs.api_name)
    lost = Lost(monkeypatch)
    operator = case.start()
    said: list[str] = []

    def kill() -> None:
        operator.on_kill()
        said.append(capsys.readouterr().out)
        aws.clear_faults()
        lost.release()

    killed(operator, context, aws, case.job_type.start.api_name, kill)
    assert "may have been started, and be running, but it was not found yet" in said[0]


@ids_in_answer
def test_a_kill_with_cancel_on_kill_off_looks_for_nothing(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who switched cancelling off must find the job running."""
    aws.configure(case.name, duration=60, **dated(case))
    lost = Lost(monkeypatch)
    operator = case.start(cancel_on_kill=False)

    def kill() -> None:
        operator.on_kill()
        lost.release()

    killed(operator, context, aws, case.job_type.start.api_name, kill)
    assert only_job(aws)["cancels"] == 0
    assert len(aws.journal(case.job_type.start.api_name)) == 1
    assert case.job_type.list_jobs is None or not aws.journal(case.job_type.list_jobs.api_name)


def test_a_time_out_finds_out_what_an_unanswered_start_has_started(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that does not come even when it is awaited must not leave the job running."""
    aws.configure(case.name, duration=60, **dated(case))
    monkeypatch.setattr("airflow_jobs_provider.operators.asking._ANSWER_PATIENCE", 0.3)
    lost = Lost(monkeypatch)
    operator = case.start()

    def has_started() -> None:
        while not aws.jobs():
            time.sleep(0.01)

    try:
        timed_out(operator, context, aws, case.job_type.start.api_name, has_started)
    finally:
        lost.release()
    assert only_job(aws)["status"] == case.cancelled


@compared
def test_a_job_whose_age_comes_late_is_awaited(case: Case, aws: Emulator, context: Context) -> None:
    """Neptune tells when a task was created only when it is at work; until then it may be a job of before."""
    aws.configure(case.name, duration=2, timeline={"INITIALIZING": 1.5})
    aws.fault("drop_after", operation=case.job_type.start.api_name, times=1)
    assert case.start().execute(context)["status"] == case.succeeded
    assert len(aws.jobs()) == 1


@tokenless
def test_a_lost_answer_of_which_nothing_is_listed_fails_the_try(
    case: Case, aws: Emulator, context: Context
) -> None:
    """A start that may have been must not be made again; the record of it must stay."""
    aws.fault("drop", operation=case.job_type.start.api_name, times=1)
    with pytest.raises(AwsApiError, match="it may have been, and be running"):
        case.start().execute(context)
    assert aws.jobs() == []
    assert context["task_state_store"].values["aws_job"]["confirmed"] is False


@compared
def test_a_job_that_has_failed_is_no_match(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The try before may have left one, a moment ago, that did the same."""
    aws.script(case.name, **dated(case), **case.failed)
    aws.configure(case.name, duration=0.3, **dated(case))
    with pytest.raises(case.failure):
        case.start().execute(context)
    later = context.retried()
    died(case, later, monkeypatch)
    assert case.start().execute(later.retried())["status"] == case.succeeded
    assert len(aws.jobs()) == 2


@compared
def test_what_was_created_much_later_is_no_match(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On-call has started the same by hand, since the task could not."""
    beside(case, aws, duration=60)
    died(case, context, monkeypatch, sent=False)
    context["task_state_store"].values["aws_job"]["started_at"] -= 900
    somebody_starts(case)
    case.start(wait_for_completion=False).execute(context.cleared())
    assert [job["cancels"] for job in aws.jobs()] == [0, 0]
