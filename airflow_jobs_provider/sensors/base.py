"""Wait for a job that another task, or another system, has started. A sensor never cancels it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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

from airflow_jobs_provider.exceptions import AwsApiError, name
from airflow_jobs_provider.jobs.run import JobRun
from airflow_jobs_provider.lineage import LineageOperator
from airflow_jobs_provider.links.aws_job import AwsJobLink
from airflow_jobs_provider.operators.checks import check_flags, check_seconds
from airflow_jobs_provider.operators.deferral import DEFERRAL_MARGIN
from airflow_jobs_provider.waiting import Wait
from airflow_jobs_provider.watch import Watch

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context


# What a rescheduled sensor leaves for its next process, in the task state store.
_KEY = "aws_job_watch"


class JobSensor(LineageOperator, BaseSensorOperator):
    """Wait until an AWS job has succeeded; fail as soon as it has failed or was cancelled.

    :param poke_interval: seconds (or ``timedelta``) between two readings of the job; deferred, a young job is
        read more often.
    :param timeout: seconds (or ``timedelta``) after which to give up; default: the setting
        ``[sensors] default_timeout``.
    :param mode: ``poke`` (holds a worker slot) or ``reschedule`` (a new process for each reading); with
        ``deferrable`` neither counts.
    :param soft_fail: skip instead of failing at a time-out; a job that failed still fails the task.

    Of Airflow's other sensor parameters, ``never_fail`` holds in every mode; ``exponential_backoff`` and
    ``max_wait`` hold in ``poke`` and ``reschedule`` mode (deferred, the delay grows by itself);
    ``silent_fail`` is refused: it would hide a job that failed.

    :returns: the job's identity, ``region_name``, ``status`` and ``details``, as from the start operator.
    :raises JobFailedError: the job failed.
    :raises JobCancelledError: somebody cancelled the job.
    :raises JobNotFoundError: AWS does not know the job.
    :raises AirflowSensorTimeout: after ``timeout``.
    """

    takes = "describe"
    ui_color = "#d9ebf2"

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
        check_flags(self, ("soft_fail", "never_fail"))
        if self.silent_fail:
            raise ValueError(
                f"silent_fail must be False, not {self.silent_fail!r}: errors that may pass are survived"
                " anyway"
            )

    _watch: Watch | None = None

    def execute(self, context: Context) -> Any:
        """Wait for the job.

        :returns: the job's identity, ``status`` and ``details``, like the operator that starts it.
        :raises AirflowSensorTimeout: after ``timeout``.
        :raises AwsJobError: where the job did not succeed, or could not be read.
        """
        if self.deferrable:
            with self._verdicts():
                return self._execute_deferred(context)
        try:
            return super().execute(context)
        except AirflowSkipException as skip:
            # soft_fail skips at the sensor's own time-out; execution_timeout is the task's.
            if self.soft_fail and isinstance(skip.__cause__, AirflowTaskTimeout):
                raise skip.__cause__ from None
            raise

    def poke(self, context: Context) -> PokeReturnValue:
        """Read the job once."""
        watch = self._watch = self._watch or self._begin_watch(context)
        before = _to_json(watch, context)
        over = None
        try:
            snapshot = self.hook_for(watch.run).describe(watch.run)
        except AwsApiError as error:
            watch.failed(error)
        else:
            watch.saw(snapshot)
            over = snapshot if watch.is_done(snapshot, settle=self.settles) else None
        after = None if over else _to_json(watch, context)
        if self.reschedule and before != after:
            self._keep(after, context)
        if over is None:
            return PokeReturnValue(is_done=False)
        return PokeReturnValue(is_done=True, xcom_value=self.conclude(watch.run, over))

    def execute_complete(
        self,
        context: Context,
        event: Mapping[str, Any] | None,
        wait: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Go on after the trigger's event.

        :returns: the job's identity, ``status`` and ``details``.
        :raises AirflowSensorTimeout: after ``timeout``.
        :raises AwsJobError: where the job did not succeed, or could not be read.
        """
        waited = self.resumed(event, wait)
        snapshot = self.read_event(event, waited)
        if snapshot is None:
            raise self._out_of_time(name(waited.run))
        if not self.is_done(snapshot):
            self._defer(context, waited)
        return self.conclude(waited.run, snapshot)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after a deferral; as in the other modes, ``soft_fail`` skips at a time-out only."""
        with self._verdicts():
            return BaseOperator.resume_execution(self, next_method, next_kwargs, context)

    @property
    def start_timeout(self) -> timedelta:
        """Airflow's own time-out: later than the sensor's, in case that no triggerer tells of that."""
        return timedelta(seconds=self.timeout + DEFERRAL_MARGIN)

    def _begin_watch(self, context: Context) -> Watch:
        """Return what this sensor knows of its job; rescheduled, from the process before."""
        ti: Any = context["ti"]
        known: Any = context["task_state_store"].get(_KEY) if self.reschedule else None
        if known is not None and known["ti_id"] == str(ti.id):
            run = JobRun.from_json(known["run"])
            watch = Watch(run, self.log, known["started_at"], known["status"], known["said_at"])
            self.known_job = run
            watch.over_since = known["over_since"]
            watch.errors.said_at.update(known["error_said_at"])
            return watch
        run = self.identify()
        AwsJobLink().persist(self, ti, run)
        watch = Watch(run, self.log, time.time())
        if self.reschedule:
            self._keep(_to_json(watch, context), context)
        return watch

    def _keep(self, watch: dict[str, Any] | None, context: Context) -> None:
        store = context["task_state_store"]
        try:
            if watch is None:
                store.delete(_KEY)
            else:
                store.set(_KEY, watch)
        except Exception as error:  # noqa: BLE001 - a line more in the log is no reason to fail
            self.log.info("Airflow does not keep what this sensor has seen: %s", error)

    def _execute_deferred(self, context: Context) -> dict[str, Any]:
        run = self.identify()
        AwsJobLink().persist(self, context["ti"], run)
        now = time.time()
        try:
            snapshot = self.hook.describe(run)
        except AwsApiError as error:
            Watch(run, self.log, now).failed(error)
        else:
            if snapshot.state.is_over and snapshot.pending is None:
                return self.conclude(run, snapshot)
        return self._defer(context, Wait(run, now, cancel_on_kill=False))

    def _defer(self, context: Context, wait: Wait) -> NoReturn:
        self.defer_until_over(
            wait,
            poll_interval=self.poke_interval,
            deadline=context["ti"].start_date.timestamp() + self._patience(),
            settle=self.settles,
        )

    def _patience(self) -> float:
        if self.execution_timeout is None:
            return self.timeout
        return min(self.timeout, self.execution_timeout.total_seconds())

    def _out_of_time(self, what: str) -> AirflowSensorTimeout | AirflowTaskTimeout:
        if self._patience() < self.timeout:
            return AirflowTaskTimeout(
                f"{what} has not ended within execution_timeout ({self._patience():g} seconds)"
            )
        return AirflowSensorTimeout(
            f"{what} has not ended within the sensor's timeout ({self.timeout:g} seconds)"
        )

    @contextmanager
    def _verdicts(self) -> Iterator[None]:
        """Turn what ends a deferred wait into what it means for this sensor."""
        try:
            try:
                yield
            except TaskDeferralTimeout as error:
                raise self._out_of_time(_NOT_TOLD.format(self.in_words)) from error
        except AirflowSkipException:
            raise
        except Exception as error:
            if self.never_fail or (self.soft_fail and isinstance(error, AirflowSensorTimeout)):
                raise AirflowSkipException(str(error)) from error
            raise


# The triggerer's part is to end the wait before Airflow does.
_NOT_TOLD = "no triggerer (airflow triggerer: does one run, and keep up?) has told of {}, which"


def _to_json(watch: Watch, context: Context) -> dict[str, Any]:
    return {
        "ti_id": str(context["ti"].id),
        "run": watch.run.to_json(),
        "started_at": watch.started_at,
        "status": watch.status,
        "said_at": watch.said_at,
        "over_since": watch.over_since,
        "error_said_at": dict(watch.errors.said_at),
    }


def _seconds(value: object) -> object:
    return value.total_seconds() if isinstance(value, timedelta) else value
