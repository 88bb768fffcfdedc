"""When a client is replaced by another one, over real HTTP."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from airflow.providers.amazon.aws.hooks.base_aws import BaseSessionFactory

from airflow_jobs_provider.exceptions import AwsApiError
from airflow_jobs_provider.hooks.aws_job import AwsJobHook
from airflow_jobs_provider.jobs.errors import ErrorKind
from airflow_jobs_provider.jobs.quicksight import QUICKSIGHT_INGESTION
from tests.cases import ROLE
from tests.conftest import Context

if TYPE_CHECKING:
    from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot
    from airflow_jobs_provider.testing import Emulator
    from tests.cases import Case


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return what edits the connection ``aws_jobs``: another access key."""

    def edit(key: str) -> None:
        told = {"conn_type": "aws", "login": key, "password": "secret", "extra": {"region_name": "eu-west-1"}}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_JOBS", json.dumps(told))

    edit("old-key")
    return edit


@pytest.fixture
def run(case: Case, aws: Emulator) -> JobRun:
    """Start a job."""
    aws.configure(case.job_type.name, duration=60)
    result = case.start(wait_for_completion=False).execute(Context())
    ids = {name: result[name] for name in case.job_type.identity}
    found: Any = case.job_type.run_of(ids, "eu-west-1")
    return found  # type: ignore[no-any-return]


class Side:
    """A hook in a worker, or in a triggerer."""

    def __init__(self, hook: AwsJobHook, *, deferred: bool) -> None:
        self.hook = hook
        self._deferred = deferred

    async def read(self, run: JobRun) -> JobSnapshot:
        """Read a job."""
        return await self.hook.adescribe(run) if self._deferred else self.hook.describe(run)

    async def fails(self, run: JobRun) -> AwsApiError:
        """Read a job, and return the error."""
        with pytest.raises(AwsApiError) as caught:
            await self.read(run)
        return caught.value

    async def key(self) -> str:
        """Return the access key with which it signs."""
        async with self.hook._async_client() as opened:
            client: Any = opened.client if self._deferred else self.hook.get_conn()
            return str(client._request_signer._credentials.access_key)


@pytest.fixture(params=[False, True], ids=["worker", "triggerer"])
def deferred(request: pytest.FixtureRequest) -> bool:
    """Return whether the hook is used in a triggerer."""
    return bool(request.param)


def _side(case: Case, *, deferred: bool, aws_conn_id: str | None = "aws_jobs") -> Side:
    hook = AwsJobHook(case.job_type, aws_conn_id=aws_conn_id, region_name="eu-west-1")
    return Side(hook, deferred=deferred)


@pytest.mark.parametrize("code", ["UnrecognizedClientException", "AccessDeniedException"])
async def test_an_edited_connection_is_read_again(
    case: Case, aws: Emulator, run: JobRun, connect: Callable[[str], None], deferred: bool, code: str
) -> None:
    """Keys are replaced and roles are changed while jobs run; a client that knows the old ones must not fail
    their waits, nor those that begin later.
    """
    side = _side(case, deferred=deferred)
    async with side.hook:
        await side.read(run)
        connect("new-key")
        assert await side.key() == "old-key"  # nobody has a reason to look
        aws.fault("error", code=code, operation=case.job_type.describe.api_name, times=1)
        assert (await side.fails(run)).meaning is ErrorKind.REJECTED
        await side.read(run)
        assert await side.key() == "new-key"


async def test_calls_that_fail_together_are_all_asked_for_again(
    case: Case, aws: Emulator, run: JobRun, connect: Callable[[str], None]
) -> None:
    """Only the first of them finds the connection changed; the others must not be told that it has not."""
    side = _side(case, deferred=True)
    async with side.hook:
        await side.read(run)
        connect("new-key")
        aws.fault("error", code="AccessDeniedException", operation=case.job_type.describe.api_name, times=8)
        errors = await asyncio.gather(*(side.fails(run) for _ in range(8)))
        assert {error.meaning for error in errors} == {ErrorKind.REJECTED}
        await side.read(run)


