"""The live harness itself: if it lies or leaks, no other live test means anything."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.live.home import clean_environment
from tests.live.processes import Component, LiveError

if TYPE_CHECKING:
    from tests.live.airflow import LocalAirflow

OWNER = """
import sys
from pathlib import Path
from tests.live.airflow import LocalAirflow

airflow = LocalAirflow(dags=Path(sys.argv[1]), home=Path(sys.argv[2]))
airflow.start()
"""


def test_a_run_finishes(airflow: LocalAirflow) -> None:
    """A scheduler, an executor or a triggerer that does not work would fail all other tests obscurely."""
    run_id = airflow.trigger("harness")
    deferred = airflow.wait_for_task("harness", run_id, "deferred", "deferred")
    assert deferred["trigger"] is not None
    airflow.wait_for_run("harness", run_id)
    assert airflow.xcom("harness", run_id, "greet", map_index=1) == "Hello, Grace"
    assert "Trigger fired event" in airflow.log("harness", run_id, "deferred")


def test_a_task_process_is_found_and_its_failure_told(airflow: LocalAirflow) -> None:
    """A matrix of kills would be worthless if it hit another process than the task's."""
    run_id = airflow.trigger("harness_sleeper")
    process = airflow.task_process("harness_sleeper", run_id, "sleep")
    process.send_signal(signal.SIGKILL)
    with pytest.raises(
        LiveError, match=r"Task sleep of harness_sleeper, run .*, is failed in try 1, not success\."
    ):
        airflow.wait_for_task("harness_sleeper", run_id, "sleep", "success")


def test_a_restarted_triggerer_works(airflow: LocalAirflow) -> None:
    """A test of restarts would prove nothing if the harness took a dead process's heartbeat for life."""
    before = airflow.components["triggerer"].pid
    airflow.restart("triggerer", signal.SIGKILL)
    assert airflow.components["triggerer"].pid != before
    run_id = airflow.trigger("harness")
    airflow.wait_for_run("harness", run_id, timeout=30)


def test_an_import_error_is_reported(airflow: LocalAirflow) -> None:
    """A typing error in a DAG would otherwise show as a time-out half a minute later."""
    path = airflow.add_dag("broken.py", "from airflow.sdk import DAG\nraise ValueError('no such luck')\n")
    try:
        with pytest.raises(
            LiveError, match=r"'broken' is missing, and .*broken\.py cannot be imported[^$]*no such"
        ):
            airflow.wait_for_dag("broken")
    finally:
        path.unlink()
        airflow.wait_until(
            lambda: not airflow.import_errors() or None, 30, lambda: "The error does not go away."
        )


def test_a_component_that_died_is_reported(tmp_path: Path) -> None:
    """A test would wait in vain for a scheduler that ended with an error at its start."""
    argv = [sys.executable, "-c", "raise SystemExit('cannot go on')"]
    component = Component("scheduler", argv, env=clean_environment(), log=tmp_path / "scheduler.log")
    component.start()
    assert component.wait(10) == 1
    with pytest.raises(LiveError, match=r"(?s)scheduler died with exit status 1\..*cannot go on"):
        component.ensure_alive()


def test_an_interrupted_owner_leaves_no_process_behind(tmp_path: Path) -> None:
    """A run ended by a time limit would leave an Airflow behind that eats the next run's processor time."""
    home = tmp_path / "home"
    dags = Path(__file__).parent / "dags"
    env = clean_environment()
    argv = [sys.executable, "-c", OWNER, str(dags), str(home)]
    with subprocess.Popen(argv, env=env, stderr=subprocess.DEVNULL) as owner:
        while not (home / "logs" / "triggerer.log").exists():
            assert owner.poll() is None
            time.sleep(0.1)
        # Long enough for the first of them to have children.
        time.sleep(3)
        started = psutil.Process(owner.pid).children(recursive=True)
        assert len(started) >= 4
        owner.send_signal(signal.SIGTERM)
    assert owner.returncode != 0
    _, alive = psutil.wait_procs(started, timeout=0)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
