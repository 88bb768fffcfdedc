"""Run the demo: ``python -m demo``, or better ``make demo``, which installs what it needs."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from airflow_jobs_provider.testing import EmulatorClient
from demo.screen import Screen
from demo.story import Story
from tests.live.airflow import LocalAirflow, aws_connection
from tests.live.home import QUICK_RETRIES, clean_environment
from tests.live.ports import free_port, port_is_free
from tests.live.processes import Component, wait_for_port

if TYPE_CHECKING:
    from collections.abc import Sequence

EXAMPLE_DAGS = Path(__file__).resolve().parents[1] / "example_dags"
DEFAULT_PORT = 8080


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return the exit status: 0, 1 if something is wrong, 130 after Ctrl-C."""
    options = _parse(arguments)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        _run(Screen(), port=_choose_port(options.port), keep=options.keep)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("\nStopped by Ctrl-C; no process is left behind.", file=sys.stderr)
        return 130
    except Exception as error:  # noqa: BLE001 - a newcomer gets a sentence, never a traceback
        print(f"The demo failed: {error}", file=sys.stderr)
        return 1
    return 0


def _run(screen: Screen, *, port: int, keep: bool) -> None:
    """Start everything, play the story, and end everything, whatever happens."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="airflow-demo-")))
        emulator = _start_emulator(screen, home, stack)
        airflow = LocalAirflow(
            dags=EXAMPLE_DAGS,
            home=home / "airflow",
            port=port,
            connections={"aws_default": aws_connection(emulator.url)},
            env=QUICK_RETRIES,
        )
        with screen.waiting(
            "Starting a real Airflow: api-server, scheduler, dag-processor and triggerer.\n"
            "That takes about 20 seconds."
        ):
            stack.enter_context(airflow)
        screen.say(f"Airflow is up: {airflow.url} (no password needed)", "bold")
        Story(screen, airflow, emulator).play()
        if keep:
            _keep(screen, airflow, emulator)
        else:
            screen.say("Stopping Airflow. 'make demo KEEP=1' leaves it running for you to click around.")


def _start_emulator(screen: Screen, home: Path, stack: ExitStack) -> EmulatorClient:
    port = free_port()
    component = Component(
        "emulator",
        [sys.executable, "-m", "airflow_jobs_provider.testing", "--port", str(port)],
        env=clean_environment(),
        log=home / "emulator.log",
    )
    stack.callback(component.stop)
    with screen.waiting(
        "Starting an emulated AWS: CloudTrail Lake, Neptune Analytics, Bedrock, QuickSight.\n"
        "Nothing here talks to the real one."
    ):
        component.start()
        wait_for_port(component, port)
    return EmulatorClient(f"http://127.0.0.1:{port}")


def _keep(screen: Screen, airflow: LocalAirflow, emulator: EmulatorClient) -> None:
    screen.say(
        f"Airflow stays up: {airflow.url}\n"
        f"Every call that AWS would have got: {emulator.url}/_emulator/journal\n"
        "Press Ctrl-C to end it.",
        "bold",
    )
    try:
        while True:
            airflow.check()
            time.sleep(1)
    except KeyboardInterrupt:
        screen.say("Stopping Airflow.")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument(
        "--keep",
        action="store_true",
        default=os.environ.get("KEEP", "") not in {"", "0"},
        help="keep Airflow up until Ctrl-C (also KEEP=1)",
    )
    parser.add_argument(
        "--port",
        default=os.environ.get("PORT") or None,
        help=f"of the web UI (also PORT=...); otherwise {DEFAULT_PORT}, or a free one if that is taken",
    )
    return parser.parse_args(arguments)


def _choose_port(wanted: str | None) -> int:
    if wanted is None:
        return DEFAULT_PORT if port_is_free(DEFAULT_PORT) else free_port()
    if not (wanted.isdecimal() and 0 < int(wanted) < 2**16):
        raise ValueError(f"PORT={wanted} is no port; that is a number from 1 to 65535.")
    if not port_is_free(int(wanted)):
        raise ValueError(f"port {wanted} is taken; choose another one, or leave PORT out for a free one.")
    return int(wanted)


def _end(number: int, _frame: object) -> NoReturn:
    """End as after Ctrl-C, with the exit status that a shell gives to this signal."""
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
