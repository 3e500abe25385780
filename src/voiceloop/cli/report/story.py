"""The events of a conversation, told as the page shows them: lines, mouth shapes, timings, totals."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

from attrs import define, field

from voiceloop.cli.report.recording import Played, Recording
from voiceloop.events import (
    AudioChunk,
    Event,
    Interrupted,
    Notice,
    Paused,
    ReplyText,
    Resumed,
    SpokenWord,
    ToolCalled,
    ToolReturned,
    Transcript,
    TranscriptRevised,
    TurnEnded,
    TurnMetrics,
    TurnStarted,
    UserSpeechEnded,
    UserSpeechStarted,
    Viseme,
    Word,
)

JsonObject = dict[str, Any]
PARTS = ("endpointing", "first_token", "first_clause", "synthesis", "delivery")
MODEL = "model"
# Stretches closer than this, in s, are one to the eye.
_TOUCHING = 0.04


@define
class _Turn:
    """What belongs to one reply."""

    number: int
    at: float = 0.0
    text: str = ""
    audio_ms: float = 0.0
    words: list[Word] = field(factory=list)
    visemes: list[Viseme] = field(factory=list)
    ended: TurnEnded | None = None

    @property
    def said(self) -> str:
        """All that the model wrote."""
        return self.ended.said if self.ended else self.text

    @property
    def heard_chars(self) -> int:
        """How many characters of it the listener heard."""
        if self.ended is None or self.ended.reason == "completed":
            return len(self.said)
        heard = self.ended.heard.text
        return len(heard) if self.said.startswith(heard) else 0


def tell(recording: Recording) -> JsonObject:
    """Everything that the page shows but its title, notes and sound, as plain JSON values; times in s."""
    turns = _turns(recording.events)
    lines = [
        *_user_lines(recording.events),
        *(_assistant_line(turn, recording.played.get(turn.number, ())) for turn in turns.values() if turn.said),
        *_tool_lines(recording.events),
    ]
    return {
        "lines": sorted(lines, key=lambda line: line["start"]),
        "visemes": _mouth(turns.values(), recording),
        "spans": {"user": _speech(recording.events), "assistant": _stretches(recording)},
        "marks": _marks(recording.events),
        "waterfall": _waterfall(recording.events, owns_turns=recording.owns_turns),
        "totals": _totals(recording.events, owns_turns=recording.owns_turns),
    }


def _turns(events: Iterable[Event]) -> dict[int, _Turn]:
    turns: dict[int, _Turn] = {}
    for event in events:
        if not isinstance(event, TurnStarted | ReplyText | AudioChunk | Word | Viseme | TurnEnded):
            continue
        turn = turns.setdefault(event.turn, _Turn(event.turn, at=event.at))
        match event:
            case ReplyText():
                turn.text += event.text
            case AudioChunk():
                turn.audio_ms = max(turn.audio_ms, event.ms + event.duration_ms)
            case Word():
                turn.words.append(event)
            case Viseme():
                turn.visemes.append(event)
            case TurnEnded():
                turn.ended = event
            case TurnStarted():
                turn.at = event.at
    return turns


# ---------------------------------------------------------------- the transcript


def _user_lines(events: Sequence[Event]) -> list[JsonObject]:
    speech = _speech(events)
    revised = {event.utterance: event.text for event in events if isinstance(event, TranscriptRevised)}
    lines = []
    for event in events:
        if not isinstance(event, Transcript) or not event.final or not event.text.strip():
            continue
        begun = [span for span in speech if span[0] <= event.at] or [[event.at, event.at]]
        start = event.words[0].start_ms / 1000 if event.words else begun[-1][0]
        end = event.words[-1].end_ms / 1000 if event.words else begun[-1][1]
        text = revised.get(event.utterance, event.text)
        lines.append({"who": "user", "start": start, "end": end, "words": _user_words(text, event.words, start, end)})
    return lines


def _user_words(text: str, words: Sequence[SpokenWord], start: float, end: float) -> list[JsonObject]:
    tokens = text.split()
    if len(tokens) == len(words):
        times = [(word.start_ms / 1000, word.end_ms / 1000) for word in words]
    else:
        times = _spread(tokens, start, end)
    return [{"text": token, "start": a, "end": b, "heard": True} for token, (a, b) in zip(tokens, times, strict=True)]


def _spread(tokens: Sequence[str], start: float, end: float) -> list[tuple[float, float]]:
    """Times for words of which none are known: in proportion to their letters."""
    letters = sum(map(len, tokens)) or 1
    times, passed = [], 0
    for token in tokens:
        begin = start + (end - start) * passed / letters
        passed += len(token)
        times.append((begin, start + (end - start) * passed / letters))
    return times


def _assistant_line(turn: _Turn, played: Sequence[Played]) -> JsonObject:
    ended = turn.ended
    return {
        "who": "assistant",
        "turn": turn.number,
        "start": played[0].start if played else turn.at,
        "end": played[-1].end if played else turn.at,
        "words": _reply_words(turn, played),
        "outcome": ended.reason if ended else "completed",
        "basis": ended.heard.basis if ended else "measured",
    }


def _reply_words(turn: _Turn, played: Sequence[Played]) -> list[JsonObject]:
    """The reply in pieces: each word with what follows it, its times, and whether it was heard."""
    text, marks, pieces, done = turn.said, _reply_marks(turn), [], 0
    for index, (start, end, ms, end_ms) in enumerate(marks):
        begin = done
        done = marks[index + 1][0] if index + 1 < len(marks) else end + _until_space(text[end:])
        times = _wall_span(played, ms, end_ms)
        pieces.append({"text": text[begin:done].strip(), "heard": start < turn.heard_chars, **times})
    if rest := text[done:].strip():
        pieces.append({"text": rest, "heard": turn.heard_chars >= len(text), "start": None, "end": None})
    return pieces


def _reply_marks(turn: _Turn) -> list[tuple[int, int, float, float]]:
    """(start, end, ms, end ms) of each word; spread over the audio when the voice gives no word times."""
    words = turn.words
    if words:
        ends = [w.end_ms if w.end_ms is not None else n.ms for w, n in pairwise(words)]
        ends.append(words[-1].end_ms if words[-1].end_ms is not None else max(turn.audio_ms, words[-1].ms))
        return [(word.start, word.end, word.ms, end) for word, end in zip(words, ends, strict=True)]
    tokens, marks, position = turn.said.split(), [], 0
    for token, (ms, end_ms) in zip(tokens, _spread(tokens, 0.0, turn.audio_ms), strict=True):
        start = turn.said.index(token, position)
        position = start + len(token)
        marks.append((start, position, ms, end_ms))
    return marks


def _until_space(text: str) -> int:
    """How many characters of punctuation still belong to the word before ``text``."""
    return 0 if not text or text[0].isspace() else len(text.split(maxsplit=1)[0])


def _wall_span(played: Sequence[Played], ms: float, end_ms: float) -> JsonObject:
    for stretch in played:
        if stretch.ms <= ms < stretch.ms + stretch.duration_ms:
            start = stretch.start + (ms - stretch.ms) / 1000
            return {"start": start, "end": min(max(start, start + (end_ms - ms) / 1000), stretch.end)}
    return {"start": None, "end": None}


def _tool_lines(events: Sequence[Event]) -> list[JsonObject]:
    returned = {event.call: event for event in events if isinstance(event, ToolReturned)}
    lines = []
    for event in events:
        if isinstance(event, ToolCalled):
            result = returned.get(event.call)
            lines.append(
                {
                    "who": "tool",
                    "start": event.at,
                    "end": result.at if result else event.at,
                    "name": event.name,
                    "arguments": {name: _text_of(value) for name, value in event.arguments.items()},
                    "result": result.result if result else None,
                    "error": bool(result and result.error),
                    "ms": result.ms if result else None,
                }
            )
    return lines


def _text_of(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


# ---------------------------------------------------------------- the mouth and the timeline


def _mouth(turns: Iterable[_Turn], recording: Recording) -> list[tuple[float, str]]:
    """(s, viseme) in order: what the mouth does from then on, silent wherever nothing is played."""
    shapes: list[tuple[float, str]] = []
    for turn in turns:
        visemes = sorted(turn.visemes, key=lambda viseme: viseme.ms)
        for stretch in recording.played.get(turn.number, ()):
            before = [viseme for viseme in visemes if viseme.ms <= stretch.ms]
            shapes.append((stretch.start, before[-1].code if before else "sil"))
            shapes += [
                (stretch.start + (viseme.ms - stretch.ms) / 1000, viseme.code)
                for viseme in visemes
                if stretch.ms < viseme.ms < stretch.ms + stretch.duration_ms
            ]
            shapes.append((stretch.end, "sil"))
    shapes.sort(key=lambda shape: shape[0])
    nexts = [at for at, _ in shapes[1:]] + [float("inf")]
    return [
        (at, code)
        for (at, code), after in zip(shapes, nexts[: len(shapes)], strict=True)
        if code != "sil" or after - at > _TOUCHING
    ]


def _speech(events: Iterable[Event]) -> list[list[float]]:
    """[start, end] in s of each stretch of user speech."""
    spans: list[list[float]] = []
    for event in events:
        if isinstance(event, UserSpeechStarted):
            spans.append([event.ms / 1000, event.ms / 1000])
        elif isinstance(event, UserSpeechEnded) and spans:
            spans[-1][1] = max(spans[-1][0], event.ms / 1000)
    return spans


def _stretches(recording: Recording) -> list[list[float]]:
    spans: list[list[float]] = []
    for stretch in sorted((s for turn in recording.played.values() for s in turn), key=lambda s: s.start):
        if spans and stretch.start - spans[-1][1] < _TOUCHING:
            spans[-1][1] = max(spans[-1][1], stretch.end)
        else:
            spans.append([stretch.start, stretch.end])
    return spans


def _marks(events: Iterable[Event]) -> list[JsonObject]:
    names = {Interrupted: "interrupted", Paused: "paused", Resumed: "resumed"}
    return [{"at": event.at, "kind": names[type(event)]} for event in events if type(event) in names]


# ---------------------------------------------------------------- the figures


def _parts(event: TurnMetrics, *, owns_turns: bool) -> dict[str, float]:
    """Where the time of an answer went. A model that owns its turns does not tell when it took one for over."""
    if owns_turns:
        return {MODEL: event.voice_to_voice - event.delivery, "delivery": event.delivery}
    return {part: getattr(event, part) for part in PARTS}


def _waterfall(events: Sequence[Event], *, owns_turns: bool) -> list[JsonObject]:
    asked = {event.utterance: event.text for event in events if isinstance(event, Transcript) and event.final}
    return [
        {
            "turn": event.turn,
            "asked": asked.get(event.utterance, ""),
            "total": event.voice_to_voice,
            "parts": _parts(event, owns_turns=owns_turns),
            "measured": event.measured,
        }
        for event in events
        if isinstance(event, TurnMetrics)
    ]


def _totals(events: Sequence[Event], *, owns_turns: bool) -> JsonObject:
    metrics = [event for event in events if isinstance(event, TurnMetrics) and event.measured]
    visemes = [event for event in events if isinstance(event, Viseme)]

    def p50(values: Iterable[float]) -> float | None:
        return median(known) if (known := list(values)) else None

    return {
        "turns": len({event.turn for event in events if isinstance(event, TurnStarted)}),
        "interruptions": sum(isinstance(event, Interrupted) for event in events),
        "tools": sum(isinstance(event, ToolCalled) for event in events),
        "visemes": len(visemes),
        "late": sum(viseme.late for viseme in visemes),
        "voice_to_voice": p50(event.voice_to_voice for event in metrics),
        "work": None if owns_turns else p50(event.voice_to_voice - event.endpointing for event in metrics),
        "owns_turns": owns_turns,
        "notices": [event.text for event in events if isinstance(event, Notice)],
    }
