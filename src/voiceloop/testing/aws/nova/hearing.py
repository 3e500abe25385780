"""The model's ear: when the user speaks, when their turn is over, and what they said."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TypeAlias

import anyio
from attrs import define, field, frozen

from voiceloop import clock
from voiceloop.audio import AudioFormat, Converter, converter
from voiceloop.conversation import Message
from voiceloop.interfaces import (
    Final,
    ListenConfig,
    Listening,
    Reasoner,
    Recognizer,
    Resources,
    Silent,
    Speaking,
    TurnDetector,
    TurnOver,
    TurnState,
)


@frozen
class SpeechBegan:
    """The user began to speak, at ``ms`` of the input."""

    ms: float


@frozen
class SpeechGoesOn:
    """They have spoken for ``voiced_ms``."""

    voiced_ms: float


@frozen
class SpeechOver:
    """The user's turn is over: they spoke from ``start_ms`` to ``end_ms``, which was clear at ``at_ms``.

    ``finals``: how many the recognizer will have sent by then, all told.
    """

    start_ms: float
    end_ms: float
    at_ms: float
    finals: int


HeardSignal: TypeAlias = SpeechBegan | SpeechGoesOn | SpeechOver


@define(eq=False)
class Hearing:
    """Listens to one connection. Times are in ms of its input, over all AUDIO blocks."""

    _recognizer: Recognizer
    _turns: TurnDetector
    _endpoint_ms: float
    last_speech: float = field(factory=clock.now)
    _listening: Listening | None = None
    _convert: Converter | None = None
    _state: TurnState | None = None
    _format: AudioFormat | None = None
    _base_ms: float = 0.0
    _samples: int = 0
    _start: float | None = None
    _silent: float | None = None
    _finals: deque[tuple[int, Final]] = field(factory=deque)
    _expected: int = 0
    _received: int = 0
    _told: anyio.Event = field(factory=anyio.Event)

    async def open(self, rate: int, resources: Resources, stack: AsyncExitStack) -> bool:
        """An AUDIO block begins. Returns whether it is the first, so that :meth:`listen` must run."""
        self._format = AudioFormat(rate)
        self._convert = converter(self._format, self._recognizer.capabilities.input)
        self._state = self._turns.start(self._format)
        if self._listening is not None:
            return False
        self._listening = await stack.enter_async_context(self._recognizer.open(ListenConfig(resources)))
        return True

    async def listen(self) -> None:
        """Take what the recognizer hears, until its stream is closed."""
        assert self._listening is not None
        async for item in self._listening:
            if isinstance(item, Final):
                self._received += 1
                self._finals.append((self._received, item))
                self._told.set()

    async def expect(self, reasoner: Reasoner, messages: Sequence[Message]) -> None:
        """Tell the recognizer what may be said next."""
        if self._listening is not None:
            await self._listening.expect(reasoner.expect(messages))

    async def audio(self, pcm: bytes) -> list[HeardSignal]:
        """More input. What it shows, in order."""
        assert self._listening is not None
        assert self._state is not None
        assert self._convert is not None
        assert self._format is not None
        await self._listening.send_audio(self._convert.push(pcm))
        signals: list[HeardSignal] = []
        for signal in self._state.audio(pcm):
            match signal:
                case Speaking(start_ms=ms, voiced_ms=voiced):
                    self.last_speech = clock.now()
                    self._silent = None
                    if self._start is None:
                        self._start = self._base_ms + ms
                        signals.append(SpeechBegan(self._start))
                    signals.append(SpeechGoesOn(voiced))
                case Silent(since_ms=ms):
                    self._silent = self._base_ms + ms
                    await self._flush(end_of_turn=False)
                case TurnOver():
                    signals += await self._over(self._now())
        self._samples += len(pcm) // 2
        if self._silent is not None and self._now() >= self._silent + self._endpoint_ms:
            signals += await self._over(self._silent + self._endpoint_ms)
        return signals

    async def close(self) -> list[HeardSignal]:
        """The AUDIO block is closed, which ends a turn that was going on."""
        signals = await self._over(self._now())
        self._base_ms, self._samples, self._state = self._now(), 0, None
        return signals

    async def transcript(self, over: SpeechOver, wait: float) -> str:
        """What the turn said, once the recognizer told it; empty after ``wait`` seconds."""
        with anyio.move_on_after(wait) as scope:
            while self._received < over.finals:
                self._told = anyio.Event()
                await self._told.wait()
        if scope.cancelled_caught:
            self._received = max(self._received, over.finals)
        said: dict[str, str] = {}
        while self._finals and (self._finals[0][0] <= over.finals or not self._recognizer.capabilities.can_flush):
            final = self._finals.popleft()[1]
            said[final.item] = final.text.strip()
        return " ".join(filter(None, said.values()))

    async def _flush(self, *, end_of_turn: bool) -> None:
        assert self._listening is not None
        if self._recognizer.capabilities.can_flush:
            self._expected += 1
        await self._listening.flush(end_of_turn=end_of_turn)

    def _now(self) -> float:
        return self._base_ms + (self._format.ms(self._samples) if self._format else 0.0)

    async def _over(self, at_ms: float) -> list[HeardSignal]:
        if self._start is None:
            return []
        await self._flush(end_of_turn=True)
        if not self._recognizer.capabilities.can_flush:
            # One final for the turn at least, whether it has come or not.
            self._expected = self._received if self._finals else self._received + 1
        end = at_ms if self._silent is None else self._silent
        over = SpeechOver(self._start, end, at_ms, self._expected)
        self._start, self._silent = None, None
        return [over]
