"""SpeechModel: speech in, speech out. A cascade is one, a speech-to-speech service is another."""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar, TypeAlias

from attrs import field, frozen

from voiceloop.audio import PCM16_16K, PCM16_24K, AudioFormat
from voiceloop.conversation import HistoryLimits, ImagePart, Message
from voiceloop.events import Heard
from voiceloop.events import Link as LinkState
from voiceloop.interfaces.pool import Resources
from voiceloop.interfaces.recognizer import Final, Partial
from voiceloop.interfaces.synthesizer import MarkKind
from voiceloop.tools import Tool


@frozen
class ModelCapabilities:
    """How speech models differ; the session asks these, never which model it is.

    ``says``: can speak given words (:class:`Say`). ``owns_turns``: decides by itself when the user's turn is over and
    when it is interrupted. ``can_cut``: a reply can be cut off; where it cannot and the model owns its turns, local
    voice activity may only suspect. ``text_input``: takes typed text. ``can_flush``: :class:`Pause` brings a Final at
    once. ``can_finish``: it does soon, when no more audio comes. ``marks``: kinds of marks its replies carry.
    ``renews``: settings whose change needs a new connection, so that an Update of them holds from the next
    :class:`Renewed` on.
    """

    input: AudioFormat = PCM16_16K
    output: AudioFormat = PCM16_24K
    says: bool = True
    owns_turns: bool = False
    can_cut: bool = True
    text_input: bool = True
    can_flush: bool = False
    marks: frozenset[MarkKind] = frozenset()
    renews: frozenset[str] = frozenset()
    history: HistoryLimits = HistoryLimits()
    can_finish: bool = False


@frozen
class Settings:
    """What the user of a session chose, and may change while it runs. None: the model's own default."""

    instructions: str = ""
    tools: tuple[Tool, ...] = ()
    voice: str | None = None
    temperature: float | None = None
    speak: bool = True


@frozen
class LinkContext:
    """Given to :meth:`SpeechModel.connect`; owned by the session, read-only.

    ``settings()`` is what holds now. ``want``: the marks asked for. ``history(limits)`` is a valid view of the
    conversation at the moment of the call. ``room()`` returns when the session has room for more audio of a reply: a
    link that makes its own audio awaits it before each chunk, which is how back-pressure reaches the synthesizer.
    """

    settings: Callable[[], Settings]
    history: Callable[[HistoryLimits], tuple[Message, ...]]
    room: Callable[[], Awaitable[None]]
    resources: Resources
    want: frozenset[MarkKind] = frozenset()


# ---------------------------------------------------------------- commands: session to link


@frozen
class Attend:
    """The user begins to speak: a chance to open what answering them will need."""


@frozen
class Pause:
    """The user paused; their turn may be over. A chance to finish the transcript early."""


@frozen
class EndOfTurn:
    """The user's turn is over and is in the history: answer it, as turn ``turn``; None: there is nothing to answer.

    ``final`` False: the answer is only being prepared, the user may still go on; an EndOfTurn without a turn or a Cut
    of this one follows. A model that owns its turns gets it only without a turn, when the user says by hand that
    theirs is over; the reply is then the model's own.
    """

    turn: int | None
    final: bool = True


@frozen
class UserText:
    """Typed text, already in the history. ``turn``: answer it as that turn; None: only take note."""

    text: str
    images: tuple[ImagePart, ...] = ()
    turn: int | None = None


@frozen
class Prompt:
    """Speak first, in the model's own words, as turn ``turn``. ``text`` tells it what about; None: greet."""

    turn: int
    text: str | None = None


@frozen
class Say:
    """Speak exactly ``text``, as turn ``turn``."""

    turn: int
    text: str


@frozen
class ToolResult:
    """The result of call ``call`` that came on ``connection``."""

    connection: int
    call: str
    name: str
    result: str
    error: bool = False


@frozen
class Cut:
    """Reply ``turn`` is dead: stop making it. ``heard`` is what the listener got, as far as known."""

    turn: int
    heard: Heard


@frozen
class Update:
    """Settings changed to ``settings`` (``changed`` names which). The link raises SettingRefused if it cannot."""

    settings: Settings
    changed: frozenset[str]


Command: TypeAlias = Attend | Pause | EndOfTurn | UserText | Prompt | Say | ToolResult | Cut | Update


# ---------------------------------------------------------------- link events: link to session


@frozen
class ModelSpeechStarted:
    """The model hears the user speak, at ``ms`` of the input: a soft hint, it may be wrong."""

    ms: float


@frozen
class ModelSpeechStopped:
    """The model judges that the user's turn is over; they stopped at ``ms`` of the input."""

    ms: float


@frozen
class ReplyStarted:
    """A reply begins. ``turn``: the one asked for by a command; None: the model began by itself."""

    reply: int
    turn: int | None = None


