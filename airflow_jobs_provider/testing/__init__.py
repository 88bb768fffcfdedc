"""The AWS services of this provider, emulated for tests: no AWS account, real boto3, real HTTP if you like.

In process, with moto::

    from moto import mock_aws
    from airflow_jobs_provider.testing import emulator, install

    install()
    emulator.script("quicksight-ingestion", match={"DataSetId": "sales"}, status="FAILED", duration=3)
    with mock_aws():
        ...

Over HTTP, from a test (``with EmulatorServer() as server: ... server.url``) or from the command line
(``python -m airflow_jobs_provider.testing --port 5055``, steered by an :class:`EmulatorClient`).

Nothing here imports Airflow or the rest of the provider: the emulator judges them.
"""

from __future__ import annotations

try:
    from airflow_jobs_provider.testing import bedrock, cloudtrail, logs, neptune_analytics, quicksight, sts
    from airflow_jobs_provider.testing.client import EmulatorClient
    from airflow_jobs_provider.testing.clock import ManualClock
    from airflow_jobs_provider.testing.control import EmulatorControl
    from airflow_jobs_provider.testing.engine import Emulator, emulator
    from airflow_jobs_provider.testing.responses import install
    from airflow_jobs_provider.testing.server import EmulatorServer
except ModuleNotFoundError as error:
    if str(error.name).startswith(__name__):
        raise
    raise ImportError(
        "airflow_jobs_provider.testing needs moto with its server"
        f" (there is no {error.name}): pip install 'airflow-jobs-provider[testing]'"
    ) from error

#: The emulated services: importing its module adds a service.
SERVICES = (bedrock, cloudtrail, logs, neptune_analytics, quicksight, sts)

__all__ = [
    "SERVICES",
    "Emulator",
    "EmulatorClient",
    "EmulatorControl",
    "EmulatorServer",
    "ManualClock",
    "emulator",
    "install",
]
