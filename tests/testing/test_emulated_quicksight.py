"""QuickSight's ingestions over real HTTP with real boto3: they behave as the service's documentation says."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from botocore.exceptions import ClientError

from airflow_jobs_provider.testing import EmulatorServer, ManualClock
from tests.testing.conftest import ClientFactory, DataSet

JOB = "quicksight-ingestion"


def error_of(call: Any, *arguments: Any, **more: Any) -> tuple[str, int, str]:
    """Return the code, the HTTP status and the message of the error that a call raises."""
    with pytest.raises(ClientError) as caught:
        call(*arguments, **more)
    answer: Any = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Message"]


def test_create_answers_like_the_service(sales: DataSet) -> None:
    """A hook that reads the start's answer would find members missing that the real one has."""
    answer = sales.create()

    assert answer["Arn"] == "arn:aws:quicksight:eu-west-1:123456789012:dataset/sales/ingestion/i1"
    assert answer["IngestionId"] == "i1"
    assert answer["IngestionStatus"] == "INITIALIZED"
    assert answer["Status"] == answer["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert answer["RequestId"] == answer["ResponseMetadata"]["RequestId"]


def test_life_of_an_ingestion(sales: DataSet, server: EmulatorServer, clock: ManualClock) -> None:
    """A wait would be tested against a status order that the service does not have."""
    server.emulator.configure(JOB, duration=20, timeline={"INITIALIZED": 1, "QUEUED": 4})
    sales.create()
    seen = [sales.status()]
    for seconds in (1, 4, 14.9, 0.1):
        clock.advance(seconds)
        seen.append(sales.status())

    assert seen == ["INITIALIZED", "QUEUED", "RUNNING", "RUNNING", "COMPLETED"]


def test_record_of_a_completed_ingestion(sales: DataSet, server: EmulatorServer, clock: ManualClock) -> None:
    """A result read out of the final record would be tested against invented members."""
    server.emulator.script(
        JOB, rows_ingested=70, rows_dropped=3, total_rows=500, size_in_bytes=9, duration=10
    )
    sales.create(IngestionType="INCREMENTAL_REFRESH")
    clock.advance(10)

    assert sales.describe() == {
        "Arn": "arn:aws:quicksight:eu-west-1:123456789012:dataset/sales/ingestion/i1",
        "IngestionId": "i1",
        "IngestionStatus": "COMPLETED",
        "RowInfo": {"RowsIngested": 70, "RowsDropped": 3, "TotalRowsInDataset": 500},
        "CreatedTime": datetime.fromtimestamp(clock.now - 10, timezone.utc),
        "IngestionTimeInSeconds": 8,
        "IngestionSizeInBytes": 9,
        "RequestSource": "MANUAL",
        "RequestType": "INCREMENTAL_REFRESH",
    }


def test_rows_grow_while_it_runs(sales: DataSet, server: EmulatorServer, clock: ManualClock) -> None:
    """A log of the progress could not be tested."""
    server.emulator.configure(JOB, duration=10, timeline={"INITIALIZED": 0, "QUEUED": 0}, rows_ingested=200)
    sales.create()
    clock.advance(5)
    record = sales.describe()

    assert record["RowInfo"]["RowsIngested"] == 100
    assert record["IngestionTimeInSeconds"] == 5
    assert "IngestionSizeInBytes" not in record


def test_queue_names_the_ingestion_that_it_waits_for(
    sales: DataSet, server: EmulatorServer, clock: ManualClock
) -> None:
    """A message such as "waits for i1" would have nothing to show."""
    server.emulator.configure(JOB, timeline={"INITIALIZED": 0, "QUEUED": 5}, duration=30)
    sales.create("i1")
    sales.create("i2")

    assert sales.describe("i2")["QueueInfo"] == {"WaitingOnIngestion": "i1", "QueuedIngestion": "i2"}
    clock.advance(5)
    assert "QueueInfo" not in sales.describe("i2")


def test_failure_has_an_error_info(sales: DataSet, server: EmulatorServer, clock: ManualClock) -> None:
    """A retry policy that reads ErrorInfo.Type could not be tested."""
    server.emulator.script(JOB, status="FAILED", error_type="QUERY_TIMEOUT", error_message="too slow")
    sales.create()
    clock.advance(1)
    record = sales.describe()

    assert record["IngestionStatus"] == "FAILED"
    assert record["ErrorInfo"] == {"Type": "QUERY_TIMEOUT", "Message": "too slow"}
    assert record["RowInfo"]["RowsIngested"] == 0


def test_default_type_is_a_full_refresh(sales: DataSet) -> None:
    """A caller that leaves the type out would see another default than the service's."""
    sales.create()

    assert sales.describe()["RequestType"] == "FULL_REFRESH"


def test_repeated_id_is_refused(sales: DataSet) -> None:
    """The idempotency of the start rests on this: a second start with the same id must not start a job."""
    sales.create()

    assert error_of(sales.create)[:2] == ("ResourceExistsException", 409)


def test_quota_counts_a_sliding_day(sales: DataSet, server: EmulatorServer, clock: ManualClock) -> None:
    """Retries that burn the daily quota would go unnoticed."""
    server.emulator.configure(JOB, quota=2)
    sales.create("i1")
    clock.advance(3600)
    sales.create("i2")

    code, status, message = error_of(sales.create, "i3")
    assert (code, status) == ("LimitExceededException", 409)
    assert "2 manual refreshes" in message
    DataSet(sales.quicksight, "another").create("i3")
    clock.advance(23 * 3600)
    sales.create("i3")
    assert error_of(sales.create, "i4")[0] == "LimitExceededException"


@pytest.mark.parametrize("operation", ["describe", "cancel"])
def test_unknown_ingestion_is_not_found(sales: DataSet, operation: str) -> None:
    """A sensor on a wrong id must see the service's 404."""
    assert error_of(getattr(sales, operation), "nobody")[:2] == ("ResourceNotFoundException", 404)


@pytest.mark.parametrize("operation", ["create", "describe", "cancel", "listing"])
def test_missing_dataset_is_not_found(sales: DataSet, server: EmulatorServer, operation: str) -> None:
    """A typo in a dataset's id must be seen as the service's 404."""
    server.emulator.configure(JOB, missing_targets=["sales"])

    code, status, message = error_of(getattr(sales, operation))
    assert (code, status) == ("ResourceNotFoundException", 404)
    assert "sales" in message


def test_cancel_of_a_running_ingestion(sales: DataSet, server: EmulatorServer, clock: ManualClock) -> None:
    """There is no stopping status: a waiting cancel must cope with RUNNING until it is over."""
    server.emulator.configure(JOB, duration=60, cancel_delay=5)
    sales.create()
    clock.advance(10)
    answer = sales.cancel()

    assert answer["IngestionId"] == "i1"
    assert "IngestionStatus" not in answer
    clock.advance(4.9)
    assert sales.status() == "RUNNING"
    clock.advance(0.1)
    record = sales.describe()
    assert record["IngestionStatus"] == "CANCELLED"
    assert record["ErrorInfo"]["Type"] == "INGESTION_CANCELED"
    job = server.emulator.jobs()[0]
    assert (job["cancel_requested"], job["ended"], job["cancels"]) == (clock.now - 5, clock.now, 1)


def test_cancel_that_comes_too_late(sales: DataSet, server: EmulatorServer, clock: ManualClock) -> None:
    """An accepted cancel is no proof: the ingestion may complete all the same."""
    server.emulator.script(JOB, duration=10, ignore_cancel=True)
    sales.create()
    sales.cancel()
    clock.advance(10)

    assert sales.status() == "COMPLETED"


@pytest.mark.parametrize("answer", ["success", "ResourceNotFoundException"])
def test_cancel_of_an_ended_ingestion(
    sales: DataSet, server: EmulatorServer, clock: ManualClock, answer: str
) -> None:
    """A cancel must be idempotent whichever way the service answers; neither way may change the end."""
    server.emulator.configure(JOB, cancel_ended=answer)
    sales.create()
    clock.advance(1)

    if answer == "success":
        assert sales.cancel()["Status"] == 200
    else:
        assert error_of(sales.cancel)[:2] == (answer, 404)
    assert sales.status() == "COMPLETED"
    assert server.emulator.jobs()[0]["cancels"] == 1


def test_listing_in_pages(sales: DataSet, clock: ManualClock) -> None:
    """A reader of pages must see every ingestion once, also if others start meanwhile."""
    for number in range(5):
        sales.create(f"i{number}")
        clock.advance(1)
    first = sales.listing(MaxResults=2)
    sales.create("later")
    second = sales.listing(MaxResults=2, NextToken=first["NextToken"])
    third = sales.listing(MaxResults=2, NextToken=second["NextToken"])

    pages = [[record["IngestionId"] for record in page["Ingestions"]] for page in (first, second, third)]
    assert pages == [["i4", "i3"], ["i2", "i1"], ["i0"]]
    assert "NextToken" not in third
    assert first["Ingestions"][0] == sales.describe("i4")


def test_listing_has_at_most_a_hundred(sales: DataSet, server: EmulatorServer) -> None:
    """A poller that reads one page and no more would go untested."""
    server.emulator.configure(JOB, quota=None)
    for number in range(101):
        sales.create(f"i{number}")

    page = sales.listing()
    assert len(page["Ingestions"]) == 100
    assert page["NextToken"]


@pytest.mark.parametrize("token", ["nonsense", "YWZ0ZXIteA==", "NQ=="])
def test_foreign_token_is_refused(sales: DataSet, token: str) -> None:
    """A token that got mixed up must not silently give the first page."""
    assert error_of(sales.listing, NextToken=token)[:2] == ("InvalidNextTokenException", 400)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"IngestionId": "with space"}, "regular expression pattern: ^[a-zA-Z0-9-_]+$"),
        ({"IngestionId": "ends\n"}, "regular expression pattern"),
        ({"IngestionId": "x" * 129}, "length less than or equal to 128"),
        ({"AwsAccountId": "12345678901x"}, "pattern: ^[0-9]{12}$"),
        ({"AwsAccountId": "1234567890123"}, "length less than or equal to 12"),
        ({"IngestionType": "HALF"}, "enum value set: [INCREMENTAL_REFRESH, FULL_REFRESH]"),
    ],
)
def test_bad_parameters_are_refused(sales: DataSet, change: dict[str, str], reason: str) -> None:
    """These get past botocore: a caller that does not check itself must get the service's error."""
    request = {"AwsAccountId": "123456789012", "DataSetId": "sales", "IngestionId": "i1", **change}

    code, status, message = error_of(sales.quicksight.create_ingestion, **request)
    assert (code, status) == ("InvalidParameterValueException", 400)
    assert reason in message


