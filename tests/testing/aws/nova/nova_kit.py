"""A small client of Nova Sonic, written from its documents, and the wire that joins it to the service in memory."""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

import anyio
import anyio.lowlevel
from attrs import define, field, frozen

from voiceloop import Pool, clock
from voiceloop.aws.wire.stream import Message
from voiceloop.testing.aws.backing import Backing
from voiceloop.testing.aws.exchange import Caller, ConnectionLost, Exchange, Refusal, UncleanEnd
from voiceloop.testing.aws.faults import Faults
from voiceloop.testing.aws.nova import NovaSonicStream
from voiceloop.testing.aws.settings import Settings, Timers
from voiceloop.testing.aws.stage import Stage
from voiceloop.testing.scripted import silence, tone

NOVA_2 = "amazon.nova-2-sonic-v1:0"
NOVA_1 = "amazon.nova-sonic-v1:0"
PROMPT = "prompt"
FRAME_MS = 20
LIMIT = 120.0


def path_of(model: str = NOVA_2) -> str:
    return f"/model/{model}/invoke-with-bidirectional-stream"


# ---------------------------------------------------------------- events, as the input events page has them


def session_start(**more: Any) -> dict[str, Any]:
    inference = {"maxTokens": 1024, "topP": 0.9, "temperature": 0.7}
    return {"sessionStart": {"inferenceConfiguration": inference, **more}}


def tool(name: str) -> dict[str, Any]:
    schema = json.dumps({"type": "object", "properties": {}})
    return {"toolSpec": {"name": name, "description": f"does {name}", "inputSchema": {"json": schema}}}


