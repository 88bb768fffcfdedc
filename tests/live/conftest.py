"""One emulator and one Airflow for all live tests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_jobs_provider.testing import EmulatorClient
from tests.live.airflow import LocalAirflow, aws_connection
from tests.live.cells import Cells
from tests.live.home import clean_environment
from tests.live.processes import Component, free_port, interrupted_by_sigterm, wait_for_port

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPLOYMENT_ID = "AIRFLOW__AIRFLOW_JOBS_PROVIDER__DEPLOYMENT_ID"


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorClient]:
    """The emulated AWS, in a process of its own as users start it."""
    port = free_port()
    component = Component(
        "emulator",
        [sys.executable, "-m", "airflow_jobs_provider.testing", "--port", str(port)],
        env=clean_environment(),
        log=tmp_path_factory.mktemp("emulator") / "emulator.log",
    )
    with interrupted_by_sigterm():
        try:
            component.start()
            wait_for_port(component, port)
            yield EmulatorClient(f"http://127.0.0.1:{port}")
        finally:
            component.stop()


@pytest.fixture(scope="session")
def airflow(emulator: EmulatorClient) -> Iterator[LocalAirflow]:
    """A running Airflow with the DAGs in ``tests/live/dags``; its AWS connection leads to the emulator."""
    dags = Path(__file__).parent / "dags"
    connections = {"aws_default": aws_connection(emulator.url)}
    with LocalAirflow(dags=dags, connections=connections, env={DEPLOYMENT_ID: "live"}) as airflow:
        yield airflow


@pytest.fixture
def cells(airflow: LocalAirflow, emulator: EmulatorClient) -> Cells:
    """A new target for every job type, in an AWS where nothing has happened yet."""
    return Cells(airflow, emulator)
