"""Amazon Polly: text to speech with visemes and words."""

from voiceloop.aws.polly.limiter import Quota
from voiceloop.aws.polly.polly import Polly
from voiceloop.aws.polly.whole import Recording, SpeechMark

__all__ = ("Polly", "Quota", "Recording", "SpeechMark")
