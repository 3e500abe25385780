"""The command line: demonstrations without writing code."""

from voiceloop.cli.program import main

__all__ = ("main",)
