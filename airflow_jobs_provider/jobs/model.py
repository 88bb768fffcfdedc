"""What a kind of AWS job is, as data: a :class:`JobType` says all that the engine needs to know."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import jmespath

from airflow_jobs_provider.jobs.errors import COMMON_ERRORS, ErrorKind
from airflow_jobs_provider.jobs.run import FailureKind, JobRun, JobSnapshot, JobState


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter of a job type's API calls.

    :param api: its boto3 name.
    :param must_be: what a valid value is, in words that complete "<name> must be ...".
    :param pattern: regular expression that the whole value must match.
    :param choices: the only values there are.
    :param caller_account: where it is left out, it is the AWS account of the credentials.
    """

    api: str
    must_be: str = "a non-empty string without white space at its ends"
    pattern: str = r"\S(?:.*\S)?"
    choices: tuple[str, ...] = ()
    caller_account: bool = False

    def check(self, name: str, value: object) -> None:
        """Refuse a value that the service would refuse.

        :raises ValueError: with one sentence that names the parameter and the value.
        """
        valid = isinstance(value, str) and (
            value in self.choices if self.choices else re.fullmatch(self.pattern, value) is not None
        )
        if not valid:
            must_be = f"one of {', '.join(self.choices)}" if self.choices else self.must_be
            raise ValueError(f"{name} must be {must_be}, not {value!r}")


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One API operation of a job type.

    :param method: the boto3 client's method.
    :param parameters: the names (ours) of the parameters it takes.
    :param record: JMESPath to the job's record in its answer.
    """

    method: str
    parameters: tuple[str, ...]
    record: str = "@"

    @property
    def api_name(self) -> str:
        """The operation as AWS writes it: ``create_ingestion`` is ``CreateIngestion``."""
        return "".join(word.capitalize() for word in self.method.split("_"))

    @property
    def cli_name(self) -> str:
        """The operation as the AWS command line writes it: ``create-ingestion``."""
        return self.method.replace("_", "-")


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Something that a job may lose although it succeeds.

    :param what: in words that complete "... succeeded with 3 <what>".
    :param count: JMESPath to the number, in the job's record.
    :param limit: the operator's parameter that turns more than so many into a failure.
    """

    what: str
    count: str
    limit: str


