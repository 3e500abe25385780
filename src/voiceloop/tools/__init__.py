"""Tools: plain typed functions that the model may call. Schema and validation; execution is the engine's."""

from voiceloop.tools.definition import Tool, ToolContext, as_tool, tool, toolbox
from voiceloop.tools.rendering import plain, render

__all__ = ("Tool", "ToolContext", "as_tool", "plain", "render", "tool", "toolbox")
