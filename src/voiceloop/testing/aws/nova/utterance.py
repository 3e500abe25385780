"""One answer of the reasoner being written, spoken, and played as far as the model knows."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from types import TracebackType

import anyio
from attrs import define, field, frozen

from voiceloop import clock
from voiceloop.audio import AudioFormat, converter
from voiceloop.conversation import Conversation
from voiceloop.events import Heard
from voiceloop.interfaces import (
    Clause,
    Reasoner,
    ReasonerItem,
    ReasonerRequest,
    Resources,
    SpeakConfig,
    SpeechAudio,
    Synthesizer,
    TextDelta,
    ToolCall,
)
from voiceloop.testing.aws.nova.events import new_uuid, usage
from voiceloop.testing.aws.nova.output import Output, OutputBlock
from voiceloop.testing.aws.nova.profile import NovaProfile
from voiceloop.testing.aws.nova.record import NovaConnection, Reply, ToolUse

_SENTENCE = re.compile(r"\s*(\S.*?[.!?…。！？][\"'”’)\]]*)\s", re.DOTALL)
_MS_PER_CHAR = 60.0
_LONGEST_WAIT_S = 3600.0
_CUT = {"c+d": "INTERRUPTED", "end_turn_first": "END_TURN"}


@define(eq=False)
class Playback:
    """When the caller's player will have played everything that was sent, if it plays at once and without a gap."""

    until: float = field(factory=clock.now)
    hurry: anyio.Event = field(factory=anyio.Event)

    def add(self, ms: float) -> tuple[float, float]:
        """Audio of ``ms`` was sent now: from when to when it plays."""
        start = max(clock.now(), self.until)
        self.until = start + ms / 1000
        return start, self.until

    async def reach(self, when: float) -> None:
        """Wait until ``when`` was played; no longer once the prompt is over."""
        while clock.now() < when and not self.hurry.is_set():
            with anyio.move_on_after(min(when - clock.now(), _LONGEST_WAIT_S)):
                await self.hurry.wait()


@define(eq=False)
class Sentence:
    """A sentence of a reply: when it plays, and whether its FINAL text was sent."""

    text: str
    start: float | None = None
    end: float = 0.0
    sent: bool = False
    final: bool = False
    cut_at: float | None = None

    def heard(self) -> str:
        """The words that were played, whole ones, when the reply was cut."""
        if self.cut_at is None or (self.sent and self.end <= self.cut_at):
            return self.text if self.start is not None else ""
        if self.start is None or self.cut_at <= self.start:
            return ""
        whole = self.end - self.start
        if not self.sent:
            whole = max(whole, len(self.text) * _MS_PER_CHAR / 1000)
        words = self.text.split()
        count = int(len(words) * min(1.0, (self.cut_at - self.start) / whole)) if whole > 0 else 0
        return " ".join(words[:count])


@frozen
class Parts:
    """What utterances work with."""

    reasoner: Reasoner
    synthesizer: Synthesizer
    resources: Resources
    profile: NovaProfile
    output: Output
    playback: Playback
    conversation: Conversation
    record: NovaConnection
    offered: Callable[[str], None]
    first_token: float = 0.0


