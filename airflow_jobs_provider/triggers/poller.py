"""One client and one poller for all waits of an event loop that talk to the same API as the same caller.

A wait runs in its own trigger's task, so that its log lines are that trigger's; it asks here for readings.
They are made in turn, within the API's rate, and one call serves many waits where that is possible.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from airflow_jobs_provider.exceptions import AwsApiError
from airflow_jobs_provider.jobs import job_type_of
from airflow_jobs_provider.jobs.errors import THROTTLES, ErrorKind
from airflow_jobs_provider.jobs.parts import Operation
from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot
from airflow_jobs_provider.triggers.group import Group, Turn
from airflow_jobs_provider.triggers.lanes import Lane
from airflow_jobs_provider.triggers.single import PATIENCE, SingleReadings
from airflow_jobs_provider.triggers.waiter import Waiter

if TYPE_CHECKING:
    from typing_extensions import Self

    from airflow_jobs_provider.hooks.aws_job import AwsJobHook
    from airflow_jobs_provider.jobs.model import JobType

_log = logging.getLogger(__name__)

# Seconds that a client is kept when nobody waits: the next task of a DAG may need it.
_LINGER = 5.0
# Calls under way at a time. botocore's pool has ten connections: some are left for cancels.
_AT_A_TIME = 8
# Seconds until a list is tried again that the caller may not read: he may have got the right.
_DENIED = 3600.0

_pollers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Any, Poller]] = WeakKeyDictionary()


def poller_of(
    job_type: JobType,
    region_name: str | None,
    *,
    aws_conn_id: str | None,
    verify: bool | str | None,
    botocore_config: Mapping[str, Any] | None,
) -> Poller:
    """Return the running loop's poller of a job type and region, to be used as a context.

    The parameters are those of :class:`~airflow_jobs_provider.hooks.aws_job.AwsJobHook`.
    """
    pollers = _pollers.setdefault(asyncio.get_running_loop(), {})
    config = json.dumps(botocore_config, sort_keys=True, default=repr)
    key = (job_type.service, aws_conn_id, region_name, verify, config)
    poller = pollers.get(key)
    if poller is None:
        make_hook = partial(
            _make_hook,
            job_type,
            aws_conn_id=aws_conn_id,
            region_name=region_name,
            verify=verify,
            botocore_config=botocore_config,
        )
        poller = pollers[key] = Poller(make_hook, lambda: pollers.pop(key, None))
    return poller


def _make_hook(job_type: JobType, **connection: Any) -> AwsJobHook:
    # The first import of boto3 and the amazon provider takes a third of a second.
    from airflow_jobs_provider.hooks.aws_job import AwsJobHook

    return AwsJobHook(job_type, **connection)


class Poller:
    """Reads jobs for many waits, with one client.

    A context, for any number of users at a time: it stays while it is used, and for seconds. What there is
    for each wait is kept small: with ten thousand of them, each collection of Python's garbage looks at all.

    :param make_hook: makes the hook; called in a thread.
    :param forget: called when the poller has ended.
    """

    def __init__(self, make_hook: Callable[[], AwsJobHook], forget: Callable[[], object]) -> None:
        self.users = 0
        self.wake = asyncio.Event()
        self._make_hook = make_hook
        self._forget = forget
        self._hook: AwsJobHook | None = None
        self._making = asyncio.Lock()
        self._slots = asyncio.Semaphore(_AT_A_TIME)
        self._lanes: dict[str, Lane] = {}
        self._single = SingleReadings(self.hook, self._lane)
        self._groups: dict[Any, Group] = {}
        #: The operations of which it was said that the caller may not use them.
        self._denied: set[str] = set()
        self._keeper = Context().run(asyncio.get_running_loop().create_task, self._keep())

    def __enter__(self) -> Self:
        self.users += 1
        self.wake.set()
        return self

    def __exit__(self, *_: object) -> None:
        self.users -= 1
        self.wake.set()

    def waiting(self, run: JobRun, patience: float | None = None) -> Waiter:
        """Return what reads a job for one wait, to be used as a context.

        :param patience: seconds until the wait gives up, however long AWS takes to answer.
        """
        return Waiter(self, run, self._group_of(run), patience)

    def left(self, group: Group) -> None:
        """Take note that a wait has left its group."""
        if not group.members:
            self._groups.pop(group.key, None)

    async def hook(self) -> AwsJobHook:
        """Return the hook, for calls that wait for no turn."""
        async with self._making:
            if self._hook is None:
                self._hook = await asyncio.to_thread(self._make_hook)
            return self._hook

    async def read(self, waiter: Waiter) -> JobSnapshot:
        """Read a job, with others if that is possible.

        :raises AwsApiError: as the hook does.
        """
        if self.ask(waiter):
            listed: JobSnapshot | None = await waiter.answer()
            if listed is not None:
                return listed
        waiter.singly = False
        answer = waiter.answer()
        self._single.ask(waiter.run, answer)
        snapshot: JobSnapshot = await answer
        return snapshot

    def ask(self, waiter: Waiter) -> bool:
        """Have the next list tell a waiter of its job; False if there is to be no list."""
        group = waiter.group
        if group is None or waiter.singly or not group.is_worth_a_list:
            return False
        group.asked.add(waiter)
        self._put(group)
        return True

    def _put(self, group: Group) -> None:
        if not group.queued:
            group.queued = True
            self._lane(group.operation).put(partial(_is_wanted, group), partial(self._read_group, group))

    async def _read_group(self, group: Group) -> None:
        """Answer those in a group who have asked, and those who soon would: with a list, if it pays."""
        with group.turn() as turn:
            if turn.pays and group.is_worth_a_list:
                await self._list(group, turn)
        # One list at a time: on a slow machine several would show the same to each other's waits.
        group.queued = False
        if group.asked:
            self._put(group)

    async def _list(self, group: Group, turn: Turn) -> None:
        lane = self._lane(group.operation)
        token: str | None = None
        try:
            while turn.goes_on:
                if turn.pages:
                    await lane.next_turn()
                hook = await self.hook()
                page = await hook.aread_page(group.operation, group.values, token)
                lane.bucket.answered()
                group.throttled = 0
                turn.saw(page.items, last=page.token is None)
                token = page.token
        except AwsApiError as error:
            if error.code in THROTTLES:
                lane.bucket.throttled()
                group.throttled += 1
                # To read them singly instead would be twenty calls for one.
                if group.throttled <= PATIENCE:
                    turn.again()
            elif error.meaning is ErrorKind.NOT_FOUND:
                group.can_be_listed = False  # nor does it concern any other group
            elif (
                not error.is_transient and not turn.pages
            ):  # else it is a page's token that AWS does not take
                self._deny(group, error)
        except Exception as error:  # noqa: BLE001 - the single readings tell the waits
            _log.debug("could not list jobs: %r", error)

    def _deny(self, group: Group, error: AwsApiError) -> None:
        # A policy may allow the list of one data set's jobs, and not of another's.
        group.give_up(_DENIED)
        if group.operation.method not in self._denied:
            self._denied.add(group.operation.method)
            _log.warning("Jobs are read one by one, as they cannot be listed: %s", error)

    def _group_of(self, run: JobRun) -> Group | None:
        overview = job_type_of(run).overview
        if overview is None or any(name not in run.ids for name in overview.operation.parameters):
            return None
        values = {name: run.ids[name] for name in overview.operation.parameters}
        key = (overview.operation.method, *values.values())
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(key, job_type_of(run), overview, values)
        return group

    def _lane(self, operation: Operation) -> Lane:
        lane = self._lanes.get(operation.method)
        if lane is None:
            lane = self._lanes[operation.method] = Lane(operation.rate, self._slots)
        return lane

    async def _keep(self) -> None:
        """Close everything when nobody has used it for a while, or when the loop ends."""
        try:
            while True:
                self.wake.clear()
                if self.users:
                    await self.wake.wait()
                    continue
                try:
                    await asyncio.wait_for(self.wake.wait(), _LINGER)
                except asyncio.TimeoutError:
                    if not self.users:
                        return
        finally:
            self._forget()
            for lane in self._lanes.values():
                await lane.close()
            if self._hook is not None:
                await self._hook.__aexit__(None, None, None)


def _is_wanted(group: Group) -> bool:
    """Whether anybody still waits for a group's list; else it may be asked for anew."""
    group.queued = bool(group.asked)
    return group.queued
