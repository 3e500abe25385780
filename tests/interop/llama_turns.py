"""voiceloop's ChatCompletions against llama.cpp's own server; run by ``llama_cpp.py`` with its two URLs."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Sequence
from urllib.request import urlopen

import anyio

import voiceloop as vl
from voiceloop.conversation import ImagePart, Message, TextPart, ToolCallPart, ToolResultPart
from voiceloop.interfaces import ReasonerItem, ReasonerRequest, TextDelta, ToolCall
from voiceloop.openai import ChatCompletions
from voiceloop.testing.conformance import check_reasoner
from voiceloop.testing.scripted import ScriptedRecognizer, ScriptedSynthesizer, ScriptedTurns

HELLO = (Message("user", (TextPart("Hello"),)),)
ENDLESS = {"ignore_eos": True, "temperature": 1.5}


@vl.tool
async def opening(day: str) -> str:
    """When it opens."""
    return f"nine on {day}"


async def ask(url: str, messages: Sequence[Message] = HELLO, **more: object) -> list[ReasonerItem]:
    tools = more.pop("tools", ())
    async with vl.Pool() as pool:
        thinks = ChatCompletions(base_url=url, temperature=0.0, **more)  # type: ignore[arg-type]
        request = ReasonerRequest(tuple(messages), pool, "Be brief.", tools=tools)  # type: ignore[arg-type]
        async with thinks.reply(request) as items:
            return [item async for item in items]


def words(items: Sequence[ReasonerItem]) -> str:
    return "".join(item.text for item in items if isinstance(item, TextDelta)).strip()


async def a_session_with_tools(url: str) -> None:
    thinks = ChatCompletions(base_url=url, temperature=0.0)
    model = vl.Cascade(ScriptedRecognizer(), thinks, ScriptedSynthesizer())
    async with vl.Session(model, turns=ScriptedTurns(), tools=[opening], lead=None) as session:
        await session.send_text("When do you open?")
        await session.end_input()
        events = [event async for event in session]
    results = [event.result for event in events if isinstance(event, vl.ToolReturned)]
    assert results == ["nine on Monday", "nine on Tuesday"], results
    said = [event.said for event in events if isinstance(event, vl.TurnEnded)]
    assert said == ["Good day."], said


async def calls_in_parallel(url: str) -> None:
    calls = [item for item in await ask(url, tools=(opening,)) if isinstance(item, ToolCall)]
    assert [call.arguments for call in calls] == [{"day": "Monday"}, {"day": "Tuesday"}], calls


async def roles_that_alternate(url: str) -> None:
    called = Message("assistant", (ToolCallPart("c1", "opening", {"day": "Monday"}),))
    told = Message("user", (ToolResultPart("c1", "opening", "nine"), TextPart("And then?")))
    items = await ask(url, (*HELLO, called, told))
    assert words(items) == "Good day.", items


async def a_picture(url: str) -> None:
    shown = Message("user", (TextPart("What is it?"), ImagePart(b"\x89PNG\r\n\x1a\n", "image/png")))
    items = await ask(url, [shown])
    assert words(items) == "Good day.", items


async def too_long(url: str) -> None:
    told = ""
    try:
        await ask(url, [Message("user", (TextPart("Hello there! " * 2000),))])
    except vl.ProviderRefused as error:
        told = str(error)
    assert "longer than the context" in told, told


async def leaving_stops_it(url: str) -> None:
    async with vl.Pool() as pool:
        thinks = ChatCompletions(base_url=url, max_tokens=100_000, options=ENDLESS)
        async with thinks.reply(ReasonerRequest(HELLO, pool)) as items:
            await anext(items)
            assert await busy(url)
        for _ in range(100):
            if not await busy(url):
                return
            await anyio.sleep(0.05)
        raise AssertionError("it went on for 5 s")


async def busy(url: str) -> bool:
    def slots() -> bool:
        with urlopen(url.removesuffix("v1") + "slots", timeout=5) as answer:
            return any(slot["is_processing"] for slot in json.load(answer))

    return await anyio.to_thread.run_sync(slots)


async def main(usual: str, strict: str) -> int:
    checks: list[tuple[str, Awaitable[None]]] = [
        ("the contract of a reasoner", check_reasoner(lambda: ChatCompletions(base_url=usual, max_tokens=40))),
        ("calls in parallel", calls_in_parallel(usual)),
        ("a session with tools", a_session_with_tools(usual)),
        ("roles that have to alternate", roles_that_alternate(strict)),
        ("a picture for a model without eyes", a_picture(usual)),
        ("a conversation that is too long", too_long(usual)),
        ("leaving early stops the server", leaving_stops_it(usual)),
    ]
    wrong = 0
    for name, check in checks:
        try:
            with anyio.fail_after(60):
                await check
            print(f"  {name}: good", flush=True)
        except (AssertionError, TimeoutError, vl.VoiceloopError) as error:
            wrong += 1
            print(f"  {name}: {type(error).__name__}: {error}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
