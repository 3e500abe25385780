"""The model's events, each to whom it concerns; what belongs to a dead reply ends here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voiceloop.audio import AudioFormat
from voiceloop.engine.lanes import Lanes
from voiceloop.engine.listener import Listener
from voiceloop.engine.speaker import Speaker, Voice
from voiceloop.engine.toolrunner import ToolRunner
from voiceloop.engine.turn import Turn
from voiceloop.errors import ProviderMisbehaved
from voiceloop.events import ConnectionState, Notice, Usage
from voiceloop.interfaces import (
    Final,
    LinkChanged,
    LinkEvent,
    LinkNotice,
    ModelCut,
    ModelSpeechStarted,
    ModelSpeechStopped,
    ModelToolCall,
    ModelUsage,
    Partial,
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
from voiceloop.rules.floor import Happening
from voiceloop.tools import Tool

_REPLIES = 4
"""How many of the newest replies are known by their numbers."""


class _Early:
    """What came of a turn before it began, in order: at most ``most_ms`` of audio."""

    def __init__(self, model: str, format: AudioFormat, most_ms: float) -> None:
        self._model = model
        self._format = format
        self._most_ms = most_ms
        self._items: list[tuple[Turn, Callable[[Turn, Any], object], Any]] = []
        self._ms = 0.0

    def put(self, turn: Turn, handle: Callable[[Turn, Any], object], event: Any) -> None:
        self._items.append((turn, handle, event))
        if isinstance(event, ReplyAudio):
            self._ms += self._format.ms(self._format.samples(event.pcm))
            if self._ms > self._most_ms:
                raise ProviderMisbehaved(
                    "went on making replies while one was being played",
                    provider=self._model,
                    doing="replying",
                    hint="A link that makes its own audio awaits LinkContext.room(); see also limits.reply_audio.",
                )

    def take(self) -> list[tuple[Turn, Callable[[Turn, Any], object], Any]]:
        items, self._items, self._ms = self._items, [], 0.0
        return items


class Intake:
    """Takes the link events of ``model``, made for ``voice``.

    ``unasked()`` gives a turn for a reply that the model started by itself: begun, or waiting until the one before
    was played; what comes of it meanwhile is kept until :meth:`catch_up`.
    """

    def __init__(
        self,
        model: str,
        voice: Voice,
        listener: Listener,
        speaker: Speaker,
        lanes: Lanes,
        runner: ToolRunner,
        *,
        tools: Callable[[], tuple[Tool, ...]],
        unasked: Callable[[], Turn],
        renewed: Callable[[], None],
    ) -> None:
        self._model = model
        self._listener = listener
        self._speaker = speaker
        self._lanes = lanes
        self._runner = runner
        self._tools = tools
        self._unasked = unasked
        self._renewed = renewed
        self._turns: dict[int, Turn] = {}  # by reply, the newest few
        self._early = _Early(model, voice.source, voice.limits.reply_audio * 1000)
        self._held: list[ModelToolCall] = []
        self._handlers = self._table()

    def take(self, event: LinkEvent) -> None:
        """The model's next event. Raises ProviderMisbehaved for what is none."""
        handle = self._handlers.get(type(event))
        if handle is None:
            raise ProviderMisbehaved(
                f"gave an event of the unknown kind {type(event).__name__}",
                provider=self._model,
                doing="making events",
            )
        handle(event)

    def confirm(self, turn: Turn) -> None:
        """A prepared reply is wanted: its tool calls may run."""
        held, self._held = self._held, []
        for call in held:
            self._call(turn, call)

    def catch_up(self) -> None:
        """A turn that waited has begun: what came of it before belongs to it."""
        for turn, handle, event in self._early.take():
            if turn is self._speaker.current:
                handle(turn, event)
            elif self._speaker.waits(turn):
                self._early.put(turn, handle, event)

    def forget(self) -> None:
        """A prepared reply is void, its tool calls with it."""
        self._held.clear()

    def _table(self) -> dict[type, Callable[[Any], object]]:
        speaker, living = self._speaker, self._living
        return {
            Partial: self._listener.item,
            Final: self._listener.item,
            ReplyStarted: self._started,
            ReplyTextDelta: living(lambda turn, event: speaker.text(turn, event.text)),
            ReplyAudio: living(speaker.audio),
            ReplyViseme: living(speaker.viseme),
            ReplyWord: living(speaker.word),
            ReplySpan: living(speaker.span),
            ReplyMarksUntil: living(lambda turn, event: speaker.marks_until(turn, event.ms)),
            ReplyEnded: living(lambda turn, event: speaker.made(turn)),
            ReplyFailed: self._failed,
            ModelToolCall: living(self._call),
            ModelCut: self._cut,
            ModelSpeechStarted: lambda event: speaker.happen(Happening.SUSPECT),
            ModelSpeechStopped: lambda event: self._listener.commit_by_model(event.ms),
            ModelUsage: self._usage,
            LinkChanged: self._changed,
            LinkNotice: lambda event: self._lanes.signal(Notice(code=event.code, text=event.text)),
            Renewed: lambda event: self._renewed(),
            Settled: self._settled,
        }

    def _living(self, handle: Callable[[Turn, Any], object]) -> Callable[[Any], None]:
        def guarded(event: Any) -> None:
            turn = self._turns.get(event.reply)
            if turn is None:
                return
            if turn is self._speaker.current:
                handle(turn, event)
            elif self._speaker.waits(turn):
                self._early.put(turn, handle, event)

        return guarded

    def _started(self, event: ReplyStarted) -> None:
        turn = self._speaker.current
        if event.turn is None:
            self._listener.commit_by_model()
            turn = self._unasked()
        elif turn is None or turn.number != event.turn:
            return
        self._turns[event.reply] = turn
        while len(self._turns) > _REPLIES:
            del self._turns[next(iter(self._turns))]

    def _changed(self, event: LinkChanged) -> None:
        self._lanes.signal(ConnectionState(state=event.state, detail=event.detail))
        self._listener.late.recovering(event.state == "recovering")

    def _cut(self, event: ModelCut) -> None:
        turn = self._turns.get(event.reply)
        if turn is not None and self._speaker.waits(turn):
            self._speaker.drop_waiting("the model cut it")
            turn = self._speaker.current
        if turn is not None and turn is self._speaker.current:
            self._speaker.happen(Happening.TYPED, "model")

    def _settled(self, event: Settled) -> None:
        turn = self._turns.get(event.reply)
        if turn is not None:
            self._speaker.told(turn, event.text)

    def _failed(self, event: ReplyFailed) -> None:
        turn = self._turns.get(event.reply)
        if turn is None or not (turn is self._speaker.current or self._speaker.waits(turn)):
            return
        if event.fatal:
            raise event.error
        self._living(lambda turn, event: self._speaker.made(turn, broke=True))(event)
        self._lanes.signal(Notice(code="reply-failed", text=str(event.error)))

    def _call(self, turn: Turn, call: ModelToolCall) -> None:
        if turn.speculative:
            self._held.append(call)
        else:
            turn.called = True
            self._runner.call(turn.number, call, self._tools())

    def _usage(self, event: ModelUsage) -> None:
        turn = None if event.reply is None else self._turns.get(event.reply)
        number = None if turn is None else turn.number
        self._lanes.signal(Usage(provider=event.provider, amounts=event.amounts, turn=number))
