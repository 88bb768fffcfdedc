"""What is measured: scenarios, and the two sides' triggers for the same jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

REGION = "eu-west-1"
ACCOUNT = "123456789012"
_ROLE = "arn:aws:iam::123456789012:role/neptune"
_AMAZON = "airflow.providers.amazon.aws.triggers"


@dataclass(frozen=True)
class Kind:
    """A kind of job, and the amazon provider's trigger for it.

    :param job_type: its name.
    :param settings: what the emulator must allow for so many jobs at a time.
    :param values: number of the job, number of targets -> parameters of its start.
    :param trigger: module and class of the amazon provider's trigger.
    :param arguments: the job's ids -> that trigger's arguments.
    :param read: the operations by which both sides read.
    """

    job_type: str
    settings: Mapping[str, Any]
    values: Callable[[int, int], dict[str, Any]]
    trigger: tuple[str, str]
    arguments: Callable[[Mapping[str, str]], dict[str, Any]]
    read: tuple[str, ...]


QUICKSIGHT = Kind(
    job_type="quicksight-ingestion",
    settings={"quota": None},
    values=lambda number, targets: {
        "aws_account_id": ACCOUNT,
        "data_set_id": f"data-set-{number % targets}",
        "ingestion_id": f"ingestion-{number}",
    },
    trigger=(f"{_AMAZON}.quicksight", "QuickSightIngestionCompletedTrigger"),
    arguments=dict,
    read=("DescribeIngestion", "ListIngestions"),
)
BEDROCK = Kind(
    job_type="bedrock-ingestion",
    settings=dict.fromkeys(
        ("limit_per_data_source", "limit_per_knowledge_base", "limit_per_account"),
    ),
    values=lambda number, targets: {
        "knowledge_base_id": f"KB{number % targets:08d}",
        "data_source_id": f"DS{number % targets:08d}",
    },
    trigger=(f"{_AMAZON}.bedrock", "BedrockIngestionJobTrigger"),
    arguments=dict,
    read=("GetIngestionJob", "ListIngestionJobs"),
)
NEPTUNE = Kind(
    job_type="neptune-import",
    settings={},
    values=lambda number, targets: {
        "graph_identifier": f"g-{number % targets:010d}",
        "source": "s3://bucket/people",
        "role_arn": _ROLE,
    },
    trigger=(f"{_AMAZON}.neptune_analytics", "NeptuneImportTaskCompleteTrigger"),
    arguments=lambda ids: {"import_task_id": ids["task_identifier"]},
    read=("GetImportTask", "ListImportTasks"),
)


@dataclass(frozen=True)
class Scenario:
    """So many jobs that are waited for at a time.

    :param name: key of the results.
    :param title: in words.
    :param waits: how many.
    :param targets: of how many data sets, data sources, graphs.
    :param durations: the shortest and the longest job (seconds from the beginning of the waits).
    :param poll_interval: seconds; the amazon provider's ``waiter_delay``.
    :param limit: readings a second above which the emulated AWS throttles.
    :param alone: whether only our side is measured.
    :param light: the sides that leave the machine nearly idle, and of which no row compares the CPU: they are
        measured beside each other.
    """

    name: str
    title: str
    kind: Kind
    waits: int
    targets: int
    durations: tuple[float, float]
    poll_interval: int = 5
    limit: int | None = None
    alone: bool = False
    light: tuple[str, ...] = ()

    @property
    def sides(self) -> tuple[str, ...]:
        """Whose triggers are measured."""
        return ("ours",) if self.alone else ("amazon", "ours")

    @property
    def rounds(self) -> int:
        """How often it is measured at the most: what shows that a process can do it is measured once."""
        return 1 if self.alone else 99


_SEPARATE, _SHARED = "each on a data set of its own", "on 50 data sets"
_BOTH = ("amazon", "ours")
FULL = (
    # To read a thousand jobs once takes 40 seconds, with Bedrock 100, and the other side needs more than 50
    # for its clients: no job ends before. What takes longest is the first of the light ones.
    Scenario("separate", f"1,000 QuickSight waits, {_SEPARATE}", QUICKSIGHT, 1000, 1000, (70, 80)),
    Scenario("shared", f"1,000 QuickSight waits {_SHARED}", QUICKSIGHT, 1000, 50, (70, 80)),
    Scenario("neptune", "1,000 Neptune waits", NEPTUNE, 1000, 1000, (70, 80)),
    Scenario(
        "crowd",
        f"10,000 QuickSight waits, {_SEPARATE}",
        QUICKSIGHT,
        10_000,
        10_000,
        (120, 150),
        60,
        alone=True,
        light=("ours",),
    ),
    Scenario(
        "bedrock",
        "1,000 Bedrock waits, each on its own data source",
        BEDROCK,
        1000,
        1000,
        (120, 130),
        light=("ours",),
    ),
    Scenario(
        "minutes",
        "40 QuickSight waits for jobs of more than a minute",
        QUICKSIGHT,
        40,
        40,
        (60, 90),
        light=_BOTH,
    ),
    Scenario(
        "limited", "200 QuickSight waits under a limit", QUICKSIGHT, 200, 200, (40, 60), limit=25, light=_BOTH
    ),
    Scenario("short", "60 QuickSight waits for jobs of seconds", QUICKSIGHT, 60, 60, (2, 20), light=_BOTH),
)
QUICK = (
    Scenario("separate", f"60 QuickSight waits, {_SEPARATE}", QUICKSIGHT, 60, 60, (10, 14)),
    Scenario("neptune", "60 Neptune waits", NEPTUNE, 60, 60, (10, 14)),
    Scenario(
        "short",
        "30 QuickSight waits for jobs of seconds",
        QUICKSIGHT,
        30,
        30,
        (2, 20),
        alone=True,
        light=("ours",),
    ),
)
Batch = Sequence[tuple[Scenario, str]]


def batches(scenarios: Sequence[Scenario], number: int, side: str | None = None) -> list[Batch]:
    """Return what is measured in a round: one after the other, the light ones together.

    :param number: of the round, from 0.
    :param side: this side only.
    """
    due = [
        (scenario, each)
        for scenario in scenarios
        if number < scenario.rounds
        for each in scenario.sides
        if side in (None, each)
    ]
    light = [(scenario, each) for scenario, each in due if each in scenario.light]
    heavy: list[Batch] = [[each] for each in due if each not in light]
    return [*heavy, light] if light else heavy
