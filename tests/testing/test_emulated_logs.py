"""What is special about CloudWatch Logs Insights' queries."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_jobs_provider.testing import EmulatorServer, ManualClock
from tests.testing.conftest import ClientFactory
from tests.testing.test_emulated_services import code_of

JOB = "logs-query"
RANGE = {"startTime": 1, "endTime": 2}
START: dict[str, Any] = {"logGroupName": "/app", "queryString": "fields @message", **RANGE}
ARN = "arn:aws:logs:eu-west-1:123456789012:log-group:/app"


@pytest.fixture
def logs(client: ClientFactory) -> Any:
    """Return a client of the server."""
    return client("logs")


def test_results(logs: Any, server: EmulatorServer, clock: ManualClock) -> None:
    """While a query runs its results are a part only: a caller that does not wait must be found out."""
    server.emulator.configure(
        JOB, duration=10, timeline={"Scheduled": 0}, bytes_scanned=100, rows=[{"@message": n} for n in "abcd"]
    )
    query = logs.start_query(**START)["queryId"]
    clock.advance(5)
    partial = logs.get_query_results(queryId=query)
    clock.advance(5)
    first = logs.get_query_results(queryId=query, maxItems=3)
    second = logs.get_query_results(queryId=query, maxItems=3, nextToken=first["nextToken"])

    assert (partial["status"], len(partial["results"]), partial["statistics"]["bytesScanned"]) == (
        "Running",
        2,
        50,
    )
    assert first["results"][2] == [{"field": "@message", "value": "c"}]
    assert (first["status"], len(second["results"])) == ("Complete", 1)
    assert "nextToken" not in second
    assert first["statistics"] == {
        "recordsMatched": 4,
        "recordsScanned": 1000,
        "bytesScanned": 100,
        "logGroupsScanned": 1,
        "resultCount": 4,
    }


def test_limit_of_the_query(logs: Any, server: EmulatorServer, clock: ManualClock) -> None:
    """A query must not give more rows than it was asked for."""
    server.emulator.configure(JOB, rows=[{"n": number} for number in range(5)])
    query = logs.start_query(**START, limit=2)["queryId"]
    clock.advance(1)

    assert len(logs.get_query_results(queryId=query)["results"]) == 2


@pytest.mark.parametrize("status", ["Failed", "Timeout"])
def test_no_results_of_a_failure(logs: Any, server: EmulatorServer, clock: ManualClock, status: str) -> None:
    """Rows of a query that failed must not be taken for a result."""
    server.emulator.script(JOB, status=status, rows=[{"n": 1}])
    query = logs.start_query(**START)["queryId"]
    clock.advance(1)
    answer = logs.get_query_results(queryId=query)

    assert (answer["status"], answer["results"]) == (status, [])


def test_late_stop(logs: Any, server: EmulatorServer, clock: ManualClock) -> None:
    """The message is all that tells a late stop from a bad parameter."""
    query = logs.start_query(**START)["queryId"]
    assert logs.stop_query(queryId=query)["success"] is True
    with pytest.raises(logs.exceptions.InvalidParameterException, match="Query is not currently running"):
        logs.stop_query(queryId=query)
    server.emulator.configure(JOB, cancel_ended="success")
    assert logs.stop_query(queryId=query)["success"] is False


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"logGroupName": "/app", "logGroupNames": ["/app"], **RANGE}, "InvalidParameterException"),
        (RANGE, "InvalidParameterException"),
        ({"logGroupName": "/app", "startTime": 2, "endTime": 1}, "InvalidParameterException"),
        ({"logGroupNames": ["/app", "gone"], **RANGE}, "ResourceNotFoundException"),
        ({"logGroupIdentifiers": [ARN.replace("/app", "gone")], **RANGE}, "ResourceNotFoundException"),
    ],
)
def test_refused_starts(logs: Any, server: EmulatorServer, request_: dict[str, Any], code: str) -> None:
    """A query that AWS would refuse must not work in a test."""
    server.emulator.configure(JOB, missing_targets=["gone"])

    assert code_of(logs.start_query, queryString="fields @message", **request_) == code


@pytest.mark.parametrize(
    "request_",
    [
        {"logGroupIdentifiers": [ARN]},
        {"queryString": "SELECT * FROM `/app`", "queryLanguage": "SQL"},
        {"queryString": "SOURCE logGroups(namePrefix: ['/app'])"},
    ],
)
def test_other_ways_to_name_log_groups(logs: Any, request_: dict[str, Any]) -> None:
    """A query that AWS takes must not be refused in a test."""
    assert logs.start_query(**{"queryString": "fields @message", **RANGE, **request_})["queryId"]


def test_list_filters(logs: Any, server: EmulatorServer, clock: ManualClock) -> None:
    """A search for a start that got no answer would be tested against a list that does not filter."""
    ended = logs.start_query(**START)["queryId"]
    clock.advance(1)
    running = logs.start_query(logGroupIdentifiers=[ARN], queryString="stats count(*)", **RANGE)["queryId"]
    logs.start_query(**{**START, "logGroupName": "/other"})

    def listed(**more: Any) -> list[str]:
        return [item["queryId"] for item in logs.describe_queries(**more)["queries"]]

    assert listed(logGroupName="/app") == [running, ended]
    assert listed(logGroupName="/app", status="Scheduled") == [running]
    assert listed(queryLanguage="SQL") == []
    record = logs.describe_queries(status="Complete")["queries"][0]
    assert (record["queryString"], record["queryDuration"]) == ("fields @message", 1000)


def test_other_operations_are_still_moto_s(logs: Any) -> None:
    """A DAG test that also writes log events would break if the emulator hid the rest of moto."""
    logs.create_log_group(logGroupName="/app")

    assert logs.describe_log_groups()["logGroups"][0]["logGroupName"] == "/app"
