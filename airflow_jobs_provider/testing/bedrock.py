"""Ingestion jobs of Amazon Bedrock's knowledge bases.

Facts marked [I] are inferred: AWS documents them nowhere. The settings beyond those of every job type:

``statistics``
    what the counters stand at in the end, by their API names: ``{"numberOfDocumentsFailed": 3}``; 10 scanned
    by default, and new what is not accounted for otherwise.
``failure_reasons``
    failureReasons of an ended job; by default one sentence for a failed job or failed documents.
``limit_per_data_source``, ``limit_per_knowledge_base``
    jobs that may run at a time, else ConflictException; 1 each, None for no limit; not for one job.
``limit_per_account``
    likewise, but ServiceQuotaExceededException (402) [I]; 5.
``missing_targets``
    ids of knowledge bases and data sources that do not exist; not for one job.
``knowledge_bases``
    what ListKnowledgeBases and ListDataSources have beside the targets of jobs:
    ``{"KB12345678": ["DS12345678"]}``; not for one job.
``cancel_ended``
    what StopIngestionJob says of a job that has ended: ``ConflictException``, ``ValidationException`` or
    ``ResourceNotFoundException`` (public code copes with all three); not for one job.
``token_mismatch``
    what a start says that repeats a token with other parameters: ``ValidationException``, which is what
    EC2's rules, to which the API's documentation refers, come to, or ``ConflictException`` [I]; not for one
    job.
``token_lifetime``
    seconds after which a token is new again; None for never; AWS documents none [I]; not for one job.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any, ClassVar

from moto.bedrockagent.responses import AgentsforBedrockResponse

from airflow_jobs_provider.testing.clock import moment
from airflow_jobs_provider.testing.errors import EmulatedError
from airflow_jobs_provider.testing.job import Job, new_id
from airflow_jobs_provider.testing.job_service import JobService
from airflow_jobs_provider.testing.lifecycle import LifeCycle
from airflow_jobs_provider.testing.settings import (
    MISSING_TARGETS,
    Setting,
    count,
    limit,
    lines,
    mapping,
    one_of,
    optional,
    refusal,
    seconds_or_never,
)

SCANNED, NEW = "numberOfDocumentsScanned", "numberOfNewDocumentsIndexed"
# The ones that, with the new ones, make up the scanned ones.
OTHERS = ("numberOfModifiedDocumentsIndexed", "numberOfDocumentsFailed", "numberOfDocumentsSkipped")
COUNTERS = (
    SCANNED,
    NEW,
    *OTHERS,
    "numberOfDocumentsDeleted",
    "numberOfMetadataDocumentsScanned",
    "numberOfMetadataDocumentsModified",
)


def _statistics(value: Any) -> dict[str, int]:
    if not isinstance(value, Mapping):
        raise ValueError("must be a mapping of counters to whole numbers")
    check = one_of(*COUNTERS)
    return {check(name): count(number) for name, number in value.items()}


INGESTION = LifeCycle(
    job_type="bedrock-ingestion",
    service="bedrock-agent",
    start="StartIngestionJob",
    identity=("knowledgeBaseId", "dataSourceId", "ingestionJobId"),
    phases={"STARTING": 0.1, "IN_PROGRESS": None},
    ends=("COMPLETE", "FAILED", "STOPPED"),
    cancelled="STOPPED",
    stopping="STOPPING",
    own_settings={
        "statistics": Setting({}, _statistics, "counters at the end"),
        "failure_reasons": Setting(None, optional(lines), "failureReasons at the end"),
        "limit_per_data_source": limit(1, "running jobs of a data source"),
        "limit_per_knowledge_base": limit(1, "running jobs of a knowledge base"),
        "limit_per_account": limit(5, "running jobs of an account in a region"),
        "missing_targets": MISSING_TARGETS,
        "knowledge_bases": Setting(
            {},
            mapping(lines, "a mapping of ids of knowledge bases to lists of those of data sources"),
            "knowledge bases and data sources beside the targets of jobs",
            per_job=False,
        ),
        "cancel_ended": refusal("ConflictException", "ValidationException", "ResourceNotFoundException"),
        "token_mismatch": Setting(
            "ValidationException",
            one_of("ValidationException", "ConflictException"),
            "what a start says that repeats a token with other parameters",
            per_job=False,
        ),
        "token_lifetime": Setting(
            None, seconds_or_never, "seconds until a token is new again", per_job=False
        ),
    },
    reason=lambda why: {"failure_reasons": [why]},
)


class BedrockEmulation(JobService, AgentsforBedrockResponse):
    """The four operations on ingestion jobs, and the lists of their targets; all others are moto's."""

    service = "bedrock-agent"
    moto_package = "bedrockagent"
    lives = (INGESTION,)
    emulates = (
        *("StartIngestionJob", "GetIngestionJob", "StopIngestionJob", "ListIngestionJobs"),
        *("ListKnowledgeBases", "ListDataSources"),
    )
    url_paths: ClassVar[tuple[str, ...]] = ()

    def start_ingestion_job(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Start a job, or return the one that was started with the same token."""
        base, source = self._existing_target(parameters)
        with self.emulator.lock:
            job = self._started_with_token(parameters)
            if job is None:
                self._require_free(base, source)
                name = new_id(string.ascii_uppercase + string.digits)
                ids = dict(zip(INGESTION.identity, (base, source, name), strict=True))
                job = self.start_job(INGESTION, ids, (base, source), parameters)
        return {"ingestionJob": self._record(job)}

    def get_ingestion_job(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return a job's full record."""
        return {"ingestionJob": self._record(self._find(parameters))}

    def stop_ingestion_job(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Stop a job."""
        job = self._find(parameters)
        if not self.emulator.cancel(job):
            name, status = job.ids["ingestionJobId"], job.status(self.now)
            code = self.setting(INGESTION, "cancel_ended")
            raise EmulatedError(code, f"Ingestion job {name} cannot be stopped: its status is {status}.")
        return {"ingestionJob": self._record(job)}

    def list_ingestion_jobs(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return a page of a data source's jobs, without failureReasons; newest first by default [I]."""
        base, source = self._existing_target(parameters)
        now = self.now
        jobs = self.jobs_on(INGESTION, base, source)
        for wanted in parameters.get("filters", ()):
            jobs = [job for job in jobs if job.status(now) in wanted["values"]]
        order = parameters.get("sortBy", {"attribute": "STARTED_AT", "order": "DESCENDING"})
        token, size = parameters.get("nextToken"), parameters.get("maxResults", 1000)
        if order == {"attribute": "STARTED_AT", "order": "DESCENDING"}:
            page, following = self.page(jobs, token, size)
        else:
            # By its number in the whole: a job that changes its status between two pages moves the others.
            if order["attribute"] == "STATUS":
                jobs = sorted(jobs, key=lambda job: job.status(now))
            ordered = jobs if order["order"] == "ASCENDING" else jobs[::-1]
            page, following = self.slice(ordered, token, size)
        summaries = [self._record(job) for job in page]
        for summary in summaries:
            summary.pop("failureReasons", None)
        return {"ingestionJobSummaries": summaries, "nextToken": following}

    def list_knowledge_bases(self, parameters: dict[str, Any]) -> dict[str, Any]:  # type: ignore[override]
        """Return a page of the knowledge bases that exist in moto, have had jobs, or are configured."""
        made: Any = self.bedrockagent_backend.knowledge_bases
        worked_on = {job.ids["knowledgeBaseId"] for job in self.jobs_on(INGESTION)}
        names = {*made, *worked_on, *self.setting(INGESTION, "knowledge_bases")}
        page, token = self._targets(names, parameters)
        summaries = [{"knowledgeBaseId": name, **self._summary(name, "ACTIVE")} for name in page]
        return {"knowledgeBaseSummaries": summaries, "nextToken": token}

    def list_data_sources(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return a page of a knowledge base's data sources that have had jobs, or are configured."""
        base = parameters["knowledgeBaseId"]
        self._require_existing("Knowledge base", base)
        worked_on = {job.ids["dataSourceId"] for job in self.jobs_on(INGESTION, base)}
        names = {*worked_on, *self.setting(INGESTION, "knowledge_bases").get(base, ())}
        page, token = self._targets(names, parameters)
        summaries = [
            {"knowledgeBaseId": base, "dataSourceId": name, **self._summary(name, "AVAILABLE")}
            for name in page
        ]
        return {"dataSourceSummaries": summaries, "nextToken": token}

    def _targets(self, names: set[str], parameters: Mapping[str, Any]) -> tuple[list[str], str | None]:
        existing = sorted(names - self.setting(INGESTION, "missing_targets"))
        return self.slice(existing, parameters.get("nextToken"), parameters.get("maxResults", 1000))

    def _summary(self, name: str, status: str) -> dict[str, Any]:
        return {"name": name, "status": status, "updatedAt": moment(self.now)}

    def _existing_target(self, parameters: Mapping[str, Any]) -> tuple[str, str]:
        base, source = parameters["knowledgeBaseId"], parameters["dataSourceId"]
        self._require_existing("Knowledge base", base)
        self._require_existing("Data source", source)
        return base, source

    def _require_existing(self, kind: str, name: str) -> None:
        if name in self.setting(INGESTION, "missing_targets"):
            raise EmulatedError("ResourceNotFoundException", f"{kind} {name} does not exist.")

    def _started_with_token(self, parameters: Mapping[str, Any]) -> Job | None:
        token, oldest = parameters.get("clientToken"), self.now - self.setting(INGESTION, "token_lifetime")
        for job in self.jobs_on(INGESTION):
            if token is not None and job.parameters.get("clientToken") == token and job.created > oldest:
                if job.parameters != parameters:
                    code = self.setting(INGESTION, "token_mismatch")
                    raise EmulatedError(code, "The clientToken was used with other parameters.")
                return job
        return None

    def _require_free(self, base: str, source: str) -> None:
        for code, name, target, what in (
            ("ConflictException", "limit_per_data_source", (base, source), f"Data source {source}"),
            ("ConflictException", "limit_per_knowledge_base", (base,), f"Knowledge base {base}"),
            ("ServiceQuotaExceededException", "limit_per_account", (), "The account"),
        ):
            self.require_room(self.setting(INGESTION, name), self.jobs_on(INGESTION, *target), code, what)

    def _find(self, parameters: Mapping[str, Any]) -> Job:
        self._existing_target(parameters)
        ids = [parameters[name] for name in INGESTION.identity]
        job = self.find_job(INGESTION, *ids)
        if job is None:
            raise EmulatedError("ResourceNotFoundException", f"Ingestion job {ids[-1]} does not exist.")
        return job

    def _record(self, job: Job) -> dict[str, Any]:
        now = self.now
        status, ended = job.status(now), job.ended(now)
        record: dict[str, Any] = {
            **job.ids,
            "status": status,
            "statistics": _counted(job, now),
            "startedAt": moment(job.created),
            "updatedAt": moment(now if ended is None else ended),
            "description": job.parameters.get("description"),
        }
        reasons = job.settings["failure_reasons"]
        if reasons is None:
            failed = record["statistics"]["numberOfDocumentsFailed"]
            reasons = [f"{failed} documents could not be ingested."] if failed else []
            reasons = ["The emulated ingestion job failed."] if status == "FAILED" else reasons
        if ended is not None and reasons:
            record["failureReasons"] = reasons
        return record


def _counted(job: Job, now: float) -> dict[str, int]:
    final = {**dict.fromkeys(COUNTERS, 0), SCANNED: 10, **job.settings["statistics"]}
    if NEW not in job.settings["statistics"]:
        final[NEW] = max(0, final[SCANNED] - sum(final[name] for name in OTHERS))
    return {name: int(number * job.progress(now)) for name, number in final.items()}
