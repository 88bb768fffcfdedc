"""Whether a task still waits, asked of an Airflow that cannot say at first."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse

from airflow_jobs_provider.triggers import ownership
from tests.triggers.supervisor import Supervisor, supervise

TI = SimpleNamespace(id="ti-1", dag_id="dag", run_id="run", task_id="job", map_index=-1)


def refused(status: int) -> Exception:
    """Return what a question to Airflow's API raises that is answered with a status of HTTP."""
    return AirflowRuntimeError(
        ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": status, "message": "no"})
    )


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    """Return a supervisor of a task that waits."""
    monkeypatch.setattr(ownership, "_PAUSE", 0.01)
    supervisor = supervise(monkeypatch)
    supervisor.state = "deferred"
    supervisor.xcoms[ownership.XCOM_KEY] = {"ti_id": "ti-1", "run": None}
    return supervisor


def fail(airflow: Supervisor, monkeypatch: pytest.MonkeyPatch, *errors: Exception) -> None:
    """Have the next questions fail."""
    answers, left = airflow.asend, list(errors)

    async def asend(message: Any) -> Any:
        if left:
            raise left.pop(0)
        return await answers(message)

    monkeypatch.setattr(airflow, "asend", asend)


@pytest.mark.parametrize("error", [refused(500), refused(503), RuntimeError("no answer")], ids=str)
async def test_an_outage_is_no_answer(
    error: Exception, airflow: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trigger that moved as the database went away would end the job that the task still waits for."""
    fail(airflow, monkeypatch, error, error)
    assert await ownership.still_waits(TI, None)


async def test_a_refusal_is_an_answer(airflow: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not there will not be there the next time: the job of a deleted task is to end at once."""
    fail(airflow, monkeypatch, refused(404))
    with pytest.raises(AirflowRuntimeError):
        await ownership.still_waits(TI, None)


async def test_an_outage_that_lasts_ends_the_asking(
    airflow: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed task's job must not go on for as long as Airflow is away."""
    monkeypatch.setattr(ownership, "_PATIENCE", 0.1)
    fail(airflow, monkeypatch, *[refused(500)] * 1000)
    with pytest.raises(asyncio.TimeoutError):  # another class before Python 3.11
        await ownership.still_waits(TI, None)
