"""One session's link to a cascade: the recognizer's stream, and at most one reply in the making."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import anyio
from anyio.abc import TaskGroup

from voiceloop.cascade.boxes import Box, Patience
from voiceloop.cascade.deadlines import Deadlines
from voiceloop.cascade.making import Making
from voiceloop.cascade.reply import GREETING, Reply
from voiceloop.cascade.voice import load
from voiceloop.cascade.warmup import WarmUp
from voiceloop.engine.blame import blame
from voiceloop.errors import ProviderUnavailable, ReplyBroke, SettingRefused, VoiceloopError
from voiceloop.interfaces import (
    Attend,
    Clause,
    Command,
    Cut,
    EndOfTurn,
    Expectation,
    Link,
    LinkChanged,
    LinkContext,
    LinkEvent,
    ListenConfig,
    Listening,
    ListeningChanged,
    ModelUsage,
    Pause,
    Prompt,
    Reasoner,
    Recognizer,
    RecognizerUsage,
    ReplyEnded,
    Say,
    SpeakConfig,
    Synthesizer,
    ToolResult,
    Update,
    UserText,
)

_TAKES = 10.0
"""How long a recognizer may take to be told what to expect, in seconds."""

_LAST_WORDS = 0.5
"""How long it may take to tell its last consumption once it is closed, in seconds."""


@asynccontextmanager
async def open_link(
    recognizer: Recognizer, reasoner: Reasoner, synthesizer: Synthesizer, deadlines: Deadlines, context: LinkContext
) -> AsyncIterator[Link]:
    """Open the recognizer's stream and join the three parts."""
    load()
    link: CascadeLink | None = None
    try:
        async with AsyncExitStack() as stack:
            with blame(recognizer.name, "opening its stream"):
                opening = recognizer.open(ListenConfig(resources=context.resources))
                listening = await stack.enter_async_context(opening)
            children = await stack.enter_async_context(anyio.create_task_group())
            link = CascadeLink(recognizer, reasoner, synthesizer, deadlines, context, listening, children)
            await link.start(children)
            try:
                yield link
            finally:
                children.cancel_scope.cancel()
    finally:
        if link is not None:
            await link.close()


