"""Jobs of all types, while everything that can be killed is killed: the emulator's jobs are the judge."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from tests.live.chaos import plan
from tests.live.chaos.judge import judge
from tests.live.chaos.plan import Done
from tests.live.chaos.report import storm_over

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live.rest import Json


_TASKS = 210


def test_storm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two troubles at once must not do what neither does alone: leave a job behind, or start it twice."""
    report = storm_over(seed=7, tasks=_TASKS, seconds=900, folder=tmp_path)
    with capsys.disabled():
        sys.stdout.write(f"\n{report.text}\n")
    if report.wrong:
        pytest.fail("\n".join(report.wrong), pytrace=False)
    # A storm in a teacup would prove nothing.
    faults = ("throttled", "failed", "dropped")
    assert all(report.counts[kind] for kind in (*plan.EVERY, *faults)), report.counts
    assert report.counts["tasks"] >= _TASKS


def _job(
    task: plan.Task, created: float, ended: float | None, status: str, cancel: float | None = None
) -> Json:
    return {
        "job_type": task.job_type,
        "parameters": {"DataSetId": task.target},
        "ids": {"IngestionId": f"started-at-{created:g}"},
        "created": created,
        "ended": ended,
        "status": status,
        "cancel_requested": cancel,
    }


_TASK = plan.Task("storm00001", "quicksight-ingestion", 10)
_GOOD = _job(_TASK, 100, 110, "COMPLETED")
_CLEAR = Done(105, plan.CLEAR_DEFERRED, _TASK.target)
_MARK = Done(105, plan.MARK_FAILED, _TASK.target)


@pytest.mark.parametrize(
    ("found", "state", "jobs", "done"),
    [
        ("", "success", [_GOOD], []),
        (
            "",
            "success",
            [_job(_TASK, 100, 106, "CANCELLED", 106), _job(_TASK, 107, 110, "COMPLETED")],
            [_CLEAR],
        ),
        ("", "success", [_job(_TASK, 90, 95, "FAILED"), _GOOD], []),
        ("", "failed", [_job(_TASK, 100, 106, "CANCELLED", 106)], [_MARK]),
        ("states", "failed", [_GOOD], []),
        ("states", "success", [_GOOD], [_MARK]),
        ("states", "success", [_job(_TASK, 100, 110, "FAILED")], []),
        ("states", "success", [], []),
        ("orphans", "failed", [_job(_TASK, 100, None, "RUNNING")], [_MARK]),
        ("orphans", "failed", [_job(_TASK, 100, 300, "COMPLETED")], [_MARK]),
        ("duplicates", "success", [_job(_TASK, 100, 110, "FAILED"), _job(_TASK, 105, 112, "COMPLETED")], []),
        ("duplicates", "success", [_job(_TASK, 80, 90, "COMPLETED"), _GOOD], []),
        ("wrong_cancels", "success", [_job(_TASK, 80, 90, "CANCELLED", 90), _GOOD], []),
        (
            "wrong_cancels",
            "success",
            [
                _job(_TASK, 100, 106, "CANCELLED", 106),
                _job(_TASK, 107, 109, "CANCELLED", 109),
                _job(_TASK, 110, 112, "COMPLETED"),
            ],
            [_CLEAR],
        ),
    ],
)
def test_judge(found: str, state: str, jobs: list[Json], done: list[Done]) -> None:
    """A judge that sees nothing would let every storm pass."""
    end = datetime.fromtimestamp(112, timezone.utc).isoformat()
    verdict = judge({_TASK.target: _TASK}, {_TASK.target: {"state": state, "end_date": end}}, jobs, done)
    assert [name for name, value in vars(verdict).items() if value] == [found][: bool(found)]


def test_plan_is_decided_by_its_seed() -> None:
    """A storm that found something must be had again."""

    def first(seed: int) -> list[object]:
        return [*islice(plan.deeds(seed), 50), *islice(plan.tasks(seed), 50)]

    assert first(7) == first(7)
    assert first(7) != first(8)
