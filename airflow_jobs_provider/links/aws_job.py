"""The button on a task instance that opens its AWS job in the console."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

    from airflow_jobs_provider.jobs.run import JobRun
    from airflow_jobs_provider.operators.common import AwsJobOperator


class AwsJobLink(BaseOperatorLink):
    """Link to the job in the AWS console; there as soon as the job has started."""

    name = "AWS job"
    xcom_key = "aws_job_link"

    def persist(self, operator: AwsJobOperator, ti: Any, run: JobRun) -> None:
        """Store the link now: Airflow 3.3 itself stores links only when the task's process ends."""
        operator.known_job = run
        if operator.console_url is not None:
            ti.xcom_push(key=self.xcom_key, value=operator.console_url)

    def get_link(
        self,
        operator: BaseOperator,
        *,
        ti_key: TaskInstanceKey,
    ) -> str:
        """Return the link; empty where the console has no page that we know of.

        Airflow asks when it was told how the task goes on, as the last thing before the process ends, and
        stores the answer. It is not read from what is stored already: a question to Airflow, in each process.
        """
        if hasattr(operator, "process_ends"):
            operator.process_ends(ti_key)
        return getattr(operator, "console_url", None) or ""
