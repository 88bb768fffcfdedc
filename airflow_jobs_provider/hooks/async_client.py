"""A shared aiobotocore client: opened off the event loop, lean, and replaced while others still use it."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

try:
    from aiobotocore.config import AioConfig
    from aiobotocore.httpsession import AIOHTTPSession
    from aiobotocore.parsers import PROTOCOL_PARSERS, AioResponseParserFactory
except ImportError as missing:
    raise ImportError(
        f"airflow_jobs_provider needs aiobotocore, in workers and triggerers ({missing}):"
        " pip install 'apache-airflow-providers-amazon[aiobotocore]'"
    ) from missing

from botocore.validate import validate_parameters

from airflow_jobs_provider.hooks.models import LeanLoader

if TYPE_CHECKING:
    from botocore.config import Config

_log = logging.getLogger(__name__)

# Read once in a process, whatever session asks.
_MODELS = LeanLoader(include_default_search_paths=True)


class AsyncClient:
    """One client for many calls at a time.

    :param create: makes the context manager of a client; may block (Airflow's connection, service models,
        an assumed role), so it is called in a thread.
    """

    def __init__(self, create: Callable[[], Any]) -> None:
        self._create = create
        #: Held while it is found out whether the client is to be replaced.
        self.renewing = asyncio.Lock()
        #: How many clients were replaced.
        self.retired = 0
        self._opening = asyncio.Lock()
        self._current: Opened | None = None

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Opened]:
        """Yield the client, opened by the first call; it stays open until the last user has left it."""
        async with self._opening:
            if self._current is None:
                # Not "asyncio.run, self._opened()": a wait that is cancelled now would leave that unawaited.
                self._current = Opened(await asyncio.to_thread(lambda: asyncio.run(self._opened())))
                _spare_the_collector()
            mine = self._current
            mine.users += 1
        try:
            yield mine
        finally:
            mine.users -= 1
            if mine is not self._current and not mine.users:
                await mine.client.close()

    async def retire(self) -> None:
        """Have the next call open another client; calls under way go on with this one."""
        self.retired += 1
        opened, self._current = self._current, None
        if opened is not None and not opened.users:
            await opened.client.close()

    async def close(self) -> None:
        """Close the client, for those that still use it too."""
        opened, self._current = self._current, None
        if opened is not None:
            await opened.client.close()

    async def _opened(self) -> Any:
        """Open a client on a loop of its own: nothing of it is bound to a loop before the first call."""
        client = await self._create().__aenter__()
        # botocore puts the same user agent together anew, twice for each call: a sixth of a reading's CPU.
        agent = client._user_agent_creator  # noqa: SLF001
        text = agent.to_string()
        agent.to_string = lambda: text
        return client


@lru_cache
def _spare_the_collector() -> None:
    """Leave what the process has by now out of all later garbage collections; once in a process.

    Airflow, boto3 and the client are 200,000 objects that stay. A full collection looks at each, and stops
    the event loop for 150 ms; a few hundred waits are enough to cause one. Airflow's executor does the same.
    """
    gc.freeze()


class Opened:
    """A client, how many calls use it, and whose credentials it has."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.users = 0
        self.account: str | None = None


def lean(config: Config) -> AioConfig:
    """Return the configuration of a shared client.

    What readings and cancels are told was checked before the start, which is checked apart (:func:`check`):
    to check it again is a twentieth of a reading's CPU.
    """
    options: Any = AioConfig(http_session_cls=_OneAttemptSession, parameter_validation=False)
    return options.merge(config).merge(options)  # type: ignore[no-any-return]


class _OneAttemptSession(AIOHTTPSession):
    """Sends a request once.

    On a connection that is used again and is closed without an answer, aiohttp sends a PUT anew, and tells
    nobody. The starts of QuickSight and Bedrock are PUTs: if the second is refused, the first may still have
    started a job.
    """

    async def _get_session(self, proxy_url: Any) -> Any:
        session = await super()._get_session(proxy_url)  # type: ignore[misc]
        session._retry_connection = False  # noqa: SLF001 - aiohttp has no public name for it
        return session


def lighten(session: Any) -> Any:
    """Have a session's clients share their service models, parse leanly, and refresh roles off the loop."""
    session.register_component("data_loader", _MODELS)
    session.register_component("response_parser_factory", _LeanParsers())
    credentials = getattr(session, "_credentials", None)
    refresh = getattr(credentials, "_refresh_using", None)
    if credentials is not None and refresh is not None and not asyncio.iscoroutinefunction(refresh):
        # The amazon provider assumes its role with boto3: on the loop, all triggers would wait for STS.
        credentials._refresh_using = partial(asyncio.to_thread, refresh)  # noqa: SLF001
    return session


