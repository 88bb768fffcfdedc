"""The check that what the demo has shown is what the emulated AWS has seen."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from demo.kinds import KINDS, Kind
from demo.watch import DemoError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_jobs_provider.testing import EmulatorClient


def judge(emulator: EmulatorClient, wanted: Mapping[tuple[Kind, str], Sequence[str]]) -> str:
    """Return what the journal proves; raises :class:`DemoError` if the provider's promise was not kept.

    :param wanted: by kind and target, how the jobs must have ended that were started, the oldest first
    """
    jobs = emulator.jobs()
    running = [f"{job['job_type']} {' '.join(job['ids'].values())}" for job in jobs if job["ended"] is None]
    if running:
        raise DemoError(f"These jobs have outlived their tasks: {', '.join(running)}.")
    for kind in KINDS:
        of_kind = [job for job in jobs if job["job_type"] == kind.job_type]
        expected = sum(len(ends) for (each, _), ends in wanted.items() if each is kind)
        starts = [call for call in emulator.journal(kind.start) if call["outcome"] == "ok"]
        for what, number in ((f"{kind.start} calls", len(starts)), (f"jobs of {kind.name}", len(of_kind))):
            if number != expected:
                raise DemoError(f"There were {number} {what}, and {expected} were wanted.")
    for (kind, target), ends in wanted.items():
        of_target = [
            job for job in jobs if job["job_type"] == kind.job_type and kind.target_of(job) == target
        ]
        _judge_tries(f"{kind.name} {target}".strip(), kind, of_target, ends)
    cancelled = sum(job["status"] == "CANCELLED" for job in jobs)
    return (
        "Done, and checked against the emulator's journal:\n"
        f"{len(jobs)} jobs started in {len(KINDS)} services, {len(jobs) - cancelled} succeeded,\n"
        f"{cancelled} cancelled for the cleared tasks, each before its successor was started,\n"
        "none left running."
    )


def _judge_tries(what: str, kind: Kind, jobs: Sequence[dict[str, Any]], ends: Sequence[str]) -> None:
    """Compare the jobs that the tries of one task have started with what is wanted of them."""
    seen = [job["status"] for job in jobs]
    if seen != list(ends):
        raise DemoError(
            f"{what} ended as {', '.join(seen) or 'never started'}, and not as {', '.join(ends)}."
        )
    for job in jobs:
        hit = job["cancel_requested"] is not None
        if hit != (job["status"] == "CANCELLED"):
            was = "was cancelled by somebody" if hit else "was never cancelled"
            raise DemoError(f"{what}, job {kind.id_of(job)}, {was}, and ended as {job['status']}.")
    for old, new in pairwise(jobs):
        if new["created"] < old["ended"]:
            raise DemoError(f"{what} was started again while the old job was still running.")
