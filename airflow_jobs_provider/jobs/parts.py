"""The parts of a job type: its parameters, operations, readings and rights."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_jobs_provider.jobs.errors import ErrorKind
from airflow_jobs_provider.jobs.values import Text, Value


@dataclass(frozen=True)
class Parameter:
    """One parameter of a job type's API calls.

    :param api: its boto3 name.
    :param value: what it may be.
    :param caller_account: where it is left out, it is the AWS account of the credentials.
    :param files: how the names of the files end in which authors keep its text, a statement say.
    :param language: the language of its text, for Airflow's ``template_fields_renderers``. Airflow 3.3's API
        tells it; its user interface does not ask, and guesses (JSON, what PostgreSQL takes for SQL, ...).
    """

    api: str
    value: Value = field(default_factory=Text)
    caller_account: bool = False
    files: tuple[str, ...] = ()
    language: str = ""


@dataclass(frozen=True)
class OneOf:
    """Parameters of which exactly one is needed.

    :param names: their names (ours).
    :param unless: parameter -> regular expression; where its value has a match, none of them is needed.
    """

    names: tuple[str, ...]
    unless: Mapping[str, str] = field(default_factory=dict)

    def check(self, values: Mapping[str, Any]) -> None:
        """Refuse too many of them, or too few.

        :param values: the parameters; what is not in it is given, but not known yet.
        :raises ValueError: with one sentence that names them.
        """
        given = [name for name in self.names if values.get(name, True)]
        spared = any(re.search(rule, str(values.get(name) or "")) for name, rule in self.unless.items())
        if len(given) > 1 or not (given or spared or self.unless.keys() - values.keys()):
            told = " and ".join(given) or "none of them"
            raise ValueError(f"one of {', '.join(self.names)} must be given, not {told}")


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One API operation of a job type.

    :param method: the boto3 client's method.
    :param parameters: the names (ours) of the parameters it takes.
    :param optional: those that may be left out.
    :param one_of: those that stand in place of each other.
    :param constants: arguments (theirs) that are the same in every call.
    :param record: JMESPath to the job's record in its answer, or to the list of them.
    :param next_token: the argument that asks for the next page; the answer has it under the same name.
    :param rate: how many calls of it AWS allows in a second; ``None`` where it does not say.
    :param taken: JMESPath to whether the operation was done, where an answer may say that it was not.
    :param errors: what error codes mean here, before the job type's.
    :param messages: what an error means whose "code: message" is matched by a regular expression, before all.
    """

    method: str
    parameters: tuple[str, ...]
    optional: tuple[str, ...] = ()
    one_of: tuple[OneOf, ...] = ()
    constants: Mapping[str, Any] = field(default_factory=dict)
    record: str = "@"
    next_token: str = ""
    rate: float | None = None
    taken: str | None = None
    errors: Mapping[str, ErrorKind] = field(default_factory=dict)
    messages: Mapping[str, ErrorKind] = field(default_factory=dict)

    @property
    def api_name(self) -> str:
        """The operation as AWS writes it: ``create_ingestion`` is ``CreateIngestion``."""
        return "".join(word.capitalize() for word in self.method.split("_"))

    @property
    def cli_name(self) -> str:
        """The operation as the AWS command line writes it: ``create-ingestion``."""
        return self.method.replace("_", "-")


