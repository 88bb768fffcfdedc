"""Many waits in one event loop, over real HTTP: what they share, and what they must not."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest

from airflow_jobs_provider.hooks.aws_job import AwsJobHook
from airflow_jobs_provider.testing import Emulator
from airflow_jobs_provider.triggers import aws_job, lanes, poller
from airflow_jobs_provider.triggers.lanes import Bucket
from tests.conftest import Context

if TYPE_CHECKING:
    from tests.cases import Case
from tests.triggers.jobs import READ, calls, event, refreshes, says, trigger, waits
from tests.triggers.tasks import until

pytestmark = pytest.mark.usefixtures("quick")


async def test_two_waits_for_a_job_share_its_reading(aws: Emulator) -> None:
    """A sensor and the task that started the job ask for the same."""
    [run] = refreshes(aws, 1)
    aws.settle("quicksight-ingestion", {}, "COMPLETED")
    first, second = await asyncio.gather(*waits([run, run]))
    assert first["snapshot"] == second["snapshot"]
    assert calls(aws, READ) == 1


async def test_a_wait_that_is_given_up_leaves_the_others_theirs(aws: Emulator) -> None:
    """A task that is killed while it shares a reading must not take it from another task."""
    [run] = refreshes(aws, 1)
    aws.fault("delay", delay=0.5, operation=READ, times=1)
    given_up, kept = waits([run, run])
    await asyncio.sleep(0.2)
    given_up.cancel()
    aws.settle("quicksight-ingestion", {}, "COMPLETED")
    assert (await kept)["snapshot"]["status"] == "COMPLETED"


async def test_no_wait_starves(aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the API is slower than the waits would have it, each must have its turn."""
    monkeypatch.setattr(lanes, "_UNPUBLISHED", (60.0, 60.0))
    waiting = waits(refreshes(aws, 30))
    await until(lambda: calls(aws, READ) >= 120)
    reads = Counter(call["parameters"]["IngestionId"] for call in aws.journal(READ))
    assert len(reads) == 30
    assert max(reads.values()) - min(reads.values()) <= 2
    aws.settle("quicksight-ingestion", {}, "COMPLETED")
    await asyncio.gather(*waiting)


