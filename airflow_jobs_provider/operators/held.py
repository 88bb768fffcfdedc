"""The job that a task's process answers for, and how it is cancelled from inside a signal handler."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from airflow_jobs_provider.exceptions import AwsApiError, AwsJobError, TaskKilledError, name, not_cancelled
from airflow_jobs_provider.jobs.run import JobRun
from airflow_jobs_provider.operators.unanswered import UnansweredStart
from airflow_jobs_provider.steps import drive
from airflow_jobs_provider.waiting import cancel_until_certain

if TYPE_CHECKING:
    from airflow_jobs_provider.hooks.protocol import JobHook
    from airflow_jobs_provider.steps import Log

# Airflow's supervisor sends SIGTERM, in whose handler on_kill runs (apache/airflow#53718), and SIGKILL 5
# seconds later.
_PATIENCE = 4.0
# Seconds of it in which the answer of a start call is awaited that is on its way.
_ANSWER_PATIENCE = 1.5
# Seconds that are left for the cancel.
_CANCEL_PATIENCE = 1.0


class HeldJob:
    """What one process of a task holds: at most one job, running or about to be started.

    :param killed: the task was told to end before.
    :ivar run: the job; ``None`` where there is none that must not outlive the task.
    :ivar started_at: when it was started (seconds since the epoch).
    :ivar killed: the task was told to end.
    """

    def __init__(self, log: Log, *, killed: bool = False) -> None:
        self.run: JobRun | None = None
        self.started_at = 0.0
        self.killed = killed
        self._log = log
        self._start: UnansweredStart | None = None
        self._killer: _Killer | None = None
        self._hook: JobHook | None = None
        self._made_for: object = None
        self._made: JobHook

    @property
    def what(self) -> JobRun | UnansweredStart | None:
        """The job, or the start that may have been sent; ``None`` where nothing must be seen to."""
        sent = self._start is not None and self._start.was_sent
        return self.run or (self._start if sent else None)

    def expect(self, start: UnansweredStart, hook: JobHook) -> None:
        """Answer for what a start call may start, until its job is taken or released.

        :param hook: talks to the region of the start.
        """
        self._hook, self._start = hook, start
        self._killer = _Killer(self._twin(hook), start.record.started_at, start)

    def take(self, run: JobRun, started_at: float, hook: JobHook) -> None:
        """Answer for a job from now on.

        Where no client can be made now, the calls that follow say why, and a kill is made up for when the
        task's code ends.

        :param hook: talks to the job's region.
        """
        is_known = run == self.run and started_at == self.started_at
        self.run, self.started_at, self._hook = run, started_at, hook
        self._start = None
        if not is_known:
            self._killer = None
            with suppress(AwsApiError):
                self._killer = _Killer(self._twin(hook), started_at, run)

    def release(self) -> None:
        """Answer for no job any more: it has ended, or another process has it."""
        self.run = self._start = None

    def kill(self) -> None:
        """Cancel the job; called from a signal handler, perhaps twice."""
        self.killed = True
        if self.what is not None and self._killer is not None:
            self._killer.cancel(self._log)

    def _follow(self) -> None:
        """Have the killer use another client, too, where the main thread does: the old keys may be gone."""
        hook = self._hook
        if self.run is None or hook is None or hook.client_in_use in (None, self._made_for):
            return
        self._killer = _Killer(self._twin(hook), self.started_at, self.run)

    def _twin(self, hook: JobHook) -> JobHook:
        """Return a hook with a client that the main thread never uses; to make one takes time."""
        client = hook.get_conn()  # another one, where the credentials have run out
        if self._made_for is not client:
            self._made_for, self._made = client, hook.impatient_twin(_PATIENCE / 2)
        return self._made

    def raise_if_killed(self) -> None:
        """End the task's code.

        :raises TaskKilledError: if the task was told to end.
        """
        if self.killed:
            about = f" while it answered for {name(self.run)}" if self.run is not None else ""
            raise TaskKilledError(f"the task was told to end{about}", run=self.run)

    def sleep(self, seconds: float) -> None:
        """Sleep, but not longer than until the task is told to end.

        :raises TaskKilledError: when it is.
        """
        self._follow()
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self.killed:
            time.sleep(min(left, 0.5))
        self.raise_if_killed()


class _Killer:
    """A thread that cancels a job, with a client of its own that was made before.

    The interrupted main thread may hold the lock of its client, of a connection pool, of the supervisor's
    socket or of a log handler: none of them is used, and what there is to say is kept until the thread ends.
    """

    def __init__(self, hook: JobHook, started_at: float, what: JobRun | UnansweredStart) -> None:
        self._hook = hook
        self._what = what
        self._started_at = started_at
        self._thread: threading.Thread | None = None
        self._lines: list[tuple[str, tuple[object, ...]]] = []

    def cancel(self, log: Log) -> None:
        """Cancel, but for no longer than Airflow waits, and log what it achieved."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="cancel-aws-job", daemon=True)
            self._thread.start()
        self._thread.join(_PATIENCE)
        if self._thread.is_alive():
            log.warning("%s", self._too_late())
        while self._lines:
            message, args = self._lines.pop(0)
            log.info(message, *args)

    def _too_late(self) -> str:
        late = f"AWS has not answered within {_PATIENCE:g} seconds"
        run = self._what if isinstance(self._what, JobRun) else self._what.run
        if run is not None:
            return str(not_cancelled(run, late))
        return f"{self._what} may have been started, and be running, but it was not found yet: {late}"

    def info(self, message: str, /, *args: object) -> None:
        """Keep a line."""
        self._lines.append((message, args))

    warning = info

    def _work(self) -> None:
        began = time.monotonic()
        run, since = self._what if isinstance(self._what, JobRun) else None, self._started_at
        try:
            if isinstance(self._what, UnansweredStart):
                self._what.wait(_ANSWER_PATIENCE)
                left = began + _PATIENCE - _CANCEL_PATIENCE - time.monotonic()
                run = self._what.learn(self._hook, self, left)
                since = time.time()  # asked for minutes ago, perhaps, but begun only now
            if run is not None:
                left = max(_CANCEL_PATIENCE, began + _PATIENCE - 0.5 - time.monotonic())
                steps = cancel_until_certain(run, log=self, started_at=since, patience=left)
                drive(steps, self._hook)
        except Exception as error:  # noqa: BLE001 - a thread's exception would reach nobody
            told = isinstance(error, AwsJobError) or run is None
            self.info("%s", error if told or run is None else not_cancelled(run, repr(error)))
