"""The questions that were put to the model as text, and have no reply yet. Pure."""

from __future__ import annotations

from collections import deque

from attrs import define, field


@define(eq=False)
class Asked:
    """In the order in which they were sent, each with the turn that its reply is to be; None: one of the model's own,
    with which it goes on after what a tool gave."""

    _waiting: deque[tuple[int | None, float]] = field(factory=deque)

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, turn: int | None, now: float) -> None:
        """Text was sent."""
        self._waiting.append((turn, now))

    def take(self) -> int | None:
        """A reply begins: the turn that it is."""
        return self._waiting.popleft()[0] if self._waiting else None

    def remove(self, turn: int) -> None:
        """``turn`` is not waited for any longer."""
        self._waiting = deque(asked for asked in self._waiting if asked[0] != turn)

    def clear(self) -> None:
        """Nothing is waited for any longer."""
        self._waiting.clear()

    @property
    def since(self) -> float:
        """When the first one was sent."""
        return self._waiting[0][1]

    @property
    def turns(self) -> tuple[int, ...]:
        """The turns that are waited for."""
        return tuple(turn for turn, _ in self._waiting if turn is not None)

    @property
    def goes_on(self) -> bool:
        """Whether the model is to go on by itself."""
        return any(turn is None for turn, _ in self._waiting)

    def overdue(self, before: float) -> tuple[int, ...]:
        """The turns that are waited for since a time before that."""
        return tuple(turn for turn, at in self._waiting if turn is not None and at < before)
