"""The stack on a model server: how it is chosen, and a conversation on it, through the command and by itself."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from subprocess import DEVNULL, PIPE
from typing import Any

import aiohttp
import anyio
import pytest
from anyio.streams.text import TextReceiveStream

import voiceloop as vl
from voiceloop import presets
from voiceloop.cli import main
from voiceloop.cli.serve import model_server, stacks
from voiceloop.errors import BadInput
from voiceloop.openai import ChatCompletions
from voiceloop.testing.scripted import ScriptedTurns

from .model_server import ModelServer, refused, said

VARIABLES = ("OPENAI_BASE_URL", "OPENAI_API_KEY", "OPENAI_MODEL")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def thinks(stack: presets.Stack | None) -> ChatCompletions:
    assert stack is not None
    assert isinstance(stack.model, vl.Cascade)
    assert isinstance(stack.model.reasoner, ChatCompletions)
    return stack.model.reasoner


# ---------------------------------------------------------------- which server, which model


@pytest.mark.parametrize(
    ("environ", "given", "url", "model"),
    [
        ({}, {}, "http://127.0.0.1:11434/v1", None),
        ({"OPENAI_MODEL": "qwen"}, {}, "http://127.0.0.1:11434/v1", "qwen"),
        ({"OPENAI_API_KEY": "k", "OPENAI_MODEL": "gpt"}, {}, "https://api.openai.com/v1", "gpt"),
        ({"OPENAI_BASE_URL": "http://10.0.0.1:8000/v1"}, {}, "http://10.0.0.1:8000/v1", None),
        ({"OPENAI_BASE_URL": "http://10.0.0.1:8000/v1"}, {"url": "http://h/v1"}, "http://h/v1", None),
        ({"OPENAI_MODEL": "qwen"}, {"model": "llama"}, "http://127.0.0.1:11434/v1", "llama"),
    ],
)
def test_where_it_asks(environ: dict[str, str], given: dict[str, str], url: str, model: str | None) -> None:
    reasoner = thinks(presets.server(**given, environ=environ))
    assert (reasoner.base_url, reasoner.model) == (url, model)


def test_what_it_says_of_itself() -> None:
    here = presets.server(url="http://localhost:11434/v1", environ={})
    there = presets.server(url="https://models.example/v1", model="big", environ={})
    assert (here.title, here.free, here.keys) == ("Local model server", True, "none")
    assert (there.title, there.free) == ("Model server", False)
    assert "a fourth of the words of free speech wrong" in here.about
    assert "the model big at https://models.example/v1" in there.about
    assert here.tools == ()


def test_a_cloud_needs_the_name_of_a_model() -> None:
    with pytest.raises(BadInput, match="OPENAI_MODEL"):
        presets.server(environ={"OPENAI_API_KEY": "k"})


@pytest.mark.parametrize("url", ["nonsense", "http://user:password@host/v1"])
def test_an_address_that_cannot_be_is_told_in_a_line(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--no-open", "--port", "0", "--llm", url]) == 2
    error = capsys.readouterr().err
    assert "base_url" in error
    assert "password" not in error.replace("no user, password", "")
    assert "Traceback" not in error


async def test_what_the_command_offers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("voiceloop.openai.probe.USUAL", ("http://127.0.0.1:9/v1",))  # where nobody listens
    assert await model_server(None, None, wanted=False) is None
    assert thinks(await model_server("http://h/v1", "m", wanted=False)).base_url == "http://h/v1"
    async with ModelServer().running() as there:
        monkeypatch.setenv("OPENAI_BASE_URL", there.url)
        monkeypatch.setenv("OPENAI_MODEL", "qwen")
        found = await model_server(None, None, wanted=False)
        assert thinks(found) == ChatCompletions("qwen")
    assert await model_server(None, None, wanted=False) is None, "what does not answer is not offered by itself"
    wanted = await model_server(None, None, wanted=True)
    assert thinks(wanted).base_url == there.url
    monkeypatch.delenv("OPENAI_BASE_URL")
    assert thinks(await model_server(None, None, wanted=True)).base_url == "http://127.0.0.1:9/v1"
    assert "No model server answers" in capsys.readouterr().err
    async with stacks("server", server=wanted) as offered:
        assert [(stack.name, stack.keys) for stack in offered] == [
            ("server", "none"), ("local", "none"), ("aws", "required"), ("nova", "required")
        ]  # fmt: skip
    async with stacks("local", server=wanted) as offered:
        assert [stack.name for stack in offered] == ["local", "server", "aws", "nova"]


# ---------------------------------------------------------------- conversations


async def test_a_conversation_with_voice() -> None:
    async with ModelServer(said("Hello ", "to you.")).running() as server:
        stack = presets.server(url=server.url, environ={})
        assert stack.model is not None
        async with vl.Session(
            stack.model, instructions=stack.instructions, turns=ScriptedTurns(), lead=None
        ) as session:
            await session.send_text("Hello.")
            await session.end_input()
            events = [event async for event in session]
        assert [each.said for each in events if isinstance(each, vl.TurnEnded)] == ["Hello to you."]
        assert any(isinstance(each, vl.Viseme) for each in events)
        assert server.requests[0]["model"] == "llama"
        assert server.requests[0]["messages"][0] == {"role": "system", "content": stack.instructions}


@asynccontextmanager
async def serving(*arguments: str) -> AsyncIterator[str]:
    """The address of the running command."""
    command = [sys.executable, "-m", "voiceloop.cli", "serve", "--no-open", "--port", "0", "--drain", "1", *arguments]
    async with await anyio.open_process(command, stdout=PIPE, stderr=DEVNULL, env=dict(os.environ)) as process:
        try:
            assert process.stdout is not None
            text = ""
            with anyio.fail_after(60):
                while "Ctrl-C" not in text:
                    text += await TextReceiveStream(process.stdout).receive()
            yield text.split()[2]
        finally:
            process.terminate()
            with anyio.move_on_after(10):
                await process.wait()


async def test_the_command_serves_it() -> None:
    async with (
        ModelServer(said("Hello ", "to you.")).running() as server,
        serving("--llm", server.url, "--llm-model", "qwen") as url,
        aiohttp.ClientSession() as http,
    ):
        async with http.get(url + "api/settings") as answer:
            offered = (await answer.json())["stacks"]
        assert (offered[0]["id"], offered[0]["label"], offered[0]["free"]) == ("server", "Local model server", True)
        async with http.ws_connect(url.replace("http", "ws", 1) + "ws") as socket:
            await socket.send_json({"type": "start", "version": 1})
            with anyio.fail_after(60):
                await socket.send_json({"type": "text", "text": "Hello."})
                told: list[Any] = []
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        told.append(json.loads(message.data))
                        if told[-1]["type"] == "TurnEnded":
                            break
        assert told[-1]["said"] == "Hello to you."
        assert server.requests[-1]["model"] == "qwen"


async def test_a_failing_server_ends_the_session_with_what_to_do() -> None:
    async with ModelServer(refused(401, "no key")).running() as server:
        stack = presets.server(url=server.url, environ={})
        assert stack.model is not None
        with pytest.raises(vl.ProviderRefused, match="OPENAI_API_KEY"):
            async with vl.Session(stack.model, turns=ScriptedTurns(), lead=None) as session:
                await session.send_text("Hello.")
                async for _ in session:
                    pass
