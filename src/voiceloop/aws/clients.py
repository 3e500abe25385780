"""Pooled clients of the services that answer requests."""

from __future__ import annotations

import importlib
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from attrs import frozen

from voiceloop import clock
from voiceloop.aws.faults import translated

if TYPE_CHECKING:
    from voiceloop.aws.account import Access
    from voiceloop.aws.connections import Patience
    from voiceloop.aws.wire.requests import Requests

__all__ = ("Client", "open_client")

# Whoever calls has a deadline of their own, which may be long where a model thinks before it answers.
_READ = 600.0


@frozen(eq=False)
class Client:
    """A service's aiobotocore client and the connections under it."""

    boto: Any
    connections: Requests

    @property
    def busy(self) -> bool:
        """Whether an answer is being waited for or read."""
        return self.connections.busy > 0


@asynccontextmanager
async def open_client(access: Access, service: str) -> AsyncIterator[Client]:
    """Make a client of ``service``; its connections close when it is left.

    Raises ProviderRefused without credentials, or where the region does not have the service.
    """
    url = access.set_endpoint(service)
    if url is None:
        access.endpoint(service)  # refuses a region without the service
    if not (service == "bedrock-runtime" and "AWS_BEARER_TOKEN_BEDROCK" in os.environ):
        await access.credentials()
    with clock.outside_work():
        await anyio.to_thread.run_sync(_load, access, service)
    from aioboto3 import Session
    from aiobotocore.config import AioConfig

    from voiceloop.aws.connections import Patience

    patience = Patience(read=_READ)
    async with AsyncExitStack() as stack:
        connections = await stack.enter_async_context(await _requests(access, patience))
        config = AioConfig(
            http_session_cls=lambda **_: connections,
            retries={"mode": "standard", "total_max_attempts": 1},
            connect_timeout=patience.connect,
            read_timeout=patience.read,
            max_pool_connections=patience.limit,
            # keys of the account come before an API key in the environment
            signature_version="v4" if service == "bedrock-runtime" and access.account.keys is not None else None,
        )
        session = Session(botocore_session=access.chain.session)
        making = session.client(service, region_name=access.region, endpoint_url=url, config=config)
        with clock.outside_work(), translated(service, ""):
            boto = await stack.enter_async_context(making)
        yield Client(boto, connections)


async def _requests(access: Access, patience: Patience) -> Requests:
    """What carries the client's requests: the account's own wire, or connections over sockets."""
    from voiceloop.aws.connections import Connections

    wire = access.account.wire
    carried = wire.requests() if wire is not None else None
    return Connections(await access.tls(), access.proxy, patience) if carried is None else carried


def _load(access: Access, service: str) -> None:
    """What takes long and blocks: the imports of aiohttp and aioboto3, and the service's model."""
    importlib.import_module("aioboto3")
    importlib.import_module("voiceloop.aws.connections")
    access.chain.preload(service)
