"""What a start says of its try."""

from __future__ import annotations

import re

import pytest

from airflow_jobs_provider.jobs.cloudtrail import CLOUDTRAIL_QUERY
from airflow_jobs_provider.operators.tokens import derive_comment, derive_label, derive_token
from tests.conftest import TaskInstance


def test_a_label_says_who_started_the_job() -> None:
    """Who finds a running job in the console must know whom to ask, and a kill which one is its own."""
    ti = TaskInstance(dag_id="sales", map_index=3)
    assert derive_label(ti, 200) == (
        "Airflow DAG sales, run scheduled__2026-11-22T05:00:00+00:00, task refresh [3], try 1, "
        + derive_comment(ti)[-24:]
    )
    long = TaskInstance(dag_id="d" * 250, task_id="t" * 250, run_id="r" * 250, map_index=1000, try_number=100)
    assert len(derive_label(long, 200)) == 200
    assert re.search(r" \[1000\], try 100, [0-9a-f]{24}$", derive_label(long, 200))


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


def test_comments_do_not_end_early_and_are_a_tries_own() -> None:
    """A name that closed the comment would be run; a comment of two tries would cancel the wrong query."""
    ti = TaskInstance(dag_id="sales */ DROP", task_id="ünder", run_id="a\nb'; --", map_index=3)
    comment = derive_comment(ti)
    assert comment == derive_comment(ti)
    assert re.fullmatch(
        r"Airflow DAG sales----DROP, run a-b-----, task -nder 3, try 1, [0-9a-f]{24}", comment
    ), comment
    assert derive_comment(TaskInstance(dag_id="sales */ DROP", task_id="ünder", map_index=3)) != comment
    long = TaskInstance(dag_id="d" * 250, task_id="t" * 250, run_id="r" * 250, map_index=1000, try_number=100)
    assert len(derive_comment(long)) < 250


@pytest.mark.parametrize(
    ("statement", "store"),
    [
        ("SELECT eventID FROM {} WHERE 1 = 1", True),
        ("SELECT a.x\nfrom\n  {} a JOIN other b ON a.x = b.x;", True),
        ('WITH e AS (SELECT * FROM "{}") SELECT count(*) FROM e -- all', True),
        ("SELECT * FROM (SELECT * FROM ( SELECT 1 FROM {}))", True),
        ("SELECT * FROM e AS a, e AS b WHERE a.id = '{}'", False),
        ("SELECT 1", False),
    ],
)
def test_the_event_data_store_of_a_statement(statement: str, store: bool) -> None:
    """A query can be looked for only where it ran."""
    uuid = "12345678-ABCD-1234-abcd-123456789012"
    told = CLOUDTRAIL_QUERY.told_within({"query_statement": statement.format(uuid)})
    assert told == ({"event_data_store": uuid} if store else {})
