"""The page for those who come from the amazon provider, held against the classes of both packages."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.amazon import __version__ as amazon_version
from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

from airflow_jobs_provider.hooks.aws_job import AwsJobHook
from airflow_jobs_provider.triggers.aws_job import AwsJobTrigger
from tests.blocks import public_classes

PAGE = (Path(__file__).parent.parent / "docs" / "coming-from-amazon.md").read_text()
_AMAZON = "airflow.providers.amazon.aws"
_OURS = "airflow_jobs_provider."
# What triggers take from their base, to reach AWS.
_CONNECTION = {"aws_conn_id", "region_name", "verify", "botocore_config"}

if tuple(map(int, amazon_version.split(".")[:2])) < (9, 39):
    pytest.skip(
        f"the page compares with 9.39, which Python 3.10 cannot have; this is {amazon_version}",
        allow_module_level=True,
    )


def section(heading: str) -> str:
    """Return what stands under a heading."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1]


def rows(text: str) -> list[list[list[str]]]:
    """Return the rows of the tables of a text: for each cell the names that stand in it as code."""
    lines = [line for line in text.splitlines() if line.startswith(("| `", "| -"))]
    return [[re.findall(r"`([^`]+)`", cell) for cell in line.strip("| ").split(" | ")] for line in lines]


def loaded(path: str) -> Any:
    """Return what a dotted path names."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError:
        return getattr(loaded(module), name)


def takes(cls: type[Any], package: str = "airflow") -> set[str]:
    """Return the parameters of a class and of its bases in a package."""
    return {
        name
        for base in cls.__mro__
        if base.__module__.startswith(package) and "__init__" in vars(base)
        for name, parameter in inspect.signature(vars(base)["__init__"]).parameters.items()
        if name != "self" and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    }


def becomes() -> Iterator[Any]:
    """Yield each operator and sensor of the page: theirs, ours, and the rows of its table."""
    for heading, body in re.findall(r"^### `(\w+)`\n(.*?)(?=^#)", PAGE, re.MULTILINE | re.DOTALL):
        theirs, ours = re.findall(r"`(airflow[\w.]+\.[A-Z]\w+)`", body)[:2]
        assert theirs.endswith(f".{heading}")
        yield pytest.param(loaded(theirs), loaded(ours), rows(body), id=heading)


SHARED = rows(section("What all of them take"))
TRIGGERS = {names[0]: (given, ours) for [names, given, ours] in rows(section("Triggers"))}


@pytest.mark.parametrize(("theirs", "ours", "table"), list(becomes()))
def test_operators_and_sensors_parameter_by_parameter(
    theirs: type[Any], ours: type[Any], table: list[list[list[str]]]
) -> None:
    """A parameter that the page forgets is one that a migrated DAG loses, or fails with."""
    assert ours in public_classes()
    own, shared = {row[0][0]: row[1] for row in table}, {row[0][0]: row[1] for row in SHARED}
    needed = takes(theirs, _AMAZON)
    assert needed - own.keys() - shared.keys() == set(), "not on the page"
    assert own.keys() - needed == set(), "on the page, but not there"
    names = {name for key in needed for name in own.get(key, shared.get(key, []))}
    assert names - takes(ours) == set(), "on the page, but not here"


def test_new_parameters_are_ours() -> None:
    """What the page promises as new must be there."""
    for body in re.findall(r"^### `\w+`\n(.*?)(?=^#)", PAGE, re.MULTILINE | re.DOTALL):
        ours = re.findall(r"`(airflow_jobs_provider[\w.]+)`", body)[0]
        for sentence in re.findall(r"New: (.*?)\.$", body, re.MULTILINE):
            assert set(re.findall(r"`(\w+)`", sentence)) <= takes(loaded(ours)), sentence


@pytest.mark.parametrize("path", TRIGGERS)
def test_triggers_parameter_by_parameter(path: str) -> None:
    """Who has made a trigger of his own must find all of its parameters."""
    theirs: type[Any] = loaded(path)
    given, ours = TRIGGERS[path]
    shared = {row[0][0] for row in SHARED}
    signature = set(inspect.signature(theirs.__init__).parameters) - {"self", "kwargs"}
    assert (signature | _CONNECTION) - set(given) - shared == set()
    assert set(given) <= signature
    assert set(ours) <= takes(AwsJobTrigger, _OURS)


def test_hooks() -> None:
    """Who calls a hook in a task of his own must find its methods."""
    table = rows(section("Hooks"))
    constructor = {row[0][0]: row[1] for row in table if "." not in row[0][0]}
    assert constructor.keys() == takes(AwsGenericHook, _AMAZON)
    assert {name for names in constructor.values() for name in names} <= takes(AwsJobHook, _OURS)
    methods = {row[0][0]: row[1] for row in table if "." in row[0][0]}
    hook = loaded(f"{_AMAZON}.hooks.quicksight.QuickSightHook")
    public = {name for name, value in vars(hook).items() if inspect.isfunction(value) and name[0] != "_"}
    assert {path.rpartition(".")[2] for path in methods} == public
    assert all(loaded(path) for path in methods)
    assert all(hasattr(AwsJobHook, name) for names in methods.values() for name in names)


@pytest.mark.parametrize(
    "module",
    [
        "operators.quicksight",
        "sensors.quicksight",
        "triggers.quicksight",
        "operators.bedrock",
        "sensors.bedrock",
        "triggers.bedrock",
        "operators.neptune_analytics",
        "triggers.neptune_analytics",
    ],
)
def test_every_class_of_the_services_is_named(module: str) -> None:
    """A class of which the page says nothing leaves its users to guess."""
    theirs = importlib.import_module(f"{_AMAZON}.{module}")
    there = {
        name
        for name, value in vars(theirs).items()
        if inspect.isclass(value) and value.__module__ == theirs.__name__ and name[0] != "_"
    }
    missing = {name for name in there if not re.search(rf"[`.]{name}`", PAGE)}
    assert {name for name in missing if not name.endswith("Error")} == set()


def test_classes_without_a_counterpart_are_there() -> None:
    """A class that the page advises to keep must exist."""
    text = section("Classes that have no counterpart")
    for item in re.split(r"^\* ", text, flags=re.MULTILINE)[1:]:
        [module, *names] = re.findall(r"`([\w.]+)`", item.split(". ")[0])
        assert all(hasattr(importlib.import_module(module), name) for name in names if "." not in name)


def test_the_sed_line(tmp_path: Path) -> None:
    """A line that is copied into a shell must leave a DAG that loads."""
    from airflow.dag_processing.dagbag import DagBag

    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "before.py").write_text(_BEFORE)
    (dags / "other.py").write_text(_OTHER)
    [command] = re.findall(r"```shell\n(grep .*?)```", PAGE, re.DOTALL)
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)
    text = (dags / "before.py").read_text()
    assert "providers.amazon" not in text
    assert "waiter" not in text.replace("waiter_max_attempts=int(9)", "")
    assert (dags / "other.py").read_text() == _OTHER
    (dags / "before.py").write_text(text.replace("waiter_max_attempts=int(9),", ""))
    bag = DagBag(str(dags))
    assert bag.import_errors == {}
    tasks = bag.dags["before"].tasks
    assert {type(task).__module__.partition(".")[0] for task in tasks} == {"airflow_jobs_provider"}
    assert len(tasks) == 6


_OTHER = """
from airflow.providers.amazon.aws.operators.emr import EmrCreateJobFlowOperator

