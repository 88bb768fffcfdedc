"""What the events of outlets tell of jobs; for every job type, with Airflow's own accessors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import Asset, AssetAlias
from airflow.sdk.execution_time.context import OutletEventAccessors

from tests.lineage import ACCOUNT, FIGURES, REGION, STORE, WAYS, ended, writes, writing
from tests.operators.scenes import only_job

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import Emulator
    from tests.cases import Case
    from tests.conftest import Context

REFRESHED = Asset("refreshed")
ALIAS = AssetAlias("whatever-was-written")


@pytest.fixture
def events(context: Context) -> Context:
    """Return a context in which the outlets' events are Airflow's own."""
    context["outlet_events"] = OutletEventAccessors()
    return context


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """Return each way to wait for a job in turn."""
    return str(request.param)


def identity(aws: Emulator, case: Case, operator: Any) -> dict[str, Any]:
    """Return what an event says of the one job before its figures."""
    known = operator.known_job
    assert set(known.ids.values()) <= {*only_job(aws)["ids"].values(), ACCOUNT, STORE}
    return {"job_type": operator.job_type.name, **known.ids, "region_name": REGION}


def test_an_outlet_tells_what_the_job_has_done(case: Case, aws: Emulator, events: Context, way: str) -> None:
    """A DAG that is run by the refresh of a data set wants to know how many rows it has now."""
    operator = ended(case, aws, events, way, outlets=[REFRESHED])
    operator.post_execute(events)
    extra = events["outlet_events"][REFRESHED].extra
    wanted = {**identity(aws, case, operator), "status": case.succeeded, **FIGURES[case.name][1]}
    assert {key: extra[key] for key in wanted} == wanted
    assert set(extra) == {*identity(aws, case, operator), "status", *case.job_type.lineage.figures}


def test_what_the_author_says_stays(case: Case, aws: Emulator, events: Context, way: str) -> None:
    """Author and provider may both have something to say; the author knows better."""
    operator = ended(case, aws, events, way, outlets=[REFRESHED])
    events["outlet_events"][REFRESHED].extra = {"status": "ripe", "owner": "finance"}
    operator.post_execute(events)
    extra = events["outlet_events"][REFRESHED].extra
    assert (extra["status"], extra["owner"], extra["region_name"]) == ("ripe", "finance", REGION)


def test_an_alias_stands_for_what_was_written(case: Case, aws: Emulator, events: Context, way: str) -> None:
    """Which data sets a mapped task refreshes is not known when the DAG is written."""
    operator = ended(case, aws, events, way, outlets=[ALIAS])
    operator.post_execute(events)
    found = events["outlet_events"][ALIAS].asset_alias_events
    assert [event.dest_asset_key.uri for event in found] == writes(case, aws)
    assert all(event.extra["status"] == case.succeeded for event in found)


@writing
def test_an_alias_with_an_event_of_the_authors_gets_no_other(
    case: Case, aws: Emulator, events: Context
) -> None:
    """Two events for one refresh would run the next DAG twice."""
    operator = ended(case, aws, events, "worker", outlets=[ALIAS])
    events["outlet_events"][ALIAS].add(REFRESHED)
    operator.post_execute(events)
    [event] = events["outlet_events"][ALIAS].asset_alias_events
    assert event.dest_asset_key.name == REFRESHED.name


def test_a_job_that_goes_on_has_done_nothing_yet(case: Case, aws: Emulator, events: Context) -> None:
    """Without waiting nobody knows the figures, and nothing is written yet."""
    aws.configure(case.name, duration=60)
    operator = case.start(wait_for_completion=False, outlets=[REFRESHED, ALIAS])
    operator.execute(events)
    operator.post_execute(events)
    assert events["outlet_events"][REFRESHED].extra == identity(aws, case, operator)
    assert events["outlet_events"][ALIAS].asset_alias_events == []


def test_an_outlet_that_airflow_cannot_find_fails_nothing(
    case: Case, aws: Emulator, events: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    """The job has succeeded: a task that fails now would only be run again."""
    operator = ended(case, aws, events, "worker", outlets=[Asset.ref(name="nowhere"), REFRESHED])
    operator.post_execute(events)
    assert "does not tell what the job has done" in capsys.readouterr().out
    assert events["outlet_events"][REFRESHED].extra["job_type"] == case.name
