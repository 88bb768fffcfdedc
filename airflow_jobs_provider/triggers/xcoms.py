"""XComs from inside the triggerer, by way of the configured backend."""

from __future__ import annotations

import asyncio
from typing import Any

# Seconds for one XCom: the triggerer's supervisor may be busy, and does not answer what it does not know.
PATIENCE = 120.0


async def push(ti: Any, key: str, value: Any) -> None:
    """Store an XCom.

    Those of an event are written past the backend, and as JSON in JSON: whoever pulls them gets text (Airflow
    3.3).

    :raises asyncio.TimeoutError: where Airflow does not answer.
    """
    await _ask("set", ti, key=key, value=value)


async def pull(ti: Any, key: str) -> Any:
    """Return an XCom of the task instance's own; ``None`` where there is none.

    :raises asyncio.TimeoutError: where Airflow does not answer.
    """
    return await _ask("get_one", ti, key=key)


async def remove(ti: Any, key: str) -> None:
    """Remove an XCom of the task instance's own.

    :raises asyncio.TimeoutError: where Airflow does not answer.
    """
    await _ask("delete", ti, key=key)


async def _ask(method: str, ti: Any, **what: Any) -> Any:
    from airflow.sdk.bases.xcom import BaseXCom
    from airflow.sdk.execution_time.xcom import XCom

    arguments = {
        **what,
        "dag_id": ti.dag_id,
        "task_id": ti.task_id,
        "run_id": ti.run_id,
        "map_index": -1 if ti.map_index is None else ti.map_index,
    }
    if XCom is BaseXCom and method != "delete":  # which has no twin for the event loop
        asked = getattr(XCom, f"a{method}")(**arguments)
    else:
        # A backend of the deployment's reads and writes files, and asks Airflow for connections: both block,
        # and Airflow refuses the latter on the event loop.
        asked = asyncio.to_thread(getattr(XCom, method), **arguments)
    return await asyncio.wait_for(asked, PATIENCE)
