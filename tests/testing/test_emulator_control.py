"""The controls: the same methods, with the same effects and the same refusals, in process and over HTTP."""

from __future__ import annotations

import json
import re
import threading
import urllib.error
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError

from airflow_jobs_provider.testing import (
    Emulator,
    EmulatorClient,
    EmulatorControl,
    EmulatorServer,
    ManualClock,
)
from airflow_jobs_provider.testing.control import METHODS
from tests.testing.conftest import ClientFactory, DataSet

JOB = "quicksight-ingestion"


@pytest.fixture(params=["in process", "over HTTP"])
def control(request: pytest.FixtureRequest, server: EmulatorServer) -> EmulatorControl:
    """Return the controls of the server's emulator, in both ways."""
    return server.emulator if request.param == "in process" else EmulatorClient(server.url)


def test_scripts_are_used_in_order(control: EmulatorControl, sales: DataSet, clock: ManualClock) -> None:
    """A test that scripts "fails twice, then succeeds" would not get that."""
    control.script(JOB, match={"DataSetId": "other"}, status="CANCELLED")
    control.script(
        JOB, match={"DataSetId": "sales"}, times=2, status="FAILED", error_type="CONNECTION_FAILURE"
    )
    for number in range(3):
        sales.create(f"i{number}")
    clock.advance(1)

    assert [sales.status(f"i{number}") for number in range(3)] == ["FAILED", "FAILED", "COMPLETED"]


def test_script_for_all(control: EmulatorControl, sales: DataSet, clock: ManualClock) -> None:
    """A script without an end must not run out."""
    control.script(JOB, times=None, status="FAILED")
    for number in range(3):
        sales.create(f"i{number}")
    clock.advance(1)

    assert {sales.status(f"i{number}") for number in range(3)} == {"FAILED"}


def test_job_that_never_ends(control: EmulatorControl, sales: DataSet, clock: ManualClock) -> None:
    """A time-out could not be tested without a job that outlasts it."""
    control.configure(JOB, duration=None)
    sales.create()
    clock.advance(10**6)

    record = sales.describe()
    assert record["IngestionStatus"] == "RUNNING"
    assert record["RowInfo"]["RowsIngested"] == 0


def test_timeline_longer_than_the_duration(
    control: EmulatorControl, sales: DataSet, clock: ManualClock
) -> None:
    """A long queue must not be cut short by the default duration."""
    control.script(JOB, timeline={"QUEUED": 30, "RUNNING": 5}, duration=1)
    sales.create()
    clock.advance(30)
    assert sales.status() == "QUEUED"
    clock.advance(5.1)
    assert sales.status() == "COMPLETED"


def test_settle_from_outside(control: EmulatorControl, sales: DataSet, clock: ManualClock) -> None:
    """A job that somebody else cancels, or that is superseded, could not be played."""
    control.configure(JOB, duration=100)
    sales.create("i1")
    sales.create("i2")
    clock.advance(50)

    assert control.settle(JOB, {"IngestionId": "i1"}, "FAILED", error_type="INGESTION_SUPERSEDED") == 1
    assert sales.describe("i1")["ErrorInfo"]["Type"] == "INGESTION_SUPERSEDED"
    assert control.settle(JOB, {"DataSetId": "sales"}, "CANCELLED") == 1
    assert sales.status("i2") == "CANCELLED"
    assert [job["ended"] for job in control.jobs()] == [clock.now, clock.now]
    with pytest.raises(ValueError, match=r"no quicksight-ingestion with match=.*'i1'.* is running"):
        control.settle(JOB, {"IngestionId": "i1"}, "COMPLETED")


def test_job_that_hangs(control: EmulatorControl, sales: DataSet, clock: ManualClock) -> None:
    """A job that hangs must still be there to cancel, or the cancel of a hanging job goes untested."""
    sales.create()
    control.settle(JOB, {"IngestionId": "i1"}, "QUEUED")
    clock.advance(1000)
    assert sales.status() == "QUEUED"
    control.configure(JOB, cancel_delay=0)
    sales.cancel()
    assert sales.status() == "CANCELLED"


