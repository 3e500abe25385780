"""What answers behind the emulated services: any voiceloop recognizer, reasoner and synthesizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from attrs import evolve, field, frozen

from voiceloop.errors import UnknownName
from voiceloop.interfaces import Reasoner, Recognizer, Synthesizer, TurnDetector
from voiceloop.testing.checks import number, of_kind

if TYPE_CHECKING:
    from voiceloop.testing.scripted.reasoner import ScriptedReply
    from voiceloop.testing.scripted.recognizer import Utterance

_LONGEST = 3600.0
_PARTS = ("recognizer", "reasoner", "synthesizer", "turns", "punctuate", "afresh")


@frozen
class Backing:
    """The engines behind the services.

    ``recognizer`` hears for Transcribe and Nova Sonic, ``reasoner`` answers for Bedrock and Nova Sonic,
    ``synthesizer`` speaks for Polly and Nova Sonic. ``first_token``: seconds from a request to
    Bedrock's first token, besides what the reasoner takes. ``polly_delay``: seconds from a request to Polly's first
    byte, where the synthesizer does not take longer. ``turns`` hears where speech begins and ends. ``punctuate``:
    Transcribe writes a capital and a full stop where the recognizer writes none. ``afresh``: scripted engines begin
    their script, and their record of it, anew in each emulator, so that tests may share one Backing.

    Raises BadInput for a part that is not of its kind, and for times below 0 or above an hour.
    """

    recognizer: Recognizer
    reasoner: Reasoner
    synthesizer: Synthesizer
    first_token: float = field(default=0.0)
    polly_delay: float = field(default=0.0)
    turns: TurnDetector = field(kw_only=True)
    punctuate: bool = field(default=True, kw_only=True)
    afresh: bool = field(default=False, kw_only=True)

    @turns.default
    def _energy(self) -> TurnDetector:
        from voiceloop.turns.energy import EnergyTurns

        return EnergyTurns()

    def __attrs_post_init__(self) -> None:
        of_kind("recognizer", self.recognizer, Recognizer)
        of_kind("reasoner", self.reasoner, Reasoner)
        of_kind("synthesizer", self.synthesizer, Synthesizer)
        of_kind("turns", self.turns, TurnDetector)
        of_kind("punctuate", self.punctuate, bool)
        of_kind("afresh", self.afresh, bool)
        for name in ("first_token", "polly_delay"):
            number(name, getattr(self, name), most=_LONGEST)

    def begun(self) -> Backing:
        """What one emulator works with: the same, its scripts at their beginning if it is ``afresh``."""
        if not self.afresh:
            return self
        from voiceloop.testing.scripted.reasoner import ScriptedReasoner
        from voiceloop.testing.scripted.recognizer import ScriptedRecognizer

        recognizer, reasoner = self.recognizer, self.reasoner
        if isinstance(recognizer, ScriptedRecognizer):
            recognizer = evolve(recognizer)
        if isinstance(reasoner, ScriptedReasoner):
            reasoner = evolve(reasoner)
        return evolve(self, recognizer=recognizer, reasoner=reasoner)

    @classmethod
    def offline(
        cls, *, first_token: float = 0.0, polly_delay: float = 0.0, attune: bool = True, **parts: Any
    ) -> Self:
        """voiceloop's own engines on this machine: real speech gets a real transcript, Polly speaks, with visemes.

        ``attune``: the recognizer is told what the reasoner expects after each reply, which makes it much better, and
        is right for one conversation of each access key at a time; False where several go on at once. ``parts``:
        other arguments of the class, in the place of these engines. Needs the extra ``local``. Raises UnknownName for
        other parts.
        """
        for name in parts:
            if name not in _PARTS:
                raise UnknownName("part of a Backing", name, _PARTS)
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
        """Scripts, which every emulator begins afresh: each stretch of loud audio is heard as the next of ``heard``,
        on every stream from the first; each request gets the next of ``replies``, from the first again after the
        last. What is heard and said stands as it is written.

        Speech is any loud sound, such as ``voiceloop.testing.scripted.tone``; the session that listens to it needs
        ``turns=ScriptedTurns()`` too, or "manual". Raises BadInput for what cannot be a script.
        """
        from voiceloop.testing.scripted.reasoner import ScriptedReasoner, check_replies
        from voiceloop.testing.scripted.recognizer import ScriptedRecognizer, check_utterances
        from voiceloop.testing.scripted.synthesizer import ScriptedSynthesizer
        from voiceloop.testing.scripted.turns import ScriptedTurns

        check_utterances("heard", heard)
        check_replies("replies", replies)
        return cls(
            ScriptedRecognizer(heard, 0.0, can_flush=True),
            ScriptedReasoner(replies, 0.0, 0.0, cycle=True),
            ScriptedSynthesizer(0.0),
            first_token=first_token,
            polly_delay=polly_delay,
            turns=ScriptedTurns(),
            punctuate=False,
            afresh=True,
        )
