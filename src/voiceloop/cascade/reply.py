"""Makes one reply: the reasoner writes, the segmenter cuts, the voice speaks, all at the same time."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from itertools import count

import anyio

from voiceloop import clock
from voiceloop.cascade.boxes import Box, Patience
from voiceloop.cascade.deadlines import Deadlines
from voiceloop.cascade.making import room_for
from voiceloop.cascade.voice import ReplyVoice, Spoken
from voiceloop.conversation import Message, TextPart
from voiceloop.engine.blame import blame
from voiceloop.engine.wake import Wake
from voiceloop.errors import ProviderError, ProviderMisbehaved, ReplyBroke
from voiceloop.interfaces import (
    LinkContext,
    LinkEvent,
    ModelToolCall,
    ModelUsage,
    Reasoner,
    ReasonerRequest,
    ReasonerUsage,
    ReplyEnded,
    ReplyStarted,
    ReplyTextDelta,
    SpeakConfig,
    Synthesizer,
    TextDelta,
    ToolCall,
    ToolResult,
)
from voiceloop.rules.segmentation import Piece, Segmenter

_ATTEMPTS = 3  # to have an answer that does not break off in its first clause
GREETING = "(The conversation begins. Greet the user.)"


class Reply:
    """One reply in the making; cancelled with the task that runs :meth:`answer` or :meth:`recite`."""

    def __init__(
        self,
        number: int,
        reasoner: Reasoner,
        synthesizer: Synthesizer,
        deadlines: Deadlines,
        context: LinkContext,
        out: Box[LinkEvent],
    ) -> None:
        self.number = number
        self._reasoner = reasoner
        self._synthesizer = synthesizer
        self._deadlines = deadlines
        self._context = context
        self._out = out
        self._emit = out.add
        self._settings = context.settings()
        self._clauses: Box[Spoken] = Box(size=2)
        self._written = ""
        self._pending: set[str] = set()
        self._answered = Wake()
        self._broke: ReplyBroke | None = None

    def result(self, result: ToolResult) -> None:
        """A tool that this reply called has answered; the conversation holds the result already."""
        self._pending.discard(result.call)
        self._answered.set()

    async def answer(self, prompt: str | None = None) -> None:
        """Ask the reasoner, as often as it calls tools. ``prompt``: an instruction kept out of the history."""
        async with self._speaking():
            for _ in range(self._deadlines.tool_steps):
                try:
                    called = await self._step(prompt)
                except ReplyBroke as error:
                    self._broke = error  # once all that was handed to the voice is spoken
                    return
                if not called:
                    return
                while self._pending:
                    await self._answered.wait()
            raise ProviderMisbehaved(
                f"called tools {self._deadlines.tool_steps} times in one reply",
                provider=self._reasoner.name,
                doing="replying",
                hint="See the tools' results, or raise the Cascade's deadlines.tool_steps.",
            )

    async def recite(self, text: str) -> None:
        """Speak exactly ``text``."""
        async with self._speaking():
            writer = _Writer(self)
            await writer.push(text)
            await writer.finish()

    def _speaking(self) -> _Speaking:
        self._emit(ReplyStarted(reply=self.number, turn=self.number))
        return _Speaking(self, aloud=self._settings.speak)

    async def _step(self, prompt: str | None) -> bool:
        """One request, asked again when its answer breaks off before any of it is to be spoken; whether it called
        tools. Raises ReplyBroke when it breaks off later."""
        until = clock.now() + self._deadlines.first_token
        for attempt in count(1):
            asking = _Asking(self)
            try:
                return await self._ask(prompt, asking, until - clock.now())
            except ProviderError as error:
                asking.writer.stop()
                if not error.retryable or not asking.begun:
                    raise
                if asking.given or attempt == _ATTEMPTS or clock.now() >= until:
                    raise broke(error) from error
        raise AssertionError

    async def _ask(self, prompt: str | None, asking: _Asking, first: float) -> bool:
        """One request, whose answer must begin within ``first`` seconds."""
        name, writer = self._reasoner.name, asking.writer
        with (
            blame(name, "replying"),
            Patience(first, self._deadlines.token_gap, provider=name, doing="replying") as patience,
        ):
            async with self._reasoner.reply(self._request(prompt)) as items:
                async for item in items:
                    match item:
                        case TextDelta(text=text):
                            asking.begun = True
                            await writer.push(text, patience)
                        case ToolCall(call=call, name=tool, arguments=arguments):
                            asking.begun = asking.called = True
                            self._pending.add(call)
                            self._emit(ModelToolCall(self.number, 0, call, tool, arguments))
                        case ReasonerUsage(amounts=amounts):
                            self._emit(ModelUsage(provider=name, amounts=amounts, reply=self.number))
                        case _:
                            pass
                    patience.fed()
        await writer.finish()
        return asking.called

    def _request(self, prompt: str | None) -> ReasonerRequest:
        settings, limits = self._settings, self._reasoner.capabilities.history
        messages = self._context.history(limits)
        if prompt is not None:
            part = TextPart(prompt)
            if messages and messages[-1].role == "user":
                messages = (*messages[:-1], Message("user", (*messages[-1].parts, part)))
            else:
                messages = (*messages, Message("user", (part,)))
        return ReasonerRequest(
            messages=messages,
            resources=self._context.resources,
            instructions=settings.instructions,
            tools=settings.tools if limits.tools else (),
            temperature=settings.temperature,
        )

    # ------------------------------------------------------------ the writer's side

    def write(self, text: str) -> None:
        """Tell the session of more text."""
        self._written += text
        self._emit(ReplyTextDelta(reply=self.number, text=text))

    @property
    def aloud(self) -> bool:
        """Whether it is spoken."""
        return self._settings.speak

    @property
    def written(self) -> str:
        """The text so far."""
        return self._written

    async def hand(self, pieces: list[Piece], base: int, patience: Patience | None = None) -> None:
        """Hand clauses to the voice; waits when it has enough of them, which is not the reasoner's time."""
        for piece in pieces:
            if self._settings.speak:
                waits = patience is not None and self._clauses.full
                with patience.paused() if patience is not None and waits else nullcontext():
                    await self._clauses.put(Spoken(piece, base, clock.now()))

    def hand_now(self, pieces: list[Piece], base: int) -> None:
        """As :meth:`hand`, from a timer."""
        for piece in pieces:
            if self._settings.speak:
                self._clauses.add(Spoken(piece, base, clock.now()))

    async def speak(self) -> None:
        """Run a voice on the clauses handed to it."""
        voice = ReplyVoice(
            self.number,
            self._synthesizer,
            SpeakConfig(self._context.resources, self._context.want, self._settings.voice),
            first_audio=self._deadlines.first_audio,
            audio_gap=self._deadlines.audio_gap,
            emit=self._emit,
            room=room_for(self._out, self._context),
        )
        await voice.run(self._clauses)

    def close(self) -> None:
        """No more clauses."""
        self._clauses.close()

    def ended(self) -> None:
        """All of it was given out. Raises ReplyBroke where that is not all that was to be said."""
        if self._broke is not None:
            raise self._broke
        self._emit(ReplyEnded(reply=self.number))