@dataclass(frozen=True, kw_only=True)
class Iam:
    """The rights that a job type needs.

    :param resource: ARN, with ``{partition}``, ``{region}``, ``{account}`` and the parameters' names.
    :param actions: what is needed.
    :param optional: what makes the provider better, and what it does without.
    """

    resource: str
    actions: tuple[str, ...]
    optional: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class JobType:
    """All that the engine knows of one kind of AWS job.

    JMESPaths read the job's *record* (:attr:`Operation.record` of an answer).

    :param name: key of the registry; also in every :class:`JobRun`.
    :param title: a job in words, with ``{parameter}`` for its ids.
    :param service: the boto3 client.
    :param parameters: every parameter, ours -> theirs.
    :param optional: parameters that a start may leave out.
    :param identity: the parameters that identify a job; what a start request does not have is read from
        its answer (JMESPath, ``None`` for those that the request has).
    :param start: operation; likewise ``describe``, ``cancel`` and, where there is one, ``list_jobs``.
    :param token: parameter that makes a repeated start harmless.
    :param token_length: how long its value may be.
    :param status: JMESPath to the raw status.
    :param states: what each raw status means; a contract test holds it against the botocore model.
    :param reason: JMESPath to why a job failed.
    :param failure: JMESPath to the code that ``failures`` classifies; codes not listed are permanent.
    :param progress: label -> JMESPath, shown in the log.
    :param losses: what a job may lose although it succeeds.
    :param errors: what this service's error codes mean, before the common ones.
    :param quota_rule: the sentence that explains :attr:`ErrorKind.QUOTA`.
    :param console: console URL with ``{region}``, ``{domain}`` and the ids. Without ``{domain}`` the link
        is known for the ``aws`` partition only.
    :param iam: the rights needed.
    """

    name: str
    title: str
    service: str
    parameters: Mapping[str, Parameter]
    optional: frozenset[str]
    identity: Mapping[str, str | None]
    start: Operation
    describe: Operation
    cancel: Operation
    list_jobs: Operation | None = None
    token: str | None = None
    token_length: int = 128
    status: str
    states: Mapping[str, JobState]
    reason: str | None = None
    failure: str | None = None
    failures: Mapping[str, FailureKind] = field(default_factory=dict)
    progress: Mapping[str, str] = field(default_factory=dict)
    losses: tuple[Loss, ...] = ()
    errors: Mapping[str, ErrorKind] = field(default_factory=dict)
    quota_rule: str = ""
    console: str | None = None
    iam: Iam

    def request(self, operation: Operation, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the boto3 arguments of an operation; what is ``None`` is left out."""
        return {
            self.parameters[name].api: values[name]
            for name in operation.parameters
            if values.get(name) is not None
        }

    def run_of(
        self, values: Mapping[str, Any], region: str, record: Mapping[str, Any] | None = None
    ) -> JobRun | None:
        """Return the job's identity from its start request and, if there is one, the start's answer.

        :returns: ``None`` while the answer is needed and missing.
        """
        ids: dict[str, str] = {}
        for name, path in self.identity.items():
            value: Any = values.get(name) if path is None else record and _search(path, record)
            if value is None:
                return None
            ids[name] = value
        return JobRun(self.name, ids, region)

    def read(self, operation: Operation, answer: Mapping[str, Any]) -> JobSnapshot:
        """Read the answer of an operation."""
        found = _search(operation.record, {k: v for k, v in answer.items() if k != "ResponseMetadata"})
        record: Mapping[str, Any] = found or {}
        status = _search(self.status, record) or ""
        state = self.states.get(status, JobState.RUNNING)
        failure = None
        if state is JobState.CANCELLED:
            failure = FailureKind.CANCELLED
        elif state is JobState.FAILED:
            code = _search(self.failure, record) if self.failure else None
            failure = self.failures.get(code or "", FailureKind.PERMANENT)
        progress = {label: _search(path, record) for label, path in self.progress.items()}
        return JobSnapshot(
            state=state,
            status=status,
            known=not status or status in self.states,
            reason=_search(self.reason, record) if self.reason else None,
            failure=failure,
            progress={label: value for label, value in _to_json(progress).items() if value is not None},
            details=_to_json(record),
        )

    def classify(self, code: str, http_status: int) -> ErrorKind:
        """Say what an error answer means."""
        known = self.errors.get(code) or COMMON_ERRORS.get(code)
        if known is not None:
            return known
        if http_status == HTTPStatus.TOO_MANY_REQUESTS:
            return ErrorKind.REJECTED
        if http_status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return ErrorKind.TRANSIENT
        return ErrorKind.FATAL

    def lost(self, loss: Loss, snapshot: JobSnapshot) -> int:
        """Return how many of something a job has lost."""
        return int(_search(loss.count, snapshot.details) or 0)

    def describe_run(self, run: JobRun) -> str:
        """Return a job in words, as log lines and errors name it."""
        return self.title.format(**run.ids)

    def console_url(self, run: JobRun) -> str | None:
        """Return the job's page in the AWS console, or ``None`` where we know of none."""
        domain = _console_domain(run.region)
        if self.console is None or domain is None:
            return None
        if "{domain}" not in self.console and domain != _AWS_DOMAIN:
            return None
        ids = {name: quote(value, safe="") for name, value in run.ids.items()}
        return self.console.format(region=run.region, domain=domain, **ids)

    def cancel_command(self, run: JobRun) -> str:
        """Return the AWS command line that cancels a job by hand."""
        options = " ".join(
            f"--{_kebab(self.parameters[name].api)} {shlex.quote(run.ids[name])}"
            for name in self.cancel.parameters
            if name in run.ids
        )
        return f"aws {self.service} {self.cancel.cli_name} {options} --region {run.region}"


_AWS_DOMAIN = "aws.amazon.com"


def _console_domain(region: str) -> str | None:
    if region.startswith("cn-"):
        return "amazonaws.cn"
    if region.startswith("us-gov-"):
        return "amazonaws-us-gov.com"
    # The isolated partitions and the European sovereign cloud have consoles of their own.
    return None if re.match(r"(us|eu)-iso|eusc-", region) else _AWS_DOMAIN


def _kebab(api_name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", api_name).lower()


@lru_cache(maxsize=256)
def _compiled(path: str) -> Any:
    return jmespath.compile(path)


def _search(path: str, record: Any) -> Any:
    return _compiled(path).search(record)


def _to_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_json(item) for item in value]
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    return value
