"""When is the user's turn over? Silence, weighed by what the words so far look like."""

from __future__ import annotations

import enum
import math
import re
from typing import Literal, TypeAlias

import attrs
from attrs import frozen

from voiceloop.errors import BadInput

Decision: TypeAlias = Literal["commit", "wait", "drop"]

_LONGEST_MS = 60_000.0
_ROUNDING_MS = 1e-6


def _listed(text: str, separator: str | None = None) -> frozenset[str]:
    return frozenset(phrase.strip() for phrase in text.split(separator))


# Words after which nobody has finished, in whatever language they are heard. Words that also close sentences ("die",
# "das", "that", "it is") are left out: a needless wait is felt, but so is being cut off.
_FILLERS = _listed("um uh er erm hmm mm mhm eh euh äh ähm este")
_OPENERS = _listed(
    """and or but because so if than whether although unless until while which whose a an the my your his our their
    every to of for from with into onto at by about between without in on i we i'm i'd i'll i've we're we'd let's dot
    y o pero porque que el la los las un una del con para mi et ou mais parce le les une de du des à avec pour dans je
    und oder aber weil dass ob der ein eine einen einem einer dem zu mit für von ich"""
)
# "turn it on", "I think so", "where are you from": words that may end a sentence too.
_CLOSABLE = _listed("to of for from with into at by about in on so la de zu mit von")
_PARTICLE_VERBS = _listed("turn turned switch switched go come log sign put carry move hang think")
_HALF_SAID = _listed(
    """i want|i need|i would like|i'd like|i would|i think|can you|could you|would you|can i|could i|how about
    |what about|let me see|let me think|one moment|one second|hold on|quiero|je voudrais|ich möchte|ich will""",
    "|",
)
_ANSWERS = _listed(
    """yes|yeah|yep|yup|no|nope|nah|ok|okay|sure|right|correct|exactly|stop|cancel|continue|next|repeat|help|goodbye
    |bye|bye bye|never mind|thanks|thank you very much|of course|all right|alright|that's right|that's all|that's it
    |no thank you|yes it is|no it isn't|yes i do|no i don't|i don't know|go ahead
    |sí|si|claro|vale|gracias|oui|non|merci|d'accord|ja|nein|genau|danke|bitte""",
    "|",
)
_CLOSERS = _listed("please|thanks|thank you|today|tomorrow|o'clock|a m|p m|pm|noon|midnight", "|")
_QUESTION_WORDS = _listed(
    """what what's who who's where where's when when's why how how's which is are was do does did can could will would
    should has have"""
)
_QUESTION_LENGTH = 5

_DIGITS = _listed("zero oh one two three four five six seven eight nine double triple")
_TENS = _listed("twenty thirty forty fifty sixty seventy eighty ninety")
_BIG = _listed("hundred thousand million and")
_OPERATORS = _listed("point plus minus times")
_PHONE_NUMBER = 7
_DIGIT_GROUP = 3

_WORD = re.compile(r"[^\W_]+(?:['’.\-:][^\W_]+)*")


@frozen
class Endpointing:
    """How long a silence ends the user's turn, in ms.

    ``complete_ms``, ``default_ms``, ``unfinished_ms``: the silence after a complete phrase, after one that may go
    on, and after one that is plainly unfinished; in ascending order. ``stable_within_ms``: a partial is up to date
    when its last word ends that close to the end of speech. ``give_up_ms``: do not wait longer for a final or an
    up-to-date partial. ``no_words_ms``: speech without any words is dropped after that. ``eager_ms``: with eager
    replies, prepare an answer after that. Raises BadInput.
    """

    complete_ms: float = 300.0
    default_ms: float = 600.0
    unfinished_ms: float = 1200.0
    stable_within_ms: float = 150.0
    give_up_ms: float = 900.0
    no_words_ms: float = 2000.0
    eager_ms: float = 200.0

    def __attrs_post_init__(self) -> None:
        for name, value in attrs.asdict(self).items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not math.isfinite(value) or not 0 <= value <= _LONGEST_MS:
                raise BadInput(f"{name}={value!r}: from 0 to {_LONGEST_MS:.0f} ms is allowed")
        if not self.complete_ms <= self.default_ms <= self.unfinished_ms:
            raise BadInput(
                f"complete_ms={self.complete_ms!r}, default_ms={self.default_ms!r} and "
                f"unfinished_ms={self.unfinished_ms!r} are not in ascending order",
                hint="Set all three: a phrase that is plainly unfinished deserves the longest silence.",
            )


class Completeness(enum.Enum):
    """What the words so far look like."""

    COMPLETE = "complete"
    OPEN = "open"
    UNFINISHED = "unfinished"


