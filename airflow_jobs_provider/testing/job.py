"""One emulated job, and where it stands at a given moment.

A job is not moved along by a thread or a timer. Its life is known when it starts, and its status is worked
out from the clock whenever somebody asks: ten thousand waiting jobs cost nothing.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any

from airflow_jobs_provider.testing.lifecycle import LifeCycle


class Job:
    """One job.

    :param life: its type.
    :param account: the AWS account that it runs in.
    :param region: its AWS region.
    :param ids: its identity, by the names in ``life.identity`` and in their order.
    :param parameters: what it was started with.
    :param settings: every setting of its type.
    :param created: when it was started, seconds since the epoch.
    :param position: its place among all jobs, in the order of their start.
    """

    def __init__(
        self,
        life: LifeCycle,
        *,
        account: str,
        region: str,
        ids: Mapping[str, str],
        parameters: Mapping[str, Any],
        settings: Mapping[str, Any],
        created: float,
        position: int = 0,
    ) -> None:
        self.life = life
        self.account = account
        self.region = region
        self.ids = dict(ids)
        self.parameters = dict(parameters)
        self.settings = dict(settings)
        self.created = created
        self.position = position
        #: Cancel calls so far, those that came after the end included.
        self.cancels = 0
        #: When the first cancel call that found it running came.
        self.cancel_requested: float | None = None
        self._settled: tuple[float, str] | None = None
        plan, end = life.plan(settings)
        self._until = {status: created + until for status, until in plan}
        self._end = created + end

    def status(self, now: float) -> str:
        """Return its status at ``now``."""
        pinned = self._pinned()
        if pinned is not None:
            return pinned[1]
        cancelled_at = self._cancelled_at()
        if self.cancel_requested is None or cancelled_at is None:
            return self._planned(now)
        if now >= cancelled_at:
            return self.life.cancelled
        if self.life.stopping is not None:
            return self.life.stopping
        # No status for it: until it is over, the job seems to go on as before.
        return self._settled[1] if self._settled else self._planned(self.cancel_requested)

    def ended(self, now: float) -> float | None:
        """Return when it ended, seconds since the epoch; None while it runs."""
        pinned = self._pinned()
        if pinned is not None:
            return pinned[0] if pinned[1] in self.life.ends else None
        cancelled_at = self._cancelled_at()
        end = self._end if cancelled_at is None else cancelled_at
        return end if now >= end else None

    def began(self, status: str) -> float:
        """Return when ``status``, a running one, began or would begin."""
        statuses = list(self._until)
        index = statuses.index(status)
        return self._until[statuses[index - 1]] if index else self.created

    def progress(self, now: float) -> float:
        """Return how much of its work is done at ``now``, from 0 to 1."""
        began, until = self.began(self.life.main), self._until[self.life.main]
        ended = self.ended(now)
        moment = now if ended is None else ended
        # A job that was settled as a success has done all of it, however early that was.
        if moment >= until or (ended is not None and self.status(now) == self.life.ends[0]):
            return 1.0
        return max(0.0, moment - began) / (until - began) if math.isfinite(until) else 0.0

    def cancel(self, now: float) -> bool:
        """Count a cancel call, and cancel the job if it runs. Return False if it had ended already."""
        self.cancels += 1
        if self.ended(now) is not None:
            return False
        if self.cancel_requested is None:
            self.cancel_requested = now
        return True

    def settle(self, now: float, status: str, settings: Mapping[str, Any]) -> None:
        """Put it into ``status`` from outside. A running one lasts until a cancel, or until it is settled."""
        self.settings.update(settings)
        self._settled = (now, status)

    def record(self, now: float) -> dict[str, Any]:
        """Return it as :meth:`EmulatorControl.jobs` shows it."""
        return {
            "job_type": self.life.job_type,
            "service": self.life.service,
            "account": self.account,
            "region": self.region,
            "ids": dict(self.ids),
            "parameters": dict(self.parameters),
            "status": self.status(now),
            "created": self.created,
            "ended": self.ended(now),
            "cancel_requested": self.cancel_requested,
            "cancels": self.cancels,
        }

    def matches(self, match: Mapping[str, Any]) -> bool:
        """Return whether its identity or its parameters have every entry of ``match``."""
        return all(self.ids.get(name, self.parameters.get(name)) == value for name, value in match.items())

    def _pinned(self) -> tuple[float, str] | None:
        """Return when and into what it was settled, unless a later cancel undoes it."""
        if self._settled is None or self._settled[1] in self.life.ends or self._cancelled_at() is None:
            return self._settled
        return None if (self.cancel_requested or 0.0) >= self._settled[0] else self._settled

    def _cancelled_at(self) -> float | None:
        if self.cancel_requested is None or self.settings["ignore_cancel"]:
            return None
        return float(self.cancel_requested + self.settings["cancel_delay"])

    def _planned(self, moment: float) -> str:
        for status, until in self._until.items():
            if moment < until:
                return status
        return str(self.settings["status"])


def new_id(alphabet: str, length: int = 10) -> str:
    """Return an id of a new job as a service chooses it."""
    return "".join(random.choices(alphabet, k=length))  # noqa: S311 - no secret
