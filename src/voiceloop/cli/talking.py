"""The conversation of ``voiceloop talk``: the offline assistant on a sound card, watched and recorded."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import anyio
import anyio.to_thread
from attrs import define, field

from voiceloop import clock
from voiceloop.cascade import Cascade
from voiceloop.cli.recorder import Recorder, Sounding
from voiceloop.cli.report import write_report
from voiceloop.cli.view import Moment, View
from voiceloop.engine.pool import Pool
from voiceloop.errors import SessionClosed
from voiceloop.events import Event, SessionStarted, TurnEnded, Viseme
from voiceloop.local.espeak import EspeakSynthesizer
from voiceloop.local.recognizer import PocketSphinx
from voiceloop.local.rules_reasoner import Rules
from voiceloop.session import Session
from voiceloop.transports.sides import LINE, Frame
from voiceloop.transports.soundcard import SoundCard

_FRAMES = 2  # to a moment of the view


@define(eq=False)
class Watch:
    """Shows a call, and records it if asked to; takes the events and the frames of a sound card."""

    view: View
    recorder: Recorder | None
    _began: float | None = field(default=None, init=False)
    _mouths: dict[int, list[tuple[float, str]]] = field(factory=dict, init=False)
    _frames: list[Frame] = field(factory=list, init=False)
    _recording: bool = field(default=False, init=False)

    def event(self, event: Event) -> None:
        """The session's next event."""
        match event:
            case SessionStarted():
                self._began = clock.now() - event.at
            case Viseme():
                self._mouths.setdefault(event.turn, []).append((event.ms, event.code))
            case TurnEnded():
                self._mouths.pop(event.turn, None)
            case _:
                pass
        if self.recorder is not None:
            self.recorder.event(event)
        self.view.event(event)

    def frame(self, frame: Frame) -> None:
        """The next 10 ms."""
        if self._began is None:
            return
        if self.recorder is not None:
            self._record(self.recorder, frame, frame.at - self._began)
        self._frames.append(frame)
        if len(self._frames) == _FRAMES:
            said, heard = (b"".join(each) for each in zip(*((f.said, f.heard) for f in self._frames), strict=True))
            self.view.moment(Moment(frame.at - self._began, said, heard, self._mouth(frame)))
            self._frames.clear()

    def _record(self, recorder: Recorder, frame: Frame, at: float) -> None:
        if not self._recording:  # both sides begin with the session, the microphone a little later
            self._recording = True
            lead = LINE.silence(max(0, LINE.samples_in(at * 1000) - LINE.samples(len(frame.said))))
            recorder.said(lead)
            recorder.heard(lead)
        recorder.said(frame.said)
        sounding = [Sounding(piece.turn, piece.ms, LINE.ms(piece.start), piece.duration_ms) for piece in frame.pieces]
        recorder.heard(frame.heard, sounding)

    def _mouth(self, frame: Frame) -> str:
        if not frame.pieces:
            return "sil"
        piece = frame.pieces[-1]
        end = piece.ms + piece.duration_ms
        return next((code for ms, code in reversed(self._mouths.get(piece.turn, ())) if ms < end), "sil")


class Talk:
    """One conversation with the offline assistant. ``card``: None is silent; ``lines``: what to type from, if any."""

    hello = "Hello. I can book a meeting room, tell the time, add numbers and convert units."

    def __init__(self, view: View, card: SoundCard | None, *, lines: TextIO | None, record: bool) -> None:
        self._view = view
        self._card = card
        self._lines = lines
        self._watch = Watch(view, Recorder(LINE, LINE) if record else None)

    def run(self) -> None:
        """Talk until the session ends. Raises VoiceloopError, and KeyboardInterrupt when stopped from outside."""
        with self._view:
            asyncio.run(self.talk())

    async def talk(self) -> None:
        """As :meth:`run`, in an event loop."""
        rules = Rules.demo()
        model = Cascade(PocketSphinx(workers=1), rules, EspeakSynthesizer())
        async with Pool() as pool:
            session = Session(model, tools=rules.tools, speak=self._card is not None, pool=pool)
            async with session:
                if self._card is not None:
                    await session.say(self.hello)
                if self._lines is None:
                    await self._listen(session)
                else:
                    await self._typed(session, self._lines)

    async def _listen(self, session: Session) -> None:
        if self._card is None:
            async for event in session:
                self._watch.event(event)
        else:
            await self._card.run(session, on_event=self._watch.event, on_frame=self._watch.frame)

    async def _typed(self, session: Session, lines: TextIO) -> None:
        typing = asyncio.create_task(_type(session, lines))
        try:
            await self._listen(session)
        finally:
            typing.cancel()
            await asyncio.wait({typing})
        if not typing.cancelled():
            typing.result()

    def save(self, folder: Path) -> bool:
        """Write sound, events and report; False when nothing happened or nothing was recorded."""
        recorder = self._watch.recorder
        if recorder is None or not recorder.events:
            return False
        recording = recorder.save(folder)
        notes = [
            "The user spoke into a microphone; what is heard of them is without the assistant's echo."
            if self._lines is None
            else "The user typed.",
            "The assistant follows fixed rules, it is no language model; it hears with pocketsphinx and speaks with "
            "espeak-ng, on this machine alone.",
        ]
        write_report(folder, recording, title="A talk", notes=notes)
        return True


async def _type(session: Session, lines: TextIO) -> None:
    """Send each line; at the end of the input hang up, after what is being said."""
    with suppress(SessionClosed):
        while True:
            with clock.outside_work():
                line = await anyio.to_thread.run_sync(lines.readline, abandon_on_cancel=True)
            if not line:
                await session.end()
                return
            if line.strip():
                await session.send_text(line.strip())
