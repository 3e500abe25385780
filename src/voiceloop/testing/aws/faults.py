"""Scripted faults: what goes wrong, in which operation, when, and how often. All are applied here."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, TypeAlias, get_args

import anyio
from attrs import define, field, frozen

from voiceloop import clock
from voiceloop.errors import BadInput, UnknownName
from voiceloop.testing.aws.exchange import ConnectionLost, Refusal
from voiceloop.testing.aws.frames import Chunk, as_bytes, spoil
from voiceloop.testing.aws.line import Break, Line
from voiceloop.testing.aws.words import OPERATIONS, Words
from voiceloop.testing.checks import number, of_kind, several, whole

Kind: TypeAlias = Literal[
    "throttle",
    "access_denied",
    "expired_token",
    "instability",
    "unavailable",
    "error",
    "reset",
    "goaway",
    "drop",
    "truncate",
    "bad_crc",
    "stall",
    "drip",
    "split",
]
"""What goes wrong.

Errors: ``throttle``, ``access_denied``, ``expired_token``, ``instability``, ``unavailable``, each in the service's
own words, and ``error`` with a code, status and message of yours. The transport: ``reset`` (RST_STREAM), ``goaway``
(the stream itself goes on), ``drop`` (the connection is gone without a word), ``truncate`` (half a message, then the
end), ``bad_crc`` (a message with a wrong checksum). Time: ``stall`` (nothing more for ``seconds``), ``drip`` (a few
bytes at a time, ``seconds`` apart), ``split`` (messages cut at arbitrary places).
"""

_KINDS = frozenset(get_args(Kind))
_BREAKS: Mapping[str, Break] = {"reset": "reset", "goaway": "goaway", "drop": "drop"}
_LASTING = ("drip", "split")
_DRIP = 16  # bytes


def _known(_: Fault, attribute: Any, kind: Any) -> None:
    from voiceloop.testing.aws.nova.profile import NovaProfile  # which imports this module

    profiles = NovaProfile.faults()
    if kind not in _KINDS and kind not in profiles:
        raise UnknownName(attribute.name, str(kind), {*_KINDS, *profiles})


@frozen
class Fault:
    """One fault. ``operation``: which one it strikes, such as ``StartStreamTranscription`` (empty: any).

    When: ``at`` counts the messages (or chunks) of the response: 0 is before the first; ``after`` counts the
    caller's messages: 10 is when the tenth has come. With neither, it strikes the request, before any answer.
    ``times``: how often in all (None: always). ``probability``: the chance that it strikes a call at all, drawn from
    ``seed``. ``seconds``: how long a stall lasts (infinity by default), or the time between drips (10 ms).
    ``code``, ``status`` and ``message`` are those of the kind ``error``, or the other errors' in place of AWS's.
    A kind with a colon, such as ``nova:late_final``, is a profile that the service itself plays.

    Raises BadInput or UnknownName for values that make no sense.
    """

    kind: Kind | str = field(validator=_known)
    operation: str = ""
    at: int | None = None
    after: int | None = None
    times: int | None = 1
    probability: float = field(default=1.0, kw_only=True)
    seed: int = field(default=0, kw_only=True)
    seconds: float | None = field(default=None, kw_only=True)
    code: str = field(default="", kw_only=True)
    status: int = field(default=400, kw_only=True)
    message: str = field(default="", kw_only=True)

    def __attrs_post_init__(self) -> None:
        of_kind("operation", self.operation, str)
        if self.operation and self.operation not in OPERATIONS:
            raise UnknownName("operation", self.operation, OPERATIONS, hint="Empty: any operation.")
        if self.at is not None and self.after is not None:
            raise BadInput(f"at={self.at}, after={self.after}: a fault takes one of them")
        for name, least in (("at", 0), ("after", 1), ("times", 0)):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name), least=least)
        number("probability", self.probability, most=1)
        whole("seed", self.seed)
        whole("status", self.status, least=300, most=599)
        if self.seconds is not None:
            number("seconds", self.seconds)
        of_kind("code", self.code, str)
        of_kind("message", self.message, str)
        if self.kind == "error" and not self.code:
            raise BadInput("code is missing: an error needs one, such as 'ModelTimeoutException'")

    def refusal(self, words: Words, denial: str) -> Refusal | None:
        """The error that this fault is, in the service's and IAM's words; None for faults that are no errors."""
        match self.kind:
            case "throttle":
                made = words.busy
            case "unavailable":
                made = words.away
            case "instability":
                made = Refusal(words.broken.status, words.broken.code, words.unstable)
                if words.camel:
                    made = Refusal(400, words.wrong, words.unstable)
            case "access_denied":
                made = Refusal(403, "AccessDeniedException", denial)
            case "expired_token":
                made = Refusal(403, "ExpiredTokenException", "The security token included in the request is expired")
            case "error":
                return Refusal(self.status, self.code, self.message)
            case _:
                return None
        return Refusal(made.status, self.code or made.code, self.message or made.message)


@define(eq=False)
class _Armed:
    """A fault, how often it may still strike, and its chance."""

    fault: Fault
    left: float
    chance: random.Random

    def fits(self, operation: str) -> bool:
        return self.left > 0 and self.fault.operation in ("", operation)

    def strikes(self) -> bool:
        probability = self.fault.probability
        return probability == 1 or self.chance.random() < probability


@define(eq=False)
class Faults:
    """The faults that are still to come. Add them while the emulator runs, or take them all back."""

    _armed: list[_Armed] = field(factory=list)

    @classmethod
    def of(cls, faults: Iterable[Fault]) -> Faults:
        """A collection of ``faults``. Raises BadInput for what is none."""
        made = cls()
        made.add(*several("faults", faults, Fault, "Fault"))
        return made

    def add(self, *faults: Fault) -> None:
        """Let ``faults`` strike calls that come from now on. Raises BadInput for what is none."""
        for fault in several("faults", faults, Fault, "Fault"):
            left = math.inf if fault.times is None else fault.times
            self._armed.append(_Armed(fault, left, random.Random(fault.seed)))

    def clear(self) -> None:
        """Take back all that have not struck."""
        self._armed.clear()

    @property
    def left(self) -> tuple[Fault, ...]:
        """Those that have not struck as often as they should; faults without a number of times are not among them."""
        return tuple(armed.fault for armed in self._armed if 0 < armed.left < math.inf)

    def take(self, operation: str, kind: str) -> Fault | None:
        """For a service: the profile ``kind`` if it is due for ``operation``, counted as having struck."""
        for armed in self._armed:
            if armed.fault.kind == kind and armed.fits(operation) and armed.strikes():
                armed.left -= 1
                return armed.fault
        return None

    def plan(self, operation: str, struck: list[str]) -> Plan:
        """What may strike one call; the kinds that do are added to ``struck``."""
        mine = [a for a in self._armed if a.fits(operation) and ":" not in a.fault.kind and a.strikes()]
        return Plan(mine, struck)


@define(eq=False)
class Plan:
    """The faults of one call."""

    _armed: list[_Armed]
    _struck: list[str]
    _received: int = 0

    def __bool__(self) -> bool:
        return bool(self._armed)

    def at_request(self) -> Fault | None:
        """What strikes the request itself; byte-level faults then strike the first message."""
        return self._due(lambda fault: fault.at is None and fault.after is None and not _on_bytes(fault))

    def at_message(self, number: int) -> Fault | None:
        """What strikes message ``number`` of the response."""
        return self._due(lambda fault: fault.at == number or (_on_bytes(fault) and fault.at is None and number == 0))

    def received(self) -> Fault | None:
        """One more message of the caller has come: what strikes now."""
        self._received += 1
        return self._due(lambda fault: fault.after == self._received) if self._armed else None

    def _due(self, when: Any) -> Fault | None:
        for armed in self._armed:
            if armed.left > 0 and when(armed.fault):
                armed.left -= 1
                self._armed.remove(armed)
                self._struck.append(armed.fault.kind)
                return armed.fault
        return None


def _on_bytes(fault: Fault) -> bool:
    return fault.after is None and fault.kind in ("truncate", "bad_crc", *_LASTING)


@define(eq=False)
class FaultyLine(Line):
    """A line on which the faults of a call happen. ``begun``: the content type of the response, once it has begun."""

    line: Line
    plan: Plan
    words: Words
    denial: str = ""
    begun: str | None = None
    _sent: int = 0
    _stalled_until: float = -math.inf
    _lasting: Fault | None = None
    _chance: random.Random = field(factory=lambda: random.Random(0))

    async def request(self) -> None:
        """The request is in: let what strikes it happen. Raises Refusal or ConnectionLost."""
        while fault := self.plan.at_request():
            await self._strike(fault)

    async def received(self) -> None:
        """A message of the caller is in. Raises Refusal or ConnectionLost."""
        fault = self.plan.received()
        if fault is not None:
            await self._strike(fault)

    async def head(self, status: int, headers: Mapping[str, str]) -> None:
        await self._stall()
        self.begun = headers.get("content-type", "")
        await self.line.head(status, headers)

    async def data(self, chunk: Chunk) -> None:
        await self._stall()
        number, self._sent = self._sent, self._sent + 1
        while self.plan and (fault := self.plan.at_message(number)):
            if fault.kind == "truncate":
                whole = as_bytes(chunk)
                await self.line.data(whole[: len(whole) // 2])
                await self.line.break_off("cut")
                raise ConnectionLost
            if fault.kind == "bad_crc":
                chunk = spoil(as_bytes(chunk))
            else:
                await self._strike(fault)
        if self._lasting is None:
            await self.line.data(chunk)
        else:
            await self._bit_by_bit(as_bytes(chunk), self._lasting)

    async def last_words(self, chunk: Chunk) -> None:
        """Send an exception and end: nothing strikes it, but a stall holds it back."""
        await self._stall()
        await self.line.data(chunk)
        await self.line.finish()

    async def finish(self) -> None:
        await self._stall()
        await self.line.finish()

    async def break_off(self, how: Break) -> None:
        await self.line.break_off(how)

    async def _strike(self, fault: Fault) -> None:
        refusal = fault.refusal(self.words, self.denial)
        if refusal is not None:
            raise refusal
        if fault.kind == "stall":
            self._stalled_until = clock.now() + (math.inf if fault.seconds is None else fault.seconds)
            await self._stall()
        elif fault.kind in _LASTING:
            self._lasting = fault
        elif fault.kind in _BREAKS:
            await self.line.break_off(_BREAKS[fault.kind])
            if fault.kind != "goaway":
                raise ConnectionLost
        else:
            await self.line.break_off("cut")
            raise ConnectionLost

    async def _stall(self) -> None:
        """Wait until a stall is over, whoever wants to send. Raises ConnectionLost."""
        if self._stalled_until > clock.now():
            with anyio.CancelScope(deadline=self._stalled_until):
                await self.line.gone()
                raise ConnectionLost

    async def _bit_by_bit(self, data: bytes, fault: Fault) -> None:
        pause = 0.01 if fault.seconds is None else fault.seconds
        for piece in _drips(data) if fault.kind == "drip" else _cuts(data, self._chance):
            await self.line.data(piece)
            if fault.kind == "drip":
                await anyio.sleep(pause)


def _drips(data: bytes) -> Iterator[bytes]:
    return (data[at : at + _DRIP] for at in range(0, len(data), _DRIP))


def _cuts(data: bytes, chance: random.Random) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        size = chance.choice((1, 2, 3, 5, 11, 13, 64, 1000))
        yield data[at : at + size]
        at += size
