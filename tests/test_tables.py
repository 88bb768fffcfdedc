"""The tables of classes and of parameters that people have written, held against the code."""

from __future__ import annotations

import dataclasses
import inspect
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_jobs_provider import exceptions
from airflow_jobs_provider.operators.base import StartJobOperator
from airflow_jobs_provider.operators.cancel import CancelJobOperator
from airflow_jobs_provider.operators.common import AwsJobOperator
from airflow_jobs_provider.operators.conflict import ExclusiveStartJobOperator
from airflow_jobs_provider.operators.connected import AwsOperator
from airflow_jobs_provider.operators.results import QueryResults
from airflow_jobs_provider.operators.sweep import AwsJobSweepOperator
from airflow_jobs_provider.operators.triggered import TriggeredOperator
from airflow_jobs_provider.retry import AwsJobRetryPolicy
from airflow_jobs_provider.sensors.base import JobSensor
from tests import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"

# A heading of operators.md -> the classes whose parameters its table has.
SHARED: Mapping[str, tuple[type[Any], ...]] = {
    "## Every operator and sensor": (AwsOperator, AwsJobOperator, TriggeredOperator),
    "## Start operators": (StartJobOperator,),
    "### Busy targets": (ExclusiveStartJobOperator,),
    "### Rows in the result": (QueryResults,),
    "## Cancel operators": (CancelJobOperator,),
    "## Sensors": (JobSensor,),
}
STARTS = [each for each in blocks.public_classes("operators") if issubclass(each, StartJobOperator)]
_HEAD = "| parameter | default | |"
_REQUIRED = inspect.Parameter.empty
_UNITS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}


def section(page: Path, heading: str) -> str:
    """Return what stands under a heading, up to the next one."""
    found = re.search(
        rf"^{re.escape(heading)}$\n(.*?)(?=^#+ |\Z)", page.read_text(), re.MULTILINE | re.DOTALL
    )
    assert found, f"{page.name} has no {heading}"
    return found[1]


def rows(text: str, head: str) -> Iterator[list[str]]:
    """Yield the rows of the tables with a head, cell by cell."""
    for table in re.findall(rf"^{re.escape(head)}\n\|[-|]+\n((?:\|.*\n?)+)", text, re.MULTILINE):
        for line in table.splitlines():
            yield [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]


def names(text: str) -> list[str]:
    """Return what stands as code."""
    return re.findall(r"`([^`]+)`", text)


def written(text: str) -> dict[str, str]:
    """Return the parameters of a text's tables with their defaults, as they are written."""
    return {name: default for first, default, *_ in rows(text, _HEAD) for name in names(first)}


def taken(*classes: type[Any]) -> dict[str, Any]:
    """Return the parameters that classes themselves add, with their defaults."""
    return {
        name: parameter.default
        for each in classes
        if "__init__" in vars(each)
        for name, parameter in inspect.signature(vars(each)["__init__"]).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }


def says(cell: str, default: Any) -> bool:
    """Whether a cell says what a default is.

    Nothing stands for a parameter that must be given, a word or number as code for itself. Words, or a
    setting of Airflow, say what is taken where the code has ``None``.
    """
    if not cell:
        return default is _REQUIRED
    literal = re.fullmatch(r"`([^`\[]+)`", cell)
    if literal is None:
        span = re.fullmatch(r"(\d+) (minute|hour|day)s?", cell)
        return bool(default == (int(span[1]) * _UNITS[span[2]] if span else None))
    if isinstance(default, str):
        return literal[1] == default
    return literal[1] == repr(default)


