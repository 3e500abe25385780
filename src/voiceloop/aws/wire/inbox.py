"""The messages that came and are not taken yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from voiceloop.aws.wire.frames import BrokenFrame, Decoder
from voiceloop.aws.wire.stream import Message
from voiceloop.aws.wire.trouble import Reason, Trouble
from voiceloop.aws.wire.wake import Wake


class Inbox:
    """What a peer sent, in order, until its end: for one receiver. Bounded by the window that the peer is given.

    ``took`` is called with the bytes of the window that are free again: those of a message when it is taken, those
    of a part of a message once there is nothing to take. ``over``: nothing more is put in; ``why`` then makes the
    error, if it was one. ``waiting``: the window's bytes in messages not taken yet.
    """

    def __init__(self, took: Callable[[int], None], trouble: Trouble) -> None:
        self._took, self._trouble = took, trouble
        self._decoder = Decoder()
        self._queue: deque[tuple[Message, int]] = deque()
        self._moved = Wake()
        self._told = False
        self.over = False
        self.why: Reason | None = None
        self.waiting = 0
        self._part = 0  # the window's bytes in a message that is not complete

    def put(self, data: bytes, cost: int) -> None:
        """Take bytes that came; ``cost`` is what they take of the window."""
        before = len(self._queue)
        try:
            for message in self._decoder.feed(data) if not self.over else ():
                if message.kind != "event":
                    self.end(lambda message=message: self._trouble.told(message))  # type: ignore[misc]
                    break
                self._queue.append((message, 0))
        except BrokenFrame as error:
            self._broken(error)
        self._part += cost
        if len(self._queue) > before:
            self._queue[-1] = (self._queue[-1][0], self._part)
            self.waiting += self._part
            self._part = 0
            self._moved.tell()
        self._let_go_on()

    def finish(self) -> None:
        """The peer ended the stream."""
        try:
            self._decoder.end()
        except BrokenFrame as error:
            self._broken(error)
        self.end(None)

    def end(self, why: Reason | None) -> None:
        """Nothing more comes, and why; the first reason counts."""
        if not self.over:
            self.over, self.why = True, why
            self._moved.tell()

    def tell(self) -> None:
        """The receiver knows that it is over."""
        self._told = True
        self._moved.tell()

    async def told(self) -> None:
        """Wait until the receiver has come to the end."""
        while not self._told:
            await self._moved.wait()

    async def get(self) -> Message:
        """The next message. Raises why the stream is over, or StopAsyncIteration at its proper end."""
        while not self._queue:
            if self.over:
                self.tell()
                raise StopAsyncIteration if self.why is None else self.why()
            await self._moved.wait()
        message, cost = self._queue.popleft()
        if cost:
            self.waiting -= cost
            self._took(cost)
        self._let_go_on()
        return message

    def _let_go_on(self) -> None:
        """With nothing to take, the rest of a message must be able to come, however long it is."""
        if self._part and not self._queue:
            part, self._part = self._part, 0
            self._took(part)

    def _broken(self, error: BrokenFrame) -> None:
        self.end(lambda: self._trouble.nonsense(error))
