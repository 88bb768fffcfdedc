"""``python -m airflow_jobs_provider.iam quicksight-ingestion``: the rights that jobs need, as an IAM policy.

Nothing is listed here: the actions are those of the operations that a :class:`.JobType` names.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from airflow_jobs_provider.jobs import JOB_TYPES
from airflow_jobs_provider.jobs.model import JobType
from airflow_jobs_provider.jobs.parts import Operation

ROLES = {
    "task": "start operators, wherever they start and wait (the default)",
    "triggerer": "a triggerer that only waits for what a worker has started; a cancel operator",
    "sensor": "sensors",
    "sweeper": "AwsJobSweepOperator",
}
"""Who needs rights of his own."""

_SIDS = {
    "task": "StartReadAndCancelJobs",
    "triggerer": "ReadAndCancelJobs",
    "sensor": "ReadJobs",
    "sweeper": "FindReadAndCancelJobs",
}
# What jobs run without; they stand last, in statements of their own, so that they can be struck out.
_LIST, _RESULTS = "OptionalListJobs", "OptionalFetchRows"

PLACES = ("partition", "region", "account")
"""What stands in every ARN."""

_PLACE_HELP = {
    "partition": "aws, aws-cn, aws-us-gov, ... (default: the region's)",
    "region": "what stands in the ARNs for it: eu-west-1; * for all",
    "account": "what stands in the ARNs for it: 12 digits",
}
# How the names of the regions of other partitions begin.
_PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov", "eusc-": "aws-eusc"}
_FIELD = re.compile(r"{(\w+)}")


def policy(
    job_types: Iterable[JobType],
    *,
    role: str = "task",
    with_list: bool = False,
    with_results: bool = False,
    kms_key: str | None = None,
    values: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Return the policy that has the rights which jobs need, and no other.

    :param job_types: whose jobs.
    :param role: for whom: a key of :data:`ROLES`.
    :param with_list: with the rights to list and look at other jobs, which are optional: to find the job of a
        start that was not answered, to adopt a running one, to learn when a quota frees.
    :param with_results: with the right to fetch rows (``fetch_results``).
    :param kms_key: the ARN of the key of one's own with which the services encrypt what the jobs work on.
    :param values: ``partition``, ``region``, ``account`` or a parameter -> what to put into the ARNs. What is
        missing stands in them in capitals: such a statement allows nothing before somebody has filled it in.
    :returns: a statement's ``Sid`` says what it is for; what begins with ``Optional`` comes last.
    :raises ValueError: where the jobs have no such right: a sweep, a key, a value that is in no ARN.
    """
    needed, optional = _Statements(), _Statements()
    passed: list[str] = []
    keys: list[str] = []
    used = set(PLACES)
    for job_type in job_types:
        given = dict(values or {})
        if role == "sweeper":
            given = {**_swept(job_type), **given}
        wanted = [(needed, _SIDS[role], operation) for operation in _needed(job_type, role)]
        wanted += [
            (optional, sid, operation)
            for sid, operation in _optional(job_type, role)
            if (with_list and sid == _LIST) or (with_results and sid == _RESULTS)
        ]
        for statements, sid, operation in wanted:
            arns = [arn for arn, methods in job_type.iam.resources.items() if operation.method in methods]
            used.update(name for arn in arns for name in _FIELD.findall(arn))
            resources = tuple(filled for arn in arns for filled in _filled(arn, given))
            statements.add(sid, f"{job_type.iam.prefix}:{operation.api_name}", resources)
        if role == "task":
            passed += [job_type.iam.passes_role] if job_type.iam.passes_role else []
            keys += job_type.iam.key
    said = needed.said()
    if passed:
        used.add("role_arn")
        condition = {"StringEquals": {"iam:PassedToService": _one_or_all(passed)}}
        roles = _filled("{role_arn}", values or {})
        said.append({**_allowed("PassTheRole", ["iam:PassRole"], roles), "Condition": condition})
    if kms_key is not None:
        if not keys:
            raise ValueError("none of these jobs needs rights on a KMS key")
        said.append(_allowed("UseTheKey", keys, [kms_key]))
    if unused := set(values or {}) - used:
        names = ", ".join(sorted(used - set(PLACES))) or "nothing"
        raise ValueError(f"{', '.join(sorted(unused))} stands in no ARN of these rights; what does: {names}")
    return {"Version": "2012-10-17", "Statement": said + optional.said(without=needed)}


class _Statements:
    """Rights, put together where they are for the same and on the same."""

    def __init__(self) -> None:
        self._rights: dict[tuple[str, tuple[str, ...]], list[str]] = {}

    def add(self, sid: str, action: str, resources: tuple[str, ...]) -> None:
        """Add a right, once."""
        actions = self._rights.setdefault((sid, resources), [])
        if action not in actions:
            actions.append(action)

    def has(self, action: str, resources: tuple[str, ...]) -> bool:
        """Whether a right is among them, whatever it is for."""
        return any(on == resources and action in actions for (_, on), actions in self._rights.items())

    def said(self, without: _Statements | None = None) -> list[dict[str, Any]]:
        """Return the statements of a policy; no two may have the same ``Sid``.

        :param without: rights that the policy has already.
        """
        found: list[dict[str, Any]] = []
        counts: Counter[str] = Counter()
        for (sid, resources), actions in self._rights.items():
            left = [each for each in actions if without is None or not without.has(each, resources)]
            if left:
                counts[sid] += 1
                number = str(counts[sid]) if counts[sid] > 1 else ""
                found.append(_allowed(f"{sid}{number}", left, resources))
        return found


