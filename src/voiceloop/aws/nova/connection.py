"""One connection to the service: what is sent on it, in an order that it accepts, and where its audio lies."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator

import anyio
from attrs import define, field

from voiceloop import clock
from voiceloop.aws.nova import events_out as out
from voiceloop.aws.nova.events_in import PROVIDER, OutputEvent, decode
from voiceloop.aws.nova.history import Line
from voiceloop.aws.wire.stream import EventStream
from voiceloop.errors import ProviderTimeout

_PRIMER_MS = 100.0
"""Silence at the beginning of an audio block: one without any data cannot be closed."""

_BLOCK_TIMEOUT = 10.0
"""How long the service may take to accept a whole block of text, in seconds."""

_STRETCHES = 256


class Placement:
    """Where in the session's input the audio of a connection lies: silence is put in, and input is sent again."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._sent = 0
        self._stretches: list[tuple[int, int, bool]] = []  # from which sample here, which there, whether it is input

    def add(self, samples: int, at: int | None) -> None:
        """``samples`` were sent: input from sample ``at`` on, or silence of our own (None)."""
        if self._stretches:
            here, there, real = self._stretches[-1]
            goes_on = (at is None and not real) or (real and at == there + self._sent - here)
        else:
            goes_on = False
        if not goes_on:
            self._stretches.append((self._sent, self._end if at is None else at, at is not None))
            del self._stretches[:-_STRETCHES]
        self._sent += samples

    @property
    def _end(self) -> int:
        if not self._stretches:
            return 0
        here, there, real = self._stretches[-1]
        return there + (self._sent - here if real else 0)

    def ms(self, ms: float) -> float:
        """The place in the session's input, in ms, of what was sent at ``ms`` of this connection."""
        sample = ms * self._rate / 1000
        index = bisect_right(self._stretches, sample, key=lambda stretch: stretch[0]) - 1
        if index < 0:
            return 0.0
        here, there, real = self._stretches[index]
        return (there + (sample - here if real else 0)) * 1000 / self._rate


@define(eq=False)
class Connection:
    """Sends events on ``stream``: for one task, so that no audio gets into a block of text or of a tool.

    ``spoke``: when somebody last spoke on it. ``sent``: one past the newest sample of the input that it was given.
    """

    number: int
    stream: EventStream
    rate: int
    text_bytes: int
    placement: Placement
    opened: float = field(factory=clock.now)
    spoke: float = field(factory=clock.now)
    sent: int = 0
    _given: deque[tuple[float, int]] = field(factory=lambda: deque(maxlen=256))
    _prompt: str = field(factory=clock.new_id)
    _audio: out.AudioFrames | None = None
    _block: str = ""

    # ------------------------------------------------------------ opening

    async def begin(self, inference: out.Inference, speaking: out.Speaking, system: str) -> None:
        """Open session and prompt, and tell the model what it is."""
        await self._whole(
            (
                out.session_start(inference),
                out.prompt_start(self._prompt, speaking),
                *self._text("SYSTEM", system, interactive=False),
            )
        )

    async def take_over(self, history: Iterable[Line]) -> None:
        """Tell what was said before, then open the audio."""
        for line in history:
            await self._whole(self._text(line.role, line.text, interactive=False))
        await self._open_audio()

    def _text(self, role: str, text: str, *, interactive: bool) -> Iterator[bytes]:
        name = clock.new_id()
        return out.text_block(self._prompt, name, role, text, interactive=interactive, most=self.text_bytes)

    async def _open_audio(self) -> None:
        name = clock.new_id()
        frames = out.AudioFrames.of(self._prompt, name)
        samples = round(_PRIMER_MS * self.rate / 1000)
        primer = frames.event(bytes(2 * samples))
        await self._whole((out.audio_start(self._prompt, name, self.rate), primer))
        self.placement.add(samples, None)
        self._audio, self._block = frames, name

    # ------------------------------------------------------------ talking

    def give(self, samples: int, now: float) -> None:
        """It is given that much more of the input."""
        self._given.append((now, self.sent))
        self.sent += samples

    def sent_before(self, when: float) -> int:
        """What :attr:`sent` was at that time, a few seconds ago at most."""
        return next((sent for at, sent in self._given if at >= when), self.sent)

    async def audio(self, pcm: bytes, at: int | None) -> None:
        """Send input from sample ``at`` on, or silence of our own (None)."""
        if self._audio is not None:
            self.placement.add(len(pcm) // 2, at)
            await self.stream.send(self._audio.message(pcm))

    async def text(self, text: str) -> None:
        """Say something to the model, as the user; it answers, and stops what it is saying."""
        await self._whole(self._text("USER", text, interactive=True))

    async def result(self, call: str, result: str, *, error: bool) -> None:
        """Answer a tool call of this connection."""
        text = out.tool_result(result, error=error)
        await self._whole(out.tool_block(self._prompt, clock.new_id(), call, text))

    async def end_turn(self) -> None:
        """Tell the model that the user has finished: their block of audio ends, and another begins."""
        if self._audio is not None:
            ended, self._audio = self._block, None
            await self._whole((out.content_end(self._prompt, ended),))
            await self._open_audio()

    # ------------------------------------------------------------ closing, and both ways

    async def finish(self) -> None:
        """Close what is open, in order, and say that nothing more is sent."""
        events = [out.prompt_end(self._prompt), out.session_end()]
        if self._audio is not None:
            events.insert(0, out.content_end(self._prompt, self._block))
            self._audio = None
        await self._whole(events)
        await self.stream.end()

    async def _whole(self, events: Iterable[bytes]) -> None:
        """Send events with nothing between them. Cancelled half-way, the rest is sent first."""
        with anyio.CancelScope(deadline=clock.now() + _BLOCK_TIMEOUT, shield=True) as scope:
            for event in events:
                await self.stream.send(out.message(event))
        if scope.cancelled_caught:
            raise ProviderTimeout(
                f"did not take a block of text within {_BLOCK_TIMEOUT:g} s",
                provider=PROVIDER,
                doing="sending to the model",
                retryable=True,
            )


class Events:
    """Iterates over the output events that are known."""

    def __init__(self, stream: EventStream) -> None:
        self._messages = aiter(stream)

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> OutputEvent:
        while True:
            event = decode(await anext(self._messages))
            if event is not None:
                return event
