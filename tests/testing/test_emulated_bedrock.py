"""What is special about Bedrock's ingestion jobs."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_jobs_provider.testing import EmulatorServer, ManualClock
from tests.testing.conftest import ClientFactory
from tests.testing.test_emulated_services import code_of

JOB = "bedrock-ingestion"
TOKEN = "a-token-of-at-least-33-characters-1"


class DataSource:
    """A data source, to write a test's calls in few words."""

    def __init__(self, bedrock: Any, source: str = "DS12345678", base: str = "KB12345678") -> None:
        self.bedrock = bedrock
        self.ids = {"knowledgeBaseId": base, "dataSourceId": source}

    def start(self, **more: Any) -> dict[str, Any]:
        """Call StartIngestionJob and return the record."""
        return dict(self.bedrock.start_ingestion_job(**self.ids, **more)["ingestionJob"])

    def get(self, started: dict[str, Any]) -> dict[str, Any]:
        """Call GetIngestionJob and return the record."""
        job = started["ingestionJobId"]
        return dict(self.bedrock.get_ingestion_job(**self.ids, ingestionJobId=job)["ingestionJob"])

    def stop(self, started: dict[str, Any]) -> dict[str, Any]:
        """Call StopIngestionJob and return the record."""
        job = started["ingestionJobId"]
        return dict(self.bedrock.stop_ingestion_job(**self.ids, ingestionJobId=job)["ingestionJob"])

    def statuses(self, **more: Any) -> list[str]:
        """Call ListIngestionJobs and return the statuses."""
        jobs = self.bedrock.list_ingestion_jobs(**self.ids, **more)["ingestionJobSummaries"]
        return [job["status"] for job in jobs]


@pytest.fixture
def source(client: ClientFactory) -> DataSource:
    """Return a data source on the server."""
    return DataSource(client("bedrock-agent"))


def test_record(source: DataSource, server: EmulatorServer, clock: ManualClock) -> None:
    """A result read out of the final record would be tested against invented members."""
    server.emulator.script(JOB, statistics={"numberOfDocumentsFailed": 3, "numberOfDocumentsScanned": 70})
    started = source.start(description="why")
    clock.advance(1)
    record = source.get(started)

    assert {name: number for name, number in record.pop("statistics").items() if number} == {
        "numberOfDocumentsScanned": 70,
        "numberOfDocumentsFailed": 3,
        "numberOfNewDocumentsIndexed": 67,
    }
    assert record == {
        **source.ids,
        "ingestionJobId": started["ingestionJobId"],
        "description": "why",
        "status": "COMPLETE",
        "failureReasons": ["3 documents could not be ingested."],
        "startedAt": datetime.fromtimestamp(clock.now - 1, timezone.utc),
        "updatedAt": datetime.fromtimestamp(clock.now, timezone.utc),
    }


def test_failure_reasons(source: DataSource, server: EmulatorServer, clock: ManualClock) -> None:
    """The reasons must be read from the job itself: a list does not have them."""
    server.emulator.script(JOB, status="FAILED", failure_reasons=["first", "second"])
    started = source.start()
    clock.advance(1)

    assert source.get(started)["failureReasons"] == ["first", "second"]
    summary = source.bedrock.list_ingestion_jobs(**source.ids)["ingestionJobSummaries"][0]
    assert "failureReasons" not in summary
    assert summary["statistics"] == source.get(started)["statistics"]


def test_repeated_token(source: DataSource, server: EmulatorServer, clock: ManualClock) -> None:
    """A start that is sent again must give the first job, busy or ended, or there would be two."""
    first = source.start(clientToken=TOKEN)
    clock.advance(10)

    assert source.start(clientToken=TOKEN)["ingestionJobId"] == first["ingestionJobId"]
    assert len(server.emulator.jobs()) == 1
    assert code_of(source.start, clientToken=TOKEN, description="other") == "ValidationException"
    server.emulator.configure(JOB, token_mismatch="ConflictException", token_lifetime=10)
    source.start(clientToken=TOKEN, description="other")
    assert len(server.emulator.jobs()) == 2
    assert code_of(source.start, clientToken=TOKEN) == "ConflictException"


def test_token_of_invalid_form(source: DataSource) -> None:
    """A token that AWS would refuse must not work in a test."""
    assert code_of(source.start, clientToken=f"{TOKEN}_") == "ValidationException"
    assert code_of(source.start, clientToken=TOKEN * 10) == "ValidationException"


def test_limits(source: DataSource, server: EmulatorServer) -> None:
    """Waiting for another job of the knowledge base, or of the account, could not be tested."""
    source.start()
    sibling = DataSource(source.bedrock, source="DS87654321")
    assert code_of(sibling.start) == "ConflictException"
    server.emulator.configure(JOB, limit_per_knowledge_base=50)
    sibling.start()
    for number in range(3):
        DataSource(source.bedrock, base=f"KB0000000{number}").start()
    assert code_of(DataSource(source.bedrock, base="KB00000009").start) == "ServiceQuotaExceededException"


@pytest.mark.parametrize("code", ["ConflictException", "ValidationException", "ResourceNotFoundException"])
def test_answers_to_a_late_stop(
    source: DataSource, server: EmulatorServer, clock: ManualClock, code: str
) -> None:
    """Public code meets all of these: a cancel must be idempotent with each."""
    server.emulator.configure(JOB, cancel_ended=code)
    started = source.start()
    clock.advance(1)

    assert code_of(source.stop, started) == code


def test_filter_and_order(source: DataSource, server: EmulatorServer, clock: ManualClock) -> None:
    """A search for the running job among many would be tested against a list that does not filter."""
    server.emulator.script(JOB, status="FAILED")
    for _ in range(2):
        source.start()
        clock.advance(1)
    source.start()
    by_status = {"attribute": "STATUS", "order": "ASCENDING"}
    oldest_first = {"attribute": "STARTED_AT", "order": "ASCENDING"}
    running = {"attribute": "STATUS", "operator": "EQ", "values": ["STARTING", "IN_PROGRESS"]}

    assert source.statuses() == ["STARTING", "COMPLETE", "FAILED"]
    assert source.statuses(sortBy=oldest_first) == ["FAILED", "COMPLETE", "STARTING"]
    assert source.statuses(sortBy=by_status) == ["COMPLETE", "FAILED", "STARTING"]
    assert source.statuses(filters=[running]) == ["STARTING"]
    page = source.bedrock.list_ingestion_jobs(**source.ids, sortBy=by_status, maxResults=2)
    assert source.statuses(sortBy=by_status, nextToken=page["nextToken"]) == ["STARTING"]
