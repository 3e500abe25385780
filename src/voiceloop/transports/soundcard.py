"""A session on this machine's microphone and loudspeaker.

::

    async with Session(model) as session:
        await SoundCard().run(session, on_event=print)

Needs ``pip install 'voiceloop[soundcard]'``. Calls no program and opens no file; the sound card's threads only hand
blocks of 10 ms over, everything else happens in the event loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread
from attrs import define, field

from voiceloop import clock
from voiceloop.audio import Converter, converter
from voiceloop.errors import BadInput, ProviderUnavailable, SessionClosed
from voiceloop.events import Event, Interrupted, Notice, SessionStarted
from voiceloop.session import Session
from voiceloop.transports.devices import Device, SoundStream, SoundSystem, find_device, sound_system
from voiceloop.transports.echo import EchoMode, EchoState, make_echo
from voiceloop.transports.sides import LINE, Captured, Frame, Loudspeaker, Microphone, Rendered
from voiceloop.transports.timing import Handover

T = TypeVar("T")

_BLOCKS_PER_SECOND = 100
_WAITING = 4 * _BLOCKS_PER_SECOND  # blocks of both sides: 2 s of a busy event loop
_REPORT = 0.1
_TELL_EVERY = 10.0
_STALLED = 5.0
_SILENT_FRAMES = 3 * _BLOCKS_PER_SECOND
_DRAIN = 2.0
_SILENCE_LATE = 0.1


class SoundCard:
    """Joins a session to a microphone and a loudspeaker.

    ``input``, ``output``: a device's number or (part of) its name; None: the system's own choice. ``microphone``:
    False plays only, for those who type. ``echo``: "cancel" (half duplex until it works, and where the canceller is
    not installed), "half-duplex" (the microphone is muted while the assistant is audible) or "off" (headphones).
    ``latency``: s that the card may hold back on each side. ``system``: the module ``sounddevice``, or one like it.
    """

    def __init__(
        self,
        *,
        input: int | str | None = None,
        output: int | str | None = None,
        microphone: bool = True,
        echo: EchoMode = "cancel",
        latency: float = 0.05,
        system: SoundSystem | None = None,
    ) -> None:
        if not 0 < latency <= 1:
            raise BadInput(f"latency={latency!r}: more than 0, and at most 1 s is allowed")
        self._wanted = (input, output) if microphone else (None, output)
        self._listens = microphone
        self._echo = make_echo(echo, LINE.rate)
        self._latency = latency
        self._system = system

    @property
    def echo_state(self) -> EchoState:
        """How the echo is kept out at the moment: "off", "half-duplex", "learning" or "converged"."""
        return self._echo.state

    def devices(self) -> tuple[Device, ...]:
        """The devices that will be used: the output, and the input if there is one.

        Raises MissingExtra, UnknownName, or BadInput when a device is missing or cannot be used.
        """
        system = self._system or sound_system()
        inputs = (find_device(system, "input", self._wanted[0]),) if self._listens else ()
        return (find_device(system, "output", self._wanted[1]), *inputs)

    async def run(
        self,
        session: Session,
        *,
        on_event: Callable[[Event], object] = lambda event: None,
        on_frame: Callable[[Frame], object] = lambda frame: None,
    ) -> None:
        """Hold the conversation of an entered session, whose events nobody has taken yet, until it ends.

        ``on_event`` gets each event of the session, and ``on_frame`` each 10 ms of sound; neither may wait. Raises as
        :meth:`devices` does, what the session raises, and ProviderUnavailable when the sound card stops.
        """
        blocks: Handover[Rendered | Captured] = Handover(_WAITING)
        output, *inputs = await _in_thread(self.devices)
        speaker = Loudspeaker(output.format, blocks)
        source = inputs[0] if inputs else output
        microphone = Microphone(source.format, blocks, self._echo, speaker)
        call = _Call(session, blocks, speaker, microphone, bool(inputs), on_event, on_frame)
        try:
            async with self._streams(output, speaker), self._streams(inputs[0] if inputs else None, microphone):
                await call.hold()
        finally:
            blocks.close()

    @asynccontextmanager
    async def _streams(self, device: Device | None, side: Loudspeaker | Microphone) -> AsyncIterator[None]:
        """The device's stream, running."""
        if device is None:
            yield
            return
        stream = await _in_thread(partial(self._open, device, side))
        try:
            side.latency = float(stream.latency)
            await _in_thread(stream.start)
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await _in_thread(stream.close)

    def _open(self, device: Device, side: Loudspeaker | Microphone) -> SoundStream:
        system = self._system or sound_system()
        make = system.RawInputStream if device.kind == "input" else system.RawOutputStream
        try:
            return make(
                device=device.number,
                samplerate=device.format.rate,
                channels=device.format.channels,
                dtype="int16",
                blocksize=device.format.rate // _BLOCKS_PER_SECOND,
                latency=self._latency,
                callback=side.callback,
            )
        except system.PortAudioError as error:
            raise BadInput(
                f"{device.kind} device {device.number} ({device.name}) cannot be opened: {error}",
                hint="Close the program that holds it, or choose another: voiceloop talk --list-devices",
            ) from error


