"""From output events to link events: which reply, which utterance, what was interrupted. Pure.

One reply per assistant generation: a completion holds many. It begins with the first text, audio or tool use after
the last one was over, and is over with the END_TURN of its audio, or when the user is known to have interrupted it.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator

from attrs import Factory, define, field

from voiceloop.aws.nova.asked import Asked
from voiceloop.aws.nova.events_in import (
    PROVIDER,
    AudioCame,
    BargedIn,
    BlockEnded,
    BlockStarted,
    Completed,
    Kind,
    OutputEvent,
    SpeechEnded,
    SpeechStarted,
    TextCame,
    ToolUsed,
    Used,
)
from voiceloop.aws.nova.replies import Reply, Sentence, whose
from voiceloop.aws.nova.utterances import Utterances
from voiceloop.interfaces import (
    LinkEvent,
    ModelCut,
    ModelToolCall,
    ModelUsage,
    ReplyAudio,
    ReplyEnded,
    ReplySpan,
    ReplyStarted,
    ReplyTextDelta,
    Settled,
)

_SUPERSEDED = 0.7
"""A block this long after typed text and whatever came last belongs to the answer, even if nothing ended the reply
that was being made, in s. Of a reply that waits for tools no more is to come: then the text may be newer."""

_PLAYING_SLACK = 3.0
"""How much later than reckoned a reply may still be playing: pauses and the player's buffer, in s."""


@define
class Ids:
    """What is used once in a link, whatever the connection.

    ``calls``: those without a result, by connection. ``overtaken``: turns that the session gave up for a reply to
    what was said before; what was typed for them is answered by a reply of its own.
    """

    replies: Iterator[int] = Factory(lambda: itertools.count(1))
    items: Iterator[int] = Factory(lambda: itertools.count(1))
    calls: set[tuple[int, str]] = Factory(set)
    overtaken: set[int] = Factory(set)

    def item(self) -> str:
        """A name for the transcript of the next utterance."""
        return f"user-{next(self.items)}"


@define(eq=False)
class _Block:
    kind: Kind
    role: str = ""
    stage: str = ""
    reply: Reply | None = None
    sentence: Sentence | None = None


