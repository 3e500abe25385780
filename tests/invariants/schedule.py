"""Random conversations: what the user does, how the providers behave, how the network and the application do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from attrs import field, frozen
from hypothesis import strategies as st

from voiceloop import AudioFormat
from voiceloop.audio import MULAW_8K, PCM16_8K, PCM16_24K, PCM16_48K

ActName: TypeAlias = Literal[
    "speak", "quiet", "recorded speech", "recorded quiet", "type", "note", "say", "announce", "greet", "interrupt",
    "end_turn", "until_audio", "mute", "unmute"
]  # fmt: skip


@frozen
class Act:
    """One thing that the user, or the application, does. ``ms``: how long, or how long after audio began."""

    name: ActName
    ms: int = 0


@frozen
class Providers:
    """How the scripted providers behave. Times in seconds, ``_ms`` in ms. ``flush_after``: the longest that a final
    takes which was asked for. ``paced``: the recognizer takes audio at the pace of speech, however fast it comes."""

    utterances: tuple[str, ...] = ("yes please",)
    finals: tuple[str | None, ...] = (None,)
    final_after: float = 0.1
    flush_after: float = 0.1
    partial_after: float = 0.0
    can_flush: bool = False
    can_finish: bool = False
    partials: bool = True
    paced: bool = False
    replies: tuple[str, ...] = ("Good. I will do that at once for you.",)
    first_token: float = 0.2
    token: float = 0.01
    first_audio: float = 0.1
    speed: float = 10.0
    ms_per_char: float = 60
    speech_chunk_ms: float = 100
    marks: frozenset[str] = frozenset(("viseme", "word"))
    marks_late: float = 0.0
    marks_lost: bool = False
    marks_disordered: bool = False
    streams: bool = False
    tool_s: float = 0.1
    fault: tuple[str, int] | None = None


@frozen
class Network:
    """The listener and the application: see :class:`Listener`. ``busy``: seconds the application takes per event."""

    latency: float = 0.0
    report_every: float | None = 0.1
    tells_stop: bool = True
    lost: int = 0
    swapped: bool = False
    busy: float = 0.0


@frozen
class Schedule:
    """One conversation. ``options`` are the session's; ``cancel_after``: loop rounds until all is cancelled."""

    acts: tuple[Act, ...]
    providers: Providers = Providers()
    network: Network = Network()
    options: Mapping[str, Any] = field(factory=dict)
    cancel_after: int | None = None


PHRASES = ("yes please", "", "no", "what time is it", "um I want", "tell me more about that", "stop")
REPLIES = (
    "Good.",
    "It is ten past five in the afternoon, sir. Do you want anything else from me today?",
    "One two three four five six seven eight nine ten eleven twelve thirteen.",
    "Well, 12:30 is fine – Dr. Smith (the dentist) is in. Right!\nSee you then",
    "😀",
    "",
    "TOOL",
    "Let me see. TOOL",
    "TOOL TOOL",
    "SLOWTOOL",
    "BADTOOL",
    "UNKNOWNTOOL",
    "Bye. ENDTOOL",
)

_BOTH = frozenset(("viseme", "word"))
_speech = st.sampled_from((60, 140, 220, 400, 900, 1500))
_pauses = st.sampled_from((0, 60, 160, 240, 320, 500, 700, 1000, 1500, 3000))


def _act(name: ActName) -> st.SearchStrategy[Act]:
    match name:
        case "speak":
            return _speech.map(lambda ms: Act("speak", ms))
        case "quiet" | "until_audio":
            return _pauses.map(lambda ms: Act(name, ms))
        case _:
            return st.just(Act(name))


USER: tuple[ActName, ...] = ("speak", "quiet", "until_audio")
ALL: tuple[ActName, ...] = (
    *USER, *USER, *USER, *USER, "type", "note", "say", "announce", "greet", "interrupt", "end_turn", "mute", "unmute"
)  # fmt: skip


SCENES: tuple[tuple[Act, ...], ...] = (
    (Act("speak", 900), Act("until_audio", 1000), Act("speak", 900), Act("quiet", 1500)),
    (Act("speak", 900), Act("until_audio", 500), Act("speak", 140), Act("quiet", 3000)),
    (Act("speak", 400), Act("until_audio", 2500), Act("speak", 400), Act("quiet", 700)),
    (Act("speak", 400), Act("quiet", 400), Act("speak", 900), Act("until_audio", 0)),
    (Act("say"), Act("until_audio", 1500), Act("interrupt"), Act("quiet", 300)),
    (Act("speak", 900), Act("until_audio", 300), Act("type"), Act("until_audio", 700)),
    (Act("say"), Act("until_audio", 300), Act("speak", 140), Act("quiet", 1500), Act("interrupt"), Act("quiet", 160)),
    (Act("greet"), Act("until_audio", 700), Act("speak", 220), Act("quiet", 1000)),
)
"""What happens often, in a few acts."""


def acts(names: Sequence[ActName] = ALL, most: int = 5) -> st.SearchStrategy[tuple[Act, ...]]:
    """What the user does, beginning with a scene."""
    scenes = [scene for scene in SCENES if {act.name for act in scene} <= set(names)]
    one = st.sampled_from(names).flatmap(_act).map(lambda act: (act,))
    more = st.lists(one | st.sampled_from(scenes), max_size=most)
    return st.tuples(st.sampled_from(scenes), more).map(lambda parts: (*parts[0], *(a for p in parts[1] for a in p)))


