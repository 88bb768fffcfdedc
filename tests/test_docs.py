"""The documentation, held against the code."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_jobs_provider.jobs import JOB_TYPES
from airflow_jobs_provider.jobs.model import JobType
from airflow_jobs_provider.operators.connected import AwsOperator
from tests import blocks
from tests.jobs.test_contract import operations

ROOT = Path(__file__).parent.parent
PAGES = (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")))
SHARED = ROOT / "docs" / "operators.md"
SERVICES = ("quicksight.md", "bedrock.md", "neptune-analytics.md", "cloudtrail-lake.md", "cloudwatch-logs.md")
# Where a parameter or a right must stand; other pages only use it.
REFERENCE = [ROOT / "docs" / name for name in (*SERVICES, "operators.md", "sweeper.md")]

_FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")


def named(path: Path) -> str:
    """Return a page's path for a test's id."""
    return path.relative_to(ROOT).as_posix()


def fenced(text: str, language: str) -> list[tuple[int, str]]:
    """Return the blocks of a page in a language, each with its line; those in lists without their indent."""
    return [
        (text.count("\n", 0, match.start()) + 2, textwrap.dedent(match[3]))
        for match in _FENCED.finditer(text)
        if match[2] == language
    ]


def python_blocks() -> list[Any]:
    """Return every Python block of the pages, each with its place."""
    return [
        pytest.param(page, block, id=f"{named(page)}:{line}")
        for page in PAGES
        for line, block in fenced(page.read_text(), "python")
    ]


def parameters_of(operator: type[AwsOperator]) -> set[str]:
    """Return the parameters that this package adds to Airflow's own."""
    return {
        name
        for base in operator.__mro__
        if base.__module__.startswith("airflow_jobs_provider.") and "__init__" in vars(base)
        for name, parameter in inspect.signature(vars(base)["__init__"]).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def anchors_of(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", _FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("page", "block"), python_blocks())
@pytest.mark.usefixtures("aws")
def test_code_can_be_copied(page: Path, block: str, tmp_path: Path) -> None:
    """Code that is copied from the documentation and does not work is worse than none."""
    if "with DAG(" in block:
        load(block, tmp_path)
    elif "def test_" in block:
        run_as_test(page, block, tmp_path)
    else:
        exec(compile(block, "block", "exec"), {"__name__": "copied"})


def load(block: str, folder: Path) -> None:
    """Load a block as the file of a DAG."""
    from airflow.dag_processing.dagbag import DagBag

    (folder / "copied.py").write_text(block)
    bag = DagBag(str(folder))
    assert bag.import_errors == {}
    assert bag.dags
    assert all(dag.task_ids for dag in bag.dags.values())


def run_as_test(page: Path, block: str, folder: Path) -> None:
    """Run a block as a test of its page's first DAG, in a folder with nothing else, and no Airflow home."""
    (folder / "dags").mkdir()
    (_, dag), *_ = fenced(page.read_text(), "python")
    [name] = set(re.findall(r'"(dags/\w+\.py)"', block))
    assert name in page.read_text().replace(block, ""), "the page does not say where the DAG goes"
    (folder / name).write_text(dag)
    (folder / "test_copied.py").write_text(block)
    theirs = folder / "their-airflow"
    # -p does what the entry point does, in an environment where this clone is not installed.
    plugins = ["-p", "airflow_jobs_provider.testing.pytest_plugin", "-p", "no:asyncio"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, "test_copied.py"],
        cwd=folder,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AIRFLOW"))},
            "AIRFLOW_HOME": str(theirs),
            "PYTHONPATH": str(ROOT),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert not theirs.exists()


@pytest.mark.parametrize("operator", blocks.public_classes(), ids=lambda operator: operator.__name__)
def test_every_parameter_is_documented(operator: type[AwsOperator]) -> None:
    """A parameter that no page names is found by nobody."""
    texts = [page.read_text() for page in REFERENCE if f"`{operator.__name__}`" in page.read_text()]
    assert texts, "no page names it"
    said = "".join([*texts, SHARED.read_text()])
    assert {name for name in parameters_of(operator) if f"`{name}`" not in said} == set()


@pytest.mark.parametrize("job_type", JOB_TYPES.values(), ids=lambda job_type: job_type.name)
def test_every_right_is_documented(job_type: JobType) -> None:
    """A policy that lacks an action fails at night, when the first job is to be cancelled."""
    said = "".join(page.read_text() for page in REFERENCE)
    iam = job_type.iam
    names = {op.method: op.api_name for op in operations(job_type)}
    rights = {f"{iam.prefix}:{names[method]}" for methods in iam.resources.values() for method in methods}
    rights |= {*iam.key, *(("iam:PassRole", iam.passes_role) if iam.passes_role else ())}
    assert {right for right in rights if not re.search(rf"[`\"]{re.escape(right)}[`\"]", said)} == set()


@pytest.mark.parametrize("page", blocks.PAGES, ids=named)
def test_what_is_made_of_code_is_current(page: Path) -> None:
    """A policy that is copied must be today's; ``make pages`` writes it anew."""
    text = page.read_text()
    assert blocks.made(text) == text
    assert text.count("<!-- made by make pages") == len(blocks.BLOCK.findall(text)), "a block has no end"


def test_every_service_has_its_policy_made() -> None:
    """A policy that was typed is wrong as soon as the provider calls something else."""
    texts = [page.read_text() for page in blocks.PAGES]
    lines = [found[2] for text in texts for found in blocks.BLOCK.findall(text) if found[1] == "policy"]
    assert {word for line in lines for word in line.split()} >= set(JOB_TYPES)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_policies_and_results_are_json(page: Path) -> None:
    """A policy that is copied must be one that AWS can read."""
    for _, block in fenced(page.read_text(), "json"):
        json.loads(block)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    """A reader who follows a link must find what it promises."""
    broken = []
    for link in _LINK.findall(_FENCED.sub("", page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (anchor and anchor not in anchors_of(path)):
            broken.append(link)
    assert broken == []


def test_pictures_are_small_shown_and_told() -> None:
    """A reader may have a slow line, or no eyes for pictures; one that no page shows is only in the way."""
    shown: set[Path] = set()
    for page in PAGES:
        for told, link in _IMAGE.findall(_FENCED.sub("", page.read_text())):
            assert len(told.split()) > 5, f"{named(page)}: what does {link} show?"
            shown.add((page.parent / link).resolve())
    pictures = set((ROOT / "docs" / "images").iterdir())
    assert pictures == shown
    for picture in pictures:
        content = picture.read_bytes()
        assert len(content) < 120_000, picture.name
        if picture.suffix == ".svg":
            width = int(re.findall(rb'^<svg [^>]*width="(\d+)"', content)[0])
        else:
            assert content.startswith(b"\x89PNG"), picture.name
            width = int.from_bytes(content[16:20], "big")
        assert width <= 1200, f"{picture.name} is too wide"


def test_every_picture_can_be_taken_anew() -> None:
    """A picture that nobody can make again shows an old Airflow one day, or figures of an old version."""
    source = (ROOT / "screenshots" / "pictures.py").read_text()
    table = source[source.index("PICTURES") :]
    images = ROOT / "docs" / "images"
    assert {path.stem for path in images.glob("*.png")} == set(re.findall(r'"(\w+)":', table))
    benchmarks = "".join(path.read_text() for path in (ROOT / "benchmarks").glob("*.py"))
    assert {path.stem for path in images.glob("*.svg")} <= set(re.findall(r'\.draw\("([\w-]+)"', benchmarks))


def test_line_counts_are_true() -> None:
    """A guide whose figures are wrong is not believed in the rest either."""
    page = ROOT / "docs" / "adding-a-job-type.md"
    rows = re.findall(r"\| \[`?[^\]]*`?\]\(([^)#]+)\) \| (\d+) \|", page.read_text())
    added_to = {
        "kinds.py",
        "__init__.py",
        "provider_info.py",
        "cases.py",
        "job_types.py",
        "test_examples.py",
        "lineage.py",
    }
    whole = [(path, int(lines)) for path, lines in rows if Path(path).name not in added_to]
    assert len(whole) >= 6
    for path, lines in whole:
        assert len((page.parent / path).read_text().splitlines()) == lines, path


@pytest.mark.parametrize("name", SERVICES)
def test_pages_of_services_have_one_structure(name: str) -> None:
    """Who knows the page of one service finds everything on that of another."""
    text = _FENCED.sub("", (ROOT / "docs" / name).read_text())
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    operators = [heading for heading in headings if heading.startswith("`")]
    assert headings[: len(operators) + 3] == ["A DAG to copy", *operators, "Cancel and wait", "The result"]
    assert headings[-4:] == ["Errors", "Quirks", "Security", "IAM"]


def test_every_page_is_in_the_navigation() -> None:
    """A page that the site does not lead to is read by nobody."""
    navigation = (ROOT / "mkdocs.yml").read_text()
    assert {
        page.name for page in PAGES if page.parent.name == "docs" and page.name not in navigation
    } == set()


def refreshes(containing: str) -> Any:
    """Return the code of the block of the page about scheduled refreshes that has these words."""
    page = (ROOT / "docs" / "spice-refreshes.md").read_text()
    [block] = [block for _, block in fenced(page, "python") if containing in block]
    return compile(block, "block", "exec")


def the_alert() -> tuple[Any, Any]:
    """Return the callback of the DAG for production, and its notifier's class, as the page has them."""
    scope: dict[str, Any] = {"__name__": "copied"}
    exec(refreshes("def tell("), scope)
    return scope["tell"], scope["SnsNotifier"]


@pytest.mark.usefixtures("aws")
def test_the_alert_can_be_seen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A reader who sees no alert would look for the mistake in his own DAG."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    on_call = refreshes("sns, sqs = boto3.client")
    exec(on_call, {"__name__": "copied"})
    tell, _ = the_alert()
    ti = SimpleNamespace(dag_id="refresh_every_morning", run_id="a_run", map_index=0)
    tell({"task": SimpleNamespace(data_set_id="sales"), "ti": ti, "exception": ValueError("it failed")})
    exec(on_call, {"__name__": "copied"})
    *_, last = capsys.readouterr().out.splitlines()
    assert last == "SPICE refresh failed: refresh_every_morning a_run, sales: it failed"


@pytest.mark.usefixtures("aws")
async def test_the_deadline_tells(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The triggerer awaits its notifier; one that cannot be awaited would be silent on that morning."""
    from airflow.triggers.callback import CallbackTrigger

    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    on_call = refreshes("sns, sqs = boto3.client")
    exec(on_call, {"__name__": "copied"})
    scope: dict[str, Any] = {"__name__": "copied"}
    exec(refreshes("DeadlineAlert("), scope)
    notifier = scope["SnsNotifier"]
    path = f"{notifier.__module__}.{notifier.__qualname__}"
    trigger = CallbackTrigger(path, {**scope["LATE"], "context": {}})
    assert [str(event.payload["state"]) async for event in trigger.run()][-1] == "success"
    exec(on_call, {"__name__": "copied"})
    assert capsys.readouterr().out.splitlines()[-1] == "SPICE refresh late: sales is not refreshed by seven"


def test_the_alert_is_sent_where_a_worker_has_died(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's DAG processor calls it then: without an exception, and with the mapped task itself."""
    from airflow.sdk import DAG

    from airflow_jobs_provider.operators.quicksight import QuickSightCreateIngestionOperator

    tell, notifier = the_alert()
    told: list[str] = []
    monkeypatch.setattr(notifier, "notify", lambda each, _: told.append(each.message))
    with DAG("refresh_every_morning", schedule=None):
        refresh = QuickSightCreateIngestionOperator.partial(task_id="refresh").expand(data_set_id=["a", "b"])
    for index in (0, 1):
        ti = SimpleNamespace(dag_id="refresh_every_morning", run_id="a_run", map_index=index)
        tell({"task": refresh, "ti": ti})
    assert [re.findall(r"map index \d", message) for message in told] == [["map index 0"], ["map index 1"]]
