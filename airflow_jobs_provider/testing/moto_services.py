"""Where moto is told about the emulated services: the only module that reaches into moto's tables."""

from __future__ import annotations

import importlib
import re
import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from botocore.session import Session
from moto import backend_index
from moto.core.base_backend import BackendDict, BaseBackend
from moto.core.models import DEFAULT_ACCOUNT_ID

from airflow_jobs_provider.testing.engine import emulator

if TYPE_CHECKING:
    from airflow_jobs_provider.testing.responses import EmulatedResponse


class _ResetHook(BaseBackend):
    """Takes part in moto's reset: the jobs of one ``mock_aws`` are not seen in the next."""

    def reset(self) -> None:
        emulator.forget_jobs()


_hooks: BackendDict[_ResetHook] = BackendDict(
    _ResetHook, "emulator", use_boto3_regions=False, additional_regions=["us-east-1"]
)


def touch() -> None:
    """Make sure that moto's next reset reaches the emulator: it resets what was used since the last one."""
    _hooks[DEFAULT_ACCOUNT_ID]["us-east-1"]


def route(response: type[EmulatedResponse]) -> None:
    """Let moto answer a service's requests by ``response``; a second call changes nothing.

    Three ways lead through moto, and all start at the service's ``urls`` module: the botocore hook of
    ``mock_aws``, the ``responses`` hook, and the Flask application of the server.
    """
    try:
        urls: Any = importlib.import_module(f"moto.{response.moto_package}.urls")
    except ModuleNotFoundError:
        urls = _add_service(response)
    for path, handler in list(urls.url_paths.items()):
        if issubclass(response, handler.__self__):
            urls.url_paths[path] = response.dispatch
    for path in response.url_paths:
        urls.url_paths[path] = response.dispatch


def _add_service(response: type[EmulatedResponse]) -> Any:
    name = response.moto_package
    base = rf"https?://{response.service}\.(.+)\.amazonaws\.com"
    urls = SimpleNamespace(url_bases=[base], url_paths={})

    class Backend(BaseBackend):
        @property
        def _url_module(self) -> Any:
            return urls

    # Given by hand: botocore lists no regions for some services (neptune-graph). The profile that a
    # developer's shell names is not asked for: it need not be there.
    regions = Session(session_vars={"profile": (None, None, None, None)}).get_available_regions("ec2")
    module = ModuleType(f"moto.{name}")
    backends = BackendDict(Backend, response.service, use_boto3_regions=False, additional_regions=regions)
    setattr(module, f"{name}_backends", backends)
    module.urls = urls  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    # What import_module finds when this is installed again.
    sys.modules[f"{module.__name__}.urls"] = urls  # type: ignore[assignment]
    backend_index.backend_url_patterns.append((name, re.compile(base)))
    return urls
