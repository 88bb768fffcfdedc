"""Every JobType held against the installed botocore model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import botocore.session
import jmespath
import pytest
from botocore.validate import ParamValidator

from airflow_jobs_provider.jobs import JOB_TYPES
from airflow_jobs_provider.jobs.values import Choice, Flag, ListOf, MapOf, Structure, Whole

if TYPE_CHECKING:
    from airflow_jobs_provider.jobs.model import JobType
    from airflow_jobs_provider.jobs.parts import Operation
    from airflow_jobs_provider.jobs.values import Value


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
        for operation in (
            *(job_type.start, job_type.describe, job_type.cancel, job_type.list_jobs),
            None if job_type.results is None else job_type.results.operation,
            None if job_type.overview is None else job_type.overview.operation,
            *(() if job_type.search is None else job_type.search.reads.values()),
            *(step.operation for step in (job_type.sweep.discover if job_type.sweep else ())),
        )
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
        left_out = set(operation.optional) - set(job_type.derived)
        assert not required & {job_type.parameters[name].api for name in left_out}


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


def test_values_are_those_of_the_model(job_type: JobType, model: Any) -> None:
    """A value that AWS takes and we refuse, or the other way round, is found too late either way."""
    for operation in operations(job_type):
        members = model.operation_model(operation.api_name).input_shape.members
        for name in operation.parameters:
            parameter = job_type.parameters[name]
            agree(parameter.value, members[parameter.api], name)


def agree(value: Value, shape: Any, name: str) -> None:
    """Hold what we take for valid against a shape of the model."""
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if shape.type_name == "structure":
        assert isinstance(value, Structure), name
        assert set(value.members) == set(shape.members), name
        assert set(value.required) == set(shape.required_members), name
        for key, member in value.members.items():
            agree(member, shape.members[key], f"{name}.{key}")
    elif shape.type_name == "map":
        assert isinstance(value, MapOf), name
        assert value.maximum == most, name
        agree(value.key, shape.key, f"key of {name}")
        agree(value.item, shape.value, f"item of {name}")
    elif shape.type_name == "list":
        assert isinstance(value, ListOf), name
        assert (value.minimum, value.maximum) == (least or 0, most or value.maximum), name
        agree(value.item, shape.member, f"item of {name}")
    elif shape.type_name in ("integer", "long"):
        assert isinstance(value, Whole), name
        assert (value.minimum, value.maximum) == (least or 0, most), name
    elif shape.type_name == "boolean":
        assert isinstance(value, Flag), name
    elif shape.enum:
        assert isinstance(value, Choice), name
        assert set(value.choices) == set(shape.enum), name
    else:
        assert shape.type_name == "string", name
        for text in TEXTS:
            assert takes(value, text) == model_takes(shape, text), f"{name}: {text!r}"


TEXTS = (
    *("a" * length for length in (1, 2, 3, 10, 12, 32, 33, 36, 63, 64, 128, 129, 200, 201, 256, 257)),
    *("a" * length for length in (512, 513, 1024, 1025, 2048, 2049, 10000, 10001)),
    *("a-b", "a--b", "-" + "a" * 40, "a" * 40 + "-", "a" * 20 + "--" + "b" * 20, "a_b", "a.b", "a/b", "#a"),
    *("KB12345678", "g-a1b2c3d4e5", "t-a1b2c3d4e5", "G-A1B2C3D4E5", "graph-1", "1graph", "Graph", "a-"),
    *("123456789012", "1" * 13, "1" * 16, "1" * 17, "12345678-1234-1234-1234-123456789012"),
    *("arn:aws:iam::123456789012:role/x", "arn:aws-cn:iam::123456789012:role/a/b", "arn:aws:iam::1:role/x"),
    *("arn:aws:kms:eu-west-1:123456789012:key/12345678-1234-1234-1234-123456789012", "key/1"),
    *("s3://bucket", "s3://bucket/a b", "s3://Bucket", "s3://b", "s3://bucket/" + "a" * 1013),
    *("Any", "Float[]", "int", "SELECT 1", "naïve", "+-=._:/", "a+b"),
)


def takes(value: Value, text: str) -> bool:
    """Whether we take a text."""
    try:
        value.read("it", text)
    except ValueError:
        return False
    return True


def model_takes(shape: Any, text: str) -> bool:
    """Whether the service takes a text, as its model has it."""
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max", len(text))
    pattern = shape.metadata.get("pattern", "(?s).*")
    return least <= len(text) <= most and re.fullmatch(pattern, text) is not None


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
    for operation in operations(job_type):
        raised = model.operation_model(operation.api_name).error_shapes
        assert set(operation.errors) <= {shape.name for shape in raised}


def test_constants_are_the_models(job_type: JobType, model: Any) -> None:
    """An argument that the API does not have makes every call fail."""
    for operation in operations(job_type):
        shape = model.operation_model(operation.api_name).input_shape
        report = ParamValidator().validate(dict(operation.constants), shape)
        missing = {job_type.parameters[name].api for name in operation.parameters}
        told = report.generate_report()
        assert all("Missing required" in line or not line for line in told.splitlines()), told
        assert {line.rpartition(" ")[2].strip('"') for line in told.splitlines()} <= missing
        assert not operation.next_token or operation.next_token in shape.members


def test_paths_find_something(job_type: JobType, model: Any) -> None:
    """A JMESPath that misses would hide the reason of a failure, or a loss."""
    answer = example(model.operation_model(job_type.describe.api_name).output_shape)
    record = jmespath.search(job_type.describe.record, answer)
    paths = [job_type.status, job_type.reason, job_type.failure, *job_type.progress.values()]
    paths += [job_type.created, *(path for loss in job_type.losses for path in (loss.count, loss.why))]
    for path in paths:
        assert path is None or jmespath.search(path, record) not in (None, "", []), path
    started = example(model.operation_model(job_type.start.api_name).output_shape)
    for name, path in job_type.identity.items():
        assert path is None or jmespath.search(path, jmespath.search(job_type.start.record, started)), name


def test_lineage_is_told_by_the_record(job_type: JobType, model: Any) -> None:
    """A figure that is never found is a column that stays empty, and nobody knows why."""
    lineage = job_type.lineage
    answer = example(model.operation_model(job_type.describe.api_name).output_shape)
    record = jmespath.search(job_type.describe.record, answer)
    for path in (*lineage.figures.values(), *lineage.told.values()):
        assert jmespath.search(path, record) not in (None, "", []), path
    known = {"region", *job_type.identity, *job_type.start.parameters, *lineage.within, *lineage.told}
    for uri in (*lineage.reads, *lineage.writes):
        assert set(re.findall(r"{(\w+)}", uri)) <= known, uri
    assert lineage.id in job_type.identity
    assert {lineage.rows, lineage.size} <= {None, *lineage.figures}


def test_the_rest_of_the_record_is_there(job_type: JobType, model: Any) -> None:
    """What is kept from XCom, and what a list is searched for, must be called as the API calls it."""
    shape = model.operation_model(job_type.describe.api_name).output_shape
    record = jmespath.search(job_type.describe.record, example(shape))
    assert job_type.private <= set(record)
    if job_type.list_jobs is not None:
        listed = example(model.operation_model(job_type.list_jobs.api_name).output_shape)
        [item] = jmespath.search(job_type.list_jobs.record, listed)
        assert job_type.list_jobs.next_token in listed
        for path in (job_type.status, *(job_type.adopts or {}).values(), *job_type.identity.values()):
            assert path is None or jmespath.search(path, item), path
    if job_type.results is not None:
        operation = job_type.results.operation
        page = example(model.operation_model(operation.api_name).output_shape)
        [row] = jmespath.search(operation.record, page)
        assert job_type.results.row(row)
        assert jmespath.search(job_type.results.total, page)
        assert operation.next_token in page


def test_an_overview_shows_what_it_says(job_type: JobType, model: Any) -> None:
    """Waits that a list never shows would each cost the list, and a reading of their own beside it."""
    overview = job_type.overview
    if overview is None:
        return
    page = example(model.operation_model(overview.operation.api_name).output_shape)
    assert overview.operation.next_token in page
    [item] = jmespath.search(overview.operation.record, page)
    assert job_type.read_record(item).known
    assert all(job_type.listed_ids(item))
    identified = {*overview.operation.parameters, *overview.ids}
    assert set(job_type.identity) - identified <= set(job_type.describe.optional)
    if overview.complete:
        single = example(model.operation_model(job_type.describe.api_name).output_shape)
        assert set(item) == set(jmespath.search(job_type.describe.record, single))


def test_a_lost_start_can_be_looked_for(job_type: JobType, model: Any) -> None:
    """A search that misses, or that calls something else a job, fails when a worker has died."""
    search, comment = job_type.search, job_type.comment
    assert (search is None) == (job_type.token in job_type.identity)
    if search is None:
        return
    assert (search.text is None) == (comment is None and job_type.label is None)
    assert job_type.list_jobs is not None
    operation = model.operation_model(job_type.list_jobs.api_name)
    assert search.since is None or search.since in operation.input_shape.members
    [record] = jmespath.search(job_type.list_jobs.record, example(operation.output_shape))
    assert jmespath.search(job_type.status, record) is not None
    for path in (*job_type.identity.values(), *search.ids.values()):
        assert path is None or jmespath.search(path, record), path
    for name, read in search.reads.items():
        known = {*job_type.identity, *search.ids}
        assert set(read.parameters) - set(read.optional) <= known
        record[name] = example(model.operation_model(read.api_name).output_shape)
    for path in (search.created, search.text, *search.same.values()):
        assert path is None or jmespath.search(path, record) not in (None, "", []), path
    assert set(search.within) <= set(job_type.list_jobs.parameters)
    assert set(job_type.list_jobs.parameters) <= {*search.within, *job_type.start.parameters}
    for name in (*search.same, *(parameter for parameter, _ in search.within.values())):
        assert name in job_type.start.parameters, name
    if comment is not None:
        assert comment.parameter in job_type.start.parameters
        refused = {shape.name for shape in model.operation_model(job_type.start.api_name).error_shapes}
        assert comment.refused in refused
        assert set(comment.unless) <= set(job_type.start.parameters)


def test_a_sweep_finds_what_it_looks_for(job_type: JobType, model: Any) -> None:
    """A sweep that finds no target, or no mark, finds no orphan, and nobody misses them."""
    sweep, listing = job_type.sweep, job_type.list_jobs
    if sweep is None:
        return
    assert listing is not None
    known = {key for key in listing.parameters if job_type.parameters[key].caller_account}
    for step in sweep.discover:
        assert set(step.operation.parameters) <= known
        page = example(model.operation_model(step.operation.api_name).output_shape)
        [value] = jmespath.search(step.operation.record, page)
        assert isinstance(value, str)
        assert step.operation.next_token in page
        known.add(step.finds)
    assert known == set(listing.parameters)
    assert job_type.created is not None
    assert sweep.parameter in job_type.derived
    [record] = jmespath.search(listing.record, example(model.operation_model(listing.api_name).output_shape))
    assert jmespath.search(sweep.mark, record)
    assert jmespath.search(job_type.created, record)
    target = dict.fromkeys(listing.parameters, "x")
    found = job_type.marked_run(target, "eu-west-1", {**record, sweep.mark: "the-mark"})
    assert found is not None
    assert found[0] == "the-mark"
    assert set(found[1].ids) == set(job_type.identity)


def test_rights_are_those_of_the_operations(job_type: JobType) -> None:
    """A policy is made of this: an operation without a resource would be missing in it."""
    iam = job_type.iam
    methods = {method for group in iam.resources.values() for method in group}
    assert methods == {operation.method for operation in operations(job_type)}
    for arn in iam.resources:
        assert arn == "*" or arn.startswith(f"arn:{{partition}}:{iam.prefix}:{{region}}:{{account}}:")
        assert set(re.findall(r"{(\w+)}", arn)) <= {"partition", "region", "account", *job_type.parameters}
    takes_role = "role_arn" in job_type.start.parameters
    assert (iam.passes_role is not None) is takes_role


def test_texts_name_the_job(job_type: JobType) -> None:
    """An error or a link that does not name the job is of no use at night."""
    names = set(re.findall(r"{(\w+)}", job_type.title))
    assert names
    assert names <= set(job_type.identity)
    in_link = set(re.findall(r"{(\w+)}", job_type.console or ""))
    assert in_link <= {*job_type.identity, "region", "domain"}
