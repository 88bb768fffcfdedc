"""The client that many waits share, over real HTTP: how it is made, renewed and closed."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import datetime, timezone
from typing import Any

import psutil
import pytest
from aiobotocore.httpsession import AIOHTTPSession
from airflow.providers.amazon.aws.hooks.base_aws import BaseSessionFactory as SessionFactory

from airflow_jobs_provider.hooks.aws_job import AwsJobHook
from airflow_jobs_provider.hooks.models import LeanLoader
from airflow_jobs_provider.testing import Emulator, EmulatorServer
from airflow_jobs_provider.triggers import poller
from tests.triggers.jobs import READ, calls, refreshes, waits
from tests.triggers.tasks import until

pytestmark = pytest.mark.usefixtures("quick")


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
