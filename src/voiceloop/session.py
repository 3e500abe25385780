"""Session: one user, wherever they are, joined to one speech model."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Literal

import anyio
import attrs

from voiceloop import clock
from voiceloop.audio import PCM16_16K, PCM16_24K, AudioFormat
from voiceloop.conversation import ImagePart
from voiceloop.engine.arguments import check
from voiceloop.engine.conductor import Conductor
from voiceloop.engine.ears import Hearing
from voiceloop.engine.lanes import Side
from voiceloop.engine.parts import Parts, Plan
from voiceloop.engine.pool import Pool
from voiceloop.engine.runtime import Runtime
from voiceloop.engine.speaker import Voice
from voiceloop.engine.turn import Request, Turn
from voiceloop.engine.uplink import Ask
from voiceloop.errors import BadInput, SettingRefused, VoiceloopError
from voiceloop.events import Event, Heard
from voiceloop.interfaces import (
    MarkKind,
    Memory,
    ModelCapabilities,
    Observer,
    Prompt,
    Say,
    Settings,
    SpeechModel,
    Synthesizer,
    TurnDetector,
    Update,
)
from voiceloop.rules.budgets import Idle, Limits
from voiceloop.rules.endpointing import Endpointing
from voiceloop.rules.floor import BargeIn
from voiceloop.rules.timeline import Pacing, Visemes
from voiceloop.tools import Tool, toolbox


class Session:
    """A spoken conversation: ``async with Session(model) as session: async for event in session: ...``.

    The constructor checks its arguments and does no I/O; entering connects, leaving closes, and nothing is left
    running. Feed it with :meth:`send_audio` and :meth:`send_text`, at any time, from any task.

    - ``model``: a :class:`~voiceloop.Cascade` or another speech model.
    - ``instructions`` and ``tools`` are for its reasoner; ``voice``, ``temperature``: None is the provider's own;
      ``speak=False``: text only.
    - ``audio``: an async iterable of PCM, sent for you; its end is :meth:`end_input`.
    - ``input``, ``output``: the formats of ``send_audio`` and of ``AudioChunk``; converted for you, to the sample.
    - ``lead``: s of audio let out ahead of the listener (None: as it comes, for files).
    - ``chunk_ms``: exact length of audio chunks.
    - ``visemes``: "off", "prompt" (never hold audio for them) or "synced" (hold it up to ``viseme_wait`` s).
    - ``turns``: what hears when the user speaks, "auto", or "manual" for push-to-talk with :meth:`end_turn`.
    - ``endpointing``: the silences that end a turn. ``eager``: prepare the answer in short pauses.
    - ``barge_in``: what interrupts the assistant: "speech", recognized "words", or nothing ("off").
    - ``ignore_echo``: words that the assistant is just saying are not the user's. False where echo is cancelled.
    - ``idle``: what to say when nobody speaks. ``narrator``: a voice for given words (:meth:`say`) where the model
      cannot speak them. ``limits``: the bounds of every wait and queue.
    - ``conversation_id`` and ``memory``: go on with an earlier conversation, and keep this one.
    - ``observers`` watch. ``pool``: shared connections, by default one for all sessions of the event loop.
    """

    def __init__(
        self,
        model: SpeechModel,
        *,
        instructions: str = "",
        tools: Iterable[Tool | Callable[..., Any]] = (),
        voice: str | None = None,
        temperature: float | None = None,
        speak: bool = True,
        audio: AsyncIterable[bytes] | None = None,
        input: AudioFormat = PCM16_16K,
        output: AudioFormat = PCM16_24K,
        lead: float | None = 0.6,
        chunk_ms: int | None = None,
        visemes: Visemes = "synced",
        viseme_wait: float = 0.08,
        turns: TurnDetector | Literal["auto", "manual"] = "auto",
        endpointing: Endpointing = Endpointing(),
        barge_in: BargeIn = "speech",
        ignore_echo: bool = True,
        eager: bool = False,
        idle: Idle | None = None,
        narrator: Synthesizer | None = None,
        conversation_id: str | None = None,
        memory: Memory | None = None,
        limits: Limits = Limits(),
        observers: Sequence[Observer] = (),
        pool: Pool | None = None,
    ) -> None:
        check(model=model, input=input, output=output, turns=turns, endpointing=endpointing, eager=eager)
        check(instructions=instructions, voice=voice, speak=speak, narrator=narrator, idle=idle, limits=limits)
        check(visemes=visemes, viseme_wait=viseme_wait, lead=lead, chunk_ms=chunk_ms)
        check(barge_in=barge_in, ignore_echo=ignore_echo)
        check(conversation_id=conversation_id, memory=memory, pool=pool)
        model = _narrated(model, narrator)
        able = model.capabilities
        _check_idle(idle, model)
        speaking = Voice(
            source=able.output,
            pacing=Pacing(format=output, lead=lead, chunk_ms=chunk_ms, mark_wait=viseme_wait),
            waits_for_marks=visemes == "synced" and "viseme" in able.marks,
            limits=limits,
            barge_in=barge_in,
        )
        hearing = _hearing(able, turns, endpointing, eager)
        want: frozenset[MarkKind] = frozenset({"word"} if visemes == "off" else {"word", "viseme"})
        self._parts = Parts(
            model=model,
            plan=Plan(model.name, input, able.input, hearing, speaking, limits, idle, ignore_echo),
            settings=Settings(instructions, tuple(toolbox(tools).values()), voice, temperature, speak),
            want=want & able.marks,
            conversation_id=conversation_id or "",
            turns=turns if isinstance(turns, TurnDetector) else None,
            memory=memory,
            pool=pool,
            audio=audio,
            observers=tuple(observers),
        )
        self._detects = turns == "auto"
        self._runtime: Runtime | None = None
        self._told = False
        self._changing = anyio.Lock()

    # ------------------------------------------------------------ entering and leaving

    async def __aenter__(self) -> Session:
        if self._runtime is not None:
            raise BadInput("a Session can be entered once", hint="Make a new one; pass conversation_id to go on.")
        parts = self._parts
        if self._detects:
            parts = attrs.evolve(parts, turns=_default_turns())
        if not parts.conversation_id:
            parts = attrs.evolve(parts, conversation_id=clock.new_id())
        self._runtime = Runtime(parts, self)
        await self._runtime.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        runtime = self._running
        try:
            await runtime.stop()
        except VoiceloopError as stuck:
            if error is None:
                raise
            error.add_note(str(stuck))
        finally:
            runtime.watchers.close()
        if runtime.failure is not None and not self._told and error is None:
            self._told = True
            raise runtime.failure

    @property
    def _running(self) -> Runtime:
        if self._runtime is None or not self._runtime.stood_up:
            raise BadInput("the session has not been entered", hint="Use it as: async with Session(...) as session.")
        return self._runtime

    @property
    def conversation_id(self) -> str:
        """The id under which this conversation is kept; pass it to another session to go on."""
        return self._running.conversation_id

    # ------------------------------------------------------------ in

    async def send_audio(self, pcm: bytes | bytearray | memoryview, *, at: float | None = None) -> None:
        """Send whole samples of ``input``, as they are captured; returns when accepted, all or nothing.

        ``at``: when the last sample was captured, on ``anyio.current_time()``; default now. Waits for room at most
        ``limits.input_stall``, then the session fails with InputStalled. Raises AudioFormatError on a broken sample,
        SessionClosed after the end (SessionFailed if that was a failure).
        """
        runtime = self._running
        runtime.alive("sending audio")
        if runtime.uplink.full:
            await runtime.uplink.room()
            runtime.alive("sending audio")
        runtime.uplink.audio(pcm, at)

    async def send_text(self, text: str, *, images: Sequence[ImagePart] = (), reply: bool = True) -> None:
        """Say something by keyboard; interrupts the assistant. ``reply=False``: it only takes note.

        Raises BadInput for blank text without images, SessionClosed after the end.
        """
        conductor = self._alive("sending text")
        if not text.strip() and not images:
            raise BadInput("text is blank", hint="Send text with words in it, or images.")
        if not self._parts.model.capabilities.text_input:
            raise BadInput(f"{self._parts.model.name} takes no typed text")
        conductor.text(text, tuple(images), reply=reply)

    async def end_turn(self) -> None:
        """The user's turn is over: push-to-talk was released. Does nothing if they said nothing."""
        self._alive("ending the turn").listener.end_turn()

    async def end_input(self) -> None:
        """No more input will come: answer what was said, then the session ends."""
        self._alive("ending the input").course.end_input()

    def played(self, turn: int, ms: float, *, stopped: bool = False) -> None:
        """Report the listener's position on the timeline of ``turn``; an old turn or session is ignored.

        ``stopped=True``: playback of this turn is over, this is the last word on what was heard of it; when more was
        to come, that interrupts the turn. Raises BadInput when ``ms`` is no number.
        """
        if isinstance(ms, bool) or not isinstance(ms, int | float) or not math.isfinite(ms):
            raise BadInput(f"ms={ms!r}: a number of milliseconds is needed")
        runtime = self._running
        if not runtime.over:
            runtime.conductor.speaker.played(turn, ms, stopped=stopped)

    # ------------------------------------------------------------ out

    def __aiter__(self) -> Session:
        return self

    async def __anext__(self) -> Event:
        return await self._next("both")

    def signals(self) -> AsyncIterator[Event]:
        """Only what must not wait behind audio: speech, transcripts, pauses, interruptions, tools, usage, notices."""
        return _Side(lambda: self._next("signals"))

    def replies(self) -> AsyncIterator[Event]:
        """Only the replies, in order: turns, text, visemes, words, audio."""
        return _Side(lambda: self._next("replies"))

    async def _next(self, side: Side) -> Event:
        runtime = self._running
        event = await runtime.conductor.lanes.next(side)
        if event is not None:
            return event
        if runtime.failure is not None and not self._told:
            self._told = True
            raise runtime.failure
        raise StopAsyncIteration

    # ------------------------------------------------------------ control

    async def say(self, text: str, *, interruptible: bool = True) -> Utterance:
        """Say exactly ``text``, after what is being said. The handle resolves to what was heard of it.

        Raises BadInput for blank text, or when the model cannot speak given words.
        """
        conductor = self._alive("saying a text")
        if not text.strip():
            raise BadInput("text is blank: there is nothing to say")
        if not self._parts.model.capabilities.says:
            raise BadInput(f"{self._parts.model.name} cannot speak given words", hint=_NARRATOR)
        turn = conductor.speaker.new_turn("say", interruptible=interruptible)
        return self._enqueue(conductor, turn, Say(turn=turn.number, text=text))

    async def greet(self, prompt: str | None = None) -> Utterance:
        """Let the assistant speak first, in its own words; ``prompt`` tells it what about.

        Raises BadInput when the model takes no text, so that it cannot be asked to.
        """
        conductor = self._alive("greeting")
        if not self._parts.model.capabilities.text_input:
            raise BadInput(f"{self._parts.model.name} cannot be asked to speak first")
        turn = conductor.speaker.new_turn("greet")
        return self._enqueue(conductor, turn, Prompt(turn=turn.number, text=prompt))

    def _enqueue(self, conductor: Conductor, turn: Turn, request: Request) -> Utterance:
        turn.outcome = asyncio.get_running_loop().create_future()
        conductor.speak(turn, request)
        return Utterance(turn.number, turn.outcome)

    async def interrupt(self) -> None:
        """Stop what the assistant says, as a barge-in would."""
        self._alive("interrupting").interrupt()

    async def update(
        self,
        *,
        instructions: str | None = None,
        tools: Iterable[Tool | Callable[..., Any]] | None = None,
        voice: str | None = None,
        temperature: float | None = None,
        speak: bool | None = None,
    ) -> Literal["applied", "renewing"]:
        """Change settings while it runs; None leaves one as it is. Raises SettingRefused; then nothing changed.

        "renewing": they hold for the model once a new connection has taken over; SettingApplied tells when.
        """
        conductor = self._alive("changing settings")
        given: dict[str, Any] = {
            "instructions": instructions,
            "tools": None if tools is None else tuple(toolbox(tools).values()),
            "voice": voice,
            "temperature": temperature,
            "speak": speak,
        }
        changed = {name: value for name, value in given.items() if value is not None}
        if not changed:
            raise BadInput("nothing to change", hint=f"Pass one of {', '.join(given)}.")
        async with self._changing:
            settings = attrs.evolve(conductor.settings, **changed)
            later = self._parts.model.capabilities.renews & frozenset(changed)
            outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            ask = Ask(
                Update(settings=settings, changed=frozenset(changed)),
                outcome,
                accepted=lambda: conductor.apply(settings, frozenset(changed) - later, later=later),
            )
            self._running.uplink.send(ask)
            await self._answered(outcome)
        return "renewing" if later else "applied"

    async def _answered(self, outcome: asyncio.Future[None]) -> None:
        limit = self._parts.plan.limits.connect
        try:
            async with asyncio.timeout(limit):
                await outcome
        except TimeoutError:
            raise SettingRefused(f"the model did not answer within {limit:g} s", doing="changing settings") from None

    async def end(self, *, after_speech: bool = True) -> None:
        """Hang up politely: after what is being said, or at once. Tools may call it. Does nothing after the end."""
        runtime = self._running
        if not runtime.ended:
            runtime.conductor.course.end("ended", after_speech=after_speech)

    def _alive(self, doing: str) -> Conductor:
        return self._running.alive(doing)


