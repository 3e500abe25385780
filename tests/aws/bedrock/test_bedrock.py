"""Bedrock against the emulated Converse, and against answers that the emulator would not give by itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import pytest
from attrs import define, field

from voiceloop.aws import Account, Bedrock, Keys
from voiceloop.aws.faults import fault_of
from voiceloop.aws.wire.stream import Message as Frame
from voiceloop.conversation import Message, TextPart, ToolCallPart, ToolResultPart
from voiceloop.engine.pool import Pool
from voiceloop.errors import (
    ProviderError,
    ProviderMisbehaved,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
    UnknownName,
)
from voiceloop.interfaces import ReasonerItem, ReasonerRequest, ReasonerUsage, Stop, TextDelta, ToolCall
from voiceloop.rules.backoff import Backoff
from voiceloop.testing.aws import Backing, Emulator, Fault
from voiceloop.testing.aws.exchange import Refusal, Request, Response, RestService
from voiceloop.testing.aws.frames import encode
from voiceloop.testing.conformance import check_reasoner
from voiceloop.tools import Tool

QUICK = Backoff(first=0.0, attempts=3)
HELLO = (Message("user", (TextPart("Hello"),)),)


async def _noon(**_: Any) -> str:
    return "noon"


TIME = Tool("time", "The time.", {"type": "object", "properties": {}}, _noon)


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    async with Pool() as pool:
        yield pool


def scripted(*replies: Any, faults: Sequence[Fault] = ()) -> Emulator:
    return Emulator(Backing.scripted(replies=list(replies)), faults=faults)


def bedrock(aws: Emulator, model: str | None = None, **more: Any) -> Bedrock:
    return Bedrock(model, account=aws.account(), **{"backoff": QUICK, **more})


async def reply(
    reasoner: Bedrock, pool: Pool, messages: Sequence[Message] = HELLO, **more: Any
) -> list[ReasonerItem]:
    async with reasoner.reply(ReasonerRequest(tuple(messages), pool, **more)) as items:
        return [item async for item in items]


def words(items: Sequence[ReasonerItem]) -> str:
    return "".join(item.text for item in items if isinstance(item, TextDelta))


def statuses(aws: Emulator) -> list[int | None]:
    return [call.status for call in aws.calls if call.operation == "ConverseStream"]


# ---------------------------------------------------------------- against the emulated Converse


async def test_it_keeps_the_contract_of_a_reasoner() -> None:
    async with scripted("Good day to you.") as aws:
        await check_reasoner(lambda: bedrock(aws))


async def test_a_reply_with_its_usage_and_reason(pool: Pool) -> None:
    async with scripted("Good day to you.") as aws:
        items = await reply(bedrock(aws), pool, instructions="Be kind.")
        assert words(items) == "Good day to you."
        assert isinstance(items[-2], ReasonerUsage)
        assert items[-2].amounts["output_tokens"] > 0
        assert items[-1] == Stop("end")
        assert {action for action, _ in aws.actions} == {"bedrock:InvokeModelWithResponseStream"}
        assert any("us.anthropic.claude-haiku-5-5" in resource for _, resource in aws.actions)


async def test_tools_in_parallel_and_their_results(pool: Pool) -> None:
    calls = [ToolCall("c1", "time", {"zone": "UTC"}), ToolCall("c2", "time", {})]
    async with scripted(["Wait.", *calls], "It is noon.") as aws:
        thinking = bedrock(aws, "us.anthropic.claude-haiku-5-5")  # it thinks by itself: the thoughts are replayed
        items = await reply(thinking, pool, tools=(TIME,))
        assert [item for item in items if isinstance(item, ToolCall)] == calls
        assert items[-1] == Stop("tools")

        said = (TextPart("Wait."), *(ToolCallPart(c.call, c.name, c.arguments) for c in calls))  # type: ignore[arg-type]
        results = tuple(ToolResultPart(c.call, c.name, "noon") for c in calls)
        later = (*HELLO, Message("assistant", said), Message("user", results))
        assert words(await reply(thinking, pool, later, tools=(TIME,))) == "It is noon."


async def test_a_length_limit_is_told(pool: Pool) -> None:
    async with scripted("one two three four five") as aws:
        items = await reply(bedrock(aws, max_tokens=2), pool)
        assert items[-1] == Stop("length")


async def test_a_refused_temperature_is_left_out_from_then_on(pool: Pool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with scripted("Yes.") as aws:
        asked = bedrock(aws, temperature=0.2, top_p=0.5)
        for _ in range(2):
            assert words(await reply(asked, pool)) == "Yes."
        assert statuses(aws) == [400, 400, 200, 200]
    told = [record.getMessage() for record in caplog.records if record.name.startswith("voiceloop.aws.bedrock")]
    assert [("temperature" in line, "topP" in line) for line in told] == [(True, False), (False, True)]


async def test_a_model_that_takes_one_of_the_two_keeps_its_temperature(pool: Pool) -> None:
    async with scripted("Yes.") as aws:
        asked = bedrock(aws, "us.anthropic.claude-haiku-4-5-20251001-v1:0", temperature=0.2, top_p=0.5)
        assert words(await reply(asked, pool)) == "Yes."
        assert statuses(aws) == [400, 200]


async def test_a_model_without_on_demand_throughput_names_its_profile(pool: Pool) -> None:
    async with scripted("Yes.") as aws:
        with pytest.raises(ProviderRefused, match=r"'us\.anthropic\.claude-sonnet-5-5'"):
            await reply(bedrock(aws, "anthropic.claude-sonnet-5-5"), pool)
        assert statuses(aws) == [400]


async def test_a_cached_prefix_is_read_the_second_time(pool: Pool) -> None:
    async with scripted("Yes.") as aws:
        usage = []
        for _ in range(2):
            items = await reply(bedrock(aws, cache=True), pool, instructions="Be kind. " * 1000)
            usage += [item.amounts for item in items if isinstance(item, ReasonerUsage)]
        assert usage[0]["cache_write_tokens"] > 1000
        assert usage[1]["cache_read_tokens"] == usage[0]["cache_write_tokens"]


async def test_an_unknown_forced_tool(pool: Pool) -> None:
    async with scripted("Yes.") as aws:
        with pytest.raises(UnknownName, match="'tme'"):
            await reply(bedrock(aws, tool_choice="tme"), pool, tools=(TIME,))


@pytest.mark.parametrize("kind", ["throttle", "unavailable", "drop", "bad_crc", "truncate"])
async def test_what_may_pass_is_tried_again_before_the_first_event(kind: str, pool: Pool) -> None:
    async with scripted("Yes.", faults=[Fault(kind, "ConverseStream")]) as aws:
        assert words(await reply(bedrock(aws), pool)) == "Yes."
        assert len(statuses(aws)) == 2


@pytest.mark.parametrize(("kind", "attempts"), [("throttle", 3), ("access_denied", 1), ("expired_token", 1)])
async def test_what_does_not_pass_is_told(kind: str, attempts: int, pool: Pool) -> None:
    async with scripted("Yes.", faults=[Fault(kind, "ConverseStream", times=None)]) as aws:
        with pytest.raises(ProviderError) as error:
            await reply(bedrock(aws), pool)
        assert len(statuses(aws)) == attempts
        assert fault_of(error.value) is not None
        assert error.value.provider == "Amazon Bedrock"
        assert error.value.hint


@pytest.mark.parametrize("kind", ["drop", "bad_crc", "truncate"])
async def test_after_the_first_words_nothing_is_tried_again(kind: str, pool: Pool) -> None:
    async with scripted("one two three", faults=[Fault(kind, "ConverseStream", at=3)]) as aws:
        heard = []
        with pytest.raises(ProviderError) as error:
            async with bedrock(aws).reply(ReasonerRequest(HELLO, pool)) as items:
                async for item in items:
                    heard.append(item)  # noqa: PERF401 - what came before the error counts
        assert words(heard)
        assert error.value.retryable
        assert len(statuses(aws)) == 1


@pytest.mark.parametrize("at", [0, 3])
async def test_a_stall_ends_in_time(at: int, pool: Pool) -> None:
    async with scripted("one two three", faults=[Fault("stall", "ConverseStream", at=at)]) as aws:
        with pytest.raises(ProviderTimeout):
            await reply(bedrock(aws, timeout=0.2, gap=0.2, backoff=Backoff(attempts=1)), pool)


@pytest.mark.parametrize("kind", ["drip", "split"])
async def test_any_cut_of_the_bytes_reads_the_same(kind: str, pool: Pool) -> None:
    async with scripted("one two", faults=[Fault(kind, "ConverseStream", seconds=0.0)]) as aws:
        assert words(await reply(bedrock(aws), pool)) == "one two"


# ---------------------------------------------------------------- against answers of our own


@define(eq=False)
class Answers(RestService):
    """Gives each request the next of ``answers``: events, an in-stream exception, or a Refusal; keeps what it saw."""

    service = "bedrock-runtime"

    answers: Sequence[Any]
    bodies: list[Mapping[str, Any]] = field(factory=list)
    connections: list[int] = field(factory=list)

    def operation(self, method: str, path: str) -> str | None:
        return "ConverseStream" if method == "POST" else None

    def actions(self, request: Request) -> tuple[tuple[str, str], ...]:
        return (("bedrock:InvokeModelWithResponseStream", "*"),)

    async def answer(self, request: Request) -> Response:
        self.bodies.append(json.loads(request.body))
        self.connections.append(request.caller.connection)
        answer = self.answers[min(len(self.bodies), len(self.answers)) - 1]
        if isinstance(answer, Refusal):
            raise answer
        return Response(200, {"content-type": "application/vnd.amazon.eventstream"}, self._stream(answer))

    async def _stream(self, answer: Sequence[Any]) -> AsyncIterator[bytes]:
        for event in answer:
            yield event if isinstance(event, bytes) else frame("event", *event)


def frame(kind: str, name: str, told: Mapping[str, Any]) -> bytes:
    headers = {":message-type": kind, f":{kind}-type": name, ":content-type": "application/json"}
    return encode(Frame(headers, json.dumps(told).encode()))


def said(text: str, reason: str | None = "end_turn", *, usage: bool = True) -> list[Any]:
    events: list[Any] = [
        ("messageStart", {"role": "assistant", "p": "abc"}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": text}, "p": "abcdef"}),
        ("contentBlockStop", {"contentBlockIndex": 0, "p": ""}),
    ]
    if reason is not None:
        events.append(("messageStop", {"stopReason": reason}))
    if usage:
        events.append(("metadata", {"usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}}))
    return events


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Any]]:
    """Starts an emulator that gives ``answers``; returns it, and what it saw."""
    async with AsyncExitStack() as stack:

        async def start(*answers: Any) -> tuple[Emulator, Answers]:
            service = Answers(answers)
            emulator = Emulator(Backing.scripted(), services=lambda stage: [service])
            return await stack.enter_async_context(emulator), service

        yield start


@pytest.mark.parametrize(
    ("name", "kind", "retryable"),
    [
        ("internalServerException", ProviderUnavailable, True),
        ("modelStreamErrorException", ProviderUnavailable, True),
        ("validationException", ProviderRefused, False),
        ("throttlingException", ProviderError, True),
        ("serviceUnavailableException", ProviderUnavailable, True),
    ],
)
async def test_exceptions_in_the_stream(
    name: str, kind: type[ProviderError], retryable: bool, serve: Any, pool: Pool
) -> None:
    broken = [*said("Well", None, usage=False), frame("exception", name, {"message": "That is how it is."})]
    aws, service = await serve(broken)
    heard = []
    with pytest.raises(kind, match="That is how it is") as error:
        async with bedrock(aws).reply(ReasonerRequest(HELLO, pool)) as items:
            async for item in items:
                heard.append(item)  # noqa: PERF401 - what came before the error counts
    assert heard == [TextDelta("Well")]
    assert error.value.retryable == retryable
    assert getattr(fault_of(error.value), "code", None) == name
    assert len(service.bodies) == 1


async def test_an_exception_as_the_first_event_is_tried_again(serve: Any, pool: Pool) -> None:
    aws, service = await serve([frame("exception", "throttlingException", {"message": "Slow down"})], said("Yes."))
    assert words(await reply(bedrock(aws), pool)) == "Yes."
    assert len(service.bodies) == 2


@pytest.mark.parametrize("ending", [[frame("exception", "serviceUnavailableException", {"message": "No"})], []])
@pytest.mark.parametrize("begun", [0, 1, 2])
async def test_a_reply_that_ends_before_anything_was_said_is_tried_again(
    begun: int, ending: list[bytes], serve: Any, pool: Pool
) -> None:
    thought = ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "Hm"}}})
    aws, service = await serve([*[("messageStart", {"role": "assistant"}), thought][:begun], *ending], said("Yes."))
    assert words(await reply(bedrock(aws), pool)) == "Yes."
    assert len(service.bodies) == 2


async def test_an_exception_that_botocore_does_not_know_is_told(serve: Any, pool: Pool) -> None:
    aws, _ = await serve([*said("Well", None, usage=False), frame("exception", "someNewException", {"message": "x"})])
    with pytest.raises(ProviderUnavailable, match="botocore"):
        await reply(bedrock(aws), pool)


async def test_a_reply_that_breaks_off_is_an_error(serve: Any, pool: Pool) -> None:
    aws, _ = await serve(said("Well", None, usage=False))
    with pytest.raises(ProviderUnavailable, match="broke off"):
        await reply(bedrock(aws), pool)


async def test_a_reply_without_usage_is_whole(serve: Any, pool: Pool) -> None:
    aws, _ = await serve(said("Yes.", usage=False))
    assert await reply(bedrock(aws), pool) == [TextDelta("Yes."), Stop("end")]


@pytest.mark.parametrize("reason", ["malformed_model_output", "malformed_tool_use"])
async def test_a_malformed_reply_is_told(reason: str, serve: Any, pool: Pool) -> None:
    aws, _ = await serve(said("Ye", reason))
    with pytest.raises(ProviderMisbehaved, match=reason):
        await reply(bedrock(aws), pool)


async def test_unknown_events_are_passed_over(serve: Any, pool: Pool) -> None:
    aws, _ = await serve([("somethingNew", {"x": 1}), *said("Yes.")])
    assert words(await reply(bedrock(aws), pool)) == "Yes."


async def test_members_newer_than_botocores_model_are_sent(serve: Any, pool: Pool) -> None:
    aws, service = await serve(said("Yes."))
    asked = bedrock(aws, "us.anthropic.claude-haiku-5-5", reasoning="low", service_tier="priority")
    for _ in range(2):
        await reply(asked, pool)
    await reply(bedrock(aws), pool)
    first, second, plain = service.bodies
    assert first == second
    assert first["outputConfig"] == {"effort": "low"}
    assert first["serviceTier"] == {"type": "priority"}
    assert first["messages"] == [{"role": "user", "content": [{"text": "Hello"}]}]
    assert plain["additionalModelRequestFields"] == {"thinking": {"type": "disabled"}}
    assert "serviceTier" not in plain


async def test_redacted_reasoning_comes_back_byte_for_byte(serve: Any, pool: Pool) -> None:
    def thinking(delta: Mapping[str, Any]) -> Any:
        return ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": delta}})

    tool = {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "c1", "name": "time"}}}
    end = [("contentBlockStop", {"contentBlockIndex": 1}), ("messageStop", {"stopReason": "tool_use"})]
    aws, service = await serve(
        [thinking({"redactedContent": "AP8="}), ("contentBlockStart", tool), *end], said("Noon.")
    )
    asked = bedrock(aws)
    assert ToolCall("c1", "time", {}) in await reply(asked, pool, tools=(TIME,))
    call = Message("assistant", (ToolCallPart("c1", "time", {}),))
    await reply(asked, pool, (*HELLO, call, Message("user", (ToolResultPart("c1", "time", "noon"),))), tools=(TIME,))
    assert service.bodies[1]["messages"][1]["content"] == [
        {"reasoningContent": {"redactedContent": "AP8="}},
        {"toolUse": {"toolUseId": "c1", "name": "time", "input": {}}},
    ]


@define(eq=False)
class Watchful:
    """A server that answers with ``data`` and then waits, to see when its caller goes."""

    data: bytes
    url: str = ""
    gone: anyio.Event = field(factory=anyio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]))
        kind = b"content-type: application/vnd.amazon.eventstream"
        if self.data:
            size = f"{len(self.data):x}".encode()
            writer.write(b"HTTP/1.1 200 OK\r\n" + kind + b"\r\ntransfer-encoding: chunked\r\n\r\n")
            writer.write(size + b"\r\n" + self.data + b"\r\n")
        with contextlib.suppress(ConnectionError):
            await reader.read()
        self.gone.set()
        writer.transport.abort()


@asynccontextmanager
async def watchful(*events: tuple[str, Mapping[str, Any]]) -> AsyncIterator[tuple[Watchful, Account]]:
    watch = Watchful(b"".join(frame("event", *event) for event in events))
    server = await asyncio.start_server(watch.serve, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield watch, Account(region="us-east-1", keys=Keys("AKIDEXAMPLE", "secret"), endpoints={"": url})


@pytest.mark.parametrize("cancelled", [True, False])
async def test_leaving_early_frees_the_connection_at_once(cancelled: bool, pool: Pool) -> None:
    async with watchful(*said("Well", None, usage=False)) as (server, account):
        with anyio.CancelScope() as scope:
            async with Bedrock(account=account).reply(ReasonerRequest(HELLO, pool)) as items:
                assert await anext(items) == TextDelta("Well")
                if cancelled:
                    scope.cancel()
                    await anext(items)
        with anyio.fail_after(5):
            await server.gone.wait()


async def test_cancelling_before_an_answer_frees_the_connection_at_once(pool: Pool) -> None:
    async with watchful() as (server, account):
        with anyio.move_on_after(0.3) as scope:
            await reply(Bedrock(account=account), pool)
        assert scope.cancelled_caught
        with anyio.fail_after(5):
            await server.gone.wait()


async def test_one_connection_serves_one_reply_after_another(serve: Any, pool: Pool) -> None:
    aws, service = await serve(said("Yes."))
    asked = bedrock(aws)
    await asked.prepare(pool)
    for _ in range(3):
        await reply(asked, pool)
    async with asked.reply(ReasonerRequest(HELLO, pool)) as items:
        async for item in items:
            if isinstance(item, Stop):
                break  # before the answer's own end
    await reply(asked, pool)
    assert len(set(service.connections)) == 1
