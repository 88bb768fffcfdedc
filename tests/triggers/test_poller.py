"""Many waits in one event loop, over real HTTP: what they share, and what they must not."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from aiobotocore.httpsession import AIOHTTPSession
from airflow.providers.amazon.aws.hooks.base_aws import BaseSessionFactory as SessionFactory

from airflow_jobs_provider import watch
from airflow_jobs_provider.hooks.aws_job import AwsJobHook
from airflow_jobs_provider.hooks.models import LeanLoader
from airflow_jobs_provider.jobs.bedrock import BEDROCK_INGESTION
from airflow_jobs_provider.jobs.cloudtrail import CLOUDTRAIL_QUERY
from airflow_jobs_provider.jobs.neptune_analytics import NEPTUNE_IMPORT
from airflow_jobs_provider.jobs.quicksight import QUICKSIGHT_INGESTION
from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot
from airflow_jobs_provider.testing import Emulator, EmulatorServer
from airflow_jobs_provider.triggers import aws_job, group, lanes, poller
from airflow_jobs_provider.triggers.lanes import Bucket
from airflow_jobs_provider.triggers.waiter import Waiter
from tests.cases import ROLE
from tests.conftest import Context
from tests.triggers.test_trigger import _says, event, trigger

if TYPE_CHECKING:
    from airflow_jobs_provider.jobs.model import JobType
    from tests.cases import Case

READ = "DescribeIngestion"
_STORE = "12345678-abcd-1234-abcd-123456789012"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the emulated AWS what the real one would not take, and keep no client for later."""
    monkeypatch.setattr(lanes, "_UNPUBLISHED", (500.0, 500.0))
    monkeypatch.setattr(poller, "_LINGER", 0.1)
    # Airflow's own logger writes to standard output, past what tests can see.
    monkeypatch.setattr(aws_job.AwsJobTrigger, "log", logging.getLogger("trigger"))


def refreshes(aws: Emulator, count: int, data_sets: int | None = None) -> list[dict[str, Any]]:
    """Start ingestions that do not end by themselves, each of a data set of its own or of so many."""
    aws.configure("quicksight-ingestion", duration=None, quota=None)
    hook = AwsJobHook(QUICKSIGHT_INGESTION, aws_conn_id=None, region_name="eu-west-1")
    return [
        hook.start(
            {
                "aws_account_id": "123456789012",
                "data_set_id": f"set-{number % (data_sets or count)}",
                "ingestion_id": f"i{number}",
                "ingestion_type": "FULL_REFRESH",
            }
        )[0].to_json()
        for number in range(count)
    ]


def imports(aws: Emulator, count: int) -> list[dict[str, Any]]:
    """Start import tasks that do not end by themselves, each into a graph of its own."""
    aws.configure("neptune-import", duration=None)
    hook = AwsJobHook(NEPTUNE_IMPORT, aws_conn_id=None, region_name="eu-west-1")
    graphs = [f"g-{number:010d}" for number in range(count)]
    return [
        hook.start({"graph_identifier": graph, "source": "s3://bucket/people", "role_arn": ROLE})[0].to_json()
        for graph in graphs
    ]


def syncs(aws: Emulator, count: int) -> list[dict[str, Any]]:
    """Start ingestion jobs that do not end by themselves, all of one data source."""
    free = dict.fromkeys(("limit_per_data_source", "limit_per_knowledge_base", "limit_per_account"))
    aws.configure("bedrock-ingestion", duration=None, **free)
    hook = AwsJobHook(BEDROCK_INGESTION, aws_conn_id=None, region_name="eu-west-1")
    target = {"knowledge_base_id": "KB12345678", "data_source_id": "DS12345678"}
    return [hook.start(target)[0].to_json() for _ in range(count)]


def queries(aws: Emulator, count: int) -> list[dict[str, Any]]:
    """Start queries that do not end by themselves, all of one event data store, which is known."""
    aws.configure("cloudtrail-query", duration=None, limit_per_account=None)
    hook = AwsJobHook(CLOUDTRAIL_QUERY, aws_conn_id=None, region_name="eu-west-1")
    statement = {"query_statement": f"SELECT eventName FROM {_STORE}"}
    runs = [hook.start(statement)[0].to_json() for _ in range(count)]
    return [{**run, "ids": {**run["ids"], "event_data_store": _STORE}} for run in runs]


