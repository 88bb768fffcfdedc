"""The names that authors of DAGs know, and what the emulator and the APIs call the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from botocore import xform_name

from airflow_jobs_provider.jobs import JOB_TYPES
from airflow_jobs_provider.testing.lifecycle import life_cycle
from airflow_jobs_provider.testing.operations import parameters_of

if TYPE_CHECKING:
    from airflow_jobs_provider.jobs.model import JobType
    from airflow_jobs_provider.jobs.parts import Operation

#: The kinds of calls that can go wrong.
CALLS = ("start", "read", "cancel", "list")


def job_type_named(job_type: str) -> JobType:
    """Return a job type; the ``ValueError`` names those that there are."""
    return JOB_TYPES[life_cycle(job_type).job_type]


def operation_of(job_type: str, call: str) -> Operation:
    """Return an operation of a job type; the ``ValueError`` names the calls that it has."""
    known = job_type_named(job_type)
    operations = dict(zip(CALLS, (known.start, known.describe, known.cancel, known.list_jobs), strict=True))
    operation = operations.get(call)
    if operation is None:
        there = [name for name in CALLS if operations[name] is not None]
        raise ValueError(f"call={call!r} of {job_type} must be one of {', '.join(there)}")
    return operation


def action_of(job_type: str, call: str) -> str:
    """Return the IAM action of a call."""
    return f"{job_type_named(job_type).iam.prefix}:{operation_of(job_type, call).api_name}"


def match_of(job_type: str, on: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return parameters by their API names."""
    life = life_cycle(job_type)
    names: Iterable[str] = parameters_of(life.service, life.start)
    known = {xform_name(name): name for name in names}
    for name, value in (on or {}).items():
        if name not in known:
            raise ValueError(
                f"on={{{name!r}: {value!r}}} fits no {job_type}; it has {', '.join(sorted(known))}"
            )
    return {known[name]: value for name, value in (on or {}).items()}
