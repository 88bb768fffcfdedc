"""The parts of Airflow that are killed, or die, in a storm, and are started again at once."""

from __future__ import annotations

import math
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from tests.live.airflow import LocalAirflow

# Seconds that a part is given to end after SIGTERM.
_GRACE = 15.0


class Supervisor:
    """Restarts components side by side."""

    def __init__(self, airflow: LocalAirflow) -> None:
        # When each had ended that was to end (seconds since the epoch); infinity while it is ending.
        self._ended: dict[str, float] = {}
        self._components = airflow.components
        self._pool = ThreadPoolExecutor(len(self._components))
        self._restarts: dict[str, Future[None]] = {}
        for component in self._components.values():
            component.expect_end()

    @property
    def calm_since(self) -> float:
        """When the last component had ended that was to end (seconds since the epoch)."""
        return max(self._ended.values(), default=0.0)

    def idle(self) -> list[str]:
        """Return the components that are not being restarted."""
        return [name for name in self._components if self._is_idle(name)]

    def dead(self) -> list[str]:
        """Return the components that have died by themselves."""
        return [name for name in self.idle() if not self._components[name].alive]

    def restart(self, name: str, number: int) -> None:
        """End a component with a signal, and start it anew at once; returns before that is done."""
        self._ended[name] = math.inf
        self._restarts[name] = self._pool.submit(self._restart, name, number)

    def close(self) -> None:
        """Wait until all restarts are done."""
        self._pool.shutdown()
        for restart in self._restarts.values():
            restart.result()

    def _is_idle(self, name: str) -> bool:
        restart = self._restarts.get(name)
        if restart is not None and restart.done():
            restart.result()
            return True
        return restart is None

    def _restart(self, name: str, number: int) -> None:
        component = self._components[name]
        processes = component.processes()
        component.signal(number)
        psutil.wait_procs(processes, _GRACE if number == signal.SIGTERM else 0)
        component.signal(signal.SIGKILL, whole=True)
        psutil.wait_procs(processes, _GRACE)
        component.reap()
        self._ended[name] = time.time()
        component.start()
        component.expect_end()
