"""What a model has refused so far, and what it thought before its tool calls: kept for the life of a pool."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from attrs import define, field

from voiceloop.aws.bedrock.events import Reply
from voiceloop.aws.bedrock.request import Block

_KEPT = 512  # tool calls whose reasoning is remembered
_NO = r"(deprecated|not supported|unsupported|not allowed|cannot be specified|can't be specified|may only be set)"
# The service's words, and what is left out from then on. Models differ, and an application profile's ARN hides which
# one it is: only the refusal itself tells.
_REFUSALS = (
    (re.compile(r"temperature\W+and\W+top_?p\b.*(both|only one)"), "topP"),
    (re.compile(rf"\btemperature\b.*{_NO}|does(n't| not) support the temperature"), "temperature"),
    (re.compile(rf"\btop_?p\b.*{_NO}|does(n't| not) support the top_?p"), "topP"),
    (re.compile(r"prompt caching|cache_?point"), "cache"),
    (re.compile(r"does(n't| not) support the status field"), "status"),
)


@define(eq=False)
class Learnt:
    """One model's: ``refused`` is what it does not take, ``thoughts`` its reasoning by the first call after it."""

    refused: set[str] = field(factory=set)
    thoughts: OrderedDict[str, tuple[Block, ...]] = field(factory=OrderedDict)

    def refusal(self, message: str, members: Mapping[str, Any]) -> str | None:
        """What of ``members`` is not taken, by the service's ``message``; remembered. None: nothing new."""
        words = message.lower()
        for pattern, name in _REFUSALS:
            if pattern.search(words) and name not in self.refused and _used(name, members):
                self.refused.add(name)
                return name
        return None

    def keep(self, reply: Reply) -> None:
        """Remember the reasoning that came before a reply's tool calls."""
        blocks = reply.thoughts()
        if reply.first_call is not None and blocks:
            self.thoughts[reply.first_call] = blocks
            while len(self.thoughts) > _KEPT:
                self.thoughts.popitem(last=False)


def _used(name: str, members: Mapping[str, Any]) -> bool:
    if name in ("temperature", "topP"):
        return name in members.get("inferenceConfig", {})
    content = [block for message in members["messages"] for block in message["content"]]
    if name == "status":
        return any("status" in block.get("toolResult", {}) for block in content)
    return any("cachePoint" in block for block in content)


@asynccontextmanager
async def nothing_learnt() -> AsyncIterator[Learnt]:
    """A model that nothing is known of yet, as a resource of a pool."""
    yield Learnt()