def check(client: Any, operation: str, arguments: Mapping[str, Any]) -> None:
    """Refuse what the service model does not allow, as a client does that checks all its calls.

    :raises ParamValidationError: names the parameter, and says what is wrong with its value.
    """
    validate_parameters(arguments, client.meta.service_model.operation_model(operation).input_shape)


class _NotLeanError(Exception):
    """A shape that botocore's own parser is to read: it is not all in the body, or not as JSON has it."""


class _LeanParsers(AioResponseParserFactory):
    """botocore's parsers, but for the bodies of successful answers in JSON.

    botocore looks up each member of each record by its shape, also where there is nothing to convert: 41 % of
    the CPU of a list of 20.
    """

    def create_parser(self, protocol_name: str) -> Any:
        parser = _lean(protocol_name)
        return parser(**self._defaults)  # type: ignore[attr-defined]


@lru_cache
def _lean(protocol: str) -> Any:
    usual: Any = PROTOCOL_PARSERS[protocol]
    if protocol not in ("json", "rest-json"):
        return usual

    class LeanParser(usual):  # type: ignore[misc]
        """Parses a body as its shape says, with what to convert worked out once for each shape."""

        def _do_parse(self, response: Mapping[str, Any], shape: Any) -> Any:
            try:
                convert = _body_converter(shape, self._timestamp_parser)
                body = json.loads(response["body"] or b"{}")
            except (_NotLeanError, ValueError):  # a proxy's page, say, is no JSON
                return super()._do_parse(response, shape)
            parsed = body if convert is None else convert(body)
            for name, member in shape.members.items():
                if member.serialization.get("location") == "statusCode":
                    parsed[name] = response["status_code"]
            request_id = response["headers"].get("x-amzn-requestid")
            parsed["ResponseMetadata"] = {"RequestId": request_id} if request_id else {}
            return parsed

    return LeanParser


_Converter = Callable[[Any], Any]


@lru_cache(maxsize=256)
def _body_converter(shape: Any, timestamp: _Converter) -> _Converter | None:
    """Return what makes an answer of its body, which must be all that there is to it."""
    if shape is None or "payload" in shape.serialization:
        raise _NotLeanError
    if {member.serialization.get("location") for member in shape.members.values()} - {None, "statusCode"}:
        raise _NotLeanError
    return _converter(shape, timestamp)


@lru_cache(maxsize=1024)
def _converter(shape: Any, timestamp: _Converter, above: tuple[str, ...] = ()) -> _Converter | None:
    """Return what makes a value of a shape as botocore would, or ``None`` where JSON's will do.

    Members that the model does not know stay, and so may those that are null: nobody reads them.
    """
    if shape.type_name == "timestamp":
        return partial(_moment, timestamp)
    if shape.type_name == "blob" or shape.name in above:
        raise _NotLeanError
    above = (*above, shape.name)
    if shape.type_name == "list":
        return _list_converter(_converter(shape.member, timestamp, above))
    if shape.type_name == "map":
        return _map_converter(_converter(shape.value, timestamp, above))
    if shape.type_name != "structure":
        return None
    names = {
        member.serialization.get("name", name): (name, _converter(member, timestamp, above))
        for name, member in shape.members.items()
    }
    if all(wire == name and convert is None for wire, (name, convert) in names.items()):
        return None
    return _structure_converter(names)


def _moment(usual: _Converter, value: Any) -> Any:
    """Return a timestamp as botocore does, without dateutil, which takes fifty times as long."""
    try:
        if not isinstance(value, str):
            return datetime.fromtimestamp(value).astimezone()
        if "T" in value:
            return datetime.fromisoformat(value)  # not with Python 3.10, where there is a Z
    except (OSError, OverflowError, TypeError, ValueError):
        pass
    return usual(value)


def _list_converter(convert: _Converter | None) -> _Converter | None:
    return convert and (lambda values: values and [convert(value) for value in values])


def _map_converter(convert: _Converter | None) -> _Converter | None:
    return convert and (lambda values: values and {key: convert(value) for key, value in values.items()})


def _structure_converter(names: Mapping[str, tuple[str, _Converter | None]]) -> _Converter:
    def structure(record: Any) -> Any:
        found = {}
        for wire, value in (record or {}).items():
            name, convert = names.get(wire, (wire, None))
            if value is not None:
                found[name] = value if convert is None else convert(value)
        return found

    return structure
