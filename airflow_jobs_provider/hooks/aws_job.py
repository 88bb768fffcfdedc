"""HOW to talk to AWS: the only module that calls it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's, which is no OSError
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    MetadataRetrievalError,
    NoCredentialsError,
    NoRegionError,
    SSLError,
)

from airflow_jobs_provider import __version__
from airflow_jobs_provider.exceptions import AwsApiError
from airflow_jobs_provider.hooks import protocol
from airflow_jobs_provider.hooks.async_client import AsyncClient, lighten
from airflow_jobs_provider.jobs.errors import EXPIRED, ErrorKind

if TYPE_CHECKING:
    from typing_extensions import Self

    from airflow_jobs_provider.hooks.protocol import Call, Dialogue, Page, T
    from airflow_jobs_provider.jobs.model import JobType
    from airflow_jobs_provider.jobs.parts import Operation
    from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot

# Which attempts are made is the engine's decision alone: it knows which calls may be repeated, and for how
# long. botocore's own retries would send a start without idempotency twice, and in "standard" mode take
# QuickSight's daily quota (LimitExceededException) for a throttle.
_ONE_ATTEMPT: Any = {"mode": "standard", "total_max_attempts": 1}
# The one call that no engine repeats.
_STS_ATTEMPTS: Any = {"mode": "standard", "total_max_attempts": 4}

# Without a connection, or without credentials, nothing was sent.
_NOT_SENT = (ConnectionError, CredentialRetrievalError, MetadataRetrievalError)
_UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"


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
        self._async_client = AsyncClient(self._get_async_conn)
        self._may_ask_airflow = True

    def get_client_type(
        self, region_name: str | None = None, config: Config | None = None, deferrable: bool = False
    ) -> Any:
        """Return a client that makes one attempt a call.

        The amazon provider's own method asks the providers manager for its version and walks the stack for
        its user agent: a second of CPU in a new process.
        """
        if deferrable:
            session: Any = lighten(
                self.get_session(region_name=region_name or self.region_name, deferrable=True)
            )
            return self._client_of(session.create_client, self.job_type.service, config, _ONE_ATTEMPT)
        return self._client_of(self._session.client, self.job_type.service, config, _ONE_ATTEMPT)

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
                meaning=ErrorKind.FATAL,
                code="NoRegionError",
            ) from None
        except (ClientError, BotoCoreError) as error:
            raise self._explained(error, f"{self.job_type.service} client") from error

    def impatient_twin(self, seconds: float) -> AwsJobHook:
        """Return a hook with a client of its own that gives up on a silent endpoint after ``seconds``.

        The client is made now, from the same session: later it asks neither Airflow nor the disk.
        """
        twin = copy.copy(self)
        twin.__dict__.pop("conn", None)
        twin.conn_config = copy.copy(self.conn_config)
        twin.conn_config.botocore_config = self.config.merge(
            Config(connect_timeout=seconds, read_timeout=seconds)
        )
        twin._may_ask_airflow = False  # noqa: SLF001
        twin.get_conn()
        return twin

    def caller_account(self) -> str:
        """Return the AWS account of the credentials, from STS."""
        try:
            sts = self._client_of(self._session.client, "sts", None, _STS_ATTEMPTS)
            return str(sts.get_caller_identity()["Account"])
        except (ClientError, BotoCoreError) as error:
            raise self._explained(error, "sts GetCallerIdentity") from error

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

    async def adescribe(self, run: JobRun) -> JobSnapshot:
        """Like :meth:`describe`."""
        return await self._adrive(protocol.describe(run))

    async def acancel(self, run: JobRun) -> JobSnapshot:
        """Like :meth:`cancel`."""
        return await self._adrive(protocol.cancel(run))

    async def arequest_cancel(self, run: JobRun) -> bool:
        """Like :meth:`request_cancel`."""
        return await self._adrive(protocol.request_cancel(run))

    async def aread_page(self, operation: Operation, values: Mapping[str, Any], token: str | None) -> Page:
        """Like :meth:`read_page`."""
        return await self._adrive(protocol.read_page(self.job_type, operation, values, token))

    async def __aenter__(self) -> Self:
        """Make room for the asynchronous client; the first call opens it."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the asynchronous client."""
        await self._async_client.close()

    @cached_property
    def _session(self) -> Any:
        return self.get_session(region_name=self.region_name)

    def _client_of(self, create: Any, service: str, config: Config | None, retries: Any) -> Any:
        return create(
            service_name=service,
            endpoint_url=self.conn_config.get_service_endpoint_url(service_name=service),
            config=(config or self.config).merge(
                Config(retries=retries, user_agent_extra=f"airflow-jobs-provider/{__version__}")
            ),
            verify=self.verify,
        )

    def _drive(self, dialogue: Dialogue[T]) -> T:
        try:
            call = next(dialogue)
            while True:
                try:
                    answer = getattr(self.get_conn(), call.operation.method)(**call.arguments)
                except (ClientError, BotoCoreError) as error:
                    explained = self._explained(error, call.operation)
                    if explained.code in EXPIRED:
                        self._forget_credentials()
                    call = dialogue.throw(explained)
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

    async def _acall(self, call: Call) -> Any:
        opened = None
        try:
            async with self._async_client() as opened:
                return await getattr(opened.client, call.operation.method)(**call.arguments)
        except (ClientError, BotoCoreError) as error:
            explained = self._explained(error, call.operation)
            if explained.code in EXPIRED and opened and await self._async_client.retire(opened):
                self._forget_credentials()
            raise explained from error

    def _forget_credentials(self) -> None:
        """Have the next call read the connection again: somebody may have put fresh credentials into it."""
        if not self._may_ask_airflow:
            return
        for cached in ("conn", "conn_config", "_session"):
            self.__dict__.pop(cached, None)

    def _explained(self, error: ClientError | BotoCoreError, operation: Operation | str) -> AwsApiError:
        where = operation if isinstance(operation, str) else f"{self.job_type.service} {operation.api_name}"
        if isinstance(error, ClientError):
            answer = error.response
            code = answer.get("Error", {}).get("Code", "Unknown")
            http_status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            text = answer.get("Error", {}).get("Message") or "no message"
            called = None if isinstance(operation, str) else operation
            kind = self.job_type.classify(code, http_status, text, called)
            message = f"{where} answered {code}: {text}"
        else:
            code = type(error).__name__
            kind = ErrorKind.FATAL
            if isinstance(error, SSLError):
                # It may come while the answer is read; a certificate that is not trusted stays so.
                kind = ErrorKind.FATAL if _UNTRUSTED in str(error) else ErrorKind.TRANSIENT
            elif isinstance(error, _NOT_SENT):
                kind = ErrorKind.REJECTED
            elif isinstance(error, HTTPClientError):
                kind = ErrorKind.TRANSIENT
            hint = ""
            if isinstance(error, EndpointConnectionError):
                hint = f" - is region_name {self.region_name!r} right, and is there a network?"
            if isinstance(error, NoCredentialsError):
                hint = f" - put credentials or a role into the Airflow connection {self.aws_conn_id!r}"
            message = f"{where} could not be called: {code}: {error}{hint}"
        if kind is ErrorKind.QUOTA and self.job_type.quota_rule:
            message = f"{message} ({self.job_type.quota_rule})"
        explained = AwsApiError(message, meaning=kind, code=code)
        explained.__cause__ = error
        return explained


def _config(arguments: Mapping[str, Any] | None) -> Config | None:
    try:
        return Config(**arguments) if arguments else None
    except Exception as error:
        # The values may be secret, a proxy's password for one.
        raise ValueError(
            f"botocore_config must be arguments of botocore.config.Config, not {sorted(arguments or ())}:"
            f" {error}"
        ) from error
