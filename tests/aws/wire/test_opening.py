"""Ways to a service, and what stands in the way: proxies, certificates, protocols, names and silence."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvloop
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from voiceloop import clock, errors
from voiceloop.aws import Account, Polly
from voiceloop.aws.wire import tls
from voiceloop.aws.wire.proxy import Tunnel, TunnelRefused
from voiceloop.aws.wire.stream import Deadlines, Message, StreamRequest
from voiceloop.engine.pool import Pool

from .peer import KEYS, Peer, frame, serving

REQUEST = StreamRequest("polly", "polly", "StartSpeechSynthesisStream", "/v1/synthesisStream")
TEXT = Message({":message-type": "event", ":event-type": "TextEvent"}, b"{}")


async def echoes(peer: Peer) -> None:
    await peer.request()
    peer.respond()
    while payload := await peer.message():
        await peer.send(frame(payload))
    peer.end()
    await peer.leave()


async def converse(account: Account, pool: Pool, deadlines: Deadlines = Deadlines()) -> None:
    """A short stream, from its opening to its end."""
    access = await account.access(pool)
    async with access.stream(REQUEST, deadlines) as stream:
        await stream.send(TEXT)
        assert (await anext(aiter(stream))).payload == TEXT.payload
        await stream.end()
        assert [message async for message in stream] == []


@define(eq=False)
class Proxy:
    """An HTTP proxy that knows CONNECT only. ``asked``: the first lines and fields of what it was asked."""

    url: str = ""
    asked: list[str] = field(factory=list)


@asynccontextmanager
async def proxying(
    answer: bytes = b"HTTP/1.1 200 OK\r\nX-Some: thing\r\n\r\n", user: str = ""
) -> AsyncIterator[Proxy]:
    """A proxy that gives ``answer`` to everybody, and a tunnel if that is the one that says so."""
    running: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            proxy.asked.append(head)
            target = head.split(" ")[1]
            for at in range(0, len(answer), 5):
                writer.write(answer[at : at + 5])
                await writer.drain()
            if answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"\r\n\r\n"):
                host, _, port = target.rpartition(":")
                there = await asyncio.open_connection(host.strip("[]"), int(port))
                await asyncio.gather(relay(reader, there[1]), relay(there[0], writer))
            else:
                await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
        finally:
            writer.transport.abort()

    proxy = Proxy()
    listening = await asyncio.start_server(
        lambda reader, writer: running.append(asyncio.create_task(serve(reader, writer))), "127.0.0.1", 0
    )
    port = listening.sockets[0].getsockname()[1]
    proxy.url = f"http://{user}127.0.0.1:{port}"
    try:
        yield proxy
    finally:
        listening.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await asyncio.sleep(0)


# --- proxies


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_through_a_proxy(authority: Any, pool: Pool, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    async with serving(echoes, authority, host=host) as server, proxying(user="me:s%3Acret@") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        await converse(server.account(), pool)
    (head,) = proxy.asked
    where = server.url.removeprefix("https://")
    assert head.startswith(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n")
    assert f"Proxy-Authorization: Basic {base64.b64encode(b'me:s:cret').decode()}\r\n" in head
    assert server.peers[0].headers[":authority"] == where


async def test_around_a_proxy(authority: Any, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "example.com,127.0.0.1")
    async with serving(echoes, authority) as server:
        await converse(server.account(), pool)


@pytest.mark.parametrize(
    ("answer", "kind", "words", "retryable"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", errors.ProviderRefused, "407 .*USER:PASSWORD", False),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", errors.ProviderRefused, "403 Forbidden", False),
        (b"HTTP/1.1 502\r\n\r\n", errors.ProviderUnavailable, "502", True),
        (b"SSH-2.0-OpenSSH\r\n", errors.ProviderUnavailable, "as an HTTP proxy", False),
        (b"HTTP/1.1 2000000 \r\n\r\n", errors.ProviderUnavailable, "2000000", True),
        (b"HTTP/1.1 200 OK\r\n\r\nmore", errors.ProviderUnavailable, "more than its answer", False),
        (b"HTTP/1.1 200 OK\r\n" + b"x" * 20_000, errors.ProviderUnavailable, "as an HTTP proxy", False),
    ],
)
async def test_a_proxy_that_refuses(
    pool: Pool, answer: bytes, kind: type[errors.ProviderError], words: str, retryable: bool
) -> None:
    async with proxying(answer, user="me:s3cret@") as proxy:
        account = Account("eu-west-1", keys=KEYS, proxy=proxy.url)
        with pytest.raises(kind, match=rf"(?s)no tunnel to polly.eu-west-1.amazonaws.com .*{words}") as caught:
            await converse(account, pool)
    assert caught.value.retryable is retryable
    assert "HTTPS_PROXY" in str(caught.value)
    assert "s3cret" not in str(caught.value) + repr(account)


async def test_a_proxy_that_is_not_there(pool: Pool) -> None:
    account = Account("eu-west-1", keys=KEYS, proxy=f"http://me:s3cret@127.0.0.1:{free_port()}")
    with pytest.raises(errors.ProviderUnavailable, match=r"the proxy 127.0.0.1:\d+ cannot .*HTTPS_PROXY") as failure:
        await converse(account, pool)
    assert "s3cret" not in f"{failure.value} {failure.value.__cause__!r}"
    with pytest.raises(errors.ProviderUnavailable, match=r"proxy URL: \"127.0.0.1:\d+\".*HTTPS_PROXY") as failure:
        await Polly(account=account).synthesize("Hello.", pool=pool)
    assert "s3cret" not in f"{failure.value} {failure.value.__cause__!r}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@given(st.lists(st.integers(1, 40), max_size=5))
def test_a_proxys_answer_may_be_split_anywhere(cuts: list[int]) -> None:
    answer = b"HTTP/1.1 200 Connection established\r\nA: b\r\n\r\n"
    tunnel = Tunnel("proxy.example:3128", "::1", 443)
    assert (tunnel.host, tunnel.port) == ("proxy.example", 3128)
    assert tunnel.request() == b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n"
    for cut in (*cuts, len(answer)):
        assert tunnel.open is (not answer)
        if answer:
            tunnel.receive(answer[:cut])
            answer = answer[cut:]
    assert tunnel.open is (not answer)


@pytest.mark.parametrize("url", ["socks5://proxy:1080", "https://proxy", "http://"])
def test_a_proxy_of_another_kind(url: str) -> None:
    with pytest.raises(errors.BadInput, match="http://HOST:PORT"):
        Tunnel(url, "localhost", 443)


def test_an_answer_in_parts_that_is_no_http_is_found_early() -> None:
    tunnel = Tunnel("http://proxy", "localhost", 443)
    tunnel.receive(b"HT")
    with pytest.raises(TunnelRefused):
        tunnel.receive(b"CP")


# --- protocols and certificates


@pytest.mark.parametrize("alpn", [(), ("http/1.1",)])
async def test_a_server_without_http2(authority: Any, pool: Pool, alpn: tuple[str, ...]) -> None:
    async def script(peer: Peer) -> None:
        await peer.leave()

    async with serving(script, authority, alpn=alpn) as server:
        with pytest.raises(
            errors.ProviderRefused, match=r"Amazon Polly: 127.0.0.1:.* does not speak HTTP/2"
        ) as caught:
            await converse(server.account(), pool)
    assert not caught.value.retryable


async def test_a_certificate_of_an_unknown_authority(authority: Any, pool: Pool, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    async with serving(echoes, authority) as server:
        with pytest.raises(errors.ProviderUnavailable, match=r"not trusted .*AWS_CA_BUNDLE") as caught:
            await converse(server.account(ca_bundle=other), pool)
        assert not caught.value.retryable
        assert len(server.peers) == 0


async def test_a_certificate_of_another_host(authority: Any, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """``localhost`` is in the certificate, this name of the same address is not."""
    loop = asyncio.get_running_loop()
    lookup = loop.getaddrinfo

    async def to_this_machine(host: str, *rest: Any, **options: Any) -> Any:
        return await lookup("127.0.0.1", *rest, **options)

    monkeypatch.setattr(loop, "getaddrinfo", to_this_machine)
    async with serving(echoes, authority) as server:
        url = server.url.replace("127.0.0.1", "elsewhere.test")
        with pytest.raises(
            errors.ProviderUnavailable, match=r"elsewhere.test:\d+ is not trusted .*Hostname mismatch"
        ):
            await converse(server.account(endpoints={"": url}), pool)


@pytest.mark.parametrize("bundle", ["empty.pem", "missing.pem"])
async def test_a_bundle_that_cannot_be_read(pool: Pool, tmp_path: Path, bundle: str) -> None:
    (tmp_path / "empty.pem").touch()
    with pytest.raises(errors.BadInput, match=rf"{bundle}.*AWS_CA_BUNDLE"):
        await tls.shared_context(pool, str(tmp_path / bundle))


async def test_streams_share_a_context(authority: Any, pool: Pool) -> None:
    account = Account("eu-west-1", keys=KEYS, ca_bundle=authority.ca_file)
    access, other = await account.access(pool), await Account("eu-west-2", ca_bundle=authority.ca_file).access(pool)
    first, second = [await tls.shared_context(pool, each.ca_bundle, tls.ALPN) for each in (access, other)]
    assert first is second
    assert first is not await access.tls()


async def test_a_system_whose_store_of_certificates_is_empty(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = ssl.DefaultVerifyPaths(None, str(tmp_path), "", "", "", "")
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nothing)
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda *_: None)
    context = await tls.shared_context(pool, None)
    assert context.cert_store_stats()["x509_ca"] > 50


async def test_an_endpoint_without_tls(pool: Pool) -> None:
    with pytest.raises(errors.BadInput, match="https://"):
        await converse(Account("eu-west-1", keys=KEYS, endpoints={"polly": "http://localhost:4566"}), pool)


# --- nobody there


async def test_nobody_listens(pool: Pool) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(
            errors.ProviderUnavailable, match=r"cannot be reached \(.*refused|Connect call failed"
        ) as caught:
            await converse(Account("eu-west-1", keys=KEYS, endpoints={"": url}), pool)
    assert caught.value.retryable


async def test_a_name_that_is_not_known(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    with pytest.raises(
        errors.ProviderUnavailable, match=r"polly.eu-west-9.example cannot be reached .Name or service"
    ):
        await converse(Account("eu-west-1", keys=KEYS, endpoints={"": "https://polly.eu-west-9.example"}), pool)


@pytest.mark.parametrize("through", ["nothing", "a proxy"])
async def test_nobody_answers(pool: Pool, through: str) -> None:
    """TCP connects, but no TLS comes, or no tunnel."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        at = f"127.0.0.1:{mute.getsockname()[1]}"
        settings: dict[str, Any] = {"proxy": f"http://{at}"} if through == "a proxy" else {}
        account = Account("eu-west-1", keys=KEYS, endpoints={"": f"https://{at}"}, **settings)
        with pytest.raises(errors.ProviderTimeout, match=r"no connection within 0.05 s") as caught:
            await converse(account, pool, Deadlines(connect=0.05))
    assert caught.value.retryable


