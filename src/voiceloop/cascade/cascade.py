"""Cascade: a recognizer, a reasoner and a synthesizer as one speech model."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

from attrs import field, frozen

from voiceloop.cascade.deadlines import Deadlines
from voiceloop.cascade.link import open_link
from voiceloop.errors import BadInput
from voiceloop.interfaces import Link, LinkContext, ModelCapabilities, Reasoner, Recognizer, SpeechModel, Synthesizer


def _is_a(kind: type) -> Any:
    def check(instance: object, attribute: Any, value: object) -> None:
        if not isinstance(value, kind):
            raise BadInput(f"{attribute.name}={type(value).__name__}: a {kind.__name__} is needed")

    return check


@frozen
class Cascade(SpeechModel):
    """Hears with ``recognizer``, thinks with ``reasoner`` and speaks with ``synthesizer``.

    The reply's text goes to the synthesizer clause by clause while it is being written. ``deadlines`` bounds every
    wait for a provider. Raises BadInput when a part is not of its kind.
    """

    recognizer: Recognizer = field(validator=_is_a(Recognizer))
    reasoner: Reasoner = field(validator=_is_a(Reasoner))
    synthesizer: Synthesizer = field(validator=_is_a(Synthesizer))
    deadlines: Deadlines = Deadlines()

    @property
    def name(self) -> str:  # type: ignore[override]
        """Its parts' names."""
        return f"{self.recognizer.name} + {self.reasoner.name} + {self.synthesizer.name}"

    @property
    def listener(self) -> str:
        """The recognizer's name."""
        return self.recognizer.name

    @property
    def capabilities(self) -> ModelCapabilities:
        """What its parts can do."""
        return ModelCapabilities(
            input=self.recognizer.capabilities.input,
            output=self.synthesizer.capabilities.output,
            can_flush=self.recognizer.capabilities.can_flush,
            can_finish=self.recognizer.capabilities.can_finish,
            marks=self.synthesizer.capabilities.marks,
            history=self.reasoner.capabilities.history,
        )

    def connect(self, context: LinkContext) -> AbstractAsyncContextManager[Link]:
        """See :meth:`SpeechModel.connect`."""
        return open_link(self.recognizer, self.reasoner, self.synthesizer, self.deadlines, context)
