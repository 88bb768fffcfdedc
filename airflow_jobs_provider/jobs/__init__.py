"""WHAT each AWS job is. One file a service; the registry finds a job type by the name in a JobRun."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_jobs_provider.jobs.bedrock import BEDROCK_INGESTION
from airflow_jobs_provider.jobs.cloudtrail import CLOUDTRAIL_QUERY
from airflow_jobs_provider.jobs.logs import LOGS_QUERY
from airflow_jobs_provider.jobs.model import JobType
from airflow_jobs_provider.jobs.neptune_analytics import (
    NEPTUNE_CREATE_GRAPH,
    NEPTUNE_EXPORT,
    NEPTUNE_IMPORT,
)
from airflow_jobs_provider.jobs.quicksight import QUICKSIGHT_INGESTION
from airflow_jobs_provider.jobs.run import JobRun

JOB_TYPES: Mapping[str, JobType] = {
    job_type.name: job_type
    for job_type in (
        QUICKSIGHT_INGESTION,
        BEDROCK_INGESTION,
        NEPTUNE_IMPORT,
        NEPTUNE_CREATE_GRAPH,
        NEPTUNE_EXPORT,
        CLOUDTRAIL_QUERY,
        LOGS_QUERY,
    )
}


def job_type_of(run: JobRun) -> JobType:
    """Return the job type of a run.

    :raises ValueError: for a run that was written by a version that knew more job types than this one.
    """
    try:
        return JOB_TYPES[run.job_type]
    except KeyError:
        raise ValueError(f"job_type must be one of {', '.join(JOB_TYPES)}, not {run.job_type!r}") from None