class Utterance:
    """The handle of :meth:`Session.say` and :meth:`Session.greet`; ``turn`` is its turn's number."""

    def __init__(self, turn: int, outcome: asyncio.Future[Heard]) -> None:
        self.turn = turn
        self._outcome = outcome

    async def done(self) -> Heard:
        """What was heard of it, once it is over; ``dropped`` says why nothing was. Safe to cancel."""
        return await asyncio.shield(self._outcome)


class _Side:
    """One lane of a session."""

    def __init__(self, take: Callable[[], Awaitable[Event]]) -> None:
        self._take = take

    def __aiter__(self) -> _Side:
        return self

    async def __anext__(self) -> Event:
        return await self._take()


def _default_turns() -> TurnDetector:
    from voiceloop.turns import default_turns

    return default_turns()


_NARRATOR = "Use a prompt, for the model's own words, or give the session a narrator=."


def _narrated(model: SpeechModel, narrator: Synthesizer | None) -> SpeechModel:
    if narrator is None or model.capabilities.says:
        return model
    from voiceloop.cascade.narrated import Narrated

    return Narrated(model, narrator)


def _check_idle(idle: Idle | None, model: SpeechModel) -> None:
    if idle is None:
        return
    if idle.say is not None and not model.capabilities.says:
        raise BadInput(f"idle.say: {model.name} cannot speak given words", hint=_NARRATOR)
    if idle.say is None and not model.capabilities.text_input:
        raise BadInput(f"idle: {model.name} cannot be asked to speak first", hint="Give idle.say and a narrator=.")


def _hearing(able: ModelCapabilities, turns: object, endpointing: Endpointing, eager: bool) -> Hearing:
    manual = turns == "manual"
    return Hearing(
        endpointing=endpointing,
        manual=manual,
        eager=eager,
        model_decides=able.owns_turns,
        only_suspects=able.owns_turns and not able.can_cut,
        flushes=able.can_flush,
        finishes=able.can_finish,
    )
