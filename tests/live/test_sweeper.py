"""The last net on a real Airflow: jobs that nobody was left to cancel, among others to be left alone."""

from __future__ import annotations

import signal
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_jobs_provider.operators.marks import Mark, TaskKey
from tests.live.target import new_target

if TYPE_CHECKING:
    from airflow_jobs_provider.jobs.run import JobRun
    from tests.live.cell import Cell
    from tests.live.cells import Cells


@dataclass
class Jobs:
    """The jobs of one type: whom they belong to.

    :param orphan: its task was marked as failed while no triggerer ran.
    :param wanted: its task is deferred; ``worker``: its task runs.
    :param plain: it has no mark.
    :param foreign: it has another deployment's mark, of a task that has failed here.
    :param unknown: it has our mark, of a run that this Airflow does not know.
    """

    orphan: Cell
    wanted: Cell
    worker: Cell
    plain: JobRun
    foreign: JobRun
    unknown: JobRun

    def alone(self) -> list[dict[str, Any]]:
        """Return those that must be left alone."""
        outside = [self.orphan.job_of(run) for run in (self.plain, self.foreign, self.unknown)]
        return [*self.wanted.jobs(), *self.worker.jobs(), *outside]


def test_orphans_are_cancelled_and_nothing_else_is(cells: Cells) -> None:
    """The hole that Airflow leaves, a mark while no triggerer runs: a sweep must close it, and do no more."""
    jobs: dict[str, Jobs] = {}

    def starts(cell: Cell) -> None:
        cell.emulator.configure(cell.name, duration=600, **cell.live.unlimited)
        wanted, worker = (replace(cell, target=new_target()) for _ in range(2))
        for each, mode in ((cell, "deferred"), (wanted, "deferred"), (worker, "worker")):
            each.start_and_wait(mode)
        worker.until(
            lambda: worker.airflow.xcom(*of_job(worker), "aws_job") is not None, "the worker's claim"
        )
        failed = TaskKey(cell.dag_id, cell.run_id, "job", -1)
        jobs[cell.name] = Jobs(
            *(cell, wanted, worker, cell.start_outside()),
            start_marked(cell, Mark("other", failed, 1, "0" * 8)),
            start_marked(cell, Mark("live", replace(failed, run_id="long-forgotten"), 1, "0" * 8)),
        )

    def is_orphaned(cell: Cell) -> None:
        cell.mark("failed")
        cell.sees("failed")

    def is_swept(cell: Cell) -> None:
        found = jobs[cell.name]
        [orphan], [wanted], [worker] = found.orphan.jobs(), found.wanted.jobs(), found.worker.jobs()
        left = {
            key_of(found.unknown.ids): ("unknown", "none"),
            key_of(ids_of(cell, wanted)): ("wanted", "none"),
            key_of(ids_of(cell, worker)): ("wanted", "none"),
        }
        assert sweep(cell, dry_run=True) == {**left, key_of(ids_of(cell, orphan)): ("orphan", "would cancel")}
        assert [job["cancels"] for job in (*found.orphan.jobs(), *found.alone())] == [0] * 6
        armed = sweep(cell, dry_run=False)
        assert armed.pop(key_of(ids_of(cell, orphan)))[0] == "orphan"
        assert armed == left
        cell.until(cell.is_cancelled, "the orphan is cancelled")

    def goes_on(cell: Cell) -> None:
        found = jobs[cell.name]
        assert [(job["cancels"], job["ended"]) for job in found.alone()] == [(0, None)] * 5
        for each in (found.wanted, found.worker):
            each.succeed(each.jobs()[0])
            each.sees("success")
        assert [job["cancels"] for job in found.alone()] == [0] * 5
        assert sweep(cell, dry_run=False) == {key_of(found.unknown.ids): ("unknown", "none")}

    cells.only(lambda cell: cell.case.job_type.sweep is not None)
    cells.each(starts)
    cells.airflow.kill("triggerer", signal.SIGKILL, whole=True)
    try:
        cells.each(is_orphaned)
        cells.each(is_swept)
    finally:
        cells.airflow.restart("triggerer", signal.SIGKILL)
    cells.each(goes_on)


def sweep(cell: Cell, *, dry_run: bool) -> dict[Any, tuple[str, str]]:
    """Sweep, and return what was found of each job, and done."""
    dag_id = f"{cell.name}_sweep"
    run_id = cell.airflow.trigger(dag_id, conf={"dry_run": dry_run})
    cell.airflow.wait_for_run(dag_id, run_id)
    found = cell.airflow.xcom(dag_id, run_id, "sweep")
    return {key_of(each["job"]["ids"]): (each["verdict"], each["action"]) for each in found}


def start_marked(cell: Cell, mark: Mark) -> JobRun:
    """Start a job outside of Airflow that carries a mark, on a target of its own."""
    sweep = cell.case.job_type.sweep
    assert sweep is not None
    return cell.start_outside(**{sweep.parameter: mark.encode()})


def ids_of(cell: Cell, job: dict[str, Any]) -> dict[str, str]:
    """Return a job of the emulator as our runs name it."""
    job_type = cell.case.job_type
    return {name: job["ids"][job_type.parameters[name].api] for name in job_type.identity}


def key_of(ids: Any) -> frozenset[tuple[str, str]]:
    """Return a job's ids as a key."""
    return frozenset(ids.items())


def of_job(cell: Cell) -> tuple[str, str, str]:
    """Return what names the task instance of a cell."""
    return cell.dag_id, cell.run_id, "job"
