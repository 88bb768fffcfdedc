"""One trigger for every job type: it waits for a job, and cancels it when its task is killed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_jobs_provider.exceptions import AwsApiError, AwsJobError, JobNotFoundError, name, not_cancelled
from airflow_jobs_provider.jobs import job_type_of
from airflow_jobs_provider.jobs.errors import ErrorKind
from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot
from airflow_jobs_provider.steps import adrive
from airflow_jobs_provider.triggers.ending import ended
from airflow_jobs_provider.triggers.ownership import still_waits
from airflow_jobs_provider.triggers.poller import poller_of
from airflow_jobs_provider.waiting import DeadlinePassedError, Wait, cancel_until_certain, wait_until_over

if TYPE_CHECKING:
    from airflow_jobs_provider.operators.unanswered import UnansweredStart
    from airflow_jobs_provider.steps import Log
    from airflow_jobs_provider.triggers.poller import Poller

# Seconds that a killed task's cancel is tried. It holds no worker, and after a mark there is no next try that
# could do it: longer than AWS is away in an outage of minutes.
CANCEL_PATIENCE = 600.0
# Seconds that a reading may take at the deadline.
_LATE_READING = 20.0

# A cancel outlives the trigger that asked for it; the event loop itself keeps weak references only.
_cancels: set[asyncio.Task[None]] = set()


async def shielded(
    work: Coroutine[Any, Any, None], what: Callable[[], JobRun | UnansweredStart | None], log: Log
) -> None:
    """Wait for a killed task's work, which goes on when the wait is cancelled.

    Airflow 3.3 cancels ``on_kill`` again about once a second, whatever ``on_kill_timeout`` says: with each
    exchange of states its supervisor names again what has not ended yet. With that the trigger is over, and
    so is the task's log: in the next exchange ``TriggerRunnerSupervisor._handle_request`` closes its file,
    and writes what the work says from then on to the triggerer's own log. So the task's log must have by then
    what people need who read no other.

    :param what: tells the job that the work is to end, as far as it is known.
    """
    cancel = asyncio.get_running_loop().create_task(work)
    _cancels.add(cancel)
    cancel.add_done_callback(_cancels.discard)
    try:
        await asyncio.shield(cancel)
    except asyncio.CancelledError:
        if not cancel.done():
            _announce(what(), log)
        raise


def _announce(what: JobRun | UnansweredStart | None, log: Log) -> None:
    """Say what there is to say of a killed task's job when the task's log ends before the cancel does."""
    if isinstance(what, JobRun):
        subject, command = name(what), f". To cancel it by hand: {job_type_of(what).cancel_command(what)}"
    else:
        subject, command = "what this task was doing" if what is None else f"{what} that it was starting", ""
    log.warning(
        "it is not certain yet what becomes of %s: the triggerer goes on with it for up to %g minutes, unless"
        " another triggerer waits for it by now, and says how that ends in its own log, as this one ends"
        " here%s",
        *(subject, CANCEL_PATIENCE / 60, command),
    )


class AwsJobTrigger(BaseTrigger):
    """Wait for an AWS job.

    The event is a dict of JSON: ``run``, ``started_at`` and ``cancel_on_kill`` as below, and one of
    ``snapshot`` (it has ended), ``deadline`` (it has not), ``error`` (it could not be read; the sentence that
    says why, with ``meaning``, an :class:`~airflow_jobs_provider.jobs.errors.ErrorKind`, and AWS's ``code``).

    :param run: the job, as ``JobRun.to_json`` writes it.
    :param poll_interval: seconds between two readings at the most.
    :param started_at: when the job was started (seconds since the epoch).
    :param deadline: when to give up (seconds since the epoch); ``None`` for never.
    :param settle: wait for what still goes on when the job has ended, too (a delivery of results).
    :param cancel_on_kill: cancel the job when the task is killed (cleared, or marked as something).
    :param aws_conn_id: the Airflow connection; ``None`` for boto3's own credential chain.
    :param verify: whether, or with which certificates, TLS is verified.
    :param botocore_config: arguments of ``botocore.config.Config``.
    :param packed: the task's operator, if the trigger is to end the task where the job has ended.
    """

    def __init__(
        self,
        *,
        run: Mapping[str, Any],
        poll_interval: float,
        started_at: float,
        deadline: float | None = None,
        settle: bool = True,
        cancel_on_kill: bool = False,
        aws_conn_id: str | None = "aws_default",
        verify: bool | str | None = None,
        botocore_config: Mapping[str, Any] | None = None,
        packed: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # One for all of them: Airflow tells triggers' lines apart by the context, and a logger is large.
        self.logger()
        self.job_run = JobRun.from_json(run)
        self.poll_interval = poll_interval
        self.started_at = started_at
        self.deadline = deadline
        self.settle = settle
        self.cancel_on_kill = cancel_on_kill
        self.aws_conn_id = aws_conn_id
        self.verify = verify
        self.botocore_config = botocore_config
        self.packed = packed

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what makes this trigger anew in the triggerer."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "run": self.job_run.to_json(),
                "poll_interval": self.poll_interval,
                "started_at": self.started_at,
                "deadline": self.deadline,
                "settle": self.settle,
                "cancel_on_kill": self.cancel_on_kill,
                "aws_conn_id": self.aws_conn_id,
                "verify": self.verify,
                "botocore_config": self.botocore_config,
                "packed": self.packed,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield the one event."""
        # Nothing may come after the yield: a trigger that still works then can be told that its task was
        # killed although it succeeded.
        # Airflow calls on_kill only if its cancel's message comes back (apache/airflow#65590), and asgiref's
        # sync_to_async, in which the amazon provider opens a client, cancels anew without it: no call to AWS
        # is made in this task, which waits for what the poller's own tasks tell it.
        outcome = await self._outcome()
        wait = Wait(self.job_run, self.started_at, cancel_on_kill=self.cancel_on_kill)
        end = await self._ended(outcome.get("snapshot"))
        yield end or TriggerEvent({**wait.to_json(), **outcome})  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """Cancel the job of a killed task."""
        if not self.cancel_on_kill:
            self.log.info("%s goes on: it is not to be cancelled with this task", name(self.job_run))
            return
        await shielded(self._cancel(), lambda: self.job_run, self.log)

    async def _outcome(self) -> dict[str, Any]:
        steps = wait_until_over(
            self.job_run,
            log=self.log,
            poll_interval=self.poll_interval,
            started_at=self.started_at,
            deadline=self.deadline,
            settle=self.settle,
        )
        # A slow API may answer the last reading long after the deadline.
        left = None if self.deadline is None else max(0.0, self.deadline - time.time()) + _LATE_READING
        try:
            with self._poller() as poller, poller.waiting(self.job_run, left) as waiter:
                snapshot: JobSnapshot = await adrive(steps, waiter, waiter.sleep)
        except DeadlinePassedError:
            return {"deadline": self.deadline}
        except JobNotFoundError as error:
            return {"error": str(error), "meaning": ErrorKind.NOT_FOUND.value, "code": ""}
        except AwsApiError as error:
            return {"error": str(error), "meaning": error.meaning.value, "code": error.code}
        except ImportError as error:  # of aiobotocore: the triggerer may be another installation than workers
            said = f"{name(self.job_run)} could not be read: {error}"
            return {"error": said, "meaning": ErrorKind.FATAL.value, "code": type(error).__name__}
        return {"snapshot": snapshot.to_json()}

    async def _ended(self, snapshot: Any) -> TriggerEvent | None:
        """End the task, if it is this trigger's to end: what else there is to do, a worker does."""
        # dag.test() runs triggers without a triggerer, and takes no end from one.
        if self.packed is None or snapshot is None or self.trigger_id is None:
            return None
        return await ended(
            self.packed, self.task_instance, self.job_run, JobSnapshot.from_json(snapshot), self.log
        )

    async def _cancel(self) -> None:
        try:
            if await still_waits(self.task_instance, self.job_run):
                self.log.info("%s is waited for by another triggerer: not cancelled", name(self.job_run))
                return
        except Exception as error:  # noqa: BLE001 - whatever it is: a job too few is better than one too many
            self.log.warning("Airflow did not say whether the task still waits, so it does not: %r", error)
        steps = cancel_until_certain(
            self.job_run, log=self.log, started_at=self.started_at, patience=CANCEL_PATIENCE
        )
        try:
            # With the client that waits share, but past their queue: a cancel waits for nobody.
            with self._poller() as poller:
                await adrive(steps, await poller.hook())
        except Exception as error:  # noqa: BLE001 - a task's exception would reach nobody
            told = error if isinstance(error, AwsJobError) else not_cancelled(self.job_run, repr(error))
            self.log.error("%s", told)  # noqa: TRY400 - the message says it all

    def _poller(self) -> Poller:
        return poller_of(
            job_type_of(self.job_run),
            self.job_run.region,
            aws_conn_id=self.aws_conn_id,
            verify=self.verify,
            botocore_config=self.botocore_config,
        )