def wrong(table: Mapping[str, str], defaults: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
    """Return what a table says of defaults that are others."""
    return {
        name: (table[name], defaults[name])
        for name in table.keys() & defaults.keys()
        if not says(table[name], defaults[name])
    }


def test_the_readme_has_every_class() -> None:
    """The first table that anybody sees must have what there is, each with what belongs to it."""
    readme = (ROOT / "README.md").read_text()
    shown = [
        [names(cell) for cell in cells] for _, *cells in rows(readme, "| AWS job | start | wait | cancel |")
    ]
    there = [
        [names(cell) for cell in cells]
        for _, *cells in rows(blocks.jobs(()), "| job type | start | wait | cancel |")
    ]
    assert there
    assert shown == there
    classes = {each.__name__ for each in blocks.public_classes() if issubclass(each, AwsJobOperator)}
    assert {name for cells in shown for [name] in cells} == classes


def test_the_readme_leads_to_the_page_of_each_class() -> None:
    """Who follows a job's link must find its operator, sensor and cancel operator there."""
    for first, *cells in rows((ROOT / "README.md").read_text(), "| AWS job | start | wait | cancel |"):
        [link] = re.findall(r"\]\(([^)]+)\)", first)
        said = (ROOT / link).read_text()
        assert {name for cell in cells for name in names(cell) if f"`{name}`" not in said} == set(), link


def test_the_readme_has_every_example() -> None:
    """An example that is not listed is read by nobody."""
    listed = re.findall(
        r"^\| \[(\w+\.py)\]\(example_dags/\1\)", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    assert listed
    assert sorted(listed) == sorted(path.name for path in (ROOT / "example_dags").glob("*.py"))


@pytest.mark.parametrize("heading", SHARED)
def test_shared_parameters_have_their_defaults(heading: str) -> None:
    """A default that differs from what the page says is found in production."""
    table, defaults = written(section(DOCS / "operators.md", heading)), taken(*SHARED[heading])
    assert table.keys() == defaults.keys()
    assert wrong(table, defaults) == {}


def test_every_base_has_its_table() -> None:
    """A new base class with parameters of its own must not be forgotten by the page about what is shared."""
    public = blocks.public_classes()
    bases = {
        base
        for each in public
        for base in each.__mro__
        if base.__module__.startswith("airflow_jobs_provider.")
    }
    known = {each for classes in SHARED.values() for each in classes}
    # A private one only says for several named classes which job they are about: their pages have it.
    forgotten = {
        base for base in bases - known - {*public} if taken(base) and not base.__name__.startswith("_")
    }
    assert forgotten == set()


@pytest.mark.parametrize("operator", [*STARTS, AwsJobSweepOperator], ids=lambda operator: operator.__name__)
def test_parameters_have_their_defaults(operator: type[Any]) -> None:
    """Likewise of the parameters that a class has for itself."""
    heading = f"## `{operator.__name__}`"
    [page] = [page for page in DOCS.glob("*.md") if f"\n{heading}\n" in page.read_text()]
    text = section(page, heading)
    table, defaults = written(text), taken(operator)
    assert table
    assert table.keys() <= defaults.keys(), "on the page, but not there"
    prose = "\n".join(line for line in text.splitlines() if not line.startswith("|"))
    assert defaults.keys() - table.keys() <= set(names(prose)), "there, but not on the page"
    assert wrong(table, defaults) == {}


def test_the_retry_policy_has_its_defaults() -> None:
    """Who plans a night by these delays must be able to rely on them."""
    defaults = {each.name: each.default for each in dataclasses.fields(AwsJobRetryPolicy) if each.init}
    table = written((DOCS / "retries.md").read_text())
    assert table.keys() == defaults.keys()
    assert wrong(table, defaults) == {}


def test_every_exception_is_in_the_table() -> None:
    """Who catches an exception, or is woken by one, looks for it there."""
    text = section(DOCS / "operators.md", "## Errors")
    classes = {
        name
        for name, value in vars(exceptions).items()
        if inspect.isclass(value) and issubclass(value, exceptions.AwsJobError)
    }
    listed = [names(line.split("|")[1]) for line in text.splitlines() if line.startswith("| `")]
    assert {name for cell in listed for name in cell} == classes


@pytest.mark.parametrize(
    ("cell", "default", "true"),
    [
        ("", _REQUIRED, True),
        ("", None, False),
        ("`None`", None, True),
        ("`True`", True, True),
        ("`10`", 10, True),
        ("`10`", 11, False),
        ("`None`", _REQUIRED, False),
        ("`wait`", "wait", True),
        ("`[operators] default_deferrable`", None, True),
        ("`[sensors] default_timeout`, 7 days", None, True),
        ("derived", None, True),
        ("derived", "x", False),
        ("2 minutes", timedelta(minutes=2), True),
        ("2 minutes", timedelta(minutes=3), False),
    ],
)
def test_a_default_is_compared(cell: str, default: Any, true: bool) -> None:
    """A comparison that takes everything would hold nothing against anything."""
    assert says(cell, default) is true
