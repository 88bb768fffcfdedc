"""The emulated AWS in a process of its own, as users start it."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_jobs_provider.testing import EmulatorClient
from tests.live.home import clean_environment
from tests.live.ports import free_port
from tests.live.processes import Component, interrupted_by_sigterm, wait_for_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def emulated_aws(log: Path) -> Iterator[EmulatorClient]:
    """Run an emulator as long as the block takes, and give what steers it.

    :param log: the file that takes what it prints
    """
    port = free_port()
    component = Component(
        "emulator",
        [sys.executable, "-m", "airflow_jobs_provider.testing", "--port", str(port)],
        env=clean_environment(),
        log=log,
    )
    with interrupted_by_sigterm():
        try:
            component.start()
            wait_for_port(component, port)
            yield EmulatorClient(f"http://127.0.0.1:{port}")
        finally:
            component.stop()
