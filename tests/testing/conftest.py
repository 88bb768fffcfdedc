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


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands still."""
    return ManualClock()


@pytest.fixture
def server(clock: ManualClock) -> Iterator[EmulatorServer]:
    """Yield a server with a state and a clock of its own."""
    with EmulatorServer(emulator=Emulator(clock=clock)) as running:
        yield running


@pytest.fixture
def client(server: EmulatorServer) -> Iterator[ClientFactory]:
    """Yield a function that makes boto3 clients for the server: real botocore, one attempt, real HTTP."""
    made = []

    def make(service: str = "quicksight", region: str = "eu-west-1", key: str = KEY, **options: Any) -> Any:
        made.append(
            boto3.client(
                service,
                region_name=region,
                endpoint_url=options.pop("url", server.url),
                aws_access_key_id=key,
                aws_secret_access_key="secret",
                config=Config(retries={"total_max_attempts": 1, "mode": "standard"}, **options),
            )
        )
        return made[-1]

    yield make
    for one in made:
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
