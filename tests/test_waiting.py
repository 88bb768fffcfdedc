"""The schedule of a wait, without a clock to wait for."""

from __future__ import annotations

import itertools
import logging
import random

import pytest

from airflow_jobs_provider.exceptions import AwsApiError
from airflow_jobs_provider.jobs.errors import ErrorKind
from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot, JobState
from airflow_jobs_provider.steps import Pause
from airflow_jobs_provider.waiting import wait_until_over

RUN = JobRun(
    "quicksight-ingestion",
    {"aws_account_id": "123456789012", "data_set_id": "sales", "ingestion_id": "i1"},
    "eu-west-1",
)
RUNNING = JobSnapshot(state=JobState.RUNNING, status="RUNNING")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time, to be moved by hand."""
    now = [1000.0]
    monkeypatch.setattr("airflow_jobs_provider.waiting.time.time", lambda: now[0])
    monkeypatch.setattr("airflow_jobs_provider.waiting.time.monotonic", lambda: now[0] - 1000)
    return now


def pauses(
    clock: list[float],
    poll_interval: float,
    seconds: float,
    error: AwsApiError | None = None,
    *,
    ahead: float = 0.0,
) -> list[float]:
    """Return the pauses of a wait that lasts for so long.

    :param ahead: seconds by which the clock that told the start is ahead of this machine's.
    """
    steps = wait_until_over(
        RUN, log=logging.getLogger(__name__), poll_interval=poll_interval, started_at=clock[0] + ahead
    )
    step, found, end = next(steps), [], clock[0] + seconds
    while clock[0] < end:
        if isinstance(step, Pause):
            found.append(step.seconds)
            clock[0] += step.seconds
            step = next(steps)
        else:
            step = steps.throw(error) if error else steps.send(RUNNING)
    return found


def test_what_is_not_news_wakes_no_wait(clock: list[float]) -> None:
    """A list that shows nothing new of a job begins its pause anew, and no more than that.

    But it must not put off the deadline, nor the line in the log that says that the job still runs.
    """
    began = clock[0]
    steps = wait_until_over(
        RUN, log=logging.getLogger(__name__), poll_interval=30, started_at=began, deadline=began + 700
    )
    next(steps)
    pause = steps.send(RUNNING)
    assert isinstance(pause, Pause)
    assert pause.anew is not None
    assert (pause.anew() or 0) <= 1
    clock[0] = began + 299
    assert 27 <= (pause.anew() or 0) <= 30
    clock[0] = began + 301
    assert pause.anew() is None
    next(steps)
    pause = steps.send(RUNNING)
    assert isinstance(pause, Pause)
    assert pause.anew is not None
    clock[0] = began + 590
    assert 27 <= (pause.anew() or 0) <= 30
    steps.close()
    steps = wait_until_over(
        RUN, log=logging.getLogger(__name__), poll_interval=30, started_at=began, deadline=clock[0] + 200
    )
    next(steps)
    pause = steps.send(RUNNING)
    assert isinstance(pause, Pause)
    assert pause.anew is not None
    clock[0] += 195
    assert pause.anew() == 5
    clock[0] += 5
    assert pause.anew() is None


def test_young_jobs_are_read_often_and_old_ones_seldom(clock: list[float]) -> None:
    """A job of seconds must be seen in seconds, and one of hours must cost a reading per poll_interval."""
    found = pauses(clock, 30, 3600)
    assert found[0] <= 1
    assert all(earlier <= later * 1.2 for earlier, later in itertools.pairwise(found))
    assert 27 <= found[-1] <= 30
    assert len(found) < 6 + 10 + 3600 / 27


@pytest.mark.parametrize("poll_interval", [1, 5, 6, 10, 30, 60])
@pytest.mark.parametrize("duration", [2, 7, 20, 45, 90, 200, 600, 3600])
def test_a_wait_costs_no_more_readings_than_promised(
    clock: list[float], poll_interval: float, duration: float
) -> None:
    """Each is a call that the whole account shares: 6 beside one in a poll_interval, on average."""
    readings = [len(pauses(clock, poll_interval, duration)) + 1 for _ in range(20)]
    assert sum(readings) / len(readings) <= 6 + duration / poll_interval


def test_the_end_of_a_short_job_is_seen_soon(clock: list[float]) -> None:
    """Jobs of 2 to 20 seconds, with the default interval of a refresh that people watch."""
    random.seed(0)
    late = []
    for number in range(2000):
        began, duration = clock[0], 2 + 18 * number / 2000
        pauses(clock, 5, duration)
        late.append(clock[0] - began - duration)
    assert sorted(late)[1900] <= 3


def test_a_clock_that_is_behind_makes_no_job_new(clock: list[float]) -> None:
    """A job that AWS says was started in ten minutes must not be read each second until then."""
    random.seed(0)
    right, behind = pauses(clock, 30, 600), pauses(clock, 30, 600, ahead=600)
    assert len(behind) <= len(right) + 2


def test_errors_slow_a_wait_down(clock: list[float]) -> None:
    """A throttled API must not be asked more often than one that answers."""
    throttled = AwsApiError("slow down", meaning=ErrorKind.REJECTED, code="ThrottlingException")
    calm, nervous = pauses(clock, 30, 600), pauses(clock, 30, 600, throttled)
    assert len(nervous) < len(calm)
    assert max(nervous) <= 60


def test_a_log_line_says_something_new(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    """A log with a line a poll hides the one line that matters."""
    caplog.set_level(logging.INFO)
    pauses(clock, 10, 3600)
    assert 12 <= len(caplog.records) <= 14  # the status, and a sign of life every five minutes
