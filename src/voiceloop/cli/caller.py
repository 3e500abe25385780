"""The demo's caller: what it says and when, whether its voice is a machine's or a recording."""

from __future__ import annotations

from attrs import define, field, frozen

from voiceloop.cli.line import Line

PAUSE = 0.6
"""Seconds between the end of a reply and the caller's answer, about what people take."""

_PATIENCE = 8.0
_ASK_BACKS = 2


@frozen
class Said:
    """One turn of the caller: its sound (in the line's format) and what people call it.

    ``interrupts``: say it so many seconds into the assistant's reply (None: when the reply is over).
    """

    name: str
    pcm: bytes = field(repr=lambda pcm: f"<{len(pcm)} bytes>")
    interrupts: float | None = None


@define(eq=False)
class Caller:
    """Says ``turns`` one after the other, each when the assistant has finished (or in the middle of its sentence).

    To "Did you say ...?" it says ``yes``, and to the last question whether to do it. ``repeats``: how often it says a
    turn again that was not understood. ``notes``: what went wrong.
    """

    turns: tuple[Said, ...]
    yes: Said
    repeats: int = 0
    notes: list[str] = field(factory=list, init=False)

    async def call(self, line: Line) -> None:
        """Hold the caller's side of the conversation."""
        for number, turn in enumerate(self.turns):
            following = self.turns[number + 1] if number + 1 < len(self.turns) else None
            await self._say(line, turn, None if following is None else following.interrupts)
        for _ in range(_ASK_BACKS):
            if not _asks_to_confirm(line.reply):
                break
            await self._say(line, self.yes, None)

    async def _say(self, line: Line, turn: Said, interrupt: float | None) -> None:
        """Say ``turn``, and listen to the answer: to its end, or for ``interrupt`` seconds of it."""
        if turn.interrupts is None:
            await line.wait(PAUSE)
        reply, again = await self._answer(line, turn, interrupt), self.repeats
        for _ in range(_ASK_BACKS + self.repeats):
            if reply is not None and _asks_back(reply):
                following = self.yes
            elif again and (reply is None or _is_lost(reply)):
                following, again = turn, again - 1
            else:
                break
            await line.until(lambda: line.quiet, patience=_PATIENCE)
            await line.wait(PAUSE)
            reply = await self._answer(line, following, interrupt)
        if reply is None:
            self.notes.append(f"{turn.name}: nothing was understood, and nothing answered.")

    async def _answer(self, line: Line, turn: Said, interrupt: float | None) -> str | None:
        """The reply to ``turn``, when it was heard so far; None: there was none."""
        before, ms = line.turn, float("inf") if interrupt is None else interrupt * 1000
        await line.say(turn.pcm)
        if not await line.until(lambda: line.turn > before, patience=_PATIENCE):
            return None
        await line.until(lambda: line.quiet or line.player.heard_ms(line.turn) >= ms, patience=_PATIENCE)
        return line.reply


def _asks_back(reply: str) -> bool:
    return reply.startswith("Did you say")


def _is_lost(reply: str) -> bool:
    return reply.startswith("Sorry")


def _asks_to_confirm(reply: str) -> bool:
    return reply.rstrip().endswith("Shall I book it?")
