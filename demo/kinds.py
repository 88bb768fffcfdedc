"""The kinds of AWS jobs in the demo, and how the emulator's records name them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of AWS job.

    :param name: what the demo calls it
    :param job_type: the emulator's name for it
    :param operators: how the names of its operators and sensors begin
    :param identifier: the API's name for a job's id
    :param start: the API operation that starts one
    :param cancel: the one that cancels one
    :param field: the operator's parameter that tells two jobs of the demo apart, if there are two
    :param target: the API's name for that
    """

    name: str
    job_type: str
    operators: str
    identifier: str
    start: str
    cancel: str
    field: str = ""
    target: str = ""

    def id_of(self, job: Mapping[str, Any]) -> str:
        """The id of a job in the emulator's list."""
        return str(job["ids"][self.identifier])

    def target_of(self, job: Mapping[str, Any]) -> str:
        """What a job in the emulator's list works on; empty if that tells nothing."""
        return str(job["parameters"][self.target]) if self.target else ""


QUERY = Kind(
    name="CloudTrail query",
    job_type="cloudtrail-query",
    operators="CloudTrail",
    identifier="QueryId",
    start="StartQuery",
    cancel="CancelQuery",
)
IMPORT = Kind(
    name="Neptune import",
    job_type="neptune-import",
    operators="Neptune",
    identifier="taskIdentifier",
    start="StartImportTask",
    cancel="CancelImportTask",
)
SYNC = Kind(
    name="Bedrock sync",
    job_type="bedrock-ingestion",
    operators="Bedrock",
    identifier="ingestionJobId",
    start="StartIngestionJob",
    cancel="StopIngestionJob",
)
REFRESH = Kind(
    name="SPICE",
    job_type="quicksight-ingestion",
    operators="QuickSight",
    identifier="IngestionId",
    start="CreateIngestion",
    cancel="CancelIngestion",
    field="data_set_id",
    target="DataSetId",
)

KINDS = (QUERY, IMPORT, SYNC, REFRESH)


def kind_of(operator: str) -> Kind | None:
    """The kind of job that an operator or a sensor deals with."""
    return next((kind for kind in KINDS if operator.startswith(kind.operators)), None)
