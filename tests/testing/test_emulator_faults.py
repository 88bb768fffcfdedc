"""Faults: what goes wrong is what a caller of AWS would see, as often as was asked for."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from airflow_jobs_provider.testing import Emulator, EmulatorServer, ManualClock, faults
from tests.testing.conftest import ClientFactory, DataSet


def outcomes(call: Any, times: int, *arguments: Any) -> list[str]:
    """Return how each of some calls ended: ok, or the error code."""
    result = []
    for _ in range(times):
        try:
            call(*arguments)
            result.append("ok")
        except ClientError as error:
            result.append(error.response["Error"]["Code"])
    return result


@pytest.mark.parametrize(
    ("fault", "code", "status"),
    [
        ({"kind": "throttle"}, "ThrottlingException", 429),
        ({"kind": "server_error"}, "InternalFailureException", 500),
        ({"kind": "server_error", "http_status": 503}, "ServiceUnavailable", 503),
        ({"kind": "expired_token"}, "ExpiredTokenException", 403),
        # The service says 401, as the botocore model knows.
        ({"kind": "error", "code": "AccessDeniedException"}, "AccessDeniedException", 401),
        (
            {"kind": "error", "code": "AccessDeniedException", "http_status": 403},
            "AccessDeniedException",
            403,
        ),
        ({"kind": "error", "code": "UnrecognizedClientException"}, "UnrecognizedClientException", 403),
        ({"kind": "error", "code": "Whatever"}, "Whatever", 400),
    ],
)
def test_error_is_the_service_s(
    server: EmulatorServer, sales: DataSet, fault: dict[str, Any], code: str, status: int
) -> None:
    """A retry policy would be tested against codes or statuses that the service never sends."""
    sales.create()
    server.emulator.fault(times=1, message="so it is", **fault)

    with pytest.raises(ClientError, match="so it is") as caught:
        sales.describe()
    answer: Any = caught.value.response
    assert answer["Error"]["Code"] == code
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == status
    assert answer["ResponseMetadata"]["RequestId"]
    assert sales.describe()
    entry = server.emulator.journal()[1]
    assert (entry["outcome"], entry["status"], entry["executed"]) == (code, status, False)


def test_error_of_a_query_service(server: EmulatorServer, client: ClientFactory) -> None:
    """STS answers in XML: an error in JSON would look like a broken service, not like a throttled one."""
    server.emulator.fault("throttle", service="sts")

    with pytest.raises(ClientError) as caught:
        client("sts").get_caller_identity()
    assert caught.value.response["Error"]["Code"] == "ThrottlingException"


def test_fault_is_used_up(server: EmulatorServer, sales: DataSet) -> None:
    """A retry is tested by calls that fail twice and then work."""
    sales.create()
    server.emulator.fault("throttle", operation="DescribeIngestion", times=2)
    server.emulator.fault("server_error", operation="DescribeIngestion", times=1)

    assert sales.listing()
    assert outcomes(sales.describe, 4) == [
        "ThrottlingException",
        "ThrottlingException",
        "InternalFailureException",
        "ok",
    ]


def test_fault_of_one_target(server: EmulatorServer, sales: DataSet) -> None:
    """Tests that run side by side must not disturb each other."""
    sales.create()
    server.emulator.fault("throttle", containing="another-data-set")
    assert outcomes(sales.describe, 1) == ["ok"]
    server.emulator.fault("throttle", containing=sales.ids["DataSetId"])
    assert outcomes(sales.describe, 1) == ["ThrottlingException"]


def test_fault_ends_by_itself(server: EmulatorServer, sales: DataSet) -> None:
    """An outage that a test begins must not need the test to end it."""
    sales.create()
    server.emulator.fault("throttle", lasts=0.0)
    assert outcomes(sales.describe, 1) == ["ok"]
    server.emulator.fault("throttle", lasts=600)
    assert outcomes(sales.describe, 1) == ["ThrottlingException"]


def test_faults_can_be_cleared(server: EmulatorServer, sales: DataSet) -> None:
    """An outage of AWS needs an end."""
    sales.create()
    server.emulator.fault("throttle")
    assert outcomes(sales.describe, 2) == ["ThrottlingException"] * 2
    server.emulator.clear_faults()
    assert outcomes(sales.describe, 1) == ["ok"]


def test_chance_is_repeatable(server: EmulatorServer, sales: DataSet) -> None:
    """A chaos test that fails must fail again with the same seed."""
    sales.create()
    runs = []
    for _ in range(2):
        server.emulator.clear_faults()
        server.emulator.fault("throttle", probability=0.3, seed=7)
        runs.append(outcomes(sales.describe, 60))

    assert runs[0] == runs[1]
    assert 5 < runs[0].count("ThrottlingException") < 35


def test_dropped_call_was_not_executed(server: EmulatorServer, sales: DataSet) -> None:
    """A start whose request got lost must leave no job behind."""
    server.emulator.fault("drop", times=1)

    with pytest.raises(ConnectionClosedError):
        sales.create()
    assert server.emulator.jobs() == []
    entry = server.emulator.journal()[0]
    assert (entry["outcome"], entry["status"], entry["executed"]) == ("dropped", None, False)
    sales.create()


def test_dropped_answer_was_executed(server: EmulatorServer, sales: DataSet) -> None:
    """The worst case of a start: the job runs, and the caller was never told."""
    server.emulator.fault("drop_after", operation="CreateIngestion", times=2)

    for _ in range(2):
        with pytest.raises(ConnectionClosedError):
            sales.create()
    assert [job["ids"]["IngestionId"] for job in server.emulator.jobs()] == ["i1"]
    assert [(call["outcome"], call["executed"]) for call in server.emulator.journal()] == [
        ("dropped", True)
    ] * 2


def test_delays_add_up(server: EmulatorServer, sales: DataSet, clock: ManualClock) -> None:
    """A slow service is slow before it fails, too."""
    before = clock.now
    server.emulator.fault("delay", delay=2, times=1)
    server.emulator.fault("throttle", delay=3, times=1)

    assert outcomes(sales.create, 2) == ["ThrottlingException", "ok"]
    assert clock.now == before + 5


def test_delay_is_real_and_holds_up_nobody_else(client: ClientFactory) -> None:
    """A read time-out could not be tested, or would stop every other caller."""
    with EmulatorServer(emulator=Emulator()) as server:
        slow = DataSet(client(url=server.url, read_timeout=0.3))
        quick = DataSet(client(url=server.url))
        quick.create()
        server.emulator.fault("delay", operation="DescribeIngestion", delay=2.0, times=1)
        failed: list[BaseException] = []

        def wait() -> None:
            try:
                slow.describe()
            except ReadTimeoutError as error:
                failed.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        while not server.emulator.journal("DescribeIngestion"):
            time.sleep(0.01)
        assert quick.status()
        # The other one was answered first.
        assert server.emulator.journal("DescribeIngestion")[0]["outcome"] == "in flight"
        thread.join()
        assert len(failed) == 1


def test_rate_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller that keeps to a limit must not be throttled, and one that does not must be."""
    now = [0.0]
    monkeypatch.setattr(faults, "time", SimpleNamespace(monotonic=lambda: now[0]))
    fault = faults.fault_of("throttle", {"above": 2})
    assert [fault.strikes("quicksight", "DescribeIngestion", {}) for _ in range(4)] == [
        False,
        False,
        True,
        True,
    ]
    now[0] += 1.1
    assert [fault.strikes("quicksight", "DescribeIngestion", {}) for _ in range(3)] == [False, False, True]