def waits(runs: list[dict[str, Any]], **options: Any) -> list[asyncio.Task[dict[str, Any]]]:
    """Wait for jobs, each with a trigger of its own."""
    return [asyncio.create_task(event(trigger(run, **options))) for run in runs]


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something is so; the test's time-out is the limit."""
    give_up = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < give_up
        await asyncio.sleep(0.02)


def calls(aws: Emulator, operation: str) -> int:
    """Return how many calls of an operation were answered."""
    return sum(aws.counts().get(operation, {}).values())


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
    runs, other = queries(aws, 8), _STORE.replace("1", "0")
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
    monkeypatch.setattr(aws_job, "still_waits", _says(False))
    runs = refreshes(aws, 20)
    waiting = waits(runs)
    await until(lambda: calls(aws, READ) >= 5)
    await asyncio.wait_for(trigger(runs[19], cancel_on_kill=True).on_kill(), 30)
    assert aws.jobs()[19]["status"] == "CANCELLED"
    for wait in waiting:
        wait.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Count the clients that are opened."""
    found: list[Any] = []
    make = AwsJobHook.get_client_type

    def counted(*args: Any, **more: Any) -> Any:
        found.append(args)
        return make(*args, **more)

    monkeypatch.setattr(AwsJobHook, "get_client_type", counted)
    return found


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect in which threads a client's parts are made: hook, session, model, SSL context, role."""
    found: list[int] = []

    def watched(where: Any, name: str) -> None:
        make = getattr(where, name)

        def noted(*args: Any, **more: Any) -> Any:
            found.append(threading.get_ident())
            return make(*args, **more)

        monkeypatch.setattr(where, name, noted)

    watched(AwsJobHook, "__init__")
    watched(AwsJobHook, "get_session")
    watched(LeanLoader, "load_service_model")
    watched(AIOHTTPSession, "_build_ssl_contexts")
    watched(SessionFactory, "_refresh_credentials")
    return found


