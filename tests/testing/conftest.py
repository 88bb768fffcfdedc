"""Fixtures: an emulator with a clock that is moved by hand, its server, and boto3 clients for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from airflow_jobs_provider.testing import Emulator, EmulatorServer, ManualClock, emulator, install

ACCOUNT = "123456789012"
KEY = "AKIAIOSFODNN7EXAMPLE"

ClientFactory = Callable[..., Any]


@pytest.fixture(scope="session")
def running_server() -> Iterator[EmulatorServer]:
    """Yield a server with a state of its own, and a clock that stands still."""
    with EmulatorServer(emulator=Emulator(clock=ManualClock())) as running:
        yield running


@pytest.fixture(autouse=True)
def server(running_server: EmulatorServer) -> EmulatorServer:
    """Return the server, fresh."""
    running_server.emulator.reset()
    return running_server


@pytest.fixture
def clock(server: EmulatorServer) -> ManualClock:
    """Return the server's clock, to be moved by hand."""
    assert isinstance(server.emulator.clock, ManualClock)
    return server.emulator.clock


@pytest.fixture(scope="session")
def client(running_server: EmulatorServer) -> Iterator[ClientFactory]:
    """Yield a function that makes boto3 clients: real botocore, one attempt, real HTTP."""
    made: dict[str, Any] = {}

    def make(
        service: str = "quicksight", region: str = "eu-west-1", url: str = running_server.url, **config: Any
    ) -> Any:
        # QuickSight's client takes a tenth of a second to make.
        name = f"{service} {region} {url} {config}"
        if name not in made:
            factory: Any = boto3.client
            made[name] = factory(
                service,
                region_name=region,
                endpoint_url=url,
                aws_access_key_id=KEY,
                aws_secret_access_key="secret",
                config=Config(retries={"total_max_attempts": 1, "mode": "standard"}, **config),
            )
        return made[name]

    yield make
    for one in made.values():
        one.close()


class DataSet:
    """A dataset, to write a test's calls in few words."""

    def __init__(self, quicksight: Any, dataset: str = "sales", account: str = ACCOUNT) -> None:
        self.quicksight = quicksight
        self.ids = {"AwsAccountId": account, "DataSetId": dataset}

    def create(self, ingestion: str = "i1", **more: Any) -> dict[str, Any]:
        """Call CreateIngestion."""
        return dict(self.quicksight.create_ingestion(IngestionId=ingestion, **self.ids, **more))

    def describe(self, ingestion: str = "i1") -> dict[str, Any]:
        """Call DescribeIngestion and return the record."""
        return dict(self.quicksight.describe_ingestion(IngestionId=ingestion, **self.ids)["Ingestion"])

    def status(self, ingestion: str = "i1") -> str:
        """Return the ingestion's status."""
        return str(self.describe(ingestion)["IngestionStatus"])

    def cancel(self, ingestion: str = "i1") -> dict[str, Any]:
        """Call CancelIngestion."""
        return dict(self.quicksight.cancel_ingestion(IngestionId=ingestion, **self.ids))

    def listing(self, **more: Any) -> dict[str, Any]:
        """Call ListIngestions."""
        return dict(self.quicksight.list_ingestions(**self.ids, **more))


@pytest.fixture
def sales(client: ClientFactory) -> DataSet:
    """Return a dataset on the server."""
    return DataSet(client())


@pytest.fixture
def installed() -> Iterator[Emulator]:
    """Yield the emulator of this process, fresh and known to moto."""
    install()
    emulator.reset()
    yield emulator
    emulator.reset()
