"""Conversations kept in this process."""

from __future__ import annotations

import pytest

from voiceloop.conversation import AssistantEntry, Conversation, ToolCallEntry, ToolResultEntry, UserEntry
from voiceloop.errors import BadInput, MemoryConflict
from voiceloop.events import Heard
from voiceloop.memory import InProcessMemory

ENTRIES = [
    UserEntry("My dog is called Rex."),
    AssistantEntry(1, "A fine name for a dog. And a cat?", Heard("A fine name for a dog.")),
    UserEntry("What is the weather?"),
    ToolCallEntry(2, "c1", "weather", {"city": "Rome"}),
    ToolResultEntry("c1", "weather", "sunny"),
]


@pytest.fixture
def memory() -> InProcessMemory:
    return InProcessMemory(conversations=2)


async def test_what_was_appended_is_loaded(memory: InProcessMemory) -> None:
    assert tuple(await memory.load("a")) == ()
    await memory.append("a", ENTRIES[:2], after=0)
    await memory.append("a", ENTRIES[2:], after=2)
    await memory.append("b", ENTRIES[:1], after=0)
    assert list(await memory.load("a")) == ENTRIES
    assert list(await memory.load("b")) == ENTRIES[:1]
    assert Conversation(await memory.load("a")).settled == 5


async def test_appending_again_changes_nothing(memory: InProcessMemory) -> None:
    await memory.append("a", ENTRIES[:3], after=0)
    await memory.append("a", ENTRIES[:3], after=0)
    await memory.append("a", ENTRIES[1:2], after=1)
    assert list(await memory.load("a")) == ENTRIES[:3]
    await memory.append("a", ENTRIES[1:], after=1)
    assert list(await memory.load("a")) == ENTRIES


async def test_another_writer_is_a_conflict(memory: InProcessMemory) -> None:
    await memory.append("a", ENTRIES[:2], after=0)
    with pytest.raises(MemoryConflict, match="2 entries"):
        await memory.append("a", [UserEntry("Other.")], after=1)
    with pytest.raises(MemoryConflict, match="Load it again"):
        await memory.append("a", ENTRIES[3:], after=3)
    with pytest.raises(BadInput, match="after=-1"):
        await memory.append("a", ENTRIES, after=-1)
    assert list(await memory.load("a")) == ENTRIES[:2]


async def test_what_was_loaded_does_not_grow(memory: InProcessMemory) -> None:
    await memory.append("a", ENTRIES[:1], after=0)
    loaded = await memory.load("a")
    await memory.append("a", ENTRIES[1:], after=1)
    assert len(loaded) == 1


async def test_the_nearest_entries_are_recalled(memory: InProcessMemory) -> None:
    await memory.append("a", ENTRIES, after=0)
    assert list(await memory.recall("a", "What was my DOG called?", 2)) == [ENTRIES[0], ENTRIES[2]]
    assert list(await memory.recall("a", "dog", 5)) == [ENTRIES[1], ENTRIES[0]]
    assert list(await memory.recall("a", "sunny", 5)) == [ENTRIES[4]]
    assert tuple(await memory.recall("a", "cat", 5)) == ()  # it was said, but never heard
    assert tuple(await memory.recall("a", "dog", 0)) == ()
    assert tuple(await memory.recall("b", "dog", 5)) == ()


async def test_a_forgotten_conversation_is_gone(memory: InProcessMemory) -> None:
    await memory.append("a", ENTRIES, after=0)
    await memory.forget("a")
    await memory.forget("a")
    assert tuple(await memory.load("a")) == ()


async def test_the_conversation_not_used_for_longest_goes(memory: InProcessMemory) -> None:
    for name in "ab":
        await memory.append(name, ENTRIES, after=0)
    await memory.load("a")
    await memory.append("c", ENTRIES, after=0)
    assert [len(await memory.load(name)) for name in "abc"] == [5, 0, 5]
    with pytest.raises(BadInput, match="conversations=0"):
        InProcessMemory(conversations=0)
