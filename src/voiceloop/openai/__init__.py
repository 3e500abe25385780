"""Language models behind OpenAI's chat completions: a model server on this machine, or a cloud.

Ollama, llama.cpp, LM Studio, vLLM and many others speak it. Nothing but this package is loaded before the first
request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiceloop._lazy import lazy

if TYPE_CHECKING:
    from voiceloop.openai.probe import find_server
    from voiceloop.openai.reasoner import ChatCompletions

__all__ = ("ChatCompletions", "find_server")

_HOME = {"ChatCompletions": "voiceloop.openai.reasoner", "find_server": "voiceloop.openai.probe"}

__getattr__ = lazy(__name__, _HOME)
