"""Operators that are held up, or broken, where a test wants to catch them."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context

from airflow_jobs_provider.operators.handover import ended_instead
from airflow_jobs_provider.triggers.aws_job import AwsJobTrigger
from airflow_jobs_provider.triggers.host import XComRecords
from airflow_jobs_provider.triggers.tether import BorrowedHook
from tests.live.job_types import LIVE_JOB_TYPES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.sdk import Context
    from airflow.triggers.base import TriggerEvent

    from airflow_jobs_provider.operators.base import StartJobOperator
    from tests.live.job_types import LiveJobType

log = logging.getLogger(__name__)

# Seconds in which a test finds the process and kills it; only one try is held up.
HELD_UP = 60.0


def made(variant: str, live: LiveJobType) -> type[StartJobOperator]:
    """Return a variant, one of the functions below, of what starts a job of a type.

    It is found in this module by its name: triggerers make it anew.
    """
    cls: type[StartJobOperator] = globals()[variant](live.operator)
    cls.__name__ = cls.__qualname__ = f"{variant}__{live.operator.__name__}"
    return cls


def __getattr__(name: str) -> type[StartJobOperator]:
    variant, _, operator = name.partition("__")
    for live in LIVE_JOB_TYPES.values():
        if live.operator.__name__ == operator:
            return made(variant, live)
    raise AttributeError(name)


def held_up_before_the_start(base: type[StartJobOperator]) -> type[StartJobOperator]:
    """Return an operator whose first try has done nothing yet; the second has recorded what it will start."""

    class HeldUpBeforeTheStart(base):  # type: ignore[misc,valid-type]
        def pre_execute(self, context: Context) -> None:
            _hold_up(context, "before the record")

        def execute(self, context: Context) -> Any:
            start = self.hook.start

            def wait_and_start(values: Any) -> Any:
                _hold_up(context, "before the call", try_number=2)
                return start(values)

            self.hook.start = wait_and_start
            return super().execute(context)

    return HeldUpBeforeTheStart


def held_up_after_the_start(base: type[StartJobOperator]) -> type[StartJobOperator]:
    """Return an operator whose job AWS has started, and that has recorded nothing of the answer."""

    class HeldUpAfterTheStart(base):  # type: ignore[misc,valid-type]
        def execute(self, context: Context) -> Any:
            start = self.hook.start

            def start_and_wait(values: Any) -> Any:
                answer = start(values)
                _hold_up(context, "after the start")
                return answer

            self.hook.start = start_and_wait
            return super().execute(context)

    return HeldUpAfterTheStart


def held_up_at_the_end(base: type[StartJobOperator]) -> type[StartJobOperator]:
    """Return an operator that has seen its job succeed, and has not told Airflow yet."""

    class HeldUpAtTheEnd(base):  # type: ignore[misc,valid-type]
        def post_execute(self, context: Context, result: Any = None) -> None:
            _hold_up(context, "at the end")

    return HeldUpAtTheEnd


def held_up_before_the_deferral(base: type[StartJobOperator]) -> type[StartJobOperator]:
    """Return an operator whose first try asks to be deferred only when Airflow will not have it."""

    class HeldUpBeforeTheDeferral(base):  # type: ignore[misc,valid-type]
        def defer(self, **kwargs: Any) -> None:
            ti = get_current_context()["ti"]
            if ti.try_number == 1:
                log.info("held up before the deferral")
                end = time.monotonic() + HELD_UP
                while ended_instead(ti) is None and time.monotonic() < end:
                    time.sleep(0.1)
            super().defer(**kwargs)

    return HeldUpBeforeTheDeferral


def refused_its_record(base: type[StartJobOperator]) -> type[StartJobOperator]:
    """Return an operator whose first try Airflow refuses when it records the job that it has started."""

    class RefusedItsRecord(base):  # type: ignore[misc,valid-type]
        def execute(self, context: Context) -> Any:
            store: Any = context["task_state_store"]
            keep, another = store.set, _of_another(store)
            refused = context["ti"].try_number > 1

            def set_once_for_another(key: str, value: Any) -> None:
                nonlocal refused
                own = {name: vars(store)[name] for name in another}
                if value["confirmed"] and not refused:
                    refused = True
                    vars(store).update(another)
                try:
                    keep(key, value)
                finally:
                    vars(store).update(own)

            store.set = set_once_for_another
            return super().execute(context)

    return RefusedItsRecord


def _of_another(store: Any) -> dict[str, Any]:
    """Return what makes a store of records write for a task instance that Airflow does not know."""
    if not isinstance(store, XComRecords):
        return {"_ti_id": uuid.uuid4()}
    ti = store._ti
    other = SimpleNamespace(
        id=ti.id, dag_id=ti.dag_id, task_id=ti.task_id, run_id="unknown", map_index=-1, try_number=1
    )
    # As if it were no job whose id was chosen: of that, the answer would not be written at all.
    return {"_ti": other, "_known": None}


def with_a_trigger_that_fails(base: type[StartJobOperator]) -> type[StartJobOperator]:
    """Return an operator whose trigger raises instead of waiting."""

    class WithATriggerThatFails(base):  # type: ignore[misc,valid-type]
        def defer(self, *, trigger: AwsJobTrigger, method_name: str, **kwargs: Any) -> None:
            # Not the one that waits for the end of an old job, nor a worker's that goes on for a triggerer.
            goes_on = self.start_from_trigger and not isinstance(self.hook, BorrowedHook)
            if method_name == "execute_complete" and not goes_on:
                trigger = TriggerThatFails(**trigger.serialize()[1])
            super().defer(trigger=trigger, method_name=method_name, **kwargs)

    return WithATriggerThatFails


class TriggerThatFails(AwsJobTrigger):
    """Raises after a while."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fail."""
        # Airflow 3.3 fails tasks itself that resume quicker (apache/airflow#72716): that would show nothing.
        await asyncio.sleep(15)
        raise RuntimeError("this trigger is broken")
        yield  # pragma: no cover - what makes it a generator


def _hold_up(context: Any, where: str, try_number: int = 1) -> None:
    if context["ti"].try_number == try_number:
        log.info("held up %s", where)
        time.sleep(HELD_UP)
