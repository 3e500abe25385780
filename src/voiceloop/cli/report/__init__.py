"""The demo's report: one HTML page that plays a recorded conversation and shows what happened in it."""

from voiceloop.cli.report.page import write_report
from voiceloop.cli.report.recording import Played, Recording

__all__ = ("Played", "Recording", "write_report")
