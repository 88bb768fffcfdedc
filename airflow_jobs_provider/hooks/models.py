"""botocore's service models, reduced to what job types call."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any

from botocore.loaders import Loader

from airflow_jobs_provider.jobs import JOB_TYPES
from airflow_jobs_provider.jobs.parts import Operation


class LeanLoader(Loader):
    """Loads the models of our services without the operations that nobody calls.

    QuickSight's has 240, in 60,000 objects: as many as would have the garbage collector look through all of
    Airflow, which stops the event loop for 150 ms on a slow machine. Shared by all sessions of a process.
    """

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        """Return a model as botocore does, with less in it."""
        if type_name != "service-2":
            return super().load_service_model(service_name, type_name, api_version)
        return _lean_model(service_name, api_version)


@lru_cache(maxsize=16)
def _lean_model(service: str, api_version: str | None) -> Any:
    job_types = (each for each in JOB_TYPES.values() if each.service == service)
    wanted = {operation.api_name for each in job_types for operation in _operations(each)}
    collects = gc.isenabled()
    gc.disable()  # what is dropped below needs no collector, and would call it
    try:
        return json.loads(_reduced(service, api_version, wanted))
    finally:
        if collects:
            gc.enable()


def _reduced(service: str, api_version: str | None, wanted: set[str]) -> str:
    """Return a model with the operations that are called, as text: it keeps nothing of the whole alive."""
    # A loader of its own: what it loads, it keeps.
    loader = Loader(include_default_search_paths=True)
    model = loader.load_service_model(service, "service-2", api_version)
    if not wanted:
        return json.dumps(model)
    operations = {name: what for name, what in model["operations"].items() if name in wanted}
    shapes: dict[str, Any] = {}
    _keep(operations, model["shapes"], shapes)
    return json.dumps({**model, "operations": operations, "shapes": shapes})


def _operations(part: Any) -> Iterator[Operation]:
    """Yield the operations in a part of a job type."""
    if isinstance(part, Operation):
        yield part
    elif is_dataclass(part):
        for each in fields(part):
            yield from _operations(getattr(part, each.name))
    elif isinstance(part, (tuple, list, Mapping)):
        for item in part.values() if isinstance(part, Mapping) else part:
            yield from _operations(item)


def _keep(part: Any, shapes: Mapping[str, Any], kept: dict[str, Any]) -> None:
    """Copy the shapes that a part of the model names, and those that they name."""
    if isinstance(part, Mapping):
        name = part.get("shape")
        if isinstance(name, str) and name in shapes and name not in kept:
            kept[name] = shapes[name]
            _keep(shapes[name], shapes, kept)
        for item in part.values():
            _keep(item, shapes, kept)
    elif isinstance(part, list):
        for item in part:
            _keep(item, shapes, kept)
