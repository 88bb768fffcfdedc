"""What is special about CloudTrail Lake's queries."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_jobs_provider.testing import EmulatorServer, ManualClock
from tests.testing.conftest import ClientFactory
from tests.testing.kinds import STORE
from tests.testing.test_emulated_services import code_of

JOB = "cloudtrail-query"
STATEMENT = f"SELECT eventID FROM {STORE}"
FEBRUARY = datetime(2026, 2, 1, tzinfo=timezone.utc)
ARN = f"arn:aws:cloudtrail:eu-west-1:123456789012:eventdatastore/{STORE}"


@pytest.fixture
def lake(client: ClientFactory) -> Any:
    """Return a client of the server."""
    return client("cloudtrail")


def test_record(lake: Any, server: EmulatorServer, clock: ManualClock) -> None:
    """A result read out of the final record would be tested against invented members."""
    server.emulator.script(JOB, duration=2, bytes_scanned=7, events_scanned=20, rows=[{"eventID": "a"}])
    query = lake.start_query(QueryStatement=STATEMENT)["QueryId"]
    clock.advance(10)
    record = lake.describe_query(QueryId=query, EventDataStore=ARN)
    del record["ResponseMetadata"]

    assert record == {
        "QueryId": query,
        "QueryString": STATEMENT,
        "QueryStatus": "FINISHED",
        "QueryStatistics": {
            "EventsMatched": 1,
            "EventsScanned": 20,
            "BytesScanned": 7,
            "ExecutionTimeInMillis": 2000,
            "CreationTime": datetime.fromtimestamp(clock.now - 10, timezone.utc),
        },
    }


def test_results_in_pages(lake: Any, server: EmulatorServer, clock: ManualClock) -> None:
    """Rows must come page by page, and none before the query has finished."""
    server.emulator.script(JOB, rows=[{"eventID": str(number), "n": number} for number in range(5)])
    query = lake.start_query(QueryStatement=STATEMENT)["QueryId"]
    early = lake.get_query_results(QueryId=query)
    assert (early["QueryStatus"], early["QueryResultRows"]) == ("QUEUED", [])
    clock.advance(1)
    first = lake.get_query_results(QueryId=query, MaxQueryResults=3)
    second = lake.get_query_results(QueryId=query, MaxQueryResults=3, NextToken=first["NextToken"])

    assert first["QueryResultRows"][2] == [{"eventID": "2"}, {"n": "2"}]
    assert [len(page["QueryResultRows"]) for page in (first, second)] == [3, 2]
    assert second["QueryStatistics"] == {"ResultsCount": 2, "TotalResultsCount": 5, "BytesScanned": 1_048_576}
    assert "NextToken" not in second


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT"])
def test_error_message(lake: Any, server: EmulatorServer, clock: ManualClock, status: str) -> None:
    """An error that quotes the service's message could not be tested."""
    server.emulator.script(JOB, status=status, error_message="too much")
    query = lake.start_query(QueryStatement=STATEMENT, DeliveryS3Uri="s3://bucket/x")["QueryId"]
    clock.advance(1)
    record = lake.describe_query(QueryId=query)

    assert (record["QueryStatus"], record["ErrorMessage"]) == (status, "too much")
    assert record["DeliveryStatus"] == "FAILED"
    assert lake.get_query_results(QueryId=query)["ErrorMessage"] == "too much"


def test_delivery_lags(lake: Any, server: EmulatorServer, clock: ManualClock) -> None:
    """FINISHED is not delivered: a caller that reads the bucket at once would find nothing."""
    server.emulator.script(JOB, delivery_delay=5, delivery_status="ACCESS_DENIED")
    query = lake.start_query(QueryStatement=STATEMENT, DeliveryS3Uri="s3://bucket/x")["QueryId"]
    seen = []
    for seconds in (0, 1, 4.9, 0.1):
        clock.advance(seconds)
        record = lake.describe_query(QueryId=query)
        seen.append((record["QueryStatus"], record["DeliveryStatus"]))

    assert seen == [
        ("QUEUED", "PENDING"),
        ("FINISHED", "PENDING"),
        ("FINISHED", "PENDING"),
        ("FINISHED", "ACCESS_DENIED"),
    ]


def test_query_by_alias(lake: Any) -> None:
    """A dashboard's query is read by its alias: that must give the last one."""
    lake.start_query(QueryAlias="top", QueryParameters=[STORE])
    last = lake.start_query(QueryAlias="top", QueryParameters=[STORE])["QueryId"]

    assert lake.describe_query(QueryAlias="top")["QueryId"] == last
    assert code_of(lake.describe_query, QueryAlias="other") == "QueryIdNotFoundException"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({}, "InvalidParameterException"),
        ({"QueryStatement": STATEMENT, "QueryAlias": "top"}, "InvalidParameterException"),
        ({"QueryStatement": "SELECT 1"}, "InvalidQueryStatementException"),
        ({"QueryStatement": "SELECT 1 FROM gone"}, "EventDataStoreNotFoundException"),
        ({"QueryStatement": "SELECT 1\nfrom asleep"}, "InactiveEventDataStoreException"),
    ],
)
def test_refused_starts(lake: Any, server: EmulatorServer, request_: dict[str, str], code: str) -> None:
    """A statement that AWS would refuse must not work in a test."""
    server.emulator.configure(JOB, missing_targets=["gone"], inactive_targets=["asleep"])

    assert code_of(lake.start_query, **request_) == code


def test_list_filters(lake: Any, server: EmulatorServer, clock: ManualClock) -> None:
    """A search for a start that got no answer would be tested against a list that does not filter."""
    queries = []
    for _ in range(3):
        queries.append(lake.start_query(QueryStatement=STATEMENT)["QueryId"])
        clock.advance(60)
    queries.append(lake.start_query(QueryStatement=STATEMENT)["QueryId"])
    now = datetime.fromtimestamp(clock.now, timezone.utc)

    def listed(**more: Any) -> list[str]:
        return [item["QueryId"] for item in lake.list_queries(EventDataStore=ARN, **more)["Queries"]]

    assert listed(QueryStatus="QUEUED") == queries[3:]
    assert listed(StartTime=now - timedelta(seconds=120)) == queries[:0:-1]
    assert listed(EndTime=now - timedelta(seconds=120)) == queries[1::-1]
    clock.advance(7 * 24 * 60 * 60 - 100)
    assert listed() == queries[:1:-1]


def test_time_zone_of_the_machine(lake: Any, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same search would find other queries on a machine that is not on UTC."""
    lake.start_query(QueryStatement=STATEMENT)
    start = datetime.fromtimestamp(clock.now, timezone.utc)
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        listed = [
            len(lake.list_queries(EventDataStore=STORE, StartTime=begin)["Queries"])
            for begin in (start, start + timedelta(seconds=1))
        ]
    time.tzset()

    assert listed == [1, 0]


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"MaxResults": 1001}, "InvalidMaxResultsException"),
        ({"QueryStatus": "DONE"}, "InvalidQueryStatusException"),
        ({"StartTime": FEBRUARY, "EndTime": FEBRUARY - timedelta(days=1)}, "InvalidDateRangeException"),
        ({"EventDataStore": "arn:aws:s3:::bucket"}, "EventDataStoreARNInvalidException"),
    ],
)
def test_refused_lists(lake: Any, request_: dict[str, Any], code: str) -> None:
    """Each of these has an error of its own in the model, which a caller may meet."""
    assert code_of(lake.list_queries, **{"EventDataStore": STORE, **request_}) == code
