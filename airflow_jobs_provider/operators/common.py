"""What start operators, cancel operators and sensors have in common."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from airflow.sdk.configuration import conf

from airflow_jobs_provider.exceptions import AwsApiError, about, flawed, name, not_succeeded
from airflow_jobs_provider.jobs import job_type_of
from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot, JobState
from airflow_jobs_provider.links.aws_job import AwsJobLink
from airflow_jobs_provider.operators.checks import check_aws, check_flags, is_literal
from airflow_jobs_provider.operators.connected import AwsOperator
from airflow_jobs_provider.steps import drive
from airflow_jobs_provider.waiting import read_until_certain

if TYPE_CHECKING:
    from airflow_jobs_provider.hooks.protocol import JobHook
    from airflow_jobs_provider.jobs.model import JobType
    from airflow_jobs_provider.jobs.parts import Operation

T = TypeVar("T")

# Seconds for which errors that may pass are survived where nobody waits for a job: around start and cancel.
PATIENCE = 120.0
# Seconds until AWS is asked again for what must be known before there is a job; twice as many the next time.
_PAUSE = 1.0


class AwsJobOperator(AwsOperator):
    """Base of everything that deals with one AWS job.

    For the parameters ``aws_conn_id``, ``region_name``, ``verify`` and ``botocore_config`` see
    :class:`~airflow_jobs_provider.operators.connected.AwsOperator`.

    :param deferrable: wait in the triggerer, without a worker slot; default: the setting
        ``[operators] default_deferrable``.
    :param multiple_outputs: push each item of the result as an XCom of its own, too, so that
        ``start.output["ingestion_id"]`` and the like can be given to other operators: Airflow takes that for
        the key of an XCom (apache/airflow#16618).
    """

    job_type: ClassVar[JobType]
    # The operation of the job type whose parameters a named class takes: start, describe or cancel.
    takes: ClassVar[str]
    operator_extra_links = (AwsJobLink(),)
    # The job that this process knows of: no part of the task's definition.
    known_job: JobRun | None = None

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
    def hook(self) -> JobHook:
        """The hook for the region of this task."""
        return self.make_hook(self.job_type, self.region_name)

    def hook_for(self, run: JobRun) -> JobHook:
        """Return the hook for a job of an earlier try, perhaps of another type or region: DAGs change."""
        # self.hook.region is not asked for: this task's own region may be the one that is wrong
        known = self.hook.__dict__.get("region", self.region_name)
        if (run.job_type, run.region) == (self.job_type.name, known):
            return self.hook
        return self.make_hook(job_type_of(run), run.region)

    @property
    def in_words(self) -> str:
        """What the parameters say of the job, before AWS was asked for the rest."""
        given = {key: getattr(self, key, None) for key in self.job_type.identity}
        said = (f"{key} {value!r}" for key, value in given.items() if value is not None)
        return f"the job with {', '.join(said)}"

    def identify(self) -> JobRun:
        """Return the identity of the job that the parameters name.

        :raises AwsApiError: where that takes an answer of AWS, or a region, and there is none.
        """
        try:
            run = self.ask_first(
                lambda: self.job_type.run_of(self.parameters(self.job_type.describe), self.hook.region)
            )
        except AwsApiError as error:
            raise about(f"{self.in_words} could not be looked for", error) from error.__cause__
        assert run is not None  # noqa: S101 - the identity's parameters are required
        return run

    def ask_first(
        self,
        ask: Callable[[], T],
        patience: float = PATIENCE,
        sleep: Callable[[float], object] = time.sleep,
    ) -> T:
        """Ask AWS for what must be known before there is a job: the account, the credentials of a role.

        :param ask: asks it; again after an error that may pass.
        :param patience: for how many seconds.
        :raises AwsApiError: for an error that does not pass.
        """
        end, pause = time.time() + patience, _PAUSE
        while True:
            try:
                return ask()
            except AwsApiError as error:
                if not error.is_transient or time.time() + pause > end:
                    raise
                self.log.warning("could not begin, trying again: %s", error)
            sleep(pause)
            pause = min(2 * pause, 30.0)

    @property
    def console_url(self) -> str | None:
        """Where the console shows the job that this process knows of; ``None`` where it has no page."""
        run = self.known_job
        return None if run is None else job_type_of(run).console_url(run)

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

    def conclude(
        self, run: JobRun, snapshot: JobSnapshot, sleep: Callable[[float], object] = time.sleep
    ) -> dict[str, Any]:
        """Return what goes to XCom of a job that has ended.

        :raises AwsJobError: where that is no success.
        """
        self.check_success(run, snapshot)
        return self.outcome(run, snapshot, sleep)

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
