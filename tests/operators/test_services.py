"""What one service alone has, over real HTTP."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import jmespath
import pytest
from airflow.sdk.exceptions import AirflowRescheduleException, TaskDeferralError, TaskDeferred

from airflow_jobs_provider.exceptions import AwsApiError, JobFailedError, ResultTooLargeError
from airflow_jobs_provider.operators.cloudtrail import CloudTrailStartQueryOperator
from airflow_jobs_provider.operators.logs import LogsStartQueryOperator
from tests.cases import CASES, Case
from tests.conftest import Context

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import Emulator

BY_NAME = {case.name: case for case in CASES}
BEDROCK = BY_NAME["bedrock-ingestion"]
NEPTUNE = BY_NAME["neptune-import"]
EXPORT = BY_NAME["neptune-export"]
CLOUDTRAIL = BY_NAME["cloudtrail-query"]
LOGS = BY_NAME["logs-query"]
QUERIES = tuple(case for case in CASES if case.job_type.results is not None)
ROLLING_BACK = {"INITIALIZING": 0, "ANALYZING_DATA": 0, "IMPORTING": 0, "ROLLING_BACK": 600}
DELIVERED: dict[str, Any] = {"delivery_s3_uri": "s3://bucket/results"}


@pytest.mark.parametrize(
    "message",
    [
        "dependency error document status code: 404, error message: no such index",
        "server returned 401",
        "there is an ongoing KnowledgeBaseDocuments API request",
    ],
)
def test_a_knowledge_base_that_is_not_ready_yet(aws: Emulator, context: Context, message: str) -> None:
    """In the first minute of a knowledge base Bedrock calls its own delay a validation error."""
    aws.configure(BEDROCK.name, duration=0.1)
    aws.fault("error", code="ValidationException", message=message, operation="StartIngestionJob", times=2)
    assert BEDROCK.start().execute(context)["status"] == "COMPLETE"


def test_another_validation_error_fails_at_once(aws: Emulator, context: Context) -> None:
    """A model that may not be used stays so: to ask again only hides it."""
    message = "no access to the embedding model"
    aws.fault("error", code="ValidationException", message=message, operation="StartIngestionJob")
    with pytest.raises(AwsApiError, match=message):
        BEDROCK.start().execute(context)
    assert len(aws.journal("StartIngestionJob")) == 1


@pytest.mark.parametrize("code", ["ConflictException", "ValidationException", "ResourceNotFoundException"])
def test_a_stop_that_comes_too_late(aws: Emulator, context: Context, code: str) -> None:
    """Whatever Bedrock says of a job that has ended: it has."""
    aws.configure(BEDROCK.name, duration=0.1, cancel_ended=code)
    result = BEDROCK.start().execute(context)
    ids = {name: result[name] for name in BEDROCK.job_type.identity}
    stopped = BEDROCK.cancel(**ids).execute(Context())
    assert stopped["status"] == "COMPLETE"


def test_the_description_says_who_started_the_job(aws: Emulator, context: Context) -> None:
    """An author's own words are kept; without any, the task's name is found in the console."""
    BEDROCK.start(wait_for_completion=False).execute(context)
    aws.settle(BEDROCK.name, {}, "COMPLETE")
    BEDROCK.start(wait_for_completion=False, description="nightly").execute(Context())
    ours, theirs = (job["parameters"]["description"] for job in aws.jobs())
    says = "Airflow DAG finance, run scheduled__2026-11-22T05:00:00+00:00, task refresh, try 1, "
    assert ours.startswith(says)
    assert theirs == "nightly"


def test_failed_documents_come_with_their_reasons(
    aws: Emulator, context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    """A count alone does not tell which document to mend."""
    aws.configure(
        BEDROCK.name,
        duration=0.1,
        statistics={"numberOfDocumentsFailed": 2},
        failure_reasons=["a.pdf is too large"],
    )
    BEDROCK.start().execute(context)
    said = "succeeded with 2 documents that could not be ingested: a.pdf is too large"
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("mode", ["worker", "deferred", "poke", "reschedule"])
async def test_a_reason_that_comes_late_is_waited_for(
    aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """Neptune says FAILED before it says why."""
    aws.configure(
        NEPTUNE.name, duration=0.1, status="FAILED", status_reason="the file is gone", details_delay=0.6
    )
    if mode == "worker":
        with pytest.raises(JobFailedError, match="the file is gone"):
            NEPTUNE.start().execute(context)
        return
    if mode == "deferred":
        aws.configure(NEPTUNE.name, duration=600)
    ids = NEPTUNE.start(wait_for_completion=False).execute(Context())
    ids = {name: ids[name] for name in NEPTUNE.job_type.identity}
    if mode == "deferred":
        operator = NEPTUNE.sensor(**ids, deferrable=True)
        with pytest.raises(TaskDeferred) as caught:
            operator.execute(context)
        aws.settle(NEPTUNE.name, {}, "FAILED", status_reason="the file is gone", details_delay=0.6)
        [event] = [fired async for fired in caught.value.trigger.run()]
        with pytest.raises(JobFailedError, match="the file is gone"):
            operator.execute_complete(context, event.payload, **(caught.value.kwargs or {}))
        return
    for _ in range(20):
        try:
            NEPTUNE.sensor(**ids, mode=mode).execute(context)
        except AirflowRescheduleException:
            await asyncio.sleep(0.1)
        except JobFailedError as error:
            assert "the file is gone" in str(error)  # noqa: PT017 - other exceptions come before it
            return
    pytest.fail("the sensor did not see the failure")


def test_a_reason_that_never_comes_is_not_waited_for_for_ever(
    aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure without a reason is still a failure."""
    after = NEPTUNE.job_type.aftermath
    assert after is not None
    monkeypatch.setitem(after.__dict__, "patience", 0.3)
    aws.configure(NEPTUNE.name, duration=0.1, status="FAILED", details_delay=600)
    with pytest.raises(JobFailedError, match=r"failed \(FAILED\)"):
        NEPTUNE.start().execute(context)


