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


class Gate:
    """Lets requests through, one engine's at the pace of its quota."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._changed = anyio.Event()

    @asynccontextmanager
    async def passing(self, urgency: Urgency) -> AsyncIterator[None]:
        """Wait for a turn, and hold a place while inside."""
        ticket = self._limiter.ask(urgency)
        try:
            while not self._limiter.take(ticket, clock.now()):
                changed = self._changed
                with anyio.move_on_after(self._limiter.wait(ticket, clock.now())):
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
