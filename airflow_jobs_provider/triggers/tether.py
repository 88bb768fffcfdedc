"""Operators' own code in the triggerer: in a thread, with its calls made on the event loop.

So what a worker does is written once. The thread makes no client: it borrows the poller's, which all tasks of
the triggerer share.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import CancelledError, Future
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_jobs_provider.triggers.poller import poller_of

if TYPE_CHECKING:
    from airflow_jobs_provider.hooks.aws_job import AwsJobHook
    from airflow_jobs_provider.hooks.protocol import Page
    from airflow_jobs_provider.jobs.model import JobType
    from airflow_jobs_provider.jobs.parts import Operation
    from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot
    from airflow_jobs_provider.operators.connected import AwsOperator

T = TypeVar("T")

_log = logging.getLogger(__name__)


class LetGo(BaseException):
    """The trigger of this thread has moved, or its triggerer ends: another one goes on with the task."""


class Tether:
    """What ties a thread to the event loop, until its trigger is over."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._gone = False
        self._may_go_on = asyncio.Event()
        self._may_go_on.set()

    def hold(self) -> None:
        """Have the thread wait with what it does next, until it is let go or may go on.

        What is on its way to AWS or to Airflow stays so.
        """
        self._may_go_on.clear()

    def go_on(self) -> None:
        """Have the thread do what it was held up in."""
        self._may_go_on.set()

    def let_go(self) -> None:
        """Have the thread do nothing more: neither to AWS nor to Airflow."""
        self._gone = True
        self._may_go_on.set()

    async def permit(self) -> None:
        """Wait as long as the thread is held; called on the event loop.

        :raises LetGo: where the trigger is over.
        """
        await self._may_go_on.wait()
        if self._gone:
            raise LetGo

    async def run(self, work: Callable[[], T]) -> T:
        """Run an operator's code in a thread of its own: it may pause, and use up a pool."""
        done: asyncio.Future[T] = self._loop.create_future()
        # What is logged there is this trigger's.
        context = contextvars.copy_context()

        def tell(result: T | None, error: BaseException | None) -> None:
            if done.cancelled():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)  # type: ignore[arg-type]

        def call() -> None:
            result: T | None = None
            raised: BaseException | None = None
            try:
                result = context.run(work)
            except BaseException as error:  # noqa: BLE001 - it is raised where the result is waited for
                raised = error
            # A loop that has ended waits for nothing.
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(tell, result, raised)

        # Where the trigger is over, nobody asks what became of it.
        done.add_done_callback(lambda each: each.cancelled() or each.exception())
        threading.Thread(target=call, name="aws-job-task", daemon=True).start()
        return await done

    def call(self, make: Callable[[], Awaitable[T]]) -> T:
        """Have something done on the event loop, and wait for it; called in the thread.

        :raises LetGo: where the trigger is over.
        """
        try:
            return self._begin(make).result()
        except CancelledError:  # the loop ends
            self._gone = True
            raise LetGo from None

    def send(self, make: Callable[[], Awaitable[object]], what: str) -> None:
        """Have something done on the event loop, and do not wait for it.

        :param what: it is, in words.
        :raises LetGo: where the trigger is over.
        """

        async def sent() -> None:
            try:
                await make()
            except Exception as error:  # noqa: BLE001 - nobody waits for it
                _log.warning("%s was not stored: %r", what, error)

        self._begin(sent)

    def _begin(self, make: Callable[[], Awaitable[T]]) -> Future[T]:
        if self._gone or self._loop.is_closed():
            raise LetGo

        async def made() -> T:
            await self.permit()
            return await make()

        return asyncio.run_coroutine_threadsafe(made(), self._loop)


def lend_hooks(operator: AwsOperator, tether: Tether) -> None:
    """Have an operator borrow the hooks of the event loop's pollers."""

    def make_hook(job_type: JobType, region_name: str | None) -> BorrowedHook:
        return BorrowedHook(
            tether,
            job_type,
            region_name,
            aws_conn_id=operator.aws_conn_id,
            verify=operator.verify,
            botocore_config=operator.botocore_config,
        )

    operator.make_hook = make_hook  # type: ignore[method-assign]


class BorrowedHook:
    """A poller's hook, as an operator in a thread calls it."""

    def __init__(
        self,
        tether: Tether,
        job_type: JobType,
        region_name: str | None,
        *,
        aws_conn_id: str | None,
        verify: bool | str | None,
        botocore_config: Mapping[str, Any] | None,
    ) -> None:
        self._tether = tether
        self._job_type = job_type
        self._region_name = region_name
        self._connection: Any = {
            "aws_conn_id": aws_conn_id,
            "verify": verify,
            "botocore_config": botocore_config,
        }

    @cached_property
    def region(self) -> str:
        """The region that the client talks to."""
        return self._call(lambda hook: hook.aregion())

    def caller_account(self) -> str:
        """Return the AWS account of the credentials."""
        return self._call(lambda hook: hook.acaller_account())

    def start(self, values: Mapping[str, Any]) -> tuple[JobRun, JobSnapshot]:
        """Start a job."""
        return self._call(lambda hook: hook.astart(self._job_type, values))

    def describe(self, run: JobRun) -> JobSnapshot:
        """Read a job."""
        return self._call(lambda hook: hook.adescribe(run))

    def request_cancel(self, run: JobRun) -> bool:
        """Ask for the end of a job."""
        return self._call(lambda hook: hook.arequest_cancel(run))

    def read_page(self, operation: Operation, values: Mapping[str, Any], token: str | None) -> Page:
        """Read a page of a list."""
        return self._call(lambda hook: hook.aread_page(operation, values, token, self._job_type))

    def get_conn(self) -> BorrowedHook:
        """Return what stays the same as long as this hook does: another client is the poller's to make."""
        return self

    @property
    def client_in_use(self) -> BorrowedHook:
        """Like :meth:`get_conn`."""
        return self

    def impatient_twin(self, seconds: float) -> BorrowedHook:  # noqa: ARG002 - no lock is held here
        """Return a hook for a kill: no signal handler interrupts a thread of the triggerer."""
        return self

    def _call(self, ask: Callable[[AwsJobHook], Awaitable[T]]) -> T:
        async def asked() -> T:
            with poller_of(self._job_type, self._region_name, **self._connection) as poller:
                hook = await poller.hook()  # which may take its time
                await self._tether.permit()
                return await ask(hook)

        return self._tether.call(asked)
