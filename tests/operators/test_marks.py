"""Marks: which task of which Airflow has started a job, written into it and read back."""

from __future__ import annotations

import random
import re
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from airflow_jobs_provider.operators.marks import Mark, TaskKey, deployment_id
from tests.cases import CASES
from tests.conftest import Context, TaskInstance

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import Emulator
    from tests.cases import Case

SWEPT = [case for case in CASES if case.job_type.sweep is not None]
SETTING = "AIRFLOW__AIRFLOW_JOBS_PROVIDER__DEPLOYMENT_ID"

swept = pytest.mark.parametrize("case", SWEPT, ids=lambda case: case.name)


@pytest.fixture
def prod(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configure a deployment id."""
    monkeypatch.setenv(SETTING, "prod")


def start(case: Case, context: Context, **options: Any) -> None:
    """Start a job, deferred."""
    with pytest.raises(TaskDeferred):
        case.start(deferrable=True, **options).execute(context)


def mark_of(case: Case, job: dict[str, Any]) -> Any:
    """Return what the start of a job has where a mark would be."""
    assert case.job_type.sweep is not None
    return job["parameters"].get(case.job_type.parameters[case.job_type.sweep.parameter].api)


def test_a_mark_can_be_read_by_people() -> None:
    """Who finds a running job in the console must know whom to ask."""
    ti = TaskInstance(id=uuid.UUID(int=7), dag_id="sales_daily", map_index=3)
    assert re.fullmatch(
        r"prod_-sales__daily_-scheduled____2026-11-22T05_c00_c00_z_-refresh_-3_-1_-[0-9a-f]{8}",
        Mark.of(ti, "prod").encode(),
    )


def test_what_was_written_is_read() -> None:
    """A mark that is read as another task's would have a wanted job cancelled."""
    chance = random.Random(20261122)
    alphabets = ["abcXYZ019", "_-.:+~/ ", "_-", "_cpdzxst0", "äß漢🙂\x00\n", "+00:00_-"]
    seen: dict[str, Mark] = {}
    for _ in range(5000):
        alphabet = "".join(chance.sample(alphabets, chance.randint(1, len(alphabets))))
        texts = ["".join(chance.choices(alphabet, k=chance.randint(1, 20))) for _ in range(3)]
        key = TaskKey(texts[0], texts[1], texts[2], chance.choice([-1, 0, 1, 4096]))
        deployment = chance.choice(["a", "prod", "pr-od", "0123456789abcdef"])
        mark = Mark(deployment, key, chance.randint(0, 500), f"{chance.getrandbits(32):08x}")
        text = mark.encode()
        assert re.fullmatch(r"[a-zA-Z0-9_-]+", text)
        assert Mark.decode(text) == mark
        assert seen.setdefault(text, mark) == mark


def test_what_nobody_wrote_is_no_mark() -> None:
    """A job of somebody else's whose id looks a bit like a mark must be left alone."""
    ti = TaskInstance(dag_id="a.b", map_index=3)
    text = Mark.of(ti, "prod").encode()
    assert Mark.decode(text) is not None
    chance = random.Random(7)
    for _ in range(5000):
        at = chance.randrange(len(text))
        other = text[:at] + chance.choice(["", "_", "-", "x", "_x", "00", "_x61"]) + text[at + 1 :]
        found = Mark.decode(other)
        assert found is None or found.encode() == other
    for other in (
        *("", "nightly", "finance-refresh-try1-0123456789ab", "_", "__", "_x", "_xff", "_-" * 6, text[:-1]),
        *(
            f"{text}0",
            f"{text}_-x",
            f" {text}",
            text.replace("prod", "Prod"),
            text.replace("_-3_-", "_-03_-"),
        ),
        *(text.replace("a_db", "a_x2eb"), text.replace("a_db", "_x61_db"), text.replace("a_db", "a_xffb")),
    ):
        assert Mark.decode(other) is None, other


def test_another_task_instance_has_another_mark() -> None:
    """One that was deleted and made again counts its tries anew: its start must not find the old job."""
    one, other = (Mark.of(TaskInstance(), "prod") for _ in range(2))
    assert one != other
    assert replace(other, digest=one.digest) == one


def test_the_room_for_ids_is_what_the_documentation_says() -> None:
    """Who names a DAG must know how long its id may be."""
    page = " ".join((Path(__file__).parents[2] / "docs" / "sweeper.md").read_text().split())
    found = re.search(
        r"(\d+) characters are left for the ids of DAG and task in QuickSight, and (\d+) in", page
    )
    assert found is not None
    for longest, room in zip((128, 200), map(int, found.groups()), strict=True):
        ti = TaskInstance(dag_id="d" * (room - 1), task_id="t")
        assert len(Mark.of(ti, "prod").encode()) == longest
    example = re.search(r"prod_-sales_-\S+", page)
    assert example is not None
    mark = Mark.decode(example[0])
    assert mark is not None
    assert mark.key == TaskKey("sales", TaskInstance().run_id, "refresh", 3)


@swept
def test_a_job_that_is_to_end_with_its_task_is_marked(
    case: Case, aws: Emulator, context: Context, prod: None
) -> None:
    """A job without a mark can be found by nobody when all else has failed."""
    aws.configure(case.name, duration=600)
    start(case, context)
    [job] = aws.jobs()
    assert Mark.decode(mark_of(case, job)) == Mark.of(context["ti"], "prod")


@swept
@pytest.mark.parametrize("options", [{"cancel_on_kill": False}, {"wait_for_completion": False}])
def test_a_job_that_is_to_go_on_is_not_marked(
    case: Case, aws: Emulator, context: Context, prod: None, options: dict[str, Any]
) -> None:
    """Its task ends before it, or does not mind it: the sweeper must not take it for an orphan."""
    aws.configure(case.name, duration=0.2)
    case.start(**options).execute(context)
    [job] = aws.jobs()
    assert Mark.decode(mark_of(case, job)) is None
    assert "aws_job" not in context["ti"].xcoms


@swept
def test_without_a_deployment_id_nothing_is_marked(case: Case, aws: Emulator, context: Context) -> None:
    """A mark that is not unique to one Airflow would have another one's jobs cancelled."""
    aws.configure(case.name, duration=0.2)
    case.start().execute(context)
    [job] = aws.jobs()
    assert Mark.decode(mark_of(case, job)) is None
    assert "aws_job" not in context["ti"].xcoms


@swept
def test_what_the_author_says_is_kept(case: Case, aws: Emulator, context: Context, prod: None) -> None:
    """An id or a description of the author's own has its reasons."""
    assert case.job_type.sweep is not None
    aws.configure(case.name, duration=600)
    start(case, context, **{case.job_type.sweep.parameter: "the-authors-own"})
    [job] = aws.jobs()
    assert mark_of(case, job) == "the-authors-own"


@swept
def test_a_mark_that_is_too_long_is_left_out_and_said(
    case: Case, aws: Emulator, prod: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mark that was cut could be read as another task's; a start that fails for it would be worse."""
    aws.configure(case.name, duration=600)
    context = Context(TaskInstance(dag_id="d" * 250))
    start(case, context)
    [job] = aws.jobs()
    assert Mark.decode(mark_of(case, job)) is None
    assert "will not know the job of this try" in capsys.readouterr().out


@swept
def test_a_worker_says_which_job_it_waits_for(
    case: Case, aws: Emulator, context: Context, prod: None
) -> None:
    """Else the sweeper could not tell a worker's job from the one of its try before."""
    aws.configure(case.name, duration=0.2)
    result = case.start().execute(context)
    claimed = context["ti"].xcoms["aws_job"]["run"]
    assert claimed["ids"] == {name: result[name] for name in case.job_type.identity}


@swept
@pytest.mark.parametrize("bad", ["Prod", "-prod", "prod-", "pr_od", "x" * 17, "prod 1"])
def test_a_bad_deployment_id_is_refused(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    """A typing error in the configuration must not pass for "no id"."""
    monkeypatch.setenv(SETTING, bad)
    with pytest.raises(ValueError, match=rf"deployment_id in Airflow's configuration must be .* not '{bad}'"):
        case.start().execute(context)
    assert aws.jobs() == []


def test_the_deployment_id_is_a_setting_of_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """`airflow config list` must show it, and what it means."""
    from airflow_jobs_provider.provider_info import get_provider_info

    [(section, declared)] = get_provider_info()["config"].items()
    [option] = declared["options"]
    assert deployment_id() is None
    monkeypatch.setenv(
        f"AIRFLOW__{section.upper()}__{option.upper()}", declared["options"][option]["example"]
    )
    assert deployment_id() == "prod"
