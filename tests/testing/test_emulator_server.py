"""The server: its port, its connections, aiobotocore, and the command line."""

from __future__ import annotations

import asyncio
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import ClientError, ConnectionClosedError

from airflow_jobs_provider.testing import Emulator, EmulatorClient, EmulatorServer
from tests.testing.conftest import ACCOUNT, KEY, ClientFactory, DataSet

SIGNED = {
    "Authorization": f"AWS4-HMAC-SHA256 Credential={KEY}/20260101/eu-west-1/quicksight/aws4_request, "
    "SignedHeaders=host, Signature=0"
}
PATH = f"/accounts/{ACCOUNT}/data-sets/sales/ingestions/i1"


def test_aiobotocore(server: EmulatorServer) -> None:
    """Triggers talk aiobotocore: its requests, connections and errors must work as boto3's do."""

    async def calls() -> list[Any]:
        async with get_session().create_client(
            "quicksight",
            region_name="eu-west-1",
            endpoint_url=server.url,
            aws_access_key_id=KEY,
            aws_secret_access_key="secret",
            config=AioConfig(retries={"total_max_attempts": 1}, max_pool_connections=5),
        ) as quicksight:
            ids = {"AwsAccountId": ACCOUNT, "DataSetId": "sales"}
            await quicksight.create_ingestion(IngestionId="i1", **ids)
            described = await asyncio.gather(
                *(quicksight.describe_ingestion(IngestionId="i1", **ids) for _ in range(50))
            )
            with pytest.raises(ClientError, match="ResourceNotFoundException"):
                await quicksight.describe_ingestion(IngestionId="i2", **ids)
            return described

    described = asyncio.run(calls())
    assert {answer["Ingestion"]["IngestionStatus"] for answer in described} == {"INITIALIZED"}
    assert server.emulator.counts()["DescribeIngestion"] == {"ok": 50, "ResourceNotFoundException": 1}


def test_drop_with_aiobotocore(server: EmulatorServer) -> None:
    """A trigger's retries would be tested against another error than the one that it gets."""
    server.emulator.fault("drop_after", operation="CreateIngestion", times=2)

    async def call() -> None:
        async with get_session().create_client(
            "quicksight",
            region_name="eu-west-1",
            endpoint_url=server.url,
            aws_access_key_id=KEY,
            aws_secret_access_key="secret",
            config=AioConfig(retries={"total_max_attempts": 1}),
        ) as quicksight:
            await quicksight.create_ingestion(AwsAccountId=ACCOUNT, DataSetId="sales", IngestionId="i1")

    with pytest.raises(ConnectionClosedError):
        asyncio.run(call())
    # Twice although botocore was told to try once: aiohttp repeats a PUT by itself.
    assert server.emulator.counts()["CreateIngestion"] == {"dropped": 2}
    assert len(server.emulator.jobs()) == 1


def test_connections_are_kept_alive(server: EmulatorServer) -> None:
    """A benchmark would measure the set-up of connections: werkzeug's own handler closes each."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("PUT", PATH, body=b"{}", headers=SIGNED)
    assert connection.getresponse().read()
    opened = connection.sock
    for _ in range(3):
        connection.request("GET", PATH, headers=SIGNED)
        assert connection.getresponse().read()
    assert connection.sock is opened
    connection.close()


def test_chunked_request(server: EmulatorServer) -> None:
    """A body of unknown length must not be left in the connection, where it would spoil the next request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request(
        "PUT", PATH, body=iter([b'{"Ingestion', b'Type": "INCREMENTAL_REFRESH"}']), headers=SIGNED
    )
    assert connection.getresponse().read()
    connection.request("GET", PATH, headers=SIGNED)
    assert b"INCREMENTAL_REFRESH" in connection.getresponse().read()
    connection.close()


