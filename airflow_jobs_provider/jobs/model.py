"""What a kind of AWS job is, as data: a :class:`JobType` says all that the engine needs to know."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any

from airflow_jobs_provider.jobs import console
from airflow_jobs_provider.jobs.errors import COMMON_ERRORS, ErrorKind
from airflow_jobs_provider.jobs.lineage import Lineage
from airflow_jobs_provider.jobs.parts import (
    Aftermath,
    Comment,
    Iam,
    Loss,
    Operation,
    Overview,
    Parameter,
    QuotaWindow,
    Results,
    Search,
    Sweep,
)
from airflow_jobs_provider.jobs.paths import search, to_json
from airflow_jobs_provider.jobs.run import FailureKind, JobRun, JobSnapshot, JobState


@dataclass(frozen=True, kw_only=True)
class JobType:
    """All that the engine knows of one kind of AWS job.

    JMESPaths read the job's *record* (:attr:`Operation.record` of an answer).

    :param name: key of the registry; also in every :class:`JobRun`.
    :param title: a job in words, with ``{parameter}`` for its ids.
    :param target: what jobs of this type work on, and may find busy, in words, with ``{parameter}``.
    :param service: the boto3 client.
    :param parameters: every parameter, ours -> theirs.
    :param identity: the parameters that identify a job; what a start request does not have is read from
        its answer (JMESPath, ``None`` for those that the request has).
    :param start: operation; likewise ``describe``, ``cancel`` and, where there is one, ``list_jobs``.
    :param overview: how many jobs are read with one call; ``None`` where that is not possible.
    :param token: parameter that makes a repeated start harmless.
    :param token_lengths: how short and how long its value may be.
    :param comment: where a start without a token has room for a comment that says which try has sent it.
    :param search: how the job of a start without a token is found that was never answered.
    :param label: parameter that says who started a job, for people; left out, we say it.
    :param label_length: how long its value may be.
    :param status: JMESPath to the raw status.
    :param states: what each raw status means; a contract test holds it against the botocore model.
    :param private: members of a record that are kept nowhere: a statement, or results by the thousand.
    :param shortened: lists in a record of which only so many items are kept.
    :param created: JMESPath to when a job was started, where its record tells.
    :param reason: JMESPath to why a job failed.
    :param failure: JMESPath to the code that ``failures`` classifies; codes not listed are permanent.
    :param progress: label -> JMESPath, shown in the log.
    :param losses: what a job may lose although it succeeds.
    :param aftermath: what goes on when the service says already that a job has ended.
    :param results: how to fetch the rows that a job has found.
    :param adopts: another task's job on the same target may be waited for in place of one's own, if these
        parameters are equal in its listed record (parameter -> JMESPath); ``None`` where it may not.
    :param sweep: how running jobs are found that nobody waits for; ``None`` where no list tells whose they
        are.
    :param start_interval: seconds between two starts that the service allows.
    :param errors: what this service's error codes mean, before the common ones.
    :param quota_rule: the sentence that explains :attr:`ErrorKind.QUOTA`.
    :param quota_window: how to learn when that quota frees, where it counts starts in a window of time.
    :param console: console URL with ``{region}``, ``{domain}`` and the ids. Without ``{domain}`` the link
        is known for the ``aws`` partition only.
    :param iam: the rights needed.
    :param lineage: which data it reads and writes, and how much.
    """

    name: str
    title: str
    target: str
    service: str
    parameters: Mapping[str, Parameter]
    identity: Mapping[str, str | None]
    start: Operation
    describe: Operation
    cancel: Operation
    list_jobs: Operation | None = None
    overview: Overview | None = None
    token: str | None = None
    token_lengths: tuple[int, int] = (1, 128)
    comment: Comment | None = None
    search: Search | None = None
    label: str | None = None
    label_length: int = 200
    status: str
    states: Mapping[str, JobState]
    private: frozenset[str] = frozenset()
    shortened: Mapping[str, int] = field(default_factory=dict)
    created: str | None = None
    reason: str | None = None
    failure: str | None = None
    failures: Mapping[str, FailureKind] = field(default_factory=dict)
    progress: Mapping[str, str] = field(default_factory=dict)
    losses: tuple[Loss, ...] = ()
    aftermath: Aftermath | None = None
    results: Results | None = None
    adopts: Mapping[str, str] | None = None
    sweep: Sweep | None = None
    start_interval: float = 1.0
    errors: Mapping[str, ErrorKind] = field(default_factory=dict)
    quota_rule: str = ""
    quota_window: QuotaWindow | None = None
    console: str | None = None
    iam: Iam
    lineage: Lineage

    @property
    def derived(self) -> tuple[str, ...]:
        """The parameters that we fill in where the author does not, for each try anew."""
        return tuple(name for name in (self.token, self.label) if name is not None)

    def request(self, operation: Operation, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the boto3 arguments of an operation; what is ``None`` is left out."""
        given = {
            self.parameters[name].api: values[name]
            for name in operation.parameters
            if values.get(name) is not None
        }
        return {**operation.constants, **given}

    def with_comment(self, values: Mapping[str, Any], text: str) -> dict[str, Any] | None:
        """Return a start's parameters with a comment in them.

        :param text: what the comment says: characters that end none.
        :returns: ``None`` where there is no room for it.
        """
        comment = self.comment
        if comment is None or values.get(comment.parameter) is None:
            return None
        if any(re.search(rule, str(values.get(name) or "")) for name, rule in comment.unless.items()):
            return None
        try:
            statement = self.parameters[comment.parameter].value.read(
                comment.parameter, f"{comment.template.format(text)}\n{values[comment.parameter]}"
            )
        except ValueError:  # longer than the API takes
            return None
        return {**values, comment.parameter: statement}

    def told_within(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Return what a list must be told to find a start's job, and only the text of a parameter tells."""
        told: dict[str, str] = {}
        for name, (parameter, pattern) in (self.search.within if self.search else {}).items():
            found = re.search(pattern, values.get(parameter) or "")
            if found is not None:
                told[name] = found[1]
        return told

    def run_of(
        self, values: Mapping[str, Any], region: str, record: Mapping[str, Any] | None = None
    ) -> JobRun | None:
        """Return the job's identity from its start request and, if there is one, the start's answer.

        :returns: ``None`` while the answer is needed and missing.
        """
        ids: dict[str, str] = {}
        for name, path in self.identity.items():
            value: Any = values.get(name)
            if value is None and path is not None and record is not None:
                value = search(path, record)
            if value is not None:
                ids[name] = value
            elif name not in self.describe.optional and name not in self.cancel.optional:
                return None
        return JobRun(self.name, ids, region)

    def read(self, operation: Operation, answer: Mapping[str, Any]) -> JobSnapshot:
        """Read the answer of an operation."""
        found = search(operation.record, {k: v for k, v in answer.items() if k != "ResponseMetadata"})
        return self.read_record(found or {})

    def read_record(self, record: Mapping[str, Any], *, brief: bool = False) -> JobSnapshot:
        """Read a job's record, or what a list has of it.

        :param brief: while the job runs, leave out the record: most of the work, where many are listed.
        """
        status = search(self.status, record) or ""
        state = self.states.get(status, JobState.RUNNING)
        failure = None
        if state is JobState.CANCELLED:
            failure = FailureKind.CANCELLED
        elif state is JobState.FAILED:
            code = search(self.failure, record) if self.failure else None
            failure = self.failures.get(code or "", FailureKind.PERMANENT)
        progress = {label: search(path, record) for label, path in self.progress.items()}
        after = self.aftermath if state.is_over else None
        known = not status or status in self.states
        if brief and not state.is_over:
            return JobSnapshot(state=state, status=status, known=known, progress=_given(progress))
        return JobSnapshot(
            state=state,
            status=status,
            known=known,
            reason=search(self.reason, record) if self.reason and failure else None,
            failure=failure,
            pending=(after and search(after.pending, record)) or None,
            flaw=(after and after.flaw and search(after.flaw, record)) or None,
            progress=_given(progress),
            details=to_json(
                {
                    key: value[: self.shortened[key]] if key in self.shortened else value
                    for key, value in record.items()
                    if key not in self.private
                }
            ),
        )

    def listed_ids(self, record: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return a listed job's values of the ids in :attr:`overview`, in their order."""
        return tuple(search(path, record) for path in (self.overview.ids if self.overview else {}).values())

    def was_taken(self, operation: Operation, answer: Mapping[str, Any]) -> bool:
        """Whether an operation that was answered without an error was done."""
        return operation.taken is None or search(operation.taken, answer) is not False

    def read_page(self, operation: Operation, answer: Mapping[str, Any]) -> tuple[list[Any], str | None]:
        """Return the items of a page, and what asks for the next one."""
        return list(search(operation.record, answer) or ()), answer.get(operation.next_token) or None

    def classify(
        self, code: str, http_status: int, message: str = "", operation: Operation | None = None
    ) -> ErrorKind:
        """Say what an error answer means."""
        if operation is not None:
            for pattern, meaning in operation.messages.items():
                if re.search(pattern, f"{code}: {message}"):
                    return meaning
            if code in operation.errors:
                return operation.errors[code]
        known = self.errors.get(code) or COMMON_ERRORS.get(code)
        if known is not None:
            return known
        if http_status == HTTPStatus.TOO_MANY_REQUESTS:
            return ErrorKind.REJECTED
        if http_status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return ErrorKind.TRANSIENT
        return ErrorKind.FATAL

    def frees_at(self, records: Iterable[Mapping[str, Any]], now: float) -> float | None:
        """Return when a quota of starts that is used up lets the next one through (seconds since the epoch).

        :param records: the jobs of the target, as they are listed, in any order.
        """
        window = self.quota_window
        if window is None:
            return None
        counted = [self.read_record(record) for record in records if search(window.counts, record)]
        started = [at for snapshot in counted if (at := self.started_at(snapshot)) is not None]
        return min((at + window.seconds for at in started if at > now - window.seconds), default=None)

    def lost(self, loss: Loss, snapshot: JobSnapshot) -> tuple[int, str]:
        """Return how many of something a job has lost, and what the service says about it."""
        why = (search(loss.why, snapshot.details) if loss.why else None) or ""
        return int(search(loss.count, snapshot.details) or 0), why

    def failure_code(self, snapshot: JobSnapshot) -> str | None:
        """Return the service's word for why a job failed, where its record has one."""
        return (search(self.failure, snapshot.details) if self.failure else None) or None

    def started_at(self, snapshot: JobSnapshot) -> float | None:
        """Return when a job was started (seconds since the epoch), where its record tells."""
        moment = search(self.created, snapshot.details) if self.created else None
        return None if moment is None else datetime.fromisoformat(moment).timestamp()

    def is_asked_for(self, record: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
        """Whether a listed job does what a request asks for: what the list does not tell may not be asked."""
        echoed = dict(self.adopts or {})
        listed = self.list_jobs.parameters if self.list_jobs is not None else ()
        if any(
            values.get(name) is not None and name not in (*echoed, *listed, *self.derived)
            for name in self.start.parameters
        ):
            return False
        return all(values.get(name) in (None, search(path, record)) for name, path in echoed.items())

    def marked_run(
        self, target: Mapping[str, Any], region: str, record: Mapping[str, Any]
    ) -> tuple[str, JobRun] | None:
        """Return what a listed job carries where a mark would be, and its identity.

        :param target: the parameters of the list.
        :returns: ``None`` for a job that carries nothing there.
        """
        mark = search(self.sweep.mark, record) if self.sweep is not None else None
        if self.sweep is None or not mark:
            return None
        run = self.run_of({**target, self.sweep.parameter: mark}, region, record)
        return None if run is None else (mark, run)

    def describe_run(self, run: JobRun) -> str:
        """Return a job in words, as log lines and errors name it."""
        return self.title.format(**run.ids)

    def describe_target(self, values: Mapping[str, Any]) -> str:
        """Return what a start works on, in words."""
        return self.target.format(**values)

    def console_url(self, run: JobRun) -> str | None:
        """Return the job's page in the AWS console, or ``None`` where we know of none."""
        return None if self.console is None else console.url(self.console, run.region, run.ids)

    def cancel_command(self, run: JobRun) -> str:
        """Return the AWS command line that cancels a job by hand."""
        options = " ".join(
            f"--{_kebab(self.parameters[name].api)} {shlex.quote(run.ids[name])}"
            for name in self.cancel.parameters
            if name in run.ids
        )
        return f"aws {self.service} {self.cancel.cli_name} {options} --region {run.region}"


def _kebab(api_name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", api_name).lower()


def _given(progress: Mapping[str, Any]) -> dict[str, Any]:
    return {label: to_json(value) for label, value in progress.items() if value is not None}
