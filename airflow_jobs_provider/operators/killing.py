"""Cancel a job from inside a signal handler."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from airflow_jobs_provider.exceptions import AwsJobError
from airflow_jobs_provider.waiting import cancel_until_certain, drive

if TYPE_CHECKING:
    from airflow_jobs_provider.hooks.aws_job import AwsJobHook
    from airflow_jobs_provider.jobs.run import JobRun
    from airflow_jobs_provider.waiting import Log

# Airflow kills a task's process 5 seconds after it asked it to end.
_PATIENCE = 4.0


class Killer:
    """A thread that cancels a job, with a client of its own.

    The interrupted main thread may hold a lock of its client, of the connection pool or of the logging
    module: nothing is shared, and what there is to say is kept until the thread has ended.
    """

    def __init__(self, hook: AwsJobHook, run: JobRun, *, in_flight: bool) -> None:
        self._hook = hook.impatient_twin(_PATIENCE / 2)
        self._run = run
        self._in_flight = in_flight
        self._lines: list[tuple[str, tuple[object, ...]]] = []
        self._thread = threading.Thread(target=self._cancel, name="cancel-aws-job", daemon=True)
        self._thread.start()

    def finish(self, log: Log) -> None:
        """Wait for the cancel, but not longer than Airflow does, and log what it achieved."""
        self._thread.join(_PATIENCE)
        if self._thread.is_alive():
            log.warning("the cancel was not answered within %g seconds", _PATIENCE)
        while self._lines:
            message, args = self._lines.pop(0)
            log.info(message, *args)

    def info(self, message: str, /, *args: object) -> None:
        """Keep a line."""
        self._lines.append((message, args))

    warning = info

    def _cancel(self) -> None:
        steps = cancel_until_certain(self._run, log=self, patience=_PATIENCE, in_flight=self._in_flight)
        try:
            drive(steps, self._hook)
        except AwsJobError as error:
            self.info("%s", error)
