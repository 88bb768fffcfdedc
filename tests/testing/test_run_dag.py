"""The fixture run_dag: what it tells of a run, and what it leaves alone."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG, Asset, Variable, task
from airflow.secrets import BaseSecretsBackend

from airflow_jobs_provider.exceptions import JobFailedError
from airflow_jobs_provider.operators.logs import LogsStartQueryOperator
from airflow_jobs_provider.operators.quicksight import QuickSightCreateIngestionOperator
from airflow_jobs_provider.testing.pytest_plugin import DagRunner

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import AwsJobs
    from airflow_jobs_provider.testing.airflow_home import AirflowHome

REFRESH = "quicksight-ingestion"
FILE = """
from datetime import timedelta
from airflow.sdk import DAG
from airflow_jobs_provider.operators.quicksight import QuickSightCreateIngestionOperator

for name in ("sales", "stock"):
    with DAG(f"refresh_{name}", schedule=None):
        QuickSightCreateIngestionOperator(
            task_id="refresh", data_set_id=name, retries=1, retry_delay=timedelta(hours=1)
        )
"""


def dag_of(**parameters: Any) -> DAG:
    """Return a DAG of one refresh and what comes after it."""
    with DAG("sales", schedule=None) as dag:
        refresh = QuickSightCreateIngestionOperator(
            task_id="refresh", **{"data_set_id": "sales", **parameters}
        )

        @task
        def report(result: dict[str, Any]) -> str:
            return f"{result['status']} of {result['data_set_id']}"

        report(refresh.output)  # type: ignore[arg-type]
    return dag


@pytest.mark.parametrize("deferrable", [False, True])
def test_states_and_xcoms(deferrable: bool, aws_jobs: AwsJobs, run_dag: DagRunner) -> None:
    """What a test asks for: did it succeed, and what did each task return."""
    run = run_dag(dag_of(deferrable=deferrable))
    assert (run.dag_id, run.state) == ("sales", "success")
    assert run.task("report").result == "COMPLETED of sales"
    refresh = run.task("refresh")
    assert refresh.result["details"]["IngestionStatus"] == "COMPLETED"
    assert "https://" in str(refresh.xcoms), "the link to the console"
    assert [(each.number, each.state, each.error) for each in refresh.tries] == [(1, "success", None)]
    assert aws_jobs.calls("CreateIngestion")


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_failure(deferrable: bool, aws_jobs: AwsJobs, run_dag: DagRunner) -> None:
    """The exception is there, not only the word "failed"; what was not reached has no tries."""
    aws_jobs.next_fails(REFRESH, "DATA_SET_DELETED", "it is gone")
    run = run_dag(dag_of(deferrable=deferrable))
    assert run.state == "failed"
    assert isinstance(run.task("refresh").error, JobFailedError)
    assert "DATA_SET_DELETED: it is gone" in str(run.task("refresh").error)
    assert run.task("report").state == "upstream_failed"
    assert run.task("report").tries == ()
    assert run.task("report").error is None


def test_a_retry_does_not_wait(aws_jobs: AwsJobs, run_dag: DagRunner, tmp_path: Path) -> None:
    """A test that takes retry_delay is never run. The author's own delay is his, and is not told."""
    (tmp_path / "dags.py").write_text(FILE)
    aws_jobs.next_fails(REFRESH)
    run = run_dag(tmp_path / "dags.py", "refresh_stock")
    assert run.state == "success"
    assert [each.state for each in run.task("refresh").tries] == ["up_for_retry", "success"]
    assert run.task("refresh").tries[0].retry_in is None
    assert [job["ids"]["DataSetId"] for job in aws_jobs.jobs()] == ["stock", "stock"]


def test_mapped_tasks(aws_jobs: AwsJobs, run_dag: DagRunner) -> None:
    """Many targets are how people use this: each of them must be found."""
    with DAG("many", schedule=None) as dag:
        QuickSightCreateIngestionOperator.partial(task_id="refresh").expand(data_set_id=["a", "b"])
    aws_jobs.next_fails(REFRESH, on={"data_set_id": "b"})
    run = run_dag(dag)
    assert run.states("refresh") == ["success", "failed"]
    assert run.task("refresh", map_index=0).result["data_set_id"] == "a"
    with pytest.raises(ValueError, match="task_id='refresh' has 2 instances: say which map_index"):
        run.task("refresh")
    with pytest.raises(
        ValueError, match=r"there is no task_id='refreh' .* there are refresh\[0\], refresh\[1\]"
    ):
        run.task("refreh")


