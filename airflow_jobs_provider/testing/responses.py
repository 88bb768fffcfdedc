"""The base of every emulated service: from a request to its answer, by way of journal, faults and validation.

moto's router, parser and serializer, all driven by the botocore model, do the work at both ends. moto's own
dispatch is used only for operations that are not emulated here: it takes several times as long, and a
benchmark asks thousands of times a second.
"""

from __future__ import annotations

import contextlib
import re
import socket
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

from botocore import xform_name
from botocore.exceptions import ConnectionClosedError
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.responses import BaseResponse
from moto.core.routing import get_service_router
from moto.core.serialize import DefaultAttributePicker, get_serializer_class
from moto.core.utils import get_service_model
from moto.utilities.utils import get_partition
from werkzeug.exceptions import NotFound

from airflow_jobs_provider.testing import moto_services, operations
from airflow_jobs_provider.testing.engine import Emulator, emulator
from airflow_jobs_provider.testing.errors import Answer, EmulatedError, error_answer, error_of
from airflow_jobs_provider.testing.journal import Call

if TYPE_CHECKING:
    from moto.core.model import OperationModel

#: Where a server puts its emulator into a request's environment.
ENVIRON_KEY = "airflow_jobs_provider.emulator"

#: The emulated services' classes; a class adds itself when it is defined.
RESPONSES: list[type[EmulatedResponse]] = []


def install() -> None:
    """Let moto serve the emulated services, in ``mock_aws`` and in its server.

    A second call changes nothing.
    """
    for response in RESPONSES:
        moto_services.route(response)


