"""What the triggerer's supervisor does for triggers: XComs and states, in memory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow.sdk.execution_time import comms, task_runner
from airflow.sdk.serde import deserialize

if TYPE_CHECKING:
    import pytest


class Supervisor:
    """Answers what Airflow 3.3 answers, and nothing else ever.

    :ivar xcoms: key -> value, of one task instance.
    :ivar state: of that task instance.
    """

    def __init__(self) -> None:
        self.xcoms: dict[str, Any] = {}
        self.state = "deferred"

    async def asend(self, message: Any) -> Any:
        """Answer a message."""
        await asyncio.sleep(0)
        if isinstance(message, comms.SetXCom):
            self.xcoms[message.key] = message.value
            return None
        if isinstance(message, comms.GetXCom):
            return comms.XComResult(key=message.key, value=self.xcoms.get(message.key))
        if isinstance(message, comms.DeleteXCom):
            self.xcoms.pop(message.key)
            return None
        if isinstance(message, comms.GetTaskStates):
            [task_id], [run_id] = message.task_ids or [], message.run_ids or []
            return comms.TaskStatesResult(task_states={run_id: {task_id: self.state}})
        return await asyncio.Event().wait()

    def send(self, message: Any) -> Any:
        """Answer a thread; Airflow refuses the event loop's own."""
        return asyncio.run(self.asend(message))

    @property
    def pulled(self) -> dict[str, Any]:
        """The XComs as others pull them."""
        return {key: deserialize(value) for key, value in self.xcoms.items()}


def supervise(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    """Have triggers talk to a supervisor."""
    supervisor = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    return supervisor
