"""The judgement at the end of the demo."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from demo.judge import judge
from demo.kinds import IMPORT, REFRESH
from demo.watch import DemoError

WANTED = {(IMPORT, ""): ("CANCELLED", "SUCCEEDED"), (REFRESH, "sales"): ("COMPLETED",)}


def seen(*changes: tuple[int, dict[str, Any]], starts: int = 2) -> Any:
    """Return an emulator that has seen what is wanted, but for some changes of its jobs."""
    jobs: list[dict[str, Any]] = [
        {"job_type": "neptune-import", "ids": {"taskIdentifier": "t-1"}, "status": "CANCELLED"},
        {"job_type": "neptune-import", "ids": {"taskIdentifier": "t-2"}, "status": "SUCCEEDED"},
        {"job_type": "quicksight-ingestion", "ids": {"IngestionId": "i-1"}, "status": "COMPLETED"},
    ]
    for number, job in enumerate(jobs):
        job.update(created=10 * number, ended=10 * number + 5, cancel_requested=None)
        job["parameters"] = {"DataSetId": "sales"}
    jobs[0]["cancel_requested"] = 4
    for number, change in changes:
        jobs[number].update(change)
    calls = {"StartImportTask": starts, "CreateIngestion": 1}
    return SimpleNamespace(
        jobs=lambda: jobs, journal=lambda operation: [{"outcome": "ok"}] * calls.get(operation, 0)
    )


def test_the_demo_says_what_its_jobs_came_to() -> None:
    """The last line is what a newcomer remembers."""
    said = judge(seen(), WANTED)
    assert "3 jobs started in 4 services, 2 succeeded" in said
    assert "1 cancelled" in said


@pytest.mark.parametrize(
    ("emulator", "problem"),
    [
        (seen((1, {"ended": None})), "outlived their tasks: neptune-import t-2"),
        (seen(starts=3), "There were 3 StartImportTask calls, and 2 were wanted"),
        (seen((1, {"status": "FAILED"})), "ended as CANCELLED, FAILED, and not as CANCELLED, SUCCEEDED"),
        (seen((2, {"parameters": {"DataSetId": "other"}})), "SPICE sales"),
        (seen((0, {"cancel_requested": None})), "was never cancelled"),
        (seen((2, {"cancel_requested": 22})), "was cancelled by somebody"),
        (seen((1, {"created": 3})), "while the old job was still running"),
    ],
)
def test_the_demo_fails_if_the_promise_is_broken(emulator: Any, problem: str) -> None:
    """A demo that says 'done' whatever happened proves nothing."""
    with pytest.raises(DemoError, match=problem):
        judge(emulator, WANTED)
