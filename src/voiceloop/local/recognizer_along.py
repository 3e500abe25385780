"""Dictation that goes along with an utterance, so that nothing is left to be decoded when its speaker pauses.

What it says of an utterance depends on the audio alone: not on when the audio came, nor on whether the decoder was
free to go along or had to begin at the pause.
"""

from __future__ import annotations

from typing import Any

from attrs import define, field

from voiceloop.local.recognizer_audio import RATE, Utterance
from voiceloop.local.recognizer_models import AT_ONCE, Heard, Models, begin, heard

_STEP = RATE // 5  # bytes decoded at one go: 100 ms
_LEARN = 4 * 2 * RATE // 5  # bytes of an utterance that its cepstral mean is guessed from: 800 ms
_TOO_LATE = 3 * RATE  # bytes of an utterance after which it is not joined any more: 1.5 s


@define(eq=False)
class Shared:
    """The decoder that goes along, one for all sessions of a worker, and who has it."""

    models: Models
    decoder: Any = None
    user: Along | None = None

    def load(self) -> Any:
        """The decoder."""
        if self.decoder is None:
            self.decoder = self.models.take("along")
        return self.decoder


@define(eq=False)
class Along:
    """Goes along with the utterances of one session, while no other session does."""

    _shared: Shared
    _utterance: Utterance | None = field(default=None, init=False)
    _mean: str = field(default="", init=False)  # of the utterance before, if there was one
    _fed: int = field(default=0, init=False)
    _apart: bool = field(default=False, init=False)  # it does not go along with this utterance

    def follow(self, utterance: Utterance, mean: str) -> None:
        """Go on with what came. ``mean``: of the utterance before, or empty."""
        self._meet(utterance, mean)
        stored = 2 * utterance.samples
        if self._apart or stored < _LEARN:
            return
        if self._shared.user is not self:
            if self._shared.user is not None or stored > _TOO_LATE:
                self._apart = True
                return
            self._begin(utterance.head(_LEARN))
        if stored > AT_ONCE:
            self.leave()
            return
        while stored - self._fed >= _STEP:
            self._feed(utterance.tail(self._fed)[:_STEP])

    def now(self, utterance: Utterance, end: int, mean: str) -> Heard | None:
        """What the first ``end`` bytes say, all that is stored by now; None when that would take a long decode."""
        self._meet(utterance, mean)
        if self._shared.user is self:
            self._feed(utterance.tail(self._fed)[: max(end - self._fed, 0)])
            return heard(self._shared.decoder)
        if self._apart or end > _LEARN:
            return None
        return self.whole(utterance, end, mean)

    def whole(self, utterance: Utterance, end: int, mean: str) -> Heard:
        """What the first ``end`` bytes say, decoded at one go; who goes along must leave."""
        self._meet(utterance, mean)
        if self._shared.user is not None:
            self._shared.user.leave()
        pcm = utterance.head(end)
        self._begin(pcm[:_LEARN])
        self._feed(pcm)
        text = heard(self._shared.decoder)
        apart = self._apart
        self.leave()
        self._apart = apart
        return text

    def leave(self) -> None:
        """Do not go along with the utterance any more."""
        self._apart = True
        if self._shared.user is self:
            self._shared.decoder.end_utt()
            self._shared.user = None

    def _meet(self, utterance: Utterance, mean: str) -> None:
        if utterance is not self._utterance:
            self.leave()
            self._utterance, self._mean, self._apart = utterance, mean, False

    def _begin(self, pcm: bytes) -> None:
        decoder = self._shared.load()
        mean = self._shared.models.mean(pcm)
        begin(decoder, _between(mean, self._mean) if self._mean else mean)
        self._shared.user, self._fed = self, 0

    def _feed(self, pcm: bytes) -> None:
        if pcm:
            self._shared.decoder.process_raw(pcm, False, False)
            self._fed += len(pcm)


def _between(mean: str, other: str) -> str:
    """A beginning is too short to tell the mean of a whole utterance, and another utterance is another one."""
    pairs = zip(mean.split(","), other.split(","), strict=True)
    return ",".join(f"{(float(one) + float(two)) / 2:.4f}" for one, two in pairs)
