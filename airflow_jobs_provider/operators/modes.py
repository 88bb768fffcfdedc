"""What a task cannot have that starts or ends in the triggerer: refused at DAG parse, with what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk.listener import get_listener_manager
from jinja2 import StrictUndefined

from airflow_jobs_provider.operators.checks import is_literal
from airflow_jobs_provider.operators.templates import problems

if TYPE_CHECKING:
    from airflow_jobs_provider.operators.triggered import TriggeredOperator

MODES = ("start_from_trigger", "end_from_trigger")
SUCCESS, FAILURE = "success", "failure"


def check_modes(operator: TriggeredOperator) -> None:
    """Refuse what Airflow does in workers only.

    :raises ValueError: with a sentence that says why, and what to do.
    """
    for mode, refused in zip(MODES, (_at_the_start, _at_the_end), strict=True):
        if not getattr(operator, mode):
            continue
        check_importable(type(operator))
        _refuse(mode, refused(operator))


def check_mapped(cls: type[TriggeredOperator], given: Mapping[str, Any]) -> None:
    """Refuse, when its DAG is parsed, what each instance of a mapped task would refuse when it runs.

    They start in workers, whatever ``start_from_trigger`` says.

    :param given: what is the same for all instances.
    :raises ValueError: with a sentence that says why, and what to do.
    """
    if given.get("end_from_trigger"):
        check_importable(cls)
        ends = (given.get(key) for key in ("outlets", "on_success_callback", "post_execute"))
        _refuse("end_from_trigger", _only_at_a_worker_s_end(cls, *ends))


def _refuse(mode: str, refused: Iterator[tuple[str, str]]) -> None:
    for what, because in refused:
        raise ValueError(
            f"{mode}=True does not go with {what}: {because}. Leave {mode} out, and a worker does it"
        )


def check_importable(cls: type) -> None:
    """Refuse a class that the triggerer cannot import."""
    if "<locals>" in cls.__qualname__ or cls.__module__.startswith(("unusual_prefix_", "__main__")):
        raise ValueError(
            f"the triggerer cannot import {cls.__name__} from a DAG file: put the class into a module, or"
            " leave start_from_trigger and end_from_trigger out"
        )


def needs_worker(operator: TriggeredOperator) -> list[str]:
    """Return which ends of a task are left to a worker, although the trigger could end it.

    A failure that a policy, an e-mail, ``never_fail`` or a DAG's ``fail_fast`` deals with; a result that is
    the DAG's, or that others are mapped over.
    """
    dag, ends = dag_of(operator), []
    never_fail, fail_fast = getattr(operator, "never_fail", False), getattr(dag, "fail_fast", False)
    if operator.retry_policy is not None or operator.email or never_fail or fail_fast:
        ends.append(FAILURE)
    is_mapped_over = dag is not None and any(True for _ in operator.iter_mapped_dependants())
    if is_mapped_over or getattr(operator, "returns_dag_result", False):
        ends.append(SUCCESS)
    return ends


def _at_the_start(operator: TriggeredOperator) -> Iterator[tuple[str, str]]:
    if getattr(operator, "_BaseOperator__from_mapped", False):  # a worker has it
        return
    if operator.run_as_user:
        yield "run_as_user", "the triggerer runs all tasks as one user"
    if operator.on_execute_callback:
        yield "on_execute_callback", "Airflow calls it in workers only"
    if _has_password(operator.botocore_config):
        yield (
            "a proxy's password in botocore_config",
            "it would be readable in Airflow's database; put it into the connection (config_kwargs)",
        )
    if operator._pre_execute_hook or _is_overridden(type(operator), "pre_execute"):  # noqa: SLF001
        yield "pre_execute", "Airflow calls it in workers only"
    for field in operator.template_fields:
        value = getattr(operator, field, None)
        yield from problems(field, value)
        if not is_literal(value):
            yield from (
                (f"a template in {field} and {what}", because) for what, because in _renders(operator)
            )


def _renders(operator: TriggeredOperator) -> Iterator[tuple[str, str]]:
    """Yield what makes templates of the task render to something else in a worker."""
    dag = dag_of(operator)
    if operator._should_render_native(dag):  # noqa: SLF001
        yield "render_template_as_native_obj", "the triggerer renders text"
    for option, default in (("template_undefined", StrictUndefined), ("jinja_environment_kwargs", None)):
        if dag is not None and (getattr(dag, option) or None) is not default:
            yield f"{option} of the DAG", "Airflow does not tell the triggerer of it"


def _at_the_end(operator: TriggeredOperator) -> Iterator[tuple[str, str]]:
    return _only_at_a_worker_s_end(
        type(operator),
        operator.outlets,
        operator.on_success_callback,
        operator._post_execute_hook,  # noqa: SLF001
    )


def _only_at_a_worker_s_end(
    cls: type[TriggeredOperator], outlets: object, on_success_callback: object, post_execute: object
) -> Iterator[tuple[str, str]]:
    if outlets:
        yield "outlets", "Airflow emits no asset events for a task that ends in the triggerer"
    if on_success_callback:
        yield "on_success_callback", "Airflow calls it in workers only"
    if post_execute or _is_overridden(cls, "post_execute"):
        yield "post_execute", "Airflow calls it in workers only"
    complete: Any = cls
    if not complete.execute_complete.__module__.startswith("airflow_jobs_provider."):
        yield "an execute_complete of your own", "the triggerer does not call it"
    if has_listeners():
        yield (
            "a plugin that listens to tasks (OpenLineage is one)",
            "Airflow tells listeners nothing of a task that ends in the triggerer, and refuses the DAG",
        )


def _has_password(config: Mapping[str, Any] | None) -> bool:
    proxies = (config or {}).get("proxies")
    return isinstance(proxies, Mapping) and any("@" in str(each) for each in proxies.values())


def dag_of(operator: TriggeredOperator) -> Any:
    """Return the DAG, if there is one: Airflow's own question for it raises where there is none."""
    return operator._dag  # noqa: SLF001


def has_listeners() -> bool:
    """Whether a plugin listens to what becomes of tasks."""
    return bool(get_listener_manager().has_listeners)


def _is_overridden(cls: type[TriggeredOperator], method: str) -> bool:
    module: str = getattr(cls, method).__module__
    return not module.startswith(("airflow.sdk.", "airflow_jobs_provider."))
