"""What AWS is to do next, in the words of the field: what the fixture ``aws_jobs`` yields."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_jobs_provider.jobs.errors import ErrorKind
from airflow_jobs_provider.testing.lifecycle import LIFE_CYCLES, life_cycle
from airflow_jobs_provider.testing.services import EmulatorServer, emulator, install
from airflow_jobs_provider.testing.words import action_of, job_type_named, match_of, operation_of

if TYPE_CHECKING:
    from airflow_jobs_provider.testing.engine import Emulator

#: The AWS account in which the jobs run: moto's own.
ACCOUNT = "123456789012"


class AwsJobs:
    """An emulated AWS: says what becomes of the next jobs and calls, and tells what there was.

    Job types are named as everywhere in this provider: ``quicksight-ingestion``, ``bedrock-ingestion``,
    ``neptune-import``, ``neptune-create-graph``, ``neptune-export``, ``cloudtrail-query``, ``logs-query``.
    What is said of the next jobs is used in the order in which it was said; of a job of which nothing was
    said, success comes within a tenth of a second.

    Parameters that many methods take:

    ``on``
        only jobs with these parameters, by the operator's names: ``{"data_set_id": "sales"}``. For a method
        that lets calls fail it is one parameter, and one that each of these calls has.
    ``times``
        how many jobs or calls it is for; ``None`` for all from now on.
    ``settings``
        what else the emulator can set for a job: ``duration`` (seconds), ``rows_dropped``, ``rows``, ...; see
        the docstring of the service's module.

    Every method raises ``ValueError`` with one sentence when an argument makes no sense: an unknown job type,
    a status or an error type that the service does not have.

    :param emulator: the jobs and the calls.
    :param server: where boto3 finds it; ``None`` inside ``mock_aws``: see :meth:`in_mock_aws`.
    :param region: the region of the jobs.
    """

    def __init__(
        self, emulator: Emulator, server: EmulatorServer | None = None, region: str = "us-east-1"
    ) -> None:
        self.server = server
        #: All that can be set, and all that there was; see ``EmulatorControl``.
        self.emulator: Emulator = emulator
        self.region = region

    @classmethod
    def in_mock_aws(cls, region: str = "us-east-1") -> AwsJobs:
        """Return the emulated AWS that answers inside moto's ``mock_aws``: boto3, and aiobotocore as well."""
        from airflow_jobs_provider.testing.aio import install_aio

        install()
        install_aio()
        jobs = cls(emulator=emulator, region=region)
        jobs.reset()
        return jobs

    @property
    def url(self) -> str:
        """The address for ``endpoint_url``.

        :raises ValueError: inside ``mock_aws``, where there is none.
        """
        if self.server is None:
            raise ValueError("inside mock_aws there is no url: boto3 is answered in this process")
        return self.server.url

    def reset(self) -> None:
        """Forget everything; jobs to come succeed within a tenth of a second."""
        self.emulator.reset()
        for job_type in LIFE_CYCLES:
            self.emulator.configure(job_type, duration=0.1)

    # What becomes of jobs.

    def next_succeeds(
        self, job_type: str, *, on: Mapping[str, Any] | None = None, times: int | None = 1, **settings: Any
    ) -> None:
        """Let the next job succeed: with so many ``rows_dropped``, say, or after a ``duration``."""
        self.next_ends(job_type, life_cycle(job_type).ends[0], on=on, times=times, **settings)

    def next_fails(
        self,
        job_type: str,
        error_type: str | None = None,
        message: str | None = None,
        *,
        on: Mapping[str, Any] | None = None,
        times: int | None = 1,
        **settings: Any,
    ) -> None:
        """Let the next job fail.

        :param error_type: the service's word for it, ``QUERY_TIMEOUT`` say; only QuickSight has one.
        :param message: what the service says.
        """
        life = life_cycle(job_type)
        if error_type is not None:
            if life.error_type is None:
                raise ValueError(f"error_type={error_type!r}: a {job_type} has none; give a message instead")
            settings[life.error_type] = error_type
        if message is not None:
            if life.reason is None:
                raise ValueError(f"message={message!r}: AWS does not say why a {job_type} has failed")
            settings |= life.reason(message)
        self.next_ends(job_type, life.ends[1], on=on, times=times, **settings)

    def next_is_cancelled(
        self, job_type: str, *, on: Mapping[str, Any] | None = None, times: int | None = 1, **settings: Any
    ) -> None:
        """Let the next job be cancelled, as if somebody had done so in the console."""
        self.next_ends(job_type, life_cycle(job_type).cancelled, on=on, times=times, **settings)

    def next_never_ends(
        self, job_type: str, *, on: Mapping[str, Any] | None = None, times: int | None = 1, **settings: Any
    ) -> None:
        """Let the next job run until it is cancelled: ``execution_timeout`` of its task is tested so."""
        self.emulator.script(job_type, match_of(job_type, on), times, duration=None, **settings)

    def next_ends(
        self,
        job_type: str,
        status: str,
        *,
        on: Mapping[str, Any] | None = None,
        times: int | None = 1,
        **settings: Any,
    ) -> None:
        """Let the next job end in a status, in AWS's word for it: ``TIMED_OUT``."""
        self.emulator.script(job_type, match_of(job_type, on), times, status=status, **settings)

    # What becomes of calls.

    def throttled(
        self,
        job_type: str,
        times: int | None = 1,
        call: str = "start",
        *,
        on: Mapping[str, Any] | None = None,
    ) -> None:
        """Throttle the next calls.

        :param call: ``start``, ``read``, ``cancel`` or ``list``; the same for the methods below.
        """
        self._fault("throttle", job_type, call, times, on)

    def unavailable(
        self,
        job_type: str,
        times: int | None = 1,
        call: str = "start",
        *,
        on: Mapping[str, Any] | None = None,
    ) -> None:
        """Answer the next calls with HTTP 500."""
        self._fault("server_error", job_type, call, times, on)

    def access_denied(
        self,
        job_type: str,
        times: int | None = None,
        call: str = "start",
        *,
        on: Mapping[str, Any] | None = None,
    ) -> None:
        """Refuse calls as if the role had no right to them; by default from now on."""
        action = action_of(job_type, call)
        message = (
            f"User: arn:aws:sts::{ACCOUNT}:assumed-role/airflow/worker is not authorized to perform: {action}"
        )
        self._fault("error", job_type, call, times, on, code="AccessDeniedException", message=message)

    def quota_used_up(
        self,
        job_type: str,
        times: int | None = None,
        *,
        on: Mapping[str, Any] | None = None,
        frees_in: timedelta | None = None,
    ) -> None:
        """Start no more jobs; by default from now on.

        :param frees_in: when the daily quota frees; ``on`` says of what. Without it AWS's lists do not tell.
        """
        self._refuse(job_type, ErrorKind.QUOTA, times, on, "The quota is used up.")
        if frees_in is not None:
            self._used_up(job_type, on or {}, frees_in)

    def target_busy(
        self, job_type: str, times: int | None = 1, *, on: Mapping[str, Any] | None = None
    ) -> None:
        """Refuse starts as if another job ran on the target."""
        self._refuse(job_type, ErrorKind.BUSY, times, on, "Another job is running.")

    def missing(self, job_type: str, *targets: str) -> None:
        """Know nothing of targets: data sets, knowledge bases, graphs, event data stores or log groups.

        :param targets: their ids; all that are missing, not only further ones.
        """
        self.emulator.configure(job_type, missing_targets=list(targets))

    # What there was.

    def jobs(self, job_type: str | None = None) -> list[dict[str, Any]]:
        """Return every job in the order of their start, with ``ids``, ``parameters``, ``status``, ..."""
        return self.emulator.jobs(job_type)

    def calls(self, operation: str | None = None) -> list[dict[str, Any]]:
        """Return every call in the order of their arrival, with ``operation``, ``outcome``, ..."""
        return self.emulator.journal(operation)

    def _refuse(
        self, job_type: str, kind: ErrorKind, times: int | None, on: Mapping[str, Any] | None, message: str
    ) -> None:
        known = job_type_named(job_type)
        errors = {**known.start.errors, **known.errors}
        code = next((code for code, meaning in errors.items() if meaning is kind), None)
        if code is None:
            raise ValueError(f"{job_type}: AWS has no error that says {kind.value!r} of a start")
        self._fault("error", job_type, "start", times, on, code=code, message=message)

    def _fault(
        self,
        kind: str,
        job_type: str,
        call: str,
        times: int | None,
        on: Mapping[str, Any] | None,
        **options: Any,
    ) -> None:
        values = list(match_of(job_type, on).values())
        if len(values) > 1:
            raise ValueError(f"on={dict(on or {})!r} must be one parameter")
        self.emulator.fault(
            kind,
            service=job_type_named(job_type).service,
            operation=operation_of(job_type, call).api_name,
            times=times,
            containing=str(values[0]) if values else None,
            **options,
        )

    def _used_up(self, job_type: str, on: Mapping[str, Any], frees_in: timedelta) -> None:
        known, life = job_type_named(job_type), life_cycle(job_type)
        if known.quota_window is None or known.list_jobs is None:
            raise ValueError(f"frees_in={frees_in!s}: {job_type} has no quota for a day")
        age = known.quota_window.seconds - frees_in.total_seconds()
        if not 0 <= age <= known.quota_window.seconds:
            raise ValueError(f"frees_in={frees_in!s} must be a part of a day")
        own = {name: ACCOUNT for name, parameter in known.parameters.items() if parameter.caller_account}
        given = {**own, **on}
        target = [name for name in known.list_jobs.parameters if name not in given]
        if target:
            raise ValueError(f"on={dict(on)!r} must say which {target[0]} has used up its quota")
        values = {known.parameters[name].api: str(value) for name, value in given.items()}
        self.emulator.start(
            life,
            account=ACCOUNT,
            region=self.region,
            ids={name: values.get(name, f"earlier-{age:.0f}") for name in life.identity},
            target=tuple(str(on[name]) for name in known.list_jobs.parameters if name in on),
            parameters=values,
            age=age,
        )
