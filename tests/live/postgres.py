"""A PostgreSQL server for tests: its own data, port and processes, gone without trace afterwards.

    with PostgresServer() as server, LocalAirflow(dags=dags, database=server.url) as airflow:
        server.shut_down()
        server.start()

Measured on two cores that had other work too: 2 s for an empty server, 10 s for Airflow's schema in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from tests.live.home import clean_environment
from tests.live.ports import free_port
from tests.live.processes import Component, LiveError, wait_until_ready

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

    from typing_extensions import Self

_USER = "airflow"
# Durability costs time, and nobody needs the data of a test after a power cut.
_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "jit": "off",
    "max_connections": "200",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    # Containers have little /dev/shm.
    "dynamic_shared_memory_type": "mmap",
}


class PostgresServer:
    """A server with an empty database.

    :ivar url: SQLAlchemy's address of the database.
    """

    def __init__(self) -> None:
        self._binaries, libraries = find_or_fetch()
        self._folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
        self._port = free_port()
        self.url = f"postgresql+psycopg2://{_USER}@127.0.0.1:{self._port}/postgres"
        self._env = {**clean_environment(), **libraries, "LC_ALL": "C", "TZ": "UTC"}
        self._as_user: list[str] = []
        if os.getuid() == 0:
            # PostgreSQL refuses to run as root. This user exists where the package's own does not.
            nobody = pwd.getpwnam("nobody")
            os.chown(self._folder, nobody.pw_uid, nobody.pw_gid)
            ids = [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}"]
            self._as_user = ["setpriv", *ids, "--clear-groups", "--"]
        settings = {**_SETTINGS, "port": str(self._port)}
        self.component = Component(
            "postgres",
            self._command("postgres", "-D", "data", *(f"--{key}={value}" for key, value in settings.items())),
            env=self._env,
            log=self._folder / "postgres.log",
            cwd=self._folder,
        )

    def start(self, timeout: float = 30.0) -> None:
        """Start the server, or start it anew, and return when it takes connections."""
        if not (self._folder / "data").exists():
            options = (f"--username={_USER}", "--auth=trust", "--no-locale", "--encoding=UTF8", "--no-sync")
            _run(self._command("initdb", "-D", "data", *options), self._env, self._folder)
        self.component.start()
        wait_until_ready(self.component, self._is_ready, timeout, "take connections")

    def shut_down(self, timeout: float = 30.0) -> None:
        """End the server as an operator does who has no time: every connection breaks, no data is lost."""
        self.component.signal(signal.SIGINT)
        self.component.wait(timeout)

    def has_transaction_of(self, processes: Iterable[psutil.Process]) -> bool:
        """Whether one of these processes has begun a transaction that has not ended."""
        ports = set()
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                connections = process.net_connections("tcp4")
                ports |= {each.laddr.port for each in connections if each.raddr[1:] == (self._port,)}
        query = "SELECT client_port FROM pg_stat_activity WHERE xact_start IS NOT NULL AND client_port > 0"
        address = ("-h", "127.0.0.1", "-p", str(self._port), "-U", _USER, "postgres")
        told = _run(self._command("psql", "-XAtc", query, *address), self._env, self._folder)
        return not ports.isdisjoint(map(int, told.split()))

    def close(self) -> None:
        """End the server and remove its data."""
        if self.component.alive:
            self.component.signal(signal.SIGCONT, whole=True)
            # It takes SIGTERM for "when the last client has gone".
            self.component.signal(signal.SIGINT)
        self.component.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _command(self, program: str, *arguments: str) -> list[str]:
        return [*self._as_user, str(self._binaries / program), *arguments]

    def _is_ready(self) -> bool:
        asked = self._command("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self._port))
        return subprocess.run(asked, env=self._env, cwd=self._folder, check=False).returncode == 0


def find_or_fetch() -> tuple[Path, dict[str, str]]:
    """Return the folder of PostgreSQL's programs, and what they need in their environment.

    Debian's package is taken where it is installed, or else fetched: nothing is installed on the machine, no
    rights are needed, and no server of the system's own is started.
    """
    installed = _programs(Path("/"))
    if installed is not None:
        return installed, {}
    root = _cache()
    root.parent.mkdir(parents=True, exist_ok=True)
    with root.with_suffix(".lock").open("w") as lock:
        # Two test sessions may begin at the same time.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _programs(root) is None:
            _fetch(root)
    fetched = _programs(root)
    if fetched is None:
        raise LiveError(f"Debian's packages of PostgreSQL, unpacked in {root}, have no server in them.")
    libraries = [path for pattern in ("usr/lib/*-linux-*", "lib/*-linux-*") for path in root.glob(pattern)]
    return fetched, {"LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries))}


def _programs(root: Path) -> Path | None:
    """Return the newest version's programs below ``root``, in Debian's places."""
    found = [path.parent for path in root.glob("usr/lib/postgresql/*/bin/postgres")]
    return max(found, key=lambda path: int(path.parent.name), default=None)


def _cache() -> Path:
    """Return where fetched packages are kept: not in root's home, which is closed to the server's user."""
    caches = Path("/var/cache") if os.getuid() == 0 else Path.home() / ".cache"
    return caches / "airflow-jobs-provider" / "postgresql"


def _fetch(root: Path) -> None:
    """Unpack Debian's package, and those of what it needs that is not installed, into ``root``."""
    if shutil.which("apt-get") is None:
        raise LiveError(
            "The live tests need a PostgreSQL server below /usr/lib/postgresql, and there is no apt-get to"
            " fetch Debian's package with: install PostgreSQL's server."
        )
    work = Path(tempfile.mkdtemp(prefix="postgresql-packages-"))
    env = {**clean_environment(), "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    try:
        # Lists of our own: those of the system may be missing or old, and need root to be renewed.
        apt = ["apt-get", "-qq", "-o", f"Dir::State::lists={work}/lists", "-o", f"Dir::Cache={work}/cache"]
        apt += ["-o", "Debug::NoLocking=1", "-o", f"APT::Sandbox::User={pwd.getpwuid(os.getuid()).pw_name}"]
        for folder in ("lists/partial", "cache/archives/partial", "root"):
            (work / folder).mkdir(parents=True)
        _run([*apt, "update"], env, work)
        plan = _run([*apt, "install", "--simulate", "--no-install-recommends", "postgresql"], env, work)
        # Inst NAME [installed version] (version to be installed origin [architecture])
        wanted = re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+)", plan, re.MULTILINE)
        _run([*apt, "download", *(f"{name}={version}" for name, version in wanted)], env, work)
        for package in work.glob("*.deb"):
            _run(["dpkg", "-x", str(package), "root"], env, work)
        shutil.rmtree(root, ignore_errors=True)
        shutil.move(work / "root", root)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _run(argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> str:
    done = subprocess.run(
        argv,
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise LiveError(
            f"{' '.join(argv)!r} failed with exit status {done.returncode}, and without a PostgreSQL server"
            f" the live tests cannot run.\n{done.stdout}"
        )
    return done.stdout
