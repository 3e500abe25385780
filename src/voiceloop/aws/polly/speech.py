"""One clause being spoken: audio and marks, asked for side by side."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from itertools import count
from typing import Any

import anyio
from attrs import define, field, frozen

from voiceloop import clock
from voiceloop.audio import AudioFormat
from voiceloop.aws.faults import fault_of, translated
from voiceloop.aws.outbox import Outbox
from voiceloop.aws.polly.gate import LISTENED, Gate
from voiceloop.aws.polly.limiter import Crowded, Urgency
from voiceloop.aws.polly.marks import NO_MORE, Marks
from voiceloop.aws.polly.text import Script
from voiceloop.errors import ProviderError, ProviderMisbehaved, SpeechBroke, VoiceloopError
from voiceloop.interfaces import MarkKind, Speech, SpeechAudio, SynthesizerUsage
from voiceloop.rules.backoff import Backoff

logger = logging.getLogger(__name__)

PROVIDER, SERVICE = "Amazon Polly", "polly"
_OPERATION = "SynthesizeSpeech"
# Seconds until an answer to a short text begins, and how much longer each character may take. Answers take tenths of
# seconds; a connection that went away without a word is noticed by this alone, while there is time for another one.
_FIRST, _FIRST_EACH = 5.0, 0.003
_DEADLINE = 3.0  # seconds until each next part of it: another request must begin before a listener gives up
_GRACE = 1.0  # seconds that marks may take longer than their audio
_LONGEST_S = 600  # the service cuts speech after ten minutes ("Quotas in Amazon Polly")
_READ = 65_536
# Marks and audio, asked for apart, agree because the same request makes the same speech ("Requesting speech marks" in
# the developer guide). Files have serial numbers, and generative voices say nothing twice in the same way.
_REPEATED = ("pcm", "mulaw", "alaw", "json")
_BACKOFF = Backoff()


def broke(error: ProviderError) -> SpeechBroke:
    """``error`` happened after some of the audio had been given out."""
    words = str(error.args[0]).removeprefix(f"{error.provider}: ")
    return SpeechBroke(
        f"broke off in the midst of speech: {words}",
        provider=PROVIDER,
        doing="speaking",
        retryable=error.retryable,
        hint=error.hint,
    )


@define(eq=False)
class Outlet(Outbox[Speech]):
    """What is spoken, on its way to one reader. It holds as much as the service makes of one request, ten minutes of
    ``format``."""

    format: AudioFormat
    _bytes: int = field(default=0, init=False)
    _taken: anyio.Event = field(factory=anyio.Event, init=False)

    async def room(self) -> None:
        """Wait until less than a minute of audio is in it."""
        while self._bytes > self.format.bytes_of(self.format.rate * 60):
            self._taken = anyio.Event()
            await self._taken.wait()

    def put(self, items: Sequence[Speech]) -> None:
        """Add ``items``. Raises ProviderMisbehaved when more waits than the service ever makes."""
        self._bytes += sum(len(item.pcm) for item in items if isinstance(item, SpeechAudio))
        if self._bytes > self.format.bytes_of(self.format.rate * _LONGEST_S):
            raise ProviderMisbehaved("sent more than ten minutes of audio", provider=PROVIDER)
        self.add(*items)

    async def __anext__(self) -> Speech:
        item = await super().__anext__()
        if isinstance(item, SpeechAudio):
            self._bytes -= len(item.pcm)
            self._taken.set()
        return item


@frozen
class Asker:
    """Makes requests of SynthesizeSpeech with the parameters that all requests for a voice share. ``patience``: how
    many seconds each may wait for its turn."""

    client: Any = field(repr=False)
    gate: Gate = field(repr=False)
    parameters: Mapping[str, Any]
    patience: float = LISTENED

    async def answer(
        self, script: Script, urgency: Urgency, billed: Callable[[int], None], **more: Any
    ) -> AsyncGenerator[bytes]:
        """The bytes of one answer as they come; ``billed`` gets the characters that it costs.

        What fails is tried again, where that helps. After the first byte, that goes where the same request has the
        same answer: what was given of it is left out then. Raises ProviderError, SpeechBroke after the first byte.
        """
        request = {**self.parameters, "Text": script.text, "TextType": "ssml" if script.ssml else "text", **more}
        repeats = request["OutputFormat"] in _REPEATED and request["Engine"] != "generative"
        given = 0
        for attempt in count(1):
            known = given
            try:
                async with self.gate.passing(urgency, self.patience), aclosing(self._once(request, billed)) as chunks:
                    async for chunk in chunks:
                        news = chunk[known:]
                        known -= min(known, len(chunk))
                        if news:
                            given += len(news)
                            yield news
                return
            except ProviderError as error:
                fault = fault_of(error)
                if fault is not None and fault.code.startswith("Throttling"):
                    self.gate.refused()
                delay = _BACKOFF.delay(attempt, clock.random())
                waited = isinstance(error, Crowded)  # long enough
                if waited or not error.retryable or delay is None or (given and not repeats):
                    if given:
                        raise broke(error) from error
                    raise
            await anyio.sleep(delay)

    async def _once(self, request: Mapping[str, Any], billed: Callable[[int], None]) -> AsyncGenerator[bytes]:
        first = _FIRST + _FIRST_EACH * len(request["Text"])
        with translated(SERVICE, _OPERATION), clock.outside_work(), anyio.fail_after(first):
            answer = await self.client.synthesize_speech(**request)
        body = answer["AudioStream"]
        billed(int(answer.get("RequestCharacters", 0)))
        try:
            while True:
                with translated(SERVICE, _OPERATION), clock.outside_work(), anyio.fail_after(_DEADLINE):
                    chunk = await body.read(_READ)
                if not chunk:
                    return
                yield chunk
        finally:
            body.close()  # in the middle of an answer that closes the connection, at its end it does nothing


@define(eq=False)
class Whole:
    """Cuts bytes into whole samples of ``format``, in 16 bit PCM."""

    format: AudioFormat
    _rest: bytes = b""

    def feed(self, data: bytes) -> bytes:
        """The whole samples that there are now."""
        if self._rest:
            data = self._rest + data
        end = len(data) - len(data) % self.format.sample_bytes
        data, self._rest = data[:end], data[end:]
        if self.format.encoding == "mulaw":
            from voiceloop.audio.g711 import decode  # loads numpy

            return decode(data, "mulaw")
        return data


@define(eq=False)
class Speaking:
    """Speaks ``scripts``, one after the other, into ``outlet``. ``format`` is what the service sends."""

    asker: Asker
    scripts: Sequence[Script]
    want: frozenset[MarkKind]
    first: bool
    format: AudioFormat
    outlet: Outlet
    dumb: bool = False
    """Whether a request for marks failed: no more are asked for."""

    async def run(self) -> None:
        """Speak all; a failure is raised by the outlet."""
        try:
            start_ms = 0.0
            for script in self.scripts:
                await self.outlet.room()
                start_ms += await self._piece(script, start_ms)
        except VoiceloopError as error:
            self.outlet.close(error)
        else:
            self.outlet.put(NO_MORE if self.want else ())
            self.outlet.close()

    async def _piece(self, script: Script, start_ms: float) -> float:
        """Speak one request's worth; returns how many ms it is."""
        spoken: list[float] = []
        failed: list[ProviderError] = []
        async with anyio.create_task_group() as group:
            if self.want and not self.dumb:
                group.start_soon(self._marks, script, start_ms)
            try:
                spoken.append(await self._audio(script))
            except ProviderError as error:
                failed.append(error)
                group.cancel_scope.cancel()
            group.cancel_scope.deadline = clock.now() + _GRACE
        if failed:
            raise failed[0]
        return spoken[0]

    async def _audio(self, script: Script) -> float:
        urgency = Urgency.FIRST if self.first else Urgency.AUDIO
        whole, size = Whole(self.format), 0
        async with aclosing(self.asker.answer(script, urgency, self._billed, **_sound(self.format))) as chunks:
            async for chunk in chunks:
                if pcm := whole.feed(chunk):
                    size += len(pcm)
                    self.outlet.put((SpeechAudio(pcm),))
        return self.outlet.format.ms(size // self.outlet.format.sample_bytes)

    async def _marks(self, script: Script, start_ms: float) -> None:
        marks = Marks(script, self.want, start_ms)
        wanted = {"OutputFormat": "json", "SpeechMarkTypes": sorted(self.want)}
        try:
            async with aclosing(self.asker.answer(script, Urgency.MARKS, self._billed, **wanted)) as chunks:
                async for chunk in chunks:
                    self.outlet.put(marks.feed(chunk))
            self.outlet.put(marks.finish())
        except ProviderError as error:
            # speech without a moving mouth is better than none
            logger.warning("speaking without visemes and words: %s", error)
            self.dumb = True
            self.outlet.put(NO_MORE)

    def _billed(self, characters: int) -> None:
        self.outlet.put((SynthesizerUsage({"characters": characters}),))


def _sound(format: AudioFormat) -> dict[str, str]:
    return {"OutputFormat": "mulaw" if format.encoding == "mulaw" else "pcm", "SampleRate": str(format.rate)}
