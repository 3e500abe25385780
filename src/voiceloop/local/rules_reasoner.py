"""Rules: a reasoner that follows a declarative file, and is no language model."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from anyio.lowlevel import checkpoint
from attrs import define, evolve, field

from voiceloop import clock
from voiceloop.conversation import NO_RESULT, Message, TextPart, ToolCallPart, ToolResultPart
from voiceloop.interfaces.reasoner import Reasoner, ReasonerItem, ReasonerRequest, Stop, TextDelta, ToolCall
from voiceloop.interfaces.recognizer import Expectation
from voiceloop.local.intents import Script, content, load, merge
from voiceloop.local.intents_dialogue import Action, Call, Dialogue, Say, State, Step
from voiceloop.tools import Tool

_GROUP = 3  # words in a TextDelta
_REMEMBERED = 512  # conversations, each up to one message, whose state is kept


class Rules(Reasoner):
    """Follows a file of intents, slots and replies (see :mod:`voiceloop.local.intents`): it says what it says there,
    asks for what is missing, confirms, and calls tools. It is a set of rules, not a language model, and says so.

    ``source``: a path, or the text of the file. ``tools``: those that the file calls; hand ``rules.tools`` to the
    session, which runs them. Stateless: where a dialogue stands follows from the messages alone. Instructions and
    temperature have no effect. Raises BadInput when the file is wrong.
    """

    name = "rules"

    def __init__(self, source: Path | str, *, tools: Iterable[Tool] = ()) -> None:
        self._take(load(source), tuple(tools))

    def _take(self, script: Script, tools: tuple[Tool, ...]) -> None:
        self.script = script
        self.tools = tools
        self._folds = _Folds(Dialogue(script))

    @classmethod
    def booking(cls) -> Rules:
        """The demo dialogue that books a meeting room by the tool ``book_room``."""
        from voiceloop.local.content.booking import TOOLS

        return cls(content("booking.toml"), tools=TOOLS)

    @classmethod
    def desk(cls) -> Rules:
        """The demo dialogue of small questions: time, arithmetic, units, the age of landmarks."""
        from voiceloop.local.content.desk import TOOLS

        return cls(content("desk.toml"), tools=TOOLS)

    @classmethod
    def demo(cls) -> Rules:
        """:meth:`booking` and :meth:`desk` in one."""
        return cls.merged(cls.booking(), cls.desk())

    @classmethod
    def merged(cls, *rules: Rules) -> Rules:
        """All that ``rules`` understand. Raises BadInput when two of them have an intent of the same name."""
        made = cls.__new__(cls)
        made._take(merge([one.script for one in rules]), tuple(tool for one in rules for tool in one.tools))
        return made

    @asynccontextmanager
    async def reply(self, request: ReasonerRequest) -> AsyncIterator[AsyncIterator[ReasonerItem]]:
        """Reply from the file. Raises no ProviderError: nothing is asked of anyone."""
        await checkpoint()
        _, action = self._folds.fold(request.messages)
        items = _items(action, {tool.name for tool in request.tools})
        try:
            yield items
        finally:
            await items.aclose()

    def expect(self, messages: Sequence[Message]) -> Expectation:
        """The grammar of what can be said next: small where the dialogue has asked for something."""
        state, _ = self._folds.fold(messages)
        return self._folds.expectation(state)


async def _items(action: Action, tools: set[str]) -> AsyncGenerator[ReasonerItem, None]:
    if isinstance(action, Call):
        if action.tool in tools:
            yield ToolCall(clock.new_id(), action.tool, action.arguments)
            yield Stop("tools")
            return
        action = Say(f"I cannot do that here: this session has no tool called {action.tool.replace('_', ' ')}.")
    words = action.text.split()
    for at in range(0, len(words), _GROUP):
        await checkpoint()
        yield TextDelta((" " if at else "") + " ".join(words[at : at + _GROUP]))
    yield Stop("end")


@define(eq=False)
class _Folds:
    """The state of a dialogue after its messages, step by step; what was worked out is kept for the next time."""

    _dialogue: Dialogue
    _known: OrderedDict[bytes, Step] = field(factory=OrderedDict, init=False)

    def fold(self, messages: Sequence[Message]) -> Step:
        """Where the dialogue stands after ``messages``, and what is to be done next."""
        keys = list(_keys(messages))
        start = next((at for at in range(len(keys), 0, -1) if keys[at - 1] in self._known), 0)
        state, action = self._known[keys[start - 1]] if start else (State(), Say(""))
        for key, message in zip(keys[start:], messages[start:], strict=True):
            if message.role == "assistant":
                refused = isinstance(action, Call) and not any(
                    isinstance(part, ToolCallPart) for part in message.parts
                )
                state, action = self._dialogue.replied(state, message.text, refused=refused), Say("")
            else:
                state, action = self._user(state, message)
            self._known[key] = state, action
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return state, action

    def _user(self, state: State, message: Message) -> Step:
        said: list[str] = []
        action: Action = Say("")
        texts = [part for part in message.parts if isinstance(part, TextPart) and part.text.strip()]
        told, texts = _late_results(texts)
        for result in (*(part for part in message.parts if isinstance(part, ToolResultPart)), *told):
            if result.result == NO_RESULT:
                said.append("One moment.")
            elif state.calling is not None and self._dialogue.tool(state.calling) == result.name:
                state, action = self._dialogue.result(state, result.result, error=result.error)
                said += [action.text] if isinstance(action, Say) else []
            else:
                said.append(f"The answer of {result.name.replace('_', ' ')} is {result.result}.")
        if texts:
            state, action = self._words(state, texts)
            said += [action.text] if isinstance(action, Say) else []
        return state, action if isinstance(action, Call) else Say(" ".join(said))

    def _words(self, state: State, texts: Sequence[TextPart]) -> Step:
        """Several texts are one utterance if that makes sense, else one after the other, unanswered so far."""
        sure = min((part.confidence for part in texts if part.confidence is not None), default=None)
        together = " ".join(part.text for part in texts)
        if not self._dialogue.makes_sense(state, together):
            texts = [evolve(part, text=text) for part in texts for text in _SENTENCE_END.split(part.text)]
        if len(texts) == 1 or self._dialogue.makes_sense(state, together):
            return self._dialogue.hear(state, together, sure)
        step: Step = state, Say("")
        for part in texts:
            step = self._dialogue.hear(self._dialogue.replied(step[0], "", refused=False), part.text, part.confidence)
        return step

    def expectation(self, state: State) -> Expectation:
        """The grammar for ``state``."""
        return Expectation(self._dialogue.grammar(state))


_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_LATE = re.compile(r"\(The tool ([\w-]+)(?: \{.*?\})? (answered|failed): (.*?)\)(?=\s|$)", re.DOTALL)


def _late_results(texts: Sequence[TextPart]) -> tuple[list[ToolResultPart], list[TextPart]]:
    """Results that came late stand as words in a history; here they are results again, apart from what was said."""
    results = [
        ToolResultPart("", found[1], found[3], error=found[2] == "failed")
        for part in texts
        for found in _LATE.finditer(part.text)
    ]
    rest = [evolve(part, text=_LATE.sub(" ", part.text)) for part in texts]
    return results, [part for part in rest if part.text.strip()]


def _keys(messages: Sequence[Message]) -> Iterable[bytes]:
    """A key for each beginning of ``messages``."""
    chain = b""
    for message in messages:
        digest = hashlib.blake2b(chain, digest_size=16)
        for part in message.parts:
            if isinstance(part, TextPart):
                digest.update(repr((message.role, part.text, part.confidence)).encode())
            elif isinstance(part, ToolCallPart):
                digest.update(repr((message.role, part.name)).encode())
            elif isinstance(part, ToolResultPart):
                digest.update(repr((part.name, part.result, part.error)).encode())
        chain = digest.digest()
        yield chain
