"""The mark that a job carries in AWS, to be read back from a list: which task of which Airflow started it.

    prod_-sales_-scheduled____2026-11-22T05_c00_c00_z_-refresh_-3_-1_-1f3a9c2d

Deployment id, DAG, run, task, map index (nothing where the task is not mapped), try, and a short hash of the
task instance's own id, which makes the mark unique: a task instance that is deleted and made again counts its
tries anew. ``_-`` separates, ``_`` is the escape character, letters, digits and hyphens stand for themselves:
a mark may be a QuickSight ingestion id, and people can read it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airflow.sdk.configuration import conf

if TYPE_CHECKING:
    from airflow_jobs_provider.operators.base import StartJobOperator

SECTION, OPTION = "airflow_jobs_provider", "deployment_id"

_SEPARATOR = "_-"
_FIELDS = 7
# What run ids have; everything else that is neither letter, digit nor hyphen is written as its bytes.
_ESCAPES = {"+00:00": "_z", "_": "__", ":": "_c", "+": "_p", ".": "_d", "~": "_t", "/": "_s"}
_PLAIN = {escape: text for text, escape in _ESCAPES.items()}
_TO_ESCAPE = re.compile(r"\+00:00|[^a-zA-Z0-9-]")
_TOKEN = re.compile(r"_x[0-9a-f]{2}|_.|[a-zA-Z0-9-]", re.DOTALL)
_DEPLOYMENT = r"[a-z0-9](?:[a-z0-9-]{0,14}[a-z0-9])?"


@dataclass(frozen=True)
class TaskKey:
    """A task instance, whatever try it is in.

    :param map_index: -1 where the task is not mapped.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int


@dataclass(frozen=True)
class Mark:
    """Who has started a job.

    :param deployment: the id of the Airflow.
    :param key: the task instance.
    :param try_number: its try.
    :param digest: short hash of the task instance's own id.
    """

    deployment: str
    key: TaskKey
    try_number: int
    digest: str

    @classmethod
    def of(cls, ti: Any, deployment: str) -> Mark:
        """Return the mark of the jobs of a try."""
        key = TaskKey(ti.dag_id, ti.run_id, ti.task_id, ti.map_index)
        return cls(deployment, key, ti.try_number, hashlib.sha256(str(ti.id).encode()).hexdigest()[:8])

    def encode(self) -> str:
        """Return the mark as a job carries it: letters, digits, hyphens and underscores."""
        key = self.key
        mapped = str(key.map_index) if key.map_index >= 0 else ""
        fields = (self.deployment, key.dag_id, key.run_id, key.task_id, mapped, str(self.try_number))
        return _SEPARATOR.join([*map(_escape, fields), self.digest])

    @classmethod
    def decode(cls, text: str) -> Mark | None:
        """Read what :meth:`encode` wrote; ``None`` for everything else."""
        fields = _fields(text)
        if fields is None or len(fields) != _FIELDS:
            return None
        deployment, dag_id, run_id, task_id, mapped, try_number, digest = fields
        numbers = re.fullmatch(r"[0-9]{0,9}", mapped) and re.fullmatch(r"[0-9]{1,9}", try_number)
        valid = re.fullmatch(_DEPLOYMENT, deployment) and re.fullmatch(r"[0-9a-f]{8}", digest)
        if not (numbers and valid and dag_id and run_id and task_id):
            return None
        key = TaskKey(dag_id, run_id, task_id, int(mapped) if mapped else -1)
        mark = cls(deployment, key, int(try_number), digest)
        # Only one text stands for a mark: what was written in another way was not written by us.
        return mark if mark.encode() == text else None


def deployment_id() -> str | None:
    """Return the configured id of this Airflow; ``None`` where there is none.

    :raises ValueError: for one that cannot be used.
    """
    found = conf.get(SECTION, OPTION, fallback="")
    if not found:
        return None
    if not re.fullmatch(_DEPLOYMENT, found):
        raise ValueError(
            f"[{SECTION}] {OPTION} in Airflow's configuration must be 1 to 16 small letters, digits or"
            f" hyphens, with no hyphen at its ends, not {found!r}"
        )
    return str(found)


def marks_jobs(operator: StartJobOperator) -> bool:
    """Whether the jobs of a task are marked: those that are to end with it, in an Airflow that has an id.

    :raises ValueError: for a configured id that cannot be used.
    """
    swept = operator.job_type.sweep is not None and operator.cancel_on_kill and operator.wait_for_completion
    return swept and deployment_id() is not None


def mark_for(operator: StartJobOperator, ti: Any, parameter: str, longest: int) -> str | None:
    """Return the value of a start's parameter that is to carry the mark.

    :param longest: how many characters it may have.
    :returns: ``None`` where it carries none: another parameter does, the job is not to be marked, or the mark
        is too long (which is logged).
    :raises ValueError: for a configured deployment id that cannot be used.
    """
    sweep, deployment = operator.job_type.sweep, deployment_id() if marks_jobs(operator) else None
    if sweep is None or sweep.parameter != parameter or deployment is None:
        return None
    mark = Mark.of(ti, deployment).encode()
    if len(mark) <= longest:
        return mark
    operator.log.warning(
        "AwsJobSweepOperator will not know the job of this try: its mark has %d characters, and %s may have"
        " %d. Shorter ids of DAG, run and task would mend it",
        *(len(mark), parameter, longest),
    )
    return None


def _escape(text: str) -> str:
    return _TO_ESCAPE.sub(lambda match: _escape_one(match[0]), text)


@lru_cache(maxsize=256)
def _escape_one(text: str) -> str:
    known = _ESCAPES.get(text)
    # A lone surrogate cannot be in Airflow's database; if it were, it must not fail a start.
    return known or "".join(f"_x{byte:02x}" for byte in text.encode("utf-8", "surrogatepass"))


def _fields(text: str) -> list[str] | None:
    """Return the fields of a text, unescaped; ``None`` for one that we cannot have written."""
    tokens = _TOKEN.findall(text)
    if "".join(tokens) != text:
        return None
    fields = [b""]
    for token in tokens:
        if token == _SEPARATOR:
            fields.append(b"")
        elif len(token) == 1:
            fields[-1] += token.encode()
        elif token.startswith("_x"):
            if len(token) != len("_x00"):
                return None
            fields[-1] += bytes.fromhex(token[2:])
        elif token in _PLAIN:
            fields[-1] += _PLAIN[token].encode()
        else:
            return None
    try:
        return [field.decode("utf-8", "surrogatepass") for field in fields]
    except UnicodeDecodeError:
        return None
