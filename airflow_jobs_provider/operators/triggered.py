"""Tasks that start or end in the triggerer, without a process of their own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_jobs_provider.operators.checks import check_flags
from airflow_jobs_provider.operators.common import PATIENCE, AwsJobOperator
from airflow_jobs_provider.operators.modes import MODES, check_mapped, check_modes, needs_worker
from airflow_jobs_provider.operators.packing import check_unpacks, pack

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context
    from airflow.sdk.definitions.mappedoperator import OperatorPartial

    from airflow_jobs_provider.jobs.parts import Operation
    from airflow_jobs_provider.jobs.run import JobRun
    from airflow_jobs_provider.operators.unanswered import UnansweredStart


class _StartTriggerArgs:
    """How Airflow is told how the triggerer is to start a task: asked when the DAG is serialized.

    By then cluster policies have changed what they change. A class has none: ``MappedOperator`` would take
    them for a mapped task's own, which a worker starts.
    """

    def __get__(self, operator: TriggeredOperator | None, _: type) -> Any:
        # Airflow asks after each __init__, too.
        if operator is None or not operator.start_from_trigger or not operator.is_complete:
            return None
        from airflow.triggers.base import StartTriggerArgs

        check_modes(operator)
        return StartTriggerArgs(
            trigger_cls="airflow_jobs_provider.triggers.task.AwsTaskTrigger",
            trigger_kwargs={"packed": pack(operator)},
            next_method="go_on",
            timeout=operator.start_timeout,
        )


class TriggeredOperator(AwsJobOperator):
    """Base of what may start or end in the triggerer. Both imply ``deferrable``.

    :param start_from_trigger: have the triggerer run the task from its first line on.
    :param end_from_trigger: have the triggerer end the task, where only its job's end is to be told.
    """

    start_trigger_args = _StartTriggerArgs()
    # It is part of a DAG that was parsed, and the files that its parameters name are read.
    is_complete = False
    # Seconds that the cancel of a job is tried that the task does not want any more.
    cancel_patience = PATIENCE
    # Seconds that a killed task's code looks for the job of a start that was never answered. A worker's has
    # no time for it: its signal handler has looked.
    find_patience_when_killed = 0.0

    # Of a copy in the triggerer, which knows less than the task.
    _worker_for: list[str] | None = None

    def __init__(
        self,
        *,
        start_from_trigger: bool = False,
        end_from_trigger: bool = False,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(deferrable=deferrable, **kwargs)
        self.start_from_trigger = start_from_trigger
        self.end_from_trigger = end_from_trigger
        check_flags(self, MODES)
        for mode in MODES:
            if getattr(self, mode) and deferrable is False:
                raise ValueError(f"{mode}=True does not go with deferrable=False: leave one of them out")
            self.deferrable = self.deferrable or getattr(self, mode)

    @classmethod
    def partial(cls, **kwargs: Any) -> OperatorPartial:
        """Return what ``.expand()`` makes a mapped task of.

        :raises ValueError: for what cannot work in the triggerer.
        """
        check_mapped(cls, kwargs)
        partial: OperatorPartial = super().partial(**kwargs)
        return partial

    def check_parameters(self, operation: Operation) -> None:
        """Refuse, at DAG parse, what cannot work. Ends every ``__init__``."""
        super().check_parameters(operation)
        check_modes(self)

    def prepare_template(self) -> None:
        """Refuse what cannot go to the triggerer.

        Airflow calls this when a DAG file is parsed, as soon as the files that parameters name are read.
        """
        super().prepare_template()
        self.is_complete = True
        check_modes(self)
        if self.start_from_trigger or self.end_from_trigger:
            # Now, and not when the DAG is serialized, or the job has started.
            check_unpacks(self, pack(self, is_rendered=self.start_from_trigger))

    @property
    def start_timeout(self) -> timedelta | None:
        """Airflow's own time-out of a task that starts in the triggerer, beside ``execution_timeout``."""
        return None

    def go_on(self, context: Context, event: Any = None) -> Any:
        """Go on in a worker with what has started in the triggerer.

        :param event: of a wait for a job; without one, the task begins anew, with what was recorded of it.
        :returns: see ``execute``.
        """
        # The triggerer has begun, whatever the DAG says by now: its records are where it can write them.
        self.start_from_trigger = True
        if isinstance(event, Mapping) and "run" in event:
            return self.execute_complete(context, event)  # type: ignore[attr-defined]
        return self.start_again(context)

    def start_again(self, context: Context, **_: object) -> Any:
        """Begin anew, later.

        :returns: see ``execute``.
        """
        return self.execute(context)

    def end_earlier(self, context: Context, *, own: bool = True) -> None:
        """See to the job of an earlier try, where this one ends before it has begun."""

    def answers_for(self) -> JobRun | UnansweredStart | None:
        """Return the job, or the start of one, that must not outlive this task; ``None`` for none."""
        return None

    @property
    def worker_for(self) -> list[str]:
        """The ends of this task that are a worker's, whatever the modes."""
        return needs_worker(self) if self._worker_for is None else self._worker_for

    @worker_for.setter
    def worker_for(self, ends: list[str]) -> None:
        self._worker_for = ends
