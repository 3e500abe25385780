"""A speech model with a narrator beside it, who speaks given words where the model cannot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from math import inf

import anyio
import attrs
from anyio.abc import TaskGroup
from attrs import frozen

from voiceloop import clock
from voiceloop.audio import converter
from voiceloop.cascade.boxes import Box, Patience
from voiceloop.cascade.deadlines import Deadlines
from voiceloop.cascade.making import Making, room_for
from voiceloop.cascade.voice import ReplyVoice, Spoken, load
from voiceloop.engine.blame import blame
from voiceloop.interfaces import (
    Command,
    Cut,
    Link,
    LinkContext,
    LinkEvent,
    ModelCapabilities,
    ReplyAudio,
    ReplyEnded,
    ReplyMarksUntil,
    ReplyStarted,
    ReplyTextDelta,
    Say,
    SpeakConfig,
    SpeechModel,
    Synthesizer,
)
from voiceloop.rules.segmentation import Segmenter


@frozen
class Narrated(SpeechModel):
    """``model``, whose :class:`Say` commands ``narrator`` carries out in a voice of its own.

    Everything else is the model's. Audio of the narrator is converted to the model's output format. A narrator that
    fails loses what it was to say, and the session goes on.
    """

    model: SpeechModel
    narrator: Synthesizer

    @property
    def name(self) -> str:  # type: ignore[override]
        """The model's and the narrator's names."""
        return f"{self.model.name} with {self.narrator.name}"

    @property
    def listener(self) -> str:
        """The model's listener."""
        return self.model.listener

    @property
    def capabilities(self) -> ModelCapabilities:
        """The model's, and it can speak given words."""
        able = self.model.capabilities
        return attrs.evolve(able, says=True, marks=able.marks | self.narrator.capabilities.marks)

    def connect(self, context: LinkContext) -> AbstractAsyncContextManager[Link]:
        """See :meth:`SpeechModel.connect`."""
        return _open(self, context)


@asynccontextmanager
async def _open(model: Narrated, context: LinkContext) -> AsyncIterator[Link]:
    load()
    want = context.want & model.model.capabilities.marks
    async with model.model.connect(attrs.evolve(context, want=want)) as inner, anyio.create_task_group() as children:
        link = _Link(model, context, inner, children)
        children.start_soon(link.read, name="narrated model reader")
        try:
            yield link
        finally:
            link.out.close()
            children.cancel_scope.cancel()


class _Link(Link):
    """The model's link; replies of the narrator have negative numbers."""

    def __init__(self, model: Narrated, context: LinkContext, inner: Link, children: TaskGroup) -> None:
        self.out: Box[LinkEvent] = Box()
        self._model = model
        self._context = context
        self._inner = inner
        self._making = Making(self.out, children, fatal=lambda error: False)

    async def read(self) -> None:
        """Pass the model's events on."""
        marked = bool(self._model.model.capabilities.marks)
        try:
            async for event in self._inner:
                self.out.add(event)
                if isinstance(event, ReplyStarted) and not marked:
                    self.out.add(ReplyMarksUntil(reply=event.reply, ms=inf))
        except Exception as failure:  # noqa: BLE001 - raised by the iterator, after what came before
            self.out.close(failure)
        else:
            self.out.close()

    async def send_audio(self, pcm: bytes) -> None:
        """See :meth:`Link.send_audio`."""
        await self._inner.send_audio(pcm)

    async def send(self, command: Command) -> None:
        """See :meth:`Link.send`."""
        match command:
            case Say(turn=turn):
                self._making.begin(turn, -turn, partial(self._say, command))
            case Cut(turn=turn) if self._making.makes(turn):
                self._making.stop()
            case _:
                await self._inner.send(command)

    def __aiter__(self) -> AsyncIterator[LinkEvent]:
        return self.out

    async def _say(self, say: Say) -> None:
        reply = -say.turn
        self.out.add(ReplyStarted(reply=reply, turn=say.turn))
        self.out.add(ReplyTextDelta(reply=reply, text=say.text))
        if self._context.settings().speak:
            await self._speak(reply, say.text)
        self.out.add(ReplyEnded(reply=reply))

    async def _speak(self, reply: int, text: str) -> None:
        narrator, deadlines = self._model.narrator, Deadlines()
        convert = converter(narrator.capabilities.output, self._model.capabilities.output)

        def emit(event: LinkEvent) -> None:
            if isinstance(event, ReplyAudio):
                event = attrs.evolve(event, pcm=convert.push(event.pcm))
            self.out.add(event)

        name, limit, doing = narrator.name, deadlines.first_audio, "preparing"
        with blame(name, doing), Patience(limit, limit, provider=name, doing=doing):
            await narrator.prepare(self._context.resources)
        voice = ReplyVoice(
            reply,
            narrator,
            SpeakConfig(self._context.resources, self._context.want),
            first_audio=deadlines.first_audio,
            audio_gap=deadlines.audio_gap,
            emit=emit,
            room=room_for(self.out, self._context),
        )
        segmenter, clauses = Segmenter(), Box[Spoken]()
        for piece in (*segmenter.push(text, clock.now()), *segmenter.finish()):
            clauses.add(Spoken(piece, 0, clock.now()))
        clauses.close()
        await voice.run(clauses)
        if rest := convert.finish():
            self.out.add(ReplyAudio(reply=reply, pcm=rest))
