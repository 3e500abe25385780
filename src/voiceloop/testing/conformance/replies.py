"""The rules for what a speech model's link says of its replies."""

from __future__ import annotations

from typing import Any

from attrs import define, field

from voiceloop.errors import AudioFormatError
from voiceloop.interfaces import (
    LinkChanged,
    LinkNotice,
    MarkKind,
    ModelCapabilities,
    ModelCut,
    ModelSpeechStarted,
    ModelSpeechStopped,
    ModelToolCall,
    ModelUsage,
    Renewed,
    ReplyAudio,
    ReplyEnded,
    ReplyFailed,
    ReplyMarksUntil,
    ReplySpan,
    ReplyStarted,
    ReplyTextDelta,
    ReplyViseme,
    ReplyWord,
    Settled,
)
from voiceloop.testing.conformance.findings import Findings
from voiceloop.testing.conformance.transcripts import amounts
from voiceloop.visemes import CODES

_SLACK_MS = 60.0
_PARTS = (
    ReplyTextDelta,
    ReplyAudio,
    ReplyViseme,
    ReplyWord,
    ReplySpan,
    ReplyMarksUntil,
    ReplyEnded,
    ModelCut,
    ModelToolCall,
)
_ASIDE = (ModelSpeechStarted, ModelSpeechStopped, Renewed, Settled, LinkChanged, LinkNotice)


@define(eq=False)
class _Reply:
    text: str = ""
    audio_ms: float = 0.0
    until: float = 0.0
    last_ms: dict[str, float] = field(factory=dict)
    last_end: int = 0
    over: bool = False


@define(eq=False)
class Replies:
    """Looks at link events as they come; ``seen`` are those of replies, ``ended`` the replies that were completed."""

    _findings: Findings
    _capabilities: ModelCapabilities
    seen: list[object] = field(factory=list)
    turns: dict[int, int | None] = field(factory=dict)
    ended: list[int] = field(factory=list)
    audio_ms: float = 0.0
    _replies: dict[int, _Reply] = field(factory=dict)

    def see(self, event: object) -> None:
        """The next event of the link."""
        match event:
            case ReplyStarted(reply, turn):
                self.seen.append(event)
                self._findings.check(reply not in self._replies, "a reply's number was used before")
                self._replies[reply], self.turns[reply] = _Reply(), turn
            case ReplyFailed(_, error):
                self._findings.wrong(f"a reply failed with {type(error).__name__}: {error}")
            case ModelUsage(_, given):
                amounts(self._findings, dict(given))
            case _ if isinstance(event, _PARTS):
                self.seen.append(event)
                self._part(event)
            case _:
                self._findings.check(isinstance(event, _ASIDE), f"{type(event).__name__} is no event of a link")

    def _part(self, event: Any) -> None:
        wrong, check = self._findings.wrong, self._findings.check
        name = type(event).__name__
        reply = self._replies.get(event.reply)
        if reply is None:
            wrong(f"{name} of a reply that was not started")
            return
        late_cut = isinstance(event, ModelCut) and event.reply in self.ended  # it may still be playing
        check(not reply.over or late_cut, f"{name} of a reply that was over")
        match event:
            case ReplyTextDelta(_, text):
                check(bool(text), "a ReplyTextDelta holds no text")
                reply.text += text
            case ReplyAudio(_, pcm):
                try:
                    ms = self._capabilities.output.ms(self._capabilities.output.samples(pcm))
                except AudioFormatError:
                    wrong("audio that is not whole samples")
                    ms = 0.0
                reply.audio_ms += ms
                self.audio_ms += ms
            case ReplyViseme():
                check(event.code in CODES, f"viseme {event.code!r} is not in Polly's alphabet")
                self._mark(event, "viseme", reply)
            case ReplyWord():
                inside = 0 <= event.start < event.end <= len(reply.text)
                check(inside, "a word's characters are not in the reply's text so far")
                check(event.start >= reply.last_end, "words overlap in the text, or come in another order than in it")
                reply.last_end = event.end
                self._mark(event, "word", reply)
            case ReplySpan():
                inside = 0 <= event.start < event.end <= len(reply.text)
                check(inside, "a span's characters are not in the reply's text so far")
            case ReplyMarksUntil(_, ms):
                check(ms >= reply.until, "ReplyMarksUntil goes back")
                reply.until = max(reply.until, ms)
            case ReplyEnded():
                last = max(reply.last_ms.values(), default=0.0)
                check(last <= reply.audio_ms + _SLACK_MS, "a mark lies after the end of its reply's audio")
                self.ended.append(event.reply)
                reply.over = True
            case ModelCut():
                reply.over = True
            case _:
                pass

    def _mark(self, mark: ReplyViseme | ReplyWord, kind: MarkKind, reply: _Reply) -> None:
        check = self._findings.check
        check(kind in self._capabilities.marks, f"{kind} marks that capabilities do not name")
        check(mark.ms >= reply.last_ms.get(kind, 0.0), f"{kind} marks are not in order of time")
        check(mark.ms >= reply.until, f"a {kind} mark came after ReplyMarksUntil had passed it")
        check(mark.end_ms is None or mark.end_ms >= mark.ms, f"a {kind} mark ends before it begins")
        reply.last_ms[kind] = mark.ms
