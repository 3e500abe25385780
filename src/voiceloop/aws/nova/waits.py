"""How long a connection is waited for."""

from __future__ import annotations

from typing import Any

from attrs import Attribute, evolve, field, frozen

from voiceloop.errors import BadInput


def _positive(_: Waits, attribute: Attribute[float], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise BadInput(f"waits.{attribute.name}={value!r}: a number of seconds above 0 is allowed")


@frozen
class Waits:
    """The waits of one connection, in seconds.

    By the service's clock: ``life``, after which nothing is sent on it, shortly before the service ends it;
    ``unmoved``, without a sign of life after it was told something; ``hold``, without audio while a tool is pending,
    from models that take none then; ``drain``, for a reply to come to its end when another connection has taken over,
    and then ``finals``, for the words of it that were spoken.

    By the network's: ``stands``, for the response's headers beside a connection that serves, since a service may hold
    them back; ``close``, for the service to end the stream after it was told to.

    Raises BadInput for values that are no positive numbers.
    """

    life: float = field(default=475.0, validator=_positive)
    unmoved: float = field(default=15.0, validator=_positive)
    hold: float = field(default=45.0, validator=_positive)
    drain: float = field(default=30.0, validator=_positive)
    finals: float = field(default=10.0, validator=_positive)
    stands: float = field(default=2.0, validator=_positive)
    close: float = field(default=3.0, validator=_positive)

    def scaled(self, scale: float) -> Waits:
        """Those for a service whose clock runs ``1 / scale`` times as fast, such as an emulator with ``timers``."""
        of_service = ("life", "unmoved", "hold", "drain", "finals")
        return evolve(self, **{name: getattr(self, name) * scale for name in of_service})
