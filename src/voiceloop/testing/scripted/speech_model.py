"""A speech model that answers commands, or speech, by its script."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, cast

import anyio
from anyio.abc import TaskGroup
from attrs import define, evolve, field, frozen

from voiceloop import clock
from voiceloop.interfaces import (
    Command,
    Cut,
    EndOfTurn,
    Link,
    LinkContext,
    LinkEvent,
    MarksUntil,
    ModelCapabilities,
    ModelCut,
    ModelSpeechStarted,
    ModelSpeechStopped,
    Pause,
    Prompt,
    ReplyAudio,
    ReplyEnded,
    ReplyFailed,
    ReplyMarksUntil,
    ReplyStarted,
    ReplyTextDelta,
    ReplyViseme,
    ReplyWord,
    Say,
    Speech,
    SpeechModel,
    UserText,
    VisemeMark,
    WordMark,
)
from voiceloop.testing.checks import items
from voiceloop.testing.scripted.recognizer import RecognizerStream, ScriptedRecognizer
from voiceloop.testing.scripted.sound import is_speech, pieces, spoken_ms
from voiceloop.testing.scripted.steps import Delay, Fail, Hang, Outbox, Step, Steps, nth, perform

Entry: TypeAlias = str | LinkEvent | tuple[float, LinkEvent] | Step | type[Command]
"""A line of a script: text to speak, an event, an event after so many seconds, a step, or a kind of command that must
have come before the script goes on. The ``reply`` of events is filled in."""

_MARKS = ModelCapabilities(marks=frozenset(("viseme", "word")))
_ENDINGS = (ReplyEnded, ReplyFailed, ModelCut)


@frozen(eq=False)
class ScriptedSpeechModel(SpeechModel):
    """Each command that asks for a reply gets the next of ``replies``: text, or a list of entries (see ``Entry``).

    Spoken text sounds as with ScriptedSynthesizer (``first_audio``, ``speed``, ``ms_per_char``, ``chunk_ms``).
    ReplyStarted and ReplyEnded come by themselves. What the user says is heard by ``recognizer``. ``opening`` is
    played when a link is opened. With ``capabilities.owns_turns`` a stretch of speech starts and, ``turn_after``
    seconds after its end, stops a turn, which gets the next reply; ``self_cut``: seconds of user speech after which
    the model cuts its own reply. ``on_connect`` happens when a link is opened, ``on`` when a command of that kind is
    sent. ``Fail`` in a script breaks the link.

    ``contexts`` and ``commands`` record the calls of all links. A link without a reply left says nothing. Raises
    BadInput for what cannot be a script.
    """

    name = "scripted speech model"

    replies: Sequence[str | Sequence[Entry]] = field(
        default=(), validator=lambda _, __, given: items("replies", given, (str, list, tuple), "texts and lists")
    )
    recognizer: ScriptedRecognizer = field(factory=ScriptedRecognizer)
    capabilities: ModelCapabilities = field(default=_MARKS)
    first_audio: float = field(default=0.3, kw_only=True)
    speed: float = field(default=10.0, kw_only=True)
    ms_per_char: float = field(default=60, kw_only=True)
    chunk_ms: float = field(default=100, kw_only=True)
    opening: Sequence[Entry] = field(default=(), kw_only=True)
    turn_after: float = field(default=0.5, kw_only=True)
    self_cut: float | None = field(default=None, kw_only=True)
    on_connect: Steps = field(default=None, kw_only=True)
    on: Mapping[type[Command], Step] = field(factory=dict, kw_only=True)
    contexts: list[LinkContext] = field(init=False, factory=list, repr=False)
    commands: list[Command] = field(init=False, factory=list, repr=False)

    @asynccontextmanager
    async def connect(self, context: LinkContext) -> AsyncIterator[Link]:
        self.contexts.append(context)
        await perform(nth(self.on_connect, len(self.contexts) - 1))
        failure: Exception | None = None
        async with anyio.create_task_group() as group:
            link = _Link(self, context, group)
            group.start_soon(link.play, self.opening, None)
            try:
                yield link
            except Exception as error:  # noqa: BLE001 - raised below: out of the group it stays bare
                failure = error
            finally:
                link.out.close()
                group.cancel_scope.cancel()
        if failure is not None:
            raise failure


@define(eq=False)
class _Reply:
    """A reply being made: its number, the turn it answers, how much audio and text it has."""

    number: int
    turn: int | None
    scope: anyio.CancelScope = field(factory=anyio.CancelScope)
    ms: float = 0.0
    chars: int = 0
    seen: Counter[type[Command]] = field(factory=Counter)


@define(eq=False)
class _Link(Link):
    _model: ScriptedSpeechModel
    _context: LinkContext
    _group: TaskGroup
    out: Outbox[LinkEvent] = field(factory=Outbox)
    _hears: RecognizerStream = field(init=False)
    _seen: Counter[type[Command]] = field(factory=Counter)
    _pulse: anyio.Event = field(factory=anyio.Event)
    _replies: list[_Reply] = field(factory=list)
    _scripts: int = 0
    _samples: int = 0
    _speech: bool = False
    _pending: anyio.CancelScope = field(factory=anyio.CancelScope)

    @_hears.default
    def _hearing(self) -> RecognizerStream:
        return RecognizerStream(self._model.recognizer, cast("Outbox[Any]", self.out))

    async def send_audio(self, pcm: bytes) -> None:
        await self._hears.send_audio(pcm)
        speech = is_speech(pcm)
        if self._model.capabilities.owns_turns and speech != self._speech:
            self._turned(speech, self._model.capabilities.input.ms(self._samples))
        self._speech = speech
        self._samples += len(pcm) // 2

    async def send(self, command: Command) -> None:
        self.out.check()
        self._model.commands.append(command)
        await perform(self._model.on.get(type(command)))
        self._seen[type(command)] += 1
        self._pulse.set()
        self._pulse = anyio.Event()
        match command:
            case Pause():
                await self._hears.flush(end_of_turn=False)
            case EndOfTurn(turn):
                await self._hears.flush(end_of_turn=True)
                self._start(self._next(), turn)
            case Prompt(turn) | UserText(turn=int(turn)):
                self._start(self._next(), turn)
            case Say(turn, text):
                self._start((text,), turn)
            case Cut(turn):
                for reply in self._replies:
                    if reply.turn == turn and self._model.capabilities.can_cut:
                        reply.scope.cancel()
            case _:
                pass

    def __aiter__(self) -> AsyncIterator[LinkEvent]:
        return self.out

    # ------------------------------------------------------------ replies

    def _next(self) -> Sequence[Entry]:
        self._scripts += 1
        script = self._model.replies[self._scripts - 1] if self._scripts <= len(self._model.replies) else ()
        return (script,) if isinstance(script, str) else script

    def _start(self, script: Sequence[Entry], turn: int | None) -> None:
        if script:
            reply = _Reply(len(self._replies) + 1, turn, seen=Counter(self._seen))
            self._replies.append(reply)
            self._group.start_soon(self.play, script, reply)

    async def play(self, script: Sequence[Entry], reply: _Reply | None) -> None:
        """Play ``script`` as ``reply``, or beside all replies (None)."""
        with reply.scope if reply is not None else anyio.CancelScope() as scope:
            if reply is not None and not scope.cancel_called:
                self.out.put(ReplyStarted(reply.number, reply.turn))
            for entry in script:
                if isinstance(entry, Fail):
                    self.out.fail(entry.exception)
                    return
                await self._entry(entry, reply or _Reply(0, None))
            last = script[-1] if script else None
            if reply is not None and not isinstance(last[1] if isinstance(last, tuple) else last, _ENDINGS):
                self.out.put(ReplyEnded(reply.number))

    async def _entry(self, entry: Entry, reply: _Reply) -> None:
        if isinstance(entry, str):
            await self._speak(entry, reply)
        elif isinstance(entry, Delay | Fail | Hang):
            await perform(entry)
        elif isinstance(entry, type):
            reply.seen[entry] += 1
            while self._seen[entry] < reply.seen[entry]:
                await self._pulse.wait()
        else:
            after, event = entry if isinstance(entry, tuple) else (0.0, entry)
            await anyio.sleep(after)
            if isinstance(event, ReplyAudio):
                await self._context.room()
                reply.ms += self._model.capabilities.output.ms(len(event.pcm) // 2)
            self.out.put(evolve(cast("Any", event), reply=reply.number) if hasattr(event, "reply") else event)

    async def _speak(self, text: str, reply: _Reply) -> None:
        model, number = self._model, reply.number
        self.out.put(ReplyTextDelta(number, text))
        handed_over = clock.now() if reply.ms == 0 else None
        await anyio.sleep(model.first_audio if reply.ms == 0 else 0)
        began = clock.now()
        want = self._context.want & model.capabilities.marks
        first_ms, at_ms = reply.ms, 0.0
        for piece in pieces(text, model.capabilities.output, want, model.ms_per_char, model.chunk_ms, first_ms):
            await anyio.sleep(max(0.0, began + at_ms / 1000 / model.speed - clock.now()))
            for mark in piece.marks:
                self.out.put(_reply_mark(mark, reply))
            await self._context.room()
            self.out.put(ReplyAudio(number, piece.audio.pcm, handed_over))
            handed_over, at_ms = None, piece.end_ms - first_ms
        reply.ms = first_ms + spoken_ms(text, model.ms_per_char)
        reply.chars += len(text)

    # ------------------------------------------------------------ a model that owns its turns

    def _turned(self, speech: bool, ms: float) -> None:
        self._pending.cancel()
        self._pending = anyio.CancelScope()
        if speech:
            self.out.put(ModelSpeechStarted(ms))
            if self._model.self_cut is not None and self._replies:
                self._group.start_soon(self._cut_itself, self._replies[-1], self._model.self_cut, self._pending)
        else:
            self._group.start_soon(self._end_turn, ms, self._pending)

    async def _cut_itself(self, reply: _Reply, after: float, scope: anyio.CancelScope) -> None:
        with scope:
            await anyio.sleep(after)
            reply.scope.cancel()
            self.out.put(ModelCut(reply.number))

    async def _end_turn(self, ms: float, scope: anyio.CancelScope) -> None:
        with scope:
            await anyio.sleep(self._model.turn_after)
            self.out.put(ModelSpeechStopped(ms))
            self._start(self._next(), None)


def _reply_mark(mark: Speech, reply: _Reply) -> LinkEvent:
    match mark:
        case WordMark(start, end, ms, end_ms):
            return ReplyWord(reply.number, start + reply.chars, end + reply.chars, ms, end_ms)
        case VisemeMark(code, ms, end_ms, phoneme):
            return ReplyViseme(reply.number, code, ms, end_ms, phoneme)
        case MarksUntil(ms):
            return ReplyMarksUntil(reply.number, ms)
        case _:
            raise TypeError(f"{type(mark).__name__} is no mark")
