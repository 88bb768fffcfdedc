"""The plugin in other people's test sessions: what it costs those who do not use it, and how it is set up."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import AwsJobs

ROOT = Path(__file__).parent.parent.parent
PLUGIN = "airflow_jobs_provider.testing.pytest_plugin"


def session(folder: Path, test: str, *options: str, ini: str = "", **environment: str) -> str:
    """Run a session of somebody else's, with our plugin, and return what it prints."""
    (folder / "test_it.py").write_text(test)
    (folder / "pytest.ini").write_text(f"[pytest]\nfilterwarnings = error\n{ini}")
    # -p does what the entry point does, in an environment where this clone is not installed.
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        PLUGIN,
        "-p",
        "no:asyncio",
        "-p",
        "no:cacheprovider",
    ]
    path = os.pathsep.join([str(ROOT), *sys.path])
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AIRFLOW"))}
    done = subprocess.run(
        [*command, *options],
        cwd=folder,
        env={**clean, "PYTHONPATH": path, "AIRFLOW_HOME": str(folder / "their-airflow"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_is_nothing_to_those_who_do_not_use_it(tmp_path: Path) -> None:
    """It is loaded in every session of everybody who has the provider, and of those without the extra."""
    test = """
import os, sys
sys.modules["moto"] = None
def test_it(request):
    heavy = {"airflow", "boto3", "botocore", "aiobotocore", "werkzeug", "airflow_jobs_provider.jobs"}
    assert not heavy & set(sys.modules)
    assert request.config.pluginmanager.hasplugin("airflow_jobs_provider.testing.pytest_plugin")
    assert not [name for name in os.environ if name.startswith(("AWS_", "AIRFLOW__", "AIRFLOW_CONN"))]
"""
    assert "1 passed" in session(tmp_path, test)
    assert not (tmp_path / "their-airflow").exists()


def test_it_can_be_turned_off(tmp_path: Path) -> None:
    """Whoever has fixtures of the same names."""
    test = f"def test_it(request):\n    assert not request.config.pluginmanager.hasplugin('{PLUGIN}')\n"
    session(tmp_path, test, "-p", f"no:{PLUGIN}")


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    """A fixture that fails with "No module named moto" sends people searching."""
    test = """
import sys, pytest
sys.modules["moto"] = None
def test_it(request):
    with pytest.raises(ImportError, match=r"pip install 'airflow-jobs-provider\\[testing\\]'"):
        request.getfixturevalue("aws_jobs")
"""
    session(tmp_path, test)


def test_it_can_be_set_up(tmp_path: Path) -> None:
    """DAGs name connections of their own, and a region."""
    (tmp_path / "copies.py").write_text(
        "from airflow.sdk import DAG\n"
        "from airflow_jobs_provider.operators.quicksight import QuickSightCreateIngestionOperator\n"
        "with DAG('refresh_sales', schedule=None):\n"
        "    QuickSightCreateIngestionOperator(task_id='it', data_set_id='sales', aws_conn_id='aws_bi')\n"
    )
    test = """
def test_it(aws_jobs, run_dag):
    assert run_dag("copies.py").state == "success"
    assert [job["region"] for job in aws_jobs.jobs()] == ["eu-central-1"]
"""
    ini = "aws_jobs_conn_ids = aws_default aws_bi\naws_jobs_region = eu-central-1\n"
    session(tmp_path, test, ini=ini)


def test_every_way_leads_to_the_emulator(
    aws_jobs: AwsJobs, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """A profile or an endpoint of the developer's own would have his tests refresh real data sets."""
    client: Any = boto3.client("quicksight")
    assert client.meta.endpoint_url == aws_jobs.url
    assert client.meta.region_name == request.config.getini("aws_jobs_region")
    assert "AWS_PROFILE" not in os.environ
    assert json.loads(os.environ["AIRFLOW_CONN_AWS_DEFAULT"])["extra"]["endpoint_url"] == aws_jobs.url


def test_the_developers_own_settings_are_out_of_the_way(tmp_path: Path) -> None:
    """They are there in a real shell, and in CI."""
    test = """
import os, boto3
def test_it(aws_jobs):
    client = boto3.client("quicksight")
    assert client.meta.endpoint_url == aws_jobs.url
    client.create_ingestion(AwsAccountId="1" * 12, DataSetId="sales", IngestionId="i")
    assert len(aws_jobs.jobs()) == 1
"""
    session(
        tmp_path,
        test,
        AWS_PROFILE="production",
        AWS_ENDPOINT_URL_QUICKSIGHT="http://127.0.0.1:9",
        AWS_IGNORE_CONFIGURED_ENDPOINT_URLS="true",
        HTTP_PROXY="http://127.0.0.1:9",
        http_proxy="http://127.0.0.1:9",
    )


@pytest.mark.parametrize("number", [1, 2])
def test_nothing_is_left_of_the_test_before(aws_jobs: AwsJobs, number: int) -> None:
    """Of the services that are moto's own neither: a test that counts alerts would count another's."""
    sns = boto3.client("sns")
    assert sns.list_topics()["Topics"] == []
    sns.create_topic(Name=f"alerts-{number}")


def test_the_entry_point_has_the_modules_name() -> None:
    """Under another name pytest would refuse to load it beside a "-p" of the module: registered twice."""
    declared = (ROOT / "pyproject.toml").read_text()
    assert f'[project.entry-points.pytest11]\n"{PLUGIN}" = "{PLUGIN}"\n' in declared
    installed = importlib.metadata.entry_points(group="pytest11", value=PLUGIN)
    assert {entry.name for entry in installed} <= {PLUGIN}