def test_delete_from_outside(control: EmulatorControl, sales: DataSet) -> None:
    """A job that disappears while it is watched could not be played."""
    sales.create("i1")
    sales.create("i2")

    assert control.delete(JOB, {"IngestionId": "i1"}) == 1
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        sales.describe("i1")
    assert [record["IngestionId"] for record in sales.listing()["Ingestions"]] == ["i2"]
    with pytest.raises(ValueError, match=r"there is no quicksight-ingestion with match=.*'i1'"):
        control.delete(JOB, {"IngestionId": "i1"})


def test_journal(control: EmulatorControl, sales: DataSet, clock: ManualClock) -> None:
    """The judge of every live test: calls in order, each with what was asked and what came of it."""
    sales.create()
    clock.advance(1)
    sales.status()
    with pytest.raises(ClientError):
        sales.status("nobody")

    assert control.journal()[0] == {
        "number": 1,
        "time": clock.now - 1,
        "service": "quicksight",
        "operation": "CreateIngestion",
        "region": "eu-west-1",
        "account": "123456789012",
        "access_key": "MPLE",
        "parameters": {"AwsAccountId": "123456789012", "DataSetId": "sales", "IngestionId": "i1"},
        "outcome": "ok",
        "status": 201,
        "executed": True,
    }
    described = control.journal("DescribeIngestion")
    assert [(call["outcome"], call["status"]) for call in described] == [
        ("ok", 200),
        ("ResourceNotFoundException", 404),
    ]
    assert [call["number"] for call in control.journal(since=2)] == [3]
    assert control.counts() == {
        "CreateIngestion": {"ok": 1},
        "DescribeIngestion": {"ok": 1, "ResourceNotFoundException": 1},
    }


def test_sts_is_in_the_journal(control: EmulatorControl, client: ClientFactory) -> None:
    """A hook that is to ask STS only once could not be tested."""
    assert client("sts").get_caller_identity()["Account"] == "123456789012"
    assert [call["operation"] for call in control.journal()] == ["GetCallerIdentity"]


def test_jobs(control: EmulatorControl, sales: DataSet, clock: ManualClock) -> None:
    """The other judge: how many jobs were started, how each ended, and who was told to stop."""
    control.configure(JOB, duration=10)
    sales.create("i1")
    sales.create("i2", IngestionType="INCREMENTAL_REFRESH")
    clock.advance(4)
    sales.cancel("i2")
    sales.cancel("i2")
    clock.advance(6)
    first, second = control.jobs(JOB)

    assert first["ids"] == {"AwsAccountId": "123456789012", "DataSetId": "sales", "IngestionId": "i1"}
    assert (first["status"], first["created"], first["ended"]) == ("COMPLETED", clock.now - 10, clock.now)
    assert (first["cancel_requested"], first["cancels"]) == (None, 0)
    assert (first["service"], first["region"], first["account"]) == (
        "quicksight",
        "eu-west-1",
        "123456789012",
    )
    assert second["parameters"]["IngestionType"] == "INCREMENTAL_REFRESH"
    assert (second["status"], second["ended"]) == ("CANCELLED", clock.now - 6)
    assert (second["cancel_requested"], second["cancels"]) == (clock.now - 6, 2)