def test_an_import_that_rolls_back_is_ending(aws: Emulator, context: Context) -> None:
    """It takes no cancel any more: who cancels it, or was cleared, must wait for its end and not fail."""

    def roll_back(operator: Any, context: Context) -> Any:
        """Execute while an import rolls back; that ends after the second look at it."""
        [job] = [job for job in aws.jobs() if job["ended"] is None]
        assert job["status"] == "ROLLING_BACK"
        seen = len(aws.journal("GetImportTask"))

        def end() -> None:
            while len(aws.journal("GetImportTask")) < seen + 2:
                time.sleep(0.01)
            aws.configure(NEPTUNE.name, duration=0.1, timeline={})
            aws.settle(NEPTUNE.name, job["ids"], "FAILED")

        beside = threading.Thread(target=end)
        beside.start()
        result = operator.execute(context)
        beside.join()
        return job, result

    aws.fault("error", code="ConflictException", operation="CancelImportTask")
    aws.configure(NEPTUNE.name, duration=600, timeline=ROLLING_BACK)
    started = NEPTUNE.start(wait_for_completion=False).execute(Context())
    cancel = NEPTUNE.cancel(task_identifier=started["task_identifier"])
    assert roll_back(cancel, Context())[1]["status"] == "FAILED"
    aws.configure(NEPTUNE.name, duration=600, timeline=ROLLING_BACK)
    with pytest.raises(TaskDeferred):
        NEPTUNE.start(deferrable=True).execute(context)
    old, result = roll_back(NEPTUNE.start(), context.cleared())
    assert result["status"] == "SUCCEEDED"
    [old] = [job for job in aws.jobs() if job["ids"] == old["ids"]]
    assert old["ended"] <= aws.jobs()[-1]["created"]


