"""The table of rights in docs/iam.md, made of the job types: what each is for, what happens without it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_jobs_provider import iam
from airflow_jobs_provider.jobs import JOB_TYPES
from airflow_jobs_provider.jobs.model import JobType

KEY = "arn:aws:kms:eu-west-1:123456789012:key/1"
# What the command is to be told, so that a policy has a right.
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "": {},
    "`--with-list`": {"with_list": True},
    "`--with-results`": {"with_results": True},
    "`--kms-key`": {"kms_key": KEY},
    "`--for sweeper`": {"role": "sweeper"},
}


@dataclass
class Right:
    """A right, whatever jobs it is for.

    :ivar options: with which options of the command the policies have it; none: it is always needed.
    :ivar uses: what it is for -> what happens without it.
    """

    options: list[str] = field(default_factory=list)
    uses: dict[str, str] = field(default_factory=dict)


def rights() -> dict[str, Right]:
    """Return every right, in the order of the job types."""
    found: dict[str, Right] = {}
    for job_type in JOB_TYPES.values():
        for action, use, without in _uses(job_type):
            right = found.setdefault(action, Right())
            right.uses[use] = without
            right.options += [each for each in _options(job_type, action) if each not in right.options]
    return found


def table(_: Sequence[str]) -> str:
    """Return the table."""
    rows = ["| right | option | what it is for | without it |", "|---|---|---|---|"]
    for action, right in rights().items():
        options = ", ".join(each for each in right.options if each)
        rows += [f"| `{action}` | {options} | {use} | {without} |" for use, without in right.uses.items()]
    return "\n".join([*rows, ""])


def _options(job_type: JobType, action: str) -> list[str]:
    """Return with which options the command prints a right; nothing else counts where it does without."""
    found = [name for name, option in OPTIONS.items() if action in _printed(job_type, option)]
    return [""] if "" in found else found


def _printed(job_type: JobType, option: Mapping[str, Any]) -> set[str]:
    try:
        statements = iam.policy([job_type], **option)["Statement"]
    except ValueError:  # these jobs are not swept, or need no key
        return set()
    actions = [statement["Action"] for statement in statements]
    return {each for some in actions for each in ([some] if isinstance(some, str) else some)}


def _uses(job_type: JobType) -> Iterator[tuple[str, str, str]]:
    """Yield the rights that a job type's jobs need, each with what it is for, and what happens without it."""
    for operation, use, without in _uses_of_operations(job_type):
        yield f"{job_type.iam.prefix}:{operation.api_name}", use, without
    if job_type.iam.passes_role is not None:
        yield "iam:PassRole", "to give the service the role in `role_arn`", "AWS refuses the start"
    for action in job_type.iam.key:
        yield action, "to work on what a key of your own encrypts", "AWS refuses such jobs, or they fail"


def _uses_of_operations(job_type: JobType) -> Iterator[tuple[Any, str, str]]:
    yield job_type.start, "to start jobs", "the task fails, and nothing is started"
    yield (
        job_type.describe,
        "to read jobs: whatever waits, and a cancel, to see what it has achieved",
        "the task fails; that of a start operator, as soon as it has started its job, which it cancels",
    )
    yield (
        job_type.cancel,
        "to end jobs: cancel operators; a task that is killed, cleared, marked, or out of time",
        "the job goes on; the log has the command to cancel it by hand",
    )
    if job_type.results is not None:
        yield (
            job_type.results.operation,
            "to fetch rows: `fetch_results`",
            "the task fails when its query has succeeded; a retry that a worker starts runs no second query",
        )
    if job_type.list_jobs is not None:
        for use, without in _uses_of_lists(job_type):
            yield job_type.list_jobs, use, without
    for operation in job_type.search.reads.values() if job_type.search is not None else ():
        if operation.method != job_type.describe.method:
            yield operation, *_LOST
    for step in job_type.sweep.discover if job_type.sweep is not None else ():
        yield (
            step.operation,
            "to find what to look at: a sweeper whose `targets` do not name all",
            "the sweep fails",
        )


_LOST = (
    "to find the job of a start that was not answered",
    "it may go on beside the one that a retry starts",
)


def _uses_of_lists(job_type: JobType) -> Iterator[tuple[str, str]]:
    if job_type.search is not None:
        if job_type.token is None:
            yield _LOST
        else:
            yield (
                "to find the job of a start in which the task was killed, where AWS throttles",
                "it may go on until the next try finds it by its token",
            )
    if job_type.adopts is not None:
        yield 'to find the job that runs: `on_conflict="adopt"`', "the task waits, as with `wait`"
    if job_type.quota_window is not None:
        yield "to learn when the daily quota frees: retries", "a retry comes after `quota_delay`"
    if job_type.overview is not None:
        yield "to read many jobs with one call: triggerers", "they read them one by one"
    if job_type.sweep is not None:
        yield "to find jobs that nobody waits for: the sweeper", "the sweep fails"
