"""Operators that are held up, or broken, where a test wants to catch them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from airflow_jobs_provider.triggers.aws_job import AwsJobTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.sdk import Context
    from airflow.triggers.base import TriggerEvent

    from airflow_jobs_provider.operators.base import StartJobOperator

# Seconds in which a test finds the process and kills it; only the first try is held up.
HELD_UP = 60.0


def held_up_before_the_start(base: type[StartJobOperator]) -> type[StartJobOperator]:
    """Return an operator that has a try, but has not asked AWS for anything yet."""

    class HeldUpBeforeTheStart(base):  # type: ignore[misc,valid-type]
        def pre_execute(self, context: Context) -> None:
            self.log.info("held up before the start")
            _hold_up(context)

    return HeldUpBeforeTheStart


def held_up_after_the_start(base: type[StartJobOperator]) -> type[StartJobOperator]:
    """Return an operator whose job AWS has started, and that has recorded nothing of the answer."""

    class HeldUpAfterTheStart(base):  # type: ignore[misc,valid-type]
        def execute(self, context: Context) -> Any:
            start = self.hook.start

            def start_and_wait(values: Any) -> Any:
                answer = start(values)
                _hold_up(context)
                return answer

            self.hook.start = start_and_wait
            return super().execute(context)

    return HeldUpAfterTheStart


def held_up_at_the_end(base: type[StartJobOperator]) -> type[StartJobOperator]:
    """Return an operator that has seen its job succeed, and has not told Airflow yet."""

    class HeldUpAtTheEnd(base):  # type: ignore[misc,valid-type]
        def post_execute(self, context: Context, result: Any = None) -> None:
            self.log.info("held up at the end")
            _hold_up(context)

    return HeldUpAtTheEnd


def with_a_trigger_that_fails(base: type[StartJobOperator]) -> type[StartJobOperator]:
    """Return an operator whose trigger raises instead of waiting."""

    class WithATriggerThatFails(base):  # type: ignore[misc,valid-type]
        def defer(self, *, trigger: AwsJobTrigger, method_name: str, **kwargs: Any) -> None:
            # Not the one that waits for the end of an old job.
            if method_name == "execute_complete":
                trigger = TriggerThatFails(**trigger.serialize()[1])
            super().defer(trigger=trigger, method_name=method_name, **kwargs)

    return WithATriggerThatFails


class TriggerThatFails(AwsJobTrigger):
    """Raises after a while."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fail."""
        await asyncio.sleep(3)
        raise RuntimeError("this trigger is broken")
        yield  # pragma: no cover - what makes it a generator


def _hold_up(context: Any) -> None:
    if context["ti"].try_number == 1:
        time.sleep(HELD_UP)
