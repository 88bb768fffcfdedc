"""A task's operator on its way to the triggerer, and there."""

from __future__ import annotations

import importlib
import inspect
import json
import logging
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from airflow.sdk.bases.sensor import BaseSensorOperator
from airflow.sdk.definitions._internal.contextmanager import DagContext

from airflow_jobs_provider.operators.connected import AwsOperator

if TYPE_CHECKING:
    from airflow_jobs_provider.operators.triggered import TriggeredOperator

_log = logging.getLogger(__name__)

# Arguments of Airflow's own that matter there. The modes are set apart: they were checked at DAG parse.
_AIRFLOWS = ("task_id", "do_xcom_push", "execution_timeout")
_APART = ("start_from_trigger", "end_from_trigger", "worker_for")


def pack(operator: TriggeredOperator, *, is_rendered: bool = True) -> str:
    """Return an operator as text, with its templates as they are.

    :param is_rendered: what is another task's result has a value.
    :raises ValueError: where the triggerer could not make it anew.
    """
    cls = type(operator)
    try:
        arguments = {name: getattr(operator, name) for name in (*_AIRFLOWS, *_own_arguments(cls))}
        # Rendered ones: what is made anew takes them for an author's own.
        for name, parameter in cls.job_type.parameters.items():
            if name in arguments:
                arguments[name] = parameter.value.rendered(arguments[name])
        apart = {name: getattr(operator, name) for name in _APART}
        return json.dumps(
            {"operator": f"{cls.__module__}.{cls.__name__}", "arguments": arguments, **apart},
            default=_to_json if is_rendered else _to_any_json,
            sort_keys=True,
        )
    except (AttributeError, TypeError) as error:
        raise ValueError(
            f"the triggerer cannot make this {cls.__name__} anew: {error}. Keep each argument as an"
            " attribute of its name, in JSON, or leave start_from_trigger and end_from_trigger out"
        ) from error


def check_unpacks(operator: TriggeredOperator, packed: str) -> None:
    """Refuse, when a DAG was parsed, an operator of which no copy can be made.

    :raises ValueError: where its class does not take its arguments by the names of its attributes.
    """
    if DagContext.get_current() is not None:
        return  # not parsed yet: a copy would be another task of the DAG
    try:
        unpack(packed)
    except TypeError as error:
        raise ValueError(
            f"the triggerer cannot make this {type(operator).__name__} anew: {error}. Let its __init__ take"
            " each argument that it hands on (a default serves as well as a fixed value), or leave"
            " start_from_trigger and end_from_trigger out"
        ) from error
    except Exception as error:  # noqa: BLE001 - what has no value yet, another task's result say
        _log.debug("the copy is made when all is known: %r", error)


def unpack(packed: str) -> TriggeredOperator:
    """Return the operator that :func:`pack` was given: a copy without a DAG around it."""
    data = json.loads(packed)
    module, _, name = data["operator"].rpartition(".")
    arguments = data["arguments"]
    if arguments["execution_timeout"] is not None:
        arguments["execution_timeout"] = timedelta(seconds=arguments["execution_timeout"])
    operator: TriggeredOperator = getattr(importlib.import_module(module), name)(**arguments)
    for key in _APART:
        setattr(operator, key, data[key])
    return operator


@lru_cache(maxsize=256)
def _own_arguments(cls: type[TriggeredOperator]) -> tuple[str, ...]:
    """Return the arguments that the classes below Airflow's operator take, and a sensor."""
    return tuple(
        name
        for each in cls.__mro__
        if "__init__" in vars(each) and (issubclass(each, AwsOperator) or each is BaseSensorOperator)
        for name, parameter in inspect.signature(each).parameters.items()
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and name not in (*_AIRFLOWS, *_APART)
    )


def _to_json(value: object) -> object:
    if isinstance(value, timedelta):
        return value.total_seconds()
    raise TypeError(f"{value!r} is no JSON")


def _to_any_json(value: object) -> object:
    return None if hasattr(value, "iter_references") else _to_json(value)
