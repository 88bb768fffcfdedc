"""AWS CloudTrail Lake's queries.

Facts marked [I] are inferred: AWS documents them nowhere. A query runs on the event data store that its
statement names after FROM; one of a QueryAlias on its first parameter [I]. The settings beyond those of every
job type:

``rows``
    what GetQueryResults returns when the query has finished, as a list of dicts.
``bytes_scanned``, ``events_scanned``, ``events_matched``
    QueryStatistics at the end; matched are the results by default.
``error_message``
    ErrorMessage of a query that failed or timed out.
``delivery_delay``, ``delivery_status``
    seconds after FINISHED for which DeliveryStatus is still PENDING, and what comes then; of a query that
    does not finish it is CANCELLED or FAILED [I].
``limit_per_account``
    queries that may be queued or running at a time; 10, None for no limit; not for one job.
``missing_targets``, ``inactive_targets``
    ids of event data stores that do not exist, or are not active; not for one job.
``cancel_ended``
    what CancelQuery says of a query that has ended: ``InactiveQueryException`` or ``ConflictException``; not
    for one job.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from moto.cloudtrail.responses import CloudTrailResponse

from airflow_jobs_provider.testing.clock import moment, seconds_of
from airflow_jobs_provider.testing.errors import EmulatedError
from airflow_jobs_provider.testing.job import Job
from airflow_jobs_provider.testing.job_service import JobService
from airflow_jobs_provider.testing.lifecycle import LifeCycle
from airflow_jobs_provider.testing.settings import (
    MISSING_TARGETS,
    Setting,
    count,
    limit,
    one_of_shape,
    optional,
    refusal,
    rows,
    seconds,
    text,
)

LISTED_FOR = 7 * 24 * 60 * 60  # seconds
_FROM = re.compile(r"""\bFROM\s+["'`]?([\w./:$-]+)""", re.IGNORECASE)

QUERY = LifeCycle(
    job_type="cloudtrail-query",
    service="cloudtrail",
    start="StartQuery",
    identity=("QueryId",),
    phases={"QUEUED": 0.1, "RUNNING": None},
    ends=("FINISHED", "FAILED", "TIMED_OUT", "CANCELLED"),
    cancelled="CANCELLED",
    own_settings={
        "rows": Setting([], rows, "the result"),
        "bytes_scanned": Setting(1_048_576, count, "bytes at the end"),
        "events_scanned": Setting(1000, count, "events at the end"),
        "events_matched": Setting(None, optional(count), "events at the end; None: the results"),
        "error_message": Setting("The emulated query did not finish.", text, "ErrorMessage"),
        "delivery_delay": Setting(0.0, seconds, "seconds from FINISHED to the end of the delivery"),
        "delivery_status": Setting(
            "SUCCESS", one_of_shape("cloudtrail", "DeliveryStatus"), "how the delivery ends"
        ),
        "limit_per_account": limit(10, "queued and running queries of an account in a region"),
        "missing_targets": MISSING_TARGETS,
        "inactive_targets": replace(MISSING_TARGETS, doc="ids of event data stores that are not active"),
        "cancel_ended": refusal("InactiveQueryException", "ConflictException"),
    },
    reason=lambda why: {"error_message": why},
)


