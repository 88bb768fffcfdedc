"""AWS STS: moto's own, with journal and faults."""

from __future__ import annotations

from moto.sts.responses import TokenResponse

from airflow_jobs_provider.testing.responses import EmulatedResponse


class StsEmulation(EmulatedResponse, TokenResponse):
    """All operations are moto's."""

    service = "sts"
    moto_package = "sts"
