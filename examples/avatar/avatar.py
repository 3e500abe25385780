"""A face that speaks: one HTML file with the voice in it, whose lips follow the audio's own clock.

    python examples/avatar/avatar.py "what is twelve times seven" --out avatar.html

Open the file in a browser and press play; drag the slider, and the mouth is where the voice is. ``face.html`` draws
it. The shapes come from ``visemes.to_arkit``, so a rigged model of your own can take the same numbers.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import voiceloop as vl
from voiceloop import visemes
from voiceloop.audio import write_wav
from voiceloop.local import EspeakSynthesizer, PocketSphinx, Rules

FACE = Path(__file__).with_name("face.html")


def shape(code: str) -> dict[str, float]:
    """A mouth as the drawing wants it: how far it is open, how round, how wide, and how pressed, from 0 to 1."""
    weights = visemes.to_arkit(code)
    return {
        "open": weights.get("jawOpen", 0.0),
        "round": max(weights.get("mouthPucker", 0.0), weights.get("mouthFunnel", 0.0)),
        "wide": weights.get("mouthSmileLeft", 0.0) + weights.get("mouthStretchLeft", 0.0),
        "press": max(weights.get("mouthPressLeft", 0.0), weights.get("mouthRollLower", 0.0)),
    }


async def answer(text: str) -> tuple[bytes, dict[str, list[dict[str, Any]]]]:
    """The spoken answer, 24 kHz, and when each mouth shape and each word is due, in ms."""
    rules, pcm = Rules.demo(), bytearray()
    timeline: dict[str, list[dict[str, Any]]] = {"mouths": [], "words": []}
    model = vl.Cascade(PocketSphinx(), rules, EspeakSynthesizer())
    async with vl.Session(model, tools=rules.tools, lead=None) as session:
        await session.send_text(text)
        await session.end_input()
        async for event in session:
            match event:
                case vl.AudioChunk():
                    pcm += event.pcm
                case vl.Viseme():
                    timeline["mouths"].append({"ms": event.ms, "code": event.code})
                case vl.Word():
                    timeline["words"].append({"ms": event.ms, "text": event.text})
                case vl.TurnEnded():
                    print(f"said: {event.said}")
    return bytes(pcm), timeline


def main(text: str, out: Path) -> None:
    pcm, timeline = asyncio.run(answer(text))
    wav = BytesIO()
    write_wav(wav, vl.PCM16_24K, pcm)
    data = {
        **timeline,
        "shapes": {code: shape(code) for code in sorted(visemes.CODES)},
        "audio": "data:audio/wav;base64," + base64.b64encode(wav.getvalue()).decode(),
    }
    page = FACE.read_text(encoding="utf-8").replace("/*DATA*/", json.dumps(data).replace("<", "\\u003c"))
    out.write_text(page, encoding="utf-8")
    print(f"wrote {out}: {len(timeline['mouths'])} mouth shapes in {vl.PCM16_24K.ms(len(pcm) // 2) / 1000:.1f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", nargs="?", default="how old is the brooklyn bridge")
    parser.add_argument("--out", type=Path, default=Path("avatar.html"))
    arguments = parser.parse_args()
    main(arguments.text, arguments.out)