def test_a_job_that_does_more_than_the_list_tells_is_not_adopted(aws: Emulator, context: Context) -> None:
    """An export of everything is not the export of a part that this task wants."""
    aws.configure("neptune-export", duration=600)
    EXPORT.start(wait_for_completion=False).execute(Context())
    some: dict[str, Any] = {"vertexFilter": {"Person": {"properties": {}}}}
    with pytest.raises(TaskDeferred) as caught:
        EXPORT.start(on_conflict="adopt", deferrable=True, export_filter=some).execute(context)
    assert caught.value.method_name == "start_again"


def test_reasons_are_kept_in_small(aws: Emulator, context: Context) -> None:
    """Two thousand reasons of two thousand characters would be four megabytes of XCom."""
    aws.configure(BEDROCK.name, duration=0.1, failure_reasons=["x" * 100] * 2000)
    details = BEDROCK.start().execute(context)["details"]
    assert len(details["failureReasons"]) == 20


def test_a_broken_wait_for_a_delivery_is_no_success(aws: Emulator, context: Context) -> None:
    """A delivery that nobody saw the end of must not be called done."""
    aws.configure(CLOUDTRAIL.name, duration=600, delivery_delay=600)
    with pytest.raises(TaskDeferred):
        CLOUDTRAIL.start(**DELIVERED, deferrable=True).execute(context)
    aws.settle(CLOUDTRAIL.name, {}, "FINISHED")
    with pytest.raises(TaskDeferralError):
        CLOUDTRAIL.start(**DELIVERED).resume_execution("__fail__", {"error": "Trigger failure"}, context)


def test_native_rendering_makes_no_number_of_an_id(aws: Emulator, context: Context) -> None:
    """With render_template_as_native_obj Airflow makes an int of every string of digits."""
    aws.configure(CLOUDTRAIL.name, duration=0.1)
    operator = CLOUDTRAIL.start(
        query_alias="a",
        query_parameters=["{{ params.n }}"],
        event_data_store_owner_account_id="{{ params.b }}",
    )
    operator.query_parameters = ["store", 5]  # what rendering does
    operator.event_data_store_owner_account_id = 123456789012
    operator.execute(context)
    [job] = aws.jobs()
    assert job["parameters"]["QueryParameters"] == ["store", "5"]
    assert job["parameters"]["EventDataStoreOwnerAccountId"] == "123456789012"