def _needed(job_type: JobType, role: str) -> Iterator[Operation]:
    """Yield the operations that somebody calls, and that must not be refused."""
    if role == "task":
        yield job_type.start
    if role == "sweeper":
        if job_type.sweep is None or job_type.list_jobs is None:
            raise ValueError(f"{job_type.name} jobs are not swept: no list tells whose they are")
        yield from (step.operation for step in job_type.sweep.discover)
        yield job_type.list_jobs
    yield job_type.describe
    if role != "sensor":
        yield job_type.cancel


def _optional(job_type: JobType, role: str) -> Iterator[tuple[str, Operation]]:
    """Yield the other operations that somebody may call, each with what it is for."""
    if job_type.results is not None:
        yield _RESULTS, job_type.results.operation
    if job_type.list_jobs is not None:
        yield _LIST, job_type.list_jobs
        if role == "task" and job_type.search is not None:
            yield from ((_LIST, operation) for operation in job_type.search.reads.values())


def _swept(job_type: JobType) -> dict[str, list[str]]:
    """Return what a sweep finds by itself: all of them."""
    return {step.finds: ["*"] for step in (job_type.sweep.discover if job_type.sweep is not None else ())}


def _filled(arn: str, values: Mapping[str, Sequence[str]]) -> list[str]:
    """Return an ARN with every combination of what is to stand in it."""
    names = list(dict.fromkeys(_FIELD.findall(arn)))
    choices = [values.get(name) or ([name.upper()] if name != "partition" else ["aws"]) for name in names]
    return [arn.format(**dict(zip(names, chosen, strict=True))) for chosen in itertools.product(*choices)]


def _allowed(sid: str, actions: Iterable[str], resources: Iterable[str]) -> dict[str, Any]:
    named = {"Sid": sid, "Effect": "Allow"}
    return {**named, "Action": _one_or_all(actions), "Resource": _one_or_all(resources)}


def _one_or_all(items: Iterable[str]) -> str | list[str]:
    found = list(dict.fromkeys(items))
    return found[0] if len(found) == 1 else found


def _partition(region: str) -> str:
    return next((partition for start, partition in _PARTITIONS.items() if region.startswith(start)), "aws")


def _value(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r} must be NAME=VALUE, data_set_id=sales say")
    return name, value


def _job_type(name: str) -> JobType:
    if name not in JOB_TYPES:
        raise argparse.ArgumentTypeError(f"there is no job type {name!r}; there are {', '.join(JOB_TYPES)}")
    return JOB_TYPES[name]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a policy, or without job types their names. Return the exit status.

    argparse ends the process, with status 2 and one sentence, for arguments that it cannot use.
    """
    parser = argparse.ArgumentParser(
        prog="python -m airflow_jobs_provider.iam",
        description="Print the IAM policy with the rights that jobs need, and no other.",
        epilog=f"job types: {', '.join(JOB_TYPES)}",
    )
    add = parser.add_argument
    add("job_types", nargs="*", type=_job_type, metavar="JOB_TYPE", help="whose jobs; none: print the names")
    who = "; ".join(f"{role}: {needs}" for role, needs in ROLES.items())
    add("--for", dest="role", choices=ROLES, default="task", help=f"who is to have the rights. {who}")
    add("--with-list", action="store_true", help="also the optional lists: they find, adopt, and save calls")
    add("--with-results", action="store_true", help="also what fetches the rows of a query (fetch_results)")
    add("--kms-key", metavar="ARN", help="also what a key of your own needs that encrypts what jobs work on")
    for place in PLACES:
        add(f"--{place}", metavar=place.upper(), help=_PLACE_HELP[place])
    told = "what stands in the ARNs for a parameter: data_set_id=sales; again for more of them; * for all"
    add("--on", type=_value, action="append", default=[], metavar="NAME=VALUE", help=told)
    options = parser.parse_args(arguments)
    if not options.job_types:
        print("\n".join(JOB_TYPES))  # noqa: T201
        return 0
    values = {place: [getattr(options, place)] for place in PLACES if getattr(options, place)}
    if options.region and not options.partition:
        values["partition"] = [_partition(options.region)]
    for name, value in options.on:
        values.setdefault(name, []).append(value)
    try:
        made = policy(
            options.job_types,
            role=options.role,
            with_list=options.with_list,
            with_results=options.with_results,
            kms_key=options.kms_key,
            values=values,
        )
    except ValueError as error:
        parser.error(str(error))
    print(json.dumps(made, indent=2))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
