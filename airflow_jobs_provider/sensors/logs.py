"""Wait for CloudWatch Logs Insights queries."""

from __future__ import annotations

from typing import Any

from airflow_jobs_provider.jobs.logs import LOGS_QUERY
from airflow_jobs_provider.operators.results import QueryResults
from airflow_jobs_provider.sensors.base import JobSensor


class LogsQuerySensor(QueryResults, JobSensor):
    """Wait for a query (``GetQueryResults``). All else: :class:`.QueryResults` and :class:`.JobSensor`.

    :param query_id: the query (templated).
    """

    job_type = LOGS_QUERY

    def __init__(self, *, query_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.take(locals())
