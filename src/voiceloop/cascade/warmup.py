"""Opens what the next reply will need, beside everything else."""

from __future__ import annotations

from collections.abc import Callable

import anyio
from anyio.abc import TaskGroup

from voiceloop.engine.blame import blame
from voiceloop.errors import VoiceloopError
from voiceloop.interfaces import LinkNotice, Reasoner, Resources, Synthesizer


class WarmUp:
    """Prepares ``providers``, once at a time, for at most ``within`` seconds; ``tell`` is told of what fails."""

    def __init__(
        self,
        providers: tuple[Reasoner | Synthesizer, ...],
        resources: Resources,
        children: TaskGroup,
        *,
        within: float,
        tell: Callable[[LinkNotice], None],
    ) -> None:
        self._providers = providers
        self._resources = resources
        self._children = children
        self._within = within
        self._tell = tell
        self._running = False

    def begin(self) -> None:
        """Prepare them, if nobody is at it."""
        if not self._running:
            self._running = True
            self._children.start_soon(self._run, name="preparing providers")

    async def _run(self) -> None:
        try:
            with anyio.move_on_after(self._within):
                async with anyio.create_task_group() as group:
                    for provider in self._providers:
                        group.start_soon(self._prepare, provider)
        finally:
            self._running = False

    async def _prepare(self, provider: Reasoner | Synthesizer) -> None:
        try:
            with blame(provider.name, "preparing"):
                await provider.prepare(self._resources)
        except VoiceloopError as failure:
            self._tell(LinkNotice(code="prepare-failed", text=str(failure)))
