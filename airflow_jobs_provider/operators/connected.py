"""What everything that talks to AWS takes: the connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_jobs_provider.operators.checks import check_aws

if TYPE_CHECKING:
    from airflow_jobs_provider.hooks.protocol import JobHook
    from airflow_jobs_provider.jobs.model import JobType


class AwsOperator(BaseOperator):
    """Base of everything that talks to AWS.

    :param aws_conn_id: the Airflow connection; ``None`` for boto3's own credential chain (templated).
    :param region_name: AWS region; default: the connection's, then boto3's (templated).
    :param verify: whether, or with which certificates, TLS is verified (templated).
    :param botocore_config: arguments of ``botocore.config.Config``, as a dict; ``retries`` are not used.
    """

    template_fields: Sequence[str] = ("aws_conn_id", "region_name", "verify")
    # What starts jobs, or does anything else; what waits, cancels and sweeps has colours of its own.
    ui_color = "#f5ead6"

    def __init__(
        self,
        *,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        check_aws(self, only_literal=True)

    def make_hook(self, job_type: JobType, region_name: str | None) -> JobHook:
        """Return a hook for a type of job in a region."""
        # imported here, so that parsing a DAG file does not import boto3
        from airflow_jobs_provider.hooks.aws_job import AwsJobHook

        return AwsJobHook(
            job_type,
            aws_conn_id=self.aws_conn_id,
            region_name=region_name,
            verify=self.verify,
            botocore_config=self.botocore_config,
        )
