"""How clients are made, when they are replaced, and what their errors mean."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from functools import cached_property
from importlib.util import find_spec
from os import getenv
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook, AwsGenericHook
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's, which is no OSError
    CredentialRetrievalError,
    HTTPClientError,
    MetadataRetrievalError,
    NoCredentialsError,
    SSLError,
)

from airflow_jobs_provider import __version__
from airflow_jobs_provider.advice import advice
from airflow_jobs_provider.exceptions import AwsApiError
from airflow_jobs_provider.jobs.errors import EXPIRED, REFUSED, ErrorKind

if find_spec("aiobotocore") is None:
    # It says what to do, before anything is started. Otherwise only what reads asynchronously imports it.
    import airflow_jobs_provider.hooks.lean  # noqa: F401

if TYPE_CHECKING:
    from typing_extensions import Self

    from airflow_jobs_provider.jobs.model import JobType
    from airflow_jobs_provider.jobs.parts import Operation

# Which attempts are made is the engine's decision alone: it knows which calls may be repeated, and for how
# long. botocore's own retries would send a start without idempotency twice, and in "standard" mode take
# QuickSight's daily quota (LimitExceededException) for a throttle.
_ONE_ATTEMPT: Any = {"mode": "standard", "total_max_attempts": 1}

#: What a call may end with. The last two come from whoever gives out credentials where that is not AWS: a
#: role's identity provider cannot be reached (``requests``), or gives out what is expired already.
ERRORS = (ClientError, BotoCoreError, OSError, RuntimeError)
# Those of them that stay: a file of certificates or tokens that is not there, a method that does not exist.
_MISTAKES = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError, NotImplementedError)

# Without a connection, or without credentials, nothing was sent.
_NOT_SENT = (ConnectionError, CredentialRetrievalError, MetadataRetrievalError)
_UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"

# Seconds between two looks at whether the connection has changed, and between two new clients because
# credentials are expired or missing: where there are no others yet, a thousand waits would make a thousand.
_AGAIN = 10.0
# Seconds in which a connection that Airflow does not find may be one that it cannot read now: its secrets
# backends say the same where the API server is away.
_MISSING = 60.0
# Seconds in which credentials that AWS has taken, and refuses now, may be about to be replaced by others: the
# old key is deleted before the connection is edited, or AWS does not know the new one everywhere yet.
_REPLACED = 60.0


# Reads the connection anew.
_UNCACHED: Any = vars(AwsGenericHook)["conn_config"].func


class ClientHook(AwsBaseHook):
    """Makes the clients of a job type's service, and tells which of them are out of date.

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
        self._may_ask_airflow = True
        # Whether AWS has ever taken the credentials, and since when it refuses them.
        self._was_accepted = False
        self._refused_at: float | None = None
        self._looked_at = self._renewed_at = -_AGAIN
        self._made_at = time.monotonic()

    def get_client_type(
        self, region_name: str | None = None, config: Config | None = None, deferrable: bool = False
    ) -> Any:
        """Return a client that makes one attempt a call.

        The amazon provider's own method asks the providers manager for its version and walks the stack for
        its user agent: a second of CPU in a new process.
        """
        if deferrable:
            from airflow_jobs_provider.hooks.lean import lean, lighten

            session: Any = lighten(
                self.get_session(region_name=region_name or self.region_name, deferrable=True)
            )
            settings = lean(config or self.config)
            return self._client_of(session.create_client, self.job_type.service, settings, _ONE_ATTEMPT)
        return self._client_of(self._session.client, self.job_type.service, config, _ONE_ATTEMPT)

    @cached_property
    def conn_config(self) -> Any:
        """The Airflow connection; empty where there is none of that name."""
        found = _UNCACHED(self)
        if self.aws_conn_id is not None and not found:
            # Whatever works with them works in their account: the amazon provider does not say how to go on.
            self.log.warning(
                "aws_conn_id names the Airflow connection %r, which Airflow does not have: the credentials"
                " are boto3's own, perhaps of another account or role. If they are meant, say"
                " aws_conn_id=None; if not, look at the name",
                self.aws_conn_id,
            )
        return found

    def get_conn(self) -> Any:
        """Return the synchronous client, made by the first call.

        :raises AwsApiError: where that takes an answer of AWS, or of who gives out credentials: for a role.
        """
        try:
            return super().get_conn()
        except ERRORS as error:
            raise self._to_raise(error, f"the {self.job_type.service} API") from error

    @cached_property
    def region(self) -> str:
        """The region that the client talks to."""
        return str(self.get_conn().meta.region_name)

    @property
    def client_in_use(self) -> Any:
        """The synchronous client; ``None`` before the first call, and where another one is to be made."""
        return self.__dict__.get("conn")

    def impatient_twin(self, seconds: float) -> Self:
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

    def _accepted(self) -> None:
        """Take note that AWS has answered."""
        self._was_accepted = True
        self._refused_at = None

    def _is_outdated(self, error: AwsApiError) -> bool:
        """Whether a client that is made now may have an answer where another one had an error; may block.

        A client lives for as long as anybody waits, which may be months. Meanwhile its credentials run out,
        or are replaced and deleted, and the connection is edited: another key, role, account or endpoint.
        """
        if not self._may_ask_airflow:
            return False
        now = time.monotonic()
        # Boto looks for credentials once. Where they come from (a machine's metadata, say) may have been away
        # then, and as long as anybody waits, the client without any would be everybody's. Those that are
        # replaced may not come by way of the connection: a credentials file is read once, too.
        missing = error.code in EXPIRED or isinstance(error.__cause__, NoCredentialsError)
        if missing or self._may_be_replaced(error):
            due = now - self._renewed_at >= _AGAIN
            if due:
                self._renewed_at = now
                self._read_connection()
            return due
        unreachable = isinstance(error.__cause__, BotoCoreError)
        refused = error.meaning in (ErrorKind.FATAL, ErrorKind.NOT_FOUND)
        if now - self._looked_at < _AGAIN or not (unreachable or refused):
            return False
        self._looked_at = now
        return self._read_connection()

    def _may_be_replaced(self, error: AwsApiError) -> bool:
        """Whether credentials that AWS has taken are refused, and have not been for long."""
        if error.code not in REFUSED or not self._was_accepted or not self._may_ask_airflow:
            return False
        now = time.monotonic()
        if self._refused_at is None:
            self._refused_at = now
        return now - self._refused_at < _REPLACED

    def _may_lack_its_connection(self, error: AwsApiError) -> bool:
        """Whether a refusal may be for want of a connection that could only not be read: in the first minute.

        A client without it has no credentials, or somebody else's: the machine's role.
        """
        missing = self.aws_conn_id is not None and not self.conn_config
        refused = error.meaning in (ErrorKind.FATAL, ErrorKind.NOT_FOUND)
        return missing and refused and time.monotonic() - self._made_at < _MISSING

    def _read_connection(self) -> bool:
        """Read the connection anew, and return whether it has changed.

        One that is gone, or cannot be read, is as it was: better old credentials than none.
        """
        known = self.conn_config
        try:
            fresh = _UNCACHED(self)
        except Exception as error:  # noqa: BLE001 - Airflow's errors are of many kinds
            self.log.warning("connection %r could not be read again: %r", self.aws_conn_id, error)
            return False
        if not fresh or _content(fresh) == _content(known):
            return False
        self.log.info("connection %r has changed: another client is made", self.aws_conn_id)
        self.__dict__["conn_config"] = fresh
        return True

    def _forget_client(self) -> None:
        for cached in ("conn", "_session"):
            self.__dict__.pop(cached, None)

    def _to_raise(
        self, error: Exception, operation: Operation | str, job_type: JobType | None = None
    ) -> AwsApiError:
        """Return what an error of the synchronous client means, and forget the client if it is outdated."""
        explained = self._explained(error, operation, job_type)
        if self._is_outdated(explained):
            self._forget_client()
        elif not self._may_be_replaced(explained):
            return explained
        return once_more(explained)

    def _explained(
        self,
        error: Exception,
        operation: Operation | str,
        job_type: JobType | None = None,
    ) -> AwsApiError:
        # On an event loop, all job types of a service share a hook.
        job_type = job_type or self.job_type
        where = operation if isinstance(operation, str) else f"{job_type.service} {operation.api_name}"
        called = None if isinstance(operation, str) else operation
        if isinstance(error, ClientError):
            answer = error.response
            code = answer.get("Error", {}).get("Code", "Unknown")
            http_status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            text = (answer.get("Error", {}).get("Message") or "no message").rstrip(". ")
            kind = job_type.classify(code, http_status, text, called)
            message = f"{where} answered {code}: {text}"
        else:
            code = type(error).__name__
            kind = ErrorKind.FATAL
            if isinstance(error, SSLError):
                # It may come while the answer is read; a certificate that is not trusted stays so.
                kind = ErrorKind.FATAL if _UNTRUSTED in str(error) else ErrorKind.TRANSIENT
            elif isinstance(error, _NOT_SENT):
                kind = ErrorKind.REJECTED
            elif isinstance(error, HTTPClientError) or not isinstance(error, (BotoCoreError, *_MISTAKES)):
                kind = ErrorKind.TRANSIENT
            message = f"{where} could not be called: {code}: {str(error).rstrip('. ')}"
        if what_to_do := self._advice(
            job_type, None if isinstance(operation, str) else operation, code, kind
        ):
            message = f"{message} - {what_to_do}"
        explained = AwsApiError(message, meaning=kind, code=code)
        explained.__cause__ = error
        return explained

    def _advice(self, job_type: JobType, operation: Operation | None, code: str, kind: ErrorKind) -> str:
        # Only what is known already: no error may lead to another question.
        known: Any = self.__dict__.get("conn_config")
        return advice(
            job_type,
            operation,
            code,
            kind,
            conn_id=self.aws_conn_id,
            conn_exists=known is None or bool(known),
            region=self._region_name or getattr(known, "region_name", None) or getenv("AWS_DEFAULT_REGION"),
        )


def once_more(error: AwsApiError) -> AwsApiError:
    """Return an error that may pass: a later call is made with another client."""
    if error.is_transient:
        return error
    again = AwsApiError(f"{error} (another client is made)", meaning=ErrorKind.REJECTED, code=error.code)
    again.__cause__ = error.__cause__
    return again


def _content(connection: Any) -> tuple[Any, ...]:
    # The wrapper itself compares botocore's Config, which is never equal to another one.
    return connection.login, connection.password, connection.extra_config


def _config(arguments: Mapping[str, Any] | None) -> Config | None:
    try:
        return Config(**arguments) if arguments else None
    except Exception as error:
        # The values may be secret, a proxy's password for one.
        raise ValueError(
            f"botocore_config must be arguments of botocore.config.Config, not {sorted(arguments or ())}:"
            f" {error}"
        ) from error
