"""What the demo shows while it runs: a live view of a terminal, plain lines, or nothing."""

from voiceloop.cli.view.base import Moment, NoView, View, make_view

__all__ = ("Moment", "NoView", "View", "make_view")
