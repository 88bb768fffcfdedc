"""Real tasks in real processes, all job types at once: the emulator's jobs are the judge."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from airflow_jobs_provider.jobs.run import JobRun
from tests.live.modes import ARGUMENTS

if TYPE_CHECKING:
    from tests.live.cell import Cell
    from tests.live.cells import Cells

modes = pytest.mark.parametrize("mode", ARGUMENTS)
# How a sensor waits.
WAITING = {
    "poke": "running",
    "reschedule": "up_for_reschedule",
    "deferred": "deferred",
    "workerless": "deferred",
}
sensor_modes = pytest.mark.parametrize("mode", WAITING)


@modes
def test_success(cells: Cells, mode: str) -> None:
    """A task that succeeds without its result, or without the console link, is of no use to the next one."""

    def succeeds(cell: Cell) -> None:
        cell.start_and_wait(mode)
        [job] = cell.jobs()
        job_type = cell.case.job_type
        ids = {
            key: job["ids"][parameter.api]
            for key, parameter in job_type.parameters.items()
            if key in job_type.identity and parameter.api in job["ids"]
        }
        url = job_type.console_url(JobRun(cell.name, ids, "us-east-1"))
        if url is not None:
            cell.until(lambda: cell.link() == url, f"the link {url} of the running job")
        cell.succeed(job)
        cell.sees("success")
        result = cell.result()
        assert result["status"] == cell.case.succeeded
        assert {key: result[key] for key in ids} == ids
        [job] = cell.jobs()
        assert job["status"] == cell.case.succeeded
        assert job["cancels"] == 0
        assert cell.link() == url
        assert cell.live.shown in cell.log()
        assert "[error" not in cell.log()

    cells.configure(duration=600)
    cells.each(succeeds)


@modes
def test_failure(cells: Cells, mode: str) -> None:
    """On-call must read in the task's log why the job failed; a retry must start another job."""

    def fails(cell: Cell) -> None:
        cell.start(mode)
        cell.ends("failed")
        assert cell.statuses() == [cell.case.failed["status"]] * 2
        assert cell.case.says in cell.logs()
        assert all(value in cell.logs() for job in cell.jobs() for value in job["ids"].values())

    cells.configure(duration=2)
    cells.configure_failure()
    cells.each(fails)


def test_clear_waits_without_a_worker(cells: Cells) -> None:
    """A rollback can take long: the new try must not hold a worker until the old job has ended."""

    def starts_anew(cell: Cell) -> None:
        cell.start_and_wait("deferred")
        cell.clear()
        cell.sees("deferred", try_number=2)
        [first] = cell.jobs()
        assert first["cancels"] > 0
        assert first["ended"] is None
        cell.until(lambda: len(cell.jobs()) == 2, "a second job")
        cell.succeed(cell.jobs()[1])
        cell.ends()
        assert cell.history() == ["cancelled", "succeeded"]

    cells.configure(duration=600, cancel_delay=15)
    cells.each(starts_anew)


def test_busy_target(cells: Cells) -> None:
    """A task whose target is busy must wait without a worker, and must not harm the job it waits for."""

    def waits(cell: Cell) -> None:
        cell.start_and_wait("deferred")
        waiting, given_up = replace(cell), replace(cell)
        for later in (waiting, given_up):
            later.start("deferred")
        for later in (waiting, given_up):
            later.is_deferred()
            assert "is busy: trying again" in later.log()
        given_up.mark("failed")
        given_up.ends("failed")
        [first] = cell.jobs()
        assert first["ended"] is None
        cell.succeed(first)
        cell.sees("success")
        cell.until(lambda: len(cell.jobs()) == 2, "a second job")
        first, second = cell.jobs()
        cell.succeed(second)
        waiting.sees("success")
        assert [job["cancels"] for job in cell.jobs()] == [0, 0]

    cells.configure(duration=600)
    cells.only(lambda cell: cell.live.exclusive).each(waits)


@sensor_modes
def test_sensor(cells: Cells, mode: str) -> None:
    """A sensor must see how a job ends, skip at a time-out only, and never cancel what it watches."""

    def watches(cell: Cell) -> None:
        good, bad, gone = (cell.start_outside() for _ in range(3))
        cell.start(mode, "sensor", good=dict(good.ids), bad=dict(bad.ids), gone=dict(gone.ids))
        cell.sees("skipped", task_id="impatient")
        for task_id in ("succeeds", "fails", "is_told"):
            cell.sees(WAITING[mode], task_id=task_id)
        cell.succeed(cell.job_of(good))
        cell.fail(cell.job_of(bad))
        cell.emulator.settle(cell.name, cell.job_of(gone)["ids"], cell.case.cancelled)
        cell.sees("success", task_id="succeeds")
        cell.sees("failed", task_id="fails")
        cell.sees("failed", task_id="is_told")
        assert cell.live.shown in cell.logs("succeeds")
        assert cell.case.says in cell.logs("fails")
        assert f"was cancelled ({cell.case.cancelled})" in cell.logs("is_told")
        assert [cell.job_of(run)["cancels"] for run in (good, bad, gone)] == [0, 0, 0]

    cells.configure(duration=600)
    cells.each(watches)


@modes
def test_cancel_operator(cells: Cells, mode: str) -> None:
    """Who needs the target free must not be told so before the job has ended."""

    def cancels(cell: Cell) -> None:
        run = cell.start_outside()
        cell.start(mode, "cancel", job=dict(run.ids))
        if mode == "deferred":
            cell.sees("deferred")
            assert cell.job_of(run)["ended"] is None
        cell.sees("success")
        job = cell.job_of(run)
        assert (job["status"], job["cancels"]) == (cell.case.cancelled, 1)
        assert cell.result()["status"] == cell.case.cancelled

    cells.configure(duration=600, cancel_delay=12 if mode == "deferred" else 2)
    cells.each(cancels)
