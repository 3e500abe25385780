"""Who speaks when: takes what the caller asks and what the model hears, in order, and lets it answer."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from attrs import define, field, frozen

from voiceloop.conversation import AssistantEntry, Conversation, Entry, UserEntry
from voiceloop.events import Heard
from voiceloop.interfaces import ReasonerRequest
from voiceloop.testing.aws.nova.events import INSTABILITY, INTERRUPTED, StreamFailure, usage
from voiceloop.testing.aws.nova.hearing import Hearing, SpeechBegan, SpeechGoesOn, SpeechOver
from voiceloop.testing.aws.nova.record import HeardTurn
from voiceloop.testing.aws.nova.requests import History, PromptEnded, PromptStarted, ToolAnswered, UserText
from voiceloop.testing.aws.nova.utterance import Parts, Sentence, Utterance
from voiceloop.tools import Tool

_MOST_WAITING = 256


@frozen
class Generated:
    """An utterance is written and spoken; it may still play."""


Happening: TypeAlias = SpeechBegan | SpeechGoesOn | SpeechOver | UserText | ToolAnswered | PromptEnded | Generated


def conversation_of(history: list[History]) -> Conversation:
    """The conversation that a caller's history tells."""
    entries: list[Entry] = []
    for number, message in enumerate(history):
        if message.role == "USER":
            entries.append(UserEntry(message.text))
        else:
            entries.append(AssistantEntry(-1 - number, message.text, Heard(message.text)))
    return Conversation(entries)


@define(eq=False)
class Results:
    """Which utterances wait for results of tools, and what has come. ``owed``: an answer is due."""

    waiting: list[Utterance] = field(factory=list)
    answered: set[str] = field(factory=set)
    owed: bool = False

    def settle(self) -> None:
        """Owe an answer to utterances whose results have all come."""
        ready = [one for one in self.waiting if self.answered.issuperset(one.uses)]
        self.waiting = [one for one in self.waiting if one not in ready]
        self.owed = self.owed or bool(ready)


