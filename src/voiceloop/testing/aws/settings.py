"""What can be set about the emulated services: their timers, their quotas, and how they behave where AWS varies."""

from __future__ import annotations

import math
from collections.abc import Mapping

from attrs import field, frozen

from voiceloop.errors import BadInput, UnknownName
from voiceloop.testing.aws.polly_voices import ENGINES, QUOTAS, Quota
from voiceloop.testing.checks import number, of_kind, several, whole

_LEAST_WINDOW = 1024
_MOST_WINDOW = 2**31 - 1  # RFC 9113, 6.9.1


def _with_the_others(quotas: Mapping[str, Quota]) -> Mapping[str, Quota]:
    """Those given, and AWS's for the other engines."""
    return {**QUOTAS, **quotas} if isinstance(quotas, Mapping) else quotas


@frozen
class Timers:
    """The services' own timers, ``scale`` times as long as AWS's, so that a test need not wait for hours.

    The five minutes in which a signature is valid are not scaled: they compare the caller's clock with ours.
    """

    scale: float = field(default=1.0)

    @scale.validator
    def _positive(self, _: object, scale: float) -> None:
        if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale < math.inf:
            raise BadInput(f"timers={scale!r}: a positive number is needed; 1.0 is AWS's own pace")

    def of(self, seconds: float) -> float:
        """How long a timer of ``seconds`` runs here."""
        return seconds * self.scale


@frozen(kw_only=True)
class Settings:
    """Quotas and behaviour.

    ``transcribe_streams``: concurrent streams of each kind, HTTP/2 and WebSocket (AWS's default quota is 25).
    ``transcribe_pause``: seconds of silence after which a segment gets its final result. ``transcribe_partials``:
    seconds of audio between partial results. ``transcribe_empty``: an event with no results every that many seconds
    of audio. ``polly_quotas``: what Polly takes, by engine, in the place of AWS's quotas; ``polly_lexicons``: the
    names of the lexicons that there are (they change nothing). ``send``: seconds in which a caller must take what is
    sent to it. ``keep_alive``: seconds for which an idle HTTP/1.1 connection is kept. ``window``: the HTTP/2 window
    that callers get, in bytes.

    Raises BadInput for values that make no sense, UnknownName for an engine that Polly does not have.
    """

    transcribe_streams: int = 25
    transcribe_pause: float = 0.7
    transcribe_partials: float = 0.5
    transcribe_empty: float = 10.0
    polly_quotas: Mapping[str, Quota] = field(factory=lambda: QUOTAS, converter=_with_the_others)
    polly_lexicons: frozenset[str] = frozenset()
    send: float = 60.0
    keep_alive: float = 120.0
    window: int = 262_144

    def __attrs_post_init__(self) -> None:
        whole("transcribe_streams", self.transcribe_streams)
        whole("window", self.window, least=_LEAST_WINDOW, most=_MOST_WINDOW)
        for name in ("transcribe_pause", "transcribe_partials", "transcribe_empty"):
            number(name, getattr(self, name), least=0.01)
        for name in ("send", "keep_alive"):
            number(name, getattr(self, name))
        of_kind("polly_quotas", self.polly_quotas, Mapping)
        for engine, quota in self.polly_quotas.items():
            if engine not in ENGINES:
                raise UnknownName("engine", str(engine), ENGINES)
            of_kind(f"polly_quotas[{engine!r}]", quota, Quota)
        several("polly_lexicons", self.polly_lexicons, str, "names")
