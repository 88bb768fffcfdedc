"""One job: its identity and what was read of it.

Both are plain JSON where they travel: XCom, task state store, trigger arguments, trigger events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class JobState(str, Enum):
    """What a job is doing, the same for every service."""

    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        """Whether the job has ended and will not change any more."""
        return self not in (JobState.RUNNING, JobState.STOPPING)


class FailureKind(str, Enum):
    """Whether a job that did not succeed is worth another try."""

    TRANSIENT = "transient"
    PERMANENT = "permanent"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    QUOTA = "quota"


@dataclass(frozen=True)
class JobRun:
    """The identity of one job: small, JSON, the same wherever it is kept.

    :param job_type: :attr:`JobType.name`.
    :param ids: what identifies the job, under the parameter names of sensor and cancel operator.
    :param region: AWS region.
    """

    job_type: str
    ids: Mapping[str, str]
    region: str

    def to_json(self) -> dict[str, Any]:
        """Return a JSON dict that :meth:`from_json` takes."""
        return {"job_type": self.job_type, "ids": dict(self.ids), "region": self.region}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> JobRun:
        """Read what :meth:`to_json` wrote."""
        return cls(job_type=data["job_type"], ids=dict(data["ids"]), region=data["region"])


@dataclass(frozen=True)
class JobSnapshot:
    """One reading of a job.

    :param state: what it means.
    :param status: the service's own word; empty where the service did not say.
    :param known: False for a status that the job type does not list; it then counts as running.
    :param reason: why the job failed, in the service's words.
    :param failure: whether a failure is worth another try.
    :param pending: what still goes on although the job has ended, in words; its record is not the last one.
    :param flaw: what went wrong with that, in words.
    :param progress: what the service tells on the way, by label.
    :param details: the service's record, JSON, dates as ISO 8601.
    """

    state: JobState
    status: str
    known: bool = True
    reason: str | None = None
    failure: FailureKind | None = None
    pending: str | None = None
    flaw: str | None = None
    progress: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON dict that :meth:`from_json` takes."""
        return {
            "state": self.state.value,
            "status": self.status,
            "known": self.known,
            "reason": self.reason,
            "failure": self.failure.value if self.failure else None,
            "pending": self.pending,
            "flaw": self.flaw,
            "progress": dict(self.progress),
            "details": dict(self.details),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> JobSnapshot:
        """Read what :meth:`to_json` wrote."""
        failure = data["failure"]
        return cls(**{**data, "state": JobState(data["state"]), "failure": failure and FailureKind(failure)})
