"""Callers of a server: ``python callers.py URL PROCESS SESSIONS`` talks to it and prints what it measured, as JSON.

Each sends 20 ms of audio every 20 ms over a WebSocket of its own, in real time and out of step with the others: a
second of speech, then silence until the cycle is over; and ten times a second how far it has played. It does by hand
the few things that a WebSocket client has to do, so that what is measured is the server.

Times are those of the machine's one monotonic clock: a frame of input carries the time at which it was sent, and
audio of a reply the time at which the voice had made it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import struct
import time
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from attrs import define, field

FRAME_S = 0.02
RATE = 24_000
_LOUD = struct.pack("<256h", *([12_000] * 6 + [4_000] * 6) * 21, *[12_000] * 4) + bytes(128)
_QUIET = bytes(640)
_BITS = bytes.maketrans(b"01", b"\x00\x01")
_DIGITS = bytes.maketrans(b"\x00\x01", b"01")
_HEADER = struct.Struct("<BBHII")
_MASKED = b"\x82\xfe" + (12 + 640).to_bytes(2, "big") + bytes(4)


def stamp(pcm: bytes, when: float) -> bytes:
    """``pcm`` whose last 64 samples hold a time, a bit each: too quiet to be heard."""
    bits = f"{round(when * 1e6):064b}".encode().translate(_BITS)
    end = bytearray(128)
    end[::2] = bits
    return pcm[:-128] + bytes(end)


def sent_at(pcm: bytes) -> float:
    """The time that the last samples hold, 0 if there is none."""
    return int(pcm[-128::2].translate(_DIGITS), 2) / 1e6


@define
class Measured:
    """What all callers saw, in ms."""

    asked: int = 0
    answered: int = 0
    down: list[float] = field(factory=list)
    spare: list[float] = field(factory=list)
    messages: int = 0
    lost: list[str] = field(factory=list)


@define(eq=False)
class Caller(asyncio.Protocol):
    """One connection; ``window``: when to measure, ``offset``: where in its cycle it begins."""

    url: str
    options: argparse.Namespace
    measured: Measured
    window: tuple[float, float]
    offset: float
    ready: asyncio.Event = field(factory=asyncio.Event)
    transport: Any = None
    _buffer: bytearray = field(factory=bytearray)
    _upgraded: bool = False
    _open: bool = True
    _turn: int = 0
    _played_from: float = 0.0
    _made_s: float = 0.0
    _waits: bool = False

    # ------------------------------------------------------------ the socket

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(
            f"GET /ws HTTP/1.1\r\nHost: {urlsplit(self.url).netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        self._buffer += data
        if not self._upgraded:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            assert b" 101 " in head, head
            self._upgraded, self._buffer = True, rest
            self._say({"type": "start", "version": 1})
        while (message := self._next()) is not None:
            self._take(*message, now)

    def _next(self) -> tuple[int, bytes] | None:
        """The next whole message, not masked and in one frame, as this server sends them."""
        buffer, at = self._buffer, 2
        if len(buffer) < 4:
            return None
        size = buffer[1]
        assert size < 127
        if size == 126:
            size, at = int.from_bytes(buffer[2:4], "big"), 4
        assert buffer[0] in (0x81, 0x82, 0x88, 0x89), buffer[:2]
        if len(buffer) < at + size:
            return None
        kind, content = buffer[0], bytes(buffer[at : at + size])
        del buffer[: at + size]
        return kind, content

    def _take(self, kind: int, content: bytes, now: float) -> None:
        inside = self.window[0] <= now < self.window[1]
        self.measured.messages += inside
        if kind == 0x89:  # a ping
            self.transport.write(bytes([0x8A, 0x80 | len(content)]) + bytes(4) + content)
            return
        if kind == 0x88:
            self.measured.lost.append(content[2:].decode())
            self._open = False
            return
        if kind == 0x81:
            if not self.ready.is_set():
                assert json.loads(content)["type"] == "ready", content
                self.ready.set()
            return
        assert kind == 0x82, content
        _, _, _, turn, first = _HEADER.unpack_from(content)
        if turn != self._turn:
            assert first == 0
            self._turn, self._played_from = turn, now
            if inside:
                self.measured.down.append(now * 1000 - int.from_bytes(content[12:20], "little") / 1000)
                self.measured.answered += self._waits
            self._waits = False
        elif inside:
            self.measured.spare.append((self._played_from + first / RATE - now) * 1000)
        self._made_s = first / RATE + (len(content) - 12) / 2 / RATE

    def _say(self, message: dict[str, Any]) -> None:
        data = json.dumps(message).encode()
        assert len(data) < 126
        self.transport.write(bytes([0x81, 0x80 | len(data)]) + bytes(4) + data)

    # ------------------------------------------------------------ the caller

    async def call(self, when: float) -> None:
        """Connect at ``when``, and talk until the window is over."""
        await asyncio.sleep(when - time.monotonic())
        place = urlsplit(self.url)
        await asyncio.get_running_loop().create_connection(lambda: self, place.hostname, place.port)
        await self.ready.wait()
        cycle, speech = round(self.options.cycle / FRAME_S), round(self.options.speech / FRAME_S)
        at, sent, due = round(self.offset / FRAME_S), 0, time.monotonic()
        while self._open and due < self.window[1]:
            now = time.monotonic()
            inside = now >= self.window[0]
            place_in_cycle = at % cycle
            pcm = _LOUD if place_in_cycle < speech else _QUIET
            if inside:
                pcm = stamp(pcm, now)
            if place_in_cycle == speech:
                self._waits = inside and now < self.window[1] - self.options.patience
                self.measured.asked += self._waits
            self.transport.write(_MASKED + _HEADER.pack(1, 1, 0, 0, sent * 320) + pcm)
            if at % 5 == 0:
                self._tell_played(now)
            at, sent, due = at + 1, sent + 1, due + FRAME_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        self._open = False
        self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self._open:
            self.measured.lost.append("cut")
        self._open = False

    def _tell_played(self, now: float) -> None:
        if self._turn:
            played = min(now - self._played_from, self._made_s)
            if played < self._made_s:
                self._say({"type": "played", "turn": self._turn, "ms": round(played * 1000, 1)})


def used(process: int) -> tuple[float, float]:
    """Processor time in seconds and resident memory in MB of a process."""
    with open(f"/proc/{process}/stat") as status:
        parts = status.read().rpartition(")")[2].split()
    with open(f"/proc/{process}/statm") as status:
        pages = int(status.read().split()[1])
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def heard(url: str) -> list[float]:
    """How old frames were when they were heard, in ms."""
    with urllib.request.urlopen(url + "measured", timeout=20) as answer:
        found: list[float] = json.loads(answer.read())
    return found


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """Hold all calls; measure while all of them are there."""
    chance, measured, now = random.Random(7), Measured(), time.monotonic()
    ramp = 1.5 + options.sessions * 0.012
    window = (now + ramp, now + ramp + options.seconds)
    calls = [
        Caller(options.url, options, measured, window, chance.uniform(0, options.cycle)).call(
            now + ramp * 0.7 * number / options.sessions
        )
        for number in range(options.sessions)
    ]

    async def watch() -> tuple[float, float, float]:
        await asyncio.sleep(window[0] - time.monotonic())
        began, own, wall = used(options.process)[0], time.process_time(), time.monotonic()
        await asyncio.sleep(window[1] - 0.1 - time.monotonic())
        ended, memory = used(options.process)
        wall = time.monotonic() - wall
        return (ended - began) / wall * 100, memory, (time.process_time() - own) / wall * 100

    (cpu, memory, own), *_ = await asyncio.gather(watch(), *calls)
    up = await asyncio.to_thread(heard, options.url)
    return {
        "sessions": options.sessions,
        "cpu_percent": cpu,
        "callers_cpu_percent": own,
        "resident_mb": memory,
        "asked": measured.asked,
        "answered": measured.answered,
        "lost": measured.lost,
        "messages_per_s": (len(up) + measured.messages) / options.seconds,
        "up_ms": sorted(round(value, 3) for value in up),
        "down_ms": sorted(round(value, 3) for value in measured.down),
        "late": sum(value < 0 for value in measured.spare),
        "spare_ms": min(measured.spare, default=None),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("process", type=int, help="the server's, to see what it uses")
    parser.add_argument("sessions", type=int)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to measure")
    parser.add_argument("--cycle", type=float, default=10.0, help="seconds from one question to the next")
    parser.add_argument("--speech", type=float, default=1.0, help="seconds of a question")
    parser.add_argument("--patience", type=float, default=2.5, help="seconds left in the window to answer a question")
    print(json.dumps(asyncio.run(run(parser.parse_args()))))


if __name__ == "__main__":
    main()
