"""``python -m airflow_jobs_provider.testing``: the emulator as a process of its own."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence

from airflow_jobs_provider.testing import EmulatorServer


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM. Return the exit status: 1 if the port cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m airflow_jobs_provider.testing",
        description="The AWS services of airflow-jobs-provider, emulated; steer it with EmulatorClient(url).",
    )
    parser.add_argument("--port", type=int, default=5055, help="0 picks a free one (default: %(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    options = parser.parse_args(arguments)
    # There is a thread for each connection. A thousand of them that ask for the interpreter every 5 ms leave
    # it little time for anything else: 300 answers a second instead of 2,500.
    sys.setswitchinterval(0.1)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    server = EmulatorServer(port=options.port, host=options.host)
    try:
        server.start()
    except OSError as error:
        print(error.strerror, file=sys.stderr)  # noqa: T201
        return 1
    print(f"The emulator listens on {server.url} (stop it with Ctrl-C)", flush=True)  # noqa: T201
    stopped.wait()
    server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
