"""From output events to link events: which reply, which utterance, what was interrupted. Pure.

One reply per assistant generation: a completion holds many. It begins with the first text, audio or tool use after
the last one was over, and is over with the END_TURN of its audio, or when the user is known to have interrupted it.
"""

from __future__ import annotations

import itertools
import re
from collections import deque
from collections.abc import Callable, Iterator

from attrs import Factory, define, field

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
from voiceloop.aws.nova.replies import Heard, Reply, Sentence
from voiceloop.interfaces import (
    Final,
    LinkEvent,
    ModelCut,
    ModelSpeechStarted,
    ModelSpeechStopped,
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

_UNANSWERED = 10.0
"""An utterance that was not answered for so long will not be, in s."""

_LABEL = re.compile(r"^\s*[\[<(]([a-z]{2,3}(?:-[A-Za-z]{2,4})?)[\]>)]:?\s*")
"""A language label before the user's words, as later models put it."""


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

    ``place(ms)``: where in the session's input, in ms, the audio sent on this connection at ``ms`` lies.
    ``heard``: what the user said and nothing answered; ``again``: such of it whose audio is sent on this connection
    for another time.
    ``before``: the last reply of the connection before, which may still be made or played.
    """

    connection: int
    rate: int
    ids: Ids
    place: Callable[[float], float] = lambda ms: ms
    heard: Heard | None = None
    again: Heard | None = None
    before: Reply | None = None
    reply: Reply | None = None
    retired: bool = False
    answered: Heard | None = None
    recent: deque[Reply] = field(factory=lambda: deque(maxlen=4))
    _left: bool = False
    _answered_ms: float = 0.0
    _asked: deque[tuple[int | None, float]] = field(factory=deque)
    _blocks: dict[str, _Block] = field(factory=dict)
    _total: dict[str, float] = field(factory=dict)

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

    def ask(self, turn: int | None, now: float) -> None:
        """Text was sent: the next reply that begins answers it, as ``turn`` (None: as one of the model's own)."""
        self._asked.append((turn, now))

    def unask(self, turn: int) -> None:
        """``turn`` is not waited for any longer."""
        self._asked = deque(asked for asked in self._asked if asked[0] != turn)

    @property
    def owes(self) -> bool:
        """Whether it has to go on after what a tool gave."""
        reply = self.reply
        return (reply is not None and reply.open and reply.awaits) or any(turn is None for turn, _ in self._asked)

    @property
    def asked(self) -> tuple[int, ...]:
        """The turns that were asked for, and have no reply yet."""
        return tuple(turn for turn, _ in self._asked if turn is not None)

    def makes_good(self, until: float, now: float) -> bool:
        """Whether what was sent again, said before ``until`` ms of the input, is still to be answered, or just is."""
        again, reply = self.again, self.reply
        if again is None or (again.start is not None and again.start >= until):
            return False
        if again is self.heard:
            return self.unanswered(now) is not None
        return again is self.answered and reply is not None and reply.open and now - reply.changed <= _SUPERSEDED

    def overdue(self, before: float) -> tuple[int, ...]:
        """The turns that were asked for before that time, and have no reply yet."""
        return tuple(turn for turn, at in self._asked if turn is not None and at < before)

    def answer_tool(self, call: str, now: float) -> None:
        """The result of ``call`` was sent; what follows belongs to the reply that called."""
        self.ids.calls.discard((self.connection, call))
        for reply in self.recent:
            if call in reply.tools:
                reply.tools.discard(call)
                reply.changed, reply.awaits = now, not reply.tools

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
        self.retired, self._left, self.heard = True, self.heard is not None, None
        self._asked.clear()
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
        """Whether anything was said."""
        return any(reply.audio_ms for reply in self.recent)

    @property
    def tools(self) -> frozenset[str]:
        """The calls that wait for a result."""
        return frozenset(call for reply in self.recent for call in reply.tools)

    @property
    def answered_ms(self) -> float:
        """The end of the newest utterance that was answered, in ms of the session's input, as far as it is known."""
        last = None if self.answered is None else self.answered.end
        return self._answered_ms if last is None else max(self._answered_ms, last)

    @property
    def plays_until(self) -> float:
        """When all audio so far will have been played."""
        return max((reply.plays_until for reply in self.recent if not reply.cut), default=0.0)

    def unanswered(self, now: float) -> Heard | None:
        """What the user said, or is saying, that no reply has begun to answer."""
        heard = self.heard
        return None if heard is None or (heard.over and now - heard.at > _UNANSWERED) else heard

    # ------------------------------------------------------------ replies

    def _making(self, now: float) -> tuple[Reply | None, list[LinkEvent]]:
        """The reply that something new belongs to (None: it is ignored), and what follows if it begins with that."""
        reply = self.reply
        if reply is not None and reply.open:
            if self.retired and self._left and now - reply.changed > _SUPERSEDED:
                return None, self._cut(reply, now)  # what now comes answers what is heard to its end elsewhere
            waits = reply.changed if reply.tools or not self._asked else max(self._asked[0][1], reply.changed)
            if not self._asked or now - waits <= _SUPERSEDED:
                reply.changed, reply.awaits = now, False
                return reply, []
            reply.open = False
        if self.retired:
            return None, []
        return self._begin(now)

    def _begin(self, now: float) -> tuple[Reply, list[LinkEvent]]:
        turn = self._asked.popleft()[0] if self._asked else None
        made: list[LinkEvent] = []
        self._answered_ms = self.answered_ms
        if self.heard is not None and (self.heard.over or self.heard.texts):
            if self.heard.end is not None:
                made.append(ModelSpeechStopped(self.heard.end))
            self.answered, self.heard = self.heard, None
        elif turn is not None or self.heard is not None:
            self.answered = None
        if self.before is not None:
            self.before.open, self.before = False, None
        self.reply = Reply(next(self.ids.replies), turn, changed=now)
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
            return self._user(event.text, now)
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
        reply.called = True
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
        reply, sentence = self._whose(text)
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

    def _whose(self, text: str) -> tuple[Reply | None, Sentence | None]:
        """The reply and sentence that FINAL ``text`` tells of: it may come after the next reply has begun."""
        for reply in self.recent:
            sentence = reply.sentence_of(text)
            if sentence is not None:
                return reply, sentence
        waiting = [reply for reply in self.recent if reply.unspoken]
        if not waiting:
            return self.reply, None
        newest = waiting[-1] if waiting[-1].audio_ms or len(waiting) == 1 else waiting[-2]
        return newest, next(sentence for sentence in newest.sentences if sentence.spoken is None)

    # ------------------------------------------------------------ the user

    def _speech_started(self, ms: float | None, now: float) -> list[LinkEvent]:
        if self.retired:
            return []
        start = None if ms is None else self.place(ms)
        if self.heard is None or (self.heard.over and not self.heard.texts):
            item = self.ids.item() if self.heard is None else self.heard.item
            self.heard = Heard(item, start)
        self.heard.over, self.heard.at = False, now
        return [ModelSpeechStarted(0.0 if start is None else start)]

    def _speech_ended(self, ms: float | None, now: float) -> list[LinkEvent]:
        if self.heard is not None and not self.retired:
            self.heard.over, self.heard.at = True, now
            self.heard.end = self.heard.end if ms is None else self.place(ms)
        return []

    def _user(self, text: str, now: float) -> list[LinkEvent]:
        if self.retired:
            return []
        label = _LABEL.match(text)
        language = label[1] if label else None
        text = text[label.end() :].strip() if label else text.strip()
        late = self.answered
        if self.heard is None and late is not None and not late.texts and self.generating:
            late.texts.append(text)  # the words of what is being answered come after the answer began
            return [Final(late.item, text, language=language)]
        if self.heard is None:
            self.heard = Heard(self.ids.item())
        heard = self.heard
        made = [] if heard.texts else self._cut(self.reply or self.before, now)
        heard.texts.append(text)
        heard.at, heard.over = now, heard.over or heard.start is None
        return [*made, Final(heard.item, " ".join(heard.texts), language=language)]

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
