"""What a job type is to the emulator: its statuses, its ends, its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from airflow_jobs_provider.testing.settings import Setting, flag, named, one_of, seconds, seconds_or_never

# The longest that a status before the main one lasts unless a timeline says otherwise, in seconds.
LONGEST_PRELUDE = 2.0


@dataclass(frozen=True)
class LifeCycle:
    """A job type.

    :param job_type: its name for :class:`~airflow_jobs_provider.testing.EmulatorControl`.
    :param service: the boto3 client name.
    :param start: the operation that starts a job.
    :param identity: the names of the parameters (or answer members) that identify a job.
    :param phases: the running statuses in order, each with its share of the job's duration (at most
        ``LONGEST_PRELUDE`` seconds); exactly one, the main one, has None: it takes what is left.
    :param ends: the statuses of an ended job: success, failure, others.
    :param cancelled: the end that a cancel leads to.
    :param stopping: the status while a cancel is under way; None: the job keeps the one that it has.
    :param own_settings: what can be set beyond the settings that every job type has.
    :param reason: the settings by which a failed job gives a reason; None: the service tells none.
    :param error_type: the setting that is a failed job's word for it, where the service has one.
    """

    job_type: str
    service: str
    start: str
    identity: tuple[str, ...]
    phases: Mapping[str, float | None]
    ends: tuple[str, ...]
    cancelled: str
    stopping: str | None = None
    own_settings: Mapping[str, Setting] = field(default_factory=dict)
    reason: Callable[[str], Mapping[str, Any]] | None = None
    error_type: str | None = None

    @cached_property
    def main(self) -> str:
        """The status in which the work is done."""
        return next(status for status, share in self.phases.items() if share is None)

    @cached_property
    def statuses(self) -> tuple[str, ...]:
        """Every status that a job of this type can have."""
        stopping = () if self.stopping is None else (self.stopping,)
        return (*self.phases, *stopping, *self.ends)

    @cached_property
    def settings(self) -> Mapping[str, Setting]:
        """Every setting of this job type by name."""
        return {
            "duration": Setting(
                1.0, seconds_or_never, "seconds from the start to the end; None: it never ends by itself"
            ),
            "timeline": Setting(
                {}, self._check_timeline, "seconds in single statuses; the main one has the rest of duration"
            ),
            "status": Setting(self.ends[0], one_of(*self.ends), "the status that it ends with"),
            "cancel_delay": Setting(0.0, seconds, "seconds from an accepted cancel to the end"),
            "ignore_cancel": Setting(False, flag, "True: a cancel is accepted, but comes too late to matter"),
            **self.own_settings,
        }

    def defaults(self) -> dict[str, Any]:
        """Return every setting's default."""
        return {name: setting.check(setting.default) for name, setting in self.settings.items()}

    def check(self, values: Mapping[str, Any], end: str | None = None) -> dict[str, Any]:
        """Return ``values`` checked against the settings.

        :param end: the end of the job that they are for; None if they are defaults for all.
        :raises ValueError: one sentence that names the setting and the value.
        """
        result = {}
        for name, value in values.items():
            setting = self.settings.get(name)
            if setting is None:
                known = ", ".join(sorted(self.settings))
                raise ValueError(f"{self.job_type} has no setting {name}={value!r}; it has {known}")
            if end is not None and not setting.per_job:
                raise ValueError(f"{name}={value!r} cannot be set for one {self.job_type}: use configure()")
            if end is not None and setting.needs_status not in (None, end):
                raise ValueError(f"{name}={value!r} needs status={setting.needs_status!r}, not {end!r}")
            result[name] = named(name, value, setting.check, self.job_type)
        return result

    def plan(self, settings: Mapping[str, Any]) -> tuple[list[tuple[str, float]], float]:
        """Return until when (seconds after its start) a job is in each running status, and when it ends."""
        duration, timeline = settings["duration"], settings["timeline"]
        lengths = {
            # No part of a job that never ends is no part of it, and not "not a number".
            status: timeline.get(status, min(duration * share, LONGEST_PRELUDE) if share else 0.0)
            for status, share in self.phases.items()
            if share is not None
        }
        lengths[self.main] = timeline.get(self.main, max(0.0, duration - sum(lengths.values())))
        plan, moment = [], 0.0
        for status in self.phases:
            moment += lengths[status]
            plan.append((status, moment))
        return plan, moment

    def _check_timeline(self, value: Any) -> dict[str, float]:
        if not isinstance(value, Mapping):
            raise ValueError("must be a mapping of statuses to seconds")
        check = one_of(*self.phases)
        return {check(status): seconds(length) for status, length in value.items()}


#: The job types that are emulated, by name; each service adds its own.
LIFE_CYCLES: dict[str, LifeCycle] = {}


def life_cycle(job_type: str) -> LifeCycle:
    """Return the life cycle called ``job_type``; the ``ValueError`` names those that there are."""
    if job_type not in LIFE_CYCLES:
        raise ValueError(f"unknown job_type={job_type!r}; known are {', '.join(sorted(LIFE_CYCLES))}")
    return LIFE_CYCLES[job_type]
