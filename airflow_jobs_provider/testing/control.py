"""How a test steers the emulator: the same methods in process and over HTTP."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

#: The methods that can be called over HTTP.
METHODS = (
    "configure",
    "script",
    "settle",
    "delete",
    "fault",
    "clear_faults",
    "journal",
    "counts",
    "jobs",
    "reset",
)


class EmulatorControl(ABC):
    """The controls of an emulator, in this process or in another.

    Times are seconds since the epoch, lengths are seconds. Every method raises ``ValueError`` with one
    sentence when an argument makes no sense.

    Every job type has the settings

    ``duration``
        seconds from the start to the end; None: the job never ends by itself.
    ``timeline``
        seconds in single statuses, for example ``{"QUEUED": 10}``; the main one has what is left of the
        duration, and a timeline longer than the duration makes the job longer.
    ``status``
        the status that it ends with.
    ``cancel_delay``
        seconds from an accepted cancel to its effect.
    ``ignore_cancel``
        True: a cancel is accepted, but comes too late to matter.

    and each service adds its own: see its module.
    """

    @abstractmethod
    def configure(self, job_type: str, **settings: Any) -> None:
        """Set the defaults of jobs that are started from now on.

        :param job_type: for example ``"quicksight-ingestion"``.
        :param settings: see the class, and the service's module.
        """

    @abstractmethod
    def script(
        self,
        job_type: str,
        match: Mapping[str, Any] | None = None,
        times: int | None = 1,
        **settings: Any,
    ) -> None:
        """Set the life of the next jobs that match. Scripts are used in the order in which they were given.

        :param match: parameters of the start call and their values, for example ``{"DataSetId": "sales"}``;
            None matches every job of the type.
        :param times: how many jobs it is for; None for all.
        :param settings: what differs from the defaults.
        """

    @abstractmethod
    def settle(self, job_type: str, match: Mapping[str, Any], status: str, **settings: Any) -> int:
        """Put running jobs into ``status`` now, as if somebody else, or a failure, had ended them.

        :param match: parts of a job's identity or parameters of its start call, for example
            ``{"IngestionId": "i1"}``.
        :param status: any status of the type; in a running one the job stays until it is cancelled, or is
            settled again.
        :param settings: what the job shows from now on, for example ``error_type``.
        :return: how many jobs that were; ``ValueError`` if it was none.
        """

    @abstractmethod
    def delete(self, job_type: str, match: Mapping[str, Any]) -> int:
        """Remove jobs, running or not, as if somebody else had deleted them.

        :param match: as in :meth:`settle`.
        :return: how many jobs that were; ``ValueError`` if it was none.
        """

    @abstractmethod
    def fault(
        self,
        kind: str,
        *,
        service: str | None = None,
        operation: str | None = None,
        times: int | None = None,
        probability: float | None = None,
        seed: int | None = None,
        delay: float | None = None,
        code: str | None = None,
        http_status: int | None = None,
        message: str | None = None,
        containing: str | None = None,
        lasts: float | None = None,
        above: int | None = None,
    ) -> None:
        """Make calls go wrong.

        Of several faults that hit a call the first one is used, except that delays add up.

        An HTTP client may repeat a dropped call by itself, unseen by botocore: aiohttp, and with it
        aiobotocore, sends a GET, PUT or DELETE a second time. To be seen there, a drop needs ``times=2``.

        :param kind: ``throttle`` (the service's throttling error), ``server_error`` (500, or
            ``http_status``), ``expired_token`` (403), ``error`` (``code``), ``drop`` (the connection is
            closed without an answer), ``drop_after`` (the same, but the call was carried out) or ``delay``.
        :param service: only calls of this boto3 client, for example ``"sts"``.
        :param operation: only calls of this operation, for example ``"DescribeIngestion"``.
        :param times: how many calls it hits; None for all.
        :param probability: the chance that a call is hit, above 0 and at most 1; None for always.
        :param seed: makes the chance repeatable.
        :param delay: seconds to wait before the call is carried out or fails.
        :param code: the AWS error code.
        :param http_status: 400 to 599; by default what the botocore model says for the code.
        :param message: the error's message.
        :param containing: only calls with a parameter whose value has this text in it, a target's name say.
        :param lasts: for how many seconds from now; None for ever.
        :param above: only calls beyond so many in a second of real time: with ``throttle``, a rate limit.
        """

    @abstractmethod
    def clear_faults(self) -> None:
        """Forget all faults."""

    @abstractmethod
    def journal(self, operation: str | None = None, since: int = 0) -> list[dict[str, Any]]:
        """Return the calls in the order of their arrival.

        Each is a dict with ``number`` (from 1), ``time``, ``service``, ``operation``, ``region``,
        ``account``, ``access_key`` (its last four characters), ``parameters``, ``outcome`` (``ok``, an error
        code, ``dropped``, or ``in flight`` while it is being carried out), ``status`` (HTTP; None if there
        was no answer) and ``executed`` (whether it reached the service).

        :param operation: only calls of this operation.
        :param since: only calls with a higher number.
        """

    @abstractmethod
    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many calls of each operation had which outcome; unlike the journal, of all calls."""

    @abstractmethod
    def jobs(self, job_type: str | None = None) -> list[dict[str, Any]]:
        """Return every job in the order of their start.

        Each is a dict with ``job_type``, ``service``, ``account``, ``region``, ``ids``, ``parameters`` (of
        the start call), ``status``, ``created``, ``ended`` (None while it runs), ``cancel_requested`` (when
        the first cancel call found it running, or None) and ``cancels`` (how many cancel calls there were).
        """

    @abstractmethod
    def reset(self) -> None:
        """Forget everything: jobs, configuration, scripts, faults and the journal."""