def test_reset_forgets_everything(control: EmulatorControl, sales: DataSet, clock: ManualClock) -> None:
    """One test's jobs, scripts or faults must not leak into the next."""
    control.configure(JOB, quota=0)
    control.script(JOB, status="FAILED")
    control.fault("throttle")
    control.reset()
    sales.create()
    control.reset()

    assert control.jobs() == control.journal() == []
    assert control.counts() == {}
    sales.create()
    clock.advance(1)
    assert sales.status() == "COMPLETED"


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("configure", {"job_type": "spice"}, "unknown job_type='spice'; known are .*quicksight-ingestion"),
    ("configure", {"job_type": JOB, "colour": "red"}, "has no setting colour='red'; it has .*duration"),
    ("configure", {"job_type": JOB, "duration": -1}, "duration=-1 .*number of seconds, 0 or more"),
    ("configure", {"job_type": JOB, "duration": "5"}, "duration='5' .*number of seconds"),
    ("configure", {"job_type": JOB, "duration": True}, "duration=True .*number of seconds"),
    ("configure", {"job_type": JOB, "quota": 1.5}, "quota=1.5 .*whole number"),
    ("configure", {"job_type": JOB, "ignore_cancel": 1}, "ignore_cancel=1 .*True or False"),
    ("configure", {"job_type": JOB, "missing_targets": "sales"}, "missing_targets='sales' .*list of strings"),
    ("configure", {"job_type": JOB, "missing_targets": [1]}, r"missing_targets=\[1\] .*list of strings"),
    ("configure", {"job_type": JOB, "timeline": [1]}, r"timeline=\[1\] .*mapping of statuses to seconds"),
    ("configure", {"job_type": JOB, "timeline": {"FAILED": 1}}, "timeline=.* one of INITIALIZED, QUEUED"),
    ("configure", {"job_type": JOB, "error_message": 1}, "error_message=1 .*a string"),
    ("configure", {"job_type": JOB, "cancel_ended": "x"}, "cancel_ended='x' .*one of success"),
    ("script", {"job_type": JOB, "status": "DONE"}, "status='DONE' .*one of COMPLETED, FAILED, CANCELLED"),
    ("script", {"job_type": JOB, "error_type": "X", "status": "FAILED"}, "error_type='X' .*SQL_EXCEPTION"),
    ("script", {"job_type": JOB, "error_type": "SQL_EXCEPTION"}, "needs status='FAILED', not 'COMPLETED'"),
    ("script", {"job_type": JOB, "quota": 1}, "quota=1 cannot be set for one .*use configure"),
    ("script", {"job_type": JOB, "times": 0}, "times=0 .*whole number, 1 or more"),
    ("script", {"job_type": JOB, "match": {"dataset": "x"}}, "match={'dataset': 'x'} .*it has AwsAccountId"),
    ("settle", {"job_type": JOB, "match": {}, "status": "GONE"}, "status='GONE' must be one of"),
    ("settle", {"job_type": JOB, "match": {"Id": "x"}, "status": "FAILED"}, "match={'Id': 'x'}"),
    ("configure", {"job_type": "bedrock-ingestion", "statistics": 3}, "statistics=3 .*mapping of counters"),
    (
        "configure",
        {"job_type": "bedrock-ingestion", "statistics": {"failed": 3}},
        "one of numberOfDocumentsSc",
    ),
    ("configure", {"job_type": "bedrock-ingestion", "failure_reasons": "x"}, "='x' .*a list of strings"),
    ("configure", {"job_type": "bedrock-ingestion", "failure_reasons": [1]}, r"=\[1\] .*a list of strings"),
    ("configure", {"job_type": "cloudtrail-query", "rows": "x"}, "rows='x' .*mapping of columns to values"),
    ("configure", {"job_type": "logs-query", "rows": ["x"]}, r"rows=\['x'\] .*mapping of columns to values"),
    ("script", {"job_type": "neptune-import", "details_delay": 1}, "needs status='FAILED', not 'SUCCEEDED'"),
    ("script", {"job_type": "neptune-import", "limit_per_graph": 2}, "=2 cannot be set for one .*configure"),
    ("jobs", {"job_type": "spice"}, "unknown job_type='spice'"),
    ("journal", {"operation": "Describe"}, "operation='Describe' is unknown to .*quicksight"),
    ("fault", {"kind": "fire"}, "kind='fire' .*one of throttle"),
    ("fault", {"kind": "drop", "colour": "red"}, "no option colour='red'"),
    ("fault", {"kind": "drop", "times": 0}, "times=0 .*1 or more"),
    ("fault", {"kind": "drop", "probability": 0}, "probability=0 .*above 0"),
    ("fault", {"kind": "drop", "probability": 1.1}, "probability=1.1 .*at most 1"),
    ("fault", {"kind": "drop", "code": "X"}, "code='X' has no meaning .*kind='drop'"),
    ("fault", {"kind": "drop", "delay": -1}, "delay=-1 .*seconds"),
    ("fault", {"kind": "delay"}, "kind='delay' needs delay"),
    ("fault", {"kind": "error"}, "kind='error' needs code"),
    ("fault", {"kind": "error", "code": "X", "http_status": 200}, "http_status=200 .*400 to 599"),
    ("fault", {"kind": "error", "code": "X", "http_status": 600}, "http_status=600 .*400 to 599"),
    (
        "fault",
        {"kind": "drop", "operation": "DescribeIngestions"},
        "operation='DescribeIngestions' is unknown",
    ),
    (
        "fault",
        {"kind": "drop", "operation": "GetSessionToken", "service": "quicksight"},
        "is unknown to quick",
    ),
    ("fault", {"kind": "drop", "service": "s3"}, "service='s3' is not emulated; there are .*quicksight"),
]


