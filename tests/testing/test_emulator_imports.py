"""What the emulator needs, and what it stays away from."""

from __future__ import annotations

import os
import subprocess
import sys


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run a little program in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_without_moto_one_sentence_says_what_to_install() -> None:
    """A user who forgot the extra would get "No module named moto" from deep inside."""
    done = run(
        "import sys; sys.modules['moto'] = None; from airflow_jobs_provider.testing import EmulatorServer"
    )
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith("ImportError: ")
    assert last.endswith("pip install 'airflow-jobs-provider[testing]'")


def test_neither_airflow_nor_the_provider_is_imported() -> None:
    """A judge that shares code with what it judges shares its mistakes."""
    done = run(
        "import sys\nfrom airflow_jobs_provider.testing import EmulatorServer\n"
        "print([name for name in sys.modules if name.split('.')[0] == 'airflow'\n"
        "       or name.startswith('airflow_jobs_provider.')\n"
        "       and not name.startswith('airflow_jobs_provider.testing')])"
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
