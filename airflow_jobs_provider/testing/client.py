"""The emulator's controls over HTTP: the client, and the part of the server that answers it."""
# ruff: noqa: D102 - the docstrings of what tests call stand in EmulatorControl

from __future__ import annotations

import inspect
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from airflow_jobs_provider.testing.control import METHODS, EmulatorControl

#: Where the controls are on an emulator's server.
CONTROL_PATH = "/_emulator/"


class EmulatorClient(EmulatorControl):
    """Steers an emulator in another process.

    :param url: the emulator's address, for example ``http://127.0.0.1:5055``.
    :param timeout: seconds to wait for an answer.

    Besides the ``ValueError`` of every method, ``ConnectionError`` says that no emulator is at the address.
    """

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        self.url = url.rstrip("/")
        self._timeout = timeout
        # Straight to the emulator, whatever proxy the environment names for AWS.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def configure(self, job_type: str, **settings: Any) -> None:
        self._call("configure", job_type=job_type, **settings)

    def script(
        self, job_type: str, match: Mapping[str, Any] | None = None, times: int | None = 1, **settings: Any
    ) -> None:
        self._call("script", job_type=job_type, match=match, times=times, **settings)

    def settle(self, job_type: str, match: Mapping[str, Any], status: str, **settings: Any) -> int:
        return int(self._call("settle", job_type=job_type, match=match, status=status, **settings))

    def delete(self, job_type: str, match: Mapping[str, Any]) -> int:
        return int(self._call("delete", job_type=job_type, match=match))

    def fault(self, kind: str, **options: Any) -> None:
        self._call("fault", kind=kind, **options)

    def clear_faults(self) -> None:
        self._call("clear_faults")

    def journal(self, operation: str | None = None, since: int = 0) -> list[dict[str, Any]]:
        return list(self._call("journal", operation=operation, since=since))

    def counts(self) -> dict[str, dict[str, int]]:
        return dict(self._call("counts"))

    def jobs(self, job_type: str | None = None) -> list[dict[str, Any]]:
        return list(self._call("jobs", job_type=job_type))

    def reset(self) -> None:
        self._call("reset")

    def _call(self, method: str, **arguments: Any) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the caller's own emulator
            f"{self.url}{CONTROL_PATH}{method}",
            data=json.dumps(arguments, default=_as_json).encode(),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                reason = error.read().decode(errors="replace")
            if error.code == HTTPStatus.BAD_REQUEST:
                raise ValueError(reason) from None
            raise ConnectionError(f"no emulator answers at {self.url}: HTTP {error.code}") from None
        except OSError as error:
            raise ConnectionError(f"no emulator answers at {self.url}: {error}") from None


def answer_control(
    emulator: EmulatorControl, environ: Mapping[str, Any], start_response: Callable[..., Any]
) -> Iterable[bytes]:
    """Carry out a control request: ``POST /_emulator/METHOD`` with the arguments as a JSON object.

    ``GET`` works too, with the arguments in the query: ``curl localhost:5055/_emulator/jobs``.
    """
    method = environ["PATH_INFO"].removeprefix(CONTROL_PATH)
    status, kind = "200 OK", "application/json"
    try:
        function = _method(emulator, method)
        content = json.dumps(function(**_arguments(environ, function)), default=_as_json)
    except (TypeError, ValueError) as error:
        status, kind, content = "400 Bad Request", "text/plain; charset=utf-8", str(error)
    body = content.encode()
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


def _method(emulator: EmulatorControl, name: str) -> Callable[..., Any]:
    if name not in METHODS:
        raise ValueError(f"there is no {CONTROL_PATH}{name}; there are {', '.join(METHODS)}")
    function: Callable[..., Any] = getattr(emulator, name)
    return function


def _arguments(environ: Mapping[str, Any], function: Callable[..., Any]) -> dict[str, Any]:
    arguments: Any = dict(parse_qsl(environ.get("QUERY_STRING", "")))
    if "since" in arguments:
        arguments["since"] = int(arguments["since"])
    if environ["REQUEST_METHOD"] == "POST":
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        arguments = json.loads(body or b"{}")
        if not isinstance(arguments, dict):
            raise ValueError(f"the arguments {arguments!r} must be a JSON object")
    parameters = inspect.signature(function).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        for name, value in arguments.items():
            if name not in parameters:
                raise ValueError(f"{function.__name__} has no option {name}={value!r}")
    return dict(arguments)


def _as_json(value: Any) -> Any:
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return repr(value)
