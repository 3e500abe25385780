"""Looking for a model server on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import anyio

from voiceloop.errors import ProviderError
from voiceloop.openai.address import host_of, is_loopback

USUAL = (
    "http://127.0.0.1:11434/v1",  # Ollama
    "http://127.0.0.1:1234/v1",  # LM Studio
    "http://127.0.0.1:8080/v1",  # llama.cpp
    "http://127.0.0.1:8000/v1",  # vLLM
)
"""Where model servers usually listen on this machine."""


async def find_server(
    *,
    environ: Mapping[str, str] = os.environ,
    usual: Sequence[str] | None = None,
    timeout: float = 0.5,
) -> str | None:
    """The base URL of a model server on this machine that lists a model within ``timeout`` seconds; None for none.

    Asked is ``OPENAI_BASE_URL`` if it is on this machine, then the ``usual`` ones (by default :data:`USUAL`), all at
    once and without any key.
    """
    from voiceloop.openai.wire import opened

    own = environ.get("OPENAI_BASE_URL", "").strip().rstrip("/")
    urls = [own] if own and is_loopback(host_of(own)) else []
    urls += [url for url in (USUAL if usual is None else usual) if url not in urls]
    found: set[str] = set()

    async def ask(url: str) -> None:
        async with opened(url) as server:
            try:
                if await server.models(None, timeout):
                    found.add(url)
            except ProviderError:
                return

    async with anyio.create_task_group() as group:
        for url in urls:
            group.start_soon(ask, url)
    return next((url for url in urls if url in found), None)
