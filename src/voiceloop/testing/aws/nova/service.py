"""Amazon Nova Sonic: InvokeModelWithBidirectionalStream, from its first event to its end."""

from __future__ import annotations

import random
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from typing import ClassVar

import anyio
from anyio.abc import TaskGroup
from attrs import define, evolve, field

from voiceloop import clock
from voiceloop.audio import rms_dbfs
from voiceloop.errors import VoiceloopError
from voiceloop.testing.aws.exchange import ConnectionLost, Exchange, Refusal, StreamService, UncleanEnd
from voiceloop.testing.aws.nova.conductor import Conductor, conversation_of
from voiceloop.testing.aws.nova.events import (
    GAP,
    GENERIC,
    MODEL_TIMEOUT,
    NO_EVENTS,
    RESET_531,
    STREAM_ERROR,
    Invalid,
    StreamFailure,
    decode,
    refusal,
    usage,
)
from voiceloop.testing.aws.nova.hearing import Hearing
from voiceloop.testing.aws.nova.output import Output
from voiceloop.testing.aws.nova.profile import MODELS, NovaLimits, NovaProfile, NovaTimers
from voiceloop.testing.aws.nova.protocol import Protocol
from voiceloop.testing.aws.nova.record import InputAudio, NovaConnection
from voiceloop.testing.aws.nova.requests import (
    Asked,
    Audio,
    AudioClosed,
    AudioOpened,
    History,
    PromptEnded,
    PromptStarted,
    SessionEnded,
    SessionStarted,
    System,
    ToolAnswered,
    UserText,
)
from voiceloop.testing.aws.nova.utterance import Parts, Playback
from voiceloop.testing.aws.stage import Stage

_PATH = re.compile(r"/model/(?:arn:[^/]*foundation-model/)?([^/]+)/invoke-with-bidirectional-stream")
_HEADERS = {"content-type": "application/vnd.amazon.eventstream"}
_LAST_WORDS_S = 1.0
_SPEECH_DBFS = -50.0


class NovaSonicStream(StreamService):
    """Nova Sonic over ``stage.backing``.

    ``profile``, ``limits`` and ``timers`` hold for connections that are opened from then on, and may be changed at
    any time. ``connections``: a record of each, in order of opening. ``keep_audio``: they keep all input audio.
    """

    service: ClassVar[str] = "bedrock-runtime"
    operation: ClassVar[str] = "InvokeModelWithBidirectionalStream"

    def __init__(
        self,
        stage: Stage,
        profile: NovaProfile | None = None,
        limits: NovaLimits | None = None,
        timers: NovaTimers | None = None,
    ) -> None:
        self.stage = stage
        self.profile = profile or NovaProfile()
        self.limits = limits or NovaLimits()
        self.timers = timers or NovaTimers()
        self.keep_audio = False
        self.connections: list[NovaConnection] = []

    def struck(self) -> NovaProfile:
        """The profile of a new connection, with the faults of the kind ``nova:...`` that are due."""
        take, profile = self.stage.faults.take, self.profile
        for kind, changes in NovaProfile.faults().items():
            if take(self.operation, kind) is not None:
                profile = evolve(profile, **changes)
        return profile

    def matches(self, method: str, path: str) -> bool:
        return method == "POST" and _PATH.fullmatch(path) is not None

    def actions(self, path: str) -> tuple[tuple[str, str], ...]:
        """``bedrock:InvokeModel`` on the model, as the API reference says."""
        return (("bedrock:InvokeModel", f"arn:aws:bedrock:*::foundation-model/{_model(path)}"),)

    async def serve(self, exchange: Exchange) -> None:
        model = _model(exchange.path)
        if model not in MODELS:
            raise Refusal(400, "ValidationException", "The provided model identifier is invalid.")
        if sum(connection.closed is None for connection in self.connections) >= self.limits.streams:
            raise Refusal(
                400,
                "ServiceQuotaExceededException",
                "Your request exceeds the service quota for your account: concurrent bidirectional streams.",
            )
        audio = InputAudio(keep=self.keep_audio)
        record = NovaConnection(len(self.connections) + 1, model, clock.now(), audio)
        self.connections.append(record)
        try:
            await _Connection.serve(self, exchange, record)
        finally:
            record.closed = clock.now()
            record.ended = record.ended or "lost"


def _model(path: str) -> str:
    found = _PATH.fullmatch(path)
    return found[1] if found else ""


class _PlainEnd(Exception):
    """The stream ends without a word."""