async def test_a_published_rate_is_kept(aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred waits that read as they like would have the whole account throttled."""
    monkeypatch.setattr(lanes, "_UNPUBLISHED", (20.0, 20.0))
    waiting = waits(refreshes(aws, 100))
    await until(lambda: calls(aws, READ) >= 80)
    times = [call["time"] for call in aws.journal(READ)]
    # some may be sent at once after a rest, and while the client is opened; then no more than the rate
    assert all(later - earlier > 0.5 for earlier, later in zip(times[20:], times[40:], strict=False))
    for wait in waiting:
        wait.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_nobody_is_overtaken_at_a_bucket() -> None:
    """Next pages of lists ask past the queue: the first pages of others must have their turn all the same."""
    bucket, order = Bucket(5.0), []

    async def take(name: str) -> None:
        await bucket.take()
        order.append(name)

    for _ in range(5):
        await bucket.take()
    first = asyncio.create_task(take("first page"))
    await asyncio.sleep(0.3)  # there is a token by now, and the first one still sleeps: for two
    await take("next page")
    await first
    assert order == ["first page", "next page"]


async def test_throttles_slow_all_down_and_fail_none(
    aws: Emulator, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A throttle is an answer to all waits together: none of them has done anything wrong."""
    monkeypatch.setattr(lanes, "_RECOVERY", 0.0)
    aws.fault("throttle", operation=READ, times=3)
    waiting = waits(refreshes(aws, 5))
    await until(lambda: calls(aws, READ) >= 20)
    [shared] = poller._pollers[asyncio.get_running_loop()].values()
    slowed = shared._lanes["describe_ingestion"].bucket.rate
    assert slowed < 500
    monkeypatch.setattr(lanes, "_RECOVERY", 100.0)
    await until(lambda: shared._lanes["describe_ingestion"].bucket.rate > slowed)
    aws.settle("quicksight-ingestion", {}, "COMPLETED")
    assert all("snapshot" in payload for payload in await asyncio.gather(*waiting))
    assert not [record for record in caplog.records if "could not read" in record.getMessage()]


def test_a_rate_learns_and_recovers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that is lower than ours must be found, and a bad minute be forgotten."""
    now = [100.0]
    monkeypatch.setattr("airflow_jobs_provider.triggers.lanes.time.monotonic", lambda: now[0])
    bucket = Bucket(10.0)
    for _ in range(5):  # calls that were under way together
        bucket.throttled()
    assert 8 < bucket.rate < 9
    for _ in range(20):
        now[0] += 1
        bucket.throttled()
    assert bucket.rate == 0.5
    for _ in range(20):
        now[0] += 1
        bucket.answered()
    assert bucket.rate == 10.0


async def test_a_cancel_does_not_queue(aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed task's job must end although a thousand readings wait for their turn."""
    monkeypatch.setattr(lanes, "_UNPUBLISHED", (0.1, 0.1))
    monkeypatch.setattr(aws_job, "still_waits", says(False))
    runs = refreshes(aws, 20)
    waiting = waits(runs)
    await until(lambda: calls(aws, READ) >= 5)
    await asyncio.wait_for(trigger(runs[19], cancel_on_kill=True).on_kill(), 30)
    assert aws.jobs()[19]["status"] == "CANCELLED"
    for wait in waiting:
        wait.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


_TASK: ContextVar[str] = ContextVar("_TASK", default="nobody")


@pytest.fixture
def lines() -> Iterator[list[tuple[str, str]]]:
    """Collect log lines, each with the task in whose context it is written, as the triggerer does."""
    found: list[tuple[str, str]] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append((_TASK.get(), record.getMessage()))

    root, collector = logging.getLogger(), Collector()
    level = root.level
    root.addHandler(collector)
    root.setLevel(logging.INFO)
    yield found
    root.removeHandler(collector)
    root.setLevel(level)


async def test_each_line_stands_in_its_own_tasks_log(aws: Emulator, lines: list[tuple[str, str]]) -> None:
    """What a wait shares with others must not show in their logs, nor theirs in its."""
    aws.fault("error", code="AccessDeniedException", operation="ListIngestions")
    runs = refreshes(aws, 4, data_sets=1)

    async def named(run: dict[str, Any]) -> Any:
        _TASK.set(run["ids"]["ingestion_id"])
        return await event(trigger(run))

    waiting = [asyncio.create_task(named(run)) for run in runs]
    await until(lambda: calls(aws, READ) >= 12)
    aws.settle("quicksight-ingestion", {}, "COMPLETED")
    await asyncio.gather(*waiting)
    told = [(task, line) for task, line in lines if line.startswith("SPICE ingestion")]
    assert {task for task, _ in told} == {"i0", "i1", "i2", "i3"}
    assert all(f"ingestion {task} of" in line for task, line in told)
    assert {task for task, line in lines if "cannot be listed" in line} == {"nobody"}


async def test_both_modes_read_the_same(case: Case, aws: Emulator) -> None:
    """The lean parser of the shared client must not tell other things than botocore's."""
    aws.configure(case.job_type.name, duration=60)
    hook = AwsJobHook(case.job_type, aws_conn_id=None, region_name="eu-west-1")
    result = case.start(wait_for_completion=False).execute(Context())
    run = hook.job_type.run_of(result, "eu-west-1")
    assert run is not None
    status, settings = case.failed["status"], {k: v for k, v in case.failed.items() if k != "status"}
    aws.settle(case.job_type.name, {}, status, **settings)
    overview = hook.job_type.overview
    async with hook:
        assert await hook.adescribe(run) == hook.describe(run)
        if overview is not None and all(name in run.ids for name in overview.operation.parameters):
            listed = hook.read_page(overview.operation, run.ids, None)
            assert (await hook.aread_page(overview.operation, run.ids, None)).items == listed.items
            assert hook.job_type.listed_ids(listed.items[0]) == tuple(run.ids[i] for i in overview.ids)