def test_the_run_is_the_tests(aws_jobs: AwsJobs, run_dag: DagRunner) -> None:
    """Params, and what depends on the date."""
    with DAG("dated", schedule=None, params={"limit": 1}) as dag:
        LogsStartQueryOperator(
            task_id="query",
            query_string="fields @message | limit {{ params.limit }}",
            log_group_name="/app/{{ ds }}",
            start_time="{{ logical_date.int_timestamp - 3600 }}",
            end_time="{{ logical_date.int_timestamp }}",
        )
    moment = datetime(2026, 1, 1, tzinfo=timezone.utc)
    run = run_dag(dag, conf={"limit": 7}, logical_date=moment)
    assert run.state == "success"
    [job] = aws_jobs.jobs()
    assert job["parameters"]["logGroupName"] == "/app/2026-01-01"
    assert job["parameters"]["endTime"] == moment.timestamp()
    assert job["parameters"]["queryString"].endswith("limit 7")


def test_each_test_has_a_database_of_its_own(
    aws_jobs: AwsJobs, run_dag: DagRunner, airflow_jobs_home: AirflowHome
) -> None:
    """depends_on_past must not see the runs of the test before."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    for _ in range(2):
        with airflow_jobs_home.active():
            run_dag(dag_of())
            with create_session() as session:
                assert session.query(DagRun).count() == 1


def test_airflow_is_as_before_afterwards(airflow_jobs_home: AirflowHome) -> None:
    """A test that uses the user's own Airflow may come next."""
    from airflow import settings

    def state() -> tuple[Any, ...]:
        return (
            dict(os.environ),
            settings.SQL_ALCHEMY_CONN,
            str(settings.engine.url) if settings.engine else "",
        )

    before = state()
    with airflow_jobs_home.active():
        assert str(airflow_jobs_home.path) in state()[2]
        assert os.environ["AIRFLOW_HOME"] == str(airflow_jobs_home.path)
    assert state() == before
    assert not Path(os.environ["AIRFLOW_HOME"], "airflow.db").exists()


def test_a_dag_that_cannot_be_had(run_dag: DagRunner, tmp_path: Path) -> None:
    """Not a run that fails, but a sentence."""
    with pytest.raises(ValueError, match=r"there is no file .*missing\.py"):
        run_dag(tmp_path / "missing.py")
    broken = tmp_path / "broken.py"
    broken.write_text("from airflow.sdk import DAG\nraise RuntimeError('no configuration')")
    with pytest.raises(ValueError, match=r"broken.py cannot be imported:\n(.|\n)*no configuration"):
        run_dag(broken)
    several = tmp_path / "several.py"
    several.write_text(FILE)
    with pytest.raises(ValueError, match=r"dag_id=None: .*several\.py has refresh_sales, refresh_stock"):
        run_dag(str(several))
    with pytest.raises(
        ValueError, match=r"dag_id='refresh_sale': .*several\.py has refresh_sales, refresh_stock"
    ):
        run_dag(several, "refresh_sale")


@pytest.mark.parametrize("value", ["42", "null", "true", '{"a": 1}', 42, None, {"a": (1, 2)}])
def test_results_are_those_that_other_tasks_get(value: Any, run_dag: DagRunner) -> None:
    """Text that happens to be JSON is text."""
    with DAG("values", schedule=None) as dag:

        @task(do_xcom_push=True)
        def give() -> Any:
            return value

        @task
        def get(given: Any) -> str:
            return repr(given)

        get(give())
    run = run_dag(dag)
    assert run.state == "success"
    assert repr(run.task("give").result) == run.task("get").result


def test_no_secrets_backend_is_asked(airflow_jobs_home: AirflowHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow may have been imported before, with a production's: no test may be given what is in there."""
    from airflow import configuration

    asked: list[str] = []

    class Production(BaseSecretsBackend):
        """Has everything."""

        def get_variable(self, key: str, team_name: str | None = None) -> str | None:
            """Return what no test may see."""
            asked.append(key)
            return "from production"

    before = [Production(), *configuration.initialize_secrets_backends()]
    monkeypatch.setattr(configuration, "secrets_backend_list", before)
    with DAG("secret", schedule=None) as dag:

        @task
        def look() -> Any:
            return Variable.get("country", default="none")

        look()
    with airflow_jobs_home.active():
        assert DagRunner()(dag).task("look").result == "none"
    assert asked == []
    assert configuration.secrets_backend_list is before


def test_asset_events(aws_jobs: AwsJobs, run_dag: DagRunner) -> None:
    """What schedules others is worth a test."""
    with DAG("events", schedule=None) as dag:
        QuickSightCreateIngestionOperator(
            task_id="refresh", data_set_id="sales", outlets=[Asset("spice://sales")]
        )
    [event] = run_dag(dag).task("refresh").asset_events
    assert event.uri.startswith("spice://sales")
    assert event.extra["rows_ingested"] > 0