@define
class _Watch:
    """When things came last, on ``clock.now()``, and when the connection ends for want of them."""

    timers: NovaTimers
    of: Callable[[float], float]
    opened: float = field(factory=clock.now)
    content: float = field(factory=clock.now)
    started: bool = False

    def audio(self, pcm: bytes) -> None:
        """Input audio came."""
        if self.timers.silence_counts or rms_dbfs(pcm) > _SPEECH_DBFS:
            self.content = clock.now()

    def deadlines(self, last_speech: float) -> Iterator[tuple[float, Exception]]:
        """When each timer ends the connection, and how. ``last_speech``: when either side spoke last."""
        timers, of = self.timers, self.of
        yield self.opened + of(timers.longest), _at_longest(timers)
        if not self.started:
            yield self.opened + of(timers.events), StreamFailure("ValidationException", NO_EVENTS)
            return
        yield self.content + of(timers.gap), StreamFailure("ValidationException", GAP.format(f"{timers.gap:g}"))
        if timers.quiet is not None:
            text = RESET_531 if timers.quiet_error == "531" else GAP.format(f"{timers.quiet:g}")
            yield max(self.opened, last_speech) + of(timers.quiet), StreamFailure("ValidationException", text)


def _at_longest(timers: NovaTimers) -> Exception:
    match timers.longest_error:
        case "timeout":
            return StreamFailure("ModelTimeoutException", MODEL_TIMEOUT)
        case "531":
            return StreamFailure("ValidationException", RESET_531)
        case "end":
            return _PlainEnd()


@define(eq=False)
class _Prompt:
    """What serves a prompt from its first AUDIO block on."""

    conductor: Conductor
    hearing: Hearing
    output: Output
    playback: Playback