class _Speaking:
    """Around the writing of a reply: a voice runs beside it if it is said ``aloud``; it has ended when both have."""

    def __init__(self, reply: Reply, *, aloud: bool) -> None:
        self._reply = reply
        self._aloud = aloud
        self._children = anyio.create_task_group()

    async def __aenter__(self) -> None:
        await self._children.__aenter__()
        if self._aloud:
            self._children.start_soon(self._reply.speak)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._reply.close()
        await self._children.__aexit__(kind, error, trace)  # type: ignore[arg-type]
        if error is None:
            self._reply.ended()


class _Writer:
    """The text of one request on its way to the voice; a timer may cut its first clause.

    ``begun``: some of it was told. Of what is to be spoken nothing is told before there is a clause: until then the
    request can be made again.
    """

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._segmenter = Segmenter()
        self._base = len(reply.written)
        self._held = ""
        self._timer: asyncio.TimerHandle | None = None
        self.begun = False

    async def push(self, text: str, patience: Patience | None = None) -> None:
        if not text:
            return
        if not self.begun and not self._held:
            self._reply.write("")  # the time of the first word
            if self._joins(text):
                self._held = " "
                self._base += 1
        self._held += text
        pieces = self._segmenter.push(text, clock.now())
        if self._timer is None and self._segmenter.deadline is not None:
            self._timer = asyncio.get_running_loop().call_at(self._segmenter.deadline, self._tick)
        if pieces or self.begun or not self._reply.aloud:
            self._tell()
        await self._reply.hand(pieces, self._base, patience)

    def _joins(self, text: str) -> bool:
        """Whether the text before a tool call and the text after it would run together."""
        before = self._reply.written
        return bool(before) and not before[-1].isspace() and not text[0].isspace()

    def _tell(self) -> None:
        if self._held:
            self.begun = True
            self._reply.write(self._held)
            self._held = ""

    def _tick(self) -> None:
        pieces = self._segmenter.tick(clock.now())
        if pieces:
            self._tell()
        self._reply.hand_now(pieces, self._base)

    def stop(self) -> None:
        """No more of it is handed on."""
        if self._timer is not None:
            self._timer.cancel()

    async def finish(self) -> None:
        self.stop()
        self._tell()
        await self._reply.hand(self._segmenter.finish(), self._base)


class _Asking:
    """What one request has brought so far. ``begun``: an answer; ``called``: calls of tools."""

    def __init__(self, reply: Reply) -> None:
        self.writer = _Writer(reply)
        self.begun = self.called = False

    @property
    def given(self) -> bool:
        """Whether some of it was told, so that it cannot be asked for again."""
        return self.called or self.writer.begun


def broke(error: ProviderError) -> ReplyBroke:
    """``error`` happened after some of the answer had been told."""
    words = str(error.args[0]).removeprefix(f"{error.provider}: ")
    return ReplyBroke(
        f"broke off in the midst of a reply: {words}",
        provider=error.provider,
        doing="replying",
        retryable=True,
        hint=error.hint,
    )