class CascadeLink(Link):
    """See :class:`Link`."""

    def __init__(
        self,
        recognizer: Recognizer,
        reasoner: Reasoner,
        synthesizer: Synthesizer,
        deadlines: Deadlines,
        context: LinkContext,
        listening: Listening,
        children: TaskGroup,
    ) -> None:
        self._recognizer = recognizer
        self._reasoner = reasoner
        self._synthesizer = synthesizer
        self._deadlines = deadlines
        self._context = context
        self._listening = listening
        self._items = aiter(listening)
        self._out: Box[LinkEvent] = Box()
        self._warm_up = WarmUp(
            (reasoner, synthesizer),
            context.resources,
            children,
            within=deadlines.first_token,
            tell=self._out.add,
        )
        self._taking_audio = blame(recognizer.name, "taking audio")
        self._making = Making(self._out, children, fatal=lambda error: not isinstance(error, ReplyBroke))
        self._reply: Reply | None = None
        self._expected: Expectation | None = None
        self._expects = False

    async def start(self, children: TaskGroup) -> None:
        """Listen."""
        await self._expect()
        children.start_soon(self._listen, name="recognizer reader")
        self._warm_up.begin()

    async def close(self) -> None:
        """End the iteration over its events, with what the recognizer still told of its consumption."""
        name = self._recognizer.name
        try:
            with suppress(VoiceloopError), blame(name, "closing"), anyio.move_on_after(_LAST_WORDS):
                async for item in self._items:
                    if isinstance(item, RecognizerUsage):
                        self._out.add(ModelUsage(provider=name, amounts=item.amounts))
        finally:
            self._out.close()

    async def _listen(self) -> None:
        name = self._recognizer.name
        error: BaseException = ProviderUnavailable(
            "ended its stream", provider=name, doing="listening", retryable=True
        )
        try:
            with blame(name, "listening"):
                async for item in self._items:
                    match item:
                        case RecognizerUsage(amounts=amounts):
                            self._out.add(ModelUsage(provider=name, amounts=amounts))
                        case ListeningChanged(state=state, detail=detail):
                            self._out.add(LinkChanged(state, detail))
                        case _:
                            self._out.add(item)
        except Exception as failure:  # noqa: BLE001 - raised by the iterator, after what came before
            error = failure
        self._out.close(error)

    # ------------------------------------------------------------ Link

    async def send_audio(self, pcm: bytes) -> None:
        """See :meth:`Link.send_audio`."""
        with self._taking_audio:
            await self._listening.send_audio(pcm)

    async def send(self, command: Command) -> None:
        """See :meth:`Link.send`."""
        match command:
            case Attend():
                self._warm_up.begin()
            case Pause():
                await self._flush(end_of_turn=False)
            case EndOfTurn(turn=turn, final=final):
                if turn is not None:
                    self._begin(turn, lambda reply: reply.answer())
                if final:
                    await self._flush(end_of_turn=True)
            case UserText(turn=int(turn)):
                self._begin(turn, lambda reply: reply.answer())
            case Prompt(turn=turn, text=text):
                self._begin(turn, lambda reply: reply.answer(text or GREETING))
            case Say(turn=turn, text=text):
                self._begin(turn, lambda reply: reply.recite(text))
            case ToolResult():
                if self._reply is not None:
                    self._reply.result(command)
            case Cut(turn=turn):
                if self._making.makes(turn):
                    self._making.stop()
                    self._reply = None
                await self._expect()
            case Update(settings=settings, changed=changed):
                if "voice" in changed:
                    await self._try_voice(settings.voice)
            case UserText():
                pass

    def __aiter__(self) -> AsyncIterator[LinkEvent]:
        return self

    async def __anext__(self) -> LinkEvent:
        if self._expects:
            self._expects = False
            await self._expect()
        event = await self._out.__anext__()
        self._expects = isinstance(event, ReplyEnded)
        return event

    # ------------------------------------------------------------ inside

    async def _try_voice(self, voice: str | None) -> None:
        """Speak a syllable with a new voice, so that one that does not exist is refused at once."""
        synthesizer, limit = self._synthesizer, self._deadlines.first_audio
        config = SpeakConfig(resources=self._context.resources, voice=voice)
        doing = "trying a voice"
        try:
            with (
                blame(synthesizer.name, doing),
                Patience(limit, limit, provider=synthesizer.name, doing=doing),
            ):
                async with synthesizer.speak(Clause(text="a"), config) as speech:
                    await anext(speech, None)
        except VoiceloopError as refusal:
            raise SettingRefused(str(refusal), doing="changing the voice") from refusal

    async def _flush(self, *, end_of_turn: bool) -> None:
        with blame(self._recognizer.name, "finishing a transcript"):
            await self._listening.flush(end_of_turn=end_of_turn)

    async def _expect(self) -> None:
        """Tell the recognizer what the user may say next, where the reasoner knows."""
        with blame(self._reasoner.name, "telling what may be said"):
            expected = self._reasoner.expect(self._context.history(self._reasoner.capabilities.history))
        if expected != self._expected:
            self._expected = expected
            name, doing = self._recognizer.name, "taking an expectation"
            with blame(name, doing), Patience(_TAKES, _TAKES, provider=name, doing=doing):
                await self._listening.expect(expected)

    def _begin(self, turn: int, make: Callable[[Reply], Awaitable[None]]) -> None:
        reply = Reply(turn, self._reasoner, self._synthesizer, self._deadlines, self._context, self._out)
        self._reply = reply
        self._making.begin(turn, turn, lambda: make(reply))
