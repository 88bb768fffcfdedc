"""Reading records: a path to a value, and a value as JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import jmespath


def search(path: str, record: Any) -> Any:
    """Return what a JMESPath finds in a record; ``None`` where there is nothing."""
    return _compiled(path)(record)


def to_json(value: Any) -> Any:
    """Return a value of boto3's as JSON has it: times in ISO 8601."""
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    return value


# Names and dots: what most paths are, and what a JMESPath takes ten times as long for.
_NAMES = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@lru_cache(maxsize=256)
def _compiled(path: str) -> Callable[[Any], Any]:
    if not _NAMES.fullmatch(path):
        found: Callable[[Any], Any] = jmespath.compile(path).search
        return found
    names = path.split(".")

    def search(record: Any) -> Any:
        try:
            for name in names:
                record = record.get(name)
        except AttributeError:  # as JMESPath has it: what has no members has none
            return None
        return record

    return search
