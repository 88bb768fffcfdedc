"""What a start request says of its try: the idempotency token, the label; and what it is compared by."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any


def fingerprint(request: Mapping[str, Any]) -> str:
    """Return a short hash of a request: the store keeps no statement and no ARN."""
    return hashlib.sha256(json.dumps(request, sort_keys=True, default=str).encode()).hexdigest()[:16]


def derive_token(ti: Any, lengths: tuple[int, int]) -> str:
    """Return an idempotency token: readable, the same if the same try asks again, another for another try.

    It has letters, digits and hyphens only, and begins and ends with none of the hyphens, which every service
    takes. The hash includes the task instance's own id, which also changes when the task instance is cleared,
    or deleted and made again.

    :param lengths: how short and how long it may be.
    """
    shortest, longest = lengths
    parts = [ti.dag_id, ti.task_id, *([str(ti.map_index)] if ti.map_index >= 0 else []), ti.run_id]
    identity = json.dumps([*parts, ti.map_index, ti.try_number, str(ti.id)])
    digest = hashlib.sha256(identity.encode()).hexdigest()
    words = [word for part in parts if (word := re.sub(r"[^a-zA-Z0-9]+", "-", part).strip("-"))]
    words = [*_fitting(words, longest - len(f"-try{ti.try_number}-{digest[:12]}")), f"try{ti.try_number}"]
    readable = "-".join(words)
    return f"{readable}-{digest[: max(12, shortest - len(readable) - 1)]}"


def derive_label(ti: Any, longest: int) -> str:
    """Return a sentence that says which try of which task has started a job, for people and for us.

    Its end is a hash that only this try has.

    :param longest: how long it may be.
    """
    mapped = f" [{ti.map_index}]" if is_mapped(ti) else ""
    rest = (mapped, ti.try_number, _digest(ti))
    words = [ti.dag_id, ti.run_id, ti.task_id]
    room = longest - len(_LABEL.format("", "", "", *rest)) + len(words) - 1
    return _LABEL.format(*_fitting(words, room), *rest)


def is_mapped(ti: Any) -> bool:
    """Whether a task instance is one of several that are mapped from one task."""
    return bool(ti.map_index >= 0)


def derive_comment(ti: Any) -> str:
    """Return what a comment in a statement says: which try of which task has sent it, for people and for us.

    Its end is a hash that only this try has. No character of it ends a comment.
    """
    words = [re.sub(r"[^a-zA-Z0-9_.:+-]", "-", word) for word in (ti.dag_id, ti.run_id, ti.task_id)]
    dag, run, task = _fitting(words, _LONGEST_NAMES)
    mapped = f" {ti.map_index}" if is_mapped(ti) else ""
    return _LABEL.format(dag, run, task, mapped, ti.try_number, _digest(ti))


# Characters of the names in a comment: a statement has 10,000 at the most.
_LONGEST_NAMES = 150
_LABEL = "Airflow DAG {}, run {}, task {}{}, try {}, {}"


def _digest(ti: Any) -> str:
    """Return a hash that only this try of this task instance has."""
    identity = json.dumps([ti.dag_id, ti.run_id, ti.task_id, ti.map_index, ti.try_number, str(ti.id)])
    return hashlib.sha256(identity.encode()).hexdigest()[:24]


def _fitting(words: list[str], room: int) -> list[str]:
    """Return words that fit into so many characters with one between them: the longest are cut."""
    words = list(words)
    while sum(map(len, words)) + len(words) - 1 > room:
        longest = max(range(len(words)), key=lambda index: len(words[index]))
        words[longest] = words[longest][:-1]
    return words
