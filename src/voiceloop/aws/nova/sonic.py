"""Amazon Nova Sonic as a speech model: what can be set, and what is refused before anything is opened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal

from attrs import Attribute, field, frozen

from voiceloop.audio import AudioFormat
from voiceloop.aws.account import Account, is_account
from voiceloop.aws.arguments import of_kind, texts
from voiceloop.aws.nova.family import SECOND, Family, Voice, family_of, languages_of, speaks, voices_of
from voiceloop.aws.nova.waits import Waits
from voiceloop.conversation import HistoryLimits
from voiceloop.errors import BadInput, UnknownName
from voiceloop.interfaces import Link, LinkContext, ModelCapabilities, SpeechModel
from voiceloop.rules.backoff import Backoff
from voiceloop.rules.renewal import Clocks

RATES = (8_000, 16_000, 24_000)
_LONGEST = 480.0


def _rate(sonic: NovaSonic, attribute: Attribute[int], rate: int) -> None:
    if rate not in RATES:
        allowed = ", ".join(map(str, RATES))
        raise BadInput(f"{attribute.name}={rate!r}: {allowed} Hz are allowed; the session converts others")


def _share(sonic: NovaSonic, attribute: Attribute[float], value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise BadInput(f"{attribute.name}={value!r}: a number from 0 to 1 is allowed")


def _positive(sonic: NovaSonic, attribute: Attribute[Any], value: float | None) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
        raise BadInput(f"{attribute.name}={value!r}: a number above 0 is allowed")


@frozen
class NovaSonic(SpeechModel):
    """Amazon Nova Sonic: one model that listens, decides whose turn it is, and speaks.

    ``NovaSonic(voice="tiffany")``, with the permission ``bedrock:InvokeModel`` for the model. ``model``: Nova 2 Sonic
    by default; ``amazon.nova-sonic-v1:0`` takes no typed text, so that it cannot greet; an ARN is taken too. A
    connection lasts at most 8 minutes; it is replaced by another one, with the history of the conversation, before
    that and without a gap.

    - ``voice``: see :func:`voices_of`; ``voices``: more names that are taken. ``language``: a BCP 47 tag, checked
      against the voice.
    - ``input_rate``, ``output_rate`` in Hz: 8000, 16000 or 24000. Sessions convert to and from them.
    - ``max_tokens``, ``top_p`` and ``temperature`` of a reply.
    - ``endpointing``: how soon a pause ends the user's turn: "high" (1.5 s), "medium" (1.75 s), "low" (2 s); None:
      the service's default.
    - ``tool_choice``: "auto", "any", or the name of the tool that each reply has to begin with; connecting raises
      UnknownName where the session has no such tool.
    - ``renew_after``, ``deadline``, ``quiet_after`` in s: the age from which a connection is replaced at a good
      moment, and by which it is replaced at any; and a silence of both sides after which it is replaced. The service
      ends a connection at 480 s, and some after 295 s without speech.
    - ``history_bytes``, ``message_bytes``, ``history_messages``: how much of the conversation the next connection is
      told (None: what the model takes).
    - ``silence_after``: seconds without input after which silence is sent in its place, ``silence_ms`` at a time;
      connections without audio are ended after 55 s. ``hold``: seconds of input that are kept while there is no
      connection.
    - ``answer_within``: seconds a model may take to answer typed text.
    - ``waits``: how long a connection is waited for, see :class:`Waits`.
    - ``retry``: the attempts to connect again after a failure.

    Raises UnknownName for a voice or a language that does not exist, BadInput for other values.
    """

    name = "Amazon Nova Sonic"

    voice: str = "matthew"
    model: str = field(default=SECOND, kw_only=True)
    account: Account = field(factory=Account, kw_only=True, validator=is_account)
    language: str | None = field(default=None, kw_only=True)
    voices: tuple[str, ...] = field(default=(), converter=texts, kw_only=True)
    input_rate: int = field(default=16_000, validator=_rate, kw_only=True)
    output_rate: int = field(default=24_000, validator=_rate, kw_only=True)
    max_tokens: int = field(default=1024, validator=_positive, kw_only=True)
    top_p: float = field(default=0.9, validator=_share, kw_only=True)
    temperature: float = field(default=0.7, validator=_share, kw_only=True)
    endpointing: Literal["high", "medium", "low"] | None = field(default=None, kw_only=True)
    tool_choice: str | None = field(default=None, validator=of_kind(str), kw_only=True)
    renew_after: float = field(default=360.0, validator=_positive, kw_only=True)
    deadline: float = field(default=440.0, validator=_positive, kw_only=True)
    quiet_after: float = field(default=240.0, validator=_positive, kw_only=True)
    history_bytes: int | None = field(default=None, validator=_positive, kw_only=True)
    message_bytes: int | None = field(default=None, validator=_positive, kw_only=True)
    history_messages: int | None = field(default=None, validator=_positive, kw_only=True)
    silence_after: float = field(default=0.3, validator=_positive, kw_only=True)
    silence_ms: int = field(default=100, validator=_positive, kw_only=True)
    hold: float = field(default=30.0, validator=_positive, kw_only=True)
    answer_within: float = field(default=20.0, validator=_positive, kw_only=True)
    waits: Waits = field(factory=Waits, kw_only=True)
    retry: Backoff = field(factory=lambda: Backoff(first=0.5, attempts=6), kw_only=True)

    def __attrs_post_init__(self) -> None:
        self.check_voice(self.voice)
        if self.language is not None:
            self._check_language(self.language)
        if self.endpointing is not None:
            self._check_endpointing(self.endpointing)
        if self.tool_choice is not None and not self.family.tool_choice:
            raise BadInput(f"tool_choice={self.tool_choice!r}: {self.model} knows none; use a Nova 2 model")
        if not self.renew_after < self.deadline < _LONGEST:
            raise BadInput(
                f"renew_after={self.renew_after:g}, deadline={self.deadline:g}: the first must be less than the "
                f"second, and that less than {_LONGEST:g} s, at which the service ends a connection"
            )

    @property
    def family(self) -> Family:
        """What this model takes."""
        return family_of(self.model)

    @property
    def clocks(self) -> Clocks:
        """When a connection is replaced."""
        return Clocks(seek=self.renew_after, deadline=self.deadline, quiet=self.quiet_after)

    @property
    def capabilities(self) -> ModelCapabilities:
        """See :class:`ModelCapabilities`."""
        return ModelCapabilities(
            input=AudioFormat(self.input_rate),
            output=AudioFormat(self.output_rate),
            says=False,
            owns_turns=True,
            can_cut=False,
            text_input=self.family.text_input,
            renews=frozenset({"instructions", "tools", "voice", "temperature"}),
            history=self.history(),
        )

    def history(self, most: int | None = None) -> HistoryLimits:
        """How much of the conversation a new connection is told; ``most``: no more than so many bytes."""
        total = self.history_bytes or self.family.history_bytes
        one = self.message_bytes or self.family.message_bytes
        total = total if most is None else min(total, most)
        return HistoryLimits(total, min(one, total), tools=False, images=False)

    def check_voice(self, name: str) -> None:
        """Raises UnknownName, with near matches, if there is no such voice."""
        known = self._voices()
        if name not in known:
            raise UnknownName(
                f"voice of {self.model}", name, known, hint="A voice that is newer than this list goes into voices=."
            )

    def _voices(self) -> Mapping[str, Voice | None]:
        return {**dict.fromkeys(self.voices), **voices_of(self.model)}

    def check_tools(self, names: Iterable[str]) -> None:
        """Raises UnknownName, with near matches, if ``tool_choice`` is none of a session's tools."""
        if self.tool_choice is not None and self.tool_choice not in ("auto", "any", *names):
            raise UnknownName("tool for tool_choice", self.tool_choice, names)

    def _check_language(self, language: str) -> None:
        known = voices_of(self.model)
        if not isinstance(language, str) or not any(speaks(voice, language) for voice in known.values()):
            hint = "A tag such as 'en-US', or its first part."
            raise UnknownName(f"language of {self.model}", str(language), languages_of(self.model), hint=hint)
        voice = known.get(self.voice)
        if voice is None or voice.polyglot or speaks(voice, language):
            return
        fitting = sorted(name for name, other in known.items() if speaks(other, language) and not other.polyglot)
        raise BadInput(
            f"voice={self.voice!r} does not speak {language}: {', '.join(fitting)} do",
            hint="In Nova 2 tiffany and matthew speak all languages.",
        )

    def _check_endpointing(self, endpointing: str) -> None:
        if endpointing not in ("high", "medium", "low"):
            raise BadInput(f"endpointing={endpointing!r}: 'high', 'medium', 'low' or None are allowed")
        if not self.family.endpointing:
            raise BadInput(f"endpointing={endpointing!r}: {self.model} has no such setting; use a Nova 2 model")

    def connect(self, context: LinkContext) -> AbstractAsyncContextManager[Link]:
        """See :meth:`SpeechModel.connect`."""
        from voiceloop.aws.nova.link import open_link

        return open_link(self, context)