def test_page_size_is_bounded(sales: DataSet) -> None:
    """A page size that the service refuses must not work in a test."""
    code, _, message = error_of(sales.listing, MaxResults=101)
    assert code == "InvalidParameterValueException"
    assert "less than or equal to 100" in message


def test_regions_and_accounts_are_apart(client: ClientFactory, sales: DataSet) -> None:
    """A wait with a wrong region or account must not find the job of another."""
    sales.create()

    for other in (DataSet(client(region="us-east-1")), DataSet(client(), account="999999999999")):
        assert error_of(other.describe)[0] == "ResourceNotFoundException"
        assert other.listing()["Ingestions"] == []
        other.create()


def test_ids_with_unusual_characters(client: ClientFactory) -> None:
    """A dataset's id may hold dots and blanks, which moto's own paths do not match."""
    data_set = DataSet(client(), dataset="sales v1.2")
    data_set.create()

    assert data_set.status() == "INITIALIZED"
    assert len(data_set.listing()["Ingestions"]) == 1


def test_other_operations_are_still_moto_s(client: ClientFactory, server: EmulatorServer) -> None:
    """A DAG test that also creates the dataset would break if the emulator hid the rest of moto."""
    answer = client().create_data_set(
        AwsAccountId="123456789012", DataSetId="d1", Name="d", PhysicalTableMap={}, ImportMode="SPICE"
    )

    assert answer["DataSetId"] == "d1"
    assert server.emulator.counts() == {"CreateDataSet": {"ok": 1}}
