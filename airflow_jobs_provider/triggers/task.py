"""A whole task in the triggerer: what its operator does in a worker, it does here, without a process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.definitions._internal.templater import create_template_env
from airflow.sdk.exceptions import AirflowException, AirflowTaskTimeout, TaskDeferred
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_jobs_provider.exceptions import AwsJobError
from airflow_jobs_provider.operators.checks import is_literal
from airflow_jobs_provider.operators.packing import unpack
from airflow_jobs_provider.triggers.aws_job import CANCEL_PATIENCE, shielded
from airflow_jobs_provider.triggers.ending import failed, forget_result, succeeded
from airflow_jobs_provider.triggers.host import context_of
from airflow_jobs_provider.triggers.ownership import goes_on_elsewhere, still_waits
from airflow_jobs_provider.triggers.tether import Tether, lend_hooks
from airflow_jobs_provider.waiting import Wait

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_jobs_provider.operators.triggered import TriggeredOperator
    from airflow_jobs_provider.triggers.host import XComRecords


def _last_reading(error: BaseException) -> dict[str, Any] | None:
    """Return the event of a job that has failed: without it, the worker would start another."""
    if not isinstance(error, AwsJobError) or error.run is None or error.snapshot is None:
        return None
    wait = Wait(error.run, time.time(), cancel_on_kill=False)
    return {**wait.to_json(), "snapshot": error.snapshot.to_json()} if error.snapshot.state.is_over else None


class AwsTaskTrigger(BaseTrigger):
    """Run a task's operator: its own code in a thread, its waits on the event loop.

    Where the operator defers, its trigger is run in place. What ends the task is yielded, or what a worker
    needs to go on: the event of a wait for a job, or nothing, for a task that begins anew there.

    :param packed: the operator, with its templates.
    """

    # Airflow's triggerer sets it: when the deferral ends.
    timeout_after: datetime | None = None

    def __init__(self, *, packed: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.packed = packed
        self._context: Any = None
        self._operator: TriggeredOperator | None = None
        self._tether: Tether | None = None
        self._records: XComRecords | None = None
        self._work: asyncio.Task[Any] | None = None
        self._waits: BaseTrigger | None = None
        self._has_rendered = False
        self._is_killed = False

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what makes this trigger anew in the triggerer."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"packed": self.packed}

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:  # noqa: ARG002
        """Keep the context: the templates are the operator's, which renders them in its thread."""
        self._context = context

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Run the task, and yield the one event."""
        try:
            end = await self._outcome()
        except asyncio.CancelledError:
            # Whether another triggerer is at work by now is still to be asked, or the triggerer ends.
            if self._tether is not None:
                self._tether.hold()
            raise
        yield end

    async def on_kill(self) -> None:
        """See to the job of a killed task."""
        self._is_killed = True
        if self._waits is not None:
            await self._waits.on_kill()
        elif self._work is None:
            await shielded(self._end_earlier(), lambda: None, self.log)
        else:
            assert self._operator is not None  # noqa: S101 - it works
            await shielded(self._kill(self._work), self._operator.answers_for, self.log)

    async def cleanup(self) -> None:
        """Have the thread do nothing more: the task is over, or another triggerer has it."""
        if self._tether is not None and not self._is_killed:
            self._tether.let_go()

    async def _outcome(self) -> TriggerEvent:
        try:
            operator = self._operator = unpack(self.packed)
        except Exception as error:  # noqa: BLE001 - the triggerer may be another installation than workers
            self.log.warning("a worker goes on: this triggerer cannot make the operator: %r", error)
            return TriggerEvent(None)  # type: ignore[no-untyped-call]
        fields = (getattr(operator, field, None) for field in operator.template_fields)
        if self._context is None and not all(map(is_literal, fields)):
            # The DAG has changed since: Airflow knows no task any more that starts here.
            self.log.info("a worker goes on: Airflow gave nothing to fill in templates with")
            return TriggerEvent(None)  # type: ignore[no-untyped-call]
        await forget_result(self.task_instance, self.log)
        tether = self._tether = Tether()
        lend_hooks(operator, tether)
        end: TriggerEvent | None = None
        left = None
        try:
            fired, result = await self._execute(operator, tether)
            if fired is not None:
                return fired
            why = "it is over"
            if operator.end_from_trigger:
                end = await succeeded(operator, self.task_instance, result, self.log)
        # A time-out is no Exception; it comes from here only where nothing has been started.
        except (AwsJobError, ValueError, AirflowTaskTimeout) as error:
            why = f"it has failed here: {error}"
            if operator.end_from_trigger:
                end = failed(operator, error, self.log)
            left = _last_reading(error)
        except Exception as error:
            why = repr(error)
            if operator.end_from_trigger and self._has_given_up(error):
                # In a worker, the try would begin anew.
                self.log.warning("the task's code broke off", exc_info=error)
                end = failed(operator, error, self.log)
        if end is None:
            self.log.info("a worker ends the task: %s", why)
        return end or TriggerEvent(left)  # type: ignore[no-untyped-call]

    async def _execute(self, operator: TriggeredOperator, tether: Tether) -> tuple[TriggerEvent | None, Any]:
        """Execute the operator, and take its waits.

        :returns: the event of its last wait, or its result.
        """
        context = context_of(operator, self.task_instance, self.timeout_after, tether)
        self._records = context["task_state_store"]

        def begin() -> Any:
            if self._context is not None:
                # As strict as a DAG's own templates: what is not there is not empty.
                try:
                    operator.render_template_fields(self._context, create_template_env())
                except Exception:
                    # A worker goes on. It finds what this try itself has started before its triggerer died.
                    operator.end_earlier(context, own=False)
                    raise
            self._has_rendered = True
            # As the task runner does: Airflow warns of an operator that is executed elsewhere.
            ExecutorSafeguard.tracker.set(operator)
            return operator.execute(context)

        def start_again() -> Any:
            return operator.start_again(context)

        step = begin
        while True:
            self._work = asyncio.get_running_loop().create_task(tether.run(step))
            # To cancel this trigger is not to interrupt the thread: it is told, and sees to its job.
            await asyncio.wait((self._work,))
            deferred = self._work.exception()
            if not isinstance(deferred, TaskDeferred):
                return None, self._work.result()
            self._waits = self._adopt(deferred)
            [fired] = [event async for event in self._waits.run()]
            self._waits = None
            if deferred.method_name != "start_again":
                return fired, None
            step = start_again

    def _has_given_up(self, error: Exception) -> bool:
        """Whether the operator's own code has ended with a mistake, and its job with it."""
        has_begun = self._has_rendered and self._records is not None and self._records.has_begun
        return has_begun and self._waits is None and not isinstance(error, AirflowException)

    def _adopt(self, deferred: TaskDeferred) -> BaseTrigger:
        waits: BaseTrigger = deferred.trigger
        waits.task_instance = self.task_instance
        waits.trigger_id = self.trigger_id
        return waits

    async def _kill(self, work: asyncio.Task[Any]) -> None:
        """Have the thread end, and see to what it leaves: a killed task's thread answers for its job."""
        assert self._operator is not None  # noqa: S101 - it works
        assert self._tether is not None  # noqa: S101
        if await self._has_moved():
            self._tether.let_go()
            return
        # As long as a trigger's own cancel: there is no process that would be killed.
        self._operator.cancel_patience = CANCEL_PATIENCE
        self._operator.find_patience_when_killed = CANCEL_PATIENCE
        self._tether.go_on()
        await self._tether.run(self._operator.on_kill)
        await asyncio.wait((work,))
        left = work.exception()
        if isinstance(left, TaskDeferred):
            await self._adopt(left).on_kill()

    async def _end_earlier(self) -> None:
        """See to the job of an earlier try: this one was killed before it looked for it."""
        if await self._has_moved():
            return
        operator, tether = unpack(self.packed), Tether()
        lend_hooks(operator, tether)
        operator.cancel_patience = CANCEL_PATIENCE
        context = context_of(operator, self.task_instance, self.timeout_after, tether)
        await tether.run(lambda: operator.end_earlier(context))

    async def _has_moved(self) -> bool:
        """Whether what this trigger would do is for others to do: another triggerer, or the next try."""
        try:
            if self._records is None or not self._records.has_begun:
                return await goes_on_elsewhere(self.task_instance)
            return await still_waits(self.task_instance, None)
        except Exception as error:  # noqa: BLE001 - whatever it is: a job too few is better than one too many
            self.log.warning("Airflow did not say whether the task still waits, so it does not: %r", error)
            return False