@pytest.mark.parametrize("body", [b"[1]", b'{"IngestionType": 7}', b'{"IngestionType": ["FULL_REFRESH"]}'])
def test_body_of_another_shape(server: EmulatorServer, body: bytes) -> None:
    """A request that no SDK makes must be refused as the service would, and must not start a job."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("PUT", PATH, body=body, headers={**SIGNED, "Content-Type": "application/json"})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["x-amzn-ErrorType"]) == (400, "InvalidParameterValueException")
    assert answer.read()
    connection.close()
    assert server.emulator.jobs() == []


def test_operation_that_nobody_implements(client: ClientFactory, caplog: pytest.LogCaptureFixture) -> None:
    """A call that moto lacks must say so, not look like a dropped connection."""
    with pytest.raises(ClientError, match="has not been implemented"):
        client().delete_dashboard(AwsAccountId=ACCOUNT, DashboardId="d1")
    assert "DELETE /accounts" in caplog.text


def test_two_servers_have_states_of_their_own(client: ClientFactory, sales: DataSet) -> None:
    """Tests that run side by side would see each other's jobs."""
    sales.create()
    with EmulatorServer(emulator=Emulator()) as other:
        assert DataSet(client(url=other.url)).listing()["Ingestions"] == []


def test_stop_closes_port_and_connections() -> None:
    """A stopped server that still answers would hide that a client holds on to it."""
    server = EmulatorServer(emulator=Emulator()).start()
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", PATH, headers=SIGNED)
    assert connection.getresponse().read()
    port = server.port
    server.stop()
    assert connection.sock.recv(1) == b""
    connection.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    server.stop()


def test_restart_on_the_same_port() -> None:
    """An endpoint that goes away and comes back needs the same address."""
    server = EmulatorServer(emulator=Emulator())
    with server:
        port = server.port
    with server:
        assert server.port == port
        assert EmulatorClient(server.url).jobs() == []


def test_taken_port_is_one_sentence(server: EmulatorServer) -> None:
    """A stack trace from the socket module would hide what to do."""
    with pytest.raises(
        OSError, match=rf"cannot listen on 127.0.0.1:{server.port} \(.*\): choose another port"
    ):
        EmulatorServer(port=server.port).start()


# The command line.


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start the emulator as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "airflow_jobs_provider.testing", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


@pytest.fixture(scope="module")
def process() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yield a process, and the address that it printed."""
    running = start("--port", "0")
    assert running.stdout is not None
    found = re.search(r"http://127\.0\.0\.1:\d+", running.stdout.readline())
    assert found
    yield running, found[0]
    if running.poll() is None:
        running.kill()
    running.communicate()


def test_command_line(process: tuple[subprocess.Popen[str], str]) -> None:
    """The demo and the live tests steer an emulator in another process."""
    control = EmulatorClient(process[1])
    control.script("quicksight-ingestion", status="FAILED", duration=0)
    quicksight = boto3.client(
        "quicksight",
        region_name="eu-west-1",
        endpoint_url=process[1],
        aws_access_key_id=KEY,
        aws_secret_access_key="secret",
    )
    sales = DataSet(quicksight)
    sales.create()
    assert sales.status() == "FAILED"
    quicksight.close()
    job = control.jobs()[0]
    assert job["status"] == "FAILED"
    assert abs(job["created"] - time.time()) < 60


def test_command_line_with_a_taken_port(process: tuple[subprocess.Popen[str], str]) -> None:
    """A second emulator on the same port must end at once with one sentence."""
    port = process[1].rpartition(":")[2]
    second = start("--port", port)
    output, errors = second.communicate(timeout=30)
    assert second.returncode == 1
    assert output == ""
    assert re.fullmatch(rf"cannot listen on 127\.0\.0\.1:{port} \(Address already in use\): .*\n", errors)


def test_command_line_ends_on_sigterm(process: tuple[subprocess.Popen[str], str]) -> None:
    """A demo that stops its processes must not leave one, or a stack trace, behind."""
    running = process[0]
    running.send_signal(signal.SIGTERM)
    _, errors = running.communicate(timeout=10)
    assert (running.returncode, errors) == (0, "")
