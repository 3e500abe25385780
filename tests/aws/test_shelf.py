"""A pool that serves many customers' keys for days keeps no more than it uses."""

from __future__ import annotations

import gc
import weakref

import anyio
import pytest

import voiceloop as vl
from voiceloop.aws.account import Access, Account, Keys
from voiceloop.aws.clients import Client

pytestmark = [pytest.mark.usefixtures("bare_environment"), pytest.mark.virtual_time]


async def test_clients_for_keys_that_nobody_uses_any_more_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voiceloop.aws.shelf._MOST", 8)
    seen: weakref.WeakSet[Access | Client] = weakref.WeakSet()
    mine = Account("us-east-1", keys=Keys("mine", "secret"), endpoints={"": "https://127.0.0.1:9"})
    async with vl.Pool() as pool:
        first = await (await mine.access(pool)).service("polly")
        for number in range(40):
            account = Account("us-east-1", keys=Keys(f"{number}", "secret"), endpoints={"": "https://127.0.0.1:9"})
            access = await account.access(pool)
            seen.add(access)
            seen.add(await access.service("polly"))
            assert await (await mine.access(pool)).service("polly") is first
            await anyio.sleep(60)
        del access
        gc.collect()
        assert 20 < len(seen) < 40
        assert first.boto.meta.endpoint_url
