"""What makes aiobotocore's clients lean: their models, their parsers, their sessions.

The only module that imports aiobotocore, a tenth of a second of CPU: no process does that reads no job
asynchronously.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
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

from airflow_jobs_provider.hooks.models import LeanLoader

if TYPE_CHECKING:
    from botocore.config import Config

# Read once in a process, whatever session asks.
_MODELS = LeanLoader(include_default_search_paths=True)


def lean(config: Config) -> AioConfig:
    """Return the configuration of a shared client.

    What readings and cancels are told was checked before the start, which is checked apart
    (``async_client.check``): to check it again is a twentieth of a reading's CPU.
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
