"""What one connection saw, so that a test can prove from the service's side that nothing was lost or doubled."""

from __future__ import annotations

import hashlib
from typing import Any

from attrs import define, field

from voiceloop import clock
from voiceloop.testing.aws.nova.requests import History, PromptStarted, SessionStarted, System, ToolAnswered


@define(eq=False)
class InputAudio:
    """The input audio of a connection, block after block.

    ``samples``: how many, in all. ``blocks``: rate in Hz and number of samples of each AUDIO block. ``pcm``: the
    audio itself, when the service was told to keep it. Equal input has an equal :meth:`digest`.
    """

    samples: int = 0
    blocks: list[list[int]] = field(factory=list)
    keep: bool = False
    _pcm: bytearray = field(factory=bytearray, repr=False)
    _hash: Any = field(factory=hashlib.sha256, repr=False)

    def opened(self, rate: int) -> None:
        """A block of ``rate`` Hz begins."""
        self.blocks.append([rate, 0])

    def add(self, pcm: bytes) -> None:
        """More audio of the last block."""
        self.samples += len(pcm) // 2
        self.blocks[-1][1] += len(pcm) // 2
        self._hash.update(pcm)
        if self.keep:
            self._pcm += pcm

    @property
    def pcm(self) -> bytes:
        """All of it, or nothing when it was not kept."""
        return bytes(self._pcm)

    def digest(self) -> str:
        """SHA-256 of all samples so far, in hexadecimal."""
        return str(self._hash.hexdigest())


@define
class HeardTurn:
    """A turn of the user: from where to where it was speech, in ms of the connection's input, and its words.

    ``at``: when the model judged that it was over, on ``clock.now()``.
    """

    start_ms: float
    end_ms: float
    text: str = ""
    at: float = field(factory=clock.now)


@define
class ToolUse:
    """A tool use that the service asked for; ``result`` is what the caller sent, once it came."""

    use: str
    name: str
    arguments: str
    result: str | None = None


@define
class Reply:
    """What the assistant said: its sentences, what of them was played when it ended, and whether it was cut.

    ``at``: when its first audio was sent, on ``clock.now()``.
    """

    sentences: list[str] = field(factory=list)
    at: float | None = None
    heard: str = ""
    interrupted: bool = False


@define(eq=False)
class NovaConnection:
    """One connection. ``opened`` and ``closed`` on ``clock.now()``; ``ended`` says how it ended: "closed" by a proper
    sessionEnd, "limit" for the plain end at the longest time, the name of the exception that the service sent,
    "unfinished" without sessionEnd, "unclean" without the signed empty frame, or "lost".
    """

    number: int
    model: str
    opened: float
    audio: InputAudio
    session: SessionStarted | None = None
    prompt: PromptStarted | None = None
    system: list[System] = field(factory=list)
    history: list[History] = field(factory=list)
    texts: list[str] = field(factory=list)
    results: list[ToolAnswered] = field(factory=list)
    uses: list[ToolUse] = field(factory=list)
    turns: list[HeardTurn] = field(factory=list)
    replies: list[Reply] = field(factory=list)
    events: int = 0
    ended: str = ""
    message: str = ""
    closed: float | None = None