@define(eq=False)
class _Call:
    """One conversation over open streams."""

    session: Session
    blocks: Handover[Rendered | Captured]
    speaker: Loudspeaker
    microphone: Microphone
    listens: bool
    on_event: Callable[[Event], object]
    on_frame: Callable[[Frame], object]
    _to_session: Converter | None = field(default=None, init=False)
    _silent: int = field(default=0, init=False)
    _lost: int = field(default=0, init=False)
    _told: float = field(default=float("-inf"), init=False)
    _began: float = field(factory=clock.now, init=False)
    _position: tuple[int, float] = field(default=(0, 0.0), init=False)

    async def hold(self) -> None:
        """Until the session ends. Raises what the session raises, or that the sound card stopped, bare."""
        failures: list[Exception] = []

        async def bare(work: Awaitable[None]) -> None:
            try:
                await work
            except Exception as error:  # noqa: BLE001 - raised below: out of the group it stays bare
                failures.append(error)
                group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(bare, self._sound())
            await bare(self._events())
            group.cancel_scope.cancel()
        if failures:
            raise failures[0]

    async def _events(self) -> None:
        async for event in self.session:
            self.speaker.take(event)
            match event:
                case SessionStarted():
                    self._to_session = converter(LINE, event.input)
                    self._began = clock.now() - event.at
                case Interrupted():
                    self.session.played(event.turn, self.speaker.pulled_ms(event.turn), stopped=True)
                case _:
                    pass
            self.on_event(event)
        rest = self.speaker.quiet_at() - clock.now()
        if 0 < rest < _DRAIN:
            await anyio.sleep(rest)

    async def _sound(self) -> None:
        """Take what the sound card's threads hand over, and tell the session what was heard."""
        reported = alive = clock.now()
        while True:
            blocks = await self.blocks.take(_REPORT)
            now = clock.now()
            for block in blocks:
                if isinstance(block, Captured):
                    alive = now
                    await self._captured(block)
                    continue
                self.speaker.rendered(block)
                if not self.listens:  # the loudspeaker keeps the time, and nobody speaks
                    alive = now
                    await self._captured(Captured(bytes(len(block.pcm)), block.at - _SILENCE_LATE))
            if now - alive > _STALLED:
                raise ProviderUnavailable(
                    "the sound card stopped",
                    provider="sound card",
                    doing="playing and listening",
                    retryable=True,
                    hint="Was it unplugged? See: voiceloop talk --list-devices",
                )
            if now - reported >= _REPORT:
                reported = now
                self._report(now)

    def _report(self, now: float) -> None:
        turn = self.speaker.turn
        if turn is not None:
            position = turn, self.speaker.heard_ms(turn, now)
            if position != self._position:
                self._position = position
                self.session.played(*position)
        if self.blocks.lost > self._lost and now >= self._told + _TELL_EVERY:
            lost, self._lost, self._told = self.blocks.lost - self._lost, self.blocks.lost, now
            seconds = lost / (_BLOCKS_PER_SECOND * (1 + self.listens))
            self._tell("sound-lost", f"{seconds:.2g} s of sound were lost: this machine is too busy.")

    async def _captured(self, block: Captured) -> None:
        to_session = self._to_session
        if to_session is None:
            return
        if self.listens and self._silent < _SILENT_FRAMES:
            self._silent = _SILENT_FRAMES + 1 if any(block.pcm) else self._silent + 1
            if self._silent == _SILENT_FRAMES:
                self._tell("microphone-silent", "The microphone gives nothing at all: is it muted, or not allowed?")
        for frame in self.microphone.frames(block):
            with suppress(SessionClosed):
                await self.session.send_audio(to_session.push(frame.said), at=frame.at)
            self.on_frame(frame)

    def _tell(self, code: str, text: str) -> None:
        self.on_event(Notice(at=round(clock.now() - self._began, 6), code=code, text=text))


async def _in_thread(work: Callable[[], T]) -> T:
    """Calls into PortAudio may take long; sound cards never depend on simulated time."""
    with clock.outside_work():
        return await anyio.to_thread.run_sync(work)


__all__ = ("SoundCard",)
