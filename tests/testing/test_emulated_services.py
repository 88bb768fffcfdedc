"""What all job types share, over real HTTP with real boto3: each test runs once for each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import boto3
import jmespath
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore import xform_name
from botocore.exceptions import ClientError, ConnectionClosedError
from moto import mock_aws

from airflow_jobs_provider.testing import Emulator, EmulatorServer, ManualClock
from airflow_jobs_provider.testing.lifecycle import LIFE_CYCLES
from tests.testing.conftest import KEY, ClientFactory
from tests.testing.kinds import KINDS, Calls, Kind, ids_of, start_parameters


@pytest.fixture(params=KINDS, ids=[kind.job_type for kind in KINDS])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Return each job type in turn."""
    result: Kind = request.param
    return result


@pytest.fixture
def calls(kind: Kind, client: ClientFactory) -> Calls:
    """Return the calls of the job type."""
    return Calls(kind, client(kind.service))


def code_of(call: Any, *arguments: Any, **more: Any) -> str:
    """Return the code of the error that a call raises."""
    with pytest.raises(ClientError) as caught:
        call(*arguments, **more)
    return str(caught.value.response["Error"]["Code"])


def test_every_job_type_is_tested() -> None:
    """A job type that is missing here could break in everything that all of them share."""
    assert {kind.job_type for kind in KINDS} == set(LIFE_CYCLES)


def test_one_that_never_ends(calls: Calls, server: EmulatorServer, clock: ManualClock) -> None:
    """A time-out would be tested against a job that ends by itself."""
    server.emulator.configure(calls.kind.job_type, duration=None)
    ids = calls.start()
    clock.advance(10 * 24 * 3600)
    assert calls.status(ids) == calls.kind.main


def test_life(calls: Calls, server: EmulatorServer, clock: ManualClock) -> None:
    """A wait would be tested against an order of statuses that the service does not have."""
    running = calls.kind.statuses[:-1]
    server.emulator.configure(calls.kind.job_type, timeline=dict.fromkeys(running, 10))
    ids = calls.start()
    seen = []
    for _ in calls.kind.statuses:
        seen.append(calls.status(ids))
        clock.advance(10)

    assert tuple(seen) == calls.kind.statuses
    job = server.emulator.jobs(calls.kind.job_type)[0]
    assert (job["status"], job["ended"]) == (calls.kind.statuses[-1], clock.now - 10)


def test_failure(calls: Calls, server: EmulatorServer, clock: ManualClock) -> None:
    """A scripted failure must hit the job that it was meant for, and no other."""
    failed = calls.kind.failed
    server.emulator.configure(calls.kind.job_type, **calls.kind.unlimited())
    server.emulator.script(calls.kind.job_type, match=start_parameters(calls.kind, 1), status=failed)
    other, doomed = calls.start(0), calls.start(1)
    clock.advance(1)

    assert (calls.status(other), calls.status(doomed)) == (calls.kind.statuses[-1], failed)


def test_cancel(calls: Calls, server: EmulatorServer, clock: ManualClock) -> None:
    """A cancel takes its time: it must be waited for, through the status that the service has for it."""
    server.emulator.configure(calls.kind.job_type, duration=60, cancel_delay=5)
    ids = calls.start()
    clock.advance(30)
    calls.cancel(ids)
    asked = clock.now
    clock.advance(4.9)

    assert calls.status(ids) == (calls.kind.stopping or calls.kind.main)
    clock.advance(0.1)
    assert calls.status(ids) == calls.kind.cancelled
    job = server.emulator.jobs()[0]
    assert (job["cancel_requested"], job["ended"], job["cancels"]) == (asked, clock.now, 1)


def test_cancel_without_effect(calls: Calls, server: EmulatorServer, clock: ManualClock) -> None:
    """An accepted cancel is no proof: the job may succeed all the same."""
    server.emulator.script(calls.kind.job_type, duration=10, ignore_cancel=True)
    ids = calls.start()
    calls.cancel(ids)
    clock.advance(10)

    assert calls.status(ids) == calls.kind.statuses[-1]


def test_late_cancel(calls: Calls, server: EmulatorServer, clock: ManualClock) -> None:
    """A cancel that comes too late must be seen as the service's own error, and must change nothing."""
    ids = calls.start()
    clock.advance(1)

    if calls.kind.late is None:
        calls.cancel(ids)
    else:
        assert code_of(calls.cancel, ids) == calls.kind.late
    assert calls.status(ids) == calls.kind.statuses[-1]
    assert server.emulator.jobs()[0]["cancels"] == 1


def test_unknown_job(calls: Calls) -> None:
    """A sensor on a wrong id must see the service's own "not found"."""
    ids, code = calls.kind.unknown

    assert code_of(calls.status, ids) == code
    assert code_of(calls.cancel, ids) == code


def test_missing_target(calls: Calls, server: EmulatorServer) -> None:
    """A typo in the name of what a job runs on must be seen as the service's own "not found"."""
    setting, target, code = calls.kind.missing
    server.emulator.configure(calls.kind.job_type, **{setting: [target]})

    assert code_of(calls.start) == code
    assert server.emulator.jobs() == []


def test_busy(calls: Calls, server: EmulatorServer, clock: ManualClock) -> None:
    """A start that must wait its turn could not be tested."""
    setting, code = calls.kind.busy
    server.emulator.configure(calls.kind.job_type, **{setting: 1})
    calls.start(0)

    assert code_of(calls.start, 1) == code
    clock.advance(24 * 60 * 60)
    calls.start(1)


