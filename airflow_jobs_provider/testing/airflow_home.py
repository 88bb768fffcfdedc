"""An Airflow of the tests' own: a fresh home with a migrated SQLite database, in this process."""

from __future__ import annotations

import json
import os
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

#: The DAG bundle in which the kit puts the DAGs that it runs.
BUNDLE = "airflow-jobs-tests"


class AirflowHome:
    """An AIRFLOW_HOME whose database is as new in each test.

    What a user's ``conftest.py`` and environment have set stays as it is, but for :attr:`environment`.

    :param path: an empty folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._template = path / "template.db"
        self._database = path / "airflow.db"
        for name in ("dags", "plugins", "logs"):
            (path / name).mkdir()

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variables that lead Airflow here."""
        bundle = {
            "name": BUNDLE,
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(self.path / "dags")},
        }
        return {
            "AIRFLOW_HOME": str(self.path),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self._database}",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"sqlite+aiosqlite:///{self._database}",
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.path / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(self.path / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.path / "logs"),
            # No test may write into, or read from, what belongs to a production Airflow.
            "AIRFLOW__LOGGING__REMOTE_LOGGING": "False",
            "AIRFLOW__SECRETS__BACKEND": "",
            "AIRFLOW__WORKERS__SECRETS_BACKEND": "",
            "AIRFLOW__OPENLINEAGE__DISABLED": "True",
        }

    @contextmanager
    def active(self) -> Iterator[None]:
        """Let Airflow use it inside the block, and what it has used before afterwards."""
        before = dict(os.environ)
        os.environ.update(self.environment)
        was_imported = "airflow.settings" in sys.modules
        try:
            with _airflow_s_own_warnings():
                self._connect()
            try:
                with _own_secrets_backends():
                    yield
            finally:
                from airflow import settings

                settings.dispose_orm(do_log=False)
        finally:
            for name in self.environment:
                os.environ.pop(name, None)
                if name in before:
                    os.environ[name] = before[name]
            if was_imported:
                _configure()

    def _connect(self) -> None:
        from airflow import settings

        settings.dispose_orm(do_log=False)
        if not self._template.exists():
            _configure()
            from airflow.utils.db import initdb

            initdb()
            settings.dispose_orm(do_log=False)
            self._database.rename(self._template)
            # Half of what it imports is imported when the first task runs.
            from airflow.sdk.execution_time.supervisor import in_process_api_server

            in_process_api_server()
        shutil.copyfile(self._template, self._database)
        _configure()


def _configure() -> None:
    from airflow import settings

    settings.configure_vars()  # type: ignore[no-untyped-call]
    settings.configure_orm()  # type: ignore[no-untyped-call]


@contextmanager
def _own_secrets_backends() -> Iterator[None]:
    """Have Airflow ask the secrets backends of now: it has made its list when it was imported."""
    from airflow import configuration

    before = configuration.secrets_backend_list
    configuration.secrets_backend_list = configuration.initialize_secrets_backends()
    try:
        yield
    finally:
        configuration.secrets_backend_list = before


@contextmanager
def _airflow_s_own_warnings() -> Iterator[None]:
    """Let what Airflow's own imports warn of fail nobody's tests: nobody here can mend it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
