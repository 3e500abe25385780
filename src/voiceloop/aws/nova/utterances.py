"""What the user says on one connection, until a reply answers it. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from attrs import define, field

from voiceloop.interfaces import Final, LinkEvent, ModelSpeechStarted, ModelSpeechStopped

_UNANSWERED = 20.0
"""An utterance that was not answered for so long will not be, in s."""

_LABEL = re.compile(r"^\s*[\[<(]([a-z]{2,3}(?:-[A-Za-z]{2,4})?)[\]>)]:?\s*")
"""A language label before the user's words, as later models put it."""


@define(eq=False)
class Heard:
    """An utterance of the user that is not answered yet; ``item`` names its transcript.

    ``start`` and ``end`` in ms of the session's input, where they are told; ``at``: when it was last added to.
    """

    item: str
    start: float | None = None
    end: float | None = None
    over: bool = False
    texts: list[str] = field(factory=list)
    at: float = 0.0


@define(eq=False)
class Utterances:
    """``item()`` names the transcript of the next one. ``place(ms)``: where in the session's input, in ms, the audio
    sent on this connection at ``ms`` lies.

    ``heard``: what nothing answered yet; ``answered``: what the newest reply answers; ``again``: what was said before
    this connection, whose audio is sent on it for another time.
    """

    item: Callable[[], str]
    place: Callable[[float], float] = lambda ms: ms
    heard: Heard | None = None
    answered: Heard | None = None
    again: Heard | None = None
    _answered_ms: float = 0.0

    # ------------------------------------------------------------ what is told of them

    def begin(self, ms: float | None, now: float) -> ModelSpeechStarted:
        """The user speaks, from ``ms`` of the connection on."""
        start = None if ms is None else self.place(ms)
        if self.heard is None or (self.heard.over and not self.heard.texts):
            before, self.heard = self.heard, Heard(self.item() if self.heard is None else self.heard.item, start)
            if before is not None and before is self.again:
                self.again = self.heard  # it is told once more where it begins
        self.heard.over, self.heard.at = False, now
        return ModelSpeechStarted(0.0 if start is None else start)

    def end(self, ms: float | None, now: float) -> None:
        """The user has spoken, until ``ms`` of the connection."""
        if self.heard is not None:
            self.heard.over, self.heard.at = True, now
            self.heard.end = self.heard.end if ms is None else self.place(ms)

    def words(self, text: str, now: float, *, generating: bool) -> tuple[Final, bool]:
        """Words of the user, and whether they are the first of an utterance. ``generating``: a reply is being made,
        so that words may be those of what it answers: they come after it began."""
        label = _LABEL.match(text)
        language = label[1] if label else None
        text = text[label.end() :].strip() if label else text.strip()
        late = self.answered
        if self.heard is None and late is not None and not late.texts and generating:
            late.texts.append(text)
            return Final(late.item, text, language=language), False
        heard = self.heard = self.heard or Heard(self.item())
        first = not heard.texts
        heard.texts.append(text)
        heard.at, heard.over = now, heard.over or heard.start is None
        return Final(heard.item, " ".join(heard.texts), language=language), first

    def answer(self, *, asked: bool) -> list[LinkEvent]:
        """A reply begins, to what was heard; ``asked``: or to typed text."""
        self._answered_ms = self.answered_ms
        heard = self.heard
        if heard is not None and (heard.over or heard.texts):
            self.answered, self.heard = heard, None
            return [] if heard.end is None else [ModelSpeechStopped(heard.end)]
        if asked or heard is not None:
            self.answered = None
        return []

    # ------------------------------------------------------------ what is known of them

    @property
    def answered_ms(self) -> float:
        """The end of the newest utterance that was answered, in ms of the session's input, as far as it is known."""
        last = None if self.answered is None else self.answered.end
        return self._answered_ms if last is None else max(self._answered_ms, last)

    def unanswered(self, now: float) -> Heard | None:
        """What the user said, or is saying, that no reply has begun to answer."""
        heard = self.heard
        return None if heard is None or (heard.over and now - heard.at > _UNANSWERED) else heard

    def sent_again(self, until: float) -> Heard | None:
        """What is sent for another time, if it was said before ``until``, in ms of the session's input."""
        again = self.again
        return None if again is None or (again.start is not None and again.start >= until) else again
