"""Ask a question over a WebSocket, and keep the spoken answer: of any server here, or of ``voiceloop serve``.

    python examples/websocket_client.py ws://127.0.0.1:8000/talk question.wav answer.wav
    python examples/websocket_client.py ws://127.0.0.1:8080/ws      voiceloop serve

Without a file, the question is spoken by a synthesizer. The protocol is on docs/reference/websocket.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

from file_to_file import paced, spoken
from websockets.asyncio.client import ClientConnection, connect

import voiceloop as vl
from voiceloop.audio import convert, read_wav, write_wav
from voiceloop.transports.websocket import frames


async def ask(socket: ClientConnection, pcm: bytes, format: vl.AudioFormat) -> None:
    """Send a question as it is spoken; then there is no other."""
    sent = 0
    async for piece in paced(pcm, format):
        await socket.send(frames.encode(frames.Frame(frames.INPUT, turn=0, start=sent, pcm=piece)))
        sent += format.samples(piece)
    await socket.send('{"type": "end_input"}')


async def main(url: str, question: Path | None, answer: Path) -> None:
    source, pcm = await spoken("How old is the Brooklyn Bridge?") if question is None else read_wav(question)
    reply, output, lips = bytearray(), vl.PCM16_24K, 0
    async with connect(url) as socket, asyncio.TaskGroup() as tasks:
        await socket.send('{"type": "start", "version": 1}')
        async for message in socket:
            if isinstance(message, bytes):
                reply += frames.decode(message, kind=frames.REPLY).pcm
                continue
            match json.loads(message):
                case {"type": "ready", "input": {"rate": listens}, "output": {"rate": speaks}}:
                    output, wanted = vl.AudioFormat(speaks), vl.AudioFormat(listens)
                    tasks.create_task(ask(socket, convert(pcm, source, wanted), wanted))
                case {"type": "Transcript", "final": True, "text": text}:
                    print(f"heard: {text}")
                case {"type": "Viseme"}:
                    lips += 1
                case {"type": "TurnEnded", "said": said}:
                    print(f"said:  {said}")
                case {"type": "error", "text": text}:
                    print(f"error: {text}")
    write_wav(answer, output, bytes(reply))
    print(f"wrote {answer}, with {lips} mouth shapes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?", default="ws://127.0.0.1:8000/talk")
    parser.add_argument("question", nargs="?", type=Path)
    parser.add_argument("answer", nargs="?", type=Path, default=Path("answer.wav"))
    arguments = parser.parse_args()
    try:
        asyncio.run(main(arguments.url, arguments.question, arguments.answer))
    except OSError as error:
        raise SystemExit(f"{arguments.url} does not answer: {error}") from error
