"""Fixtures: certificates, and a look at what is left open."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from attrs import frozen

from voiceloop.engine.pool import Pool


@frozen
class Authority:
    """A certificate for this machine, and the file of the authority that signed it."""

    certificate: trustme.LeafCert
    ca_file: Path


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    ca = trustme.CA()
    ca_file = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(ca_file))
    return Authority(ca.issue_cert("localhost", "127.0.0.1", "::1"), ca_file)


def sockets() -> set[str]:
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            what = os.readlink(entry)
        except FileNotFoundError:
            continue
        if what.startswith("socket:"):
            found.add(what)
    return found


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    """Shared resources of one test; no socket is left open after it."""
    before = sockets()
    async with Pool() as pool:
        yield pool
    for _ in range(50):
        if not sockets() - before:
            return
        await asyncio.sleep(0.01)  # the servers of a test close theirs in their own time
    assert not sockets() - before
