"""CloudWatch Logs Insights' queries.

Facts marked [I] are inferred: AWS documents them nowhere. The queries know nothing of the log events in moto:
their rows are what a test sets. The settings beyond those of every job type:

``rows``
    what GetQueryResults returns at the end, as a list of dicts; while the query runs, and after a cancel,
    the part that is done.
``bytes_scanned``, ``records_scanned``, ``records_matched``
    statistics at the end; matched are the rows by default.
``limit_per_account``
    queries that may be scheduled or running at a time, else LimitExceededException; 30, None for no limit;
    not for one job.
``missing_targets``
    names of log groups that do not exist; not for one job.
``cancel_ended``
    what StopQuery says of a query that has ended: ``InvalidParameterException``, or ``success``: an answer
    with ``success: false`` [I]; not for one job.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

from moto.logs.responses import LogsResponse

from airflow_jobs_provider.testing.errors import EmulatedError
from airflow_jobs_provider.testing.job import Job
from airflow_jobs_provider.testing.job_service import JobService
from airflow_jobs_provider.testing.lifecycle import LifeCycle
from airflow_jobs_provider.testing.settings import (
    MISSING_TARGETS,
    Setting,
    count,
    limit,
    optional,
    refusal,
    rows,
)

ROWS_IN_A_PAGE = 10_000
_GROUPS = ("logGroupName", "logGroupNames", "logGroupIdentifiers")
# In SQL the log groups stand in the statement; the other languages have a command for it.
_SOURCE = re.compile(r"\bSOURCE\b", re.IGNORECASE)

QUERY = LifeCycle(
    job_type="logs-query",
    service="logs",
    start="StartQuery",
    identity=("queryId",),
    phases={"Scheduled": 0.1, "Running": None, "Unknown": 0.0},
    ends=("Complete", "Failed", "Timeout", "Cancelled"),
    cancelled="Cancelled",
    own_settings={
        "rows": Setting([], rows, "the result"),
        "bytes_scanned": Setting(1_048_576, count, "bytes at the end"),
        "records_scanned": Setting(1000, count, "records at the end"),
        "records_matched": Setting(None, optional(count), "records at the end; None: the rows"),
        "limit_per_account": limit(30, "scheduled and running queries of an account in a region"),
        "missing_targets": MISSING_TARGETS,
        "cancel_ended": refusal("InvalidParameterException", "success"),
    },
)


class LogsEmulation(JobService, LogsResponse):
    """The four operations on queries; all others are moto's."""

    service = "logs"
    moto_package = "logs"
    lives = (QUERY,)
    emulates = ("StartQuery", "GetQueryResults", "StopQuery", "DescribeQueries")
    validation_error = "InvalidParameterException"
    url_paths: ClassVar[tuple[str, ...]] = ()

    def start_query(self, parameters: dict[str, Any]) -> dict[str, Any]:  # type: ignore[override]
        """Start a query."""
        given = [name for name in _GROUPS if name in parameters]
        in_query = parameters.get("queryLanguage") == "SQL" or _SOURCE.search(parameters["queryString"])
        if len(given) > 1 or not (given or in_query):
            raise EmulatedError(
                "InvalidParameterException", f"Exactly one of {', '.join(_GROUPS)} is needed."
            )
        if parameters["startTime"] > parameters["endTime"]:
            raise EmulatedError("InvalidParameterException", "The query's time range ends before it starts.")
        for group in _log_groups(parameters):
            self._require_group(group)
        with self.emulator.lock:
            most = self.setting(QUERY, "limit_per_account")
            self.require_room(most, self.jobs_on(QUERY), "LimitExceededException", "The account")
            job = self.start_job(QUERY, {"queryId": str(uuid.uuid4())}, (), parameters)
        return dict(job.ids)

    def get_query_results(self, parameters: dict[str, Any]) -> dict[str, Any]:  # type: ignore[override]
        """Return a page of the rows that there are so far."""
        job = self._find(parameters)
        status, done, settings = job.status(self.now), job.progress(self.now), job.settings
        found = settings["rows"][: job.parameters.get("limit", ROWS_IN_A_PAGE)]
        found = [] if status in ("Failed", "Timeout") else found[: int(len(found) * done)]
        matched = (
            len(settings["rows"]) if settings["records_matched"] is None else settings["records_matched"]
        )
        size = parameters.get("maxItems", ROWS_IN_A_PAGE)
        page, token = self.slice(found, parameters.get("nextToken"), size)
        return {
            "status": status,
            "queryLanguage": _language(job),
            "results": [[{"field": name, "value": value} for name, value in row.items()] for row in page],
            "statistics": {
                "recordsMatched": float(int(matched * done)),
                "recordsScanned": float(int(settings["records_scanned"] * done)),
                "bytesScanned": float(int(settings["bytes_scanned"] * done)),
                "logGroupsScanned": float(len(_log_groups(job.parameters))),
                "resultCount": float(len(found)),
            },
            # Only what is complete comes in pages.
            "nextToken": token if status == "Complete" else None,
        }

    def stop_query(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Stop a query."""
        job = self._find(parameters)
        stopped, answer = self.emulator.cancel(job), self.setting(QUERY, "cancel_ended")
        if not stopped and answer != "success":
            raise EmulatedError(answer, "Query is not currently running")
        return {"success": stopped}

    def describe_queries(self, parameters: dict[str, Any]) -> dict[str, Any]:  # type: ignore[override]
        """Return a page of the account's queries, newest first [I]."""
        group, status, language = (
            parameters.get(name) for name in ("logGroupName", "status", "queryLanguage")
        )
        if group is not None:
            self._require_group(group)
        jobs = [
            job
            for job in self.jobs_on(QUERY)
            if (group is None or group in _log_groups(job.parameters))
            and status in (None, job.status(self.now))
            and language in (None, _language(job))
        ]
        page, token = self.page(jobs, parameters.get("nextToken"), parameters.get("maxResults", 1000))
        return {"queries": [self._summary(job) for job in page], "nextToken": token}

    def _summary(self, job: Job) -> dict[str, Any]:
        now, ended, groups = self.now, job.ended(self.now), _log_groups(job.parameters)
        return {
            **job.ids,
            "queryLanguage": _language(job),
            "queryString": job.parameters["queryString"],
            "status": job.status(now),
            "createTime": int(1000 * job.created),
            "logGroupName": groups[0] if groups else None,
            "queryDuration": int(1000 * ((now if ended is None else ended) - job.created)),
            "bytesScanned": float(int(job.settings["bytes_scanned"] * job.progress(now))),
        }

    def _find(self, parameters: Mapping[str, Any]) -> Job:
        name = parameters["queryId"]
        job = self.find_job(QUERY, name)
        if job is None:
            raise EmulatedError("ResourceNotFoundException", f"There is no query {name}.")
        return job

    def _require_group(self, group: str) -> None:
        if group in self.setting(QUERY, "missing_targets"):
            raise EmulatedError("ResourceNotFoundException", f"Log group {group} does not exist.")


def _log_groups(parameters: Mapping[str, Any]) -> list[str]:
    single = parameters.get("logGroupName")
    names = [] if single is None else [single]
    names += [*parameters.get("logGroupNames", ()), *parameters.get("logGroupIdentifiers", ())]
    # An identifier is a name or an ARN.
    return [name.rpartition(":log-group:")[2] for name in names]


def _language(job: Job) -> str:
    return str(job.parameters.get("queryLanguage", "CWLI"))
