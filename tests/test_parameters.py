"""Bad input of every parameter of every operator and sensor is refused, with its name and value."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from airflow_jobs_provider.operators.common import AwsJobOperator

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import Emulator
    from tests.cases import Case
    from tests.conftest import Context

# Parameters that every job type has.
SHARED: Mapping[str, tuple[Any, ...]] = {
    "deferrable": ("yes", 1),
    "end_from_trigger": ("yes", 1),
    "start_from_trigger": ("yes", None),
    "aws_conn_id": (" ", "", 7),
    "region_name": ("", "eu west 1"),
    "verify": ("", 7, "False"),
    "botocore_config": ("fast", {"client_cert": object()}),
    "wait_for_completion": (1, "False"),
    "poll_interval": (0, -1.5, "10", True, float("inf")),
    "cancel_on_kill": ("False", None),
    "cancel_timeout": (0, "1h"),
    "durable": (None, "True"),
    "on_conflict": ("skip", None),
    "conflict_timeout": (0, -1, "1h"),
    "missing_ok": ("no", None),
    "poke_interval": (0, "60"),
    "timeout": (-1, "60"),
    "mode": ("poll", None),
    "soft_fail": (1, "True"),
    "fetch_results": (1, "True"),
    "max_result_rows": (0, "many", True),
}
# What the API calls a secret, or what has no short form, is named without its value.
NOT_SHOWN = {"botocore_config"}


def parameters(operator: type[AwsJobOperator]) -> set[str]:
    """Return the parameters that our classes give an operator, without Airflow's own."""
    ours = [cls for cls in operator.__mro__ if cls.__module__.startswith("airflow_jobs_provider.")]
    return {
        name
        for cls in ours
        if "__init__" in vars(cls)
        for name, parameter in inspect.signature(cls.__init__).parameters.items()  # type: ignore[misc]
        if parameter.kind is parameter.KEYWORD_ONLY
    } - {"multiple_outputs"}  # Airflow's own, which it checks itself


def bad_values(case: Case, operator: type[AwsJobOperator]) -> Iterator[tuple[str, Any]]:
    """Yield each bad value of the parameters of one of a job type's classes."""
    known = parameters(operator)
    own = case.bad if operator is case.start_class else case.bad_ids
    shared = [(name, value) for name, values in SHARED.items() for value in values]
    if operator is not case.start_class:
        shared += [(name, value) for name, value in case.bad if name.startswith("wait_for_")]
    for name, value in (*own, *shared):
        if name in known:
            yield name, value


def refusal(name: str, value: Any) -> str:
    """Return what the error for a bad value looks like: it names the parameter and the value, or its part."""
    if name in NOT_SHOWN:
        return f"^{name} must be "
    if isinstance(value, (dict, list)):
        return rf"{name}.* must be .*, not "
    shown = re.escape(repr(value))
    return f"^{name} must be .*, not ({shown}|{re.escape(repr(value)[:100])}.* characters.)$"


def test_it_is_refused_at_parse(case: Case) -> None:
    """A typing error must be found when the DAG is written, and named."""
    for operator, make in (
        (case.start_class, case.start),
        (case.cancel_class, case.cancel),
        (case.sensor_class, case.sensor),
    ):
        tried = set()
        for name, value in bad_values(case, operator):
            with pytest.raises(ValueError, match=refusal(name, value)):
                make(**{name: value})
            tried.add(name)
        assert tried == parameters(operator), operator


def test_from_a_template_it_is_refused_before_any_call(case: Case, aws: Emulator, context: Context) -> None:
    """What a template renders to is checked before anything is started."""
    for name, value in case.bad:
        parameter = case.job_type.parameters.get(name)
        if parameter is None or parameter.value.rendered(value) != value:
            continue  # native rendering makes a number of every string of digits
        operator = case.start(**{name: "{{ params.value }}"})
        setattr(operator, name, value)  # what rendering does
        with pytest.raises(ValueError, match=refusal(name, value)):
            operator.execute(context)
    assert aws.journal() == []
    assert context["task_state_store"].values == {}


def test_a_silent_sensor_is_refused(case: Case) -> None:
    """It would hide a job that failed."""
    for name, value in (("silent_fail", True), ("never_fail", "yes")):
        with pytest.raises(ValueError, match=f"^{name} must be "):
            case.sensor(**{name: value})
