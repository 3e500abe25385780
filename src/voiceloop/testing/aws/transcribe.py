"""Amazon Transcribe: StartStreamTranscription over HTTP/2 and over WebSocket."""

from __future__ import annotations

from typing import ClassVar

from attrs import define

from voiceloop.testing.aws.exchange import Exchange, Refusal, StreamService
from voiceloop.testing.aws.stage import Stage


@define(eq=False)
class Transcription(StreamService):
    service: ClassVar[str] = "transcribestreaming"
    operation: ClassVar[str] = "StartStreamTranscription"

    _stage: Stage

    def matches(self, method: str, path: str) -> bool:
        return (method, path) == ("POST", "/stream-transcription")

    def actions(self, path: str) -> tuple[tuple[str, str], ...]:
        return (("transcribe:StartStreamTranscription", "*"),)

    async def serve(self, exchange: Exchange) -> None:
        raise Refusal(503, "ServiceUnavailableException", "not written yet")


class WebSocketTranscription(Transcription):
    operation: ClassVar[str] = "StartStreamTranscriptionWebSocket"

    def matches(self, method: str, path: str) -> bool:
        return (method, path) == ("GET", "/stream-transcription-websocket")
