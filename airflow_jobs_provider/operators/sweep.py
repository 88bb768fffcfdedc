"""The last net: running jobs that no task wants any more are found, and ended."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_jobs_provider.exceptions import AwsJobError, JobNotFoundError, not_cancelled
from airflow_jobs_provider.jobs import JOB_TYPES
from airflow_jobs_provider.jobs.run import JobSnapshot, JobState
from airflow_jobs_provider.jobs.values import Flag
from airflow_jobs_provider.operators.checks import check_aws, check_choice, is_literal
from airflow_jobs_provider.operators.common import PATIENCE
from airflow_jobs_provider.operators.connected import AwsOperator
from airflow_jobs_provider.operators.marks import OPTION, SECTION, Mark, deployment_id
from airflow_jobs_provider.operators.verdicts import Finding, Judge, Swept, Verdict
from airflow_jobs_provider.steps import drive
from airflow_jobs_provider.sweeping import Lister
from airflow_jobs_provider.waiting import cancel_until_certain

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from airflow_jobs_provider.hooks.protocol import JobHook
    from airflow_jobs_provider.jobs.model import JobType
    from airflow_jobs_provider.sweeping import Listing, RunningJob


class AwsJobSweepOperator(AwsOperator):
    """Find running jobs that this Airflow has started and no task wants any more; report or cancel them.

    It knows the jobs of this Airflow by their marks, which they carry if ``deployment_id`` is set in the
    section ``[airflow_jobs_provider]``: see ``docs/sweeper.md``. Everybody else's jobs are not touched, and
    not asked about.

    For ``aws_conn_id``, ``region_name``, ``verify`` and ``botocore_config`` see
    :class:`~airflow_jobs_provider.operators.connected.AwsOperator`.

    :param job_type: ``quicksight-ingestion`` or ``bedrock-ingestion``.
    :param targets: what to look at, each a dict of ``data_set_id`` (and ``aws_account_id``), or of
        ``knowledge_base_id`` and, if only one is meant, ``data_source_id``; default: all in the account and
        region (templated).
    :param dry_run: report only, and cancel nothing (templated).
    :param min_age: seconds that a job must have run to be judged.
    :returns: one dict for each running job of this Airflow: ``job`` (``job_type``, ``ids``, ``region``),
        ``console_url``, ``dag_id``, ``run_id``, ``task_id``, ``map_index``, ``try_number``, ``task_state``,
        ``verdict`` (:class:`~airflow_jobs_provider.operators.verdicts.Verdict`), ``why``, ``action`` (see
        :class:`~airflow_jobs_provider.operators.verdicts.Swept`), ``error``.
    :raises ValueError: without a deployment id.
    :raises AwsJobError: where no target could be listed, or an orphan could not be cancelled; then the result
        is in XCom all the same.
    """

    template_fields: Sequence[str] = (*AwsOperator.template_fields, "targets", "dry_run")
    template_fields_renderers: ClassVar[dict[str, str]] = {"targets": "json"}
    ui_color = "#e4dcf5"

    def __init__(
        self,
        *,
        job_type: str,
        targets: Any = None,
        dry_run: bool | str = True,
        min_age: float = 900,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job_type = job_type
        self.targets = targets
        # Airflow's own method of this name renders the templates, and is called by nobody.
        self.dry_run = dry_run  # type: ignore[assignment, method-assign]
        self.min_age = min_age
        check_choice("job_type", job_type, [each.name for each in JOB_TYPES.values() if each.sweep])
        if (
            isinstance(min_age, bool)
            or not isinstance(min_age, (int, float))
            or not 0 <= min_age < float("inf")
        ):
            raise ValueError(f"min_age must be a number of seconds, 0 or more, not {min_age!r}")
        if is_literal(dry_run):
            Flag().read("dry_run", dry_run)
        if is_literal(targets):
            self._read_targets()

    @cached_property
    def hook(self) -> JobHook:
        """The hook for the region of this task."""
        return self.make_hook(self._type, self.region_name)

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Look at all running jobs, and do what is to be done about those that nobody wants.

        :returns: see the class.
        :raises ValueError: without a deployment id.
        :raises AwsJobError: where nothing could be listed, or an orphan could not be cancelled.
        """
        deployment = deployment_id()
        if deployment is None:
            raise ValueError(
                f"without a deployment id no job is marked, and none can be swept: set [{SECTION}] {OPTION}"
                f" (AIRFLOW__{SECTION.upper()}__{OPTION.upper()}) in the configuration of every part of"
                " Airflow, to a word that no other Airflow in the same AWS account has"
            )
        dry_run, ti = Flag().read("dry_run", self.dry_run), context["ti"]
        listing = self._list()
        swept = []
        for one in self._judge(listing.jobs, deployment, ti):
            done = self._see_to(one, ti, dry_run=dry_run) if one.finding.verdict is Verdict.ORPHAN else one
            alarming = done.finding.verdict in (Verdict.ORPHAN, Verdict.UNKNOWN)
            (self.log.warning if alarming else self.log.info)("%s", done)
            swept.append(done)
        self._sum_up(listing, swept)
        result = [one.to_json() for one in swept]
        failures = [one.error for one in swept if one.error is not None]
        if failures:
            ti.xcom_push(key="return_value", value=result)
            raise AwsJobError("; ".join(failures))
        return result

    def _list(self) -> Listing:
        """Return the running jobs, whoever has started them."""
        check_aws(self, only_literal=False)
        lister = Lister(self._type, self.hook.region, log=self.log, patience=PATIENCE)
        listing = drive(lister.list_running(self._read_targets(complete=True)), self.hook)
        for problem in listing.problems:
            self.log.warning("%s", problem)
        if listing.problems and not listing.targets:
            raise AwsJobError(f"nothing could be looked at: {'; '.join(listing.problems)}")
        return listing

    def _judge(self, jobs: Iterable[RunningJob], deployment: str, ti: Any) -> list[Swept]:
        """Return the jobs of this deployment, each with its verdict."""
        marked = [(job, Mark.decode(job.mark)) for job in jobs]
        ours = [(job, mark) for job, mark in marked if mark is not None and mark.deployment == deployment]
        judge, too_young = Judge(ti), time.time() - self.min_age
        judge.ask(mark.key for job, mark in ours if self._started_at(job) <= too_young)
        return [
            Swept(
                job.run,
                mark,
                judge.judge(mark.key, job.run)
                if self._started_at(job) <= too_young
                else Finding(Verdict.YOUNG, f"it has not run for {self.min_age:g} seconds"),
            )
            for job, mark in ours
        ]

    def _started_at(self, job: RunningJob) -> float:
        """Return when a job was started; a job of which that is not known is as young as can be."""
        started = self._type.started_at(job.snapshot)
        return math.inf if started is None else started

    def _see_to(self, orphan: Swept, ti: Any, *, dry_run: bool) -> Swept:
        """Cancel an orphan, if it still is one."""
        if dry_run:
            return replace(orphan, action="would cancel")
        # Others may have been cancelled for minutes since Airflow was asked.
        run, judge = orphan.run, Judge(ti)
        judge.ask([orphan.mark.key])
        finding = judge.judge(orphan.mark.key, run)
        if finding.verdict is not Verdict.ORPHAN:
            return replace(orphan, finding=finding)
        # It has been running for a while: "not found" is believed at once.
        steps = cancel_until_certain(run, log=self.log, started_at=0.0, patience=PATIENCE)
        try:
            action = _achieved(drive(steps, self.hook))
        except JobNotFoundError:
            action = "had ended"
        except Exception as error:  # noqa: BLE001 - the others are to be seen to all the same
            told = error if isinstance(error, AwsJobError) else not_cancelled(run, repr(error))
            return replace(orphan, finding=finding, action="failed", error=str(told))
        return replace(orphan, finding=finding, action=action)

    def _sum_up(self, listing: Listing, swept: Sequence[Swept]) -> None:
        def counted(words: Iterable[str]) -> str:
            return ", ".join(f"{count} {word}" for word, count in Counter(words).items())

        verdicts = counted(one.finding.verdict.value for one in swept)
        actions = counted(one.action for one in swept if one.action != "none")
        self.log.info(
            "%d running jobs of this Airflow%s%s; %d of others; on %d targets%s",
            len(swept),
            f": {verdicts}" if verdicts else "",
            f" ({actions})" if actions else "",
            len(listing.jobs) - len(swept),
            listing.targets,
            f"; {len(listing.problems)} lists could not be read" if listing.problems else "",
        )

    def _read_targets(self, *, complete: bool = False) -> list[dict[str, Any]]:
        """Return the targets, checked.

        :param complete: with the account of the credentials, where it is needed.
        :raises ValueError: for what is no target.
        """
        sweep, listed = self._type.sweep, self._type.list_jobs
        assert sweep is not None  # noqa: S101 - checked by __init__
        assert listed is not None  # noqa: S101 - what is swept can be listed
        given = [{}] if self.targets is None else self.targets
        finds = [step.finds for step in sweep.discover]
        if not isinstance(given, (list, tuple)) or not all(isinstance(each, Mapping) for each in given):
            raise ValueError(
                f"targets must be a list of dicts with {', '.join(listed.parameters)}, not {given!r}"
            )
        targets = []
        for each in given:
            if self.targets is not None and (each.keys() - {*listed.parameters} or finds[0] not in each):
                allowed = ", ".join(key for key in listed.parameters if key != finds[0])
                raise ValueError(f"targets must have {finds[0]} (and may have {allowed}), not {dict(each)!r}")
            target = {}
            for key in listed.parameters:
                parameter, value = self._type.parameters[key], each.get(key)
                if value is not None:
                    target[key] = parameter.value.read(key, parameter.value.rendered(value))
                elif parameter.caller_account and complete:
                    target[key] = self._account
            targets.append(target)
        return targets

    @cached_property
    def _account(self) -> str:
        return self.hook.caller_account()

    @property
    def _type(self) -> JobType:
        return JOB_TYPES[self.job_type]


def _achieved(snapshot: JobSnapshot) -> str:
    """Return what a cancel has achieved, in a word."""
    if not snapshot.state.is_over:
        return "ending"
    return "cancelled" if snapshot.state is JobState.CANCELLED else "had ended"
