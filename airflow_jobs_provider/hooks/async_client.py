"""A shared aiobotocore client: opened off the event loop, and replaced while others still use it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any

from botocore.validate import validate_parameters


class AsyncClient:
    """One client for many calls at a time.

    :param create: makes the context manager of a client; may block (Airflow's connection, service models,
        an assumed role), so it is called in a thread.
    """

    def __init__(self, create: Callable[[], Any]) -> None:
        self._create = create
        #: Held while it is found out whether the client is to be replaced.
        self.renewing = asyncio.Lock()
        #: How many clients were replaced.
        self.retired = 0
        self._opening = asyncio.Lock()
        self._current: Opened | None = None

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Opened]:
        """Yield the client, opened by the first call; it stays open until the last user has left it."""
        async with self._opening:
            if self._current is None:
                # Not "asyncio.run, self._opened()": a wait that is cancelled now would leave that unawaited.
                self._current = Opened(await asyncio.to_thread(lambda: asyncio.run(self._opened())))
                _spare_the_collector()
            mine = self._current
            mine.users += 1
        try:
            yield mine
        finally:
            mine.users -= 1
            if mine is not self._current and not mine.users:
                await mine.client.close()

    async def retire(self) -> None:
        """Have the next call open another client; calls under way go on with this one."""
        self.retired += 1
        opened, self._current = self._current, None
        if opened is not None and not opened.users:
            await opened.client.close()

    async def close(self) -> None:
        """Close the client, for those that still use it too."""
        opened, self._current = self._current, None
        if opened is not None:
            await opened.client.close()

    async def _opened(self) -> Any:
        """Open a client on a loop of its own: nothing of it is bound to a loop before the first call."""
        client = await self._create().__aenter__()
        # botocore puts the same user agent together anew, twice for each call: a sixth of a reading's CPU.
        agent = client._user_agent_creator  # noqa: SLF001
        text = agent.to_string()
        agent.to_string = lambda: text
        return client


@lru_cache
def _spare_the_collector() -> None:
    """Leave what the process has by now out of all later garbage collections; once in a process.

    Airflow, boto3 and the client are 200,000 objects that stay. A full collection looks at each, and stops
    the event loop for 150 ms; a few hundred waits are enough to cause one. Airflow's executor does the same.
    """
    gc.freeze()


class Opened:
    """A client, how many calls use it, and whose credentials it has."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.users = 0
        self.account: str | None = None


def check(client: Any, operation: str, arguments: Mapping[str, Any]) -> None:
    """Refuse what the service model does not allow, as a client does that checks all its calls.

    :raises ParamValidationError: names the parameter, and says what is wrong with its value.
    """
    validate_parameters(arguments, client.meta.service_model.operation_model(operation).input_shape)
