"""The order that a caller must keep: a strict state machine over its events. Pure.

Source: Amazon Nova user guide, "Handling input events", "Chat history", "Tool configuration"; the texts of refusals
are those that the service was seen to send, and the general one where none is known.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any

from attrs import define, field

from voiceloop.testing.aws.nova import events as texts
from voiceloop.testing.aws.nova.events import Invalid
from voiceloop.testing.aws.nova.profile import NOVA_SONIC, NovaLimits
from voiceloop.testing.aws.nova.requests import (
    Asked,
    Audio,
    AudioClosed,
    AudioOpened,
    History,
    PromptEnded,
    PromptStarted,
    SessionEnded,
    System,
    ToolAnswered,
    UserText,
    lpcm_rate,
    object_of,
    prompt_started,
    refuse,
    require,
    session_started,
    text_of,
)


class Stage(Enum):
    """How far a session is."""

    NEW = auto()
    SESSION = auto()
    PROMPT = auto()
    PROMPT_OVER = auto()
    OVER = auto()


class Part(Enum):
    """How far a prompt is: what its next block may be."""

    NOTHING = auto()
    SYSTEM = auto()
    HISTORY = auto()
    AUDIO = auto()


@define
class Block:
    """An open content block and the data that it has so far."""

    name: str
    kind: str
    role: str
    interactive: bool
    use: str = ""
    data: list[str] = field(factory=list)
    count: int = 0

    @property
    def text(self) -> str:
        """All its text."""
        return "".join(self.data)


@define
class Tools:
    """Which tool uses wait for a result, and during which of them audio is refused."""

    pending: set[str] = field(factory=set)
    deaf: set[str] = field(factory=set)

    def offered(self, use: str) -> None:
        """The service asked for the use of a tool."""
        self.pending.add(use)

    def deafen(self, use: str) -> None:
        """Refuse audio until its result comes."""
        self.deaf.add(use)

    def answer(self, use: str) -> None:
        """Its result came."""
        self.pending.discard(use)


@define
class Messages:
    """The history so far, and its limits."""

    limits: NovaLimits
    size: int = 0
    count: int = 0
    last: str = ""

    def add(self, role: str) -> None:
        """A message begins. Raises Invalid where no message of ``role`` may."""
        self.count += 1
        require(role == "USER" or self.count > 1)
        require(not self.limits.alternate or role != self.last)
        self.last = role
        most = self.limits.history_messages
        if most is not None and self.count > most:
            raise Invalid(texts.HISTORY_OVER)

    def text(self, message: str, text: str) -> None:
        """``text`` is added to a message, which is ``message`` then. Raises Invalid for what is too long."""
        size = len(text.encode())
        self.size += size
        each = self.limits.history_texts
        too_long = self.size > self.limits.history_bytes or len(message.encode()) > self.limits.message_bytes
        if too_long or (each is not None and size > each):
            raise Invalid(texts.HISTORY_OVER)


@define
class Protocol:
    """Takes the caller's events one by one. ``blocked``: see NovaProfile. ``tools`` must be told of each tool use."""

    model: str
    limits: NovaLimits = field(factory=NovaLimits)
    blocked: tuple[str, ...] = ()
    tools: Tools = field(factory=Tools, init=False)
    stage: Stage = field(default=Stage.NEW, init=False)
    _part: Part = field(default=Part.NOTHING, init=False)
    _prompt: str = field(default="", init=False)
    _names: set[str] = field(factory=set, init=False)
    _audio: Block | None = field(default=None, init=False)
    _block: Block | None = field(default=None, init=False)
    _messages: Messages = field(init=False)

    @_messages.default
    def _no_messages(self) -> Messages:
        return Messages(self.limits)

    def feed(self, name: str, body: Mapping[str, Any]) -> Asked | None:
        """The next event; what it asks for, if it completes anything. Raises Invalid: then the stream is over."""
        handlers: Mapping[str, Callable[[Mapping[str, Any]], Asked | None]] = {
            "sessionStart": self._session_start,
            "promptStart": self._prompt_start,
            "contentStart": self._content_start,
            "textInput": self._text_input,
            "audioInput": self._audio_input,
            "toolResult": self._tool_result,
            "contentEnd": self._content_end,
            "promptEnd": self._prompt_end,
            "sessionEnd": self._session_end,
        }
        if name not in handlers:
            raise refuse()
        return handlers[name](body)

    # ------------------------------------------------------------ session and prompt

    def _session_start(self, body: Mapping[str, Any]) -> Asked:
        require(self.stage is Stage.NEW)
        started = session_started(body, self.model)
        self.stage = Stage.SESSION
        return started

    def _prompt_start(self, body: Mapping[str, Any]) -> PromptStarted:
        require(self.stage is Stage.SESSION)
        started = prompt_started(body, self.model, self.limits)
        self._prompt = started.prompt
        self.stage = Stage.PROMPT
        return started

    def _prompt_end(self, body: Mapping[str, Any]) -> Asked:
        self._in_prompt(body)
        if self._audio is not None or self._block is not None:
            raise Invalid(texts.OPEN_CONTENT)
        self.stage = Stage.PROMPT_OVER
        return PromptEnded()

    def _session_end(self, body: Mapping[str, Any]) -> Asked:
        require(self.stage in (Stage.SESSION, Stage.PROMPT_OVER))
        self.stage = Stage.OVER
        return SessionEnded()

    def _in_prompt(self, body: Mapping[str, Any]) -> None:
        require(self.stage is Stage.PROMPT and text_of(body, "promptName") == self._prompt)

    # ------------------------------------------------------------ blocks

    def _content_start(self, body: Mapping[str, Any]) -> Asked | None:
        self._in_prompt(body)
        name, kind, role = (text_of(body, key) for key in ("contentName", "type", "role"))
        require(name not in self._names)
        self._names.add(name)
        require(self._block is None)
        interactive = body.get("interactive", False)
        require(isinstance(interactive, bool))
        block = Block(name, kind, role, interactive)
        match kind:
            case "AUDIO":
                return self._open_audio(block, body)
            case "TEXT":
                require(object_of(body, "textInputConfiguration").get("mediaType") == "text/plain")
                self._open_text(block)
            case "TOOL":
                self._open_tool(block, object_of(body, "toolResultInputConfiguration"))
            case _:
                raise refuse()
        self._block = block
        return None

    def _open_audio(self, block: Block, body: Mapping[str, Any]) -> AudioOpened:
        require(block.role == "USER" and block.interactive and self._audio is None)
        require(self._part is not Part.NOTHING)
        rate = lpcm_rate(object_of(body, "audioInputConfiguration"))
        self._audio, self._part = block, Part.AUDIO
        return AudioOpened(rate)

    def _open_text(self, block: Block) -> None:
        match block.role:
            case "SYSTEM":
                require(self._part is Part.NOTHING)
                self._part = Part.SYSTEM
            case "SYSTEM_SPEECH":
                require(self._part is Part.SYSTEM and self.model != NOVA_SONIC)
            case "USER" if self._part is Part.AUDIO:
                require(block.interactive and self.model != NOVA_SONIC)
            case "USER" | "ASSISTANT":
                require(self._part in (Part.SYSTEM, Part.HISTORY))
                self._part = Part.HISTORY
                self._messages.add(block.role)
            case _:
                raise refuse()

    def _open_tool(self, block: Block, settings: Mapping[str, Any]) -> None:
        require(block.role == "TOOL" and not block.interactive)
        require(settings.get("type") == "TEXT")
        require(object_of(settings, "textInputConfiguration").get("mediaType") == "text/plain")
        block.use = text_of(settings, "toolUseId")
        require(block.use in self.tools.pending)

    # ------------------------------------------------------------ data

    def _data(self, body: Mapping[str, Any], block: Block | None, kind: str) -> tuple[Block, str]:
        self._in_prompt(body)
        name, content = text_of(body, "contentName"), body.get("content")
        if block is None or block.name != name or block.kind != kind or not isinstance(content, str):
            raise refuse()
        return block, content

    def _text_input(self, body: Mapping[str, Any]) -> None:
        block, text = self._data(body, self._block, "TEXT")
        block.data.append(text)
        block.count += bool(text)
        if any(phrase in block.text for phrase in self.blocked):
            raise Invalid(texts.BLOCKED)
        if self._part is Part.HISTORY and block.role in ("USER", "ASSISTANT"):
            self._messages.text(block.text, text)

    def _audio_input(self, body: Mapping[str, Any]) -> Audio | None:
        if self._block is not None and self._block.kind == "TEXT":
            raise Invalid(texts.HISTORY_FIRST)
        block, content = self._data(body, self._audio, "AUDIO")
        require(not self.tools.deaf & self.tools.pending)
        pcm = texts.decode_base64(content)
        require(len(pcm) % 2 == 0)
        block.count += bool(pcm)
        return Audio(pcm) if pcm else None

    def _tool_result(self, body: Mapping[str, Any]) -> None:
        block, text = self._data(body, self._block, "TOOL")
        block.data.append(text)
        block.count += bool(text)

    def _content_end(self, body: Mapping[str, Any]) -> Asked | None:
        self._in_prompt(body)
        name = text_of(body, "contentName")
        block = next((one for one in (self._audio, self._block) if one is not None and one.name == name), None)
        if block is None:
            raise refuse()
        if not block.count:
            raise Invalid(texts.NO_DATA.format(name))
        if block is self._audio:
            self._audio = None
            return AudioClosed()
        self._block = None
        return self._answered(block) if block.kind == "TOOL" else self._said(block)

    def _answered(self, block: Block) -> ToolAnswered:
        try:
            value = json.loads(block.text)
        except (ValueError, RecursionError):
            raise Invalid(texts.TOOL_PARSING) from None
        if not isinstance(value, dict):
            raise Invalid(texts.TOOL_PARSING)
        self.tools.answer(block.use)
        return ToolAnswered(block.use, block.text)

    def _said(self, block: Block) -> Asked:
        if block.role in ("SYSTEM", "SYSTEM_SPEECH"):
            return System(block.text, block.role)
        if block.interactive and block.role == "USER" and self.model != NOVA_SONIC:
            return UserText(block.text, live=self._audio is not None)
        return History(block.role, block.text)
