"""People who talk to voiceloop on the emulated AWS, in a process of their own; prints what they saw, as JSON."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
from itertools import cycle, islice
from typing import Any

from attrs import define, field
from human_clips import Clip, clips

import voiceloop as vl
from voiceloop import clock
from voiceloop.audio import PCM16_16K
from voiceloop.aws import Bedrock, NovaSonic, Polly, Transcribe
from voiceloop.engine.pool import Pool

FRAME_MS = 20
_FRAME = PCM16_16K.bytes_of(PCM16_16K.samples_in(FRAME_MS))
_APART_S = 1.3  # from one person to the next: each has a pool, so nobody keeps to Polly's quota for all of them
_PAIRS = (
    ("book_a_room", "two_people"),
    ("mountain_view", "today"),
    ("half_an_hour", "230pm"),
    ("today", "half_an_hour"),
)
_PARTS = ("endpointing", "first_token", "first_clause", "synthesis", "delivery", "voice_to_voice")


@define(eq=False)
class Person:
    """Somebody who says one phrase after the other, each when the answer to the last was heard."""

    options: argparse.Namespace
    phrases: list[list[Clip]]
    chance: random.Random
    begins: float
    turns: list[dict[str, Any]] = field(factory=list)
    _audio: bytearray = field(factory=bytearray)
    _ended: float = 0.0
    _over: asyncio.Event = field(factory=asyncio.Event)
    _cut_offs: int = 0

    async def talk(self, session: vl.Session) -> None:
        """Send a frame every 20 ms: what is to be said, else silence."""
        due, silence = clock.now(), bytes(_FRAME)
        while True:
            frame = bytes(self._audio[:_FRAME])
            del self._audio[:_FRAME]
            await session.send_audio(frame + silence[len(frame) :])
            due += FRAME_MS / 1000
            await asyncio.sleep(max(0.0, due - clock.now()))

    async def listen(self, session: vl.Session) -> None:
        """Note when the answers come."""
        async for event in session:
            turn = self.turns[-1] if self.turns else {}
            match event:
                case vl.AudioChunk() if "heard_at" not in turn and turn:
                    turn["heard_at"] = clock.now()
                    turn["heard"] = (turn["heard_at"] - self._ended) * 1000
                case vl.TurnMetrics():
                    turn |= {part: getattr(event, part) for part in _PARTS}
                    turn["cut_offs"], self._cut_offs = event.cut_offs - self._cut_offs, event.cut_offs
                case vl.TurnEnded():
                    if turn.get("heard", -1) > 0:
                        self._over.set()
                case _:
                    pass

    async def say(self, phrase: list[Clip]) -> None:
        """Say it, and hear the answer out."""
        pcm = bytearray()
        for number, clip in enumerate(phrase, 1):
            ended_ms = PCM16_16K.ms(len(pcm) // 2) + clip.end_ms
            if number == len(phrase):
                pcm += clip.pcm
            else:
                pcm += clip.pcm[: PCM16_16K.bytes_of(PCM16_16K.samples_in(clip.end_ms))]
                pcm += PCM16_16K.silence(PCM16_16K.samples_in(self.options.pause))
        self._over.clear()
        self._ended = clock.now() + ended_ms / 1000
        self.turns.append({"clip": "+".join(clip.name for clip in phrase)})
        self._audio += pcm
        try:
            async with asyncio.timeout(20):
                await self._over.wait()
        except TimeoutError:
            self.turns[-1]["unanswered"] = True

    async def call(self) -> None:
        """A session with connections of its own."""
        assistant = model(self.options)
        async with Pool() as pool, vl.Session(assistant, eager=self.options.eager, pool=pool) as session:
            tasks = [asyncio.create_task(self.talk(session)), asyncio.create_task(self.listen(session))]
            await asyncio.sleep(self.begins)
            for phrase in self.phrases:
                await self.say(phrase)
                await asyncio.sleep(self.options.idle + self.chance.uniform(0.2, 1.2))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def model(options: argparse.Namespace) -> Any:
    if options.model == "nova":
        return NovaSonic()
    return vl.Cascade(Transcribe(), Bedrock(), Polly())


async def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    known = clips()
    chance = random.Random(11)
    phrases = [[clip] for clip in known]
    if options.pause:
        by_name = {clip.name: clip for clip in known}
        phrases = [[by_name[f"df_{name}.wav"] for name in pair] for pair in _PAIRS]
    people = []
    for number in range(options.people):
        first = number * len(phrases) // options.people
        mine = list(islice(cycle(phrases), first, first + options.turns))
        begins = options.start * chance.uniform(1.0, 2.0) + _APART_S * number
        people.append(Person(options, mine, random.Random(chance.random()), begins))
    gc.collect()
    gc.freeze()
    async with asyncio.TaskGroup() as group:
        for person in people:
            group.create_task(person.call())
    return [turn | {"number": n} for person in people for n, turn in enumerate(person.turns)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=("cascade", "nova"))
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--turns", type=int, default=6, help="of each of them")
    parser.add_argument("--idle", type=float, default=0.0, help="seconds of silence between two turns")
    parser.add_argument("--pause", type=float, default=0.0, help="say two clips with so many ms between them")
    parser.add_argument("--start", type=float, default=1.0, help="seconds until the first word, and up to twice that")
    parser.add_argument("--eager", action="store_true")
    print(json.dumps(asyncio.run(run(parser.parse_args()))))
