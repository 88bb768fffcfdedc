"""The fixtures ``aws_jobs`` and ``run_dag`` for tests of DAGs; see docs/testing.md.

pytest imports this module in every session of everybody who has the provider installed: everything heavy is
imported where a fixture is used.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from airflow.sdk import DAG

    from airflow_jobs_provider.testing.airflow_home import AirflowHome
    from airflow_jobs_provider.testing.dags import FinishedRun
    from airflow_jobs_provider.testing.outcomes import AwsJobs
    from airflow_jobs_provider.testing.server import EmulatorServer

_CONNECTIONS = "aws_jobs_conn_ids"
_REGION = "aws_jobs_region"
# What would lead boto3 to a real account, or past the emulator.
_NOT_OURS = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_REGION")
_NOT_OURS_PREFIXES = ("AWS_ENDPOINT_URL_", "AWS_CONTAINER_", "AWS_ROLE_", "AWS_WEB_IDENTITY_", "AWS_IGNORE_")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the settings of the fixtures; they go into the pytest section of ``pyproject.toml``."""
    parser.addini(
        _CONNECTIONS, "Airflow connections that lead to the emulated AWS", "args", default=["aws_default"]
    )
    parser.addini(_REGION, "AWS region of the emulated jobs", default="us-east-1")


@pytest.fixture(scope="session")
def aws_jobs_server() -> Iterator[EmulatorServer]:
    """Yield the HTTP server of the emulated AWS, in a thread of this process."""
    from airflow_jobs_provider.testing import Emulator, EmulatorServer

    with EmulatorServer(emulator=Emulator()) as server:
        yield server


@pytest.fixture
def aws_jobs(
    aws_jobs_server: EmulatorServer, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> AwsJobs:
    """Return an emulated AWS, fresh, to which boto3, aiobotocore and Airflow's connections lead."""
    from moto.core.base_backend import BackendDict

    from airflow_jobs_provider.testing import AwsJobs

    region = str(request.config.getini(_REGION))
    for name in list(os.environ):
        if name in _NOT_OURS or name.startswith(_NOT_OURS_PREFIXES):
            monkeypatch.delenv(name)
    for name, value in {
        "AWS_ENDPOINT_URL": aws_jobs_server.url,
        "AWS_ACCESS_KEY_ID": "emulated-key",
        "AWS_SECRET_ACCESS_KEY": "emulated-secret",
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        # Past a proxy that the environment names for AWS.
        "NO_PROXY": aws_jobs_server.host,
        "no_proxy": aws_jobs_server.host,
    }.items():
        monkeypatch.setenv(name, value)
    connection = {
        "conn_type": "aws",
        "login": "emulated-key",
        "password": "emulated-secret",
        "extra": {"region_name": region, "endpoint_url": aws_jobs_server.url},
    }
    for conn_id in request.config.getini(_CONNECTIONS):
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
    BackendDict.reset()  # moto's other services: a topic, say, that the test before has made
    jobs = AwsJobs(aws_jobs_server.emulator, aws_jobs_server, region)
    jobs.reset()
    return jobs


@pytest.fixture(scope="session")
def airflow_jobs_home(tmp_path_factory: pytest.TempPathFactory) -> AirflowHome:
    """Return an Airflow home of the tests' own; it is migrated when the first DAG is run."""
    from airflow_jobs_provider.testing.airflow_home import AirflowHome

    return AirflowHome(tmp_path_factory.mktemp("airflow-home"))


class DagRunner:
    """Runs DAGs; the value of the fixture ``run_dag``."""

    def __call__(
        self,
        dag: DAG | Path | str,
        dag_id: str | None = None,
        *,
        conf: dict[str, Any] | None = None,
        logical_date: datetime | None = None,
        run_after: datetime | None = None,
    ) -> FinishedRun:
        """Run a DAG to its end, in this process.

        A deferred task's trigger runs here, too. A task that has failed and has retries left is tried again
        at once.

        :param dag: the DAG, or the file in which it is.
        :param dag_id: which one, where a file has several.
        :param conf: the configuration of the run; it overrides the DAG's params.
        :param logical_date: now by default.
        :param run_after: now by default.
        :raises ValueError: if the file cannot be imported, or has no such DAG.
        """
        from airflow_jobs_provider.testing.dags import load, run

        return run(load(dag, dag_id), conf, logical_date, run_after)


@pytest.fixture
def run_dag(airflow_jobs_home: AirflowHome) -> Iterator[DagRunner]:
    """Yield a function that runs a DAG in a fresh Airflow home; see :class:`DagRunner`."""
    with airflow_jobs_home.active():
        yield DagRunner()