class EmulatedResponse(BaseResponse):
    """One service.

    A subclass has a method, in snake_case, for each operation that it emulates. The method takes the parsed
    and validated parameters, and returns the answer as a dict in the shape of the botocore model, or raises
    :class:`~airflow_jobs_provider.testing.errors.EmulatedError`. Where moto has the service, the subclass
    also inherits from moto's response class, which answers all other operations.
    """

    #: The boto3 client name.
    service: ClassVar[str]
    #: The name of moto's package for the service; one that moto has not is added to it.
    moto_package: ClassVar[str]
    #: Path patterns that moto's package lacks, as in its ``url_paths``.
    url_paths: ClassVar[tuple[str, ...]] = ()
    #: The operations that are emulated here.
    emulates: ClassVar[tuple[str, ...]] = ()
    #: What the service calls a bad parameter.
    validation_error: ClassVar[str] = "ValidationException"
    #: What it calls it when a single parameter has an error of its own.
    parameter_errors: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if hasattr(cls, "service"):
            RESPONSES.append(cls)
            operations.SERVICES.add(cls.service)

    def _dispatch(self, request: Request, full_url: str | None = None, headers: Any = None) -> Any:
        try:
            operation, uri_params = get_service_router(self.service).match(request)
        except (NotFound, NotImplementedError):
            return super()._dispatch(request, full_url, headers)
        return self.respond(request, operation, uri_params)

    def respond(self, request: Request, operation: OperationModel, uri_params: dict[str, Any]) -> Any:
        """Carry out a request, or let it fail as the faults say, and write it into the journal.

        :return: status, headers and body.
        """
        self._read_caller(request)
        self.request_id = str(uuid.uuid4())
        protocol = determine_request_protocol(get_service_model(self.service), request.content_type)
        parameters, unreadable = _parse(protocol, request, operation, uri_params)
        secrets = operations.secret_parameters(operation)
        call = self.emulator.arrived(
            service=self.service,
            operation=str(operation.name),
            region=self.region,
            account=self.current_account,
            access_key=_end_of_access_key(request),
            parameters={name: "***" if name in secrets else value for name, value in parameters.items()},
        )
        try:
            answer, outcome = self._answer(request, operation, call, parameters, unreadable)
        except EmulatedError as error:
            answer, outcome = error_answer(self.service, protocol, self.request_id, error), error.code
        except BaseException as error:
            self.emulator.answered(call, type(error).__name__, None)
            raise
        if answer is None:
            self.emulator.answered(call, "dropped", None)
            return _drop(request)
        self.emulator.answered(call, outcome, answer[0])
        return answer

    def _answer(
        self,
        request: Request,
        operation: OperationModel,
        call: Call,
        parameters: dict[str, Any],
        unreadable: str | None,
    ) -> tuple[Any, str]:
        """Return the answer and the journal's word for it; None for a connection that drops."""
        fault = self.emulator.strike(self.service, str(operation.name), parameters)
        if fault is not None and fault.kind == "drop":
            return None, ""
        if fault is not None and fault.kind != "drop_after":
            raise error_of(fault, operation)
        call.executed = True
        try:
            if operation.name in self.emulates:
                answer: Any = self._carry_out(operation, parameters, unreadable)
            else:
                answer = super()._dispatch(request, request.raw_url, request.headers)
        except EmulatedError:
            if fault is None:
                raise
        if fault is not None:
            return None, ""
        return answer, "ok" if answer[0] < HTTPStatus.BAD_REQUEST else _error_code(
            answer[1]
        ) or f"HTTP {answer[0]}"

    def _carry_out(
        self, operation: OperationModel, parameters: dict[str, Any], unreadable: str | None
    ) -> Answer:
        wrong = [unreadable] if unreadable else operations.complaints(operation.input_shape, parameters)
        if wrong:
            errors = "1 validation error" if len(wrong) == 1 else f"{len(wrong)} validation errors"
            code = self._code_for(operation, parameters)
            raise EmulatedError(code, f"{errors} detected: {'; '.join(wrong)}")
        result: Mapping[str, Any] = getattr(self, xform_name(str(operation.name)))(parameters)
        serializer_class = get_serializer_class(self.service, str(get_service_model(self.service).protocol))
        members = getattr(operation.output_shape, "members", {})
        if not result.keys() <= members.keys():
            raise TypeError(f"{operation.name} answers with no {', '.join(result.keys() - members.keys())}")
        serializer = serializer_class(operation_model=operation, value_picker=DefaultAttributePicker())
        answer = serializer.serialize({"RequestId": self.request_id, **result})
        status = answer["status_code"]
        for name, member in members.items():
            if member.serialization.get("location") == "statusCode":
                status = result.get(name, status)
        return status, {**answer["headers"], "x-amzn-RequestId": self.request_id}, str(answer["body"])

    def _code_for(self, operation: OperationModel, parameters: Mapping[str, Any]) -> str:
        members = getattr(operation.input_shape, "members", {})
        for name, code in self.parameter_errors.items():
            if name in members and operations.complaints(members[name], parameters.get(name)):
                return code
        return self.validation_error

    def _read_caller(self, request: Request) -> None:
        self.emulator: Emulator = request.environ.get(ENVIRON_KEY, emulator)
        if self.emulator is emulator:
            moto_services.touch()
        # What moto's own dispatch would set, as far as its helpers need it.
        self.headers = request.headers
        self.querystring: dict[str, Any] = {}
        self.region = self.get_region_from_url(request, f"https://{request.host}/")
        self.partition = get_partition(self.region)
        self.current_account = self.get_current_account()


def _parse(
    protocol: str, request: Request, operation: OperationModel, uri_params: dict[str, Any]
) -> tuple[dict[str, Any], str | None]:
    """Return the parameters, or why there are none."""
    try:
        parsed = PROTOCOL_PARSERS[protocol](operation).parse(
            {
                "method": request.method,
                "values": request.values,
                "headers": request.headers,
                "body": request.data,
                "url_path": request.path,
                "url_params": uri_params,
            }
        )
    except (AttributeError, TypeError, ValueError) as error:  # not JSON, or not of the right type
        return {}, f"the request cannot be read ({error})"
    return parsed if isinstance(parsed, dict) else {}, None


def _drop(request: Request) -> Answer:
    connection: socket.socket | None = request.environ.get("werkzeug.socket")
    if connection is None:  # in process: what botocore makes of a connection that closes
        raise ConnectionClosedError(endpoint_url=request.raw_url)
    with contextlib.suppress(OSError):  # the caller may have been quicker
        connection.shutdown(socket.SHUT_RDWR)
    return 500, {}, ""


def _end_of_access_key(request: Request) -> str:
    found = re.search(r"Credential=([^/]+)/", request.headers.get("Authorization", ""))
    return found[1][-4:] if found else ""


def _error_code(headers: Mapping[str, Any]) -> str | None:
    return next((str(value) for name, value in headers.items() if name.lower() == "x-amzn-errortype"), None)
