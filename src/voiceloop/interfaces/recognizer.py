"""Recognizer: speech to text. One implementation is one short file."""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import ClassVar, TypeAlias

from attrs import frozen

from voiceloop.audio import PCM16_16K, AudioFormat
from voiceloop.events import Link, SpokenWord
from voiceloop.interfaces.pool import Resources


@frozen
class RecognizerCapabilities:
    """What a recognizer can do.

    ``input``: the only format that ``send_audio`` gets. ``can_flush``: ``flush`` brings a Final at once, so that the
    session need not wait for one. ``can_finish``: ``flush`` brings one soon when no more audio comes after it, as
    when a button is let go; after ``Session.end_turn`` the session waits for that. ``word_times``: items carry words
    with times.
    """

    input: AudioFormat = PCM16_16K
    can_flush: bool = False
    word_times: bool = True
    can_finish: bool = False


@frozen
class Expectation:
    """What the user may say next, told by a reasoner that knows: a JSGF ``grammar`` (its text)."""

    grammar: str


@frozen
class ListenConfig:
    """Given to :meth:`Recognizer.open`; ``language`` is a BCP 47 tag, or None for the recognizer's own default."""

    resources: Resources
    language: str | None = None


@frozen
class Partial:
    """What item ``item`` says so far. A newer Partial or Final of the same item replaces it.

    ``words``: with times in ms since the first byte sent, or empty. ``stable_chars``: leading characters of ``text``
    that will not change.
    """

    item: str
    text: str
    words: tuple[SpokenWord, ...] = ()
    stable_chars: int = 0
    language: str | None = None


@frozen
class Entity:
    """Personally identifiable information in a Final: its ``type``, such as "NAME" or "PHONE", its ``text``, and its
    time in ms since the first byte sent."""

    type: str
    text: str
    start_ms: float
    end_ms: float
    confidence: float | None = None


@frozen
class Final:
    """What item ``item`` said. A recognizer that can flush may send a longer Final of the same item later, when
    speech went on after a pause. ``confidence``: 0 to 1; below 0.5 means "ask back". ``text`` may be empty.
    ``entities``: personally identifiable information in it, where the recognizer was asked for that."""

    item: str
    text: str
    words: tuple[SpokenWord, ...] = ()
    confidence: float | None = None
    language: str | None = None
    entities: tuple[Entity, ...] = ()


@frozen
class RecognizerUsage:
    """Consumption since the last report, by unit, such as ``{"seconds": 2.5}``."""

    amounts: dict[str, float]


@frozen
class ListeningChanged:
    """The stream's connection to its service is in another ``state``, as :class:`ConnectionState` has them: it is
    "recovering" or "renewing", and then "ready". ``detail``: why."""

    state: Link
    detail: str = ""


RecognizerItem: TypeAlias = Partial | Final | RecognizerUsage | ListeningChanged


class Listening(abc.ABC):
    """One open stream of speech: what :meth:`Recognizer.open` yields."""

    @abc.abstractmethod
    async def send_audio(self, pcm: bytes) -> None:
        """Take whole samples of ``capabilities.input``. Called by one task, with every chunk, silence included.

        May wait for back-pressure. Raises ProviderError when the stream is broken for good.
        """

    async def flush(self, *, end_of_turn: bool) -> None:
        """The user paused (``end_of_turn=False``) or their turn is over (True).

        With ``can_flush``: send a Final, under one item id, for all audio since the last end of turn. Speech that
        goes on after a pause belongs to the same item; what comes after an end of turn begins a new one.
        The default does nothing.
        """

    async def expect(self, expectation: Expectation | None) -> None:
        """Prefer what the user is expected to say next; None for anything. The default does nothing."""

    @abc.abstractmethod
    def __aiter__(self) -> AsyncIterator[RecognizerItem]:
        """The items as they come. Ends when the stream is closed, after a last RecognizerUsage where there is one;
        raises ProviderError when it broke."""


class Recognizer(abc.ABC):
    """Speech to text. An immutable value, shared by any number of sessions; constructing it does no I/O."""

    name: ClassVar[str] = "recognizer"
    capabilities: RecognizerCapabilities = RecognizerCapabilities()

    @abc.abstractmethod
    def open(self, config: ListenConfig) -> AbstractAsyncContextManager[Listening]:
        """Open one stream, for one session. Restarts after drops are the recognizer's own affair.

        An async context manager, so that tasks it runs inside are joined when it is left. On leaving, nothing of it
        remains. Raises ProviderError when it cannot be opened, MissingExtra when its package is not installed.
        """
