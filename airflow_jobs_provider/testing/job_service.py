"""What services with jobs share beyond the way of a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from airflow_jobs_provider.testing.errors import EmulatedError
from airflow_jobs_provider.testing.job import Job
from airflow_jobs_provider.testing.lifecycle import LIFE_CYCLES, LifeCycle
from airflow_jobs_provider.testing.pages import Item, page_of, slice_of
from airflow_jobs_provider.testing.responses import EmulatedResponse


class JobService(EmulatedResponse):
    """A service with jobs: its methods act for the account and the region of the request."""

    #: The job types.
    lives: ClassVar[tuple[LifeCycle, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        LIFE_CYCLES.update({life.job_type: life for life in cls.lives})

    @property
    def now(self) -> float:
        """The time, seconds since the epoch."""
        return self.emulator.clock.time()

    def setting(self, life: LifeCycle, name: str) -> Any:
        """Return a configured setting of a job type."""
        return self.emulator.settings(life.job_type)[name]

    def start_job(
        self, life: LifeCycle, ids: Mapping[str, str], target: tuple[str, ...], parameters: Mapping[str, Any]
    ) -> Job:
        """Start a job; see :meth:`Emulator.start`."""
        return self.emulator.start(
            life,
            account=self.current_account,
            region=self.region,
            ids=ids,
            target=target,
            parameters=parameters,
        )

    def find_job(self, life: LifeCycle, *ids: str) -> Job | None:
        """Return the job with these ids, or None."""
        return self.emulator.find(life, self.current_account, self.region, *ids)

    def jobs_on(self, life: LifeCycle, *target: str) -> list[Job]:
        """Return the jobs of a target in the order of their start; without a target, all."""
        return self.emulator.on_target(life, self.current_account, self.region, *target)

    def require_room(
        self, most: int | None, jobs: Sequence[Job], code: str, what: str, **members: Any
    ) -> None:
        """Refuse a start if ``most`` of these jobs, or more, are running."""
        now = self.now
        if most is not None and sum(job.ended(now) is None for job in jobs) >= most:
            raise EmulatedError(code, f"{what} has reached its limit of running jobs: {most}.", **members)

    def page(self, jobs: Sequence[Job], token: str | None, size: int) -> tuple[list[Job], str | None]:
        """Return a page of jobs, newest first; see :func:`page_of`. A bad token is refused."""
        try:
            return page_of(jobs, token, size)
        except ValueError as error:
            raise self._bad_token(error) from None

    def slice(self, items: Sequence[Item], token: str | None, size: int) -> tuple[list[Item], str | None]:
        """Return a page of anything, in the order given; see :func:`slice_of`. A bad token is refused."""
        try:
            return slice_of(items, token, size)
        except ValueError as error:
            raise self._bad_token(error) from None

    def _bad_token(self, error: ValueError) -> EmulatedError:
        return EmulatedError(self.parameter_errors.get("NextToken", self.validation_error), str(error))
