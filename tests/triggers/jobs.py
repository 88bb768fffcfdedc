"""Waits for jobs, one or many at once, for tests."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from airflow_jobs_provider.hooks.aws_job import AwsJobHook
from airflow_jobs_provider.jobs.bedrock import BEDROCK_INGESTION
from airflow_jobs_provider.jobs.cloudtrail import CLOUDTRAIL_QUERY
from airflow_jobs_provider.jobs.neptune_analytics import NEPTUNE_IMPORT
from airflow_jobs_provider.jobs.quicksight import QUICKSIGHT_INGESTION
from airflow_jobs_provider.testing import Emulator
from airflow_jobs_provider.triggers.aws_job import AwsJobTrigger
from tests.cases import ROLE
from tests.conftest import TaskInstance

READ = "DescribeIngestion"
STORE = "12345678-abcd-1234-abcd-123456789012"


def trigger(run: dict[str, Any], **options: Any) -> AwsJobTrigger:
    """Return a trigger as the triggerer makes it: from what another one serialized."""
    options = {"poll_interval": 0.05, "started_at": time.time(), "aws_conn_id": None, **options}
    path, kwargs = AwsJobTrigger(run=run, **options).serialize()
    assert path == "airflow_jobs_provider.triggers.aws_job.AwsJobTrigger"
    made = AwsJobTrigger(**kwargs)
    made.task_instance = TaskInstance()  # type: ignore[assignment]
    return made


async def event(waiting: AwsJobTrigger) -> dict[str, Any]:
    """Return the payload of a trigger's one event."""
    [fired] = [fired async for fired in waiting.run()]
    payload: dict[str, Any] = fired.payload
    return payload


def says(answer: Any) -> Any:
    """Return a ``still_waits`` with an answer, or an error, of Airflow's."""

    async def still_waits(*_: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return still_waits


def refreshes(aws: Emulator, count: int, data_sets: int | None = None) -> list[dict[str, Any]]:
    """Start ingestions that do not end by themselves, each of a data set of its own or of so many."""
    aws.configure("quicksight-ingestion", duration=None, quota=None)
    hook = AwsJobHook(QUICKSIGHT_INGESTION, aws_conn_id=None, region_name="eu-west-1")
    return [
        hook.start(
            {
                "aws_account_id": "123456789012",
                "data_set_id": f"set-{number % (data_sets or count)}",
                "ingestion_id": f"i{number}",
                "ingestion_type": "FULL_REFRESH",
            }
        )[0].to_json()
        for number in range(count)
    ]


def imports(aws: Emulator, count: int) -> list[dict[str, Any]]:
    """Start import tasks that do not end by themselves, each into a graph of its own."""
    aws.configure("neptune-import", duration=None)
    hook = AwsJobHook(NEPTUNE_IMPORT, aws_conn_id=None, region_name="eu-west-1")
    graphs = [f"g-{number:010d}" for number in range(count)]
    return [
        hook.start({"graph_identifier": graph, "source": "s3://bucket/people", "role_arn": ROLE})[0].to_json()
        for graph in graphs
    ]


def syncs(aws: Emulator, count: int) -> list[dict[str, Any]]:
    """Start ingestion jobs that do not end by themselves, all of one data source."""
    free = dict.fromkeys(("limit_per_data_source", "limit_per_knowledge_base", "limit_per_account"))
    aws.configure("bedrock-ingestion", duration=None, **free)
    hook = AwsJobHook(BEDROCK_INGESTION, aws_conn_id=None, region_name="eu-west-1")
    target = {"knowledge_base_id": "KB12345678", "data_source_id": "DS12345678"}
    return [hook.start(target)[0].to_json() for _ in range(count)]


def queries(aws: Emulator, count: int) -> list[dict[str, Any]]:
    """Start queries that do not end by themselves, all of one event data store, which is known."""
    aws.configure("cloudtrail-query", duration=None, limit_per_account=None)
    hook = AwsJobHook(CLOUDTRAIL_QUERY, aws_conn_id=None, region_name="eu-west-1")
    statement = {"query_statement": f"SELECT eventName FROM {STORE}"}
    runs = [hook.start(statement)[0].to_json() for _ in range(count)]
    return [{**run, "ids": {**run["ids"], "event_data_store": STORE}} for run in runs]


def waits(runs: list[dict[str, Any]], **options: Any) -> list[asyncio.Task[dict[str, Any]]]:
    """Wait for jobs, each with a trigger of its own."""
    return [asyncio.create_task(event(trigger(run, **options))) for run in runs]


def calls(aws: Emulator, operation: str) -> int:
    """Return how many calls of an operation were answered."""
    return sum(aws.counts().get(operation, {}).values())
