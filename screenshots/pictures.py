"""The pictures: each is a page of Airflow's user interface, and what must be on it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from airflow_jobs_provider.jobs import JOB_TYPES
from airflow_jobs_provider.jobs.run import JobRun
from screenshots.stage import ENDED, LOADS, MAPPED, NIGHTLY, REGION, RUNNING, Played

if TYPE_CHECKING:
    from screenshots.browser import Camera

# Airflow's pages ask for what they show one after the other, and some again every few seconds.
expect.set_options(timeout=30_000)


def graph(camera: Camera, played: Played) -> bytes:
    """Take a run with jobs of four services: the loads wait side by side, and hold no worker."""
    page = camera.open(played.page(NIGHTLY), height=480, left=68, view="graph")
    states = {**dict.fromkeys(("changes", "audit"), "success"), **dict.fromkeys(LOADS, "deferred")}
    for task_id, state in states.items():
        node = page.locator(".react-flow__node", has_text=re.compile(rf"^{task_id}\b"))
        expect(node).to_contain_text(state)
        expect(node).to_be_in_viewport(ratio=1)
    return camera.shoot()


def task(camera: Camera, played: Played) -> bytes:
    """Take a task whose job runs: its link leads to the job in the AWS console already."""
    index = played.map_index(RUNNING)
    page = camera.open(
        played.page(MAPPED, "tasks", "refresh", "mapped", str(index), "details"), height=600, left=20
    )
    job = JOB_TYPES["quicksight-ingestion"]
    ids = {"data_set_id": RUNNING, "aws_account_id": "123456789012", "ingestion_id": "any"}
    url = job.console_url(JobRun(job.name, ids, REGION))
    assert url is not None
    expect(page.get_by_role("link", name="AWS job")).to_have_attribute("href", url)
    expect(page.get_by_text("Deferred", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name=f"refresh [{RUNNING}]")).to_be_visible()
    return camera.shoot()


def rendered(camera: Camera, played: Played) -> bytes:
    """Take the statement of a query as AWS has got it, with the times of its run."""
    page = camera.open(played.page(NIGHTLY, "tasks", "changes", "rendered_templates"), height=640, left=12)
    [call] = played.aws.journal("StartQuery")
    [field] = page.locator("tr", has_text="query_statement").locator("code").all_inner_texts()
    shown = re.sub(r"^\s*\d+\s", "", field, flags=re.MULTILINE)
    assert shown == call["parameters"]["QueryStatement"]
    return camera.shoot()


def log(camera: Camera, played: Played) -> bytes:
    """Take the log of a refresh: what was started, how far it was, and how it has ended."""
    index = played.map_index(ENDED)
    page = camera.open(played.page(MAPPED, "tasks", "refresh", "mapped", str(index)), height=640, left=12)
    ingestion = played.job(DataSetId=ENDED)["ids"]["IngestionId"]
    for said in (
        f"started SPICE ingestion {ingestion} of data set {ENDED}",
        f"SPICE ingestion {ingestion} of data set {ENDED} in account 123456789012 is COMPLETED",
    ):
        expect(page.get_by_text(said)).to_be_in_viewport()
    return camera.shoot()


PICTURES: Mapping[str, Callable[[Camera, Played], bytes]] = {
    "graph": graph,
    "task": task,
    "rendered": rendered,
    "log": log,
}