@define(eq=False)
class _Connection:
    """One stream: reads events, keeps the timers, and hands what is asked to the conductor."""

    _service: NovaSonicStream
    _exchange: Exchange
    _record: NovaConnection
    _group: TaskGroup
    _stack: AsyncExitStack
    _profile: NovaProfile
    _protocol: Protocol
    _watch: _Watch
    _early: list[UserText] = field(factory=list)
    _prompt: _Prompt | None = None
    _over: anyio.Event = field(factory=anyio.Event)
    _failure: Exception | None = None

    @classmethod
    async def serve(cls, service: NovaSonicStream, exchange: Exchange, record: NovaConnection) -> None:
        """Serve until the stream is over. Raises Refusal, UncleanEnd, ConnectionLost and bugs, bare."""
        profile = service.struck()
        protocol = Protocol(record.model, service.limits, profile.blocked)
        async with anyio.create_task_group() as group, AsyncExitStack() as stack:
            watch = _Watch(service.timers, service.stage.timers.of)
            connection = cls(service, exchange, record, group, stack, profile, protocol, watch)
            try:
                await connection._guarded(connection._run)
            finally:
                connection._stop()
        await connection._conclude()

    async def _run(self) -> None:
        self._spawn(self._keep_time)
        await self._read()

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do ``work``; the first failure of any task ends the connection, and stays as it is."""
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - kept for _conclude(), which raises it: out of the group it stays bare
            self._failure = self._failure or error
            self._stop()

    def _stop(self) -> None:
        self._group.cancel_scope.cancel()
        if self._prompt is not None:
            self._prompt.output.close()

    def _spawn(self, work: Callable[[], Awaitable[None]]) -> None:
        self._group.start_soon(self._guarded, work)

    async def _conclude(self) -> None:
        """Say how it ended, to the record and to the caller."""
        failure = self._failure
        match failure:
            case None:
                return
            case _PlainEnd():
                self._record.ended = "limit"
                return
            case ConnectionLost() | UncleanEnd():
                self._record.ended = "lost" if isinstance(failure, ConnectionLost) else "unclean"
                raise failure
            case Invalid():
                failure = StreamFailure("ValidationException", str(failure))
            case VoiceloopError():
                failure = StreamFailure("ModelStreamErrorException", STREAM_ERROR)
        if not isinstance(failure, StreamFailure):
            raise failure
        self._record.ended = failure.code[0].lower() + failure.code[1:]
        self._record.message = failure.text
        if not self._watch.started:
            await self._exchange.respond(_HEADERS)
        raise refusal(failure, as_list=self._profile.multi_error) from self._failure

    # ------------------------------------------------------------ events

    async def _read(self) -> None:
        async for message in self._exchange:
            self._record.events += 1
            asked = self._protocol.feed(*decode(message))
            if asked is not None:
                await self._take(asked)
            if isinstance(asked, SessionEnded):
                await self._last_words()
                return
        self._record.ended = "unfinished"
        if not self._watch.started:
            raise Invalid(GENERIC)

    async def _last_words(self) -> None:
        """The session is over: completionEnd is sent first, and nothing but the end of the input may follow."""
        await self._over.wait()
        with anyio.move_on_after(_LAST_WORDS_S):
            async for _ in self._exchange:
                raise Invalid(GENERIC)
        self._record.ended = "closed"

    async def _take(self, asked: Asked) -> None:
        record, watch, prompt = self._record, self._watch, self._prompt
        match asked:
            case SessionStarted():
                record.session, watch.started, watch.content = asked, True, clock.now()
                await self._exchange.respond(_HEADERS)
            case PromptStarted():
                record.prompt = asked
            case System():
                record.system.append(asked)
            case History():
                record.history.append(asked)
            case AudioOpened(rate):
                await self._open_audio(rate)
            case Audio(pcm):
                await self._audio(pcm)
            case AudioClosed() if prompt is not None:
                for signal in await prompt.hearing.close():
                    await prompt.conductor.happen(signal)
            case UserText():
                record.texts.append(asked.text)
                await self._interactive(asked)
            case ToolAnswered():
                record.results.append(asked)
                await self._interactive(asked)
            case PromptEnded() if prompt is not None:
                await prompt.conductor.happen(asked)
            case PromptEnded() | SessionEnded() if prompt is None:
                self._over.set()
            case _:
                pass

    async def _interactive(self, asked: UserText | ToolAnswered) -> None:
        """Content that is taken as live; what comes before any audio waits for it."""
        self._watch.content = clock.now()
        if self._prompt is not None:
            await self._prompt.conductor.happen(asked)
        elif isinstance(asked, UserText):
            self._early.append(asked)

    async def _audio(self, pcm: bytes) -> None:
        assert self._prompt is not None
        self._record.audio.add(pcm)
        self._watch.audio(pcm)
        for signal in await self._prompt.hearing.audio(pcm):
            await self._prompt.conductor.happen(signal)

    # ------------------------------------------------------------ the prompt

    async def _open_audio(self, rate: int) -> None:
        self._record.audio.opened(rate)
        self._watch.content = clock.now()
        stage = self._service.stage
        if self._prompt is None:
            self._prompt = await self._made_prompt()
            self._stack.callback(self._prompt.conductor.close)
            await self._prompt.hearing.open(rate, stage.resources, self._stack)
            await self._prompt.hearing.expect(stage.backing.reasoner, conversation_of(self._record.history).view())
            self._spawn(self._prompt.hearing.listen)
            self._spawn(self._conduct)
            for text in self._early:
                await self._prompt.conductor.happen(evolve(text, live=True))
        else:
            await self._prompt.hearing.open(rate, stage.resources, self._stack)

    async def _made_prompt(self) -> _Prompt:
        record, stage, profile = self._record, self._service.stage, self._profile
        assert record.prompt is not None
        assert record.session is not None
        turns = profile.turns or stage.backing.turns
        hearing = Hearing(stage.backing.recognizer, turns, profile.endpoint_ms[record.session.sensitivity])
        output = Output(self._exchange, record.prompt.prompt, record.prompt.rate, profile.undocumented)
        read = "".join([block.text for block in record.system] + [block.text for block in record.history])
        await output.usage(usage(read=read))
        parts = Parts(
            stage.backing.reasoner,
            stage.backing.synthesizer,
            stage.resources,
            profile,
            output,
            Playback(),
            conversation_of(record.history),
            record,
            self._offered,
            stage.backing.first_token,
        )
        flush = self._watch.of(self._watch.timers.flush)
        chance = random.Random(f"{profile.seed}/{record.number}")
        conductor = Conductor(parts, hearing, self._spawn, flush, chance)
        return _Prompt(conductor, hearing, output, parts.playback)

    def _offered(self, use: str) -> None:
        """A tool use goes out. A model that takes no audio until its result comes refuses it a moment later."""
        self._protocol.tools.offered(use)
        if not self._profile.audio_while_tool_pending:
            self._spawn(partial(self._deafen, use))

    async def _deafen(self, use: str) -> None:
        await anyio.sleep(self._profile.audio_grace)
        self._protocol.tools.deafen(use)

    async def _conduct(self) -> None:
        assert self._prompt is not None
        await self._prompt.conductor.run()
        self._over.set()

    # ------------------------------------------------------------ time

    async def _keep_time(self) -> None:
        """End the connection when one of its timers runs out."""
        while True:
            prompt, now = self._prompt, clock.now()
            spoken = max(prompt.hearing.last_speech, min(now, prompt.playback.until)) if prompt is not None else 0.0
            when, end = min(self._watch.deadlines(spoken), key=lambda deadline: deadline[0])
            if now >= when:
                raise end
            await anyio.sleep(when - now)
