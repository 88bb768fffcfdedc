"""What the kill matrix kills: DAGs ``<job type>_<mode>_<variant>``, with the target as a DAG param.

There are many, and every task's process reads this file: it makes only the DAG that it is asked for.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, get_parsing_context

from tests.live import variants
from tests.live.job_types import LIVE_JOB_TYPES, LiveJobType
from tests.live.modes import ARGUMENTS, HALVES, MATRIX

# Long enough for a job to be started on a busy machine: in a try, which may have to wait for an old job's end
# before, and in a run, most of which is spent in queues.
TIMEOUT = timedelta(seconds=45)
RUN_TIMEOUT = timedelta(seconds=120)


# Airflow 3.3 may fail a try that resumed quickly (apache/airflow#72716): it must have another one.
AGAIN: dict[str, Any] = {"retries": 3, "retry_delay": timedelta(seconds=1)}
COMMON: dict[str, Any] = {"task_id": "job", "poll_interval": 1, **AGAIN}


def start(live: LiveJobType, mode: str, base: Any = None, **options: Any) -> Any:
    """Return a task that starts a job."""
    return (base or live.operator)(**{**COMMON, **ARGUMENTS[mode], **live.arguments, **options})


def mapped(live: LiveJobType, mode: str) -> None:
    """Make a mapped task with one instance."""
    options = {**COMMON, **ARGUMENTS[mode], **live.arguments}
    expanded = {"poll_interval": [options.pop("poll_interval")]}
    live.operator.partial(**options).expand(**expanded)


def in_the_middle(live: LiveJobType, mode: str) -> None:
    """Make a task with others around it."""
    EmptyOperator(task_id="before") >> start(live, mode) >> EmptyOperator(task_id="after")


def with_sensor(live: LiveJobType, mode: str) -> None:
    """Make a task that only starts the job, and a sensor that waits for it."""
    job = start(live, mode, wait_for_completion=False)
    describe = live.job_type.describe
    ids = {
        key: f"{{{{ ti.xcom_pull(task_ids='job')['{key}'] }}}}"
        for key in describe.parameters
        if key not in describe.optional
    }
    # Results of other tasks are no input of the triggerer.
    wait = ARGUMENTS["deferred" if mode == "workerless" else mode]
    job >> live.sensor(task_id="wait", poke_interval=1, **AGAIN, **wait, **ids)


def sensor(live: LiveJobType, mode: str, **options: Any) -> None:
    """Make a sensor that waits for a job that is no task's."""
    describe = live.job_type.describe
    ids = {key: f"{{{{ params.job.{key} }}}}" for key in describe.parameters if key not in describe.optional}
    live.sensor(task_id="wait", poke_interval=1, **AGAIN, **ARGUMENTS[mode], **ids, **options)


VARIANTS: dict[str, Any] = {
    "plain": in_the_middle,
    "alone": start,
    "mapped": mapped,
    "paused": start,
    "timeout": lambda live, mode: start(live, mode, execution_timeout=TIMEOUT),
    "run_timeout": start,
    "keep": lambda live, mode: start(live, mode, cancel_on_kill=False),
    "keep_paused": lambda live, mode: start(live, mode, cancel_on_kill=False),
    "keep_timeout": lambda live, mode: start(
        live, mode, cancel_on_kill=False, execution_timeout=TIMEOUT, retries=0
    ),
    "not_durable": lambda live, mode: start(live, mode, durable=False),
    "no_retry": lambda live, mode: start(live, mode, retries=0),
    "with_sensor": with_sensor,
    "sensor_alone": sensor,
    # A time-out is final, whatever retries say: these are for a try that Airflow fails.
    "impatient_sensor_alone": lambda live, mode: sensor(live, mode, timeout=10),
    **{
        name: lambda live, mode, name=name: start(live, mode, variants.made(name, live))
        for name in (
            "held_up_before_the_start",
            "held_up_after_the_start",
            "held_up_before_the_deferral",
            "held_up_at_the_end",
            "refused_its_record",
        )
    },
    "with_a_trigger_that_fails": lambda live, mode: start(
        live, mode, variants.made("with_a_trigger_that_fails", live), retries=1
    ),
    "keep_with_a_trigger_that_fails": lambda live, mode: start(
        live, mode, variants.made("with_a_trigger_that_fails", live), retries=1, cancel_on_kill=False
    ),
    "keep_held_up_before_the_deferral": lambda live, mode: start(
        live, mode, variants.made("held_up_before_the_deferral", live), cancel_on_kill=False
    ),
}
# What happens to a process cannot happen where there is none.
BY_WORKERS = {
    *("held_up_before_the_start", "held_up_after_the_start", "held_up_at_the_end"),
    *("held_up_before_the_deferral", "keep_held_up_before_the_deferral"),
    *("keep_paused", "keep_with_a_trigger_that_fails", "not_durable"),
}
IN_HALVES = {"plain", "timeout", "no_retry", "keep"}
DAG_OPTIONS: dict[str, dict[str, Any]] = {"run_timeout": {"dagrun_timeout": RUN_TIMEOUT}}


def modes_of(variant: str) -> list[str]:
    """Return the modes in which a row wants a variant."""
    modes = [mode for mode in MATRIX if mode != "workerless" or variant not in BY_WORKERS]
    return modes + list(HALVES if variant in IN_HALVES else ())


asked_for = get_parsing_context().dag_id
for job_type, live in LIVE_JOB_TYPES.items():
    for variant, make in VARIANTS.items():
        for mode in modes_of(variant):
            dag_id = f"{job_type}_{mode}_{variant}"
            if asked_for in (None, dag_id):
                params = {"target": "target", "job": {}}
                with DAG(dag_id, schedule=None, params=params, **DAG_OPTIONS.get(variant, {})) as dag:
                    make(live, mode)
                globals()[dag_id] = dag
