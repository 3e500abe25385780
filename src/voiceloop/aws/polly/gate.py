"""The gate through which every request of an account to Polly goes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from voiceloop import clock
from voiceloop.aws.account import Account
from voiceloop.aws.polly.limiter import QUOTAS, Limiter, Quota, Urgency
from voiceloop.aws.shelf import shelved
from voiceloop.interfaces import Resources

LISTENED = 8.0
"""Seconds that speech which somebody listens to may wait for its turn: told before a listener gives up."""

UNHEARD = 300.0
"""Seconds that anything else may wait: the longest queue moves on in half of that."""


class Gate:
    """Lets requests through, one engine's at the pace of its quota."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._changed = anyio.Event()

    @asynccontextmanager
    async def passing(self, urgency: Urgency, patience: float) -> AsyncIterator[None]:
        """Wait for a turn, and hold a place while inside. Raises Crowded when none came in so many seconds."""
        ticket, due = self._limiter.ask(urgency), clock.now() + patience
        try:
            while not self._limiter.take(ticket, clock.now()):
                if clock.now() >= due:
                    raise self._limiter.crowded(f"no turn within {patience:g} s")
                changed = self._changed
                with anyio.move_on_after(min(self._limiter.wait(ticket, clock.now()), due - clock.now())):
                    await changed.wait()
        except BaseException:
            self._limiter.leave(ticket)
            self._wake()
            raise
        self._wake()
        try:
            yield
        finally:
            self._limiter.done()
            self._wake()

    def refused(self) -> None:
        """The service said that there were too many requests."""
        self._limiter.refused(clock.now())

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


async def gate(resources: Resources, account: Account, region: str, engine: str, quota: Quota | None) -> Gate:
    """The gate of ``engine`` that all sessions of a pool share; ``quota`` None: the service's default."""
    allowed = quota or QUOTAS[engine]

    @asynccontextmanager
    async def opened() -> AsyncIterator[Gate]:
        yield Gate(Limiter(allowed))

    return await shelved(resources, ("polly gate", account, region, engine, allowed), opened)
