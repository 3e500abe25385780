"""Scripted providers: right to the millisecond, the same every time, and broken in every way that a script asks for.

They need no audio engine: sound is speech where its samples are loud. Make it with :func:`tone` and :func:`silence`.
"""

from voiceloop.testing.scripted.caller import Act, ScriptedCaller, Speak, Until
from voiceloop.testing.scripted.reasoner import ScriptedReasoner, ScriptedReply
from voiceloop.testing.scripted.recognizer import ScriptedRecognizer, Spoken
from voiceloop.testing.scripted.sound import is_speech, level, silence, tone
from voiceloop.testing.scripted.speech_model import ScriptedSpeechModel
from voiceloop.testing.scripted.steps import Delay, Fail, Hang
from voiceloop.testing.scripted.synthesizer import ScriptedSynthesizer, Short
from voiceloop.testing.scripted.turns import ScriptedTurns

__all__ = (
    "Act",
    "Delay",
    "Fail",
    "Hang",
    "ScriptedCaller",
    "ScriptedReasoner",
    "ScriptedRecognizer",
    "ScriptedReply",
    "ScriptedSpeechModel",
    "ScriptedSynthesizer",
    "ScriptedTurns",
    "Short",
    "Speak",
    "Spoken",
    "Until",
    "is_speech",
    "level",
    "silence",
    "tone",
)
