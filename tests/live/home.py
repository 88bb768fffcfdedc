"""What a throw-away Airflow runs on: its environment and its metadata database."""

from __future__ import annotations

import atexit
import base64
import functools
import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.live.processes import LiveError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

REPOSITORY = Path(__file__).resolve().parents[2]

QUICK_RETRIES = {
    "AIRFLOW__CORE__DEFAULT_TASK_RETRIES": "2",
    "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1",
}
"""Settings: Airflow 3.3 may fail a try that resumed quickly (apache/airflow#72716), so it has another one."""

_FOREIGN = ("AWS_", "AIRFLOW", "_AIRFLOW", "PYTHON", "BOTO")
"""Variables that must not leak in: another Airflow's settings, real credentials, an IDE's Python options."""

_SETTINGS = {
    "API__HOST": "127.0.0.1",
    "API__MAXIMUM_PAGE_LIMIT": "1000",
    "API__WORKERS": "1",
    "CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
    "CORE__EXECUTOR": "LocalExecutor",
    "CORE__LOAD_EXAMPLES": "False",
    "CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "1",
    "CORE__PARALLELISM": "24",
    "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
    "DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
    # Files are parsed when they change, and not otherwise: Airflow 3.3 now and then misses some of the DAGs
    # of a file that it parses again while their runs begin, and takes them for gone.
    "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "36000",
    "DAG_PROCESSOR__REFRESH_INTERVAL": "2",
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
    "SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "1",
    "TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "5",
    "USAGE_DATA_COLLECTION__ENABLED": "False",
    # Only the two together keep short deferred tasks from failing now and then (apache/airflow#72716).
    "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    "WORKERS__SOCKET_CLEANUP_TIMEOUT": "2",
}


def clean_environment() -> dict[str, str]:
    """The environment of this process, without what would make a test depend on the machine."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)},
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONUNBUFFERED": "1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


def airflow_environment(home: Path, port: int, database: str) -> dict[str, str]:
    """The environment of every component of the Airflow in ``home`` whose API server listens on ``port``."""
    url = f"http://127.0.0.1:{port}"
    settings = {
        **_SETTINGS,
        "API__BASE_URL": url,
        "API__PORT": str(port),
        "API__SECRET_KEY": secrets.token_hex(16),
        "API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "CORE__DAGS_FOLDER": str(home / "dags"),
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "CORE__PLUGINS_FOLDER": str(home / "plugins"),
        "DATABASE__SQL_ALCHEMY_CONN": database,
        "LOGGING__BASE_LOG_FOLDER": str(home / "logs" / "tasks"),
        "LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(home / "logs" / "dag-files"),
    }
    return {
        **clean_environment(),
        "AIRFLOW_HOME": str(home),
        **{f"AIRFLOW__{name}": value for name, value in settings.items()},
    }


def connection_variables(connections: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Airflow connections as the environment variables that define them."""
    return {f"AIRFLOW_CONN_{name.upper()}": json.dumps(fields) for name, fields in connections.items()}


def aws_connection(endpoint_url: str, region: str = "us-east-1") -> dict[str, Any]:
    """An Airflow connection for AWS services that are emulated at ``endpoint_url``."""
    return {
        "conn_type": "aws",
        "login": "emulated",
        "password": "emulated",
        "extra": {"endpoint_url": endpoint_url, "region_name": region},
    }


def preload(home: Path, modules: Collection[str]) -> None:
    """Let scheduler and dag-processor import modules when they start: what they fork need not do so any more.

    Two thirds of the CPU of a task's process are imports. To import makes no thread, client or connection, so
    a task meets in a forked process what it meets without this, only sooner.

    :param home: the ``AIRFLOW_HOME``
    :param modules: names of modules
    """
    # Airflow imports it, in every process, before it does anything else.
    settings = home / "config" / "airflow_local_settings.py"
    settings.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        "import sys",
        "__all__ = ()",
        'if not {"scheduler", "dag-processor"}.isdisjoint(sys.argv):',
        *(f"    import {module}" for module in modules),
    ]
    settings.write_text("\n".join(lines))


def create_sqlite(path: Path) -> None:
    """Put a migrated, empty metadata database at ``path``: a copy of one that is made once per process."""
    shutil.copyfile(_sqlite_template(), path)


def migrate(env: Mapping[str, str]) -> None:
    """Bring the database that ``env`` points at to the schema of the installed Airflow."""
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise LiveError(f"'airflow db migrate' failed with exit status {done.returncode}.\n{done.stdout}")


@functools.cache
def _sqlite_template() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="airflow-template-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "airflow.db"
    migrate(airflow_environment(folder, port=0, database=f"sqlite:///{path}"))
    with sqlite3.connect(path) as connection:
        _never_reuse_trigger_ids(connection)
    connection.close()
    return path


def _never_reuse_trigger_ids(connection: sqlite3.Connection) -> None:
    """Make the id of the trigger table AUTOINCREMENT, as a sequence is in any other database.

    Without it SQLite gives the id of a deleted trigger to the next one, and a task can receive the event of a
    trigger that was another task's. The table is empty and nothing but its own index depends on its form.
    """
    definitions = [
        sql
        for (sql,) in connection.execute(
            "SELECT sql FROM sqlite_master WHERE tbl_name = 'trigger' AND sql IS NOT NULL ORDER BY type DESC"
        )
    ]
    table = definitions[0]
    key = "CONSTRAINT trigger_pkey PRIMARY KEY (id),"
    if "id INTEGER NOT NULL," not in table or key not in table:
        raise LiveError(f"Airflow's trigger table has another form than the harness knows: {table}")
    definitions[0] = table.replace(key, "").replace(
        "id INTEGER NOT NULL,", "id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,"
    )
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute('DROP TABLE "trigger"')
    for sql in definitions:
        connection.execute(sql)