class CloudTrailEmulation(JobService, CloudTrailResponse):
    """The five operations on queries; all others are moto's."""

    service = "cloudtrail"
    moto_package = "cloudtrail"
    lives = (QUERY,)
    emulates = ("StartQuery", "DescribeQuery", "CancelQuery", "ListQueries", "GetQueryResults")
    # The errors that the model has for single parameters; for all others [I].
    validation_error = "InvalidParameterException"
    parameter_errors: ClassVar[dict[str, str]] = {
        "MaxResults": "InvalidMaxResultsException",
        "MaxQueryResults": "InvalidMaxResultsException",
        "NextToken": "InvalidNextTokenException",
        "QueryStatus": "InvalidQueryStatusException",
    }

    def start_query(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Start a query."""
        store = self._existing_store(_store_of(parameters))
        with self.emulator.lock:
            most = self.setting(QUERY, "limit_per_account")
            self.require_room(most, self.jobs_on(QUERY), "MaxConcurrentQueriesException", "The account")
            job = self.start_job(QUERY, {"QueryId": str(uuid.uuid4())}, (store,), parameters)
        return {**job.ids, **_owner(job)}

    def describe_query(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return what there is to know of a query but for its rows."""
        job, now = self._find(parameters), self.now
        status, ended = job.status(now), job.ended(now)
        done, settings = job.progress(now), job.settings
        matched = settings["events_matched"]
        answer: dict[str, Any] = {
            **job.ids,
            **_owner(job),
            "QueryString": _statement(job.parameters),
            "QueryStatus": status,
            "QueryStatistics": {
                "EventsMatched": int((len(settings["rows"]) if matched is None else matched) * done),
                "EventsScanned": int(settings["events_scanned"] * done),
                "BytesScanned": int(settings["bytes_scanned"] * done),
                "ExecutionTimeInMillis": int(1000 * ((now if ended is None else ended) - job.created)),
                "CreationTime": moment(job.created),
            },
            "ErrorMessage": _error_message(job, status),
        }
        if "DeliveryS3Uri" in job.parameters:
            answer["DeliveryS3Uri"] = job.parameters["DeliveryS3Uri"]
            answer["DeliveryStatus"] = _delivery_status(job, status, None if ended is None else now - ended)
        return answer

    def cancel_query(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Cancel a query."""
        job = self._find(parameters)
        cancelled, status = self.emulator.cancel(job), job.status(self.now)
        if not cancelled:
            code = self.setting(QUERY, "cancel_ended")
            raise EmulatedError(code, f"The query is in the {status} state and cannot be cancelled.")
        return {**job.ids, **_owner(job), "QueryStatus": status}

    def list_queries(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return a page of an event data store's queries of the last seven days, newest first [I]."""
        store, now = self._existing_store(_store_id(parameters["EventDataStore"])), self.now
        begin, end = parameters.get("StartTime"), parameters.get("EndTime")
        if begin is not None and end is not None and begin > end:
            raise EmulatedError("InvalidDateRangeException", "The start time is after the end time.")
        oldest = max(now - LISTED_FOR, 0.0 if begin is None else seconds_of(begin))
        newest = now if end is None else seconds_of(end)
        wanted = parameters.get("QueryStatus")
        jobs = [
            job
            for job in self.jobs_on(QUERY, store)
            if oldest <= job.created <= newest and wanted in (None, job.status(now))
        ]
        page, token = self.page(jobs, parameters.get("NextToken"), parameters.get("MaxResults", 1000))
        records = [
            {**job.ids, "QueryStatus": job.status(now), "CreationTime": moment(job.created)} for job in page
        ]
        return {"Queries": records, "NextToken": token}

    def get_query_results(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return a page of a query's rows; there are none before it has finished."""
        job, now = self._find(parameters), self.now
        status = job.status(now)
        found = job.settings["rows"] if status == "FINISHED" else []
        page, token = self.slice(found, parameters.get("NextToken"), parameters.get("MaxQueryResults", 1000))
        return {
            "QueryStatus": status,
            "QueryStatistics": {
                "ResultsCount": len(page),
                "TotalResultsCount": len(found),
                "BytesScanned": int(job.settings["bytes_scanned"] * job.progress(now)),
            },
            "QueryResultRows": [[{column: value} for column, value in row.items()] for row in page],
            "NextToken": token,
            "ErrorMessage": _error_message(job, status),
        }

    def _existing_store(self, store: str) -> str:
        if store in self.setting(QUERY, "missing_targets"):
            raise EmulatedError("EventDataStoreNotFoundException", f"There is no event data store {store}.")
        if store in self.setting(QUERY, "inactive_targets"):
            raise EmulatedError("InactiveEventDataStoreException", f"Event data store {store} is inactive.")
        return store

    def _find(self, parameters: Mapping[str, Any]) -> Job:
        name, alias = parameters.get("QueryId"), parameters.get("QueryAlias")
        if (name is None) == (alias is None):
            raise EmulatedError("InvalidParameterException", "Specify either QueryId or QueryAlias.")
        job = self.find_job(QUERY, str(name))
        if alias is not None:
            jobs = self.jobs_on(QUERY)
            job = next((one for one in reversed(jobs) if one.parameters.get("QueryAlias") == alias), None)
        store = parameters.get("EventDataStore")
        if job is None or (store is not None and _store_id(store) != _store_of(job.parameters)):
            raise EmulatedError("QueryIdNotFoundException", f"There is no query {name or alias}.")
        self._existing_store(_store_of(job.parameters))
        return job


def _store_id(name: str) -> str:
    if name.startswith("arn:") and ":eventdatastore/" not in name:
        raise EmulatedError("EventDataStoreARNInvalidException", f"{name} is not an event data store's ARN.")
    return name.rpartition("/")[2]


def _store_of(parameters: Mapping[str, Any]) -> str:
    if ("QueryStatement" in parameters) == ("QueryAlias" in parameters):
        raise EmulatedError("InvalidParameterException", "Specify either QueryStatement or QueryAlias.")
    found = _FROM.search(_statement(parameters))
    if found is None:
        raise EmulatedError("InvalidQueryStatementException", "There is no event data store after FROM.")
    return _store_id(found[1])


def _statement(parameters: Mapping[str, Any]) -> str:
    store = next(iter(parameters.get("QueryParameters", ())), "")
    return str(parameters.get("QueryStatement", f"SELECT * FROM {store}"))  # noqa: S608 - nobody runs it


def _owner(job: Job) -> dict[str, Any]:
    name = "EventDataStoreOwnerAccountId"
    return {name: job.parameters.get(name)}


def _error_message(job: Job, status: str) -> str | None:
    return str(job.settings["error_message"]) if status in ("FAILED", "TIMED_OUT") else None


def _delivery_status(job: Job, status: str, since: float | None) -> str:
    if since is None or (status == "FINISHED" and since < job.settings["delivery_delay"]):
        return "PENDING"
    return {"FINISHED": str(job.settings["delivery_status"]), "CANCELLED": "CANCELLED"}.get(status, "FAILED")