async def test_a_refusal_that_the_connection_does_not_explain(
    case: Case, aws: Emulator, run: JobRun, connect: Callable[[str], None], deferred: bool
) -> None:
    """A right that is missing must fail the task now, and not after a time-out."""
    side = _side(case, deferred=deferred)
    async with side.hook:
        await side.read(run)
        aws.fault("error", code="AccessDeniedException", operation=case.job_type.describe.api_name)
        assert (await side.fails(run)).meaning is ErrorKind.FATAL


async def test_credentials_that_were_never_accepted(
    case: Case, aws: Emulator, run: JobRun, connect: Callable[[str], None], deferred: bool
) -> None:
    """So must a key with a typing error."""
    side = _side(case, deferred=deferred)
    aws.fault("error", code="UnrecognizedClientException", operation=case.job_type.describe.api_name)
    async with side.hook:
        assert (await side.fails(run)).meaning is ErrorKind.FATAL


async def test_a_credentials_file_that_was_rewritten(
    case: Case,
    aws: Emulator,
    run: JobRun,
    deferred: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Boto reads it once; whatever replaces keys writes there, too."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    text = "[default]\naws_access_key_id = {}\naws_secret_access_key = secret\n"
    file.write_text(text.format("old-key"))
    side = _side(case, deferred=deferred, aws_conn_id=None)
    async with side.hook:
        await side.read(run)
        file.write_text(text.format("new-key"))
        aws.fault("error", code="InvalidClientTokenId", operation=case.job_type.describe.api_name, times=2)
        assert (await side.fails(run)).meaning is ErrorKind.REJECTED
        assert await side.key() == "new-key"
        # AWS may not know them everywhere yet.
        assert (await side.fails(run)).meaning is ErrorKind.REJECTED
        await side.read(run)


async def test_credentials_that_are_replaced_later(
    case: Case,
    aws: Emulator,
    run: JobRun,
    connect: Callable[[str], None],
    deferred: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The old key may be deleted before the connection is edited; if it never is, that is that."""
    side = _side(case, deferred=deferred)
    async with side.hook:
        await side.read(run)
        aws.fault("error", code="InvalidClientTokenId", operation=case.job_type.describe.api_name)
        for _ in range(3):
            assert (await side.fails(run)).meaning is ErrorKind.REJECTED
        monkeypatch.setattr("airflow_jobs_provider.hooks.clients._REPLACED", 0.0)
        assert (await side.fails(run)).meaning is ErrorKind.FATAL
        connect("new-key")
        monkeypatch.setattr("airflow_jobs_provider.hooks.clients._AGAIN", 0.0)
        assert (await side.fails(run)).meaning is ErrorKind.REJECTED
        aws.clear_faults()
        await side.read(run)
        assert await side.key() == "new-key"


@pytest.fixture
def role(aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return what edits the connection ``aws_jobs``: another access key, which assumes a role."""

    def edit(key: str) -> None:
        extra = {"region_name": "eu-west-1", "role_arn": ROLE}
        told = {"conn_type": "aws", "login": key, "password": "secret", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_JOBS", json.dumps(told))

    edit("old-key")
    return edit


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidClientTokenId"])
async def test_a_role_that_cannot_be_assumed_any_more(
    case: Case,
    aws: Emulator,
    run: JobRun,
    role: Callable[[str], None],
    deferred: bool,
    code: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """STS refuses the connection's key while a client is made; whoever edits the connection mends it."""
    monkeypatch.setattr("airflow_jobs_provider.hooks.clients._AGAIN", 0.0)
    side = _side(case, deferred=deferred)
    async with side.hook:
        await side.read(run)
        aws.fault("expired_token", operation=case.job_type.describe.api_name, times=1)
        aws.fault("error", code=code, service="sts", operation="AssumeRole")
        for _ in range(3):
            assert (await side.fails(run)).meaning is ErrorKind.REJECTED
        role("new-key")
        assert (await side.fails(run)).meaning is ErrorKind.REJECTED
        aws.clear_faults()
        await side.read(run)
        assert side.hook.conn_config.login == "new-key"


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (RuntimeError("Credentials were refreshed, but are still expired."), ErrorKind.TRANSIENT),
        (requests.ConnectionError("the identity provider is away"), ErrorKind.TRANSIENT),
        (NotImplementedError("a method that is not expected"), ErrorKind.FATAL),
        (FileNotFoundError("no such file of certificates"), ErrorKind.FATAL),
    ],
)
async def test_credentials_that_nobody_gives_out(
    case: Case,
    run: JobRun,
    role: Callable[[str], None],
    deferred: bool,
    error: Exception,
    meaning: ErrorKind,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No trigger may break off for what is not AWS's own error: Airflow would have its job cancelled."""

    def refuse(*_: object, **__: object) -> Any:
        raise error

    side = _side(case, deferred=deferred)
    with monkeypatch.context() as patch:
        patch.setattr(BaseSessionFactory, "_assume_role", refuse)
        async with side.hook:
            failed = await side.fails(run)
    assert failed.meaning is meaning
    assert str(error).rstrip(".") in str(failed)


async def test_the_account_is_that_of_the_credentials_of_now(
    aws: Emulator, connect: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refresh that names no account is sent to the one that STS tells."""
    hook = AwsJobHook(QUICKSIGHT_INGESTION, aws_conn_id="aws_jobs", region_name="eu-west-1")
    async with hook:
        await hook.acaller_account()
        connect("new-key")
        aws.fault("expired_token", service="sts", times=1)
        async with hook._async_client() as opened:
            opened.account = None
        with pytest.raises(AwsApiError) as caught:
            await hook.acaller_account()
        assert caught.value.meaning is ErrorKind.REJECTED
        await hook.acaller_account()
        assert hook._session.get_credentials().access_key == "new-key"


async def test_a_connection_that_could_not_be_read_when_the_client_was_made(
    case: Case, run: JobRun, connect: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow calls a connection missing, too, while its API server restarts: no wait may end for that.

    The task that started the job in a worker had it.
    """
    connection = os.environ["AIRFLOW_CONN_AWS_JOBS"]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AIRFLOW_CONN_AWS_JOBS"):
        monkeypatch.delenv(name)
    side = _side(case, deferred=True)
    async with side.hook:
        for _ in range(3):  # the first one is the occasion for another client
            assert (await side.fails(run)).meaning is ErrorKind.REJECTED
        monkeypatch.setattr("airflow_jobs_provider.hooks.clients._MISSING", 0.0)
        assert (await side.fails(run)).meaning is ErrorKind.FATAL
        monkeypatch.setenv("AIRFLOW_CONN_AWS_JOBS", connection)
        monkeypatch.setattr("airflow_jobs_provider.hooks.clients._AGAIN", 0.0)
        assert (await side.fails(run)).meaning is ErrorKind.REJECTED
        await side.read(run)
        assert await side.key() == "old-key"


async def test_credentials_that_were_away_when_the_client_was_made(
    case: Case, run: JobRun, deferred: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine's metadata may not answer for a moment; in a triggerer all later waits share the client."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    for name in names:
        monkeypatch.delenv(name)
    side = _side(case, deferred=deferred, aws_conn_id=None)
    async with side.hook:
        assert (await side.fails(run)).meaning is ErrorKind.REJECTED
        # Where there are none, the task must fail now, and not after a time-out.
        assert (await side.fails(run)).meaning is ErrorKind.FATAL
        for name in names:
            monkeypatch.setenv(name, "emulated")
        monkeypatch.setattr("airflow_jobs_provider.hooks.clients._AGAIN", 0.0)
        assert (await side.fails(run)).meaning is ErrorKind.REJECTED
        await side.read(run)


@pytest.mark.parametrize("gone", [True, False], ids=["deleted", "unreadable"])
async def test_a_connection_that_cannot_be_read_again(
    case: Case,
    aws: Emulator,
    run: JobRun,
    connect: Callable[[str], None],
    deferred: bool,
    gone: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Airflow's API server may be away at that moment: the old credentials are better than none."""
    side = _side(case, deferred=deferred)
    async with side.hook:
        await side.read(run)
        if gone:
            monkeypatch.delenv("AIRFLOW_CONN_AWS_JOBS")
        else:
            monkeypatch.setattr(AwsJobHook, "get_connection", _away)
        aws.fault("expired_token", operation=case.job_type.describe.api_name, times=1)
        assert (await side.fails(run)).meaning is ErrorKind.REJECTED
        await side.read(run)
        assert await side.key() == "old-key"


def _away(_: str) -> Any:
    raise RuntimeError("the API server is away")
