"""What a task's process holds while the world around it changes, over real HTTP."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from tests.operators.scenes import killed, only_job

if TYPE_CHECKING:
    import pytest

    from airflow_jobs_provider.testing import Emulator
    from tests.cases import Case
    from tests.conftest import Context


def test_a_kill_cancels_with_keys_that_were_replaced_meanwhile(
    case: Case, aws: Emulator, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys live shorter than jobs: a kill that knew only those of the start would cancel nothing."""

    def connect(key: str) -> None:
        told = {"conn_type": "aws", "login": key, "password": "secret", "extra": {"region_name": "eu-west-1"}}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(told))

    connect("key-1111")
    read, cancel = case.job_type.describe.api_name, case.job_type.cancel.api_name
    aws.configure(case.job_type.name, duration=60)
    operator = case.start(aws_conn_id="aws_default")

    def replace_the_keys_and_kill() -> None:
        connect("key-2222")
        aws.fault("error", code="UnrecognizedClientException", operation=read, times=1)
        # The second reading comes after a pause in which the process knows the new keys.
        while [call["access_key"] for call in aws.journal(read) if call["outcome"] == "ok"].count("2222") < 2:
            time.sleep(0.01)
        operator.on_kill()

    killed(operator, context, aws, read, replace_the_keys_and_kill)
    assert {call["access_key"] for call in aws.journal(cancel)} == {"2222"}
    assert only_job(aws)["status"] == case.cancelled
