"""Every way in which a server fails: the error says what to do, a retry happens where it helps, nobody is quoted."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from typing import Any

import anyio
import pytest
from aiohttp import web

import voiceloop as vl
from voiceloop.conversation import Message, TextPart
from voiceloop.errors import (
    ProviderError,
    ProviderMisbehaved,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
)
from voiceloop.interfaces import ReasonerItem, ReasonerRequest, Stop, TextDelta
from voiceloop.openai import ChatCompletions
from voiceloop.openai.address import proxy_of
from voiceloop.openai.faults import Refusal, error_of, nothing_there, unknown_model
from voiceloop.rules.backoff import Backoff

from .model_server import DONE, WAIT, ModelServer, chunk, refused, said

QUICK = Backoff(first=0.0, attempts=3)
SECRET = "My code word is aubergine seventeen."
HELLO = (Message("user", (TextPart(SECRET),)),)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def pool() -> AsyncIterator[vl.Pool]:
    async with vl.Pool() as pool:
        yield pool


def asked(url: str, model: str | None = "llama", **more: Any) -> ChatCompletions:
    return ChatCompletions(model, base_url=url, **{"backoff": QUICK, **more})


async def items_of(server: ModelServer, pool: vl.Pool) -> list[ReasonerItem]:
    async with asked(server.url).reply(ReasonerRequest(HELLO, pool)) as items:
        return [item async for item in items]


async def failure(reasoner: ChatCompletions, pool: vl.Pool) -> ProviderError:
    with pytest.raises(ProviderError) as caught, anyio.fail_after(20):
        async with reasoner.reply(ReasonerRequest(HELLO, pool)) as items:
            async for _ in items:
                pass
    text = str(caught.value)
    assert "aubergine" not in text
    assert "sk-" not in text
    return caught.value


async def fails(pool: vl.Pool, *answers: Any, **more: Any) -> tuple[ProviderError, ModelServer]:
    options = {name: more.pop(name) for name in ("models", "key") if name in more}
    async with ModelServer(*answers, **options).running() as server:
        return await failure(asked(server.url, **more), pool), server


# ---------------------------------------------------------------- nobody there


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_no_server(pool: vl.Pool) -> None:
    port = _free_port()
    error = await failure(asked(f"http://127.0.0.1:{port}/v1"), pool)
    assert isinstance(error, ProviderUnavailable)
    assert f"no server at http://127.0.0.1:{port} (while asking" in str(error)
    assert "Start it" in error.hint
    assert error.retryable
    assert isinstance(await failure(asked(f"http://127.0.0.1:{port}/v1", None), pool), ProviderUnavailable)


@pytest.mark.parametrize(
    ("port", "how"),
    [(11434, "ollama serve"), (8080, "llama-server"), (1234, "lms server start"), (8000, "vllm serve")],
)
def test_how_each_is_started(port: int, how: str) -> None:
    assert how in nothing_there(f"http://127.0.0.1:{port}/v1").hint


async def test_a_name_that_is_nowhere(pool: vl.Pool) -> None:
    error = await failure(asked("http://nowhere.invalid:1/v1"), pool)
    assert isinstance(error, ProviderUnavailable)
    assert "nowhere.invalid cannot be resolved" in str(error)


async def test_https_to_a_server_of_plain_http(pool: vl.Pool) -> None:
    async with ModelServer(said("Yes.")).running() as server:
        error = await failure(asked(server.url.replace("http:", "https:")), pool)
    assert isinstance(error, ProviderRefused)
    assert "give http://" in error.hint


async def test_a_certificate_that_nobody_trusts(pool: vl.Pool) -> None:
    trustme = pytest.importorskip("trustme")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    runner = web.AppRunner(web.Application())
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        error = await failure(asked(f"https://127.0.0.1:{runner.addresses[0][1]}/v1"), pool)
    finally:
        await runner.cleanup()
    assert isinstance(error, ProviderRefused)
    assert "SSL_CERT_FILE" in error.hint


async def test_a_proxy_that_is_not_there_and_whose_password_is_not_shown(
    pool: vl.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = f"http://user:password@127.0.0.1:{_free_port()}"
    monkeypatch.setenv("http_proxy", proxy)
    assert proxy_of("http://models.example/v1") == proxy
    assert proxy_of("http://127.0.0.1:11434/v1") is None
    assert proxy_of("https://models.example/v1") is None
    error = await failure(asked("http://models.example/v1"), pool)
    assert "HTTP_PROXY" in error.hint
    assert "password" not in str(error)
    monkeypatch.setenv("no_proxy", "models.example")
    assert proxy_of("http://models.example/v1") is None


# ---------------------------------------------------------------- answers that are none


@pytest.mark.parametrize("status", [401, 403])
async def test_a_key_that_is_missing_or_wrong(status: int, pool: vl.Pool) -> None:
    error, server = await fails(pool, refused(status, "Incorrect API key provided: sk-se***et."))
    assert isinstance(error, ProviderRefused)
    assert "OPENAI_API_KEY" in error.hint
    assert not error.retryable
    assert len(server.requests) == 1


async def test_a_model_that_is_not_there(pool: vl.Pool) -> None:
    told = refused(404, 'model "qwen3" not found, try pulling it first')
    error, _ = await fails(pool, told, models=("qwen3:8b", "llama3.2"), model="qwen3")
    assert isinstance(error, ProviderRefused)
    assert "unknown model 'qwen3'. Did you mean 'qwen3:8b'" in str(error)
    assert "llama3.2" in str(error)
    assert "ollama pull qwen3" in unknown_model("qwen3", ["a"], "http://127.0.0.1:11434/v1").hint


async def test_an_address_without_chat_completions(pool: vl.Pool) -> None:
    async with ModelServer(said("Yes.")).running() as server:
        error = await failure(asked(server.url.removesuffix("/v1")), pool)
    assert isinstance(error, ProviderRefused)
    assert "ends in /v1" in error.hint


async def test_a_server_that_lists_no_model(pool: vl.Pool) -> None:
    for models in ((), None, ("nomic-embed-text",)):
        error, _ = await fails(pool, said("Yes."), models=models, model=None)
        assert isinstance(error, ProviderRefused)
        assert "lists no model" in str(error)


async def test_a_chosen_model_that_is_gone_is_chosen_anew(pool: vl.Pool) -> None:
    async with ModelServer(
        refused(404, "The model `old` does not exist."), said("Yes."), models=["old"]
    ).running() as server:
        asking = asked(server.url, None)
        await asking.prepare(pool)
        server.models = ["new"]
        assert "unknown model 'old'" in str(await failure(asking, pool))
        async with asking.reply(ReasonerRequest(HELLO, pool)) as items:
            assert await anext(items) == TextDelta("Yes.")
        assert server.requests[-1]["model"] == "new"


REFUSALS: list[tuple[Any, type[ProviderError], bool, str]] = [
    (refused(429, "Rate limit reached", code="rate_limit_exceeded"), ProviderRefused, True, "too many requests"),
    (refused(429, "You exceeded your quota", code="insufficient_quota"), ProviderRefused, False, "no credit"),
    (
        refused(400, "This model's maximum context length is 4096 tokens."),
        ProviderRefused,
        False,
        "num|CONTEXT_LENGTH",
    ),
    (refused(400, "too long", type="exceed_context_size_error context_size"), ProviderRefused, False, "longer than"),
    (refused(400, "library/gemma3:1b does not support tools"), ProviderRefused, False, "cannot call tools"),
    (refused(400, '"auto" tool choice requires --enable-auto-tool-choice'), ProviderRefused, False, "vLLM"),
    (refused(503, "Loading model", type="unavailable_error"), ProviderUnavailable, True, "still loading"),
    (refused(500, "out of memory"), ProviderUnavailable, True, "HTTP 500.*out of memory"),
    (refused(502), ProviderUnavailable, True, "HTTP 502"),
    (refused(418, "I am a teapot"), ProviderRefused, False, "HTTP 418.*teapot"),
    (web.Response(status=500, text="<html>no JSON</html>"), ProviderUnavailable, True, "HTTP 500"),
    (
        web.Response(status=307, headers={"Location": "http://127.0.0.1:9/"}),
        ProviderRefused,
        False,
        "leads elsewhere",
    ),
    (web.json_response({"error": "a mere text"}, status=400), ProviderRefused, False, "a mere text"),
    (web.json_response({"detail": "Not allowed here"}, status=405), ProviderRefused, False, "Not allowed here"),
]


@pytest.mark.parametrize(("refusal", "kind", "again", "named"), REFUSALS)
async def test_each_refusal_says_whether_to_try_again(
    refusal: Any, kind: type[ProviderError], again: bool, named: str, pool: vl.Pool
) -> None:
    error, server = await fails(pool, refusal)
    assert type(error) is kind
    assert error.retryable is again
    assert len(server.requests) == (3 if again else 1)
    with pytest.raises(kind, match=named):
        raise error


async def test_a_wait_that_the_server_asks_for_is_told_when_it_is_too_long(pool: vl.Pool) -> None:
    error, server = await fails(pool, refused(429, "Slow down", {"Retry-After": "20"}))
    assert "It asks to wait 20 s" in error.hint
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "message",
    [
        f"[{{'type': 'string_type', 'input': '{SECRET}'}}]",
        "bad input: ...code word is aubergine...",
        "MY CODE WORD",
    ],
)
async def test_a_refusal_that_quotes_what_was_said_is_not_shown(message: str, pool: vl.Pool) -> None:
    error, _ = await fails(pool, refused(418, message, code="bad_input"))
    assert str(error).endswith("(HTTP 418): bad_input (while asking for a reply)")


@pytest.mark.parametrize("spoken", ["", "  ", "?!"])
def test_words_are_shown_beside_a_conversation_of_none(spoken: str) -> None:
    error = error_of(Refusal(418, "", "A teapot"), base_url="http://h", model="m", said=[spoken])
    assert "A teapot" in str(error)


# ---------------------------------------------------------------- answers that go wrong


@pytest.mark.parametrize(
    "steps",
    [
        [b"data: <html>\n\n"],
        [b"data: 7\n\n"],
        [b"data: " + b"x" * 1_100_000],
    ],
)
async def test_a_stream_that_is_none(steps: Sequence[bytes], pool: vl.Pool) -> None:
    error, server = await fails(pool, steps)
    assert isinstance(error, ProviderMisbehaved)
    assert len(server.requests) == 1


async def test_a_page_instead_of_a_stream(pool: vl.Pool) -> None:
    error, _ = await fails(pool, web.Response(text="<html>Welcome</html>", content_type="text/html"))
    assert isinstance(error, ProviderMisbehaved)
    assert "text/html" in str(error)
    assert "/v1" in error.hint


async def test_json_that_is_no_completion(pool: vl.Pool) -> None:
    error, _ = await fails(pool, web.Response(text="[]", content_type="application/json"))
    assert isinstance(error, ProviderMisbehaved)
    told = {"error": {"message": "out of memory", "code": 500}}
    error, _ = await fails(pool, web.json_response(told))
    assert isinstance(error, ProviderUnavailable)


async def test_a_server_that_does_not_stream_is_read_all_the_same(pool: vl.Pool) -> None:
    message = {"role": "assistant", "content": "Yes."}
    whole = web.json_response({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
    async with ModelServer(whole).running() as server:
        assert await items_of(server, pool) == [TextDelta("Yes."), Stop("end")]


@pytest.mark.parametrize(
    ("told", "kind", "again"),
    [
        ({"error": {"message": "Overloaded", "type": "server_error"}}, ProviderUnavailable, True),
        ({"error": {"message": "Slow down", "code": 429}}, ProviderRefused, True),
        ({"error": {"message": "too long", "code": "context_length_exceeded"}}, ProviderRefused, False),
        ({"error": "unexpected EOF"}, ProviderUnavailable, True),
    ],
)
async def test_an_error_in_the_stream(told: Any, kind: type[ProviderError], again: bool, pool: vl.Pool) -> None:
    error, server = await fails(pool, [told])
    assert type(error) is kind
    assert error.retryable is again
    assert len(server.requests) == (3 if again else 1)
    error, server = await fails(pool, [chunk({"content": "Well"}), told])
    assert type(error) is kind
    assert len(server.requests) == 1, "what was begun is not begun again"


async def test_an_event_that_is_called_error(pool: vl.Pool) -> None:
    error, _ = await fails(pool, [b'event: error\ndata: {"message": "out of memory", "code": 507}\n\n'])
    assert isinstance(error, ProviderUnavailable)
    assert "HTTP 507" in str(error)


@pytest.mark.parametrize("steps", [[], [b": ping\n\n"], [chunk({"content": ""})], [b'data: {"choices": [\n']])
async def test_a_stream_that_breaks_off_before_a_word_is_asked_for_again(steps: list[Any], pool: vl.Pool) -> None:
    async with ModelServer(steps, steps, said("Yes.")).running() as server:
        async with asked(server.url).reply(ReasonerRequest(HELLO, pool)) as items:
            assert (await anext(items)) == TextDelta("Yes.")
        assert len(server.requests) == 3


async def test_a_stream_that_breaks_off_after_a_word_is_an_error(pool: vl.Pool) -> None:
    error, server = await fails(pool, [chunk({"content": "Well"})])
    assert isinstance(error, ProviderUnavailable)
    assert error.retryable
    assert len(server.requests) == 1


@pytest.mark.parametrize("end", [[chunk({}, "stop")], [chunk({}, "stop"), WAIT], [DONE], [DONE, WAIT]])
async def test_ends_that_are_one(end: list[Any], pool: vl.Pool) -> None:
    async with ModelServer([chunk({"content": "Yes."}), *end]).running() as server:
        assert await items_of(server, pool) == [TextDelta("Yes."), Stop("end")]


@pytest.mark.parametrize("steps", [[WAIT], [b": ping\n\n", WAIT], [chunk({"content": "Well"}), WAIT]])
async def test_a_server_that_stands_still(steps: list[Any], pool: vl.Pool) -> None:
    error, _ = await fails(pool, steps, timeout=0.2, backoff=Backoff(attempts=1))
    assert isinstance(error, ProviderTimeout)
    assert "timeout=" in error.hint


async def test_a_server_that_does_not_even_answer(pool: vl.Pool) -> None:
    async def silent(stream: Any) -> None:
        async with stream:
            await anyio.sleep_forever()

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as group,
    ):
        group.start_soon(listener.serve, silent)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        url = f"http://127.0.0.1:{port}/v1"
        error = await failure(asked(url, timeout=0.2, backoff=Backoff(attempts=1)), pool)
        group.cancel_scope.cancel()
    assert isinstance(error, ProviderTimeout)


async def test_what_is_no_http(pool: vl.Pool) -> None:
    async def rude(stream: Any) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"SSH-2.0-OpenSSH\r\n\r\n")

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as group,
    ):
        group.start_soon(listener.serve, rude)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        error = await failure(asked(f"http://127.0.0.1:{port}/v1"), pool)
        group.cancel_scope.cancel()
    assert isinstance(error, ProviderUnavailable)
    assert "the connection broke off" in str(error)
