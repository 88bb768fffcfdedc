"""What start operators, cancel operators and sensors have in common."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowTaskTimeout

from airflow_jobs_provider.exceptions import (
    AwsApiError,
    JobNotFoundError,
    flawed,
    name,
    not_succeeded,
)
from airflow_jobs_provider.jobs import job_type_of
from airflow_jobs_provider.jobs.errors import ErrorKind
from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot, JobState
from airflow_jobs_provider.links.aws_job import AwsJobLink
from airflow_jobs_provider.operators.checks import check_aws, check_flags, is_literal
from airflow_jobs_provider.operators.connected import AwsOperator
from airflow_jobs_provider.steps import drive
from airflow_jobs_provider.waiting import Wait, read_until_certain

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from airflow_jobs_provider.hooks.aws_job import AwsJobHook
    from airflow_jobs_provider.jobs.model import JobType
    from airflow_jobs_provider.jobs.parts import Operation
    from airflow_jobs_provider.triggers.aws_job import AwsJobTrigger

# Seconds by which Airflow's own time-out of a deferral comes after our trigger's: it is for the case that no
# triggerer is alive to report the deadline.
_DEFERRAL_MARGIN = 60.0

# Seconds for which errors that may pass are survived where nobody waits for a job: around start and cancel.
PATIENCE = 120.0


class AwsJobOperator(AwsOperator):
    """Base of everything that deals with one AWS job.

    For the parameters ``aws_conn_id``, ``region_name``, ``verify`` and ``botocore_config`` see
    :class:`~airflow_jobs_provider.operators.connected.AwsOperator`.

    :param deferrable: wait in the triggerer, without a worker slot; default: the setting
        ``[operators] default_deferrable``.
    :param multiple_outputs: push each item of the result as an XCom of its own, too, so that
        ``start.output["ingestion_id"]`` and the like can be given to other operators.
    """

    job_type: ClassVar[JobType]
    # The operation of the job type whose parameters a named class takes: start, describe or cancel.
    takes: ClassVar[str]
    operator_extra_links = (AwsJobLink(),)
    # Whether this process knows of a job, and so of a link to it.
    has_link = False

    def __init__(
        self,
        *,
        deferrable: bool | None = None,
        multiple_outputs: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(multiple_outputs=multiple_outputs, **kwargs)
        if deferrable is None:
            deferrable = conf.getboolean("operators", "default_deferrable", fallback=False)
        self.deferrable = deferrable
        check_flags(self, ("deferrable",))

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Template every parameter of a named class's operation, unless the class says which."""
        super().__init_subclass__(**kwargs)
        if "job_type" not in cls.__dict__ or "template_fields" in cls.__dict__:
            return
        taken = {key: cls.job_type.parameters[key] for key in cls._operation().parameters}
        cls.template_fields = (*cls.template_fields, *taken)
        cls.template_ext = (*cls.template_ext, *(end for one in taken.values() for end in one.files))
        shown = {key: one.language for key, one in taken.items() if one.language}
        cls.template_fields_renderers = {**cls.template_fields_renderers, **shown}

    @classmethod
    def _operation(cls) -> Operation:
        operation: Operation = getattr(cls.job_type, cls.takes)
        return operation

    def take(self, given: Mapping[str, Any]) -> None:
        """Keep the operation's parameters as attributes, and check them. Ends an ``__init__``.

        :param given: its ``locals()``.
        """
        for key in self._operation().parameters:
            setattr(self, key, given[key])
        self.check_parameters(self._operation())

    def check_parameters(self, operation: Operation) -> None:
        """Refuse, at DAG parse, literal values that the service would refuse. Ends every ``__init__``."""
        self._checked(operation, only_literal=True)

    def parameters(self, operation: Operation) -> dict[str, Any]:
        """Return the operation's rendered parameters by our names, checked and with their defaults.

        :raises ValueError: for a value that the service would refuse.
        """
        check_aws(self, only_literal=False)
        values = self._checked(operation, only_literal=False)
        for key in operation.parameters:
            if values[key] is None and self.job_type.parameters[key].caller_account:
                values[key] = self.hook.caller_account()
        return values

    def process_ends(self, ti: Any) -> None:
        """Do what is left to do when Airflow was told how the task goes on."""

    @cached_property
    def hook(self) -> AwsJobHook:
        """The hook for the region of this task."""
        return self.make_hook(self.job_type, self.region_name)

    def hook_for(self, run: JobRun) -> AwsJobHook:
        """Return the hook for a job of an earlier try, perhaps of another type or region: DAGs change."""
        # self.hook.region is not asked for: this task's own region may be the one that is wrong
        known = self.hook.__dict__.get("region", self.region_name)
        if (run.job_type, run.region) == (self.job_type.name, known):
            return self.hook
        return self.make_hook(job_type_of(run), run.region)

    def identify(self) -> JobRun:
        """Return the identity of the job that the parameters name."""
        run = self.job_type.run_of(self.parameters(self.job_type.describe), self.hook.region)
        assert run is not None  # noqa: S101 - the identity's parameters are required
        return run

    @property
    def settles(self) -> bool:
        """Whether to wait for what still goes on when the job has ended, too."""
        return True

    def look(
        self,
        run: JobRun,
        started_at: float,
        patience: float = math.inf,
        sleep: Callable[[float], object] = time.sleep,
    ) -> JobSnapshot:
        """Read a job, and survive what may pass.

        :param started_at: when it was started (seconds since the epoch): AWS may not know a young job yet.
        :param patience: for how many seconds; by default until the task's time-out.
        :raises JobNotFoundError: where AWS does not know the job.
        :raises AwsApiError: for an error that does not pass.
        """
        steps = read_until_certain(run, log=self.log, started_at=started_at, patience=patience)
        return drive(steps, self.hook_for(run), sleep)

    def deadline(self, context: Context) -> float | None:
        """Return when ``execution_timeout`` is over, counted from the start of the try.

        Airflow itself does not enforce it while a task is deferred.
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
        )
        self.defer(
            trigger=trigger,
            method_name=method_name,
            kwargs={"wait": wait.to_json()},
            timeout=deferral_timeout(deadline),
        )

    def resumed(self, event: Mapping[str, Any] | None, wait: Mapping[str, Any] | None) -> Wait:
        """Return what was given to ``defer``.

        ``dag.test()`` of Airflow 3.3 drops it where there is an event; the event has it, too.
        """
        known = wait or event
        if not isinstance(known, Mapping) or "run" not in known:
            raise ValueError(f"event must name the job that this task waits for, not {event!r}")
        waited = Wait.from_json(known)
        self.has_link = job_type_of(waited.run).console_url(waited.run) is not None
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
        if not isinstance(event, Mapping) or event.get("run") != run.to_json():
            # On SQLite, Airflow gives a new trigger the id of an old one: another task's event can come here.
            self.log.warning("the event is not about %s; looking at the job itself", name(run))
            return self.look(run, wait.started_at, sleep=sleep)
        if "error" in event:
            meaning = ErrorKind(event["meaning"])
            if meaning is ErrorKind.NOT_FOUND:
                raise JobNotFoundError(event["error"], run=run, code=event["code"])
            raise AwsApiError(event["error"], meaning=meaning, code=event["code"], run=run)
        return JobSnapshot.from_json(event["snapshot"]) if "snapshot" in event else None

    def is_done(self, snapshot: JobSnapshot) -> bool:
        """Whether there is nothing more to wait for, or nothing that is worth another wait."""
        after = self.job_type.aftermath
        goes_on = self.settles and snapshot.pending is not None and after is not None
        return snapshot.state.is_over and not (goes_on and after and after.patience == math.inf)

    def result(self, run: JobRun, snapshot: JobSnapshot) -> dict[str, Any]:
        """Return what goes to XCom.

        :returns: the job's identity under the parameter names of sensor and cancel operator, ``region_name``,
            ``status`` (the service's word; ``None`` where a start does not tell) and ``details`` (its record,
            dates as ISO 8601).
        """
        return {
            **dict.fromkeys(self.job_type.identity),
            **run.ids,
            "region_name": run.region,
            "status": snapshot.status or None,
            "details": dict(snapshot.details),
        }

    def outcome(
        self,
        run: JobRun,
        snapshot: JobSnapshot,
        sleep: Callable[[float], object] = time.sleep,  # noqa: ARG002 - for those that override it
    ) -> dict[str, Any]:
        """Return what goes to XCom when the job has succeeded."""
        return self.result(run, snapshot)

    def check_success(self, run: JobRun, snapshot: JobSnapshot) -> None:
        """Refuse every end but success, and a success that is less than the author wants.

        :raises AwsJobError: says why.
        """
        if snapshot.state is not JobState.SUCCEEDED:
            raise not_succeeded(run, snapshot)
        for loss in self.job_type.losses:
            count, why = self.job_type.lost(loss, snapshot)
            limit = getattr(self, loss.limit, None)
            because = f": {why}" if why else ""
            if limit is not None and count > limit:
                what = f"{count} {loss.what}, more than {loss.limit}={limit} allows{because}"
                raise flawed(run, snapshot, what)
            if count:
                self.log.warning("%s succeeded with %d %s%s", name(run), count, loss.what, because)
        if self.settles and snapshot.flaw is not None:
            raise flawed(run, snapshot, snapshot.flaw)

    def _checked(self, operation: Operation, *, only_literal: bool) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key in operation.parameters:
            parameter, value = self.job_type.parameters[key], getattr(self, key)
            from_file = isinstance(value, str) and value.endswith(tuple(self.template_ext))
            if only_literal and (from_file or not is_literal(value)):
                continue
            if value is not None or not (key in operation.optional or parameter.caller_account):
                if not only_literal:
                    value = parameter.value.rendered(value)
                value = parameter.value.read(key, value)
            values[key] = value
        for rule in operation.one_of:
            rule.check(values)
        return values


def deferral_timeout(deadline: float | None) -> timedelta | None:
    """Return Airflow's own time-out for a deferral that ends at a deadline."""
    if deadline is None:
        return None
    return timedelta(seconds=max(0.0, deadline - time.time()) + _DEFERRAL_MARGIN)
