"""HOW to talk to AWS: the only module that calls it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_jobs_provider.exceptions import AwsApiError
from airflow_jobs_provider.hooks import protocol
from airflow_jobs_provider.hooks.async_client import AsyncClient, Opened, check
from airflow_jobs_provider.hooks.clients import ERRORS, ClientHook, once_more

if TYPE_CHECKING:
    from typing_extensions import Self

    from airflow_jobs_provider.hooks.protocol import Call, Dialogue, Page, T
    from airflow_jobs_provider.jobs.model import JobType
    from airflow_jobs_provider.jobs.parts import Operation
    from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot

# The one call that no engine repeats.
_STS_ATTEMPTS: Any = {"mode": "standard", "total_max_attempts": 4}
_WHOSE = "sts GetCallerIdentity"


class AwsJobHook(ClientHook):
    """Start, read and cancel AWS jobs, synchronously or (``async with hook``) asynchronously.

    Every method makes one attempt and raises :class:`~airflow_jobs_provider.exceptions.AwsApiError`, which
    says whether another one may help.

    The parameters are those of :class:`~airflow_jobs_provider.hooks.clients.ClientHook`.
    """

    def caller_account(self) -> str:
        """Return the AWS account of the credentials, from STS."""
        try:
            return self._caller_account()
        except ERRORS as error:
            raise self._to_raise(error, _WHOSE) from error

    def start(self, values: Mapping[str, Any]) -> tuple[JobRun, JobSnapshot]:
        """Start a job.

        :param values: the job type's parameters by our names.
        :returns: the job's identity, and what the start answered.
        """
        return self._drive(protocol.start(self.job_type, values, self.region))

    def describe(self, run: JobRun) -> JobSnapshot:
        """Read a job."""
        return self._drive(protocol.describe(run))

    def cancel(self, run: JobRun) -> JobSnapshot:
        """Ask for the end of a job; says which end it has, or had before.

        :raises JobNotFoundError: where AWS does not know the job.
        """
        return self._drive(protocol.cancel(run))

    def request_cancel(self, run: JobRun) -> bool:
        """Ask for the end of a job, and do not look what becomes of it.

        :returns: whether AWS took it; False for a job that has ended, or that AWS does not know.
        """
        return self._drive(protocol.request_cancel(run))

    def read_page(self, operation: Operation, values: Mapping[str, Any], token: str | None) -> Page:
        """Read a page of a list: what the API lists, or the rows that a job has found."""
        return self._drive(protocol.read_page(self.job_type, operation, values, token))

    async def aregion(self) -> str:
        """Return the region that the asynchronous client talks to."""

        async def tell(opened: Opened) -> str:
            return str(opened.client.meta.region_name)

        return await self._with_client(tell, f"the {self.job_type.service} API")

    async def acaller_account(self) -> str:
        """Like :meth:`caller_account`, asked once for each client: many tasks share one."""

        async def ask(opened: Opened) -> str:
            async with self._asking:
                if opened.account is None:
                    opened.account = await asyncio.to_thread(self._caller_account)
                return opened.account

        return await self._with_client(ask, _WHOSE)

    async def astart(self, job_type: JobType, values: Mapping[str, Any]) -> tuple[JobRun, JobSnapshot]:
        """Like :meth:`start`, of any job type of the service: they share a hook on an event loop."""
        region = await self.aregion()
        return await self._adrive(protocol.start(job_type, values, region))

    async def adescribe(self, run: JobRun) -> JobSnapshot:
        """Like :meth:`describe`."""
        return await self._adrive(protocol.describe(run))

    async def acancel(self, run: JobRun) -> JobSnapshot:
        """Like :meth:`cancel`."""
        return await self._adrive(protocol.cancel(run))

    async def arequest_cancel(self, run: JobRun) -> bool:
        """Like :meth:`request_cancel`."""
        return await self._adrive(protocol.request_cancel(run))

    async def aread_page(
        self,
        operation: Operation,
        values: Mapping[str, Any],
        token: str | None,
        job_type: JobType | None = None,
    ) -> Page:
        """Like :meth:`read_page`, of any job type of the service."""
        return await self._adrive(protocol.read_page(job_type or self.job_type, operation, values, token))

    async def __aenter__(self) -> Self:
        """Make room for the asynchronous client; the first call opens it."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the asynchronous client."""
        await self._async_client.close()

    @cached_property
    def _async_client(self) -> AsyncClient:
        return AsyncClient(self._get_async_conn)

    @cached_property
    def _asking(self) -> asyncio.Lock:
        return asyncio.Lock()

    def _drive(self, dialogue: Dialogue[T]) -> T:
        try:
            call = next(dialogue)
            while True:
                try:
                    answer = self._call(call)
                except AwsApiError as error:
                    call = dialogue.throw(error)
                else:
                    call = dialogue.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result

    async def _adrive(self, dialogue: Dialogue[T]) -> T:
        try:
            call = next(dialogue)
            while True:
                try:
                    answer = await self._acall(call)
                except AwsApiError as error:
                    call = dialogue.throw(error)
                else:
                    call = dialogue.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result

    def _call(self, call: Call) -> Any:
        client = self.get_conn()
        try:
            answer = getattr(client, call.operation.method)(**call.arguments)
        except ERRORS as error:
            raise self._to_raise(error, call.operation, call.job_type) from error
        self._accepted()
        return answer

    def _caller_account(self) -> str:
        sts = self._client_of(self._session.client, "sts", None, _STS_ATTEMPTS)
        return str(sts.get_caller_identity()["Account"])

    async def _acall(self, call: Call) -> Any:
        async def ask(opened: Opened) -> Any:
            if call.operation is call.job_type.start:
                check(opened.client, call.operation.api_name, call.arguments)
            answer = await getattr(opened.client, call.operation.method)(**call.arguments)
            self._accepted()
            return answer

        return await self._with_client(ask, call.operation, call.job_type)

    async def _with_client(
        self,
        work: Callable[[Opened], Awaitable[T]],
        operation: Operation | str,
        job_type: JobType | None = None,
    ) -> T:
        """Use the asynchronous client, which may be opened for that: a role is assumed then.

        :param work: uses it.
        :param operation: what errors are about.
        """
        retired = self._async_client.retired
        try:
            async with self._async_client() as opened:
                return await work(opened)
        except ERRORS as error:
            explained = self._explained(error, operation, job_type)
            if await self._may_be_answered(retired, explained):
                explained = once_more(explained)
            raise explained from error

    async def _may_be_answered(self, retired: int, error: AwsApiError) -> bool:
        """Whether the next call may have an answer where this one had an error; renews an outdated client.

        :param retired: how many clients had been replaced when the call was about to be made.
        """
        # One after the other: all calls of an outdated client fail, and only the first one's look finds why.
        async with self._async_client.renewing:
            if self._async_client.retired == retired:
                if not await asyncio.to_thread(self._is_outdated, error):
                    return self._may_be_replaced(error) or self._may_lack_its_connection(error)
                self._forget_client()
                await self._async_client.retire()
            return True
