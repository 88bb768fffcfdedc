"""What :mod:`airflow_jobs_provider.testing` exports: to import it imports moto, and adds every service."""

from __future__ import annotations

from airflow_jobs_provider.testing import bedrock, cloudtrail, logs, neptune_analytics, quicksight, sts
from airflow_jobs_provider.testing.client import EmulatorClient
from airflow_jobs_provider.testing.clock import ManualClock
from airflow_jobs_provider.testing.control import EmulatorControl
from airflow_jobs_provider.testing.engine import Emulator, emulator
from airflow_jobs_provider.testing.responses import install
from airflow_jobs_provider.testing.server import EmulatorServer

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
