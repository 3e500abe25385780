"""Conformance suites: what an implementer of an interface runs in a test to see that the contract is kept.

::

    @pytest.mark.virtual_time
    async def test_my_recognizer() -> None:
        await check_recognizer(MyRecognizer, audio)  # raises ConformanceError with every breach found

Give the class, or a function that makes the provider, to have its construction checked too.
"""

from voiceloop.testing.conformance.findings import ConformanceError
from voiceloop.testing.conformance.reasoner import check_reasoner
from voiceloop.testing.conformance.recognizer import check_recognizer
from voiceloop.testing.conformance.speech_model import check_speech_model
from voiceloop.testing.conformance.synthesizer import check_synthesizer

__all__ = ("ConformanceError", "check_reasoner", "check_recognizer", "check_speech_model", "check_synthesizer")