def test_pages(calls: Calls, server: EmulatorServer, clock: ManualClock) -> None:
    """A reader of pages must see every job once, newest first, also if others start meanwhile."""
    server.emulator.configure(calls.kind.job_type, **calls.kind.unlimited())
    started = []
    for number in range(5):
        calls.start(number)
        started.append(next(reversed(server.emulator.jobs()[-1]["ids"].values())))
        clock.advance(1)
    first, token = calls.page(2)
    calls.start(5)
    second, token = calls.page(2, token)
    third, end = calls.page(2, token)

    assert [*first, *second, *third] == started[::-1]
    assert end is None


def test_foreign_token(calls: Calls) -> None:
    """A token that got mixed up must not silently give the first page."""
    assert code_of(calls.page, 2, "nonsense") == calls.kind.bad_token


def test_bad_parameters(calls: Calls, server: EmulatorServer) -> None:
    """These get past botocore: a caller that does not check itself must get the service's error."""
    change, code = calls.kind.bad

    assert code_of(calls.start, **change) == code
    assert server.emulator.jobs() == []


def test_region_and_account(calls: Calls, client: ClientFactory) -> None:
    """A wait with a wrong region or account must not find the job of another."""
    ids = calls.start()
    unknown = calls.kind.unknown[1]

    elsewhere = Calls(calls.kind, client(calls.kind.service, region="us-east-1"))
    assert code_of(elsewhere.status, ids) == unknown
    stranger = client(calls.kind.service, user_agent_extra="stranger")

    def as_another_account(request: Any, **_: Any) -> None:
        request.headers["x-moto-account-id"] = "999999999999"

    stranger.meta.events.register("before-sign", as_another_account)
    if "AwsAccountId" not in ids:  # otherwise it is the request that says which account
        assert code_of(Calls(calls.kind, stranger).status, ids) == unknown
    assert calls.status(ids) == calls.kind.statuses[0]


def test_settle_and_delete(calls: Calls, server: EmulatorServer, clock: ManualClock) -> None:
    """A job that somebody else cancels, or removes, could not be played."""
    server.emulator.configure(calls.kind.job_type, duration=100)
    ids = calls.start()
    match = server.emulator.jobs()[0]["ids"]

    assert server.emulator.settle(calls.kind.job_type, match, calls.kind.cancelled) == 1
    assert calls.status(ids) == calls.kind.cancelled
    assert server.emulator.delete(calls.kind.job_type, match) == 1
    assert code_of(calls.status, ids) == calls.kind.unknown[1]
    assert calls.page(10)[0] == []


def test_faults(calls: Calls, server: EmulatorServer) -> None:
    """Retries, and the search for a job whose start got no answer, could not be tested."""
    server.emulator.fault("throttle", service=calls.kind.service, operation=calls.kind.read, times=1)
    server.emulator.fault("drop_after", operation=calls.kind.start, times=1)
    with pytest.raises(ConnectionClosedError):
        calls.start()

    assert len(server.emulator.jobs()) == 1
    assert "hrottl" in code_of(calls.status, calls.kind.unknown[0])
    assert code_of(calls.status, calls.kind.unknown[0]) == calls.kind.unknown[1]


def test_journal(calls: Calls, server: EmulatorServer) -> None:
    """The judge of "one start, one cancel" must see the calls of every service."""
    calls.cancel(calls.start())

    entries = server.emulator.journal()
    assert [(entry["service"], entry["operation"], entry["outcome"]) for entry in entries] == [
        (calls.kind.service, calls.kind.start, "ok"),
        (calls.kind.service, calls.kind.cancel, "ok"),
    ]
    assert start_parameters(calls.kind).items() <= entries[0]["parameters"].items()


def test_aiobotocore(kind: Kind, server: EmulatorServer) -> None:
    """Triggers talk aiobotocore: its requests and errors must work as boto3's do."""

    async def session() -> Any:
        create: Any = get_session().create_client
        async with create(
            kind.service,
            region_name="eu-west-1",
            endpoint_url=server.url,
            aws_access_key_id=KEY,
            aws_secret_access_key="secret",
            config=AioConfig(retries={"total_max_attempts": 1}),
        ) as client:

            async def call(operation: str, parameters: Mapping[str, Any]) -> Any:
                return await getattr(client, xform_name(operation))(**parameters)

            parameters = start_parameters(kind)
            ids = ids_of(kind, parameters, await call(kind.start, parameters))
            await call(kind.cancel, ids)
            with pytest.raises(ClientError, match=kind.unknown[1]):
                await call(kind.read, kind.unknown[0])
            return await call(kind.read, ids)

    assert jmespath.search(kind.status, asyncio.run(session())) == kind.cancelled


def test_in_process(kind: Kind, installed: Emulator) -> None:
    """DAG authors test in process: moto must route every service there, too."""
    with mock_aws():
        factory: Any = boto3.client
        calls = Calls(kind, factory(kind.service, region_name="eu-central-1"))
        ids = calls.start()
        assert calls.status(ids) == kind.statuses[0]
        assert code_of(calls.status, kind.unknown[0]) == kind.unknown[1]
    assert installed.journal()[0]["region"] == "eu-central-1"
