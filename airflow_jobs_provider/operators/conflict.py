"""Start jobs on targets that run one job, or so many, at a time."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_jobs_provider.exceptions import AwsApiError, TargetBusyError, name
from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot
from airflow_jobs_provider.operators.base import StartJobOperator
from airflow_jobs_provider.operators.checks import check_choice, check_seconds
from airflow_jobs_provider.operators.common import PATIENCE
from airflow_jobs_provider.operators.deferral import deferral_timeout
from airflow_jobs_provider.pages import find_running
from airflow_jobs_provider.steps import drive

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from airflow_jobs_provider.jobs.model import JobType
    from airflow_jobs_provider.operators.held import HeldJob

# Seconds between two attempts to start on a busy target: the longer it has been busy, the longer.
_SHORTEST_PAUSE, _LONGEST_PAUSE, _GROWTH = 10.0, 60.0, 0.25


class ExclusiveStartJobOperator(StartJobOperator):
    """Start an AWS job on a target that may be busy with another one.

    :param on_conflict: what to do then. ``wait``: try again until it is free, with ``deferrable`` in the
        triggerer. ``fail``: fail at once. ``adopt``, where the API lists the target's jobs: wait for the
        running one, if it does the same; it is never cancelled with this task; otherwise as ``wait``.
    :param conflict_timeout: seconds from the start of a try in which it waits for its target at the most.
    :raises TargetBusyError: the target is busy, and the task was not to wait, or not any longer.
    """

    def __init__(self, *, on_conflict: str = "wait", conflict_timeout: float = 3600, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.on_conflict = on_conflict
        self.conflict_timeout = conflict_timeout
        adopts = self.job_type.adopts is not None
        check_choice("on_conflict", on_conflict, ("wait", "fail", *(("adopt",) if adopts else ())))
        check_seconds("conflict_timeout", conflict_timeout)

    def target_busy(
        self, context: Context, values: Mapping[str, Any], busy: AwsApiError, held: HeldJob
    ) -> tuple[JobRun, JobSnapshot] | None:
        """Fail, adopt the job that runs, or wait until it is time for another attempt."""
        target = self.job_type.describe_target(values)
        if self.on_conflict == "fail":
            raise TargetBusyError(
                f"{target} is busy, and on_conflict is 'fail': {busy}", code=busy.code
            ) from busy
        if self.on_conflict == "adopt":
            found = self._find_running(values, held)
            if found is not None:
                self.log.info(
                    "%s is busy: waiting for %s instead, which another has started and which is not"
                    " cancelled with this task",
                    *(target, name(found[0])),
                )
                return found
            self.log.info("%s is busy, but not with a job that does the same", target)
        began = context["ti"].start_date.timestamp()
        waited = time.time() - began
        left = self.conflict_timeout - waited
        if left <= 0:
            raise TargetBusyError(
                f"{target} was busy for all of conflict_timeout ({self.conflict_timeout:g} seconds): {busy}",
                code=busy.code,
            ) from busy
        pause = min(pause_after(waited, self.job_type), left)
        self.log.info(
            "%s is busy: trying again in %.0f seconds, for at most %.0f: %s", *(target, pause, left, busy)
        )
        if self.deferrable:
            self._defer_start(context, pause)
        held.sleep(pause)
        return None

    def _find_running(self, values: Mapping[str, Any], held: HeldJob) -> tuple[JobRun, JobSnapshot] | None:
        """Return the job that runs and does the same; the right to list is optional."""
        steps = find_running(self.job_type, values, self.hook.region, log=self.log, patience=PATIENCE)
        try:
            return drive(steps, self.hook, held.sleep)
        except AwsApiError as error:
            self.log.warning("there may be a job to wait for instead, but it cannot be found: %s", error)
            return None

    def _defer_start(self, context: Context, pause: float) -> NoReturn:
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        deadline = self.deadline(context)
        moment = min(time.time() + pause, deadline or float("inf"))
        # A trigger that knows nothing of any job: a kill while waiting touches nobody's.
        self.defer(
            trigger=DateTimeTrigger(datetime.fromtimestamp(moment, timezone.utc)),
            method_name="start_again",
            timeout=deferral_timeout(deadline),
        )


def pause_after(waited: float, job_type: JobType) -> float:
    """Return the seconds until the next attempt to start on a target that has been busy for so many."""
    pause = max(_SHORTEST_PAUSE, job_type.start_interval, min(_GROWTH * waited, _LONGEST_PAUSE))
    return pause * random.uniform(1.0, 1.1)  # noqa: S311