async def test_a_peer_that_leaves_during_the_handshake(pool: Pool) -> None:
    async def leave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with await asyncio.start_server(leave, "127.0.0.1", 0) as listening:
        url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        with pytest.raises(errors.ProviderUnavailable, match=r"cannot be reached.*HTTPS_PROXY"):
            await converse(Account("eu-west-1", keys=KEYS, endpoints={"": url}), pool)


async def test_nonsense_instead_of_tls(pool: Pool) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        with pytest.raises(errors.ProviderUnavailable, match=r"cannot be reached.*HTTPS_PROXY"):
            await converse(Account("eu-west-1", keys=KEYS, endpoints={"": url}), pool)


async def test_cancelled_while_connecting(pool: Pool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"https://127.0.0.1:{mute.getsockname()[1]}"
        opening = asyncio.create_task(converse(Account("eu-west-1", keys=KEYS, endpoints={"": url}), pool))
        mute.setblocking(False)
        connection, _ = await asyncio.get_running_loop().sock_accept(mute)
        with connection:
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening


# --- other loops


def test_on_uvloop(authority: Any) -> None:
    async def main() -> None:
        async with Pool() as pool, serving(echoes, authority) as server, proxying() as proxy:
            await converse(server.account(), pool)
            await converse(server.account(proxy=proxy.url), pool)
            assert len(proxy.asked) == 1

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


@pytest.mark.virtual_time(seed=0)
async def test_on_virtual_time(authority: Any, pool: Pool) -> None:
    async with serving(echoes, authority) as server:
        with clock.outside_work():
            await converse(server.account(), pool)
        assert server.peers[0].headers["x-amz-date"] == "20260101T000000Z"