EmrCreateJobFlowOperator(task_id="flow", waiter_delay=30, waiter_max_attempts=60, max_retries=3)
"""
_BEFORE = """
from airflow.providers.amazon.aws.operators.bedrock import BedrockIngestDataOperator
from airflow.providers.amazon.aws.operators.neptune_analytics import (
    NeptuneCancelImportTaskOperator,
    NeptuneCreateGraphWithImportOperator,
)
from airflow.providers.amazon.aws.operators.quicksight import QuickSightCreateIngestionOperator
from airflow.providers.amazon.aws.sensors.bedrock import BedrockIngestionJobSensor
from airflow.providers.amazon.aws.sensors.quicksight import QuickSightSensor
from airflow.sdk import DAG

with DAG("before", schedule=None):
    QuickSightCreateIngestionOperator(
        task_id="refresh",
        data_set_id="sales",
        ingestion_id="r-1",
        waiter_delay=30,
        waiter_max_attempts=int(9),
    )
    QuickSightSensor(task_id="wait", data_set_id="sales", ingestion_id="{{ run_id }}", max_retries=10)
    BedrockIngestDataOperator(
        task_id="sync",
        knowledge_base_id="KB12345678",
        data_source_id="DS12345678",
        waiter_delay=30,
        waiter_max_attempts=60,  # half an hour, with the delay
        deferrable=True,
    )
    BedrockIngestionJobSensor(
        task_id="wait_for_sync",
        knowledge_base_id="KB12345678",
        data_source_id="DS12345678",
        ingestion_job_id="{{ ti.xcom_pull(task_ids='sync')['ingestion_job_id'] }}",
        max_retries=60,
    )
    NeptuneCreateGraphWithImportOperator(
        task_id="graph",
        graph_name="people",
        vector_search_config={"dimension": 128},
        source="s3://my-bucket/people/",
        role_arn="arn:aws:iam::123456789012:role/reads",
        kms_key_id="arn:aws:kms:eu-west-1:123456789012:key/12345678-1234-1234-1234-123456789012",
    )
    NeptuneCancelImportTaskOperator(task_id="cancel", import_task_id="t-a1b2c3d4e5", waiter_delay=5)
"""
