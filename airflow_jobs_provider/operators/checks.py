"""Refuse bad input in one sentence that names the parameter and the value, as early as possible."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from airflow_jobs_provider.jobs.values import Choice


def is_literal(value: object) -> bool:
    """Whether a parameter's value is known at DAG parse: neither a template nor an XComArg."""
    if isinstance(value, str):
        return not any(mark in value for mark in ("{{", "{%", "{#"))
    if isinstance(value, (list, tuple)):
        return all(map(is_literal, value))
    if isinstance(value, dict):
        return all(map(is_literal, value.values()))
    # An XComArg, or an argument that is mapped, is resolved when the task runs.
    return not hasattr(value, "iter_references")


def check_flags(operator: Any, names: Iterable[str]) -> None:
    """Refuse what is neither True nor False: the string "False" would count as true."""
    for key in names:
        if not isinstance(value := getattr(operator, key), bool):
            raise ValueError(f"{key} must be True or False, not {value!r}")


def check_choice(key: str, value: object, choices: Iterable[str]) -> None:
    """Refuse what is none of a few words."""
    Choice(*choices).read(key, value)


def check_seconds(key: str, value: object) -> None:
    """Refuse what is not a positive number of seconds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise ValueError(f"{key} must be a number of seconds above 0, not {value!r}")


def check_count(key: str, value: object) -> None:
    """Refuse what is neither ``None`` nor a whole number of at least 0."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise ValueError(f"{key} must be a whole number of at least 0 or None, not {value!r}")


def check_aws(operator: Any, *, only_literal: bool) -> None:
    """Refuse what is no connection id, region, certificate or botocore configuration.

    :param only_literal: leave out what is known only when the task runs.
    """
    for key, pattern, must_be in (
        ("aws_conn_id", r"\S(?:.*\S)?", "the id of an Airflow connection or None"),
        ("region_name", r"[a-z0-9]+(?:-[a-z0-9]+)+", "an AWS region such as eu-west-1, or None"),
        ("verify", r"\S(?:.*\S)?", "True, False, the path of a CA bundle, or None"),
    ):
        value = getattr(operator, key)
        if value is None or (only_literal and not is_literal(value)):
            continue
        if key == "verify" and isinstance(value, bool):
            continue
        # "False" is what a template renders to, and no path
        valid = isinstance(value, str) and value not in ("True", "False")
        if not valid or not re.fullmatch(pattern, value):
            raise ValueError(f"{key} must be {must_be}, not {value!r}")
    if operator.botocore_config is not None:
        try:
            json.dumps(operator.botocore_config)
        except (TypeError, ValueError):
            valid = False
        else:
            valid = isinstance(operator.botocore_config, dict)
        if not valid:
            # a trigger takes it along as JSON; the value itself may hold a proxy's password
            kind = type(operator.botocore_config).__name__
            raise ValueError(
                f"botocore_config must be a dict of JSON values for botocore.config.Config, not a {kind}"
            )
