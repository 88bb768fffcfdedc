"""What the documentation has that is made of code: ``python -m tests.blocks`` writes it.

A page says where, and of what: ``<!-- made by make pages: policy quicksight-ingestion --account 1 -->``. What
stands from there to ``<!-- end -->`` is replaced. A test compares it with what would be written.
"""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import botocore.session

from airflow_jobs_provider import iam
from airflow_jobs_provider.exceptions import not_succeeded
from airflow_jobs_provider.jobs import JOB_TYPES
from airflow_jobs_provider.jobs.run import FailureKind, JobRun, JobSnapshot, JobState

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


MAKERS: dict[str, Callable[[Sequence[str]], str]] = {"policy": policy, "failures": failures}


def made(text: str) -> str:
    """Return a page's text with what is made in it made anew."""
    return BLOCK.sub(lambda block: f"{block[1]}{MAKERS[block[2]](shlex.split(block[3]))}{block[5]}", text)


def main() -> None:
    """Write all pages anew."""
    for page in PAGES:
        text = page.read_text()
        if made(text) != text:
            page.write_text(made(text))
            print(page.relative_to(ROOT))  # noqa: T201


if __name__ == "__main__":
    main()
