"""Operators inside DAGs: mapping, XComArgs, default_args and templates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG

if TYPE_CHECKING:
    from tests.cases import Case


def test_default_args_reach_every_parameter(case: Case) -> None:
    """A DAG sets its connection once."""
    with DAG("d", schedule=None, default_args={"region_name": "eu-north-1", "cancel_on_kill": False}):
        start = case.start_class(task_id="a", **case.target)
        sensor = case.sensor_class(task_id="b", **case.ids)
        cancel = case.cancel_class(task_id="c", **case.ids)
    assert {start.region_name, sensor.region_name, cancel.region_name} == {"eu-north-1"}
    assert start.cancel_on_kill is False


def test_a_start_feeds_a_sensor_and_a_cancel(case: Case) -> None:
    """The result of a start has the parameters of both; the dependency comes with it."""
    with DAG("d", schedule=None):
        start = case.start_class(task_id="start", **case.target)
        output: Any = start.output
        ids = {name: output[name] for name in case.job_type.identity}
        sensor = case.sensor_class(task_id="wait", **ids)
        cancel = case.cancel_class(task_id="cancel", **ids)
    assert start.downstream_task_ids == {"wait", "cancel"}
    assert sensor.upstream_task_ids == cancel.upstream_task_ids == {"start"}


def test_all_of_it_can_be_mapped(case: Case) -> None:
    """One task for each of many targets is how people use this."""
    with DAG("d", schedule=None):
        for operator, values in (
            (case.start_class, case.target),
            (case.sensor_class, case.ids),
            (case.cancel_class, case.ids),
        ):
            keys = list(values)
            mapped = operator.partial(
                task_id=f"mapped-{operator.__name__}",
                deferrable=True,
                region_name="eu-west-1",
                **{key: values[key] for key in keys[1:]},
            ).expand(**{keys[0]: [values[keys[0]]]})
            one: Any = mapped.unmap({keys[0]: values[keys[0]]})
            assert getattr(one, keys[0]) == values[keys[0]]
            assert one.deferrable is True


def test_what_names_something_is_templated(case: Case) -> None:
    """Ids, regions and connections differ between environments and runs."""
    for operator in (case.start_class, case.sensor_class, case.cancel_class):
        assert {"aws_conn_id", "region_name", *case.job_type.identity} <= {
            *operator.template_fields,
            # what only the service gives is no input of the start
            *(set(case.job_type.identity) - set(case.job_type.start.parameters)),
        }
    templated = dict.fromkeys(case.ids, "{{ params.it }}")
    case.sensor(**templated)
    case.cancel(**templated)


def test_deferrable_follows_the_setting(case: Case, monkeypatch: object) -> None:
    """A deployment that defers by default means these operators too."""
    import pytest

    assert isinstance(monkeypatch, pytest.MonkeyPatch)
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "True")
    assert case.start_class(task_id="a", **case.target).deferrable is True
