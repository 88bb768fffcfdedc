"""Many waits that are read with one list, over real HTTP."""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from airflow_jobs_provider import watch
from airflow_jobs_provider.jobs.bedrock import BEDROCK_INGESTION
from airflow_jobs_provider.jobs.cloudtrail import CLOUDTRAIL_QUERY
from airflow_jobs_provider.jobs.model import JobType
from airflow_jobs_provider.jobs.neptune_analytics import NEPTUNE_IMPORT
from airflow_jobs_provider.jobs.quicksight import QUICKSIGHT_INGESTION
from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot
from airflow_jobs_provider.testing import Emulator
from airflow_jobs_provider.triggers import aws_job, group, lanes, poller
from airflow_jobs_provider.triggers.waiter import Waiter
from tests.triggers.jobs import READ, STORE, calls, imports, queries, refreshes, syncs, waits
from tests.triggers.tasks import until

pytestmark = pytest.mark.usefixtures("quick")


@pytest.mark.parametrize(
    ("job_type", "start", "ended", "single"),
    [
        (QUICKSIGHT_INGESTION, lambda aws: refreshes(aws, 20, data_sets=1), "COMPLETED", 0),
        # its list has no details: each is read once more when it has ended
        (NEPTUNE_IMPORT, lambda aws: imports(aws, 20), "SUCCEEDED", 20),
        (BEDROCK_INGESTION, lambda aws: syncs(aws, 20), "COMPLETE", 20),
        (CLOUDTRAIL_QUERY, lambda aws: queries(aws, 20), "FINISHED", 20),
    ],
)
async def test_a_list_serves_a_group(
    aws: Emulator,
    job_type: JobType,
    start: Callable[[Emulator], list[dict[str, Any]]],
    ended: str,
    single: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Twenty waits that the API can list together must not cost twenty readings a poll."""
    monkeypatch.setattr(lanes, "_BURST", 1000.0)  # Bedrock and CloudTrail publish a rate
    overview = job_type.overview
    assert overview is not None
    waiting = waits(start(aws))
    await until(lambda: calls(aws, overview.operation.api_name) >= 5)
    # The first waits do not know of the others yet.
    alone = calls(aws, job_type.describe.api_name)
    assert alone <= 3
    aws.settle(job_type.name, {}, ended)
    payloads = await asyncio.gather(*waiting)
    assert {payload["snapshot"]["status"] for payload in payloads} == {ended}
    assert alone + single <= calls(aws, job_type.describe.api_name) <= alone + single + 3


async def test_a_list_without_news_wakes_nobody(
    aws: Emulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """To wake a thousand waits costs more than all the rest, and most of the time nothing has changed.

    All the same each must say that its job still runs, see its deadline, and see the end.
    """
    caplog.set_level(logging.INFO)
    told: Counter[str] = Counter()
    describe = Waiter.adescribe

    async def counted(waiter: Waiter, run: JobRun) -> JobSnapshot:
        told[run.ids["ingestion_id"]] += 1
        return await describe(waiter, run)

    monkeypatch.setattr(Waiter, "adescribe", counted)
    runs = refreshes(aws, 8, data_sets=1)
    waiting = [*waits(runs[:7]), *waits(runs[7:], deadline=time.time() + 3)]
    await until(lambda: calls(aws, "ListIngestions") >= 5)
    before, lists = told.total(), calls(aws, "ListIngestions")
    await until(lambda: calls(aws, "ListIngestions") >= lists + 10)
    assert told.total() - before <= 8  # else eighty
    assert "deadline" in await waiting[7]
    monkeypatch.setattr(watch, "_SIGN_OF_LIFE", 0.2)
    await until(lambda: sum("ingestion i0" in line and "is still" in line for line in caplog.messages) >= 2)
    aws.settle("quicksight-ingestion", {}, "COMPLETED")
    assert all("snapshot" in payload for payload in await asyncio.gather(*waiting[:7]))


async def test_what_a_list_does_not_show_is_read_singly(aws: Emulator) -> None:
    """A list that lags behind, or leaves old jobs out, must not make a wait blind."""
    runs = refreshes(aws, 6, data_sets=1)
    waiting = waits(runs, started_at=time.time() - 61)
    await until(lambda: calls(aws, "ListIngestions") >= 2)
    aws.delete("quicksight-ingestion", {"IngestionId": "i3"})
    assert (await waiting[3])["meaning"] == "not found"
    aws.settle("quicksight-ingestion", {}, "COMPLETED")
    rest = await asyncio.gather(*waiting[:3], *waiting[4:])
    assert all("snapshot" in payload for payload in rest)


async def test_a_list_of_several_pages(aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list ends where it shows all who wait, and not after the page that AWS sends first."""
    _turn_pages_of(5, monkeypatch)
    waiting = waits(refreshes(aws, 20, data_sets=1))
    await until(lambda: len(_pages_asked_for(aws)) >= 4)
    single = calls(aws, READ)
    lists = calls(aws, "ListIngestions")
    await until(lambda: calls(aws, "ListIngestions") >= lists + 20)
    assert calls(aws, READ) - single <= 20  # else a hundred
    aws.settle("quicksight-ingestion", {}, "COMPLETED")
    assert all("snapshot" in payload for payload in await asyncio.gather(*waiting))


async def test_a_job_that_is_not_listed_is_not_looked_for(
    aws: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To read what a data set has seen in three months, page by page, costs more than one single reading."""
    _turn_pages_of(10, monkeypatch)
    runs = refreshes(aws, 40, data_sets=1)[30:]
    aws.delete("quicksight-ingestion", {"IngestionId": "i35"})
    waiting = waits(runs)
    await until(lambda: calls(aws, "ListIngestions") >= 10)
    # While the first waits do not know of the others, a list may be read for few.
    assert _pages_asked_for(aws) == {None}
    waiting.pop(5).cancel()
    aws.settle("quicksight-ingestion", {}, "COMPLETED")
    assert all("snapshot" in payload for payload in await asyncio.gather(*waiting))


async def test_a_page_that_aws_does_not_give_is_no_missing_right(
    aws: Emulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A page's token may run out; whoever took that for a missing right would read singly for an hour."""
    _turn_pages_of(5, monkeypatch)
    # On a busy machine the waits do not ask together, so that the first lists save nothing.
    monkeypatch.setattr(group, "_IN_VAIN", 1000)
    page = base64.b64encode(b"after-").decode()
    aws.fault("error", code="InvalidNextTokenException", operation="ListIngestions", containing=page, times=1)
    waiting = waits(refreshes(aws, 20, data_sets=1))
    await until(lambda: len(_pages_asked_for(aws)) >= 4)
    assert not [record for record in caplog.records if "cannot be listed" in record.getMessage()]
    assert aws.counts()["ListIngestions"].keys() > {"ok"}
    aws.settle("quicksight-ingestion", {}, "COMPLETED")
    await asyncio.gather(*waiting)


def _turn_pages_of(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "_BURST", 1000.0)
    overview = QUICKSIGHT_INGESTION.overview
    assert overview is not None
    monkeypatch.setitem(overview.operation.constants, "MaxResults", size)


def _pages_asked_for(aws: Emulator) -> set[str | None]:
    return {call["parameters"].get("NextToken") for call in aws.journal("ListIngestions")}


async def test_without_the_right_to_list(aws: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    """List rights are optional: no wait may fail for them, and nobody wants to read of them twice."""
    aws.fault("error", code="AccessDeniedException", operation="ListIngestions")
    waiting = waits(refreshes(aws, 8, data_sets=1))
    await until(lambda: calls(aws, READ) >= 40)
    aws.settle("quicksight-ingestion", {}, "COMPLETED")
    assert all("snapshot" in payload for payload in await asyncio.gather(*waiting))
    assert calls(aws, "ListIngestions") == 1
    assert sum("cannot be listed" in record.getMessage() for record in caplog.records) == 1


async def test_a_right_to_list_some_targets_only(aws: Emulator) -> None:
    """A policy may name one data set: the waits for another one must not make those for it expensive."""
    aws.fault("error", code="AccessDeniedException", operation="ListIngestions", containing="set-0")
    waiting = waits(refreshes(aws, 8, data_sets=2))
    await until(lambda: aws.counts().get("ListIngestions", {}).get("ok", 0) >= 5)
    listed = [call["parameters"]["DataSetId"] for call in aws.journal("ListIngestions")]
    assert listed.count("set-0") == 1
    aws.settle("quicksight-ingestion", {}, "COMPLETED")
    assert all("snapshot" in payload for payload in await asyncio.gather(*waiting))


async def test_a_list_that_shows_nothing_is_given_up(aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs that newer ones push off the first page would cost a list and a reading each, at every poll."""
    _turn_pages_of(10, monkeypatch)
    waiting = waits(refreshes(aws, 40, data_sets=1)[:6])
    await until(lambda: calls(aws, READ) >= 60)
    assert 1 <= calls(aws, "ListIngestions") <= 2 * group._IN_VAIN
    [shared] = poller._pollers[asyncio.get_running_loop()].values()
    [listed] = shared._groups.values()
    listed.give_up(0)  # the time is over, and the list shows them again
    _turn_pages_of(100, monkeypatch)
    lists = calls(aws, "ListIngestions")
    await until(lambda: calls(aws, "ListIngestions") >= lists + 10)
    aws.settle("quicksight-ingestion", {}, "COMPLETED")
    assert all("snapshot" in payload for payload in await asyncio.gather(*waiting))


async def test_a_list_that_nobody_waits_for_any_more_costs_nothing(
    aws: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token of the bucket is a call that another group may not make."""
    waiting = waits(refreshes(aws, 4, data_sets=1))
    await until(lambda: calls(aws, "ListIngestions") >= 3)
    [shared] = poller._pollers[asyncio.get_running_loop()].values()
    lane, [asked] = shared._lanes["list_ingestions"], shared._groups.values()
    taken, gate = [], asyncio.Event()

    async def take() -> None:
        taken.append(1)
        await gate.wait()

    async def nothing() -> None:
        pass

    await until(lambda: not asked.queued)
    monkeypatch.setattr(lane.bucket, "take", take)
    lane.put(lambda: True, nothing)
    await until(lambda: asked.queued)
    for wait in waiting:
        wait.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    gate.set()
    await until(lambda: lane._worker is None)
    assert len(taken) == 1


async def test_a_right_to_list_that_is_given_later(aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads the warning and gives the right need not restart the triggerer."""
    monkeypatch.setattr(poller, "_DENIED", 0.2)
    aws.fault("error", code="AccessDeniedException", operation="ListIngestions", times=1)
    waiting = waits(refreshes(aws, 8, data_sets=1))
    await until(lambda: aws.counts().get("ListIngestions", {}).get("ok", 0) >= 2)
    aws.settle("quicksight-ingestion", {}, "COMPLETED")
    await asyncio.gather(*waiting)


async def test_a_list_that_is_not_there_concerns_its_own_waits_only(aws: Emulator) -> None:
    """A data set that somebody deleted must not make the waits for all others expensive."""
    runs = refreshes(aws, 8, data_sets=2)
    aws.fault("error", code="ResourceNotFoundException", operation="ListIngestions", containing="set-0")
    waiting = waits(runs)
    await until(lambda: aws.counts().get("ListIngestions", {}).get("ok", 0) >= 5)
    listed = [call["parameters"]["DataSetId"] for call in aws.journal("ListIngestions")]
    assert listed.count("set-0") <= 3  # calls that were under way together
    assert listed.count("set-1") >= 5
    aws.settle("quicksight-ingestion", {}, "COMPLETED")
    assert all("snapshot" in payload for payload in await asyncio.gather(*waiting))


async def test_a_store_that_is_deleted_concerns_its_own_waits_only(aws: Emulator) -> None:
    """CloudTrail has codes of its own for it, which are no matter of rights either."""
    runs, other = queries(aws, 8), STORE.replace("1", "0")
    deleted = [{**run, "ids": {**run["ids"], "event_data_store": other}} for run in runs[:4]]
    aws.fault("error", code="InactiveEventDataStoreException", operation="ListQueries", containing=other)
    waiting = waits([*deleted, *runs[4:]])
    await until(lambda: aws.counts().get("ListQueries", {}).get("ok", 0) >= 5)
    listed = [call["parameters"]["EventDataStore"] for call in aws.journal("ListQueries")]
    assert 1 <= listed.count(other) <= 3
    for wait in waiting:
        wait.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_throttled_list_is_asked_for_again(aws: Emulator) -> None:
    """Twenty single readings in place of a list that AWS found to be too much would be the wrong answer."""
    waiting = waits(refreshes(aws, 20, data_sets=1))
    await until(lambda: calls(aws, "ListIngestions") >= 3)
    single = calls(aws, READ)
    aws.fault("throttle", operation="ListIngestions", times=2)
    await until(lambda: aws.counts()["ListIngestions"].get("ok", 0) >= 8)
    assert calls(aws, READ) == single
    aws.settle("quicksight-ingestion", {}, "COMPLETED")
    await asyncio.gather(*waiting)


async def test_a_list_that_is_not_answered_does_not_outlast_a_deadline(
    aws: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow would end the deferral in place of the wait, and say less."""
    monkeypatch.setattr(aws_job, "_LATE_READING", 0.2)
    deadline = time.time() + 2
    waiting = waits(refreshes(aws, 8, data_sets=1), deadline=deadline)
    await until(lambda: calls(aws, "ListIngestions") >= 5)
    aws.fault("delay", delay=10, operation="ListIngestions")
    assert all("deadline" in payload for payload in await asyncio.gather(*waiting))
    assert time.time() < deadline + 5


async def test_pages_that_wait_for_their_turn_keep_nobody_from_reading(
    aws: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long histories of many data sets would have the reading of single jobs wait for lists."""
    _turn_pages_of(2, monkeypatch)
    monkeypatch.setattr(poller, "_AT_A_TIME", 1)
    runs = refreshes(aws, 20, data_sets=2)
    waiting = waits(runs[::2])
    await until(lambda: calls(aws, "ListIngestions") >= 5)
    [shared] = poller._pollers[asyncio.get_running_loop()].values()
    gate = asyncio.Event()

    async def take() -> None:
        await gate.wait()

    monkeypatch.setattr(shared._lanes["list_ingestions"].bucket, "take", take)
    single = calls(aws, READ)
    [alone] = waits(runs[1:2])
    await until(lambda: calls(aws, READ) > single)
    gate.set()
    aws.settle("quicksight-ingestion", {}, "COMPLETED")
    assert all("snapshot" in payload for payload in await asyncio.gather(alone, *waiting))


async def test_pages_that_were_read_in_vain_do_not_count(
    aws: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a list would seem too dear for all, after one was read to its end for a few jobs of others."""
    _turn_pages_of(10, monkeypatch)
    runs = refreshes(aws, 60, data_sets=1)
    waiting = waits([*runs[:3], *runs[42:]])
    await until(lambda: len(_pages_asked_for(aws)) >= 3)
    for wait in waiting[:3]:
        wait.cancel()
    lists = calls(aws, "ListIngestions")
    await until(lambda: calls(aws, "ListIngestions") >= lists + 10)
    [shared] = poller._pollers[asyncio.get_running_loop()].values()
    [listed] = shared._groups.values()
    await until(lambda: listed.pages == 2)
    aws.settle("quicksight-ingestion", {}, "COMPLETED")
    assert all("snapshot" in payload for payload in await asyncio.gather(*waiting[3:]))


async def test_a_record_that_makes_no_sense_concerns_its_own_wait_only(
    aws: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor may the others of its group wait for ever."""
    read = JobType.read_record

    def strict(job_type: JobType, record: Any, *, brief: bool = False) -> JobSnapshot:
        if brief and record["IngestionId"] == "i3":
            raise TypeError("no text")
        return read(job_type, record, brief=brief)

    monkeypatch.setattr(JobType, "read_record", strict)
    waiting = waits(refreshes(aws, 8, data_sets=1))
    await until(lambda: calls(aws, "ListIngestions") >= 10)
    aws.settle("quicksight-ingestion", {}, "COMPLETED")
    assert all("snapshot" in payload for payload in await asyncio.gather(*waiting))
