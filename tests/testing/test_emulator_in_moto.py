"""The emulator inside moto: mock_aws, moto's own server, and services that moto has not."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError
from moto import mock_aws
from moto.server import ThreadedMotoServer

from airflow_jobs_provider.testing import Emulator, install
from tests.testing.conftest import DataSet


def data_set(**config: Any) -> DataSet:
    """Return a dataset behind a boto3 client that mock_aws answers."""
    options: Any = {"retries": {"total_max_attempts": 1}, **config}
    return DataSet(boto3.client("quicksight", region_name="eu-west-1", config=Config(**options)))


def test_mock_aws(installed: Emulator) -> None:
    """DAG authors test in process: the whole life must work there, the script set before or inside."""
    installed.script("quicksight-ingestion", status="FAILED", duration=0)
    with mock_aws():
        sales = data_set()
        assert sales.create()["Status"] == 201
        assert sales.status() == "FAILED"
        assert sales.cancel()["Status"] == 200
        assert len(sales.listing()["Ingestions"]) == 1
        assert boto3.client("sts", region_name="eu-west-1").get_caller_identity()["Account"] == "123456789012"
    assert [call["operation"] for call in installed.journal()] == [
        "CreateIngestion",
        "DescribeIngestion",
        "CancelIngestion",
        "ListIngestions",
        "GetCallerIdentity",
    ]


def test_bad_account_in_process(installed: Emulator) -> None:
    """Moto's own paths take digits only: without ours the call would fail as "not implemented"."""
    with mock_aws(), pytest.raises(ClientError, match="InvalidParameterValueException"):
        DataSet(data_set().quicksight, account="12345678901x").create()
    assert installed.counts() == {"CreateIngestion": {"InvalidParameterValueException": 1}}


def test_each_mock_starts_without_jobs(installed: Emulator) -> None:
    """The jobs of one test must not be met in the next, as with everything else in moto."""
    for _ in range(2):
        with mock_aws():
            data_set().create()
    assert installed.counts() == {"CreateIngestion": {"ok": 2}}


def test_drop_in_process(installed: Emulator) -> None:
    """A dropped connection must look as over HTTP, or code would be tested against the wrong exception."""
    installed.fault("drop", times=1)
    installed.fault("drop_after", times=1)
    with mock_aws():
        sales = data_set()
        for _ in range(2):
            with pytest.raises(ConnectionClosedError):
                sales.create()
        assert sales.status() == "INITIALIZED"


def test_botocore_retries_a_drop_in_process(installed: Emulator) -> None:
    """Botocore's own retries belong to what is tested."""
    installed.fault("drop", times=1)
    with mock_aws():
        data_set(retries={"total_max_attempts": 2, "mode": "standard"}).create()
    assert [call["outcome"] for call in installed.journal()] == ["dropped", "ok"]


def test_install_twice(installed: Emulator) -> None:
    """Every test module may call install()."""
    from moto.quicksight import urls

    before = dict(urls.url_paths)
    install()
    assert urls.url_paths == before


def test_moto_s_own_server(installed: Emulator) -> None:
    """Whoever runs moto's server already only has to call install()."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        quicksight = boto3.client(
            "quicksight",
            region_name="eu-west-1",
            endpoint_url="http://{}:{}".format(*server.get_host_and_port()),
            aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
            aws_secret_access_key="secret",
            config=Config(retries={"total_max_attempts": 1}),
        )
        installed.configure("quicksight-ingestion", timeline={"INITIALIZED": 60})
        sales = DataSet(quicksight, dataset="sales v1.2")
        sales.create()
        assert len(sales.listing()["Ingestions"]) == 1
        installed.fault("drop", times=1)
        with pytest.raises(ConnectionClosedError):
            sales.describe()
        assert sales.status() == "INITIALIZED"
        quicksight.close()
    finally:
        server.stop()
    assert installed.counts()["DescribeIngestion"] == {"dropped": 1, "ok": 1}
