"""The package as Airflow sees it: light to import, registered, and its example DAGs load."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

from airflow_jobs_provider.jobs import JOB_TYPES
from airflow_jobs_provider.jobs.model import JobType
from tests.cases import CASES

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "airflow_jobs_provider"


def modules(*folders: str) -> list[str]:
    """Return the names of the modules in folders of the package."""
    return sorted(
        f"airflow_jobs_provider.{folder}.{path.stem}"
        for folder in folders
        for path in (PACKAGE / folder).glob("*.py")
        if path.stem != "__init__"
    )


HEAVY = """
import importlib, json, sys
import airflow.sdk.bases.operator, airflow.sdk.bases.sensor
heavy = ("boto3", "botocore", "aiobotocore", "moto", "openlineage")
heavy += ("airflow.providers.amazon", "airflow.providers.common.compat", "airflow.providers.openlineage")
before = set(sys.modules)  # Airflow itself reads the metadata of every installed provider
found = {}
for module in sys.argv[1:]:
    importlib.import_module(module)
    found[module] = [name for name in set(sys.modules) - before if name.startswith(heavy)]
print(json.dumps(found))
"""


def test_imports_are_light() -> None:
    """A DAG file is parsed again and again: half a second of imports is half a second each time."""
    names = [*modules("jobs", "operators", "sensors", "links", "triggers"), "airflow_jobs_provider.retry"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HEAVY, *names], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == {name: [] for name in names}


def test_a_worker_does_without_aiobotocore() -> None:
    """It is a tenth of a second of CPU in each process of a task, and only the triggerer's."""
    code = "import sys, airflow_jobs_provider.hooks.aws_job; print('aiobotocore' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"


def test_job_types_know_nobody() -> None:
    """The facts of a service must stay readable, and testable, without Airflow and boto3."""
    for path in (PACKAGE / "jobs").glob("*.py"):
        for line in path.read_text().splitlines():
            if line.startswith(("import ", "from ")):
                assert not line.split()[1].startswith(("airflow.", "boto", "aioboto", "moto")), path
                assert "airflow_jobs_provider." not in line or "airflow_jobs_provider.jobs" in line, path


def test_airflow_lists_the_provider() -> None:
    """A provider that does not register shows no link, no hook and no version."""
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()  # type: ignore[no-untyped-call]
    info = manager.providers["airflow-jobs-provider"].data
    for part in (
        "integrations",
        "config",
        "operators",
        "sensors",
        "hooks",
        "triggers",
        "asset-uris",
        "extra-links",
    ):
        assert info[part], part
    assert "airflow_jobs_provider.links.aws_job.AwsJobLink" in manager.extra_links_class_names


def test_what_the_provider_lists_exists() -> None:
    """A module in the registry that does not exist is a broken page in Airflow's UI."""
    from airflow_jobs_provider.provider_info import get_provider_info

    info = get_provider_info()
    parts = ("operators", "sensors", "hooks", "triggers")
    listed = {module for part in parts for entry in info[part] for module in entry["python-modules"]}
    for module in listed:
        importlib.import_module(module)
    services = {
        name.rpartition(".")[2]
        for name in modules("jobs")
        if any(isinstance(value, JobType) for value in vars(importlib.import_module(name)).values())
    }
    assert services
    for folder in ("operators", "sensors"):
        assert {f"airflow_jobs_provider.{folder}.{service}" for service in services} <= listed


def test_example_dags_load() -> None:
    """An example that does not load is worse than none."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(ROOT / "example_dags"))
    assert bag.import_errors == {}
    assert set(bag.dags) >= {
        "example_bedrock",
        "example_bedrock_three_tasks",
        "example_cloudtrail_lake",
        "example_cloudtrail_lake_three_tasks",
        "example_logs_insights",
        "example_neptune_analytics",
        "example_neptune_analytics_new_graph",
        "example_nightly_load",
        "example_quicksight",
        "example_spice_refresh",
        "example_spice_refreshed",
        "example_sweeper",
    }


def test_every_job_type_is_tested() -> None:
    """A job type without a case would have no test of its life."""
    assert {case.name for case in CASES} == set(JOB_TYPES)
