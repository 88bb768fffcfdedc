"""What the botocore models say about operations: names, parameters, constraints and errors."""

from __future__ import annotations

import re
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from moto.core.utils import get_service_model

if TYPE_CHECKING:
    from moto.core.model import OperationModel

#: The boto3 names of the services whose calls are in the journal; each service's class adds its own.
SERVICES: set[str] = set()

# What AWS answers with for errors that are common to all services and stand in no model.
COMMON_ERRORS = {
    "AccessDeniedException": 403,
    "ExpiredTokenException": 403,
    "ExpiredToken": 403,
    "IncompleteSignature": 403,
    "InternalFailure": 500,
    "InvalidClientTokenId": 403,
    "InvalidSignatureException": 403,
    "RequestExpired": 400,
    "ServiceUnavailable": 503,
    "UnrecognizedClientException": 403,
}


def check_service(service: str | None) -> None:
    """Raise ``ValueError`` for a service that the emulator does not see."""
    if service is not None and service not in SERVICES:
        raise ValueError(f"service={service!r} is not emulated; there are {', '.join(sorted(SERVICES))}")


def check_operation(operation: str | None, service: str | None = None) -> None:
    """Raise ``ValueError`` for an operation that no emulated service has: it would silently match nothing."""
    if operation is None:
        return
    services = sorted(SERVICES if service is None else [service])
    if not any(operation in get_service_model(name).operation_names for name in services):
        raise ValueError(f"operation={operation!r} is unknown to {', '.join(services)}")


def parameters_of(service: str, operation: str) -> frozenset[str]:
    """Return the names of an operation's parameters."""
    shape: Any = get_service_model(service).operation_model(operation).input_shape
    return frozenset() if shape is None else frozenset(shape.members)


@cache
def error_members(service: str, code: str) -> tuple[int, frozenset[str]]:
    """Return the HTTP status of an error and the names of its members."""
    shapes: list[Any] = list(get_service_model(service).error_shapes)
    for shape in shapes:
        if code in (shape.name, shape.error_code):
            status = shape.metadata.get("error", {}).get("httpStatusCode", 400)
            return int(status), frozenset(shape.members)
    return COMMON_ERRORS.get(code, 400), frozenset()


def throttling_error(operation: OperationModel) -> str:
    """Return the code of the error by which the operation's service throttles."""
    shapes: list[Any] = list(operation.error_shapes)
    names = [str(shape.error_code) for shape in shapes]
    return next((name for name in names if re.search("Throttl|TooManyRequests", name)), "ThrottlingException")


def server_error(operation: OperationModel, status: int) -> str:
    """Return the code of the error for which the operation's service answers with this 5xx status."""
    shapes: list[Any] = list(operation.error_shapes)
    for shape in shapes:
        if shape.metadata.get("error", {}).get("httpStatusCode") == status:
            return str(shape.error_code)
    return "ServiceUnavailable" if status == HTTPStatus.SERVICE_UNAVAILABLE else "InternalFailure"


def secret_parameters(operation: OperationModel) -> frozenset[str]:
    """Return the names of the parameters that the model marks as sensitive."""
    shape = operation.input_shape
    members = {} if shape is None else shape.members
    return frozenset(name for name, member in members.items() if member.metadata.get("sensitive"))


# A request in JSON can hold anything; what is not here has no rules that a value of another type would break.
_TYPES: dict[str, type[Any]] = {"string": str, "list": list, "map": dict, "structure": dict}


def complaints(shape: Any, value: Any, path: str = "") -> list[str]:
    """Return what is wrong with a request, in the words of the AWS services.

    botocore checks neither patterns nor enumerations nor maximum lengths before it sends a request; a service
    does.
    """
    if value is None:
        return []
    if not isinstance(value, _TYPES.get(shape.type_name, object)):
        return [
            f"Value '{value}' at '{path}' failed to satisfy constraint: Member must be a {shape.type_name}"
        ]
    if shape.type_name == "structure":
        missing = [
            f"Value null at '{_join(path, name)}' failed to satisfy constraint: Member must not be null"
            for name in shape.required_members
            if value.get(name) is None
        ]
        return missing + [
            text
            for name, member in shape.members.items()
            for text in complaints(member, value.get(name), _join(path, name))
        ]
    found = [
        f"Value '{value}' at '{path}' failed to satisfy constraint: Member must {rule}"
        for rule in _broken_rules(shape, value)
    ]
    if shape.type_name == "list":
        for index, item in enumerate(value, 1):
            found += complaints(shape.member, item, f"{path}.{index}.member")
    elif shape.type_name == "map":
        for key, item in value.items():
            found += complaints(shape.key, key, f"{path}.key")
            found += complaints(shape.value, item, f"{path}.{key}")
    return found


def _broken_rules(shape: Any, value: Any) -> list[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    sized = shape.type_name in ("string", "list", "map", "blob")
    size = len(value) if sized else value
    noun = "have length" if sized else "have value"
    rules = []
    if low is not None and isinstance(size, (int, float)) and size < low:
        rules.append(f"{noun} greater than or equal to {low}")
    if high is not None and isinstance(size, (int, float)) and size > high:
        rules.append(f"{noun} less than or equal to {high}")
    if shape.type_name == "string":
        if shape.enum and value not in shape.enum:
            rules.append(f"satisfy enum value set: [{', '.join(shape.enum)}]")
        pattern = shape.metadata.get("pattern")
        if pattern and not _matches(pattern, value):
            rules.append(f"satisfy regular expression pattern: {pattern}")
    return rules


@cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern)
    except re.error:  # a Java expression that Python does not know
        return None


def _matches(pattern: str, value: str) -> bool:
    compiled = _compiled(pattern)
    # The whole value, although newer models leave out ^ and $: the services match that way.
    return compiled is None or compiled.fullmatch(value) is not None


def _join(path: str, name: str) -> str:
    name = name[:1].lower() + name[1:]
    return f"{path}.{name}" if path else name