async def test_nothing_of_a_client_is_made_on_the_loop(
    aws: Emulator, threads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connection, credentials, role, service model and certificates: each would stop all other triggers."""
    role = {"region_name": "eu-west-1", "role_arn": "arn:aws:iam::123456789012:role/airflow"}
    told = {"conn_type": "aws", "login": "key", "password": "secret", "extra": role}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_ROLE", json.dumps(told))
    runs = refreshes(aws, 2)
    threads.clear()
    aws.settle("quicksight-ingestion", {}, "COMPLETED")
    await asyncio.gather(*waits(runs, aws_conn_id="aws_role"))
    assert calls(aws, "AssumeRole") == 1
    assert len(threads) >= 5
    assert threading.get_ident() not in threads


async def test_a_role_is_assumed_again_off_the_loop(
    aws: Emulator, threads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its credentials last an hour; to renew them is a call of boto3's, which stops what it runs in."""
    role = {"region_name": "eu-west-1", "role_arn": "arn:aws:iam::123456789012:role/airflow"}
    told = {"conn_type": "aws", "login": "key", "password": "secret", "extra": role}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_ROLE", json.dumps(told))
    [run] = refreshes(aws, 1)
    waiting = waits([run], aws_conn_id="aws_role")
    await until(lambda: calls(aws, READ) >= 2)
    threads.clear()
    [shared] = poller._pollers[asyncio.get_running_loop()].values()
    hook = await shared.hook()
    async with hook._async_client() as opened:
        credentials = opened.client._request_signer._credentials
        credentials._expiry_time = datetime.now(timezone.utc)
    await until(lambda: calls(aws, "AssumeRole") == 2)
    aws.settle("quicksight-ingestion", {}, "COMPLETED")
    assert "snapshot" in (await asyncio.gather(*waiting))[0]
    assert threads
    assert threading.get_ident() not in threads


async def test_all_waits_share_a_client(aws: Emulator, opened: list[Any]) -> None:
    """Sixty milliseconds of CPU, a megabyte and a socket each are what it is all about."""
    runs = refreshes(aws, 30)
    opened.clear()
    aws.settle("quicksight-ingestion", {}, "COMPLETED")
    await asyncio.gather(*waits(runs))
    assert len(opened) == 1


@pytest.mark.parametrize(
    "other", [{"verify": False}, {"botocore_config": {"read_timeout": 5}}, {"aws_conn_id": "other"}]
)
async def test_other_settings_are_another_client(
    aws: Emulator, opened: list[Any], other: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody may talk to AWS as somebody else, or trust a certificate because somebody else does."""
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps({"conn_type": "aws"}))
    one, two = refreshes(aws, 2)
    opened.clear()
    waiting = [*waits([one]), *waits([two], **other)]
    await until(lambda: calls(aws, READ) >= 4)
    aws.settle("quicksight-ingestion", {}, "COMPLETED")
    await asyncio.gather(*waiting)
    assert len(opened) == 2


async def test_waits_outlive_a_change_of_their_connection(
    aws: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An endpoint that moves, with the same jobs behind it: nobody restarts a triggerer for that."""

    def connect(server: EmulatorServer) -> None:
        told = {"conn_type": "aws", "extra": {"endpoint_url": server.url}}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_MOVES", json.dumps(told))

    own = Emulator()
    old, new = EmulatorServer(emulator=own).start(), EmulatorServer(emulator=own).start()
    connect(old)
    monkeypatch.setenv("AWS_ENDPOINT_URL", old.url)
    waiting = waits(refreshes(own, 5), aws_conn_id="aws_moves")
    await until(lambda: calls(own, READ) >= 5)
    connect(new)
    await asyncio.to_thread(old.stop)
    read = calls(own, READ)
    await until(lambda: calls(own, READ) >= read + 10)
    own.settle("quicksight-ingestion", {}, "COMPLETED")
    assert all("snapshot" in payload for payload in await asyncio.gather(*waiting))
    await asyncio.to_thread(new.stop)


async def test_fresh_credentials_take_nothing_from_calls_under_way(aws: Emulator, opened: list[Any]) -> None:
    """A client that is replaced because its credentials ran out may still be answering others."""
    slow, quick = refreshes(aws, 2)
    opened.clear()
    aws.settle("quicksight-ingestion", {}, "COMPLETED")
    aws.fault("delay", delay=1.0, operation=READ, containing="i0")
    aws.fault("expired_token", operation=READ, containing="i1", times=1)
    payloads = await asyncio.gather(*waits([slow, quick]))
    assert all("snapshot" in payload for payload in payloads)
    assert [call["outcome"] for call in aws.journal(READ) if call["parameters"]["IngestionId"] == "i0"] == [
        "ok"
    ]
    assert len(opened) == 2


async def test_credentials_that_stay_expired_make_no_crowd_of_clients(
    aws: Emulator, opened: list[Any]
) -> None:
    """Nobody has put fresh ones into the connection yet: each new client would cost a third of a second."""
    runs = refreshes(aws, 10)
    opened.clear()
    aws.settle("quicksight-ingestion", {}, "COMPLETED")
    aws.fault("expired_token", operation=READ, times=30)
    assert all("snapshot" in payload for payload in await asyncio.gather(*waits(runs)))
    assert len(opened) <= 3


async def test_an_endpoint_that_goes_and_comes_back(aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that is away for a while must not fail a wait, nor end it."""
    own = Emulator()
    server = EmulatorServer(emulator=own).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    waiting = waits(refreshes(own, 3))
    await until(lambda: calls(own, READ) >= 3)
    await asyncio.to_thread(server.stop)
    await asyncio.sleep(0.5)
    server.start()
    own.settle("quicksight-ingestion", {}, "COMPLETED")
    assert all("snapshot" in payload for payload in await asyncio.gather(*waiting))
    await asyncio.to_thread(server.stop)


async def test_nothing_is_left_after_the_last_wait(aws: Emulator) -> None:
    """A triggerer runs for months."""
    runs = refreshes(aws, 10)
    aws.settle("quicksight-ingestion", {}, "COMPLETED")
    before, files = _connections(), psutil.Process().num_fds()
    for _ in range(2):  # a second time after the first client is gone
        await asyncio.gather(*waits(runs))
        assert poller._pollers[asyncio.get_running_loop()]
        await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})
        assert not poller._pollers[asyncio.get_running_loop()]
        await until(lambda: _connections() <= before)
        await until(lambda: psutil.Process().num_fds() <= files)


def _connections() -> set[Any]:
    found = psutil.Process().net_connections()
    return {connection.laddr for connection in found if connection.status == "ESTABLISHED"}


async def test_no_more_sockets_than_calls_at_a_time(aws: Emulator) -> None:
    """A thousand waits with a socket each are more than a process may have."""
    runs = refreshes(aws, 50)
    before = _connections()  # also those of earlier tests
    waiting = waits(runs)
    await until(lambda: calls(aws, READ) >= 100)
    # each connection has two ends here, and one of them is the emulator's
    assert len(_connections() - before) <= 2 * poller._AT_A_TIME
    aws.settle("quicksight-ingestion", {}, "COMPLETED")
    await asyncio.gather(*waiting)


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
