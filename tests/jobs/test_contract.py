"""Every JobType held against the installed botocore model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import botocore.session
import jmespath
import pytest

from airflow_jobs_provider.jobs import JOB_TYPES

if TYPE_CHECKING:
    from airflow_jobs_provider.jobs.model import JobType, Operation


@pytest.fixture(params=JOB_TYPES.values(), ids=lambda job_type: job_type.name)
def job_type(request: pytest.FixtureRequest) -> JobType:
    """Return each job type in turn."""
    found: JobType = request.param
    return found


@pytest.fixture
def model(job_type: JobType) -> Any:
    """Return the service's model."""
    return botocore.session.get_session().get_service_model(job_type.service)


def operations(job_type: JobType) -> list[Operation]:
    """Return the operations that a job type uses."""
    return [
        operation
        for operation in (job_type.start, job_type.describe, job_type.cancel, job_type.list_jobs)
        if operation is not None
    ]


def example(shape: Any, depth: int = 0) -> Any:
    """Return an answer in which every member of a shape is there."""
    if shape.type_name == "structure":
        return {} if depth > 8 else {k: example(v, depth + 1) for k, v in shape.members.items()}
    if shape.type_name == "list":
        return [example(shape.member, depth + 1)]
    if shape.type_name == "map":
        return {"key": example(shape.value, depth + 1)}
    return (shape.enum or ["text"])[0] if shape.type_name == "string" else 1


def test_operations_and_parameters_exist(job_type: JobType, model: Any) -> None:
    """A misspelt operation or parameter would only fail in production."""
    for operation in operations(job_type):
        members = model.operation_model(operation.api_name).input_shape.members
        for name in operation.parameters:
            assert job_type.parameters[name].api in members, f"{operation.api_name} has no {name}"


def test_required_parameters_are_given(job_type: JobType, model: Any) -> None:
    """A required parameter that we do not know would make every call fail."""
    for operation in operations(job_type):
        ours = {job_type.parameters[name].api for name in operation.parameters}
        required = set(model.operation_model(operation.api_name).input_shape.required_members)
        tokens = {
            name
            for name, shape in model.operation_model(operation.api_name).input_shape.members.items()
            if shape.metadata.get("idempotencyToken")
        }
        assert required - tokens <= ours


def test_every_parameter_of_the_start_is_offered(job_type: JobType, model: Any) -> None:
    """A user who needs an API parameter must not have to leave the operator."""
    ours = {job_type.parameters[name].api for name in job_type.start.parameters}
    assert ours == set(model.operation_model(job_type.start.api_name).input_shape.members)


def test_every_status_is_classified(job_type: JobType, model: Any) -> None:
    """A status that nobody classified counts as running: a task could wait for ever."""
    record = model.operation_model(job_type.describe.api_name).output_shape
    for part in job_type.describe.record.split("."):
        record = record if part == "@" else record.members[part]
    assert set(job_type.states) == set(record.members[job_type.status].enum)


def test_choices_are_the_models(job_type: JobType, model: Any) -> None:
    """A choice that AWS has added must not be refused by us."""
    members = model.operation_model(job_type.start.api_name).input_shape.members
    for parameter in job_type.parameters.values():
        shape = members.get(parameter.api)
        if shape is not None and shape.type_name == "string" and shape.enum:
            assert set(parameter.choices) == set(shape.enum)


def test_failure_codes_are_the_models(job_type: JobType, model: Any) -> None:
    """A misspelt failure code would be taken for permanent."""
    if job_type.failure is None:
        return
    record = model.operation_model(job_type.describe.api_name).output_shape
    path = [p for p in (*job_type.describe.record.split("."), *job_type.failure.split(".")) if p != "@"]
    for part in path:
        record = record.members[part]
    assert set(job_type.failures) <= set(record.enum)


def test_error_codes_are_the_models(job_type: JobType, model: Any) -> None:
    """A misspelt error code would never match."""
    codes = {shape.error_code for shape in model.error_shapes} | {s.name for s in model.error_shapes}
    assert set(job_type.errors) <= codes


def test_paths_find_something(job_type: JobType, model: Any) -> None:
    """A JMESPath that misses would hide the reason of a failure, or a loss."""
    answer = example(model.operation_model(job_type.describe.api_name).output_shape)
    record = jmespath.search(job_type.describe.record, answer)
    paths = [job_type.status, job_type.reason, job_type.failure, *job_type.progress.values()]
    for path in (*paths, *(loss.count for loss in job_type.losses)):
        assert path is None or jmespath.search(path, record) not in (None, "", []), path
    started = example(model.operation_model(job_type.start.api_name).output_shape)
    for name, path in job_type.identity.items():
        assert path is None or jmespath.search(path, jmespath.search(job_type.start.record, started)), name


def test_rights_are_those_of_the_operations(job_type: JobType) -> None:
    """A policy made from this list must allow what the provider calls."""
    allowed = {action.partition(":")[2] for action in (*job_type.iam.actions, *job_type.iam.optional)}
    assert {operation.api_name for operation in operations(job_type)} <= allowed


def test_texts_name_the_job(job_type: JobType) -> None:
    """An error or a link that does not name the job is of no use at night."""
    names = set(re.findall(r"{(\w+)}", job_type.title))
    assert names
    assert names <= set(job_type.identity)
    in_link = set(re.findall(r"{(\w+)}", job_type.console or ""))
    assert in_link <= {*job_type.identity, "region", "domain"}


def test_parameters_accept_what_the_model_accepts(job_type: JobType, model: Any) -> None:
    """A pattern of ours that is stricter or laxer in length than the model's would refuse good ids."""
    members = model.operation_model(job_type.start.api_name).input_shape.members
    for name, parameter in job_type.parameters.items():
        shape = members.get(parameter.api)
        longest = shape.metadata.get("max") if shape is not None else None
        if longest and shape.metadata.get("pattern") == "^[a-zA-Z0-9-_]+$":
            parameter.check(name, "x" * longest)
            with pytest.raises(ValueError, match=name):
                parameter.check(name, "x" * (longest + 1))