@frozen
class ReplyTextDelta:
    """More text of the reply, as the model wrote it."""

    reply: int
    text: str


@frozen
class ReplyAudio:
    """More audio of the reply: whole samples of ``capabilities.output``, contiguous from the reply's first sample.

    ``first_clause_at``: on the first audio of a reply, when its text was handed to synthesis, on ``clock.now()``.
    """

    reply: int
    pcm: bytes = field(repr=lambda pcm: f"<{len(pcm)} bytes>")
    first_clause_at: float | None = None


@frozen
class ReplyViseme:
    """A mouth shape from ``ms`` of the reply's audio on."""

    reply: int
    code: str
    ms: float
    end_ms: float | None = None
    phoneme: str | None = None


@frozen
class ReplyWord:
    """A word is spoken from ``ms`` of the reply's audio on; ``start`` and ``end`` are its characters in the reply."""

    reply: int
    start: int
    end: int
    ms: float
    end_ms: float | None = None


@frozen
class ReplySpan:
    """Characters ``start`` to ``end`` of the reply are spoken from ``ms`` on, to ``end_ms`` once it is known.

    For voices without word times: a newer span with the same ``start`` replaces the older one.
    """

    reply: int
    start: int
    end: int
    ms: float
    end_ms: float | None = None


@frozen
class ReplyMarksUntil:
    """All marks before ``ms`` of the reply have been given."""

    reply: int
    ms: float


@frozen
class ReplyEnded:
    """The reply is complete; nothing more of it follows."""

    reply: int


@frozen
class ModelCut:
    """The model itself ended the reply because the user interrupted it."""

    reply: int


@frozen
class ModelToolCall:
    """The model calls a tool; the result goes back with the same ``connection``."""

    reply: int
    connection: int
    call: str
    name: str
    arguments: Mapping[str, Any] | str


@frozen
class ModelUsage:
    """Consumption since the last report."""

    provider: str
    amounts: Mapping[str, float]
    reply: int | None = None


@frozen
class Renewed:
    """A new connection stands, with the newest settings. It gets the input from sample ``cut`` on; what the old one
    says about that is discarded."""

    cut: int


@frozen
class Settled:
    """The model's own account of how far it spoke in ``reply``: ``text`` is all of it that was said so far.

    For models without word times: of an interrupted reply no more counts as heard. It may come late, or never.
    """

    reply: int
    text: str


@frozen
class LinkChanged:
    """The state of the connection changed."""

    state: LinkState
    detail: str = ""


@frozen
class LinkNotice:
    """Something worth knowing that is no failure."""

    code: str
    text: str


@frozen
class ReplyFailed:
    """The reply could not be made; the session goes on if ``fatal`` is False, else it fails with ``error``."""

    reply: int
    error: Exception
    fatal: bool = True


LinkEvent: TypeAlias = (
    ModelSpeechStarted
    | ModelSpeechStopped
    | Partial
    | Final
    | ReplyStarted
    | ReplyTextDelta
    | ReplyAudio
    | ReplyViseme
    | ReplyWord
    | ReplySpan
    | ReplyMarksUntil
    | ReplyEnded
    | ReplyFailed
    | ModelCut
    | ModelToolCall
    | ModelUsage
    | Renewed
    | Settled
    | LinkChanged
    | LinkNotice
)


class Link(abc.ABC):
    """One session's connection to a speech model: what :meth:`SpeechModel.connect` yields."""

    @abc.abstractmethod
    async def send_audio(self, pcm: bytes) -> None:
        """Take whole samples of ``capabilities.input``. Called by one task, in order. May wait for back-pressure."""

    @abc.abstractmethod
    async def send(self, command: Command) -> None:
        """Carry out a command, or start to: returns soon. A command about a reply that is gone does nothing.

        Raises SettingRefused for an Update that it cannot apply, ProviderError when the link is broken.
        """

    @abc.abstractmethod
    def __aiter__(self) -> AsyncIterator[LinkEvent]:
        """The model's events as they come. Ends when the link is closed; raises ProviderError when it broke."""


class SpeechModel(abc.ABC):
    """Speech in, speech out. An immutable value, shared by any number of sessions; constructing it does no I/O."""

    name: ClassVar[str] = "speech model"

    @property
    def listener(self) -> str:
        """The name of the part that takes the input, for errors; the model's own unless it has parts."""
        return self.name

    @property
    @abc.abstractmethod
    def capabilities(self) -> ModelCapabilities:
        """What this model can do, with its present configuration."""

    @abc.abstractmethod
    def connect(self, context: LinkContext) -> AbstractAsyncContextManager[Link]:
        """Open one session's link. Tasks it needs run inside the context manager and are joined when it is left.

        Raises ProviderError when it cannot be opened, MissingExtra when a package is not installed.
        """
