"""The demo's conversation: who takes part, the session that joins them, and what is kept of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import evolve

from voiceloop import clock
from voiceloop.audio import PCM16_24K
from voiceloop.cli import summary
from voiceloop.cli.caller import Caller, Said
from voiceloop.cli.line import Line
from voiceloop.cli.recorder import Recorder
from voiceloop.cli.report import write_report
from voiceloop.cli.stacks import INSTRUCTIONS, On, open_stack
from voiceloop.cli.view import View
from voiceloop.cli.voices import BOOKING, LINE, VOICE, YES, is_silent, speak
from voiceloop.engine.pool import Pool
from voiceloop.local.rules_reasoner import Rules
from voiceloop.rules.endpointing import Endpointing
from voiceloop.session import Session
from voiceloop.testing import virtual_time

ENDPOINTING = Endpointing()
_BUSY = 0.15


class Demo:
    """One conversation. ``clips``: the caller's recorded turns; without any, a simulated caller books a room.

    ``fast``: on simulated time, in which waiting takes no time; the result is the same. ``on``: what the assistant is
    made of; ``account``: with the caller's own AWS account in the place of the emulator.
    """

    def __init__(
        self, view: View, clips: Sequence[Said] = (), *, fast: bool = False, on: On = "local", account: bool = False
    ) -> None:
        self._view = view
        self._clips = tuple(clips)
        self._fast = fast
        self._on = on
        self._account = account
        self._about = ""
        self._caller: Caller | None = None
        self._late = 0.0
        self._endpointing: Endpointing | None = ENDPOINTING
        self.recorder = Recorder(LINE, PCM16_24K)

    def run(self, begun: Callable[[], None] = lambda: None) -> None:
        """Hold the conversation; ``begun`` is called when everybody is there, before the first word.

        Raises VoiceloopError, and KeyboardInterrupt when it was stopped from outside.
        """
        if self._fast:
            virtual_time.run(self._hold, begun)
        else:
            asyncio.run(self._hold(begun))

    async def _hold(self, begun: Callable[[], None]) -> None:
        async with Pool() as pool:
            turns = self._clips or [await speak(text, pool, interrupts=when) for text, when in BOOKING]
            self._caller = Caller(tuple(turns), yes=await speak(YES, pool), repeats=0 if self._clips else 2)
            rules = Rules.demo()
            async with open_stack(self._on, rules, account=self._account) as stack:
                self._about = stack.about
                if stack.model.capabilities.owns_turns:
                    self._endpointing = None
                line = Line(self.recorder, self._view, clock.now())
                session = Session(
                    stack.model,
                    instructions=INSTRUCTIONS,
                    tools=rules.tools,
                    input=LINE,
                    output=PCM16_24K,
                    endpointing=ENDPOINTING,
                    pool=pool,
                )
                async with session:
                    begun()
                    try:
                        with self._view:
                            await line.hold(session, self._caller.call)
                    finally:
                        self._late = line.late

    # ------------------------------------------------------------ what is left of it

    @property
    def title(self) -> str:
        """What this conversation is."""
        return "A recorded caller" if self._clips else "A simulated caller books a room"

    @property
    def code(self) -> int:
        """The exit code: the simulated caller must get its room."""
        return 0 if self._clips or summary.booking(self.recorder.events) is not None else 1

    def summary(self) -> list[str]:
        """What came of it, in sentences."""
        troubles = [] if self._caller is None else list(self._caller.notes)
        if self.code:
            troubles.append("Nothing was booked.")
        if self._late > _BUSY:
            troubles.append(f"This machine was busy: sound was up to {self._late:.1f} s late, and so were answers.")
        return [*troubles, *summary.describe(self.recorder.events, self._endpointing)]

    def save(self, folder: Path) -> Path | None:
        """Write sound, events and report into ``folder``; the report's path, None when nothing happened at all."""
        if not self.recorder.events:
            return None
        recording = evolve(self.recorder.save(folder), owns_turns=self._endpointing is None)
        return write_report(folder, recording, title=self.title, notes=[*self._who(), *self.summary()])

    def _who(self) -> list[str]:
        caller = (
            f"The caller's speech was recorded before, in {len(self._clips)} files; where it says “{YES}”, "
            f"a synthetic voice does (espeak-ng, {VOICE})."
            if self._clips
            else f"The caller is simulated: a script with a synthetic voice (espeak-ng, {VOICE})."
        )
        silent = [f"{clip.name} is silent." for clip in self._clips if is_silent(clip)]
        return [
            caller,
            self._about,
            *silent,
        ]
