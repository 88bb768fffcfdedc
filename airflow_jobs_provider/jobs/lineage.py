"""Which data a job reads and writes, and how much: what assets and lineage tell of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from string import Formatter
from typing import Any

from airflow_jobs_provider.jobs.paths import search

_URI = re.compile(r"arn:|[a-z][a-z0-9+.-]*://")


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """Which data a job reads and writes, and how much.

    URIs have ``{region}`` and the names of parameters in braces. A list stands for one URI each, the ARN of
    something else's for itself; a URI of which a part is not known is left out.

    :param id: the parameter that is the job's own id; the rest of its identity says where.
    :param reads: URIs of what it reads.
    :param writes: URIs of what it writes.
    :param within: parameter -> the parameter whose text tells it, and the regular expression whose first
        group it is, as often as it is found.
    :param told: parameter -> JMESPath to its value in the job's record, which counts for more.
    :param figures: name -> JMESPath to a number, in the record of a job that has ended.
    :param rows: the figure that counts the rows written, if one does.
    :param size: the figure that counts the bytes written, if one does.
    """

    id: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    within: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, str] = field(default_factory=dict)
    rows: str | None = None
    size: str | None = None

    def values(self, given: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
        """Return what URIs are made of.

        :param given: ``region``, the job's identity and the operator's parameters, as far as they are known.
        :param record: the job's record; empty while there is none.
        """
        named = {
            name: re.findall(pattern, given.get(parameter) or "")
            for name, (parameter, pattern) in self.within.items()
        }
        told = {name: search(path, record) for name, path in self.told.items()}
        return {**given, **{key: value for key, value in {**named, **told}.items() if value}}

    def count(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return the figures that a record has."""
        found = {name: search(path, record) for name, path in self.figures.items()}
        return {name: number for name, number in found.items() if number is not None}


def uris(templates: Iterable[str], values: Mapping[str, Any]) -> Iterator[str]:
    """Yield the URIs that can be made of templates."""
    for template in templates:
        names = [name for _, name, _, _ in Formatter().parse(template) if name]
        for chosen in product(*(_each(values.get(name)) for name in names)):
            arn = next((value for value in chosen if value.startswith("arn:")), None)
            uri = arn or template.format(**dict(zip(names, chosen, strict=True)))
            if _URI.match(uri):
                yield uri


def namespace_and_name(uri: str) -> tuple[str, str]:
    """Divide a URI as OpenLineage names data.

    As for S3 (``s3://bucket`` and ``key``), and for ARNs as for those of AWS Glue (up to the account, and the
    rest).
    """
    if uri.startswith("arn:"):
        *namespace, name = uri.split(":", 5)
        return ":".join(namespace), name
    scheme, _, rest = uri.partition("://")
    authority, _, name = rest.partition("/")
    return f"{scheme}://{authority}", name.rstrip("/") or "/"


def _each(value: object) -> list[str]:
    """Return the texts that a value is or has; what is no text is not known."""
    items = value if isinstance(value, (list, tuple)) else [value]
    return [item for item in items if isinstance(item, str) and item]
