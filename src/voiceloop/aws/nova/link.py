"""One session's link to Nova Sonic: commands in, events out, whatever connection serves at the moment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from voiceloop.aws.nova.bell import Outbox
from voiceloop.aws.nova.events_in import PROVIDER
from voiceloop.aws.nova.history import GREETING
from voiceloop.aws.nova.pump import Learnt, Shared
from voiceloop.aws.nova.renewal import Renewer
from voiceloop.aws.nova.ring import Ring
from voiceloop.aws.nova.sonic import NovaSonic
from voiceloop.errors import ProviderRefused, SettingRefused, UnknownName
from voiceloop.interfaces import (
    Attend,
    Command,
    Cut,
    EndOfTurn,
    Link,
    LinkContext,
    LinkEvent,
    LinkNotice,
    Pause,
    Prompt,
    ReplyFailed,
    ReplyStarted,
    Resources,
    Say,
    ToolResult,
    Update,
    UserText,
)


@asynccontextmanager
async def open_link(model: NovaSonic, context: LinkContext) -> AsyncIterator[Link]:
    """Open the first connection; leaving closes whatever is open, properly if the service lets us."""
    model.check_tools([tool.name for tool in context.settings().tools])
    access = await model.account.access(context.resources)
    learnt = await _learnt(model.model, context.resources)
    out = Outbox()
    failure: BaseException | None = None
    try:
        async with anyio.create_task_group() as group:
            renewer = Renewer.of(Shared(model, access, Ring(), out, learnt), context, group)
            try:
                renewer.start()
                await renewer.stands()
                yield NovaLink(model, renewer, out)
            except BaseException as error:
                failure = error
                raise
            finally:
                out.close()
                await renewer.leave()
                group.cancel_scope.cancel()
    except BaseExceptionGroup:
        if failure is None:
            raise
    if failure is not None:
        raise failure  # out of the group it stays bare


async def _learnt(model: str, resources: Resources) -> Learnt:
    @asynccontextmanager
    async def fresh() -> AsyncIterator[Learnt]:
        yield Learnt()

    return await resources.get(("voiceloop.aws.nova", model), fresh)


class NovaLink(Link):
    """See :class:`Link`."""

    def __init__(self, model: NovaSonic, renewer: Renewer, out: Outbox) -> None:
        self._model = model
        self._renewer = renewer
        self._out = out

    async def send_audio(self, pcm: bytes) -> None:
        """See :meth:`Link.send_audio`. Waits when more is kept than a gap between connections may need."""
        self._out.check()
        self._renewer.hear(pcm)
        if self._renewer.full:
            await self._renewer.room()
            self._out.check()

    async def send(self, command: Command) -> None:
        """See :meth:`Link.send`."""
        self._out.check()
        renewer = self._renewer
        match command:
            case Attend():
                renewer.attend(speaking=True)
            case Pause():
                renewer.attend(speaking=False)
            case EndOfTurn():
                renewer.attend(speaking=False)
                renewer.hand_over()
            case UserText(text=text, images=images, turn=int(turn)):
                if images:
                    self._out.put(LinkNotice("images-ignored", "The model takes no images; only the text was sent."))
                self._ask(text, turn)
            case UserText():
                renewer.want()  # it is in the history, which only a new connection is told
            case Prompt(turn=turn, text=text):
                self._ask(text or GREETING, turn)
            case Say(turn=turn):
                self._cannot(turn, "speaks no given words", "Use Session.greet(prompt) instead.")
            case ToolResult():
                renewer.give(command)
            case Cut(turn=turn):
                renewer.withdraw(turn)
            case Update():
                self._update(command)

    def __aiter__(self) -> AsyncIterator[LinkEvent]:
        return self._out

    def _ask(self, text: str, turn: int) -> None:
        if self._model.family.text_input:
            self._renewer.ask(text, turn)
        else:
            self._cannot(turn, f"{self._model.model} takes no text", "Use a Nova 2 model, such as the default.")

    def _cannot(self, turn: int, what: str, hint: str) -> None:
        number = self._renewer.number_reply()
        error = ProviderRefused(what, provider=PROVIDER, doing="replying", hint=hint)
        self._out.put(ReplyStarted(number, turn), ReplyFailed(number, error, fatal=False))

    def _update(self, update: Update) -> None:
        voice, temperature = update.settings.voice, update.settings.temperature
        if "voice" in update.changed and voice is not None:
            try:
                self._model.check_voice(voice)
            except UnknownName as unknown:
                raise SettingRefused(str(unknown), doing="changing the voice") from unknown
        if "tools" in update.changed:
            try:
                self._model.check_tools([tool.name for tool in update.settings.tools])
            except UnknownName as unknown:
                raise SettingRefused(str(unknown), doing="changing the tools") from unknown
        if temperature is not None and not 0 <= temperature <= 1:
            raise SettingRefused(f"temperature={temperature!r}: a number from 0 to 1 is allowed")
        self._renewer.settings = update.settings
        if update.changed & self._model.capabilities.renews:
            self._renewer.want()
