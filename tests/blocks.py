"""What the documentation has that is made of code: ``python -m tests.blocks`` writes it.

A page says where, and of what: ``<!-- made by make pages: policy quicksight-ingestion --account 1 -->``. What
stands from there to ``<!-- end -->`` is replaced. A test compares it with what would be written.
"""

from __future__ import annotations

import importlib
import inspect
import io
import os
import re
import shlex
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

import botocore.session

from airflow_jobs_provider import exceptions, iam, testing, waiting
from airflow_jobs_provider.exceptions import not_succeeded
from airflow_jobs_provider.jobs import JOB_TYPES
from airflow_jobs_provider.jobs.quicksight import QUICKSIGHT_INGESTION
from airflow_jobs_provider.jobs.run import FailureKind, JobRun, JobSnapshot, JobState
from airflow_jobs_provider.provider_info import get_provider_info
from airflow_jobs_provider.steps import drive
from airflow_jobs_provider.testing.lifecycle import LIFE_CYCLES
from tests import rights

if TYPE_CHECKING:
    from airflow_jobs_provider.operators.connected import AwsOperator

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

BLOCK = re.compile(r"(<!-- made by make pages: (\w+) (.*?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_ANSWERS = {
    FailureKind.TRANSIENT: "yes, after a delay that grows",
    FailureKind.SUPERSEDED: "no: a newer job has taken over; `retry_superseded=True` for yes",
    FailureKind.CANCELLED: "no: somebody has cancelled it; `retry_cancelled=True` for yes",
    FailureKind.PERMANENT: "no: it would come again",
}


