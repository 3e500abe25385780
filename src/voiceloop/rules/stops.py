"""Whether a full stop, a comma or a dash ends something: pure judgements on the text around it.

Each function answers True or False, or None when it needs to see what comes next.
"""

from __future__ import annotations

import re

STRONG = "!?。！？।॥؟۔．｡"
STOPS = STRONG + ".…"
BREAKS = ",;:—–-，、；：،؛"
_IDEOGRAPHIC = "。！？．｡"
_CLOSERS = "\"'”’)]}»›」』）】〉》"
_TAIL = re.compile(rf"[{re.escape(STOPS)}]*[{re.escape(_CLOSERS)}]*")
_OPENERS = "\"'“‘([{«‹„¿¡「『（【"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Never the end of a sentence: a name or a number follows, or the sentence goes on.
_LEADING = _words(
    "mr mrs ms dr prof st messrs mme mlle mgr rev fr sra dra hr frau dott ing gen col lt sgt capt cmdr "
    "gov sen rep pres hon e.g i.e cf vs viz nos nr núm fig figs vol pp pg p ch eds z.b d.h u.a o.ä bzw "
    "ca c.a p.ej p.ex ex approx ggf evtl inkl bspw sog"
)
# The end of a sentence only when the next word shows that one begins.
_TRAILING = _words(
    "etc inc ltd co corp jr bros dept est min max ext tel mt ave blvd rd a.m p.m am pm ph.d m.d b.a m.a b.c a.d "
    "usw u.s.w sr al ed sec resp incl excl gmbh s.a bd art cap págs ft lb lbs oz hrs secs km cm mm kg "
    "jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun"
)
# Words that begin sentences and hardly ever names.
_STARTERS = _words(
    "the a an it it's he he's she she's they they're we we're you you're i i'm i'll i've this that that's these "
    "those there there's then so but and or if when while after before because however also in on at for from to "
    "with as what who why how where is are was were do does did can could will would should let let's please my "
    "your our his her their its not no yes now once since although still next finally first second"
)
# A lower-case word that is often the first half of a name with a dot in it.
_NAME_HEADS = _words(
    "www example google gmail github gitlab amazon aws index main readme config settings script test tests setup "
    "requirements package app server client docker docs doc file report notes image photo video data output input "
    "pyproject makefile wikipedia youtube facebook twitter apple microsoft openai yahoo "
    "outlook hotmail icloud reddit localhost node console self this math string array numpy pandas"
)
_NAME_LEADS = _words(
    "visit file files called named website site url module package domain import open run edit see browse email "
    "server host address folder script library dot"
)
_ORDINAL_LEADS = _words("am der den dem des die das vom zum im ab bis")


def is_strong(before: str) -> bool:
    """Whether the text ends with a stop that needs no second look."""
    return before[-1:] in STRONG


def tail(after: str) -> int:
    """How many characters after a stop still belong to it: more stops, then closing quotes and brackets."""
    found = _TAIL.match(after)
    return found.end() if found else 0


def ends_sentence(before: str, after: str, *, quoted: bool) -> bool | None:
    """Whether the stop at the end of ``before`` ends a sentence, ``after`` being what is known to follow.

    ``quoted``: a quotation or bracket is open, so that a closing mark may belong to the sentence.
    """
    stop = before[-1]
    size = tail(after)
    marks, rest = after[:size], after[size:]
    closed = any(mark in _CLOSERS for mark in marks)
    if stop in STRONG or any(mark in STRONG for mark in marks):
        return _strong(stop, rest, quoted=quoted, closed=closed)
    if stop == "." and not after and not quoted and _ordinary(before):
        return True
    if not rest:
        return None
    if not rest[0].isspace():
        return False
    follower = rest.lstrip()[:1]
    if closed or stop == "…" or "." in marks or before.endswith(".."):
        return None if not follower else not (follower.islower() or follower in ",;:")
    return _after_word(before, rest)


def ends_clause(before: str, after: str) -> bool | None:
    """Whether the comma, colon, semicolon or dash at the end of ``before`` is a place for a voice to pause."""
    mark, previous = before[-1], before[-2:-1]
    if mark == "-":
        return False if previous != " " else after[0].isspace() if after else None
    if mark in ",:–" and previous.isdigit():
        return not after[0].isdigit() if after else None
    return True


def _strong(stop: str, rest: str, *, quoted: bool, closed: bool) -> bool | None:
    if not quoted:
        return True
    if not rest:
        return None
    if not closed or stop in _IDEOGRAPHIC:
        return rest[0].isspace() or not rest[0].isascii()
    if not rest[0].isspace():
        return False
    follower = rest.lstrip()[:1]
    return not follower.islower() if follower else None


def _last_words(before: str) -> tuple[str, str]:
    """The word that the stop follows, without the stop, and the word before it in lower case."""
    words = before[:-1].rsplit(None, 2)
    if before[-2:-1].isspace():
        return "", words[-1].lower() if words else ""
    return (words[-1].lstrip(_OPENERS) if words else ""), (words[-2].lower() if len(words) > 1 else "")


def _ordinary(before: str) -> bool:
    """Whether the stop follows a lower-case word that is neither an abbreviation nor half of a name."""
    word, lead = _last_words(before)
    return (
        len(word) >= 3
        and word.isalpha()
        and word.islower()
        and word not in _LEADING
        and word not in _TRAILING
        and word not in _NAME_HEADS
        and lead not in _NAME_LEADS
    )


def _after_word(before: str, rest: str) -> bool | None:
    """A stop and then a space: it depends on the word before, and sometimes on the next one."""
    word, lead = _last_words(before)
    folded = word.lower()
    if folded in _LEADING and (len(word) == 1 or not word.isupper()):
        return False
    follower = rest.lstrip()
    if word == "No":  # a number's mark, or an answer
        return not follower[0].isdigit() if follower else None
    if word.isdigit() and len(word) <= 2 and lead in _ORDINAL_LEADS:
        return False
    acronym = word.isupper() and (len(word) == 1 or "." in word)
    if folded in _TRAILING and not acronym:
        return None if not follower else follower[0].isupper() or follower[0] in _OPENERS
    if acronym or (len(word) == 1 and word.isalpha()):
        return _starts_sentence(follower)
    if word[:1].isdigit():
        return None if not follower else not follower[0].islower()
    return True


def _starts_sentence(follower: str) -> bool | None:
    """Whether the next word begins a sentence; known when the whole word is there."""
    if not follower:
        return None
    if not follower[0].isupper():
        return False
    word = re.match(r"[\w'’]*", follower)
    assert word is not None
    if word.end() == len(follower):
        return None
    return word[0].lower().replace("’", "'") in _STARTERS
