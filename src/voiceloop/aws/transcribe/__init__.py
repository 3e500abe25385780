"""Amazon Transcribe: speech to text as people speak, in over a hundred languages and dialects."""

from voiceloop.aws.transcribe.recognizer import Transcribe

__all__ = ("Transcribe",)