@dataclass(frozen=True)
class Comment:
    """Where a start request has room for a comment that says which try has sent it.

    It is a line of its own before the author's text: whatever that ends with (a comment, a semicolon, no end
    of line) can neither swallow it nor be damaged by it.

    :param parameter: the parameter whose text it is put before.
    :param template: the comment, with ``{}`` for what it says.
    :param refused: the error code for a text that is not valid: it is then sent as it is.
    :param unless: parameter -> regular expression; where its value has a match, there is no room.
    """

    parameter: str
    template: str
    refused: str
    unless: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Search:
    """How a job whose start was never answered is found in what :attr:`JobType.list_jobs` lists.

    Where the start has a token, its job is looked for at a kill only: AWS may throttle a repeated start.

    Of a listed job a record is made: what the list has of it, and under a name of its own the answer of each
    operation that tells more. JMESPaths read that record.

    :param within: parameter of the list -> the parameter of the start whose text tells it, and the regular
        expression whose first group it is.
    :param since: the list's argument (theirs) that leaves out jobs created before, where it has one.
    :param newest_first: the list is in that order: what comes after a job that is too old is not read.
    :param ids: parameter of an operation in ``reads`` -> JMESPath to its value, beside the job's identity.
    :param reads: name -> operation that tells more of a job.
    :param created: JMESPath to when a job was created; a number counts milliseconds.
    :param text: JMESPath to the text that has the :class:`Comment`, or is our label: it alone tells whose job
        it is.
    :param same: without such a text: parameter -> JMESPath to its value; what was asked for must be equal,
        and a parameter that is not here must not have been asked for.
    """

    within: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    since: str | None = None
    newest_first: bool = False
    ids: Mapping[str, str] = field(default_factory=dict)
    reads: Mapping[str, Operation] = field(default_factory=dict)
    created: str
    text: str | None = None
    same: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Overview:
    """How many jobs are read with one call, where many are waited for.

    :param operation: lists jobs; those are read together whose identities have the same values for its
        parameters.
    :param ids: the other parameters of a job's identity -> JMESPath to their values in a listed record.
    :param complete: whether the listed record tells all that a reading of the single job does; otherwise a
        job that is listed as ended is read singly.
    """

    operation: Operation
    ids: Mapping[str, str]
    complete: bool = False


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Something that a job may lose although it succeeds.

    :param what: in words that complete "... succeeded with 3 <what>".
    :param count: JMESPath to the number, in the job's record.
    :param limit: the operator's parameter that turns more than so many into a failure.
    :param why: JMESPath to what the service says about it.
    """

    what: str
    count: str
    limit: str
    why: str | None = None


@dataclass(frozen=True, kw_only=True)
class Aftermath:
    """What still goes on when the service says already that a job has ended.

    :param pending: JMESPath to what is waited for, in words; nothing where there is nothing to wait for.
    :param flaw: JMESPath to what went wrong with it, in words; it turns a success into a failure.
    :param patience: seconds to wait for it at the most; by default until the task's time-out.
    """

    pending: str
    flaw: str | None = None
    patience: float = math.inf


@dataclass(frozen=True, kw_only=True)
class Results:
    """The rows that a job has found.

    :param operation: reads a page of them.
    :param row: makes a dict of an item of the page.
    :param total: JMESPath to how many rows there are, in the answer.
    """

    operation: Operation
    row: Callable[[Any], dict[str, Any]]
    total: str


@dataclass(frozen=True, kw_only=True)
class QuotaWindow:
    """A quota that counts the starts on a target in a window of time, up to now.

    :param seconds: how long the window is.
    :param counts: JMESPath to whether a job counts, in its record of ``JobType.list_jobs``.
    """

    seconds: float
    counts: str


@dataclass(frozen=True, kw_only=True)
class Iam:
    """On what the rights are needed that the operations of a job type are named after.

    From the Service Authorization Reference of AWS: an action without a resource type needs ``*``.

    :param prefix: of the names of the actions.
    :param resources: ARN -> the methods of the operations that work on it. In braces it has ``{partition}``,
        ``{region}``, ``{account}`` and the names of parameters.
    :param passes_role: the service that is given the role in the request (``iam:PassRole``), if one is.
    :param key: actions on the KMS key, where what the job works on is encrypted with a key of one's own.
    """

    prefix: str
    resources: Mapping[str, tuple[str, ...]]
    passes_role: str | None = None
    key: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Discovery:
    """An operation that lists targets, or a part of what names them.

    :param operation: its record is the list of the parameter's values.
    :param finds: the parameter (ours) of the list of jobs that it tells.
    """

    operation: Operation
    finds: str


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """How the running jobs of a type are found with the mark of the task that has started them.

    :param parameter: the parameter (ours) of the start that carries the mark.
    :param mark: JMESPath to it, in a record of ``JobType.list_jobs``.
    :param discover: what finds the targets whose jobs are to be listed, one after the other.
    """

    parameter: str
    mark: str
    discover: tuple[Discovery, ...]