def policy(arguments: Sequence[str]) -> str:
    """Return a policy, and the command that prints it."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        iam.main(arguments)
    command = shlex.join(["python", "-m", iam.__name__, *arguments])
    for option in (" --region", " --on", " --with", " --for", " --kms-key"):
        command = command.replace(option, f" \\\n {option}", 1)
    return f"```shell\n{command}\n```\n\n```json\n{printed.getvalue()}```\n"


def failures(arguments: Sequence[str]) -> str:
    """Return the table of what a service says about failed jobs, and whether another try is worth it.

    :param arguments: the job type, and the shape of the botocore model that has all the words.
    """
    [name, shape] = arguments
    job_type = JOB_TYPES[name]
    model: Any = botocore.session.get_session().get_service_model(job_type.service)
    words = model.shape_for(shape).enum
    rows = ["| it says | exception | another try? |", "|---|---|---|"]
    run = JobRun(name, dict.fromkeys(job_type.identity, "x"), "eu-west-1")
    for kind, answer in _ANSWERS.items():
        found = [word for word in words if job_type.failures.get(word, FailureKind.PERMANENT) is kind]
        error = not_succeeded(run, JobSnapshot(JobState.FAILED, "FAILED", failure=kind))
        rows.append(f"| {', '.join(found)} | `{type(error).__name__}` | {answer} |")
    return "\n".join([*rows, ""])


def public_classes(*kinds: str) -> list[type[AwsOperator]]:
    """Return the operators and sensors that authors of DAGs use.

    :param kinds: ``operators``, ``sensors``; default: both.
    """
    from airflow_jobs_provider.operators.connected import AwsOperator

    info = get_provider_info()
    entries = [entry for kind in kinds or ("operators", "sensors") for entry in info[kind]]
    return [
        value
        for module in dict.fromkeys(name for entry in entries for name in entry["python-modules"])
        for name, value in vars(importlib.import_module(module)).items()
        if not name.startswith("_")
        and inspect.isclass(value)
        and issubclass(value, AwsOperator)
        and value.__module__ == module
    ]


def jobs(_: Sequence[str]) -> str:
    """Return the table of job types: who starts, waits for and cancels their jobs."""
    rows = ["| job type | start | wait | cancel |", "|---|---|---|---|"]
    classes: list[Any] = public_classes()
    for name in JOB_TYPES:
        # An import that creates a graph is waited for and cancelled as any import.
        read = JOB_TYPES[name].describe.method
        of = [each for each in classes if getattr(each, "job_type", None) is not None]
        start = next(each for each in of if each.takes == "start" and each.job_type.name == name)
        ends = {
            each.takes: each.__name__
            for each in of
            if each.takes != "start" and each.job_type.describe.method == read
        }
        rows.append(f"| `{name}` | `{start.__name__}` | `{ends['describe']}` | `{ends['cancel']}` |")
    return "\n".join([*rows, ""])


def reference(arguments: Sequence[str]) -> str:
    """Return the entries of the API reference for a group of classes."""
    [group] = arguments
    found: Sequence[type[Any]]
    if group == "exceptions":
        found = [each for each in vars(exceptions).values() if inspect.isclass(each)]
        found = [each for each in found if issubclass(each, exceptions.AwsJobError)]
    elif group == "bases":
        whole = {base for each in public_classes() for base in each.__mro__[1:]}
        found = sorted(
            (base for base in whole if base.__module__.startswith(iam.__package__ or "")),
            key=lambda base: (len(base.__mro__), base.__name__),
        )
        found = [base for base in found if not base.__name__.startswith("_")]
    elif group == "testing":
        found = [
            each for each in (getattr(testing, name) for name in testing.__all__) if inspect.isclass(each)
        ]
    else:
        found = public_classes(group)
    options = "" if group == "testing" else "    options:\n      members: false\n"
    return "".join(f"\n::: {each.__module__}.{each.__qualname__}\n{options}" for each in found)


def readings(arguments: Sequence[str]) -> str:
    """Return how often jobs are read until they have ended: counted by waiting, with a clock of its own.

    :param arguments: values of ``poll_interval``.
    """
    lasting = {"10 seconds": 10, "1 minute": 60, "10 minutes": 600, "1 hour": 3600, "8 hours": 28800}
    heads = ["the job takes", *(f"`poll_interval={interval}`" for interval in arguments)]
    rows = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for words, seconds in lasting.items():
        counts = [str(_readings(float(interval), seconds)) for interval in arguments]
        rows.append(f"| {' | '.join([words, *counts])} |")
    return "\n".join([*rows, ""])


def _readings(poll_interval: float, seconds: float) -> int:
    run = JobRun(QUICKSIGHT_INGESTION.name, dict.fromkeys(QUICKSIGHT_INGESTION.identity, "x"), "eu-west-1")
    clock = SimpleNamespace(now=0.0, read=0)

    def describe(_: JobRun) -> JobSnapshot:
        clock.read += 1
        ended = clock.now >= seconds
        return JobSnapshot(
            JobState.SUCCEEDED if ended else JobState.RUNNING, "COMPLETED" if ended else "RUNNING"
        )

    def sleep(pause: float) -> None:
        clock.now += pause

    with (
        mock.patch.object(
            waiting, "time", SimpleNamespace(time=lambda: clock.now, monotonic=lambda: clock.now)
        ),
        mock.patch.object(waiting, "random", SimpleNamespace(uniform=lambda low, high: (low + high) / 2)),
    ):
        steps = waiting.wait_until_over(run, log=mock.Mock(), poll_interval=poll_interval, started_at=0.0)
        drive(steps, mock.Mock(describe=describe), sleep)
    return int(clock.read)


def lists(_: Sequence[str]) -> str:
    """Return the table of what is read together where many jobs are waited for."""
    rows = ["| job type | read one by one | calls a second, says AWS | read together | those of the same |"]
    rows.append("|---|---|---|---|---|")
    for name, job_type in JOB_TYPES.items():
        read, overview = job_type.describe, job_type.overview
        rate = f"{read.rate:g}" if read.rate else ""
        together = ("-", "")
        if overview is not None:
            of = [f"`{each}`" for each in overview.operation.parameters]
            together = (overview.operation.api_name, ", ".join(of) or "connection and region")
        rows.append(f"| `{name}` | {read.api_name} | {rate} | {together[0]} | {together[1]} |")
    return "\n".join([*rows, ""])


def settings(arguments: Sequence[str]) -> str:
    """Return the table of the emulator's settings.

    :param arguments: a job type, or ``all`` for the settings that all of them have.
    """
    cycles = [*LIFE_CYCLES.values()]
    every = {
        name
        for name, setting in cycles[0].settings.items()
        if name == "status"
        or all(name in one.settings and one.settings[name].default == setting.default for one in cycles)
    }
    rows = ["| setting | default | |", "|---|---|---|"]
    shown = cycles[0] if "all" in arguments else LIFE_CYCLES[arguments[0]]
    for name, setting in shown.settings.items():
        if (name in every) is ("all" in arguments):
            # The status with which a job ends by itself is each type's own.
            default = "success" if name == "status" else f"`{setting.default!r}`"
            rows.append(f"| `{name}` | {default} | {setting.doc} |")
    return "\n".join([*rows, ""])


def lineage(_: Sequence[str]) -> str:
    """Return the table of what jobs read and write, and of the figures that tell how much."""
    rows = ["| job type | reads | writes | figures |", "|---|---|---|---|"]
    for name, job_type in JOB_TYPES.items():
        told = job_type.lineage
        cells = ("<br>".join(f"`{each}`" for each in part) for part in (told.reads, told.writes))
        figures = ", ".join(f"`{each}`" for each in told.figures)
        rows.append(f"| `{name}` | {' | '.join(cells)} | {figures} |")
    return "\n".join([*rows, ""])


MAKERS: dict[str, Callable[[Sequence[str]], str]] = {
    "policy": policy,
    "failures": failures,
    "jobs": jobs,
    "lineage": lineage,
    "lists": lists,
    "reference": reference,
    "readings": readings,
    "rights": rights.table,
    "settings": settings,
}


def made(text: str) -> str:
    """Return a page's text with what is made in it made anew."""
    return BLOCK.sub(lambda block: f"{block[1]}{MAKERS[block[2]](shlex.split(block[3]))}{block[5]}", text)


def main() -> None:
    """Write all pages anew."""
    with tempfile.TemporaryDirectory(prefix="airflow-pages-") as home:
        os.environ["AIRFLOW_HOME"] = home
        for page in PAGES:
            text = page.read_text()
            if made(text) != text:
                page.write_text(made(text))
                print(page.relative_to(ROOT))  # noqa: T201


if __name__ == "__main__":
    main()
