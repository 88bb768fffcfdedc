"""Run CloudWatch Logs Insights queries, and stop them."""

from __future__ import annotations

from typing import Any

from airflow_jobs_provider.jobs.logs import LOGS_QUERY
from airflow_jobs_provider.operators.cancel import CancelJobOperator
from airflow_jobs_provider.operators.results import StartQueryOperator


class LogsStartQueryOperator(StartQueryOperator):
    """Run a query (``StartQuery``) and wait for it. All else: :class:`.StartQueryOperator`; all is templated.

    :param query_string: the query, or the name of a ``.sql``, ``.ppl`` or ``.cwli`` file with it.
    :param start_time: first second of the time range, since the epoch.
    :param end_time: its last second, since the epoch.
    :param log_group_name: what it reads; or up to 50 ``log_group_names``, or ``log_group_identifiers`` (names
        or ARNs). Exactly one of these, but none where the query has a SOURCE command or is SQL.
    :param limit: rows at the most, up to 100000; default: the service's, unless the query has a limit.
    :param query_language: ``CWLI`` (the service's default), ``PPL`` or ``SQL``.
    """

    job_type = LOGS_QUERY

    def __init__(
        self,
        *,
        query_string: str,
        start_time: int | str,
        end_time: int | str,
        log_group_name: str | None = None,
        log_group_names: list[str] | None = None,
        log_group_identifiers: list[str] | None = None,
        limit: int | str | None = None,
        query_language: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.take(locals())


class LogsStopQueryOperator(CancelJobOperator):
    """Stop a query (``StopQuery``). All else: :class:`.CancelJobOperator`.

    :param query_id: the query (templated).
    """

    job_type = LOGS_QUERY

    def __init__(self, *, query_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.take(locals())
