"""Pages of a list operation."""

from __future__ import annotations

import base64
from bisect import bisect_left
from collections.abc import Sequence

from airflow_jobs_provider.testing.job import Job

_PREFIX = "after-"


def page_of(jobs: Sequence[Job], token: str | None, size: int) -> tuple[list[Job], str | None]:
    """Return one page of a target's jobs, newest first, and the token of the next page.

    The token says after which job to go on: jobs that start between two pages move nothing.

    :param jobs: in the order of their start.
    :param token: of this page; None for the first one.
    :param size: how many jobs at most.
    :raises ValueError: for a token that is not ours.
    """
    end = len(jobs)
    if token is not None:
        end = bisect_left(jobs, _position(token), key=lambda job: job.position)
    page = list(jobs[max(0, end - size) : end][::-1])
    if end <= size:
        return page, None
    return page, base64.urlsafe_b64encode(f"{_PREFIX}{page[-1].position}".encode()).decode()


def _position(token: str) -> int:
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode()
        if text.startswith(_PREFIX):
            return int(text.removeprefix(_PREFIX))
    except ValueError:
        pass
    raise ValueError(f"The next token {token!r} is not valid.")
