"""What a value of a parameter may be: checked before anything is sent, with one sentence for what is wrong.

botocore checks presence and type only; a service refuses patterns, enumerations and sizes, and by then a task
has been scheduled, and a record written.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Characters of a value that an error shows; a statement of ten thousand stays out of the log.
_SHOWN = 200


class Value(ABC):
    """A kind of value."""

    def rendered(self, value: object) -> object:
        """Return what a template was meant to render to.

        With ``render_template_as_native_obj`` Airflow makes a number of every string of digits.
        """
        return value

    @abstractmethod
    def read(self, name: str, value: object) -> Any:
        """Return the value as the API takes it.

        :param name: of the parameter, for the error.
        :raises ValueError: with one sentence that names the parameter and the value.
        """


@dataclass(frozen=True)
class Text(Value):
    """A string that matches a regular expression as a whole; ``must_be`` says it in words."""

    pattern: str = r"\S(?:.*\S)?"
    must_be: str = "a non-empty string without white space at its ends"

    def rendered(self, value: object) -> object:
        """See :meth:`Value.rendered`."""
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    def read(self, name: str, value: object) -> str:
        """See :meth:`Value.read`."""
        if not isinstance(value, str) or re.fullmatch(self.pattern, value, re.DOTALL) is None:
            raise refused(name, self.must_be, value)
        return value


class Choice(Value):
    """One of a few words."""

    def __init__(self, *choices: str) -> None:
        self.choices = choices

    def read(self, name: str, value: object) -> str:
        """See :meth:`Value.read`."""
        if not isinstance(value, str) or value not in self.choices:
            raise refused(name, f"one of {', '.join(self.choices)}", value)
        return value


class Flag(Value):
    """True or False, also as a template renders them."""

    def read(self, name: str, value: object) -> bool:
        """See :meth:`Value.read`."""
        if isinstance(value, str) and value in ("True", "False"):
            return value == "True"
        if not isinstance(value, bool):
            raise refused(name, "True or False", value)
        return value


@dataclass(frozen=True)
class Whole(Value):
    """A whole number, also as a template renders it."""

    minimum: int
    maximum: int | None = None

    def read(self, name: str, value: object) -> int:
        """See :meth:`Value.read`."""
        number = value
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value):
            number = int(value)
        if (
            isinstance(number, bool)
            or not isinstance(number, int)
            or number < self.minimum
            or (self.maximum is not None and number > self.maximum)
        ):
            span = (
                f"of at least {self.minimum}" if self.maximum is None else f"{self.minimum} to {self.maximum}"
            )
            raise refused(name, f"a whole number {span}", value)
        return number


@dataclass(frozen=True)
class ListOf(Value):
    """So many items of a kind."""

    item: Value
    minimum: int
    maximum: int

    def rendered(self, value: object) -> object:
        """See :meth:`Value.rendered`."""
        return [self.item.rendered(item) for item in value] if isinstance(value, (list, tuple)) else value

    def read(self, name: str, value: object) -> list[Any]:
        """See :meth:`Value.read`."""
        if not isinstance(value, (list, tuple)) or not self.minimum <= len(value) <= self.maximum:
            raise refused(name, f"a list of {self.minimum} to {self.maximum} items", value)
        return [self.item.read(f"{name}[{index}]", item) for index, item in enumerate(value)]


@dataclass(frozen=True)
class MapOf(Value):
    """A dict of names to values of one kind."""

    item: Value
    key: Value = field(default_factory=Text)
    maximum: int | None = None

    def read(self, name: str, value: object) -> dict[str, Any]:
        """See :meth:`Value.read`."""
        if not isinstance(value, Mapping) or (self.maximum is not None and len(value) > self.maximum):
            most = "" if self.maximum is None else f" of at most {self.maximum} items"
            raise refused(name, f"a dict{most}", value)
        return {
            self.key.read(f"{name}: the key {key!r}", key): self.item.read(f"{name}[{key!r}]", item)
            for key, item in value.items()
        }


@dataclass(frozen=True)
class Structure(Value):
    """A dict with the members that the API's structure has, under the API's own names."""

    members: Mapping[str, Value]
    required: tuple[str, ...] = ()

    def read(self, name: str, value: object) -> dict[str, Any]:
        """See :meth:`Value.read`."""
        if not isinstance(value, Mapping):
            raise refused(name, f"a dict with {_either(self.members)}", value)
        for key in value:
            if key not in self.members:
                raise refused(name, f"a dict with {_either(self.members)}", value)
        for key in self.required:
            if key not in value:
                raise refused(name, f"a dict that has {key}", value)
        return {key: self.members[key].read(f"{name}[{key!r}]", item) for key, item in value.items()}


def refused(name: str, must_be: str, value: object) -> ValueError:
    """Return the error for a bad value."""
    shown = repr(value)
    if len(shown) > _SHOWN:
        shown = f"{shown[: _SHOWN // 2]}... ({len(shown)} characters)"
    return ValueError(f"{name} must be {must_be}, not {shown}")


def _either(members: Mapping[str, Value]) -> str:
    return " or ".join(members)
