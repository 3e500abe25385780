"""The model's events, each to whom it concerns; what belongs to a dead reply ends here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voiceloop.engine.lanes import Lanes
from voiceloop.engine.listener import Listener
from voiceloop.engine.speaker import Speaker
from voiceloop.engine.toolrunner import ToolRunner
from voiceloop.engine.turn import Turn
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


class Intake:
    """Takes link events. ``unasked()`` begins and gives a turn that the model started by itself."""

    def __init__(
        self,
        listener: Listener,
        speaker: Speaker,
        lanes: Lanes,
        runner: ToolRunner,
        *,
        tools: Callable[[], tuple[Tool, ...]],
        unasked: Callable[[], Turn],
        renewed: Callable[[], None],
    ) -> None:
        self._listener = listener
        self._speaker = speaker
        self._lanes = lanes
        self._runner = runner
        self._tools = tools
        self._unasked = unasked
        self._renewed = renewed
        self._reply: tuple[int, Turn] | None = None
        self._held: list[ModelToolCall] = []
        self._handlers = self._table()

    def take(self, event: LinkEvent) -> None:
        """The model's next event."""
        self._handlers[type(event)](event)

    def confirm(self, turn: Turn) -> None:
        """A prepared reply is wanted: its tool calls may run."""
        held, self._held = self._held, []
        for call in held:
            self._call(turn, call)

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
            ModelCut: living(lambda turn, event: speaker.happen(Happening.TYPED, "model")),
            ModelSpeechStarted: lambda event: speaker.happen(Happening.SUSPECT),
            ModelSpeechStopped: lambda event: self._listener.commit_by_model(event.ms),
            ModelUsage: self._usage,
            LinkChanged: lambda event: self._lanes.signal(ConnectionState(state=event.state, detail=event.detail)),
            LinkNotice: lambda event: self._lanes.signal(Notice(code=event.code, text=event.text)),
            Renewed: lambda event: self._renewed(),
            Settled: self._settled,
        }

    def _living(self, handle: Callable[[Turn, Any], object]) -> Callable[[Any], None]:
        def guarded(event: Any) -> None:
            reply = self._reply
            if reply is not None and reply[0] == event.reply and reply[1] is self._speaker.current:
                handle(reply[1], event)

        return guarded

    def _started(self, event: ReplyStarted) -> None:
        turn = self._speaker.current
        if event.turn is None:
            self._listener.commit_by_model()
            self._reply = (event.reply, self._unasked())
        elif turn is not None and turn.number == event.turn:
            self._reply = (event.reply, turn)

    def _settled(self, event: Settled) -> None:
        if self._reply is not None and self._reply[0] == event.reply:
            self._speaker.told(self._reply[1], event.text)

    def _failed(self, event: ReplyFailed) -> None:
        turn = self._speaker.current
        if turn is None or self._reply != (event.reply, turn):
            return
        if event.fatal:
            raise event.error
        self._speaker.made(turn)
        self._lanes.signal(Notice(code="reply-failed", text=str(event.error)))

    def _call(self, turn: Turn, call: ModelToolCall) -> None:
        if turn.speculative:
            self._held.append(call)
        else:
            turn.called = True
            self._runner.call(turn.number, call, self._tools())

    def _usage(self, event: ModelUsage) -> None:
        number = self._reply[1].number if self._reply is not None and self._reply[0] == event.reply else None
        self._lanes.signal(Usage(provider=event.provider, amounts=event.amounts, turn=number))
