"""A server of chat completions on a loopback port, which answers as it is told, and keeps what it was asked.

Its good chunks, and every request that it takes, are checked by the types of OpenAI's own client.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from openai.types.chat import ChatCompletionChunk
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from pydantic import TypeAdapter

REQUEST: TypeAdapter[Any] = TypeAdapter(CompletionCreateParamsStreaming)

DONE = b"data: [DONE]\n\n"
WAIT = object()
"""A step at which the answer stands still for good."""


def chunk(delta: Mapping[str, Any] | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """A chunk as OpenAI sends it."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    made = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **more}
    ChatCompletionChunk.model_validate(made)
    return made


def said(*words: str, finish: str = "stop") -> list[Any]:
    """A whole answer of words, with its usage."""
    usage = {"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34}
    usage["prompt_tokens_details"] = {"cached_tokens": 10}  # type: ignore[assignment]
    return [
        chunk({"role": "assistant", "content": ""}),
        *(chunk({"content": word}) for word in words),
        chunk({}, finish),
        chunk(usage=usage),
        DONE,
    ]


def called(*calls: tuple[str, str, Mapping[str, Any]], text: str = "") -> list[Any]:
    """A whole answer that calls tools, each (id, name, arguments), the arguments in small pieces."""
    steps: list[Any] = [chunk({"role": "assistant", "content": text or None})]
    for index, (call, name, arguments) in enumerate(calls):
        function = {"name": name, "arguments": ""}
        steps.append(chunk({"tool_calls": [{"index": index, "id": call, "type": "function", "function": function}]}))
        written = json.dumps(arguments)
        for at in range(0, len(written), 3):
            piece = {"arguments": written[at : at + 3]}
            steps.append(chunk({"tool_calls": [{"index": index, "function": piece}]}))
    return [*steps, chunk({}, "tool_calls"), DONE]


def refused(status: int, message: str = "", headers: Mapping[str, str] | None = None, **more: Any) -> web.Response:
    """An answer in OpenAI's shape of an error."""
    body = {"error": {"message": message, "type": None, "param": None, "code": None, **more}}
    return web.json_response(body, status=status, headers=headers)


class ModelServer:
    """Gives one of its ``answers`` for each request, the last one for all that follow.

    An answer is a Response, or steps: a chunk (a dict), bytes as they are, or WAIT. ``gone``: a client went away
    before the end.
    """

    def __init__(
        self, *answers: Any, models: Sequence[str] | None = ("llama", "qwen"), key: str | None = None
    ) -> None:
        self.answers = list(answers)
        self.models = models
        self.key = key
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.listed = 0
        self.peers: set[Any] = set()
        self.gone = asyncio.Event()
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ModelServer]:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._models)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        try:
            yield self
        finally:
            await runner.cleanup()

    def _admit(self, request: web.Request) -> web.Response | None:
        self.peers.add(request.transport.get_extra_info("peername") if request.transport else None)
        given = request.headers.get("Authorization")
        self.keys.append(given.removeprefix("Bearer ") if given else None)
        if self.key is not None and given != f"Bearer {self.key}":
            return refused(401, "Incorrect API key provided: sk-se****et.", code="invalid_api_key")
        return None

    async def _models(self, request: web.Request) -> web.Response:
        self.listed += 1
        if (refusal := self._admit(request)) is not None:
            return refusal
        if self.models is None:
            return web.Response(status=404, text="not here")
        listed = [{"id": name, "object": "model", "created": 1, "owned_by": "library"} for name in self.models]
        return web.json_response({"object": "list", "data": listed})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        if (refusal := self._admit(request)) is not None:
            return refusal
        body = await request.json()
        REQUEST.validate_python(body)
        self.requests.append(body)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, web.Response):
            return web.Response(
                status=answer.status,
                body=answer.body,
                headers={name: value for name, value in answer.headers.items() if name != "Content-Length"},
            )
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        try:
            await self._write(response, answer)
        except (asyncio.CancelledError, ConnectionError):
            self.gone.set()
            raise
        return response

    async def _write(self, response: web.StreamResponse, steps: Sequence[Any]) -> None:
        for step in steps:
            if step is WAIT:
                await asyncio.Event().wait()
            elif isinstance(step, bytes):
                await response.write(step)
            else:
                await response.write(f"data: {json.dumps(step)}\n\n".encode())
        await response.write_eof()