@define(eq=False)
class Utterance:
    """Answers the conversation as it stands, as ``turn``; ``forced``: tools of which one must be called first."""

    _parts: Parts
    turn: int
    _request: ReasonerRequest
    _forced: tuple[str, ...] = ()
    scope: anyio.CancelScope = field(factory=anyio.CancelScope)
    done: anyio.Event = field(factory=anyio.Event)
    generated: bool = False
    sentences: list[Sentence] = field(factory=list)
    uses: list[str] = field(factory=list)
    _spoken_ms: float = 0.0
    _began: float | None = None
    _reply: Reply = field(factory=Reply)

    async def run(self, on_generated: Callable[[], object], late: list[tuple[str, str]]) -> None:
        """Write and speak it, then wait until it was played, sending FINAL texts. ``late`` gets those held back."""
        parts = self._parts
        parts.conversation.assistant(self.turn)
        try:
            with self.scope:
                await self._generate()
                self.generated = True
                on_generated()
                await self._finals(late)
        finally:
            self._settle()
            self.done.set()

    async def cut(self) -> None:
        """The user interrupts it: stop, and note what was played until now."""
        if not self.done.is_set():
            for sentence in self.sentences:
                sentence.cut_at = clock.now()
            self._reply.interrupted = True
            self.scope.cancel()
            await self.done.wait()

    @property
    def heard(self) -> str:
        """What was played of it."""
        return " ".join(filter(None, (sentence.heard() for sentence in self.sentences)))

    # ------------------------------------------------------------ writing

    async def _generate(self) -> None:
        parts, profile = self._parts, self._parts.profile
        await anyio.sleep(parts.first_token)
        cut = _CUT.get(profile.barge_in, "PARTIAL_TURN")
        async with (
            parts.reasoner.reply(self._request) as items,
            aclosing(_written(items, silent=profile.tools == "silent")) as written,
            _Speaker(self, parts.output, cut) as speaker,
        ):
            await self._follow(written, speaker)
            if self.uses and profile.filler is not None and profile.tools == "talks":
                await speaker.say(profile.filler)
            await speaker.pause("PARTIAL_TURN" if self.uses else "END_TURN")

    async def _follow(self, written: AsyncIterator[ReasonerItem], speaker: _Speaker) -> None:
        """Speak sentences and ask for tools as they are written."""
        rest = ""
        async for item in written:
            match item:
                case TextDelta() if self._forced and not self.uses:
                    await self._use(ToolCall("", self._forced[0], {}))
                    return
                case TextDelta(text):
                    rest += text
                    while found := _SENTENCE.match(rest):
                        rest = rest[found.end() :]
                        await speaker.say(found[1])
                case ToolCall():
                    await speaker.say(rest)
                    rest = ""
                    await speaker.pause()
                    await self._use(item)
        await speaker.say(rest)

    async def _use(self, call: ToolCall) -> None:
        parts = self._parts
        content = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments)
        use = ToolUse(new_uuid(), call.name, content)
        self.uses.append(use.use)
        parts.record.uses.append(use)
        parts.conversation.tool_call(self.turn, use.use, call.name, call.arguments)
        parts.offered(use.use)
        shown = json.dumps(content) if parts.profile.double_encoded else content
        await parts.output.tool_use(use.use, use.name, shown)
        await parts.output.usage(usage(written=content))

    # ------------------------------------------------------------ speaking

    async def begin(self, text: str) -> Sentence:
        """The next sentence: its speculative text."""
        sentence = Sentence(text)
        if not self.sentences:
            self._parts.record.replies.append(self._reply)
        self._parts.conversation.wrote(self.turn, f" {text}" if self.sentences else text)
        self.sentences.append(sentence)
        self._reply.sentences.append(text)
        await self._parts.output.text("ASSISTANT", "SPECULATIVE", text)
        await self._parts.output.usage(usage(written=text))
        return sentence

    async def speak(self, sentence: Sentence, block: OutputBlock) -> None:
        """Its audio, not faster than it may be sent."""
        parts = self._parts
        form = AudioFormat(parts.output.rate)
        size = form.bytes_of(form.samples_in(parts.profile.event_ms))
        total = 0.0
        async with aclosing(self._synthesized(sentence.text, form, size)) as pieces:
            async for pcm in pieces:
                await self._pace()
                ms = form.ms(len(pcm) // 2)
                start, sentence.end = parts.playback.add(ms)
                sentence.start = start if sentence.start is None else sentence.start
                self._reply.at = clock.now() if self._reply.at is None else self._reply.at
                self._spoken_ms += ms
                total += ms
                await parts.output.pcm(block, pcm)
        sentence.sent = True
        await parts.output.usage(usage(spoken_ms=total))

    async def _synthesized(self, text: str, form: AudioFormat, size: int) -> AsyncGenerator[bytes, None]:
        parts = self._parts
        convert = converter(parts.synthesizer.capabilities.output, form)
        clause = Clause(text, "sentence", first=len(self.sentences) == 1)
        held = b""
        async with parts.synthesizer.speak(clause, SpeakConfig(parts.resources)) as speech:
            async for item in speech:
                if isinstance(item, SpeechAudio):
                    held += convert.push(item.pcm)
                    while len(held) >= size:
                        yield held[:size]
                        held = held[size:]
        held += convert.finish()
        while held:
            yield held[:size]
            held = held[size:]

    async def _pace(self) -> None:
        now = clock.now()
        self._began = now if self._began is None else self._began
        if not self._parts.playback.hurry.is_set():
            await anyio.sleep(max(0.0, self._began + self._spoken_ms / 1000 / self._parts.profile.speed - now))

    # ------------------------------------------------------------ afterwards

    async def _finals(self, late: list[tuple[str, str]]) -> None:
        output, profile = self._parts.output, self._parts.profile
        for number, sentence in enumerate(self.sentences):
            await self._parts.playback.reach(sentence.end)
            last = number == len(self.sentences) - 1 and not self.uses
            stop = "END_TURN" if last else "PARTIAL_TURN"
            if profile.finals == "after":
                sentence.final = True
                await output.text("ASSISTANT", "FINAL", sentence.text, stop)
            elif profile.finals == "late":
                sentence.final = True
                late.append((sentence.text, stop))

    def _settle(self) -> None:
        conversation, heard = self._parts.conversation, self.heard
        self._reply.heard = heard
        if heard or not self.sentences:
            conversation.heard(self.turn, Heard(heard))
            conversation.settle(self.turn)
        else:
            conversation.drop(self.turn)


@define(eq=False)
class _Speaker:
    """Speaks sentence after sentence. An AUDIO block stays open until it is known what follows it."""

    _utterance: Utterance
    _output: Output
    _cut: str
    _stack: AsyncExitStack = field(factory=AsyncExitStack)
    _block: OutputBlock | None = None

    async def __aenter__(self) -> _Speaker:
        await self._stack.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def say(self, text: str) -> None:
        """Speak a sentence, if there is any text."""
        text = " ".join(text.split())
        if text:
            await self.pause()
            sentence = await self._utterance.begin(text)
            self._block = await self._stack.enter_async_context(self._output.audio())
            self._block.stop = self._cut
            await self._utterance.speak(sentence, self._block)

    async def pause(self, stop: str = "PARTIAL_TURN") -> None:
        """More follows, but no more of this audio."""
        if self._block is not None:
            self._block.stop = stop
            self._block = None
            await self._stack.aclose()


async def _written(items: AsyncIterator[ReasonerItem], *, silent: bool) -> AsyncGenerator[ReasonerItem, None]:
    """What the reasoner writes; if ``silent``, of a reply that calls tools nothing but the calls."""
    if not silent:
        async for item in items:
            yield item
        return
    written = [item async for item in items]
    calls = [item for item in written if isinstance(item, ToolCall)]
    for item in calls or written:
        yield item
