"""Settings of an emulated job: a default, and a check that refuses nonsense with one sentence.

A check returns the value in its canonical form, or raises ``ValueError`` with what it must be; :func:`named`
adds the setting's name and the value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from moto.core.utils import get_service_model

Check = Callable[[Any], Any]


@dataclass(frozen=True)
class Setting:
    """One setting of a job type.

    :param default: the value when nobody sets it.
    :param check: validates and normalises a value.
    :param doc: what it means, with its unit.
    :param per_job: False for what belongs to the service and not to a job (a quota): it can be configured,
        but not scripted.
    :param needs_status: the only end at which it shows: a script that sets it for another end is a mistake.
    """

    default: Any
    check: Check
    doc: str
    per_job: bool = True
    needs_status: str | None = None


def _require(fulfilled: bool, what: str) -> None:
    if not fulfilled:
        raise ValueError(f"must be {what}")


def number(value: Any, what: str, *, minimum: float = 0, whole: bool = False) -> Any:
    """Return ``value`` if it is a number of at least ``minimum``; ``what`` says so in the error."""
    kinds = (int,) if whole else (int, float)
    _require(isinstance(value, kinds) and not isinstance(value, bool), what)
    _require(not math.isnan(value) and value >= minimum, what)
    return value


def seconds(value: Any) -> float:
    """Check for seconds: a number of 0 or more."""
    return float(number(value, "a number of seconds, 0 or more"))


def seconds_or_never(value: Any) -> float:
    """Check for seconds, or None for never."""
    return math.inf if value is None else seconds(value)


def count(value: Any) -> int:
    """Check for a whole number of 0 or more."""
    return int(number(value, "a whole number, 0 or more", whole=True))


def count_from_one(value: Any) -> int:
    """Check for a whole number of 1 or more."""
    return int(number(value, "a whole number, 1 or more", minimum=1, whole=True))


def flag(value: Any) -> bool:
    """Check for True or False."""
    _require(isinstance(value, bool), "True or False")
    return bool(value)


def text(value: Any) -> str:
    """Check for a string."""
    _require(isinstance(value, str), "a string")
    return str(value)


def texts(value: Any) -> frozenset[str]:
    """Check for a list (or set) of strings."""
    _require(isinstance(value, (list, tuple, set, frozenset)), "a list of strings")
    _require(all(isinstance(item, str) for item in value), "a list of strings")
    return frozenset(value)


def lines(value: Any) -> list[str]:
    """Check for a list of strings, in their order."""
    _require(isinstance(value, (list, tuple)), "a list of strings")
    _require(all(isinstance(item, str) for item in value), "a list of strings")
    return list(value)


def rows(value: Any) -> list[dict[str, str]]:
    """Check for the rows of a query's result: every value becomes a string, as the services return it."""
    what = "a list of rows, each a mapping of columns to values"
    _require(isinstance(value, (list, tuple)), what)
    _require(all(isinstance(row, Mapping) for row in value), what)
    return [{str(column): str(item) for column, item in row.items()} for row in value]


def mapping(check: Check, what: str) -> Check:
    """Return a check for a mapping of strings to what ``check`` accepts; ``what`` says so in the error."""

    def checked(value: Any) -> dict[str, Any]:
        _require(isinstance(value, Mapping) and all(isinstance(key, str) for key in value), what)
        return {key: check(item) for key, item in value.items()}

    return checked


def optional(check: Check) -> Check:
    """Return a check that also accepts None."""
    return lambda value: None if value is None else check(value)


def one_of(*choices: str) -> Check:
    """Return a check for one of a few words."""

    def check(value: Any) -> str:
        _require(value in choices, f"one of {', '.join(choices)}")
        return str(value)

    return check


def one_of_shape(service: str, shape: str) -> Check:
    """Return a check for a value of an enumeration in the botocore model of ``service``."""

    def check(value: Any) -> str:
        # Read when it is first needed: a service model takes a tenth of a second to load.
        enumeration: Any = get_service_model(service).shape_for(shape)
        return str(one_of(*enumeration.enum)(value))

    return check


#: The setting of what is not there.
MISSING_TARGETS = Setting([], texts, "ids of targets that do not exist", per_job=False)


def limit(default: int | None, doc: str) -> Setting:
    """Return the setting of a limit; None for no limit."""
    return Setting(default, optional(count), doc, per_job=False)


def refusal(*answers: str) -> Setting:
    """Return the setting of what a cancel says when it comes too late: by default the first one."""
    return Setting(answers[0], one_of(*answers), "what a cancel of an ended job says", per_job=False)


def named(name: str, value: Any, check: Check, owner: str = "") -> Any:
    """Return ``value`` checked; the ``ValueError`` names the parameter, the value and whose it is."""
    try:
        return check(value)
    except ValueError as error:
        raise ValueError(f"{name}={value!r}{owner and f' of {owner}'} {error}") from None
