"""Pooled clients: connections are there before they are needed, and what fails is told in our words."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from botocore import xform_name

import voiceloop as vl
from voiceloop import clock, errors
from voiceloop.aws.account import Access, Account, Keys
from voiceloop.aws.connections import Connections, Patience
from voiceloop.aws.faults import fault_of, translated
from voiceloop.testing.aws import Backing, Emulator

from .web import Asked, Authority, Told, Web, tunnel, until, web

pytestmark = pytest.mark.usefixtures("bare_environment")

Answer = Callable[[Asked], Told]

SPEECH = Told(body=b"\x00\x01" * 400, headers={"content-type": "audio/pcm", "x-amzn-RequestCharacters": "5"})
REFUSED = Told(403, b'{"message":"Missing Authentication Token"}')
WORDS = {"Text": "hello", "OutputFormat": "pcm", "VoiceId": "Joanna"}


def polly(asked: Asked) -> Told:
    return REFUSED if asked.path == "/" else SPEECH


@asynccontextmanager
async def speaking(
    authority: Authority, answer: Answer = polly, **settings: Any
) -> AsyncIterator[tuple[Web, Access, vl.Pool]]:
    async with web(answer, authority.server) as served, vl.Pool() as pool:
        account = Account(
            region="us-east-1",
            keys=Keys("AKIDEXAMPLE", "secret"),
            ca_bundle=authority.file,
            endpoints={"": served.url},
            **settings,
        )
        yield served, await account.access(pool), pool


async def call(access: Access, operation: str, *, deadline: float = 20.0, **params: Any) -> Any:
    method = getattr(await access.client("polly"), xform_name(operation))
    with clock.outside_work(), translated("polly", operation), anyio.fail_after(deadline):
        return await method(**params)


async def speak(access: Access) -> bytes:
    answer = await call(access, "SynthesizeSpeech", **WORDS)
    async with answer["AudioStream"] as stream:
        return await stream.read()


async def test_warm_makes_the_connection_that_the_next_call_uses(authority: Authority) -> None:
    async with speaking(authority) as (served, access, _):
        await access.warm("polly")
        assert served.connections == 1
        assert await speak(access) == SPEECH.body
        assert served.connections == 1
        assert [asked.method for asked in served.asked] == ["GET", "POST"]
        assert "authorization" not in served.asked[0].headers


async def test_a_warm_client_is_not_warmed_again(authority: Authority) -> None:
    async with speaking(authority) as (served, access, _):
        await access.warm("polly", 2)
        before = len(served.asked)
        for _ in range(3):
            await speak(access)
            await access.warm("polly")
        assert len(served.asked) == before + 3, "only the calls themselves"


async def test_after_the_service_hung_up_warm_opens_anew_before_the_call(authority: Authority) -> None:
    async with speaking(authority) as (served, access, _):
        await access.warm("polly")
        await served.hang_up()
        await wait_for_idle(access, 0)
        await access.warm("polly")
        warmed = served.connections
        await speak(access)
        assert served.connections == warmed > 1


async def wait_for_idle(access: Access, count: int) -> None:
    """Until this side has seen what the other did to the connections."""
    opened = await connections(access)
    await until(lambda: opened.idle == count)


async def connections(access: Access) -> Connections:
    await access.client("polly")
    opened = (await access.service("polly")).connections
    assert isinstance(opened, Connections)
    return opened


async def test_fifty_sessions_that_warm_at_once_each_find_a_connection(authority: Authority) -> None:
    async with speaking(authority, polly) as (served, access, _):
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(access.warm, "polly", 2)
        warmed = served.connections
        assert warmed >= 100
        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(speak, access)
        assert served.connections == warmed, "no handshake between the end of speech and the first audio"
        assert (await connections(access)).idle == warmed


async def test_sessions_that_warm_one_after_another_each_find_a_connection(authority: Authority) -> None:
    def slow(asked: Asked) -> Told:
        return REFUSED if asked.path == "/" else Told(SPEECH.status, SPEECH.body, SPEECH.headers, after=0.1)

    async with speaking(authority, slow) as (served, access, _):
        for _ in range(10):
            await access.warm("polly")
        warmed = served.connections
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(speak, access)
        assert served.connections == warmed
        assert served.most_at_once == 10, "nobody queued"
        assert sum(asked.path == "/" for asked in served.asked) <= 40, "few requests for it"


async def test_the_emulator_keeps_warmed_connections_and_records_no_call(pool: vl.Pool) -> None:
    async with Emulator(Backing.scripted()) as aws:
        access = await aws.account().access(pool)
        await access.warm("polly", 2)
        assert aws.calls == []
        await call(access, "DescribeVoices")
        assert [each.connection <= 2 for each in aws.calls] == [True]
        await pool.aclose()


async def test_an_answer_being_read_is_no_idle_connection(authority: Authority) -> None:
    long = Told(body=bytes(4_000_000), headers=SPEECH.headers)
    async with speaking(authority, lambda asked: REFUSED if asked.path == "/" else long) as (served, access, _):
        answer = await call(access, "SynthesizeSpeech", **WORDS)
        await access.warm("polly")
        assert served.connections == 2
        async with answer["AudioStream"] as stream:
            await stream.read()
        assert (await connections(access)).idle == 2


async def test_warming_what_cannot_be_reached_fails_at_the_call(authority: Authority) -> None:
    async with web(polly, authority.server) as gone:
        url = gone.url
    async with vl.Pool() as pool:
        account = Account("us-east-1", keys=Keys("a", "b"), ca_bundle=authority.file, endpoints={"": url})
        access = await account.access(pool)
        await access.warm("polly", 3)
        with pytest.raises(errors.ProviderUnavailable, match=r"(?i)could not connect") as failure:
            await call(access, "DescribeVoices")
        assert failure.value.retryable
        assert failure.value.provider == "Amazon Polly"


async def test_an_untrusted_certificate_is_refused_and_not_tried_again(authority: Authority) -> None:
    async with web(polly, authority.server) as served, vl.Pool() as pool:
        access = await Account("us-east-1", keys=Keys("a", "b"), endpoints={"": served.url}).access(pool)
        with pytest.raises(errors.ProviderUnavailable, match="AWS_CA_BUNDLE") as failure:
            await speak(access)
        assert not failure.value.retryable
        assert not served.asked


async def test_a_certificate_for_another_host_is_refused(authority: Authority) -> None:
    async with web(polly, authority.elsewhere) as served, vl.Pool() as pool:
        account = Account("us-east-1", keys=Keys("a", "b"), ca_bundle=authority.file, endpoints={"": served.url})
        with pytest.raises(errors.ProviderUnavailable, match="AWS_CA_BUNDLE"):
            await speak(await account.access(pool))
        assert not served.asked


DENIED = Told(
    403,
    b'{"Message":"User: arn:aws:iam::111122223333:user/bob is not authorized to perform: polly:SynthesizeSpeech on '
    b'resource: arn:aws:polly:us-east-1:111122223333:lexicon/names because no identity-based policy allows it"}',
    {"x-amzn-ErrorType": "AccessDeniedException"},
)


async def test_a_refusal_names_action_and_resource(authority: Authority) -> None:
    async with speaking(authority, lambda asked: DENIED) as (served, access, _):
        with pytest.raises(errors.ProviderRefused) as failure:
            await speak(access)
        assert len(served.asked) == 1
        assert "polly:SynthesizeSpeech on arn:aws:polly:us-east-1:111122223333:lexicon/names" in failure.value.hint
        fault = fault_of(failure.value)
        assert fault is not None
        assert (fault.status, fault.code, fault.request_id) == (403, "AccessDeniedException", "req-1")


async def test_a_request_that_the_model_does_not_take_says_nothing_of_its_text(authority: Authority) -> None:
    async with speaking(authority) as (served, access, _):
        with pytest.raises(errors.ProviderRefused) as failure:
            await call(access, "SynthesizeSpeech", Text=["my secret words"], OutputFormat="pcm")
        assert not served.asked
        cause = failure.value.__cause__
        assert "secret words" not in f"{failure.value!r} {failure.value} {cause!r} {cause}"


async def test_a_debug_log_of_everything_has_no_token_and_no_words(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with web(polly, authority.server) as served, vl.Pool() as pool:
        keys = Keys("AKIDEXAMPLE", "hush-secret", "hush-token")
        account = Account("us-east-1", keys=keys, ca_bundle=authority.file, endpoints={"": served.url})
        await call(await account.access(pool), "SynthesizeSpeech", **{**WORDS, "Text": "hush, my dear"})
    assert served.asked[0].headers["x-amz-security-token"] == "hush-token"
    assert "hush" not in caplog.text


async def test_cancelling_a_call_closes_its_connection_and_leaves_the_client_usable(authority: Authority) -> None:
    slow = Told(body=SPEECH.body, after=30)
    asked_once = asyncio.Event()

    def answer(asked: Asked) -> Told:
        if asked_once.is_set():
            return SPEECH
        asked_once.set()
        return slow

    async with speaking(authority, answer) as (_, access, _pool):
        async with anyio.create_task_group() as group:
            group.start_soon(speak, access)
            await asked_once.wait()
            group.cancel_scope.cancel()
        await wait_for_idle(access, 0)
        assert await speak(access) == SPEECH.body


async def test_closing_the_pool_closes_every_connection(authority: Authority) -> None:
    async with web(polly, authority.server) as served:
        async with vl.Pool() as pool:
            account = Account("us-east-1", keys=Keys("a", "b"), ca_bundle=authority.file, endpoints={"": served.url})
            access = await account.access(pool)
            await access.warm("polly", 3)
            assert served.open == 3
        await until(lambda: not served.open)


async def test_a_call_that_goes_on_while_the_pool_closes_fails_as_a_lost_connection(authority: Authority) -> None:
    async with web(polly, authority.server) as served:
        async with vl.Pool() as pool:
            account = Account("us-east-1", keys=Keys("a", "b"), ca_bundle=authority.file, endpoints={"": served.url})
            client = await (await account.access(pool)).client("polly")
        with pytest.raises(errors.ProviderUnavailable), translated("polly", "SynthesizeSpeech"):
            await client.synthesize_speech(**WORDS)


async def test_how_long_an_answer_may_take_is_for_who_asks_to_say(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voiceloop.aws.connections.Patience", functools.partial(Patience, read=0.1))

    def answer(asked: Asked) -> Told:
        return Told(body=SPEECH.body, headers=SPEECH.headers, after=0.3)

    async with speaking(authority, answer) as (served, access, _):
        assert await speak(access) == SPEECH.body
        with pytest.raises(errors.ProviderTimeout):
            await call(access, "SynthesizeSpeech", deadline=0.1, **WORDS)
    assert len(served.asked) == 2


async def test_sessions_of_a_pool_share_a_client_and_other_keys_do_not(authority: Authority) -> None:
    async with speaking(authority) as (_, access, pool):
        again = await access.account.access(pool)
        assert again is access
        assert await again.client("polly") is await access.client("polly")
        other = await Account(
            region="us-east-1",
            keys=Keys("AKIDEXAMPLE", "another secret"),
            ca_bundle=authority.file,
            endpoints=access.account.endpoints,
        ).access(pool)
        assert await other.client("polly") is not await access.client("polly")
        assert await other.tls() is await access.tls()


async def test_a_proxy_is_used_and_the_certificate_behind_it_still_checked(
    authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path)
    async with tunnel() as (proxy, tunnels), web(polly, stranger.server) as served, vl.Pool() as pool:
        good = Account(
            "us-east-1", keys=Keys("a", "b"), ca_bundle=stranger.file, endpoints={"": served.url}, proxy=proxy
        )
        assert await speak(await good.access(pool)) == SPEECH.body
        assert tunnels == [served.url.removeprefix("https://")]
        bad = Account(
            "us-east-1", keys=Keys("a", "b"), ca_bundle=authority.file, endpoints={"": served.url}, proxy=proxy
        )
        with pytest.raises(errors.ProviderUnavailable, match="AWS_CA_BUNDLE"):
            await speak(await bad.access(pool))


async def test_a_proxy_that_refuses_is_named_without_its_password(authority: Authority) -> None:
    async with tunnel(allow=False) as (proxy, _), web(polly, authority.server) as served, vl.Pool() as pool:
        account = Account(
            "us-east-1",
            keys=Keys("a", "b"),
            ca_bundle=authority.file,
            endpoints={"": served.url},
            proxy=proxy.replace("http://", "http://me:hunter2@"),
        )
        with pytest.raises(errors.ProviderUnavailable, match="HTTPS_PROXY") as failure:
            await speak(await account.access(pool))
        assert "hunter2" not in f"{failure.value} {failure.value.__cause__!r} {account!r}"
