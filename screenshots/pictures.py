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
    from playwright.sync_api import Page

    from screenshots.browser import Camera

_JOB_TYPE = JOB_TYPES["quicksight-ingestion"]
# Airflow's pages ask for what they show one after the other, and some again every few seconds.
expect.set_options(timeout=30_000)


def graph(camera: Camera, played: Played) -> bytes:
    """Take a run with jobs of four services: the loads wait side by side, and hold no worker."""
    page = camera.open(played.page(NIGHTLY), height=590, left=68, view="graph")
    states = {**dict.fromkeys(("changes", "audit"), "success"), **dict.fromkeys(LOADS, "deferred")}
    for task_id, state in states.items():
        name = page.get_by_role("link", name=task_id, exact=True)
        node = page.locator(".react-flow__node", has=name)
        expect(node).to_contain_text(state)
        expect(node).to_be_in_viewport(ratio=1)
    # The small map lies over what is at the bottom.
    camera.drag(page.locator(".react-flow__pane"), up=90)
    return camera.shoot()


def task(camera: Camera, played: Played) -> bytes:
    """Take a task whose job runs: its link leads to the job in the AWS console already."""
    index = played.map_index(RUNNING)
    page = camera.open(played.page(MAPPED, "tasks", "refresh", "mapped", str(index), "details"), height=580)
    ids = {"data_set_id": RUNNING, "aws_account_id": "123456789012", "ingestion_id": "any"}
    url = _JOB_TYPE.console_url(JobRun(_JOB_TYPE.name, ids, REGION))
    assert url is not None
    expect(page.get_by_role("link", name="AWS job")).to_have_attribute("href", url)
    expect(page.get_by_role("heading", name=f"refresh [{RUNNING}]")).to_be_visible()
    expect(page.get_by_text("Deferred", exact=True)).to_be_visible()
    _grid_is_there(page, "refresh")
    return camera.shoot()


def rendered(camera: Camera, played: Played) -> bytes:
    """Take the statement of a query as AWS has got it, with the times of its run."""
    page = camera.open(played.page(NIGHTLY, "tasks", "changes", "rendered_templates"), height=712)
    lines = page.locator("tr", has_text="query_statement").locator("code > span")
    expect(lines.last).to_be_in_viewport(ratio=1)
    # Each begins with its number.
    text = "all => all.map(line => line.textContent.slice(line.firstChild.textContent.length)).join('')"
    [call] = played.aws.journal("StartQuery")
    # AWS gets a comment before it, by which a query is found whose start was not answered.
    assert call["parameters"]["QueryStatement"].partition(" */\n")[2] == lines.evaluate_all(text)
    _grid_is_there(page, "sync")
    return camera.shoot()


def log(camera: Camera, played: Played) -> bytes:
    """Take the log of a refresh: what was started, how far it was, and how it has ended."""
    index = played.map_index(ENDED)
    page = camera.open(played.page(MAPPED, "tasks", "refresh", "mapped", str(index)), height=670)
    # What Airflow says in between is left out: it logs the trigger's event with all that is in it.
    page.get_by_role("combobox").filter(has_text="All Sources").click()
    for source in ("QuickSightCreateIngestionOperator", "AwsJobTrigger"):
        page.get_by_role("option", name=re.compile(rf"airflow_jobs_provider\..*\.{source}$")).click()
    page.keyboard.press("Escape")
    page.locator(":focus").blur()
    job = f"SPICE ingestion {played.job(DataSetId=ENDED)['ids']['IngestionId']} of data set {ENDED}"
    for said in (f"started {job}", f"{job} in account 123456789012 is COMPLETED"):
        expect(page.get_by_text(said)).to_be_in_viewport()
    _grid_is_there(page, "refresh")
    return camera.shoot()


def _grid_is_there(page: Page, task_id: str) -> None:
    """Wait for the states on the left, which come later."""
    expect(page.get_by_test_id(re.compile(rf"^grid-.*-{task_id}$")).locator("svg")).to_be_visible()


PICTURES: Mapping[str, Callable[[Camera, Played], bytes]] = {
    "graph": graph,
    "task": task,
    "rendered": rendered,
    "log": log,
}