def prompt_start(*, tools: Sequence[str] = (), audio: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    output = {
        "mediaType": "audio/lpcm",
        "sampleRateHertz": 24000,
        "sampleSizeBits": 16,
        "channelCount": 1,
        "voiceId": "tiffany",
        "encoding": "base64",
        "audioType": "SPEECH",
        **(audio or {}),
    }
    body: dict[str, Any] = {
        "promptName": PROMPT,
        "textOutputConfiguration": {"mediaType": "text/plain"},
        "audioOutputConfiguration": output,
    }
    if tools:
        body["toolUseOutputConfiguration"] = {"mediaType": "application/json"}
        body["toolConfiguration"] = {"tools": [tool(name) for name in tools]}
    return {"promptStart": {**body, **more}}


def content_start(name: str, kind: str, role: str, interactive: bool, **settings: Any) -> dict[str, Any]:
    body = {"promptName": PROMPT, "contentName": name, "type": kind, "role": role, "interactive": interactive}
    return {"contentStart": {**body, **settings}}


def text_start(name: str, role: str, interactive: bool = False) -> dict[str, Any]:
    return content_start(name, "TEXT", role, interactive, textInputConfiguration={"mediaType": "text/plain"})


def text_input(name: str, content: str) -> dict[str, Any]:
    return {"textInput": {"promptName": PROMPT, "contentName": name, "content": content}}


def content_end(name: str) -> dict[str, Any]:
    return {"contentEnd": {"promptName": PROMPT, "contentName": name}}


def text(name: str, role: str, content: str, interactive: bool = False) -> list[dict[str, Any]]:
    return [text_start(name, role, interactive), text_input(name, content), content_end(name)]


def audio_start(name: str = "audio", rate: int = 16000, **more: Any) -> dict[str, Any]:
    settings = {
        "mediaType": "audio/lpcm",
        "sampleRateHertz": rate,
        "sampleSizeBits": 16,
        "channelCount": 1,
        "audioType": "SPEECH",
        "encoding": "base64",
        **more,
    }
    return content_start(name, "AUDIO", "USER", True, audioInputConfiguration=settings)


def audio_input(pcm: bytes, name: str = "audio") -> dict[str, Any]:
    content = base64.b64encode(pcm).decode()
    return {"audioInput": {"promptName": PROMPT, "contentName": name, "content": content}}


def tool_start(name: str, use: str) -> dict[str, Any]:
    text = {"mediaType": "text/plain"}
    settings = {"toolUseId": use, "type": "TEXT", "textInputConfiguration": text}
    return content_start(name, "TOOL", "TOOL", False, toolResultInputConfiguration=settings)


def tool_result(name: str, use: str, content: str) -> list[dict[str, Any]]:
    body = {"promptName": PROMPT, "contentName": name, "content": content}
    return [tool_start(name, use), {"toolResult": body}, content_end(name)]


def prompt_end() -> dict[str, Any]:
    return {"promptEnd": {"promptName": PROMPT}}


def session_end() -> dict[str, Any]:
    return {"sessionEnd": {}}


def opening(tools: Sequence[str] = (), **prompt: Any) -> list[dict[str, Any]]:
    return [session_start(), prompt_start(tools=tools, **prompt), *text("system", "SYSTEM", "Be kind.")]


def as_message(event: Mapping[str, Any]) -> Message:
    data = base64.b64encode(json.dumps({"event": event}).encode()).decode()
    headers = {":message-type": "event", ":event-type": "chunk", ":content-type": "application/json"}
    return Message(headers, json.dumps({"bytes": data}).encode())


# ---------------------------------------------------------------- the wire


@frozen
class Seen:
    """An output event: when, its name and body."""

    at: float
    name: str
    body: Mapping[str, Any]

    @property
    def stage(self) -> str:
        fields = self.body.get("additionalModelFields")
        return "" if fields is None else str(json.loads(fields).get("generationStage", ""))


@define(eq=False)
class MemoryExchange(Exchange):
    path: str = field(factory=path_of)
    headers: Mapping[str, str] = field(factory=dict)
    caller: Caller = field(factory=lambda: Caller("AKIA"))
    coming: deque[Message | Exception | None] = field(factory=deque)
    seen: list[Seen] = field(factory=list)
    responded: float | None = None
    finished: bool = False
    lost: bool = False
    stuck: bool = False
    _wake: anyio.Event = field(factory=anyio.Event)

    def put(self, item: Message | Exception | None) -> None:
        self.coming.append(item)
        self._wake.set()

    def __aiter__(self) -> AsyncIterator[Message]:
        return self

    async def __anext__(self) -> Message:
        while not self.coming:
            self._wake = anyio.Event()
            await self._wake.wait()
        item = self.coming[0]
        if isinstance(item, Message):
            self.coming.popleft()
            return item
        if item is None:
            raise StopAsyncIteration
        raise item

    async def respond(self, headers: Mapping[str, str]) -> None:
        assert self.responded is None
        self.responded = clock.now()

    async def send(self, message: Message) -> None:
        assert self.responded is not None
        assert not self.finished
        await anyio.lowlevel.checkpoint()
        if self.stuck:
            await anyio.sleep_forever()
        if self.lost:
            raise ConnectionLost
        assert message.name == "chunk"
        event = json.loads(base64.b64decode(json.loads(message.payload)["bytes"]))["event"]
        ((name, body),) = event.items()
        self.seen.append(Seen(clock.now(), name, body))

    async def finish(self) -> None:
        self.finished = True


@define(eq=False)
class Client:
    """A caller: sends events, and audio as a microphone does."""

    exchange: MemoryExchange
    over: anyio.Event = field(factory=anyio.Event)
    error: Exception | None = None
    rate: int = 16000
    audio_name: str = "audio"
    sent: bytearray = field(factory=bytearray)
    _names: int = 0

    # ------------------------------------------------------------ sending

    async def send(self, *events: Mapping[str, Any]) -> None:
        for event in events:
            self.exchange.put(as_message(event))
            await anyio.lowlevel.checkpoint()

    async def open(self, tools: Sequence[str] = (), **prompt: Any) -> Self:
        await self.send(*opening(tools, **prompt), audio_start(rate=self.rate))
        return self

    async def frames(self, pcm: bytes) -> None:
        size = self.rate * FRAME_MS // 1000 * 2
        for at in range(0, len(pcm), size):
            self.sent += pcm[at : at + size]
            await self.send(audio_input(pcm[at : at + size], self.audio_name))
            await anyio.sleep(FRAME_MS / 1000)

    async def speak(self, ms: float) -> None:
        await self.frames(tone(ms)[: round(ms * self.rate / 1000) * 2])

    async def quiet(self, ms: float) -> None:
        await self.frames(silence(ms)[: round(ms * self.rate / 1000) * 2])

    async def type(self, content: str) -> None:
        self._names += 1
        await self.send(*text(f"typed{self._names}", "USER", content, interactive=True))

    async def answer(self, use: str, content: str) -> None:
        self._names += 1
        await self.send(*tool_result(f"result{self._names}", use, content))

    async def until(self, wanted: Callable[[Seen], bool] | str, count: int = 1) -> Seen:
        """Be silent until the ``count``-th such event is seen."""
        until = clock.now() + LIMIT
        while True:
            found = [one for one in self.seen if (one.name == wanted if isinstance(wanted, str) else wanted(one))]
            if len(found) >= count:
                return found[count - 1]
            if self.over.is_set() or clock.now() > until:
                raise AssertionError(f"{wanted} did not come: {self.outline()} {self.error!r}")
            await self.quiet(FRAME_MS)

    async def turn(self, ms: float = 600, replies: int = 1) -> None:
        """Speak, and be silent until the reply was played."""
        ends = len([one for one in self.seen if is_final_end(one)])
        await self.speak(ms)
        await self.until(is_final_end, ends + replies)

    async def close(self) -> None:
        await self.send(content_end(self.audio_name), prompt_end(), session_end())
        self.exchange.put(None)
        with anyio.fail_after(LIMIT):
            await self.over.wait()

    async def ended(self, limit: float = LIMIT) -> str:
        """The message that the stream ended with, without the request's id."""
        with anyio.fail_after(limit):
            await self.over.wait()
        assert isinstance(self.error, Refusal), repr(self.error)
        return self.error.message.partition(" : ")[2]

    # ------------------------------------------------------------ reading

    @property
    def seen(self) -> list[Seen]:
        """The output events so far."""
        return self.exchange.seen

    def named(self, name: str) -> list[Mapping[str, Any]]:
        """The bodies of all events of that name."""
        return [one.body for one in self.seen if one.name == name]

    def audio_ms(self) -> float:
        """How much audio has come, at 24 kHz."""
        return sum(len(base64.b64decode(body["content"])) / 48 for body in self.named("audioOutput"))

    def blocks(self) -> list[str]:
        """Each content block in words: ``TEXT ASSISTANT FINAL 'words' END_TURN``."""
        shown = []
        for start in (one for one in self.seen if one.name == "contentStart"):
            mine = [one for one in self.seen if one.body.get("contentId") == start.body["contentId"]]
            texts = [one.body["content"] for one in mine if one.name in ("textOutput", "toolUse")]
            stops = [one.body["stopReason"] for one in mine if one.name == "contentEnd"]
            words = [start.body["type"], start.body["role"], start.stage, *map(repr, texts), *stops]
            shown.append(" ".join(filter(None, words)))
        return shown

    def outline(self) -> list[str]:
        """The order of events, without usage, with blocks in words where they start."""
        blocks = iter(self.blocks())
        skipped = ("usageEvent", "textOutput", "audioOutput", "contentEnd", "toolUse")
        return [
            next(blocks) if one.name == "contentStart" else one.name for one in self.seen if one.name not in skipped
        ]


def is_final_end(seen: Seen) -> bool:
    return seen.name == "contentStart" and seen.stage == "FINAL" and seen.body["role"] == "ASSISTANT"


@asynccontextmanager
async def service(backing: Backing, scale: float = 1.0, **settings: Any) -> AsyncIterator[NovaSonicStream]:
    async with Pool() as pool:
        stage = Stage(backing, pool, Timers(scale), Settings(), Faults.of(()))
        yield NovaSonicStream(stage, **settings)


@asynccontextmanager
async def calling(nova: NovaSonicStream, model: str = NOVA_2) -> AsyncIterator[Client]:
    exchange = MemoryExchange(path_of(model))
    client = Client(exchange)

    async def serve() -> None:
        try:
            await nova.serve(exchange)
        except (Refusal, ConnectionLost, UncleanEnd) as error:
            client.error = error
        await exchange.finish()
        client.over.set()

    async with anyio.create_task_group() as group:
        group.start_soon(serve)
        yield client
        group.cancel_scope.cancel()
