"""DAGs that try the live harness itself; nothing of AWS in them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import DAG, BaseOperator, task

if TYPE_CHECKING:
    from airflow.sdk import Context


class Deferred(BaseOperator):
    """Waits in the triggerer for some seconds."""

    def execute(self, context: Context) -> None:
        """Defer."""
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=3)), method_name="finish")

    def finish(self, context: Context, event: Any) -> None:
        """Resume."""


with DAG("harness", schedule=None):

    @task
    def names() -> list[str]:
        """Something to map over."""
        return ["Ada", "Grace"]

    @task
    def greet(name: str) -> str:
        """One of several mapped task instances."""
        return f"Hello, {name}"

    greet.expand(name=names())
    Deferred(task_id="deferred")

with DAG("harness_sleeper", schedule=None):
    # A shell leads a process session of its own: what the harness must end without knowing it beforehand.
    BashOperator(task_id="sleep", bash_command="sleep 600")