@frozen
class Evidence:
    """What is known in a silence.

    ``silence_ms``: how long it lasts. ``text``: the utterance so far, stable prefix and newest tail.
    ``last_word_end_ms`` and ``speech_end_ms``: on the input timeline, the first by the recognizer (None: it gives no
    times), the second by the turn detector. ``has_final``: all of the text is final. ``stable``: none of it will
    change, though it may grow.
    """

    silence_ms: float
    text: str
    last_word_end_ms: float | None
    speech_end_ms: float
    has_final: bool = False
    stable: bool = False


def completeness(text: str) -> Completeness:
    """Judge by the last words whether a phrase is complete, plainly unfinished, or open (the default).

    Unfinished: it trails off in a comma, dash or ellipsis, a filler ("um"), a word that needs another ("and", "the",
    "to"), a half-said request ("I'd like"), or half a number: three to six dictated digits ("four one five"), or
    tens that may go on ("two hundred and twenty"; a plain "two thirty" is open). Complete: a full stop, question or
    exclamation mark, an answer ("yes please"), a closing word ("please", "p m"), or a question of five words or more.
    English first; the commonest such words of Spanish, French and German are known too.
    """
    text = text.strip()
    words = [word.casefold().replace("’", "'") for word in _WORD.findall(text)]
    if not words:
        return Completeness.OPEN
    if text.endswith((",", "…", "...", "-", "–", "—", ":", ";")):
        return Completeness.UNFINISHED
    punctuated = text.endswith((".", "?", "!", "。", "？"))
    if _dangles(words, closed=punctuated):
        return Completeness.UNFINISHED
    if punctuated or " ".join(words) in _ANSWERS or _closes(words):
        return Completeness.COMPLETE
    return Completeness.OPEN


def required_silence(text: str, settings: Endpointing) -> float:
    """The silence, in ms, that ends a turn whose words so far are ``text``."""
    match completeness(text):
        case Completeness.COMPLETE:
            return settings.complete_ms
        case Completeness.UNFINISHED:
            return settings.unfinished_ms
        case _:
            return settings.default_ms


def decide(evidence: Evidence, settings: Endpointing) -> Decision:
    """End the turn ("commit"), go on listening ("wait"), or forget a noise that brought no words ("drop")."""
    due = _due_ms(evidence, settings)
    if evidence.silence_ms < due - _ROUNDING_MS:
        return "wait"
    return "commit" if evidence.text.strip() else "drop"


def next_check_ms(evidence: Evidence, settings: Endpointing) -> float | None:
    """After how many more ms of silence the decision changes if no news comes; None when it is made already."""
    rest = _due_ms(evidence, settings) - evidence.silence_ms
    return rest if rest > _ROUNDING_MS else None


def eager(evidence: Evidence, settings: Endpointing) -> bool:
    """Whether an answer may be prepared already: some words, up to date, and a pause of ``eager_ms``."""
    return (
        bool(evidence.text.strip())
        and evidence.silence_ms >= settings.eager_ms - _ROUNDING_MS
        and up_to_date(evidence, settings)
    )


def _due_ms(evidence: Evidence, settings: Endpointing) -> float:
    if not evidence.text.strip():
        return settings.no_words_ms
    required = required_silence(evidence.text, settings)
    return required if up_to_date(evidence, settings) else max(required, settings.give_up_ms)


def up_to_date(evidence: Evidence, settings: Endpointing) -> bool:
    """Whether the words reach to the end of speech.

    Settled text (final, or stable and complete) is believed without times and with thrice the tolerance, because
    turn detectors report the end of speech rather late. Yet a final of what was said earlier settles nothing.
    """
    settled = evidence.has_final or (evidence.stable and completeness(evidence.text) is Completeness.COMPLETE)
    if evidence.last_word_end_ms is None:
        return settled
    missing = evidence.speech_end_ms - evidence.last_word_end_ms
    return missing <= settings.stable_within_ms * (3 if settled else 1)


def _dangles(words: list[str], *, closed: bool) -> bool:
    last = words[-1]
    if last in _FILLERS:
        return True
    if not closed and (_ends_with(words, _HALF_SAID) or _is_half_a_number(words)):
        return True
    may_close = last in _CLOSABLE and (closed or not _PARTICLE_VERBS.isdisjoint(words))
    return last in _OPENERS and not may_close


def _ends_with(words: list[str], phrases: frozenset[str]) -> bool:
    return any(" ".join(words[-length:]) in phrases for length in range(1, 4))


def _is_half_a_number(words: list[str]) -> bool:
    last = words[-1]
    before = words[-2] if len(words) > 1 else ""
    if last in _TENS:
        return before in _BIG
    if last in _OPERATORS:
        return before in _DIGITS or before in _TENS or before.isdigit()
    run = 0
    for word in reversed(words):
        if word not in _DIGITS:
            break
        run += 1
    return _DIGIT_GROUP <= run < _PHONE_NUMBER


def _closes(words: list[str]) -> bool:
    return _ends_with(words, _CLOSERS) or (words[0] in _QUESTION_WORDS and len(words) >= _QUESTION_LENGTH)
