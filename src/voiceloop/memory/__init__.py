"""Where conversations are kept between sessions."""

from voiceloop.memory.in_process import InProcessMemory

__all__ = ("InProcessMemory",)
