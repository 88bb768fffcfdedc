"""What a task that starts in the triggerer cannot have is refused when its DAG is parsed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG
from jinja2 import Undefined

from airflow_jobs_provider.operators.packing import unpack
from airflow_jobs_provider.operators.quicksight import QuickSightCreateIngestionOperator
from tests.triggers.tasks import (
    STARTS,
)

if TYPE_CHECKING:
    from tests.cases import Case


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("{{ ti.xcom_pull('a') }}", "ti.xcom_pull in"),
        ("{{ prev_start_date_success }}", "'prev_start_date_success' in"),
        ("{{ my_macro() }}", "'my_macro' in"),
        ("{{ ti['xcom_pull']('a') }}", "with ti in"),
        ("{% set it = ti %}{{ it.xcom_pull('a') }}", "with ti in"),
        ("{{ ds | my_filter }}", "the triggerer knows no filters"),
    ],
)
def test_templates_that_cannot_be_rendered_there_are_refused(case: Case, value: str, says: str) -> None:
    """Airflow never answers the triggerer: such a task would wait for ever."""
    with pytest.raises(ValueError, match=r"^start_from_trigger=True does not go with") as caught:
        case.start(region_name=value, **STARTS)
    assert says in str(caught.value)
    assert "region_name" in str(caught.value)


def test_results_of_other_tasks_are_refused(case: Case) -> None:
    """They are XComs, too."""
    with DAG("d", schedule=None):
        start = case.start_class(task_id="start", **case.target)
        output: Any = start.output
        ids = {name: output[name] for name in case.job_type.identity}
        with pytest.raises(ValueError, match="another task's result in"):
            case.sensor_class(task_id="wait", **ids, **STARTS)


@pytest.mark.parametrize("option", ["on_execute_callback", "pre_execute"])
def test_what_only_workers_do_is_refused(case: Case, option: str) -> None:
    """It would silently not be done."""
    with pytest.raises(ValueError, match=f"^start_from_trigger=True does not go with {option}"):
        case.start(**{option: print}, **STARTS)


class Fixed(QuickSightCreateIngestionOperator):
    """A team's own, with a value that nobody can change."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(data_set_id="sales", **kwargs)


class Positional(QuickSightCreateIngestionOperator):
    """Another team's, whose arguments need no star before them."""

    def __init__(self, team: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.team = team


def test_a_class_that_cannot_be_made_anew_is_refused() -> None:
    """In the triggerer, each try would fail."""
    with pytest.raises(ValueError, match=r"^the triggerer cannot make this Fixed anew: .*data_set_id"):
        Fixed(task_id="a", **STARTS).resolve_template_files()


def test_arguments_that_might_be_given_by_position_are_handed_on() -> None:
    """They are arguments like others."""
    operator = Positional(team="finance", task_id="a", data_set_id="sales", **STARTS)
    operator.resolve_template_files()
    copy: Any = unpack(operator.start_trigger_args.trigger_kwargs["packed"])
    assert (copy.team, copy.data_set_id) == ("finance", "sales")


def test_run_as_user_is_refused(case: Case) -> None:
    """The triggerer cannot change its user."""
    with pytest.raises(ValueError, match=r"^start_from_trigger=True does not go with run_as_user"):
        case.start(run_as_user="etl", **STARTS)


def test_mapped_tasks_start_in_workers(case: Case) -> None:
    """Airflow has no parameters to give to the triggerer: what is unmapped in a worker defers as ever.

    So they may have what only workers do.
    """
    with DAG("d", schedule=None):
        key, value = next(iter(case.target.items()))
        rest = {name: each for name, each in case.target.items() if name != key}
        mapped = case.start_class.partial(
            task_id="a", **rest, start_from_trigger=True, on_execute_callback=print
        ).expand(**{key: [value]})
    assert mapped.start_from_trigger is True
    assert mapped.start_trigger_args is None
    one: Any = mapped.unmap({key: value})
    assert one.deferrable is True


@pytest.mark.parametrize(
    "options",
    [
        {"render_template_as_native_obj": True},
        {"template_undefined": Undefined},
        {"jinja_environment_kwargs": {"variable_start_string": "<<"}},
    ],
    ids=lambda each: next(iter(each)),
)
def test_templates_that_a_worker_renders_otherwise_are_refused(case: Case, options: dict[str, Any]) -> None:
    """The same task must start the same job, wherever it starts."""
    with DAG("d", schedule=None, **options):
        case.start(**STARTS)
        with pytest.raises(ValueError, match=f"a template in region_name and {next(iter(options))}"):
            case.start_class(task_id="b", **case.target, region_name="{{ ds }}", **STARTS)


def test_a_password_is_refused(case: Case) -> None:
    """What starts in the triggerer stands in the serialized DAG, for everybody who reads the database."""
    proxy = {"proxies": {"https": "http://me:secret@proxy:3128"}}
    with pytest.raises(ValueError, match="a proxy's password in botocore_config") as caught:
        case.start(**STARTS, botocore_config=proxy)
    assert "secret" not in str(caught.value)
    case.start(deferrable=True, botocore_config=proxy)