@define(eq=False)
class Conductor:
    """Runs one prompt. ``spawn`` starts a task of the connection; ``chance`` decides about instability."""

    _parts: Parts
    _hearing: Hearing
    _spawn: Callable[[Callable[..., Awaitable[None]]], None]
    _flush_s: float
    _chance: random.Random
    _in: MemoryObjectSendStream[Happening] = field(init=False)
    _out: MemoryObjectReceiveStream[Happening] = field(init=False)
    _live: list[Utterance] = field(factory=list)
    _results: Results = field(factory=Results)
    _late: list[tuple[str, str]] = field(factory=list)
    _turn: int = 0

    def __attrs_post_init__(self) -> None:
        self._in, self._out = anyio.create_memory_object_stream[Happening](_MOST_WAITING)

    async def happen(self, happening: Happening) -> None:
        """Something that the prompt must deal with, in its turn."""
        await self._in.send(happening)

    def close(self) -> None:
        """The connection is over."""
        self._in.close()
        self._out.close()

    async def run(self) -> None:
        """Deal with everything until the prompt is over: then completionEnd was sent."""
        async for happening in self._out:
            match happening:
                case SpeechBegan(ms):
                    await self._speech_began(ms)
                case SpeechGoesOn(voiced_ms):
                    if voiced_ms >= self._parts.profile.interrupt_ms:
                        await self._interrupt()
                case SpeechOver():
                    await self._speech_over(happening)
                case UserText(text, live):
                    await self._typed_text(text, live=live)
                case ToolAnswered(use, content):
                    self._tool_answered(use, content)
                    await self._go_on()
                case Generated():
                    await self._expect()
                    await self._go_on()
                case PromptEnded():
                    await self._end()
                    return

    # ------------------------------------------------------------ the user

    async def _speech_began(self, ms: float) -> None:
        output = self._parts.output
        if self._parts.profile.speech_events:
            await output.event("userSpeechStart", inputAudioOffsetMs=round(ms))
        await output.begin()
        await self._send_late()

    async def _send_late(self) -> None:
        late, self._late[:] = list(self._late), []
        for text, stop in late:
            await self._parts.output.text("ASSISTANT", "FINAL", text, stop)

    async def _speech_over(self, over: SpeechOver) -> None:
        profile, output = self._parts.profile, self._parts.output
        heard = HeardTurn(over.start_ms, over.end_ms)
        self._parts.record.turns.append(heard)
        end = {"inputAudioOffsetMs": round(over.end_ms), "inputAudioDetectionOffsetMs": round(over.at_ms)}
        if profile.speech_events and profile.speech_end == "before":
            await output.event("userSpeechEnd", **end)
        await output.usage(usage(heard_ms=over.end_ms - over.start_ms))
        heard.text = await self._hearing.transcript(over, profile.transcript_wait)
        if heard.text:
            await self._interrupt()
            await output.text("USER", "FINAL", heard.text)
        if profile.speech_events and profile.speech_end == "after":
            await output.event("userSpeechEnd", **end)
        if heard.text:
            self._parts.conversation.user(heard.text)
            await self._answer()

    async def _typed_text(self, text: str, *, live: bool) -> None:
        await self._parts.output.usage(usage(read=text))
        self._parts.conversation.user(text)
        if live:
            await self._interrupt()
            await self._answer()

    async def _interrupt(self) -> None:
        """Cut whatever is being said, with the signals of the profile."""
        cut = [utterance for utterance in self._live if not utterance.done.is_set()]
        for utterance in cut:
            await utterance.cut()
        self._results.waiting += [one for one in cut if one.uses and one not in self._results.waiting]
        self._live.clear()
        sentences = [one for utterance in cut for one in utterance.sentences if not one.final]
        if sentences:
            await self._signal(sentences)

    async def _signal(self, sentences: list[Sentence]) -> None:
        profile, output = self._parts.profile, self._parts.output
        if profile.barge_in == "b":
            await output.text("ASSISTANT", "FINAL", INTERRUPTED)
        elif profile.barge_in == "end_turn_first":
            await anyio.sleep(profile.late_by)
        heard = [words for one in sentences if (words := one.heard())]
        texts = [] if profile.finals == "missing" else heard
        strong = profile.barge_in in ("c", "c+d", "end_turn_first")
        if strong and not texts:
            texts = [""]
        for number, text in enumerate(texts):
            last = number == len(texts) - 1
            await output.text("ASSISTANT", "FINAL", text, "INTERRUPTED" if strong and last else "PARTIAL_TURN")

    # ------------------------------------------------------------ the assistant

    async def _answer(self) -> None:
        """Answer the user; a model that is silent while it waits for tools answers after their results."""
        if self._parts.profile.tools == "silent" and self._results.waiting:
            self._results.owed = True
            return
        self._start(first=True)

    def _start(self, *, first: bool) -> None:
        profile = self._parts.profile
        if profile.instability and self._chance.random() < profile.instability:
            raise StreamFailure("ValidationException", INSTABILITY)
        self._results.owed = False
        self._turn += 1
        record, parts = self._parts.record, self._parts
        assert record.prompt is not None
        forced = _forced(record.prompt) if first else ()
        tools = [spec for spec in record.prompt.tools if not forced or spec.name in forced]
        request = ReasonerRequest(
            parts.conversation.view(parts.reasoner.capabilities.history),
            parts.resources,
            "\n\n".join(block.text for block in record.system),
            tuple(Tool(spec.name, spec.description, spec.schema, _elsewhere) for spec in tools),
        )
        utterance = Utterance(self._parts, self._turn, request, forced)
        self._live = [one for one in self._live if not one.done.is_set()] + [utterance]

        async def run() -> None:
            await utterance.run(lambda: self._generated(utterance), self._late)

        self._spawn(run)

    async def _expect(self) -> None:
        await self._hearing.expect(self._parts.reasoner, self._parts.conversation.view())

    # ------------------------------------------------------------ tools

    def _generated(self, utterance: Utterance) -> None:
        if utterance.uses:
            self._results.waiting.append(utterance)
        self._in.send_nowait(Generated())

    def _tool_answered(self, use: str, content: str) -> None:
        result, error = _unwrapped(content)
        self._results.answered.add(use)
        self._parts.conversation.tool_result(use, result, error)
        for known in self._parts.record.uses:
            if known.use == use:
                known.result = content

    async def _go_on(self) -> None:
        """Speak on, once every result that an utterance waits for has come and nothing else is being written."""
        self._results.settle()
        writing = any(not one.generated and not one.done.is_set() for one in self._live)
        held = self._parts.profile.tools == "silent" and self._results.waiting
        if self._results.owed and not writing and not held:
            self._start(first=False)

    # ------------------------------------------------------------ the end

    async def _end(self) -> None:
        """Say at once what is left, as far as that is soon done, and end the completion."""
        self._parts.playback.hurry.set()
        with anyio.move_on_after(self._flush_s):
            for utterance in self._live:
                await utterance.done.wait()
        for utterance in self._live:
            await utterance.cut()
        await self._send_late()
        await self._parts.output.end()


def _forced(prompt: PromptStarted) -> tuple[str, ...]:
    """The tools of which one must be called at the start of a response."""
    match prompt.choice:
        case "any":
            return tuple(spec.name for spec in prompt.tools)
        case (_, name):
            return (name,)
        case _:
            return ()


async def _elsewhere(**_: Any) -> str:
    raise NotImplementedError("tools run at the caller's")


def _unwrapped(content: str) -> tuple[str, bool]:
    """The result inside the object that callers must wrap it in, and whether it is an error."""
    value = json.loads(content)
    if len(value) == 1 and (key := next(iter(value))) in ("result", "error"):
        inner = value[key]
        return inner if isinstance(inner, str) else json.dumps(inner), key == "error"
    return content, False
