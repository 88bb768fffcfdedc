"""A DAG run in this process with ``dag.test()``, and what came of it: what the fixture ``run_dag`` is."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from airflow_jobs_provider.testing.airflow_home import BUNDLE

if TYPE_CHECKING:
    from airflow.sdk import DAG


@dataclass(frozen=True)
class Try:
    """One try of a task.

    :ivar number: from 1.
    :ivar state: ``success``, ``failed``, ``up_for_retry``, ``skipped``, ...
    :ivar error: what the task has raised.
    :ivar retry_in: how long Airflow would wait before the next try, where the retry policy says so.
    :ivar retry_reason: why, in the policy's words.
    """

    number: int
    state: str
    error: BaseException | None = None
    retry_in: timedelta | None = None
    retry_reason: str | None = None


@dataclass(frozen=True)
class AssetEvent:
    """What Airflow tells those that wait for an asset.

    :ivar uri: the asset's.
    :ivar extra: what the task says of it.
    """

    uri: str
    extra: Mapping[str, Any]


@dataclass(frozen=True)
class TaskRun:
    """A task instance at the end of its DAG run.

    :ivar map_index: which one of a mapped task; -1 of any other.
    :ivar tries: in their order; none of a task that was not reached.
    :ivar xcoms: by their keys.
    :ivar asset_events: those that it has caused.
    """

    task_id: str
    map_index: int
    state: str
    tries: tuple[Try, ...] = ()
    xcoms: Mapping[str, Any] = field(default_factory=dict)
    asset_events: tuple[AssetEvent, ...] = ()

    @property
    def result(self) -> Any:
        """What the task has returned."""
        return self.xcoms.get("return_value")

    @property
    def error(self) -> BaseException | None:
        """What the last try has raised."""
        return self.tries[-1].error if self.tries else None


@dataclass(frozen=True)
class FinishedRun:
    """A DAG run that has ended.

    :ivar state: ``success`` or ``failed``.
    :ivar tasks: every task instance; those of a mapped task one by one.
    """

    dag_id: str
    run_id: str
    state: str
    tasks: tuple[TaskRun, ...]

    def task(self, task_id: str, map_index: int | None = None) -> TaskRun:
        """Return a task instance.

        :param map_index: needed of a mapped task with more than one.
        :raises ValueError: if there is none, or more than one.
        """
        found = [
            task for task in self.tasks if task.task_id == task_id and map_index in (None, task.map_index)
        ]
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(f"task_id={task_id!r} has {len(found)} instances: say which map_index")
        there = ", ".join(dict.fromkeys(f"{task.task_id}[{task.map_index}]" for task in self.tasks))
        raise ValueError(f"there is no task_id={task_id!r} with map_index={map_index!r}; there are {there}")

    def states(self, task_id: str) -> list[str]:
        """Return the states of a task's instances in the order of their map index."""
        return [task.state for task in self.tasks if task.task_id == task_id]


def load(source: DAG | Path | str, dag_id: str | None = None) -> DAG:
    """Return a DAG.

    :param source: the DAG, or the file in which it is.
    :param dag_id: which one, where a file has several.
    :raises ValueError: if the file cannot be imported, or has no such DAG.
    """
    if not isinstance(source, (str, Path)):
        return source
    from airflow.dag_processing.dagbag import DagBag

    path = Path(source).resolve()
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    bag = DagBag(str(path), bundle_name=BUNDLE)
    if bag.import_errors:
        raise ValueError(f"{path} cannot be imported:\n{next(iter(bag.import_errors.values()))}")
    if dag_id is None and len(bag.dags) == 1:
        [dag_id] = bag.dags
    if dag_id not in bag.dags:
        raise ValueError(f"dag_id={dag_id!r}: {path} has {', '.join(sorted(bag.dags)) or 'no DAG'}")
    dag: DAG = bag.dags[dag_id]
    return dag


