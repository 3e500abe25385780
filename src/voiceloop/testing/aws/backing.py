"""What answers behind the emulated services: any voiceloop recognizer, reasoner and synthesizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from attrs import field, frozen

from voiceloop.errors import BadInput
from voiceloop.interfaces import Reasoner, Recognizer, Synthesizer, TurnDetector

if TYPE_CHECKING:
    from voiceloop.testing.scripted.reasoner import ScriptedReply
    from voiceloop.testing.scripted.recognizer import Utterance


@frozen
class Backing:
    """The engines behind the services.

    ``recognizer`` hears for Transcribe and Nova Sonic, ``reasoner`` answers for Bedrock and Nova Sonic,
    ``synthesizer`` speaks for Polly and Nova Sonic. ``first_token``: seconds from a request to
    Bedrock's first token, besides what the reasoner takes. ``polly_delay``: seconds from a request to Polly's first
    byte, where the synthesizer does not take longer. ``turns`` hears where speech begins and ends. ``punctuate``:
    Transcribe writes a capital and a full stop where the recognizer writes none.

    Raises BadInput for negative times.
    """

    recognizer: Recognizer
    reasoner: Reasoner
    synthesizer: Synthesizer
    first_token: float = field(default=0.0)
    polly_delay: float = field(default=0.0)
    turns: TurnDetector = field(kw_only=True)
    punctuate: bool = field(default=True, kw_only=True)

    @turns.default
    def _energy(self) -> TurnDetector:
        from voiceloop.turns.energy import EnergyTurns

        return EnergyTurns()

    @first_token.validator
    @polly_delay.validator
    def _not_negative(self, attribute: Any, seconds: float) -> None:
        if seconds < 0:
            raise BadInput(f"{attribute.name}={seconds!r}: 0 or more seconds are allowed")

    @classmethod
    def offline(
        cls, *, first_token: float = 0.0, polly_delay: float = 0.0, attune: bool = True, **parts: Any
    ) -> Self:
        """voiceloop's own engines on this machine: real speech gets a real transcript, Polly speaks, with visemes.

        ``attune``: the recognizer is told what the reasoner expects after each reply, which makes it much better, and
        is right for one conversation at a time; False where several go on at once. ``parts``: other arguments of the
        class, in the place of these engines. Needs the extra ``local``.
        """
        if not {"recognizer", "reasoner", "synthesizer"} <= set(parts):
            from voiceloop.local import EspeakSynthesizer, PocketSphinx, Rules

            engines: Mapping[str, Callable[[], object]] = {
                "recognizer": PocketSphinx,
                "reasoner": Rules.demo,
                "synthesizer": EspeakSynthesizer,
            }
            parts = {name: parts.get(name) or engine() for name, engine in engines.items()} | parts
        if attune:
            from voiceloop.testing.aws.attuned import attuned

            parts["recognizer"], parts["reasoner"] = attuned(parts["recognizer"], parts["reasoner"])
        return cls(first_token=first_token, polly_delay=polly_delay, **parts)

    @classmethod
    def scripted(
        cls,
        heard: Sequence[Utterance] = (),
        replies: Sequence[ScriptedReply] = (),
        *,
        first_token: float = 0.0,
        polly_delay: float = 0.0,
    ) -> Self:
        """Scripts: each stretch of loud audio is heard as the next of ``heard``, on every stream from the first; each
        request gets the next of ``replies``, from the first again after the last. Speech is any loud sound, such as
        ``voiceloop.testing``'s tone. What is heard and said stands as it is written.
        """
        from voiceloop.testing.scripted.reasoner import ScriptedReasoner
        from voiceloop.testing.scripted.recognizer import ScriptedRecognizer
        from voiceloop.testing.scripted.synthesizer import ScriptedSynthesizer
        from voiceloop.testing.scripted.turns import ScriptedTurns

        return cls(
            ScriptedRecognizer(heard, 0.0, can_flush=True),
            ScriptedReasoner(replies, 0.0, 0.0, cycle=True),
            ScriptedSynthesizer(0.0),
            first_token=first_token,
            polly_delay=polly_delay,
            turns=ScriptedTurns(),
            punctuate=False,
        )
