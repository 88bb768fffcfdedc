"""Wait for a job that another task, or another system, has started. A sensor never cancels it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator, PokeReturnValue
from airflow.sdk.bases.sensor import BaseSensorOperator
from airflow.sdk.exceptions import (
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    TaskDeferralTimeout,
)

from airflow_jobs_provider.exceptions import AwsApiError, JobNotFoundError, name
from airflow_jobs_provider.jobs.run import JobRun
from airflow_jobs_provider.links.aws_job import AwsJobLink
from airflow_jobs_provider.operators.common import AwsJobOperator, check_flags, check_seconds
from airflow_jobs_provider.waiting import Watch

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context


class JobSensor(AwsJobOperator, BaseSensorOperator):
    """Wait until an AWS job has succeeded; fail as soon as it has failed or was cancelled.

    :param poke_interval: seconds (or ``timedelta``) between two readings of the job; deferred, a young job is
        read more often.
    :param timeout: seconds (or ``timedelta``) after which to give up; default: the setting
        ``[sensors] default_timeout``.
    :param mode: ``poke`` (holds a worker slot) or ``reschedule`` (a new process for each reading); with
        ``deferrable`` neither counts.
    :param soft_fail: skip instead of failing at a time-out; a job that failed still fails the task.
    """

    def __init__(
        self,
        *,
        poke_interval: timedelta | float = 60,
        timeout: timedelta | float | None = None,
        mode: str = "poke",
        soft_fail: bool = False,
        **kwargs: Any,
    ) -> None:
        check_seconds("poke_interval", _seconds(poke_interval))
        if timeout is not None:
            check_seconds("timeout", _seconds(timeout))
        if mode not in self.valid_modes:
            raise ValueError(f"mode must be one of {', '.join(self.valid_modes)}, not {mode!r}")
        super().__init__(
            poke_interval=poke_interval, timeout=timeout, mode=mode, soft_fail=soft_fail, **kwargs
        )
        check_flags(self, ("soft_fail",))

    _watch: Watch | None = None

    def execute(self, context: Context) -> Any:
        """Wait for the job.

        :returns: the job's identity, ``status`` and ``details``, like the operator that starts it.
        :raises AirflowSensorTimeout: after ``timeout``.
        :raises AwsJobError: where the job did not succeed, or could not be read.
        """
        if self.deferrable:
            try:
                return self._execute_deferred(context)
            except Exception as error:
                raise self._verdict(error) from error
        try:
            return super().execute(context)
        except AirflowSkipException as skip:
            # soft_fail skips at the sensor's own time-out; execution_timeout is the task's.
            if self.soft_fail and isinstance(skip.__cause__, AirflowTaskTimeout):
                raise skip.__cause__ from None
            raise

    def poke(self, context: Context) -> PokeReturnValue:
        """Read the job once."""
        run = self._watch.run if self._watch is not None else self.identify()
        if self._watch is None:
            AwsJobLink().persist(context["ti"], run)
            since = context["ti"].get_first_reschedule_date(context) if self.reschedule else None
            self._watch = Watch(run, self.log, since.timestamp() if since else time.time())
        try:
            snapshot = self.hook.describe(run)
        except AwsApiError as error:
            self._watch.failed(error, self.poke_interval)
            return PokeReturnValue(is_done=False)
        self._watch.saw(snapshot)
        if not snapshot.state.is_over:
            return PokeReturnValue(is_done=False)
        return PokeReturnValue(is_done=True, xcom_value=self.succeeded(run, snapshot))

    def execute_complete(
        self, context: Context, event: Mapping[str, Any] | None, run: Mapping[str, Any], started_at: float
    ) -> dict[str, Any]:
        """Go on after the trigger's event.

        :returns: the job's identity, ``status`` and ``details``.
        :raises AirflowSensorTimeout: after ``timeout``.
        :raises AwsJobError: where the job did not succeed, or could not be read.
        """
        job_run = JobRun.from_json(run)
        snapshot = self.read_event(event, job_run)
        if snapshot is None:
            if self._patience() < self.timeout:
                raise AirflowTaskTimeout(f"{name(job_run)} has not ended within execution_timeout")
            raise AirflowSensorTimeout(
                f"{name(job_run)} has not ended within the sensor's timeout ({self.timeout:g} seconds)"
            )
        if not snapshot.state.is_over:
            self._defer(context, job_run, started_at)
        return self.succeeded(job_run, snapshot)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after a deferral; as in the other modes, ``soft_fail`` skips at a time-out only."""
        try:
            return BaseOperator.resume_execution(self, next_method, next_kwargs, context)
        except Exception as error:
            raise self._verdict(error) from error

    def _execute_deferred(self, context: Context) -> dict[str, Any]:
        run = self.identify()
        AwsJobLink().persist(context["ti"], run)
        try:
            snapshot = self.look(run)
        except JobNotFoundError:
            self.log.info("AWS does not know %s yet", name(run))
        else:
            if snapshot.state.is_over:
                return self.succeeded(run, snapshot)
        return self._defer(context, run, time.time())

    def _defer(self, context: Context, run: JobRun, started_at: float) -> NoReturn:
        self.defer_until_over(
            run,
            started_at=started_at,
            poll_interval=self.poke_interval,
            deadline=context["ti"].start_date.timestamp() + self._patience(),
            cancel_on_kill=False,
        )

    def _patience(self) -> float:
        if self.execution_timeout is None:
            return self.timeout
        return min(self.timeout, self.execution_timeout.total_seconds())

    def _verdict(self, error: Exception) -> Exception:
        """Return what the task ends with."""
        if isinstance(error, AirflowSkipException):
            return error
        if isinstance(error, TaskDeferralTimeout):
            error = AirflowSensorTimeout(f"no triggerer answered within {self._patience():g} seconds")
        if self.never_fail or (self.soft_fail and isinstance(error, AirflowSensorTimeout)):
            return AirflowSkipException(str(error))
        return error


def _seconds(value: object) -> object:
    return value.total_seconds() if isinstance(value, timedelta) else value
