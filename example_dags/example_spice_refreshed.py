"""Run when data sets are refreshed, and read how many rows they have."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from airflow.sdk import DAG, AssetAlias, task

DOC = """
### What was refreshed

Run by the refreshes of `example_spice_refresh`, by one or by several at a time. Each leaves an asset event
for its data set, `quicksight://<region>/<account>/<data set>`, with what it has done in `extra`: the
ingestion's id, the rows that were ingested and dropped. The alias stands for these assets: which data sets a
run refreshes, only the run knows.
"""

REFRESHED = AssetAlias("spice_refreshed")

with DAG(
    dag_id="example_spice_refreshed",
    schedule=[REFRESHED],
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    doc_md=DOC,
    tags=["example", "quicksight"],
):

    @task
    def report(triggering_asset_events: Any) -> dict[str, int]:
        """Return how many rows each refreshed data set has; none in a run that was started by hand."""
        events = triggering_asset_events.get(REFRESHED, [])
        return {event.extra["data_set_id"]: event.extra["rows_in_data_set"] for event in events}

    report()
