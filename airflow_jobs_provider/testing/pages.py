"""Pages of a list operation."""

from __future__ import annotations

import base64
from bisect import bisect_left
from collections.abc import Sequence
from typing import TypeVar

from airflow_jobs_provider.testing.job import Job

Item = TypeVar("Item")

_AFTER = "after-"
_FROM = "from-"


def page_of(jobs: Sequence[Job], token: str | None, size: int) -> tuple[list[Job], str | None]:
    """Return one page of jobs, newest first, and the token of the next page.

    The token says after which job to go on: jobs that start between two pages move nothing.

    :param jobs: in the order of their start.
    :param token: of this page; None for the first one.
    :param size: how many jobs at most.
    :raises ValueError: for a token that is not ours.
    """
    end = len(jobs)
    if token is not None:
        end = bisect_left(jobs, _number(token, _AFTER), key=lambda job: job.position)
    page = list(jobs[max(0, end - size) : end][::-1])
    return page, _token(_AFTER, page[-1].position) if end > size and page else None


def slice_of(items: Sequence[Item], token: str | None, size: int) -> tuple[list[Item], str | None]:
    """Return one page of what does not move (a query's rows), in the order given, and the next token.

    :param items: everything.
    :param token: of this page; None for the first one.
    :param size: how many items at most.
    :raises ValueError: for a token that is not ours.
    """
    begin = 0 if token is None else _number(token, _FROM)
    end = begin + size
    return list(items[begin:end]), _token(_FROM, end) if end < len(items) and size else None


def _token(prefix: str, number: int) -> str:
    return base64.urlsafe_b64encode(f"{prefix}{number}".encode()).decode()


def _number(token: str, prefix: str) -> int:
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode()
        if text.startswith(prefix):
            return int(text.removeprefix(prefix))
    except ValueError:
        pass
    raise ValueError(f"The next token {token!r} is not valid.")
