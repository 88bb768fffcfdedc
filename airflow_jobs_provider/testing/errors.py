"""Errors as a service answers with them."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from airflow_jobs_provider.testing import operations
from airflow_jobs_provider.testing.faults import Fault

if TYPE_CHECKING:
    from moto.core.model import OperationModel

#: Status, headers and body of an answer.
Answer = tuple[int, dict[str, str], str]


class EmulatedError(Exception):
    """An error that a service answers with.

    :param code: the AWS error code.
    :param message: the error's message.
    :param http_status: by default what the botocore model says for the code.
    :param members: further members of the error, such as ``ResourceType``.
    """

    def __init__(self, code: str, message: str, http_status: int | None = None, **members: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.http_status = http_status
        self.members = members


def error_of(fault: Fault, operation: OperationModel) -> EmulatedError:
    """Return the error that a fault makes of a call."""
    status = fault.http_status
    if fault.kind == "throttle":
        code, message = operations.throttling_error(operation), "Rate exceeded"
    elif fault.kind == "server_error":
        status = status or 500
        code, message = operations.server_error(operation, status), "The service failed to answer."
    elif fault.kind == "expired_token":
        code, message = "ExpiredTokenException", "The security token included in the request is expired"
    else:
        code, message = "", "An error that the emulator was told to make."
    return EmulatedError(fault.code or code, fault.message or message, status)


def error_answer(service: str, protocol: str, request_id: str, error: EmulatedError) -> Answer:
    """Return an error's answer.

    moto's serializer is not used: it warns about codes that stand in no model (ExpiredTokenException), knows
    no status but the model's, and reads the model's errors anew for each one.

    :param service: the boto3 client name.
    :param protocol: the protocol of the request: ``query``, or one of the JSON ones.
    """
    status, members = operations.error_members(service, error.code)
    status = error.http_status or status
    headers = {"x-amzn-RequestId": request_id}
    if protocol == "query":
        side = "Sender" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "Receiver"
        body = (
            f"<ErrorResponse><Error><Type>{side}</Type>"
            f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message></Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
        return status, {**headers, "Content-Type": "text/xml"}, body
    content = {"__type": error.code, "Message" if "Message" in members else "message": error.message}
    further = {"RequestId": request_id, **error.members}
    content.update({name: value for name, value in further.items() if name in members})
    headers |= {"x-amzn-ErrorType": error.code, "Content-Type": "application/json"}
    return status, headers, json.dumps(content)
