"""HOW to talk to AWS: the only module that calls it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    MetadataRetrievalError,
    NoCredentialsError,
    NoRegionError,
    SSLError,
)

from airflow_jobs_provider import __version__
from airflow_jobs_provider.exceptions import AwsApiError
from airflow_jobs_provider.hooks import protocol
from airflow_jobs_provider.jobs.errors import ErrorKind

if TYPE_CHECKING:
    from typing_extensions import Self

    from airflow_jobs_provider.hooks.protocol import Dialogue, T
    from airflow_jobs_provider.jobs.model import JobType, Operation
    from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot

# Which attempts are made is the engine's decision alone: it knows which calls may be repeated, and for how
# long. botocore's own retries would send a start without idempotency twice, and in "standard" mode take
# QuickSight's daily quota (LimitExceededException) for a throttle.
_ONE_ATTEMPT: Any = {"mode": "standard", "total_max_attempts": 1}

_TRANSIENT = (HTTPClientError, CredentialRetrievalError, MetadataRetrievalError)


class AwsJobHook(AwsBaseHook):
    """Start, read and cancel AWS jobs, synchronously or (``async with hook``) asynchronously.

    Every method makes one attempt and raises :class:`~airflow_jobs_provider.exceptions.AwsApiError`, which
    says whether another one may help.

    :param job_type: what kind of job.
    :param aws_conn_id: the Airflow connection; ``None`` for boto3's own credential chain.
    :param region_name: AWS region; default: the connection's, then boto3's.
    :param verify: whether, or with which certificates, TLS is verified.
    :param botocore_config: arguments of ``botocore.config.Config``; ``retries`` are not used.
    :raises ValueError: for a botocore_config that botocore does not take.
    """

    def __init__(
        self,
        job_type: JobType,
        *,
        aws_conn_id: str | None = AwsBaseHook.default_conn_name,
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            aws_conn_id=aws_conn_id,
            region_name=region_name,
            verify=verify,
            client_type=job_type.service,
            config=_config(botocore_config),
        )
        self.job_type = job_type
        self._exit_stack = AsyncExitStack()
        self._async_client: Any = None

    def get_client_type(
        self, region_name: str | None = None, config: Config | None = None, deferrable: bool = False
    ) -> Any:
        """Return a client that makes one attempt a call.

        The amazon provider's own method asks the providers manager for its version and walks the stack for
        its user agent: a second of CPU in a new process.
        """
        session: Any = self.get_session(region_name=region_name or self.region_name, deferrable=deferrable)
        create = session.create_client if deferrable else session.client
        return create(
            service_name=self.job_type.service,
            endpoint_url=self.conn_config.get_service_endpoint_url(service_name=self.job_type.service),
            config=(config or self.config).merge(
                Config(retries=_ONE_ATTEMPT, user_agent_extra=f"airflow-jobs-provider/{__version__}")
            ),
            verify=self.verify,
        )

    @cached_property
    def region(self) -> str:
        """The region that the client talks to."""
        try:
            client: Any = self.get_conn()
            return str(client.meta.region_name)
        except NoRegionError:
            raise AwsApiError(
                f"no AWS region: give region_name, or set region_name in the extra of connection "
                f"{self.aws_conn_id!r}",
                error=ErrorKind.FATAL,
                code="NoRegionError",
            ) from None

    def impatient_twin(self, seconds: float) -> AwsJobHook:
        """Return a hook with a client of its own that gives up on a silent endpoint after ``seconds``.

        It shares the connection that was read before: it never asks Airflow for anything.
        """
        self.conn_config  # noqa: B018 - read now, where Airflow can still be asked
        twin = copy.copy(self)
        twin.__dict__.pop("conn", None)
        twin.conn_config = copy.copy(self.conn_config)
        twin.conn_config.botocore_config = self.config.merge(
            Config(connect_timeout=seconds, read_timeout=seconds)
        )
        return twin

    def caller_account(self) -> str:
        """Return the AWS account of the credentials, from STS."""
        try:
            return str(self.account_id)
        except (ClientError, BotoCoreError) as error:
            raise self._explained(error, "GetCallerIdentity") from error

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

    async def astart(self, values: Mapping[str, Any], region: str) -> tuple[JobRun, JobSnapshot]:
        """Like :meth:`start`; ``region`` as there is no asynchronous way to ask for it."""
        return await self._adrive(protocol.start(self.job_type, values, region))

    async def adescribe(self, run: JobRun) -> JobSnapshot:
        """Like :meth:`describe`."""
        return await self._adrive(protocol.describe(run))

    async def acancel(self, run: JobRun) -> JobSnapshot:
        """Like :meth:`cancel`."""
        return await self._adrive(protocol.cancel(run))

    async def __aenter__(self) -> Self:
        """Make room for the asynchronous client; the first call opens it."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the asynchronous client."""
        await self._exit_stack.aclose()

    async def _opened(self) -> Any:
        if self._async_client is None:
            client: Any = await self.get_async_conn()  # type: ignore[no-untyped-call]
            self._async_client = await self._exit_stack.enter_async_context(client)
        return self._async_client

    def _drive(self, dialogue: Dialogue[T]) -> T:
        try:
            call = next(dialogue)
            while True:
                try:
                    answer = getattr(self.get_conn(), call.operation.method)(**call.arguments)
                except (ClientError, BotoCoreError) as error:
                    call = dialogue.throw(self._explained(error, call.operation))
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
                    client = await self._opened()
                    answer = await getattr(client, call.operation.method)(**call.arguments)
                except (ClientError, BotoCoreError) as error:
                    call = dialogue.throw(self._explained(error, call.operation))
                else:
                    call = dialogue.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result

    def _explained(self, error: ClientError | BotoCoreError, operation: Operation | str) -> AwsApiError:
        api_name = operation if isinstance(operation, str) else operation.api_name
        where = f"{self.job_type.service} {api_name}"
        if isinstance(error, ClientError):
            answer = error.response
            code = answer.get("Error", {}).get("Code", "Unknown")
            http_status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            kind = self.job_type.classify(code, http_status)
            message = f"{where} answered {code}: {answer.get('Error', {}).get('Message') or 'no message'}"
        else:
            code = type(error).__name__
            transient = isinstance(error, _TRANSIENT) and not isinstance(error, SSLError)
            kind = ErrorKind.TRANSIENT if transient else ErrorKind.FATAL
            hint = ""
            if isinstance(error, NoCredentialsError):
                hint = f" - put credentials or a role into the Airflow connection {self.aws_conn_id!r}"
            message = f"{where} could not be called: {code}: {error}{hint}"
        if kind is ErrorKind.QUOTA:
            message = f"{message} ({self.job_type.quota_rule})"
        explained = AwsApiError(message, error=kind, code=code)
        explained.__cause__ = error
        return explained


def _config(arguments: Mapping[str, Any] | None) -> Config | None:
    try:
        return Config(**arguments) if arguments else None
    except Exception as error:  # whatever botocore says of it
        raise ValueError(
            f"botocore_config must be arguments of botocore.config.Config, not {arguments!r}: {error}"
        ) from error