def test_a_query_that_was_not_stopped_is_stopped_again(
    aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """StopQuery may answer that it has done nothing, and the query runs on."""
    answer = LOGS.job_type.was_taken(LOGS.job_type.cancel, {"success": False})
    assert answer is False
    assert LOGS.job_type.was_taken(LOGS.job_type.cancel, {"success": True}) is True
    assert CLOUDTRAIL.job_type.was_taken(CLOUDTRAIL.job_type.cancel, {}) is True


def test_finished_is_not_delivered(aws: Emulator, context: Context) -> None:
    """The next task would not find the result in the bucket."""
    aws.configure(CLOUDTRAIL.name, duration=0.1, delivery_delay=0.7)
    began = time.time()
    result = CLOUDTRAIL.start(**DELIVERED).execute(context)
    assert result["details"]["DeliveryStatus"] == "SUCCESS"
    assert time.time() - began > 0.7
    aws.configure(CLOUDTRAIL.name, delivery_delay=600)
    result = CLOUDTRAIL.start(**DELIVERED, wait_for_delivery=False).execute(Context())
    assert result["details"]["DeliveryStatus"] == "PENDING"
    result = CLOUDTRAIL.start().execute(Context())
    assert "DeliveryStatus" not in result["details"]


def test_a_delivery_that_fails_fails_the_task(aws: Emulator, context: Context) -> None:
    """A result that nobody finds is no success; without the wait it is not this task's matter."""
    aws.configure(CLOUDTRAIL.name, duration=0.1, delivery_status="ACCESS_DENIED")
    said = "ended FINISHED, but the delivery to s3://bucket/results is ACCESS_DENIED"
    with pytest.raises(JobFailedError, match=said):
        CLOUDTRAIL.start(**DELIVERED).execute(context)
    assert CLOUDTRAIL.start(**DELIVERED, wait_for_delivery=False).execute(Context())["status"] == "FINISHED"


async def test_a_deferred_wait_lasts_until_the_delivery(aws: Emulator, context: Context) -> None:
    """The triggerer, too, must not take FINISHED for delivered."""
    aws.configure(CLOUDTRAIL.name, duration=600)
    operator = CLOUDTRAIL.start(**DELIVERED, deferrable=True)
    with pytest.raises(TaskDeferred) as caught:
        operator.execute(context)
    aws.settle(CLOUDTRAIL.name, {}, "FINISHED", delivery_delay=0.6)
    [event] = [fired async for fired in caught.value.trigger.run()]
    result = operator.execute_complete(context, event.payload, **(caught.value.kwargs or {}))
    assert result["details"]["DeliveryStatus"] == "SUCCESS"


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT"])
def test_a_query_that_does_not_finish_says_why(aws: Emulator, context: Context, status: str) -> None:
    """A query that ran into the hour's limit is no success either."""
    aws.configure(CLOUDTRAIL.name, duration=0.1, status=status, error_message="it was too much")
    with pytest.raises(JobFailedError, match=f"failed .{status}.: it was too much"):
        CLOUDTRAIL.start().execute(context)


def test_a_query_says_what_it_cost(
    aws: Emulator, context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    """AWS bills the bytes scanned."""
    aws.configure(CLOUDTRAIL.name, duration=0.1, bytes_scanned=123456)
    result = CLOUDTRAIL.start().execute(context)
    assert result["details"]["QueryStatistics"]["BytesScanned"] == 123456
    assert "bytes scanned 123456" in capsys.readouterr().out


def test_a_query_is_given_once() -> None:
    """AWS would refuse it, but not before the task runs."""
    neither: dict[str, Any] = {}
    both: dict[str, Any] = {"query_statement": "SELECT 1", "query_alias": "a"}
    for bad in (neither, both):
        with pytest.raises(ValueError, match="one of query_statement, query_alias must be given, not "):
            CloudTrailStartQueryOperator(task_id="query", **bad)
    with pytest.raises(ValueError, match="one of query_statement, query_parameters must be given, not "):
        CloudTrailStartQueryOperator(task_id="query", query_statement="SELECT 1", query_parameters=["a"])


@pytest.mark.parametrize("answer", ["InvalidParameterException", "success"])
def test_a_query_that_has_ended_needs_no_stop(aws: Emulator, context: Context, answer: str) -> None:
    """Whichever way CloudWatch Logs says that there is nothing to stop: the query has ended."""
    aws.configure(LOGS.name, duration=0.1, cancel_ended=answer)
    query = LOGS.start().execute(context)["query_id"]
    assert LOGS.cancel(query_id=query).execute(Context())["status"] == "Complete"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, "one of log_group_name, .* must be given, not none of them"),
        ({"log_group_names": []}, "not none of them"),
        ({"query_string": "fields source"}, "not none of them"),
        ({"query_language": "PPL"}, "not none of them"),
        ({"log_group_name": "a", "log_group_identifiers": ["b"]}, "not log_group_name and log_group_id"),
        ({"log_group_name": "a"}, None),
        ({"log_group_names": "{{ params.groups }}"}, None),
        ({"query_language": "SQL"}, None),
        ({"query_language": "{{ params.language }}"}, None),
        ({"query_string": "source logGroups(namePrefix: ['/app']) | limit 5"}, None),
        ({"query_string": "find_errors.cwli"}, None),
    ],
)
def test_a_query_names_what_it_reads_once(options: dict[str, Any], error: str | None) -> None:
    """AWS would refuse it, but not before the task runs; a query that names its source needs no log group."""
    given: dict[str, Any] = {"query_string": "fields @message", "start_time": 0, "end_time": 1, **options}
    if error is None:
        LogsStartQueryOperator(task_id="query", **given)
    else:
        with pytest.raises(ValueError, match=error):
            LogsStartQueryOperator(task_id="query", **given)


