"""An earlier conversation, as far as a new connection takes it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from attrs import frozen

from voiceloop.conversation import Message

SYSTEM = "You hold a spoken conversation. Answer in one or two short sentences, as one speaks."
"""What the model is told when nobody tells it anything: an empty text is refused."""

GREETING = "Greet the user and say in one sentence what you can do for them."
"""What makes the model speak first."""

GO_ON = "Go on with your answer to what I asked last, with what the tools gave."


def late_result(name: str, result: str, *, error: bool) -> str:
    """The result of a tool that an earlier connection called, in words that make the model go on."""
    verb = "failed" if error else "answered"
    return f"The tool {name} that you called has {verb}: {result}\nGo on with your answer to what I asked."


@frozen
class Line:
    """One message of a history."""

    role: Literal["USER", "ASSISTANT"]
    text: str


def lines(messages: Sequence[Message], *, most: int | None = None, without: str = "") -> tuple[Line, ...]:
    """``messages`` as the service takes them: begins with the user, alternates; the newest ``most``.

    ``without``: words of the user at the very end that are sent in another way, and would be answered twice.
    """
    made: list[Line] = []
    for message in messages:
        role: Literal["USER", "ASSISTANT"] = "USER" if message.role == "user" else "ASSISTANT"
        text = message.text.strip()
        if not text:
            continue
        if made and made[-1].role == role:
            made[-1] = Line(role, f"{made[-1].text} {text}")
        else:
            made.append(Line(role, text))
    if without.strip() and made and made[-1].role == "USER":
        made[-1:] = _before(made[-1].text, without.strip())
    made = made if most is None else made[-most:] if most else []
    return tuple(_from_user(made))


def _before(text: str, tail: str) -> Iterator[Line]:
    if text.endswith(tail):
        text = text[: -len(tail)].rstrip()
    if text:
        yield Line("USER", text)


def _from_user(made: Sequence[Line]) -> Sequence[Line]:
    first = next((index for index, line in enumerate(made) if line.role == "USER"), len(made))
    return made[first:]
