"""What a start says of its try."""

from __future__ import annotations

import re

from airflow_jobs_provider.operators.tokens import derive_label, derive_token
from tests.conftest import TaskInstance


def test_a_label_says_who_started_the_job() -> None:
    """Who finds a running job in the console must know whom to ask."""
    ti = TaskInstance(dag_id="sales", map_index=3)
    assert derive_label(ti, 200) == (
        "Airflow DAG sales, run scheduled__2026-11-22T05:00:00+00:00, task refresh [3], try 1"
    )
    long = TaskInstance(dag_id="d" * 250, task_id="t" * 250, run_id="r" * 250, map_index=1000, try_number=100)
    assert len(derive_label(long, 200)) == 200
    assert derive_label(long, 200).endswith(" [1000], try 100")


def test_tokens_are_readable_valid_and_the_same_for_the_same_try() -> None:
    """A token that changed within a try would start a job twice; one that did not change, never again."""
    ti = TaskInstance(dag_id="sales/daily", map_index=3)
    token = derive_token(ti, (1, 128))
    assert token == derive_token(ti, (1, 128))
    assert re.fullmatch(r"sales-daily-refresh-3-scheduled-2026-11-22T05-00-00-00-00-try1-[0-9a-f]{12}", token)
    other = TaskInstance(dag_id="sales/daily", map_index=3)
    assert derive_token(other, (1, 128)) != token
    long = TaskInstance(dag_id="d" * 250, task_id="t" * 250, run_id="ü" * 250, map_index=1000, try_number=100)
    assert re.fullmatch(r"[a-zA-Z0-9-]{1,128}", derive_token(long, (1, 128)))
    short = TaskInstance(dag_id="-", task_id="_", run_id="r")
    assert re.fullmatch(r"r-try1-[0-9a-f]{26}", derive_token(short, (33, 256)))
