"""What Airflow's user interface shows of a task: link, colour, rendered parameters, documentation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from airflow_jobs_provider.jobs.values import ListOf, MapOf, Structure
from airflow_jobs_provider.links.aws_job import AwsJobLink
from airflow_jobs_provider.operators.sweep import AwsJobSweepOperator
from tests.cases import CASES, Case

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "example_dags"
CLASSES = sorted(
    {kind for case in CASES for kind in (case.start_class, case.cancel_class, case.sensor_class)},
    key=lambda kind: kind.__name__,
)
# What the interface shows in lines of its own, and not as Python would write it.
NESTED = (ListOf, MapOf, Structure)


def serialized(operator: Any) -> Any:
    """Return a task as Airflow's API server knows it: it never imports the operator."""
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("shown", schedule=None) as dag:
        dag.add_task(operator)
    return DagSerialization.from_dict(DagSerialization.to_dict(dag)).get_task(operator.task_id)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_task_has_the_link(kind: type[Any]) -> None:
    """Who looks for the AWS job of a task should need one click, whatever the task does with it."""
    assert [type(link) for link in kind.operator_extra_links] == [AwsJobLink]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_server_knows_what_to_show(case: Case) -> None:
    """The server has only what was serialized: a link, colour or renderer that gets lost is never shown."""
    for operator in (case.start(), case.cancel(), case.sensor()):
        shown = serialized(operator)
        assert [link.name for link in shown.operator_extra_links] == ["AWS job"]
        assert shown.ui_color == operator.ui_color
        assert shown.template_fields_renderers == operator.template_fields_renderers


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_starts_waits_and_cancels_differ(case: Case) -> None:
    """In a DAG of many tasks a colour says which one ends a job, and which one only looks at it."""
    colours = [kind.ui_color for kind in (case.start_class, case.cancel_class, case.sensor_class)]
    assert all(re.fullmatch(r"#[0-9a-f]{6}", colour) for colour in colours)
    assert len({*colours, AwsJobSweepOperator.ui_color, "#fff"}) == 5


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_nested_or_a_statement_has_a_renderer(case: Case) -> None:
    """A filter of ten lines on a single one is what people copy into an editor to read it."""
    for kind in (case.start_class, case.cancel_class, case.sensor_class):
        taken = {
            key: parameter
            for key, parameter in case.job_type.parameters.items()
            if key in kind.template_fields and key in getattr(case.job_type, kind.takes).parameters
        }
        nested = {key for key, parameter in taken.items() if isinstance(parameter.value, NESTED)}
        statements = {key for key, parameter in taken.items() if parameter.files}
        renderers = kind.template_fields_renderers
        assert {key: renderers.get(key) for key in nested} == dict.fromkeys(nested, "json")
        assert {key for key in renderers if renderers[key] == "sql"} == statements
        assert set(renderers) <= set(kind.template_fields)


def test_the_targets_of_a_sweep_have_a_renderer() -> None:
    """They are a list of dicts."""
    assert AwsJobSweepOperator.template_fields_renderers == {"targets": "json"}


def test_every_example_documents_itself() -> None:
    """Who opens an example in the user interface reads there what it shows, not in a repository."""
    from airflow.dag_processing.dagbag import DagBag

    dags = DagBag(str(EXAMPLES)).dags
    declared = {
        dag for path in EXAMPLES.glob("*.py") for dag in re.findall(r'dag_id="(\w+)"', path.read_text())
    }
    assert set(dags) == declared
    for dag in dags.values():
        assert (dag.doc_md or "").strip().startswith("### "), dag.dag_id
