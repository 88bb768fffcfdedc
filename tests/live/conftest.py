"""One emulator and one Airflow for all live tests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.live.airflow import LocalAirflow, aws_connection
from tests.live.cells import Cells
from tests.live.emulator import emulated_aws
from tests.live.job_types import IMPORTS
from tests.live.looks import PAUSE
from tests.live.postgres import PostgresServer
from tests.live.table import Seen

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from airflow_jobs_provider.testing import EmulatorClient


# Their asserts are to tell as much as a test's own.
pytest.register_assert_rewrite("tests.live.rows")

_SEEN = Seen()
# The parameter of a test that is run several times: which time it is.
_TIME = "time_of_times"
# How many of the times happen at once, to as many tasks: what concerns all of Airflow takes minutes.
_AT_ONCE = 3


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what ``make matrix`` asks for."""
    parser.addoption("--write-matrix", action="store_true", help="write the tables of the kill matrix")
    parser.addoption("--times", type=int, default=1, help="how often each row of the kill matrix is run")
    parser.addoption(
        "--dealt",
        action="store_true",
        help="deal the job types out among the modes of a row of the kill matrix, instead of all to each",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known; refuse to write what is not seen."""
    if config.getoption("--write-matrix", default=False) and config.getoption("--dealt", default=False):
        raise pytest.UsageError("--write-matrix needs all job types in all modes: leave --dealt out")
    config.addinivalue_line(
        "markers",
        "kill_matrix(event, job, modes, next_try='', once=False): shows a row of the kill matrix; once:"
        " it cannot be repeated",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what shows a row by itself as often as ``--times`` says; ``test_row`` does so by itself."""
    times = metafunc.config.getoption("--times", default=1)
    mark = metafunc.definition.get_closest_marker("kill_matrix")
    if times > 1 and mark and not mark.kwargs.get("once"):
        metafunc.fixturenames.append(_TIME)
        metafunc.parametrize(_TIME, range(_AT_ONCE, times + _AT_ONCE, _AT_ONCE))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note which rows there are to be seen; tests of one file, or of one name, are not the whole matrix."""
    config = session.config
    everything = Path(__file__).parent in {Path(arg).resolve() for arg in config.args}
    if everything and not config.option.keyword and not config.option.markexpr:
        _SEEN.expect(session.items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note what was seen."""
    report = yield
    if call.when == "call":
        _SEEN.saw(item, passed=report.passed)
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Hold the tables of the kill matrix against what was seen, or write them."""
    writes = session.config.getoption("--write-matrix", default=False)
    if not _SEEN.is_whole or exitstatus != pytest.ExitCode.OK:
        if writes:
            sys.stderr.write("\nThe kill matrix is not written: not every row was seen to hold\n")
    elif writes:
        _SEEN.write()
    elif files := _SEEN.differences():
        sys.stderr.write(f"\nThe kill matrix in {' and '.join(files)} is not what was seen: make matrix\n")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


DEPLOYMENT_ID = "AIRFLOW__AIRFLOW_JOBS_PROVIDER__DEPLOYMENT_ID"


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorClient]:
    """The emulated AWS, in a process of its own as users start it."""
    with emulated_aws(tmp_path_factory.mktemp("emulator") / "emulator.log") as emulator:
        yield emulator


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The server of the metadata database: SQLite stands still where a hundred tasks want to write."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def airflow(emulator: EmulatorClient, postgres: PostgresServer) -> Iterator[LocalAirflow]:
    """A running Airflow with the DAGs in ``tests/live/dags``; its AWS connection leads to the emulator."""
    with LocalAirflow(
        dags=Path(__file__).parent / "dags",
        connections={"aws_default": aws_connection(emulator.url)},
        database=postgres.url,
        preload=IMPORTS,
        env={DEPLOYMENT_ID: "live"},
    ) as airflow:
        airflow.look_every = PAUSE
        yield airflow


@pytest.fixture(scope="module")
def module_cells(airflow: LocalAirflow, emulator: EmulatorClient) -> Cells:
    """The same for all tests of a module, which run side by side."""
    return Cells(airflow, emulator)


@pytest.fixture
def cells(airflow: LocalAirflow, emulator: EmulatorClient, request: pytest.FixtureRequest) -> Cells:
    """A new target for every job type, in an AWS where nothing has happened yet."""
    # Not in ``request.fixturenames``, which was made before it was added.
    is_repeated = _TIME in getattr(getattr(request.node, "callspec", None), "params", ())
    return Cells(airflow, emulator, copies=_AT_ONCE if is_repeated else 1)
