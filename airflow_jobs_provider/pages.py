"""What is read page by page: the jobs that an API lists, and the rows that a job has found."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import jmespath

from airflow_jobs_provider.exceptions import ResultTooLargeError, name
from airflow_jobs_provider.jobs import job_type_of
from airflow_jobs_provider.jobs.model import JobType
from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot, JobState
from airflow_jobs_provider.steps import Log, ReadPage, Steps
from airflow_jobs_provider.waiting import until_certain
from airflow_jobs_provider.watch import Errors, Watch


def read_rows(
    run: JobRun, *, log: Log, started_at: float, limit: int, patience: float
) -> Steps[list[dict[str, Any]]]:
    """Read the rows that a job has found.

    :param limit: how many there may be.
    :param patience: seconds in which errors that may pass are survived, for each page.
    :raises ResultTooLargeError: where there are more; nothing but the first pages is read.
    :raises AwsApiError: for an error that does not pass.
    """
    results = job_type_of(run).results
    assert results is not None  # noqa: S101 - only operators of queries ask
    failed = Watch(run, log, started_at).failed
    rows: list[dict[str, Any]] = []
    total = 0
    step: ReadPage | None = ReadPage(results.operation, run.ids)
    while step is not None:
        page = yield from until_certain(step, failed, patience)
        rows += map(results.row, page.items)
        total = int(jmespath.search(results.total, page.answer) or 0)
        if max(total, len(rows)) > limit:
            found = total or f"at least {len(rows)}"
            raise ResultTooLargeError(
                f"{name(run)} has found {found} rows, more than max_result_rows={limit} allows: XCom is no"
                f" data lake. Raise max_result_rows, narrow the query, or have the rows delivered to S3",
                run=run,
            )
        step = ReadPage(results.operation, run.ids, page.token) if page.token else None
    if len(rows) < total:
        raise ResultTooLargeError(
            f"{name(run)} has found {total} rows, but the API gives only {len(rows)} of them:"
            " narrow the query",
            run=run,
        )
    return rows


def find_running(
    job_type: JobType, values: Mapping[str, Any], region: str, *, log: Log, patience: float
) -> Steps[tuple[JobRun, JobSnapshot] | None]:
    """Find a running job that does what a start asks for.

    :param values: the start's parameters by our names.
    :param patience: seconds in which errors that may pass are survived, for each page.
    :returns: the first that is listed.
    :raises AwsApiError: for an error that does not pass; the right to list may be missing.
    """
    operation = job_type.list_jobs
    assert operation is not None  # noqa: S101 - a job type that adopts can list
    failed = Errors(f"the list of jobs on {job_type.describe_target(values)}", log).survive
    step: ReadPage | None = ReadPage(operation, values)
    while step is not None:
        page = yield from until_certain(step, failed, patience)
        for record in page.items:
            snapshot = job_type.read_record(record)
            run = job_type.run_of(values, region, record)
            running = snapshot.known and snapshot.state is JobState.RUNNING
            if running and run is not None and job_type.is_asked_for(record, values):
                return run, snapshot
        step = ReadPage(operation, values, page.token) if page.token else None
    return None


def find_freeing(
    job_type: JobType, values: Mapping[str, Any], *, log: Log, patience: float
) -> Steps[float | None]:
    """Find out when the quota of a target's starts frees, of a job type that has a ``quota_window``.

    :param values: the start's parameters by our names.
    :param patience: seconds in which errors that may pass are survived, for each page.
    :returns: seconds since the epoch; ``None`` where no start is listed that counts.
    :raises AwsApiError: for an error that does not pass; the right to list may be missing.
    """
    operation = job_type.list_jobs
    assert operation is not None  # noqa: S101 - what a window counts is listed
    failed = Errors(f"the list of jobs on {job_type.describe_target(values)}", log).survive
    records: list[Mapping[str, Any]] = []
    step: ReadPage | None = ReadPage(operation, values)
    while step is not None:
        page = yield from until_certain(step, failed, patience)
        records += page.items
        step = ReadPage(operation, values, page.token) if page.token else None
    return job_type.frees_at(records, time.time())
