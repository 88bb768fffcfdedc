"""What to do about an error of AWS: the end of its message. No input or output."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from airflow_jobs_provider.jobs.errors import ErrorKind

if TYPE_CHECKING:
    from airflow_jobs_provider.jobs.model import JobType
    from airflow_jobs_provider.jobs.parts import Operation

_RIGHTS = (
    "the credentials are those of {credentials}; they need the right {right}:"
    " python -m airflow_jobs_provider.iam {job_type} prints them all"
)
_INVALID = "AWS does not take the credentials of {credentials}: are they complete, and not deleted?"
_EXPIRED = "renew the credentials of {credentials}; with a role_arn in its extra they renew themselves"
_NO_REGION = "give region_name, or set it in the extra of {connection}"
_NETWORK = "is region {region} right, does the service exist there, and does the network lead to it?"
_SETTINGS = "look at {settings}"
_MISSPELT = "there is no Airflow connection {connection}, which aws_conn_id names: is it spelt right?"

#: Error codes of AWS, and classes of botocore's errors, that mean the same for every service.
ADVICE: Mapping[str, str] = {
    **dict.fromkeys(
        ("AccessDenied", "AccessDeniedException", "UnauthorizedException", "UnauthorizedOperation"), _RIGHTS
    ),
    **dict.fromkeys(
        (
            "AuthFailure",
            "IncompleteSignature",
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "InvalidSignatureException",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "SignatureDoesNotMatch",
            "UnrecognizedClientException",
        ),
        _INVALID,
    ),
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException", "RequestExpired"), _EXPIRED),
    "NoCredentialsError": "put credentials or a role into {connection}, or give the process a role",
    **dict.fromkeys(("NoRegionError", "InvalidRegionError"), _NO_REGION),
    **dict.fromkeys(
        ("EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError", "UnknownEndpointError"),
        _NETWORK,
    ),
    "SSLError": "verify may be the path of a CA bundle",
    **dict.fromkeys(
        ("ProfileNotFound", "PartialCredentialsError", "CredentialRetrievalError", "ParamValidationError"),
        _SETTINGS,
    ),
}


def advice(
    job_type: JobType,
    operation: Operation | None,
    code: str,
    meaning: ErrorKind,
    *,
    conn_id: str | None,
    conn_exists: bool,
    region: str | None,
) -> str:
    """Return what to do about an error, or nothing where its own message says it.

    :param operation: the call that failed; ``None`` for one that is no part of the job type.
    :param conn_id: the Airflow connection from which the credentials come; ``None`` for boto3's own chain.
    :param conn_exists: a connection that does not exist is boto3's own chain, too.
    """
    if meaning is ErrorKind.QUOTA and job_type.quota_rule:
        return job_type.quota_rule
    sentence = ADVICE.get(code, "")
    if operation is job_type.start and re.search("NotFound|NotExist", code):
        sentence = "is it there in region {region}, and in the account of {credentials}?"
    elif sentence is _RIGHTS and operation is None:
        sentence = _INVALID
    account = next((name for name, each in job_type.parameters.items() if each.caller_account), None)
    if sentence is _RIGHTS and operation is job_type.start and account is not None:
        sentence = f"{sentence}; leave {account} out to use the account of the credentials"
    told = sentence.format(
        credentials=_credentials(conn_id, conn_exists=conn_exists),
        connection=_connection(conn_id, conn_exists=conn_exists),
        settings=_settings(conn_id, conn_exists=conn_exists),
        region=repr(region),
        right=f"{job_type.iam.prefix}:{operation.api_name}" if operation is not None else "",
        job_type=job_type.name,
    )
    is_final = told or meaning in (ErrorKind.FATAL, ErrorKind.NOT_FOUND)
    if is_final and not conn_exists and conn_id is not None and repr(conn_id) not in told:
        # Another account's credentials: what is there looks as if it were not.
        misspelt = _MISSPELT.format(connection=repr(conn_id))
        told = f"{told}; {misspelt}" if told else misspelt
    return told


def _credentials(conn_id: str | None, *, conn_exists: bool) -> str:
    if conn_id is None:
        return "boto3's own chain (aws_conn_id is None)"
    if not conn_exists:
        return f"boto3's own chain (there is no Airflow connection {conn_id!r})"
    return f"the Airflow connection {conn_id!r}"


def _connection(conn_id: str | None, *, conn_exists: bool) -> str:
    if conn_id is None:
        return "an Airflow connection (aws_conn_id is None)"
    return f"the Airflow connection {conn_id!r}{'' if conn_exists else ', which does not exist'}"


def _settings(conn_id: str | None, *, conn_exists: bool) -> str:
    if conn_id is not None and conn_exists:
        return f"the extra of the Airflow connection {conn_id!r}"
    chain = _credentials(conn_id, conn_exists=conn_exists)
    return f"the environment and the AWS files of this machine: the credentials are those of {chain}"
