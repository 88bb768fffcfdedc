"""Processes that are started for a test and ended with everything they started in turn.

Each component leads a process session of its own, so neither Ctrl-C in the terminal nor the end of a sibling
reaches it by accident. What belongs to a component is found in three ways, because each alone has a gap:

- by session id: Airflow's forks stay in it, a ``BashOperator``'s shell leaves it;
- by descent: lost as soon as a parent dies;
- by a mark in the environment: wiped by ``setproctitle``, which Airflow's task processes call.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
import uuid
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import FrameType

_MARK = "AIRFLOW_JOBS_PROVIDER_TEST_PROCESS"


class LiveError(RuntimeError):
    """Something in the live set-up is not as it should be; the message says what, in one sentence."""


class Component:
    """A long-running process, what it wrote, and everything it started.

    :param name: what messages call it
    :param argv: its command line
    :param env: its whole environment; nothing is inherited
    :param log: the file that takes its stdout and stderr
    :param cwd: its working directory
    """

    def __init__(
        self, name: str, argv: Sequence[str], *, env: Mapping[str, str], log: Path, cwd: Path | None = None
    ) -> None:
        self.name = name
        self.log = log
        self._argv = list(argv)
        self.mark = uuid.uuid4().hex
        self._env = {**env, _MARK: self.mark}
        self._cwd = cwd
        self._popen: subprocess.Popen[bytes] | None = None
        self.sessions: set[int] = set()
        self.may_end = False

    def start(self) -> None:
        """Start the process, or start it anew after it has ended."""
        if self.alive:
            raise LiveError(f"{self.name} is running already, as process {self.pid}.")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                self._argv,
                env=self._env,
                cwd=self._cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.sessions.add(self._popen.pid)
        self.may_end = False

    @property
    def pid(self) -> int:
        """The process id of the component itself."""
        if self._popen is None:
            raise LiveError(f"{self.name} was never started.")
        return self._popen.pid

    @property
    def alive(self) -> bool:
        """Whether the component itself runs (or is frozen)."""
        return self._popen is not None and self._popen.poll() is None

    def ensure_alive(self) -> None:
        """Raise a :class:`LiveError` if the component ended though nobody asked it to."""
        if self._popen is not None and not self.alive and not self.may_end:
            raise LiveError(f"{self.name} died with exit status {self._popen.returncode}.{self.tail()}")

    def expect_end(self) -> None:
        """Take its end for no failure from now on, until it is started anew."""
        self.may_end = True

    def signal(self, number: int, *, whole: bool = False) -> None:
        """Send a signal to the component, or with ``whole`` to everything it started as well."""
        if number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            self.expect_end()
        for process in self.processes() if whole else [psutil.Process(self.pid)] if self.alive else []:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def wait(self, timeout: float) -> int:
        """Wait until the component has ended and return its exit status."""
        if self._popen is None:
            raise LiveError(f"{self.name} was never started.")
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise LiveError(f"{self.name} did not end within {timeout:g} s.{self.tail()}") from None

    def reap(self) -> None:
        """Take note that the process has ended: otherwise it stays a zombie, and Python warns of it."""
        if self._popen is not None:
            self._popen.wait(2)

    def stop(self, grace: float = 2.0) -> None:
        """End the component and everything it started: SIGTERM, and after ``grace`` seconds SIGKILL."""
        end([self], grace)

    def tail(self, lines: int = 15) -> str:
        """The last lines the component wrote, set off for the end of a message; empty if there are none."""
        return tail(self.log, self.name, lines)

    def processes(self) -> list[psutil.Process]:
        """Every living process that belongs to the component."""
        return find([self])


def find(components: Collection[Component]) -> list[psutil.Process]:
    """Every living process that belongs to one of the components."""
    found: dict[int, psutil.Process] = {}
    sessions: set[int] = set()
    marks: set[str] = set()
    for component in components:
        sessions |= component.sessions
        marks.add(component.mark)
        if component.alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                own = psutil.Process(component.pid)
                found.update((process.pid, process) for process in [own, *own.children(recursive=True)])
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(process.pid) in sessions or process.environ().get(_MARK) in marks:
                found[process.pid] = process
    return [process for process in found.values() if _runs(process)]


def end(components: Collection[Component], grace: float = 2.0) -> None:
    """End several components at once, and everything they started.

    Nobody is spared: what SIGTERM did not end in ``grace`` seconds gets SIGKILL. Raises a :class:`LiveError`
    if a process survives even that.
    """
    with undisturbed():
        for component in components:
            component.signal(signal.SIGTERM)
            # A frozen process takes SIGTERM only after it was thawed.
            component.signal(signal.SIGCONT, whole=True)
        _wait_until(lambda: not find(components), grace)
        for _ in range(5):
            # What is killed may have forked a moment before, so look again until nothing is left.
            for process in find(components):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            if _wait_until(lambda: not find(components), 2):
                for component in components:
                    component.reap()
                return
    left = ", ".join(f"{process.pid} ({process.name()})" for process in find(components))
    raise LiveError(f"These processes could not be ended: {left}.")


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore SIGINT and SIGTERM inside: an impatient second Ctrl-C must not leave processes behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """Make SIGTERM end this process as Ctrl-C does, so that it cleans up, unless it is handled already."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def wait_for_port(component: Component, port: int, timeout: float = 30.0) -> None:
    """Wait until ``component`` accepts connections on ``port``."""

    def answers() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    wait_until_ready(component, answers, timeout, f"listen on port {port}")


def wait_until_ready(component: Component, ready: Callable[[], bool], timeout: float, does: str) -> None:
    """Wait until ``component`` does something, and fail at once if it dies instead."""

    def lives_and_is_ready() -> bool:
        component.ensure_alive()
        return ready()

    if not _wait_until(lives_and_is_ready, timeout):
        raise LiveError(f"{component.name} did not {does} in {timeout:g} s.{component.tail()}")


def tail(path: Path, name: str, lines: int = 15) -> str:
    """The last lines of a file, set off for the end of a message; empty if there are none."""
    try:
        text = path.read_text(errors="replace").splitlines()[-lines:]
    except OSError:
        return ""
    return "".join([f"\n--- the end of {name}'s log ---\n", *(f"{line}\n" for line in text)]) if text else ""


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _wait_until(condition: Callable[[], bool], timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
