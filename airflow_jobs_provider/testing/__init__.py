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

In pytest the fixtures of :mod:`airflow_jobs_provider.testing.pytest_plugin` are the shorter way.

The emulator imports neither Airflow nor the rest of the provider: it judges them. To import this package
imports nothing; what it exports is imported with its first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_jobs_provider.testing.outcomes import AwsJobs
    from airflow_jobs_provider.testing.services import (
        SERVICES,
        Emulator,
        EmulatorClient,
        EmulatorControl,
        EmulatorServer,
        ManualClock,
        emulator,
        install,
    )

__all__ = [
    "SERVICES",
    "AwsJobs",
    "Emulator",
    "EmulatorClient",
    "EmulatorControl",
    "EmulatorServer",
    "ManualClock",
    "emulator",
    "install",
]


def __getattr__(name: str) -> Any:
    # pytest imports this package in every test session of everybody who has the provider: moto is not to cost
    # them a second each, nor to be missing.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        if name == "AwsJobs":
            from airflow_jobs_provider.testing import outcomes as module
        else:
            # Not both: the emulator is to be had without the provider that it judges.
            from airflow_jobs_provider.testing import services as module  # type: ignore[no-redef]
    except ModuleNotFoundError as error:
        if str(error.name).startswith(__name__):
            raise
        raise ImportError(
            "airflow_jobs_provider.testing needs moto with its server"
            f" (there is no {error.name}): pip install 'airflow-jobs-provider[testing]'"
        ) from error
    return getattr(module, name)
