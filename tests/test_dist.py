"""What is released: built as ``make dist`` builds it, and installed as users install it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement

import airflow_jobs_provider

if TYPE_CHECKING:
    from email.message import Message

ROOT = Path(__file__).parent.parent

# Everything that Airflow's registry lists, and everything else but what needs the extra.
LOAD = """
import importlib, importlib.metadata, inspect, json, pkgutil, sys
sys.modules["moto"] = None  # nobody has asked for it
[entry] = [entry for entry in importlib.metadata.entry_points(group="apache_airflow_provider")
           if entry.dist.name == "airflow-jobs-provider"]
info = entry.load()()
lists = [info[part] for part in ("operators", "sensors", "hooks", "triggers")]
listed = {module for entries in lists for each in entries for module in each["python-modules"]}
classes = {link: getattr(importlib.import_module(link.rpartition(".")[0]), link.rpartition(".")[2])
           for link in info["extra-links"]}
import airflow_jobs_provider as package
found = [module.name for module in pkgutil.walk_packages(package.__path__, "airflow_jobs_provider.")
         if not module.name.startswith("airflow_jobs_provider.testing")]
for name in found:
    for key, value in vars(importlib.import_module(name)).items():
        if inspect.isclass(value) and value.__module__ == name and name in listed:
            classes[f"{name}.{key}"] = value
try:
    from airflow_jobs_provider.testing import EmulatorServer
except ImportError as error:
    refused = str(error)
from airflow.providers_manager import ProvidersManager
print(json.dumps({
    "where": package.__file__,
    "classes": sorted(classes),
    "missing": sorted(listed - set(found)),
    "refused": refused,
    "version": ProvidersManager().providers["airflow-jobs-provider"].version,
}))
"""


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the wheel and the source distribution: it is made of the latter."""
    folder = tmp_path_factory.mktemp("dist")
    offline = {**os.environ, "PIP_NO_INDEX": "1"}
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=offline, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    """Return the wheel."""
    [found] = dist.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    """Return what the wheel says of itself."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return message_from_bytes(archive.read(name))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of an empty environment in which nothing is installed but the wheel.

    Its dependencies are those of this environment, lent to it: pip takes a minute and a half to install them.
    That the wheel asks for them is a test of its own.
    """
    home = tmp_path_factory.mktemp("environment")
    venv.create(home / "venv", with_pip=True)
    [site] = (home / "venv").glob("lib/python3*/site-packages")
    found = home / "venv" / "bin" / "python"
    pip = [str(found), "-m", "pip", "install", "--no-index", "--no-deps", "-q"]
    subprocess.run([*pip, str(wheel)], check=True)
    # A line of a .pth file adds a folder, but not what the .pth files there add: no editable installation.
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return found


@pytest.fixture(scope="module")
def installed(python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what such an environment finds."""
    home = tmp_path_factory.mktemp("installed")
    environment = {**os.environ, "AIRFLOW_HOME": str(home / "airflow")}
    done = subprocess.run(
        [str(python), "-I", "-W", "ignore", "-c", LOAD],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert found["where"].startswith(str(python.parent.parent)), "another installation was found"
    return found


def test_every_class_loads(installed: dict[str, Any]) -> None:
    """What works in a clone and not from the wheel is found by the first user."""
    from airflow_jobs_provider.provider_info import get_provider_info
    from tests.cases import CASES

    assert installed["missing"] == []
    named = {kind for case in CASES for kind in (case.start_class, case.cancel_class, case.sensor_class)}
    assert {f"{kind.__module__}.{kind.__qualname__}" for kind in named} <= set(installed["classes"])
    assert set(get_provider_info()["extra-links"]) <= set(installed["classes"])


def test_airflow_shows_its_version(installed: dict[str, Any], metadata: Message) -> None:
    """Who reports a bug must be able to say of which version."""
    assert installed["version"] == metadata["Version"] == airflow_jobs_provider.__version__


def test_the_emulator_says_what_it_needs(installed: dict[str, Any]) -> None:
    """Who wants to test needs an extra: an error about moto's modules would not tell him."""
    assert "pip install 'airflow-jobs-provider[testing]'" in installed["refused"]


# In the folder of the example's test: whose fixtures these are.
WHOSE = """
import sys
def test_the_fixtures_are_those_of_the_wheel(request):
    name = "airflow_jobs_provider.testing.pytest_plugin"
    assert request.config.pluginmanager.get_plugin(name).__file__.startswith(sys.prefix)
"""


def test_the_test_kit_comes_with_the_extra(python: Path, dist: Path, tmp_path: Path) -> None:
    """Who installs the extra has the fixtures without a line of set-up, and the example to begin with."""
    extra = f"airflow-jobs-provider[testing]=={airflow_jobs_provider.__version__}"
    pip = [str(python), "-m", "pip", "install", "--no-index", "--dry-run", "-q", extra]
    asked = subprocess.run(pip, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stderr
    [source] = dist.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        for member in archive.getmembers():
            data = archive.extractfile(member) if "/example_dags/" in member.name else None
            if data is not None:
                path = tmp_path / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data.read())
    [tests] = tmp_path.glob("*/example_dags/tests")
    (tests / "test_whose.py").write_text(WHOSE)
    theirs = tmp_path / "their-airflow"
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "AIRFLOW", "PY"))}
    done = subprocess.run(
        [str(python), "-I", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", str(tests)],
        cwd=tmp_path,
        env={**kept, "AIRFLOW_HOME": str(theirs)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert not theirs.exists()


def test_it_asks_for_what_it_needs(metadata: Message) -> None:
    """A production Airflow must not get a mock of AWS, nor miss what the operators import."""
    requirements = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    asked = {of.name for of in requirements if of.marker is None or of.marker.evaluate({"extra": ""})}
    assert asked == {"apache-airflow", "apache-airflow-providers-amazon", "boto3", "jmespath"}
    assert {of.name for of in requirements if of.name not in asked} == {"moto", "pytest"}
    for requirement in requirements:
        assert requirement.specifier.contains(importlib.metadata.version(requirement.name)), requirement


def test_the_wheel_has_the_package_and_nothing_else(wheel: Path) -> None:
    """A folder `tests` in site-packages is in the way of everybody's own."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    info = f"airflow_jobs_provider-{airflow_jobs_provider.__version__}.dist-info"
    assert {name.partition("/")[0] for name in names} == {"airflow_jobs_provider", info}
    sources = subprocess.run(
        ["git", "ls-files", "airflow_jobs_provider"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert {name for name in names if not name.startswith(info)} >= set(sources.stdout.split())
    assert {f"{info}/licenses/LICENSE", f"{info}/entry_points.txt"} <= names


def test_the_source_has_what_goes_with_it(dist: Path) -> None:
    """Who gets the source distribution must find the license, the examples and what has changed."""
    [source] = dist.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"} <= names
    assert "example_dags/example_spice_refresh.py" in names
    assert not any(name.startswith(("tests/", "demo/", ".ci/")) for name in names)


def test_the_version_stands_in_one_place() -> None:
    """Two places differ one day; the changelog is about the version that is built."""
    version = airflow_jobs_provider.__version__
    heading = re.search(r"^## \[?([^\]\s]+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heading is not None
    assert heading[1] == version
    files = subprocess.run(
        ["git", "ls-files", "*.py", "*.toml"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    said = rf"""version(?:__|["'])?\s*[=:]\s*["']{re.escape(version)}["']"""
    assert [name for name in files.stdout.split() if re.search(said, (ROOT / name).read_text())] == [
        "airflow_jobs_provider/__init__.py"
    ]
