"""How an operator or a sensor hands its wait to the triggerer, and goes on when that is over."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk.exceptions import AirflowTaskTimeout, TaskDeferralError, TaskDeferralTimeout

from airflow_jobs_provider.exceptions import AwsApiError, JobNotFoundError, name
from airflow_jobs_provider.jobs.errors import ErrorKind
from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot
from airflow_jobs_provider.operators.packing import pack
from airflow_jobs_provider.operators.triggered import TriggeredOperator
from airflow_jobs_provider.waiting import Wait

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from airflow_jobs_provider.triggers.aws_job import AwsJobTrigger

# Seconds by which Airflow's own time-out of a deferral comes after our trigger's: it is for the case that no
# triggerer is alive to report the deadline.
DEFERRAL_MARGIN = 60.0


class DeferringOperator(TriggeredOperator):
    """Base of what waits for a job, in the worker or deferred."""

    def deadline(self, context: Context) -> float | None:
        """Return when ``execution_timeout`` is over, counted from the start of the try.

        Airflow 3.3 itself does not enforce it while a task is deferred (apache/airflow#69678).
        """
        if self.execution_timeout is None:
            return None
        return float(context["ti"].start_date.timestamp() + self.execution_timeout.total_seconds())

    def timed_out(self, run: JobRun) -> AirflowTaskTimeout:
        """Return the exception for the end of ``execution_timeout``."""
        seconds = self.execution_timeout.total_seconds() if self.execution_timeout else 0
        return AirflowTaskTimeout(f"{name(run)} has not ended within execution_timeout ({seconds:g} seconds)")

    def defer_until_over(
        self,
        wait: Wait,
        *,
        poll_interval: float,
        deadline: float | None,
        settle: bool,
        method_name: str = "execute_complete",
    ) -> NoReturn:
        """Hand the wait to the triggerer; it resumes the method. Never returns."""
        from airflow_jobs_provider.triggers.aws_job import AwsJobTrigger

        trigger: AwsJobTrigger = AwsJobTrigger(
            **wait.to_json(),
            poll_interval=poll_interval,
            deadline=deadline,
            settle=settle,
            aws_conn_id=self.aws_conn_id,
            verify=self.verify,
            botocore_config=self.botocore_config,
            packed=pack(self) if self.end_from_trigger and method_name == "execute_complete" else None,
        )
        self.log.info("a triggerer reads %s from now on; this task holds no worker", name(wait.run))
        self.defer(
            trigger=trigger,
            method_name=method_name,
            kwargs={"wait": wait.to_json()},
            timeout=deferral_timeout(deadline),
        )

    def resumed(self, event: Mapping[str, Any] | None, wait: Mapping[str, Any] | None) -> Wait:
        """Return what was given to ``defer``.

        ``dag.test()`` of Airflow 3.3 drops it where there is an event (mended for a later one by
        apache/airflow#69942); the event has it, too.
        """
        known = wait or event
        if not isinstance(known, Mapping) or "run" not in known:
            raise ValueError(f"event must name the job that this task waits for, not {event!r}")
        waited = Wait.from_json(known)
        self.known_job = waited.run
        return waited

    def read_event(
        self,
        event: Mapping[str, Any] | None,
        wait: Wait,
        sleep: Callable[[float], object] = time.sleep,
    ) -> JobSnapshot | None:
        """Return the reading that a trigger's event carries; ``None`` where the deadline has passed.

        :raises AwsJobError: where the trigger could not read the job.
        """
        run = wait.run
        if not self.tells(event, run):
            # On SQLite, Airflow's table of triggers has no AUTOINCREMENT, so that a new trigger gets the id
            # of a deleted one: another task's event can come here.
            self.log.warning("the event is not about %s; looking at the job itself", name(run))
            return self.look(run, wait.started_at, sleep=sleep)
        assert event is not None  # noqa: S101 - it tells
        if "error" in event:
            meaning = ErrorKind(event["meaning"])
            if meaning is ErrorKind.NOT_FOUND:
                raise JobNotFoundError(event["error"], run=run, code=event["code"])
            raise AwsApiError(event["error"], meaning=meaning, code=event["code"], run=run)
        return JobSnapshot.from_json(event["snapshot"]) if "snapshot" in event else None

    @staticmethod
    def tells(event: Mapping[str, Any] | None, run: JobRun) -> bool:
        """Whether a trigger's event is about a job."""
        return isinstance(event, Mapping) and event.get("run") == run.to_json()

    def is_done(self, snapshot: JobSnapshot) -> bool:
        """Whether there is nothing more to wait for, or nothing that is worth another wait."""
        after = self.job_type.aftermath
        goes_on = self.settles and snapshot.pending is not None and after is not None
        return snapshot.state.is_over and not (goes_on and after and after.patience == math.inf)


def broken_off(
    run: JobRun, error: TaskDeferralError | TaskDeferralTimeout
) -> TaskDeferralError | TaskDeferralTimeout:
    """Return what the end of a deferral without an event means; Airflow says two words."""
    if isinstance(error, TaskDeferralTimeout):
        return TaskDeferralTimeout(
            f"{error}: no triggerer has told of {name(run)} until its task's time was over; does one run"
            " (airflow triggerer), and does it keep up?"
        )
    return TaskDeferralError(f"{error}: the trigger that read {name(run)} broke off; its log says why")


def deferral_timeout(deadline: float | None) -> timedelta | None:
    """Return Airflow's own time-out for a deferral that ends at a deadline."""
    if deadline is None:
        return None
    return timedelta(seconds=max(0.0, deadline - time.time()) + DEFERRAL_MARGIN)
