"""Which templates the triggerer can render: those whose values Airflow 3.3 gives it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

_UNANSWERED = "Airflow never answers the triggerer's question for it"

# What Airflow knows of a run, a task and its try, and looks up by name.
_KNOWN = frozenset(
    {
        *("conn", "dag", "dag_run", "data_interval_end", "data_interval_start", "ds", "ds_nodash"),
        *("logical_date", "macros", "params", "partition_date", "partition_key", "run_id", "task"),
        *("task_instance", "task_instance_key_str", "ti", "ts", "ts_nodash", "ts_nodash_with_tz", "var"),
    }
)
_KNOWN_OF_TI = frozenset({"dag_id", "id", "map_index", "run_id", "task_id", "try_number"})


def problems(field: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield what of a parameter's value the triggerer cannot fill in, and why."""
    if isinstance(value, str):
        yield from ((f"{what} in {field}", because) for what, because in _of_text(value))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from problems(field, item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from problems(field, item)
    elif hasattr(value, "iter_references"):
        yield f"another task's result in {field}", _UNANSWERED


@lru_cache(maxsize=1024)
def _of_text(text: str) -> tuple[tuple[str, str], ...]:
    if not any(mark in text for mark in ("{{", "{%", "{#")):
        return ()
    from airflow.sdk.definitions._internal.templater import SandboxedEnvironment
    from jinja2 import TemplateAssertionError, TemplateSyntaxError, meta, nodes

    environment: Any = SandboxedEnvironment(cache_size=0)  # type: ignore[no-untyped-call]
    try:
        parsed = environment.parse(text)
        names = meta.find_undeclared_variables(parsed) - set(environment.globals)
    except TemplateAssertionError as error:
        return ((f"{text!r}", f"the triggerer knows no filters of the DAG ({error})"),)
    except TemplateSyntaxError as error:
        return ((f"{text!r}", f"it is no template: {error}"),)
    found = [
        (f"{name!r}", "the triggerer knows no macros of the DAG, and not all that a worker knows")
        for name in sorted(names - _KNOWN)
    ]
    named = {id(one) for one in parsed.find_all(nodes.Name) if one.name in ("ti", "task_instance")}
    for attribute in parsed.find_all(nodes.Getattr):
        if id(attribute.node) in named:
            named.discard(id(attribute.node))
            if attribute.attr not in _KNOWN_OF_TI:
                found.append((f"ti.{attribute.attr}", _UNANSWERED))
    if named:
        found.append(("ti", f"as ti.{', ti.'.join(sorted(_KNOWN_OF_TI))} only does the triggerer know it"))
    if (
        next(parsed.find_all((nodes.Include, nodes.Extends, nodes.Import, nodes.FromImport)), None)
        is not None
    ):
        found.append(("a template that reads another file", "the triggerer has no DAG files"))
    return tuple(found)
