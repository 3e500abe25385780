"""How the emulated Nova Sonic behaves where models differ, or where the documents leave it open."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, get_args

from attrs import Attribute, field, frozen

from voiceloop.errors import BadInput
from voiceloop.interfaces import TurnDetector

NOVA_SONIC = "amazon.nova-sonic-v1:0"
NOVA_2_SONIC = "amazon.nova-2-sonic-v1:0"
NOVA_2_5_SONIC = "amazon.nova-2-5-sonic"
MODELS = (NOVA_SONIC, NOVA_2_SONIC, NOVA_2_5_SONIC)

BargeIn: TypeAlias = Literal["a", "b", "c", "c+d", "end_turn_first"]
Finals: TypeAlias = Literal["after", "late", "missing"]

_BOTH = {"tiffany", "matthew", "amy", "ambre", "florian", "beatrice", "lorenzo", "lennart", "lupe", "carlos"}
_FIRST_VOICES = frozenset(_BOTH | {"greta"})
_LATER_VOICES = frozenset(_BOTH | {"olivia", "kiara", "arjun", "tina", "carolina", "leo"})
_LONGEST_S = 8 * 60.0


def voices_of(model: str) -> frozenset[str]:
    """The voices of ``model`` (Amazon Nova user guide, "Available voices" and "Language support")."""
    return _FIRST_VOICES if model == NOVA_SONIC else _LATER_VOICES


@frozen
class NovaLimits:
    """What is refused. Sizes in bytes of UTF-8; by default those of the present guide (200 KB, 50 KB a message).

    ``history_texts``: bytes of one ``textInput``; ``history_messages``: how many messages. ``alternate``: neighbours
    in a history may not have the same role. ``schema_objects``: ``inputSchema.json`` may be an object, as one page of
    the guide shows it, instead of a string of JSON. ``streams``: concurrent ones, of one service.
    """

    history_bytes: int = 204_800
    message_bytes: int = 51_200
    history_texts: int | None = None
    history_messages: int | None = None
    alternate: bool = True
    schema_objects: bool = False
    streams: int = 20

    @classmethod
    def older(cls) -> NovaLimits:
        """Those of the first model's guide: 40 KB in all, 1 KB in one ``textInput``, 40 messages."""
        return cls(40_960, 40_960, 1_024, 40)


@frozen
class NovaTimers:
    """When a connection ends by itself, in seconds; the service scales all of them.

    ``gap``: without audio or interactive content. ``silence_counts``: whether audio without speech is audio for it.
    ``quiet``: without speech of either side (None: never); ``quiet_error``: how that shows, as the timed-out message
    or as 531. ``events``: without any event before the session starts. ``longest``: from the opening on;
    ``longest_error``: how that shows, as modelTimeoutException, as a plain end, or as 531. ``flush``: how long a
    running reply may go on after promptEnd.
    """

    gap: float = 55.0
    silence_counts: bool = True
    quiet: float | None = None
    quiet_error: Literal["timed out", "531"] = "timed out"
    events: float = 60.0
    longest: float = _LONGEST_S
    longest_error: Literal["timeout", "end", "531"] = "timeout"
    flush: float = 2.0


DOCUMENTED: Mapping[str, float] = MappingProxyType({"HIGH": 1_500.0, "MEDIUM": 1_750.0, "LOW": 2_000.0})
"""The pause in ms that ends a turn, by endpointing sensitivity (Amazon Nova 2 Sonic user guide, "Turn-taking")."""

PROMPT: Mapping[str, float] = MappingProxyType({"HIGH": 410.0, "MEDIUM": 480.0, "LOW": 550.0})
"""A shorter one, as users measured MEDIUM on the service: its judgement of a turn is more than a pause."""


def _pauses(_: NovaProfile, attribute: Attribute[Any], pauses: Mapping[str, float]) -> None:
    for sensitivity in DOCUMENTED:
        ms = pauses.get(sensitivity)
        if isinstance(ms, bool) or not isinstance(ms, int | float) or not ms > 0:
            raise BadInput(f"{attribute.name}[{sensitivity!r}]={ms!r}: a number of ms above 0 is allowed")