@define(eq=False)
class Turns:
    """The reducer of one connection. ``connection``: its number; ``rate`` of its output in Hz.

    ``user``: what the user says; ``asked``: what was typed; ``reply``: the newest one.
    ``before``: the last reply of the connection before, which may still be made or played.
    """

    connection: int
    rate: int
    ids: Ids
    before: Reply | None = None
    reply: Reply | None = None
    retired: bool = False
    user: Utterances = field(init=False)
    asked: Asked = field(factory=Asked)
    recent: deque[Reply] = field(factory=lambda: deque(maxlen=4))
    _left: bool = False
    _blocks: dict[str, _Block] = field(factory=dict)
    _total: dict[str, float] = field(factory=dict)

    @user.default
    def _user(self) -> Utterances:
        return Utterances(self.ids.item)

    def take(self, event: OutputEvent, now: float) -> list[LinkEvent]:
        """What follows from ``event``, which came at ``now``, on the clock."""
        match event:
            case AudioCame():
                return self._audio(event, now)
            case TextCame():
                return self._text(event, now)
            case BlockStarted():
                return self._started(event, now)
            case BlockEnded():
                return self._ended(event, now)
            case ToolUsed():
                return self._tool(event, now)
            case BargedIn(content):
                block = self._blocks.get(content)
                return self._cut((block.reply if block else None) or self.reply, now)
            case SpeechStarted(ms):
                return self._speech_started(ms, now)
            case SpeechEnded(ms):
                return self._speech_ended(ms, now)
            case Used():
                return self._usage(event)
            case Completed():
                return self._over(self.reply) if self.reply is not None and not self.reply.tools else []

    # ------------------------------------------------------------ what the link tells

    @property
    def owes(self) -> bool:
        """Whether it has to go on after what a tool gave."""
        reply = self.reply
        return (reply is not None and reply.open and reply.awaits) or self.asked.goes_on

    def makes_good(self, until: float, now: float) -> bool:
        """Whether what was sent again, said before ``until`` ms of the input, is still to be answered, or just is."""
        user, reply = self.user, self.reply
        again = user.sent_again(until)
        if again is None:
            return False
        if again is user.heard:
            return user.unanswered(now) is not None
        return again is user.answered and reply is not None and reply.open and now - reply.changed <= _SUPERSEDED

    def answers_before(self, until: float, now: float) -> bool:
        """Whether a reply has just begun, not yet heard, to what was said before ``until`` ms of the input."""
        reply, said = self.reply, self.user.answered
        began = reply is not None and reply.open and not reply.audio_ms and now - reply.changed <= _SUPERSEDED
        return began and said is not None and said.start is not None and said.start < until

    def answer_tool(self, call: str, now: float) -> None:
        """The result of ``call`` was sent; what follows belongs to the reply that called."""
        self.ids.calls.discard((self.connection, call))
        for reply in self.recent:
            if call in reply.tools:
                reply.tools.discard(call)
                reply.changed, reply.awaits = now, not reply.tools
                reply.told_ms = None if reply.tools else reply.audio_ms

    def settle(self, before: float) -> list[LinkEvent]:
        """End a reply of which nothing came since that time, though its tools were answered."""
        reply = self.reply
        if reply is None or not reply.open or reply.tools or not reply.turn_over or reply.changed >= before:
            return []
        return self._over(reply)

    def retire(self, *, lost: bool = False) -> list[LinkEvent]:
        """Another connection takes over: only the reply that is being made goes on, and what was spoken of others.

        ``lost``: the connection broke. What was made of a reply is all there is of it; one without audio is void.
        """
        self.retired, self._left, self.user.heard = True, self.user.heard is not None, None
        self.asked.clear()
        reply = self.reply
        if reply is None or not reply.open or not (lost or reply.tools):
            return []
        if lost and not reply.audio_ms:
            return self._cut(reply, reply.changed)
        return self._over(reply)

    # ------------------------------------------------------------ what is going on

    @property
    def generating(self) -> bool:
        """Whether a reply is being made."""
        return self.reply is not None and self.reply.open

    @property
    def replied(self) -> bool:
        """Whether anything was said, or a tool called."""
        return any(reply.audio_ms or reply.called for reply in self.recent)

    @property
    def tools(self) -> frozenset[str]:
        """The calls that wait for a result."""
        return frozenset(call for reply in self.recent for call in reply.tools)

    @property
    def plays_until(self) -> float:
        """When all audio so far will have been played."""
        return max((reply.plays_until for reply in self.recent if not reply.cut), default=0.0)

    # ------------------------------------------------------------ replies

    def _making(self, now: float) -> tuple[Reply | None, list[LinkEvent]]:
        """The reply that something new belongs to (None: it is ignored), and what follows if it begins with that."""
        reply = self.reply
        if reply is not None and reply.open:
            if self.retired and self._left and now - reply.changed > _SUPERSEDED:
                return None, self._cut(reply, now)  # what now comes answers what is heard to its end elsewhere
            waits = reply.changed if reply.tools or not self.asked else max(self.asked.since, reply.changed)
            if not self.asked or now - waits <= _SUPERSEDED:
                reply.changed, reply.awaits = now, False
                return reply, []
            reply.open = False
        if self.retired:
            return None, []
        return self._begin(now)

    def _begin(self, now: float) -> tuple[Reply, list[LinkEvent]]:
        asked = bool(self.asked)
        turn = self.asked.take()
        made = self.user.answer(asked=turn is not None)
        if self.before is not None:
            self.before.open, self.before = False, None
        goes_on = asked and turn is None
        self.reply = Reply(next(self.ids.replies), turn, changed=now, told_ms=0.0 if goes_on else None)
        self.recent.append(self.reply)
        made.append(ReplyStarted(self.reply.number, None if turn in self.ids.overtaken else turn))
        return self.reply, made

    def _over(self, reply: Reply | None) -> list[LinkEvent]:
        if reply is None or not reply.open:
            return []
        reply.open = False
        return [*self._close_span(reply), ReplyEnded(reply.number)]

    def _cut(self, reply: Reply | None, now: float) -> list[LinkEvent]:
        """The user interrupted ``reply``: told once, and only while it may be playing."""
        if reply is None or reply.cut:
            return []
        playing = now < reply.plays_until + _PLAYING_SLACK
        if reply.open and reply.turn_over and not playing:  # only a tool was waited for
            return self._over(reply)
        playing = playing or reply.open
        reply.open, reply.cut, reply.span = False, True, None
        return [ModelCut(reply.number)] if playing else []

    def _close_span(self, reply: Reply) -> list[LinkEvent]:
        if reply.span is None:
            return []
        (start, end, ms), reply.span = reply.span, None
        return [ReplySpan(reply.number, start, end, ms, reply.audio_ms)]

    # ------------------------------------------------------------ blocks

    def _started(self, event: BlockStarted, now: float) -> list[LinkEvent]:
        block = self._blocks[event.content] = _Block(event.kind, event.role, event.stage)
        made: list[LinkEvent] = []
        if event.kind == "AUDIO":
            block.reply, made = self._making(now)
            made = [*made, *self._open_span(block.reply)]
        return made

    def _open_span(self, reply: Reply | None) -> list[LinkEvent]:
        if reply is None or reply.spanned == len(reply.said):
            return []
        closed = self._close_span(reply)
        start, reply.spanned = reply.spanned, len(reply.said)
        start += len(reply.said[start:]) - len(reply.said[start:].lstrip())
        reply.span = (start, len(reply.said), reply.audio_ms)
        return [*closed, ReplySpan(reply.number, *reply.span)]

    def _text(self, event: TextCame, now: float) -> list[LinkEvent]:
        block = self._blocks.get(event.content) or _Block("TEXT", event.role)
        role = event.role or block.role
        if not event.text.strip():
            return []
        if role == "USER":
            return self._words(event.text, now)
        if role not in ("ASSISTANT", ""):
            return []
        if block.stage == "FINAL":
            return self._spoken(block, event.text, now)
        made: list[LinkEvent] = []
        if block.reply is None:
            block.reply, made = self._making(now)
        reply = block.reply
        if reply is None or reply.cut:
            return made
        if block.sentence is None:
            block.sentence = Sentence("")
            reply.sentences.append(block.sentence)
        block.sentence.text += event.text
        return [*made, ReplyTextDelta(reply.number, reply.say(event.text))]

    def _audio(self, event: AudioCame, now: float) -> list[LinkEvent]:
        block = self._blocks.get(event.content)
        made: list[LinkEvent] = []
        if block is None:
            block = self._blocks[event.content] = _Block("AUDIO")
        if block.reply is None:
            block.reply, made = self._making(now)
        reply = block.reply
        if reply is None or reply.cut or not reply.open:
            return made
        pcm = reply.speak(event.pcm, self.rate, now)
        return [*made, ReplyAudio(reply.number, pcm)] if pcm else made

    def _tool(self, event: ToolUsed, now: float) -> list[LinkEvent]:
        reply, made = self._making(now)
        if reply is None:
            return made
        reply.tools.add(event.call)
        reply.called, reply.told_ms = True, None
        self.ids.calls.add((self.connection, event.call))
        made.append(ModelToolCall(reply.number, self.connection, event.call, event.name, event.arguments))
        return [*made, *self._over(reply)] if self.retired else made  # the result goes elsewhere

    def _ended(self, event: BlockEnded, now: float) -> list[LinkEvent]:
        block = self._blocks.pop(event.content, None)
        if block is None:
            return self._cut(self.reply, now) if event.stop == "INTERRUPTED" else []
        reply = block.reply
        if event.stop == "INTERRUPTED":
            # of a block without text nothing tells whose it is: the reply that was made last
            return self._cut(reply or (self.reply if block.role != "USER" else None), now)
        if reply is None:
            return []
        reply.changed = now
        if block.kind == "AUDIO":
            closed = self._close_span(reply) if reply.open else []
            return [*closed, *self._turn_over(reply)] if event.stop == "END_TURN" else closed
        if block.stage == "FINAL" and event.stop == "END_TURN" and not reply.unspoken:
            return self._turn_over(reply)
        return []

    def _turn_over(self, reply: Reply) -> list[LinkEvent]:
        """The model has said all; but what it says once its tools were answered belongs to the same reply."""
        reply.turn_over = True
        return [] if reply.tools else self._over(reply)

    # ------------------------------------------------------------ what was spoken

    def _spoken(self, block: _Block, text: str, now: float) -> list[LinkEvent]:
        if block.sentence is not None and block.reply is not None:
            block.sentence.spoken = (block.sentence.spoken or "") + text
            return [Settled(block.reply.number, block.reply.spoken)]
        reply, sentence = whose(self.recent, text)
        reply = reply or self.reply
        made: list[LinkEvent] = []
        if reply is None:
            reply, made = self._making(now)
            if reply is None:
                return made
        if not reply.said and reply.open:  # a model that announces nothing
            made = [*made, ReplyTextDelta(reply.number, reply.say(text))]
        if sentence is None:
            sentence = Sentence(text)
            reply.sentences.append(sentence)
        sentence.spoken = text
        block.reply, block.sentence = reply, sentence
        return [*made, Settled(reply.number, reply.spoken)]

    # ------------------------------------------------------------ the user

    def _speech_started(self, ms: float | None, now: float) -> list[LinkEvent]:
        return [] if self.retired else [self.user.begin(ms, now)]

    def _speech_ended(self, ms: float | None, now: float) -> list[LinkEvent]:
        if not self.retired:
            self.user.end(ms, now)
        return []

    def _words(self, text: str, now: float) -> list[LinkEvent]:
        if self.retired:
            return []
        final, first = self.user.words(text, now, generating=self.generating)
        return [*(self._cut(self.reply or self.before, now) if first else []), final]

    # ------------------------------------------------------------ usage

    def _usage(self, event: Used) -> list[LinkEvent]:
        delta = event.delta
        if delta is None:
            delta = {unit: count - self._total.get(unit, 0) for unit, count in event.total.items()}
        self._total.update(event.total)
        amounts = {unit: count for unit, count in delta.items() if count > 0}
        if not amounts:
            return []
        return [ModelUsage(PROVIDER, amounts, self.reply.number if self.reply is not None else None)]
