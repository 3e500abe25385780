"""One request to ConverseStream, and the events of its answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import aclosing, suppress
from typing import Any

import anyio

from voiceloop import clock
from voiceloop.aws.faults import translated
from voiceloop.errors import ProviderError, ProviderTimeout

SERVICE, OPERATION, PROVIDER = "bedrock-runtime", "ConverseStream", "Amazon Bedrock"
_DRAIN = 0.5  # seconds in which an answer that is over must end, so that its connection serves the next one
_LATER = "voiceloop.later"


class Events:
    """The events of an answer, one by one. Close it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._events = aiter(stream)

    async def next(self, seconds: float) -> Mapping[str, Any] | None:
        """The next event; None at the end. Raises ProviderError, ProviderTimeout after ``seconds``."""
        with clock.outside_work(), translated(SERVICE, OPERATION):
            with anyio.move_on_after(seconds):
                event: Mapping[str, Any] | None = await anext(self._events, None)
                return event
        raise ProviderTimeout(
            f"no event within {seconds:g} s", provider=PROVIDER, doing="reading a reply", retryable=True
        )

    async def close(self, *, over: bool) -> None:
        """Free the connection: at once, or for the next request when the answer is ``over``."""
        try:
            if over:
                with suppress(ProviderError), anyio.move_on_after(_DRAIN):
                    while await self.next(_DRAIN) is not None:
                        pass
        finally:
            self._stream.close()
            with anyio.CancelScope(shield=True), suppress(ProviderError), translated(SERVICE, OPERATION):
                async with aclosing(self._events) as rest:
                    async for _ in rest:  # fails at once, and so ends the generators inside
                        pass


async def ask(client: Any, members: Mapping[str, Any], seconds: float) -> Events:
    """Send a request. Raises ProviderError, ProviderTimeout when no answer begins within ``seconds``."""
    with clock.outside_work(), translated(SERVICE, OPERATION):
        with anyio.move_on_after(seconds):
            answer = await client.converse_stream(**_known(client, members))
            return Events(answer["stream"])
    raise ProviderTimeout(f"no answer within {seconds:g} s", provider=PROVIDER, doing="asking", retryable=True)


def _known(client: Any, members: Mapping[str, Any]) -> dict[str, Any]:
    """``members`` as botocore takes them: those newer than its model of the service are put in after it."""
    known = client.meta.service_model.operation_model(OPERATION).input_shape.members
    later = {name: value for name, value in members.items() if name not in known}
    params = {name: value for name, value in members.items() if name in known}
    if later:
        events, name = client.meta.events, f"{SERVICE}.{OPERATION}"
        events.register(f"before-parameter-build.{name}", _set_aside, unique_id=f"{_LATER}.aside")
        events.register(f"before-call.{name}", _put_in, unique_id=f"{_LATER}.in")
        params[_LATER] = later
    return params


def _set_aside(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    if _LATER in params:
        context[_LATER] = params.pop(_LATER)


def _put_in(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    if later := context.get(_LATER):
        params["body"] = json.dumps({**json.loads(params["body"]), **later}).encode()
