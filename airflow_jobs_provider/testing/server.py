"""The emulator as an HTTP server: every service of moto, the emulated ones, and the controls."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable
from http.client import responses as reasons
from typing import Any

from moto.core.routing import get_service_router
from moto.core.utils import get_service_model
from moto.moto_server.werkzeug_app import (
    BackendRequest,
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.exceptions import NotFound
from werkzeug.serving import ThreadedWSGIServer

from airflow_jobs_provider.testing.client import CONTROL_PATH, answer_control
from airflow_jobs_provider.testing.engine import Emulator
from airflow_jobs_provider.testing.engine import emulator as shared_emulator
from airflow_jobs_provider.testing.responses import ENVIRON_KEY, RESPONSES, EmulatedResponse, install

_log = logging.getLogger(__name__)

# AWS4-HMAC-SHA256 Credential=KEY/20260101/us-east-1/quicksight/aws4_request, SignedHeaders=...
_SIGNED_FOR = re.compile(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/")


class EmulatorServer:
    """An HTTP server for boto3's ``endpoint_url``, in a thread of this process.

    Use it as a context manager, or call :meth:`start` and :meth:`stop`.

    :param port: 0 picks a free one.
    :param host: the address to listen on; anybody who reaches it can do as he likes.
    :param emulator: the state that it serves; by default that of this process, which ``mock_aws`` uses too.
    :raises OSError: from :meth:`start`, with one clear sentence, if the port is taken.
    """

    def __init__(self, port: int = 0, host: str = "127.0.0.1", emulator: Emulator | None = None) -> None:
        self.host = host
        self.port = port
        self.emulator = shared_emulator if emulator is None else emulator
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The address for ``endpoint_url``."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> EmulatorServer:
        """Listen and serve until :meth:`stop`."""
        install()
        with _listen(self.host, self.port) as listener:
            self.port = listener.getsockname()[1]
            self._server = _Server(
                self.host, self.port, _Application(self.emulator), _Handler, fd=listener.fileno()
            )
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name=f"emulator-{self.port}", daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.close_connections()
            self._server = self._thread = None

    def __enter__(self) -> EmulatorServer:  # noqa: PYI034 - Self needs Python 3.11
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise OSError(
            getattr(error, "errno", None),
            f"cannot listen on {host}:{port} ({reason}): choose another port, or 0 for a free one",
        ) from None
    return listener


class _Application:
    """Sends a request to the controls, straight to an emulated service, or to moto."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._moto = DomainDispatcherApplication(create_backend_app)
        # What requests are signed for, which is not always the service's name.
        self._signed: dict[str, list[type[EmulatedResponse]]] = {}
        for response in RESPONSES:
            if response.emulates:
                name = str(get_service_model(response.service).signing_name)
                self._signed.setdefault(name, []).append(response)
                # Read the model now, and not in the first request.
                get_service_router(response.service)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ[ENVIRON_KEY] = self._emulator
        if environ["PATH_INFO"].startswith(CONTROL_PATH):
            return answer_control(self._emulator, environ, start_response)
        # moto's way through Flask takes several times as long as all the rest.
        request = BackendRequest(environ)
        for response in self._signed.get(_signed_for(environ), ()):
            try:
                operation, uri_params = get_service_router(response.service).match(request)
            except (NotFound, NotImplementedError):
                continue
            if operation.name in response.emulates:
                status, headers, body = response().respond(request, operation, uri_params)
                content = body.encode()
                start_response(
                    f"{status} {reasons.get(status, 'Unknown')}",
                    [*headers.items(), ("Content-Length", str(len(content)))],
                )
                return [content]
        answer: Iterable[bytes] = self._moto(environ, start_response)
        return answer


def _signed_for(environ: dict[str, Any]) -> str:
    found = _SIGNED_FOR.search(environ.get("HTTP_AUTHORIZATION", ""))
    return found[1] if found else ""


class _Handler(MotoRequestHandler):
    """Keeps connections alive.

    werkzeug's own handler closes every connection, and looks for 10 ms at each whether more comes.
    """

    protocol_version = "HTTP/1.1"
    # Otherwise an answer on a connection that is kept alive waits up to 40 ms for the one before to be
    # acknowledged.
    disable_nagle_algorithm = True

    def run_wsgi(self) -> None:
        environ = self.make_environ()
        length = -1 if environ.get("wsgi.input_terminated") else int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length)
        environ.update({"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))})
        head: list[Any] = ["", []]
        content: list[bytes] = []

        def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> Callable[..., None]:
            head[:] = [status, headers]
            return content.append

        try:
            answer = self.server.app(environ, start_response)
            content.extend(answer)
            getattr(answer, "close", lambda: None)()
        except Exception as error:  # noqa: BLE001 - whatever moto raises
            _log.exception("%s %s", self.command, self.path)
            content = [json.dumps({"__type": "InternalFailure", "message": repr(error)}).encode()]
            head = ["500 Internal Server Error", [("Content-Type", "application/json")]]
        self._send(head[0], head[1], b"".join(content))

    def _send(self, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        given = {name.lower() for name, _ in headers}
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
        if "content-length" not in given and not status.startswith(("1", "204", "304")):
            lines.append(f"Content-Length: {len(body)}")
        if self.close_connection:
            lines.append("Connection: close")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")
        # Raises if the connection was dropped; werkzeug takes that for a caller who went away.
        self.wfile.write(head if self.command == "HEAD" else head + body)


class _Server(ThreadedWSGIServer):
    """A thread for each connection; it can close them all."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connections: set[Any] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self._connections.discard(request)

    def close_connections(self) -> None:
        """End the threads that wait for another request on a connection that is kept alive."""
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for _ in range(100):
            if not self._connections:
                break
            time.sleep(0.01)