@frozen
class NovaProfile:
    """How the model behaves.

    ``barge_in``: what an interruption looks like. "a": ``userSpeechStart`` only. "b": the text
    ``{ "interrupted" : true }``. "c": the FINAL text ends with INTERRUPTED. "c+d": so does an open AUDIO block.
    "end_turn_first": AUDIO ends with END_TURN, ``late_by`` seconds later FINAL text with INTERRUPTED.
    ``finals``: FINAL texts come after their audio was played, or "late" (with the next start of user speech), or are
    "missing". ``speech_events``: userSpeechStart and userSpeechEnd are sent. ``speech_end``: the latter comes before
    or after the user's transcript. ``endpoint_ms``: the pause in ms that ends a turn, by endpointing sensitivity; as
    documented, or :data:`PROMPT`. The first model has no sensitivity, and waits as with MEDIUM.
    ``interrupt_ms``: speech that interrupts a reply. ``speed``: audio is sent so many times faster than it plays, in
    events of ``event_ms``.

    ``tools``: "talks" says what the reasoner wrote beside its calls, "silent" says nothing until the results came.
    ``filler`` is spoken after tool uses. ``audio_while_tool_pending``: False refuses it, from ``audio_grace`` seconds
    after the tool use on, since some is on its way. ``double_encoded``: the arguments are JSON in a JSON string.

    ``instability``: the chance, from 0 to 1, that a reply fails with "System instability detected", from ``seed``.
    ``blocked``: phrases that content filters refuse in any text of the caller. ``undocumented``: events that no
    document has are sent too. ``turns``: what hears the user speak, in the place of the backing's. ``multi_error``:
    texts of errors come as a list. ``transcript_wait``: seconds to wait for the recognizer.

    Raises BadInput for values that make no sense.
    """

    barge_in: BargeIn = "c"
    finals: Finals = "after"
    speech_events: bool = True
    speech_end: Literal["before", "after"] = "before"
    tools: Literal["talks", "silent"] = "talks"
    filler: str | None = None
    audio_while_tool_pending: bool = True
    audio_grace: float = 0.3
    double_encoded: bool = False
    endpoint_ms: Mapping[str, float] = field(default=DOCUMENTED, validator=_pauses)
    interrupt_ms: float = 250.0
    late_by: float = 0.3
    speed: float = 4.0
    event_ms: float = 80.0
    instability: float = 0.0
    seed: int = 0
    blocked: tuple[str, ...] = ()
    undocumented: bool = False
    multi_error: bool = False
    transcript_wait: float = 20.0
    turns: TurnDetector | None = None

    def __attrs_post_init__(self) -> None:
        choices = {
            "barge_in": get_args(BargeIn),
            "finals": get_args(Finals),
            "speech_end": ("before", "after"),
            "tools": ("talks", "silent"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise BadInput(f"{name}={getattr(self, name)!r}: allowed are {', '.join(allowed)}")
        if not 0 <= self.instability <= 1:
            raise BadInput(f"instability={self.instability!r}: a chance from 0 to 1 is allowed")
        if not self.speed > 0:
            raise BadInput(f"speed={self.speed!r}: must be more than 0")
        if self.barge_in == "a" and not self.speech_events:
            raise BadInput("barge_in='a' with speech_events=False: then no signal of an interruption is left")

    @classmethod
    def faults(cls) -> Mapping[str, Mapping[str, Any]]:
        """Kinds of :class:`voiceloop.testing.aws.Fault` that change the profile of the connection they strike."""
        return _FAULTS


_FAULTS: Mapping[str, Mapping[str, Any]] = {
    "nova:late_final": {"finals": "late"},
    "nova:missing_final": {"finals": "missing"},
    "nova:no_speech_events": {"speech_events": False},
    "nova:audio_while_tool_pending": {"audio_while_tool_pending": False},
    "nova:barge_in_a": {"barge_in": "a"},
    "nova:barge_in_b": {"barge_in": "b"},
    "nova:barge_in_c": {"barge_in": "c"},
    "nova:barge_in_c+d": {"barge_in": "c+d"},
    "nova:barge_in_end_turn_first": {"barge_in": "end_turn_first"},
}