def test_a_reading_keeps_no_rows(aws: Emulator, context: Context) -> None:
    """The status comes with the rows: XCom and the trigger's event must not take them all."""
    aws.configure(LOGS.name, duration=0.1, rows=[{"a": "1"}] * 3)
    details = LOGS.start().execute(context)["details"]
    assert set(details) == {"status", "queryLanguage", "statistics"}


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
class TestResults:
    """The rows of a query, for every job type that has them."""

    def test_rows_are_read_page_by_page(
        self, aws: Emulator, context: Context, query: Case, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A result of several pages must come whole, and survive what passes."""
        assert query.job_type.results is not None
        operation = query.job_type.results.operation
        size = {CLOUDTRAIL.name: "MaxQueryResults", LOGS.name: "maxItems"}[query.name]
        monkeypatch.setitem(operation.constants, size, 2)
        rows = [{"name": f"n{number}", "count": str(number)} for number in range(5)]
        aws.configure(query.name, duration=0.1, rows=rows)
        assert query.start(fetch_results=True).execute(context)["rows"] == rows
        result = query.start(wait_for_completion=False).execute(Context())
        ids = {name: result[name] for name in query.job_type.identity}
        assert "rows" not in result
        assert query.sensor(**ids, fetch_results=True).execute(Context())["rows"] == rows
        assert "rows" not in query.sensor(**ids).execute(Context())

    def test_rows_that_the_api_keeps_back_are_no_success(
        self, aws: Emulator, context: Context, query: Case, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A result that is not whole must not look like one that is."""
        assert query.job_type.results is not None
        operation = query.job_type.results.operation
        size = {CLOUDTRAIL.name: "MaxQueryResults", LOGS.name: "maxItems"}[query.name]
        monkeypatch.setitem(operation.constants, size, 2)

        def one_page(_: Any, operation: Any, answer: Any) -> tuple[Any, None]:
            return jmespath.search(operation.record, answer), None

        monkeypatch.setattr(type(query.job_type), "read_page", one_page)
        aws.configure(query.name, duration=0.1, rows=[{"a": "1"}] * 3)
        with pytest.raises(ResultTooLargeError, match="has found 3 rows, but the API gives only 2 of them"):
            query.start(fetch_results=True).execute(context)

    def test_too_many_rows_are_refused(self, aws: Emulator, context: Context, query: Case) -> None:
        """XCom is no data lake; and the query, which costs money, must not be run again for it."""
        aws.configure(query.name, duration=0.1, rows=[{"a": "1"}] * 3)
        with pytest.raises(ResultTooLargeError, match="has found 3 rows, more than max_result_rows=2"):
            query.start(fetch_results=True, max_result_rows=2).execute(context)
        assert query.start(fetch_results=True).execute(context.retried())["rows"] == [{"a": "1"}] * 3
        assert len(aws.jobs()) == 1

    def test_the_statement_stays_out_of_xcom_and_log(
        self, aws: Emulator, context: Context, query: Case, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A statement may hold what not everybody who reads a log may know."""
        aws.configure(query.name, duration=0.1, rows=[{"a": "1"}])
        key = next(name for name in query.start_class.template_fields if name.startswith("query_s"))
        operator = query.start(fetch_results=True)
        secret = getattr(operator, key)
        setattr(operator, key, secret + "\n-- hunter2")
        result = operator.execute(context)
        stored = json.dumps([result, context["ti"].xcoms, context["task_state_store"].values])
        told = capsys.readouterr().out
        for text in ("hunter2", "eventName"):
            assert text not in stored
            assert text not in told
