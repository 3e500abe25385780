"""The live view: finished entries scroll up, and below them is what is going on right now."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Self, TextIO

from attrs import define, field
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from voiceloop.audio import rms_dbfs
from voiceloop.cli.view import mouth
from voiceloop.cli.view.base import Moment, View
from voiceloop.cli.view.entries import Entry, Teller
from voiceloop.events import (
    Event,
    Interrupted,
    Paused,
    ReplyText,
    Resumed,
    ToolCalled,
    ToolReturned,
    Transcript,
    TurnEnded,
    TurnMetrics,
    TurnStarted,
    UserSpeechEnded,
    UserSpeechStarted,
    Word,
)

_FRAMES = 4  # moments to a picture: 12.5 pictures a second
_METER = 28
_BARS, _PLAIN_BARS = " ▁▂▃▄▅▆▇█", " ..::==##"
_STYLES = {"caller": "cyan", "assistant": "magenta", "tool": "yellow", "note": "bright_black"}
_PART_STYLES = {
    "silence": "bright_black",
    "text": "blue",
    "clause": "cyan",
    "voice": "magenta",
    "out": "green",
    "model": "blue",
}
_BAR_WIDTH = 18


@define
class _Now:
    """What is going on."""

    said: str = ""
    reply: str = ""
    state: str = "connecting"
    mouth: str = "sil"
    words: list[Word] = field(factory=list)
    reply_ms: float = 0.0
    levels: dict[str, deque[float]] = field(
        factory=lambda: {who: deque([0.0] * _METER, maxlen=_METER) for who in ("caller", "assistant")}
    )

    @property
    def heard(self) -> int:
        """How many characters of the reply were begun to be heard."""
        return max((word.end for word in self.words if word.ms < self.reply_ms), default=0)

    def event(self, event: Event) -> None:
        """What changes with ``event``."""
        match event:
            case UserSpeechStarted():
                self.state = "listening"
            case Transcript():
                self.said = "" if event.final else event.text
            case UserSpeechEnded():
                self.state = "thinking"
            case ToolCalled():
                self.state = f"calling {event.name}"
            case ToolReturned():
                self.state = "thinking"
            case TurnStarted():
                self.reply = ""
                self.words.clear()
            case Word():
                self.words.append(event)
            case ReplyText():
                self.reply += event.text
            case TurnMetrics() | Resumed():
                self.state = "speaking"
            case Paused():
                self.state = "pausing: is that an interruption?"
            case Interrupted():
                self.state = "interrupted"
            case TurnEnded():
                self.reply, self.state = "", "listening"
            case _:
                pass


class LiveView(View):
    """Draws with rich on a terminal; needs at least 60 columns to look right, and at most 100."""

    def __init__(self, out: TextIO, *, owns_turns: bool = False) -> None:
        self._console = Console(file=out, highlight=False, emoji=False, markup=False)
        self._width = min(self._console.width, 100)
        self._plain = not self._console.encoding.lower().startswith("utf")
        self._live = Live(console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop")
        self._teller = Teller(owns_turns)
        self._now = _Now()
        self._count = 0
        self._loudest = {"caller": -100.0, "assistant": -100.0}

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def event(self, event: Event) -> None:
        """Print what is over; the rest is drawn with the next picture."""
        self._now.event(event)
        for entry in self._teller.tell(event):
            self._live.console.print(self._entry(entry), width=self._width)

    def moment(self, moment: Moment) -> None:
        """Every fourth moment draws a picture."""
        for who, pcm in (("caller", moment.said), ("assistant", moment.heard)):
            self._loudest[who] = max(self._loudest[who], rms_dbfs(pcm))
        self._now.mouth, self._now.reply_ms = moment.mouth, moment.reply_ms
        self._count += 1
        if self._count % _FRAMES == 0:
            for who, level in self._loudest.items():
                self._now.levels[who].append(min(1.0, max(0.0, (level + 55) / 50)))
                self._loudest[who] = -100.0
            self._live.update(self._picture(), refresh=True)

    # ------------------------------------------------------------ drawing

    def _entry(self, entry: Entry) -> RenderableType:
        style = _STYLES[entry.who]
        table = Table.grid(padding=(0, 1))
        table.add_column(width=7, justify="right", style="bright_black")
        table.add_column(width=9, style=style)
        table.add_column(width=self._width - 20)
        quiet = entry.who in ("tool", "note")
        text = Text(entry.text, style=style if quiet else "")
        text.append(entry.unheard, style="bright_black strike")
        table.add_row(f"{entry.at:.1f}", entry.who, text)
        if entry.latency is not None and entry.latency.measured:
            table.add_row("", "", self._waterfall(entry.latency.voice_to_voice, entry.parts))
        return table

    def _waterfall(self, total: float, parts: Sequence[tuple[str, float]]) -> Text:
        """A bar of the latency's parts, widest 1.5 s; what they are, and their sum."""
        shades = dict(zip(_PART_STYLES, ".-=#*=" if self._plain else "░▒▓█▇▓", strict=True))
        line = Text()
        for name, ms in parts:
            line.append(shades[name] * round(_BAR_WIDTH * min(ms, 1500) / 1500), style=_PART_STYLES[name])
        said = ", ".join(f"{name} {ms:.0f}" for name, ms in parts if ms >= 0.5)
        line.append(f" {total:.0f} ms: {said}", style="bright_black")
        return line

    def _picture(self) -> RenderableType:
        now = self._now
        face = mouth.draw(now.mouth, plain=self._plain)
        side = self._width - mouth.WIDTH - 6
        table = Table.grid(padding=(0, 1))
        table.add_column(width=side)
        table.add_column(width=mouth.WIDTH, style="bold magenta")
        rows = [
            self._meter("caller"),
            self._line(now.said, len(now.said), side),
            self._meter("assistant"),
            self._line(now.reply, now.heard, side),
        ]
        for row, lips in zip(rows, ["", *face], strict=True):
            table.add_row(row, lips)
        title = Text(f" {now.state} ", style="bright_black")
        rule = Rule(title, style="bright_black", characters="-" if self._plain else "─", align="left")
        return Group(rule, Padding(table, (0, 0, 0, 2)))

    def _meter(self, who: str) -> Text:
        bars = _PLAIN_BARS if self._plain else _BARS
        line = Text(f"{who:<10}", style=_STYLES[who])
        line.append("".join(bars[round(level * (len(bars) - 1))] for level in self._now.levels[who]))
        return line

    @staticmethod
    def _line(text: str, heard: int, width: int) -> Text:
        """One line of ``text``, dim from ``heard`` on; of what is too long, the part around there."""
        start = max(0, min(heard - width * 2 // 3, len(text) - width))
        line = Text(text[start : max(start, heard)], no_wrap=True, overflow="crop")
        return line.append(text[max(start, heard) : start + width], style="bright_black")