def stretches() -> st.SearchStrategy[tuple[Act, ...]]:
    """What the user says, each time with a pause after it, in real time or as a recording, which comes at once."""

    def acts(recorded: bool) -> st.SearchStrategy[tuple[Act, ...]]:
        speech: ActName = "recorded speech" if recorded else "speak"
        quiet: ActName = "recorded quiet" if recorded else "quiet"
        one = st.tuples(
            st.sampled_from((600, 2000)).map(lambda ms: Act(speech, ms)),
            st.sampled_from((200, 1500, 4000)).map(lambda ms: Act(quiet, ms)),
        )
        return st.lists(one, min_size=1, max_size=3).map(lambda parts: tuple(act for part in parts for act in part))

    return st.booleans().flatmap(acts)


def recognizers() -> st.SearchStrategy[dict[str, Any]]:
    """Quick and slow ones, that can flush, finish or neither, as changes to :class:`Providers`."""
    return st.fixed_dictionaries(
        {
            "final_after": st.sampled_from((3.0, 1.9, 0.1)),
            "flush_after": st.just(2.0),
            "can_flush": st.sampled_from((False, False, True)),
            "can_finish": st.sampled_from((False, False, True)),
            "partials": st.sampled_from((False, False, True)),
            "paced": st.booleans(),
            "utterances": st.permutations(("book a room", "for two of us", "no not today")).map(tuple),
            "finals": st.just((None,)),
        }
    )


def _some(values: Sequence[Any], most: int = 4) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=most).map(tuple)


def providers(*, faults: bool = False, replies: Sequence[str] = REPLIES) -> st.SearchStrategy[Providers]:
    """Providers with all their moods; with ``faults`` one of them fails somewhere."""
    places = (
        "open",
        "send",
        "expect",
        "request",
        "token",
        "hang",
        "speak",
        "broke",
        "silent",
        "audio",
        "memory",
        "stream end",
    )
    return st.builds(
        Providers,
        utterances=_some(PHRASES),
        finals=_some((None, None, None, "quite other words", "yes please then")),
        final_after=st.sampled_from((0.02, 0.1, 0.4, 1.2, 3.0)),
        partial_after=st.sampled_from((0.0, 0.0, 0.1, 0.3)),
        can_flush=st.booleans(),
        replies=_some(tuple(replies)),
        first_token=st.sampled_from((0.0, 0.05, 0.2, 0.8)),
        token=st.sampled_from((0.0, 0.01, 0.12)),
        first_audio=st.sampled_from((0.0, 0.1, 0.5)),
        speed=st.sampled_from((0.9, 2.0, 10.0)),
        ms_per_char=st.sampled_from((20, 60, 77.7)),
        speech_chunk_ms=st.sampled_from((20, 33.3, 100, 400)),
        marks=st.sampled_from((frozenset(), frozenset(("word",)), frozenset(("viseme",)), *[_BOTH] * 5)),
        marks_late=st.sampled_from((0.0, 0.0, 0.03, 0.06, 0.3, 1.0)),
        marks_lost=st.sampled_from((False, False, False, True)),
        marks_disordered=st.sampled_from((False, False, False, True)),
        streams=st.sampled_from((False, False, False, True)),
        tool_s=st.sampled_from((0.0, 0.1, 1.0, 4.0)),
        fault=st.tuples(st.sampled_from(places), st.integers(0, 3)) if faults else st.none(),
    )  # fmt: skip


def networks(*, busy: bool = True) -> st.SearchStrategy[Network]:
    """Listeners near and far, that report or do not."""
    return st.builds(
        Network,
        latency=st.sampled_from((0.0, 0.0, 0.02, 0.15, 0.25)),
        report_every=st.sampled_from((None, 0.05, 0.1, 0.1, 0.5)),
        tells_stop=st.sampled_from((True, True, False)),
        lost=st.sampled_from((0, 0, 2, 3)),
        swapped=st.sampled_from((False, False, True)),
        busy=st.sampled_from((0.0, 0.0, 0.0, 0.003, 0.05) if busy else (0.0,)),
    )


def formats() -> st.SearchStrategy[AudioFormat]:
    """Formats of output."""
    return st.sampled_from((PCM16_24K, PCM16_24K, PCM16_24K, PCM16_48K, PCM16_8K, MULAW_8K))


def options(**fixed: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Settings of the session."""
    free: dict[str, st.SearchStrategy[Any]] = {
        "barge_in": st.sampled_from(("speech", "speech", "speech", "words", "off")),
        "eager": st.booleans(),
        "visemes": st.sampled_from(("synced", "synced", "prompt", "off")),
        "lead": st.sampled_from((0.6, 0.6, 0.2, 2.0, None)),
        "chunk_ms": st.sampled_from((None, None, 20, 60)),
        "output": formats(),
        "turns": st.sampled_from(("scripted", "scripted", "scripted", "manual")),
        "speak": st.sampled_from((True, True, True, True, False)),
    }
    return st.fixed_dictionaries({**free, **{name: st.just(value) for name, value in fixed.items()}})


def schedules(
    *, names: Sequence[ActName] = ALL, most: int = 5, faults: bool = False, busy: bool = True,
    cancels: bool = False, replies: Sequence[str] = REPLIES, **fixed: Any
) -> st.SearchStrategy[Schedule]:  # fmt: skip
    """Conversations of all kinds."""
    return st.builds(
        Schedule,
        acts=acts(names, most),
        providers=providers(faults=faults, replies=replies),
        network=networks(busy=busy),
        options=options(**fixed),
        cancel_after=st.one_of(st.integers(0, 60), st.integers(0, 6000)) if cancels else st.none(),
    )