@pytest.mark.parametrize(("method", "arguments", "sentence"), REFUSED)
def test_nonsense_is_refused(
    control: EmulatorControl, method: str, arguments: dict[str, Any], sentence: str
) -> None:
    """A typo in a test's set-up would silently do nothing, and the test would prove nothing."""
    with pytest.raises(ValueError, match=sentence):
        getattr(control, method)(**arguments)


def test_both_have_the_same_methods() -> None:
    """A control that the client lacks could not be used against an emulator in another process."""
    assert set(METHODS) == set(EmulatorControl.__abstractmethods__)


def test_controls_by_hand(server: EmulatorServer, sales: DataSet) -> None:
    """A look with curl is the first thing that somebody does when a test hangs."""
    sales.create()
    with urllib.request.urlopen(
        f"{server.url}/_emulator/journal?operation=CreateIngestion&since=0"
    ) as answer:
        assert [call["outcome"] for call in json.load(answer)] == ["ok"]


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("fly", b"{}", "there is no /_emulator/fly; there are configure"),
        ("jobs", b'{"colour": "red"}', "jobs has no option colour='red'"),
        ("jobs", b"[1]", r"\[1\] must be a JSON object"),
        ("jobs", b"{", "Expecting"),
        ("script", b"{}", "job_type"),
    ],
)
def test_bad_control_requests(server: EmulatorServer, path: str, body: bytes, sentence: str) -> None:
    """A request by hand that makes no sense must be answered with a sentence, not with a stack trace."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{server.url}/_emulator/{path}", data=body)
    with caught.value as answer:
        assert answer.code == 400
        assert re.search(sentence, answer.read().decode())


def test_no_emulator_at_the_address() -> None:
    """A wrong address must be told from a wrong argument."""
    with pytest.raises(ConnectionError, match=r"no emulator answers at http://127.0.0.1:1"):
        EmulatorClient("http://127.0.0.1:1/").reset()


def test_journal_is_bounded_and_counts_are_not(client: ClientFactory) -> None:
    """An emulator that runs for hours would eat all memory."""
    with EmulatorServer(emulator=Emulator(journal_limit=2)) as server:
        sts = client("sts", url=server.url)
        for _ in range(3):
            sts.get_caller_identity()
        assert [call["number"] for call in server.emulator.journal()] == [2, 3]
        assert server.emulator.counts() == {"GetCallerIdentity": {"ok": 3}}


def test_concurrent_starts_of_one_id(server: EmulatorServer, client: ClientFactory) -> None:
    """Two starts at once with the same id must make one job, or a duplicate would be blamed on the caller."""
    sales = DataSet(client())
    results: list[str] = []

    def start() -> None:
        try:
            sales.create()
            results.append("ok")
        except ClientError as error:
            results.append(error.response["Error"]["Code"])

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["ResourceExistsException"] * 7 + ["ok"]
    assert len(server.emulator.jobs()) == 1