def run(
    dag: DAG,
    conf: Mapping[str, Any] | None = None,
    logical_date: datetime | None = None,
    run_after: datetime | None = None,
) -> FinishedRun:
    """Run a DAG with ``dag.test()`` in the active :class:`AirflowHome`; a retry does not wait for its time.

    :param conf: the configuration of the run; it overrides the DAG's params.
    :param logical_date: now by default.
    :param run_after: now by default.
    """
    with warnings.catch_warnings():
        # What Airflow warns of is shown, but fails nobody's test.
        warnings.simplefilter("default")
        _register(dag)
        options: dict[str, Any] = {"logical_date": logical_date} if logical_date is not None else {}
        tries: dict[tuple[str, int], list[Try]] = {}
        with _recorded(tries), _retries_at_once():
            dag_run = dag.test(run_conf=dict(conf or {}), run_after=run_after, **options)
        instances = sorted(dag_run.get_task_instances(), key=lambda ti: (ti.task_id, ti.map_index))
        xcoms = _xcoms(dag.dag_id, dag_run.run_id)
        events = _asset_events(dag.dag_id, dag_run.run_id)
    return FinishedRun(
        dag_id=dag.dag_id,
        run_id=dag_run.run_id,
        state=str(dag_run.state),
        tasks=tuple(
            TaskRun(
                ti.task_id,
                ti.map_index,
                str(ti.state),
                tuple(tries.get((ti.task_id, ti.map_index), ())),
                xcoms.get((ti.task_id, ti.map_index), {}),
                tuple(events.get((ti.task_id, ti.map_index), ())),
            )
            for ti in instances
        ),
    )


def _register(dag: DAG) -> None:
    """Write the DAG into the database; ``dag.test()`` asks for it there."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

    bag = DagBag(bundle_name=BUNDLE, collect_dags=False)
    bag.bag_dag(dag)
    DagBundlesManager().sync_bundles_to_db()  # type: ignore[no-untyped-call]
    sync_bag_to_db(bag, BUNDLE, None)


@contextmanager
def _recorded(tries: dict[tuple[str, int], list[Try]]) -> Iterator[None]:
    """Note how each try ends: Airflow keeps neither the exception nor, of the last one, the reason."""
    from airflow.sdk.execution_time import supervisor

    run_task = supervisor.run_task_in_process

    def recorded(ti: Any, task: Any, **more: Any) -> Any:
        result = run_task(ti=ti, task=task, **more)
        state = str(getattr(result.ti.state, "value", result.ti.state))
        if state != "deferred":
            delay = getattr(result.msg, "retry_delay_seconds", None)
            tries.setdefault((ti.task_id, ti.map_index), []).append(
                Try(
                    number=ti.try_number,
                    state=state,
                    error=result.error,
                    retry_in=None if delay is None else timedelta(seconds=delay),
                    retry_reason=getattr(result.msg, "retry_reason", None),
                )
            )
        return result

    with patch.object(supervisor, "run_task_in_process", recorded):
        yield


@contextmanager
def _retries_at_once() -> Iterator[None]:
    from airflow.models.taskinstance import TaskInstance

    with patch.object(TaskInstance, "next_retry_datetime", lambda ti: ti.end_date):
        yield


def _xcoms(dag_id: str, run_id: str) -> dict[tuple[str, int], dict[str, Any]]:
    from airflow.models.xcom import XComModel
    from airflow.sdk.execution_time.xcom import XCom
    from airflow.utils.session import create_session
    from sqlalchemy import select

    found: dict[tuple[str, int], dict[str, Any]] = {}
    with create_session() as session:
        rows = session.scalars(
            select(XComModel).where(XComModel.dag_id == dag_id, XComModel.run_id == run_id)
        )
        for row in rows:
            found.setdefault((row.task_id, row.map_index), {})[row.key] = XCom.deserialize_value(row)
    return found


def _asset_events(dag_id: str, run_id: str) -> dict[tuple[str, int], list[AssetEvent]]:
    from airflow.models.asset import AssetEvent as Row
    from airflow.utils.session import create_session
    from sqlalchemy import select

    found: dict[tuple[str, int], list[AssetEvent]] = {}
    with create_session() as session:
        rows = session.scalars(
            select(Row)
            .where(Row.source_dag_id == dag_id, Row.source_run_id == run_id)
            .order_by(Row.timestamp, Row.id)
        )
        for row in rows:
            event = AssetEvent(row.asset.uri, dict(row.extra))
            index = -1 if row.source_map_index is None else row.source_map_index
            found.setdefault((str(row.source_task_id), index), []).append(event)
    return found
