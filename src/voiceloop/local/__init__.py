"""The embedded default: recognizer, reasoner and synthesizer without an account or a download.

``PocketSphinx`` hears English, ``Rules`` answers from a file of intents, ``EspeakSynthesizer`` speaks over a hundred
languages, ``FliteSynthesizer`` English. The engines are in the extra ``local`` and run in worker processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiceloop._lazy import lazy

if TYPE_CHECKING:
    from voiceloop.local.espeak import EspeakSynthesizer, EspeakVoice
    from voiceloop.local.flite import FliteSynthesizer
    from voiceloop.local.recognizer import PocketSphinx
    from voiceloop.local.rules_reasoner import Rules

__all__ = ("EspeakSynthesizer", "EspeakVoice", "FliteSynthesizer", "PocketSphinx", "Rules")

# A worker process imports its own module below this one; it needs none of these.
_HOME = {
    "EspeakSynthesizer": "voiceloop.local.espeak",
    "EspeakVoice": "voiceloop.local.espeak",
    "FliteSynthesizer": "voiceloop.local.flite",
    "PocketSphinx": "voiceloop.local.recognizer",
    "Rules": "voiceloop.local.rules_reasoner",
}

__getattr__ = lazy(__name__, _HOME)
