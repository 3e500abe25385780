"""Views: what they are told, and which one suits the terminal."""

from __future__ import annotations

import abc
import os
from importlib.util import find_spec
from types import TracebackType
from typing import Self, TextIO

from attrs import field, frozen

from voiceloop.events import Event


@frozen
class Moment:
    """20 ms of a call: ``at`` s since it began, what was said and heard (mono PCM16), the assistant's mouth, and how
    many ms of its newest reply were played so far."""

    at: float
    said: bytes = field(repr=False)
    heard: bytes = field(repr=False)
    mouth: str
    reply_ms: float = 0.0


class View(abc.ABC):
    """Shows a call while it goes on; a context manager. Neither method may wait."""

    @abc.abstractmethod
    def event(self, event: Event) -> None:
        """The session's next event."""

    def moment(self, moment: Moment) -> None:
        """The next 20 ms. The default shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put the terminal back as it was. The default has nothing to put back."""


class NoView(View):
    """Shows nothing."""

    def event(self, event: Event) -> None:
        """Nothing."""


def make_view(out: TextIO, *, quiet: bool = False, owns_turns: bool = False) -> View:
    """The view for ``out``: live on a terminal with colours and with rich installed, plain lines anywhere else.

    ``owns_turns``: the model decides when the caller's turn is over.
    """
    if quiet:
        return NoView()
    dumb = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM", "dumb") == "dumb"
    if out.isatty() and not dumb:
        if find_spec("rich"):
            from voiceloop.cli.view.live import LiveView

            return LiveView(out, owns_turns=owns_turns)
        out.write("For a live view: pip install 'voiceloop[cli]'\n")
    from voiceloop.cli.view.plain import PlainView

    return PlainView(out, owns_turns=owns_turns)
