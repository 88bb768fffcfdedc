"""Every job type in every mode: DAGs ``<job type>_<mode>``, with the target as a DAG param.

And ``<job type>_<mode>_sensor`` and ``..._cancel`` for jobs that were started elsewhere.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from tests.cases import CASES
from tests.live.job_types import LIVE_JOB_TYPES
from tests.live.modes import ARGUMENTS

CANCELS: dict[str, Any] = {case.name: case.cancel_class for case in CASES}

SENSOR_MODES: dict[str, dict[str, Any]] = {
    "poke": {"mode": "poke", "poke_interval": 3},
    # Each reading is a process of its own: more often, and they would keep each other from working.
    "reschedule": {"mode": "reschedule", "poke_interval": 8},
    "deferred": {"deferrable": True, "poke_interval": 3},
    "workerless": {**ARGUMENTS["workerless"], "poke_interval": 3},
}


def make_dag(dag_id: str, **params: Any) -> DAG:
    """Return a DAG that Airflow finds in this file."""
    dag = globals()[dag_id] = DAG(dag_id, schedule=None, catchup=False, params=params)
    return dag


for name, live in LIVE_JOB_TYPES.items():
    for mode, options in ARGUMENTS.items():
        common = {"task_id": "job", "poll_interval": 1, **options, **live.arguments}
        with make_dag(f"{name}_{mode}", target="target"):
            live.operator(**common, retries=1, retry_delay=timedelta(seconds=1))
    for mode, options in ARGUMENTS.items():
        cancel = CANCELS[name].job_type.cancel
        ids = {key: f"{{{{ params.job.{key} }}}}" for key in cancel.parameters if key not in cancel.optional}
        with make_dag(f"{name}_{mode}_cancel", job={}):
            CANCELS[name](task_id="job", poll_interval=1, **options, **ids)
    describe = live.job_type.describe
    required = [key for key in describe.parameters if key not in describe.optional]
    for mode, options in SENSOR_MODES.items():
        with make_dag(f"{name}_{mode}_sensor", good={}, bad={}, gone={}):
            for task_id, job, patience in (
                ("succeeds", "good", {"timeout": 120}),
                ("fails", "bad", {"timeout": 120}),
                ("is_told", "gone", {"timeout": 120}),
                ("impatient", "bad", {"timeout": 4, "soft_fail": True}),
            ):
                ids = {key: f"{{{{ params.{job}.{key} }}}}" for key in required}
                # Airflow 3.3 may fail a try that resumed quickly (apache/airflow#72716).
                again = {"retries": 2, "retry_delay": timedelta(seconds=1)}
                live.sensor(task_id=task_id, **again, **patience, **options, **ids)
