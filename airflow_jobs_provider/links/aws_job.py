"""The button on a task instance that opens its AWS job in the console."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

from airflow_jobs_provider.jobs import job_type_of

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
        url = job_type_of(run).console_url(run)
        if url is not None:
            ti.xcom_push(key=self.xcom_key, value=url)

    def get_link(
        self,
        operator: BaseOperator,
        *,
        ti_key: TaskInstanceKey,
    ) -> str:
        """Return what :meth:`persist` stored; empty where the console has no page that we know of.

        Airflow asks when it was told how the task goes on, as the last thing before the process ends.
        """
        if hasattr(operator, "process_ends"):
            operator.process_ends(ti_key)
        if not getattr(operator, "has_link", False):
            # To ask for an XCom that is not there shows as an error in the task's log (apache/airflow#73175).
            return ""
        from airflow.sdk.execution_time.xcom import XCom

        stored = XCom.get_one(
            key=self.xcom_key,
            dag_id=ti_key.dag_id,
            task_id=ti_key.task_id,
            run_id=ti_key.run_id,
            map_index=ti_key.map_index,
        )
        return str(stored or "")
