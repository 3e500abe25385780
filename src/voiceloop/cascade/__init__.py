"""Cascade: a speech model made of a recognizer, a reasoner and a synthesizer."""

from voiceloop.cascade.cascade import Cascade
from voiceloop.cascade.deadlines import Deadlines

__all__ = ("Cascade", "Deadlines")
