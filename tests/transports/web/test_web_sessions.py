"""Conversations over real sockets: spoken, typed, interrupted, gone on with, and ended by the server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import evolve
from websockets.exceptions import InvalidStatus

import voiceloop as vl
from voiceloop.presets import Stack
from voiceloop.testing.scripted.sound import silence, tone
from voiceloop.transports.web import LobbyLimits
from voiceloop.transports.websocket import frames

from .web_kit import HELLO, Client, client, empty, running, scripted

MEDIUM = "One two three four five six seven eight."
LONG = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen."


async def speak(talking: Client, sound: bytes, *, start: int = 0) -> int:
    """Send ``sound`` in frames of 20 ms, twice as fast as it is spoken; the number of the next sample."""
    for at in range(0, len(sound), 640):
        pcm = sound[at : at + 640]
        await talking.put(frames.encode(frames.Frame(frames.INPUT, 0, start, pcm)))
        start += len(pcm) // 2
        await anyio.sleep(0.01)
    return start


async def test_a_spoken_turn() -> None:
    async with running(scripted(["For when?"], ["book a room"])) as server, client(server, start={}) as talking:
        ready = talking.got[0]
        assert isinstance(ready, dict)
        assert (ready["resumed"], ready["entries"], ready["history"]) == (False, 0, [])
        await speak(talking, tone(600) + silence(800))
        ended = await talking.until("TurnEnded")
        assert ended["said"] == "For when?"
        assert [event["text"] for event in talking.of("Transcript") if event["final"]] == ["book a room"]
        assert talking.of("Viseme")
        assert sum(len(frame.pcm) for frame in talking.audio) // 2 == len("For when?") * 1440


async def test_a_barge_in_is_stored_as_it_was_heard_and_gone_on_with() -> None:
    async with running(scripted([LONG, "Fine."])) as server:
        async with client(server, start={}) as talking:
            await talking.put({"type": "text", "text": "tell me"})
            while not talking.audio:
                await talking.take()
            turn = talking.audio[0].turn
            await anyio.sleep(0.5)
            await talking.put({"type": "played", "turn": turn, "ms": 400})
            await talking.put({"type": "interrupt"})
            await talking.until("Interrupted")
            await talking.put({"type": "played", "turn": turn, "ms": 420, "stopped": True})
            heard = (await talking.until("TurnEnded"))["heard"]
            assert heard["ms"] == 420
            assert heard["basis"] == "measured"
        await empty(server)
        conversation = talking.of("ready")[0]["conversation"]
        async with client(server, start={"conversation": conversation, "after": 1}) as again:
            ready = again.of("ready")[0]
            assert (ready["conversation"], ready["resumed"], ready["entries"]) == (conversation, True, 2)
            assert ready["history"] == [{"role": "assistant", "text": heard["text"]}]
            await again.put({"type": "text", "text": "go on"})
            assert (await again.until("TurnEnded"))["said"] in (LONG, "Fine.")


async def test_who_comes_back_takes_the_place_of_a_connection_that_seems_open() -> None:
    async with running(scripted(["Yes."])) as server, client(server, start={}) as old:
        await old.put({"type": "text", "text": "hello"})
        await old.until("TurnEnded")
        conversation = old.of("ready")[0]["conversation"]
        async with client(server, start={"conversation": conversation}) as new:
            assert new.of("ready")[0]["resumed"] is True
            assert new.of("ready")[0]["entries"] == 2
            assert await old.closed() == (4409, "replaced")
            await new.put({"type": "text", "text": "still there?"})
            await new.until("TurnEnded")


async def test_a_conversation_that_is_not_known_or_too_old_is_a_new_one() -> None:
    async with running(keeping=LobbyLimits(resume=0.05)) as server:
        async with client(server, start={"conversation": "f" * 32}) as talking:
            ready = talking.of("ready")[0]
            assert ready["resumed"] is False
            assert ready["conversation"] != "f" * 32
        await empty(server)
        await anyio.sleep(0.06)
        async with client(server, start={"conversation": ready["conversation"]}) as again:
            assert again.of("ready")[0]["resumed"] is False


async def test_settings_of_the_start() -> None:
    stack = scripted(["Yes."])
    async with running(stack) as server:
        async with client(server, start={"mode": "chat", "voice": "bob", "persona": "pirate"}) as talking:
            await talking.put({"type": "text", "text": "hello"})
            await talking.until("TurnEnded")
            assert talking.audio == []
        request = stack.model.reasoner.requests[0]  # type: ignore[union-attr]
        assert "pirate" in request.instructions


async def test_the_assistant_speaks_first_in_given_words_or_its_own() -> None:
    given = evolve(scripted(["Mine."]), name="given", hello="Welcome.")
    async with running(scripted(["Mine."]), given) as server:
        for stack, said in (("given", "Welcome."), ("scripted", "Mine.")):
            async with client(server, start={"stack": stack, "greet": True}) as talking:
                assert (await talking.until("TurnEnded"))["said"] == said


@pytest.mark.parametrize(
    ("start", "told"),
    [
        ({"voice": "anne"}, "Did you mean 'ann'?"),
        ({"stack": "moon"}, "unknown stack 'moon'"),
        ({"persona": "parrot"}, "unknown persona 'parrot'"),
        ({"stack": "keyed"}, "needs your AWS keys"),
    ],
)
async def test_a_start_that_cannot_be_is_refused_with_what_is_allowed(start: dict[str, Any], told: str) -> None:
    keyed = evolve(scripted(), name="keyed", model=None)
    async with running(scripted(), keyed) as server, client(server) as talking:
        await talking.put({**HELLO, **start})
        assert await talking.closed() == (1008, "refused")
        assert told in talking.of("error")[0]["text"]


async def test_keys_are_for_one_session_and_never_come_back() -> None:
    accounts: list[Any] = []

    def made(account: Any) -> vl.Cascade:
        accounts.append(account)
        model = scripted(["Yes."]).model
        assert isinstance(model, vl.Cascade)
        return model

    keyed: Stack = evolve(scripted(), name="keyed", model=None, made=made)
    keys = {"access_key": "AKIASECRET", "secret_key": "sEcReT", "session_token": None, "region": "eu-west-1"}
    async with running(keyed) as server, client(server, start={"keys": keys}) as talking:
        await talking.put({"type": "text", "text": "hello"})
        await talking.until("TurnEnded")
        assert (accounts[0].region, accounts[0].keys.secret_key) == ("eu-west-1", "sEcReT")
        assert "SECRET" not in repr(talking.got).upper()


async def test_a_provider_that_cannot_be_opened_is_told() -> None:
    from voiceloop.testing.scripted import Fail, ScriptedRecognizer

    stack = scripted()
    assert isinstance(stack.model, vl.Cascade)
    broken = vl.Cascade(
        ScriptedRecognizer(on_open=Fail(vl.ProviderRefused("no quota", provider="tester"))),
        stack.model.reasoner,
        stack.model.synthesizer,
    )
    async with running(evolve(stack, model=broken)) as server, client(server) as talking:
        await talking.put(HELLO)
        assert await talking.closed() == (1011, "failed")
        assert "no quota" in talking.of("error")[0]["text"]


async def test_the_plain_shape() -> None:
    async with running(scripted(["For when?"], ["book a room"])) as server, client(server, "sonic") as talking:
        await talking.until("ready")
        sound = tone(600) + silence(800)
        for at in range(0, len(sound), 8192):
            await talking.put(sound[at : at + 8192])
            await anyio.sleep(0.05)
        finals: list[tuple[str, str]] = []
        while len(finals) < 3:  # the greeting, the user, the reply
            told = await talking.until("transcript")
            if told["final"]:
                finals.append((told["role"], told["text"]))
        assert ("user", "book a room") in finals


# ---------------------------------------------------------------- stopping


async def test_draining_lets_sessions_finish_and_takes_no_more() -> None:
    limits = LobbyLimits(drain=0.3)
    async with running(scripted([MEDIUM]), keeping=limits) as server, client(server, start={}) as talking:
        await talking.put({"type": "text", "text": "tell me"})
        while not talking.audio:
            await talking.take()
        async with anyio.create_task_group() as group:
            group.start_soon(server.lobby.drain)
            await anyio.sleep(0.05)
            async with client(server) as late:
                assert await late.closed() == (1001, "draining")
            assert await talking.closed() == (1001, "draining")
        ended = talking.of("TurnEnded")
        assert [event["reason"] for event in ended] == ["completed"]
        assert server.lobby.seated == 0
        assert dict(server.lobby.ends) == {"draining": 2}


# ---------------------------------------------------------------- real speech


async def test_a_recorded_person_is_answered_offline(clips: Path) -> None:
    from voiceloop import presets
    from voiceloop.audio import PCM16_16K, converter, read_wav

    kind, pcm = read_wav(clips / "go_brooklyn.wav")
    change = converter(kind, PCM16_16K)
    sound = change.push(pcm) + change.finish() + silence(1500)
    async with running(presets.local(), turns=None) as server, client(server, start={}) as talking:
        at = 0
        for start in range(0, len(sound), 640):
            piece = sound[start : start + 640]
            await talking.put(frames.encode(frames.Frame(frames.INPUT, 0, at, piece)))
            at += len(piece) // 2
            await anyio.sleep(0.018)
        said = ""
        while "143 years" not in said:
            said += (await talking.until("ReplyText"))["text"]
        while not talking.audio:
            await talking.take()
        [heard] = [event["text"] for event in talking.of("Transcript") if event["final"]]
        assert heard.lower().rstrip(".?") == "how old is the brooklyn bridge"
        assert talking.of("Viseme")


async def test_a_running_session_takes_the_voices_that_its_start_takes() -> None:
    async with running() as server, client(server, start={}) as talking:
        await talking.put({"type": "update", "voice": "bob"})
        assert (await talking.until("answer"))["outcome"] == "applied"
        await talking.put({"type": "update", "voice": "anne"})
        refused = await talking.until("answer")
    assert refused["outcome"] == "refused"
    assert "Did you mean 'ann'?" in refused["text"]


@pytest.mark.parametrize("path", ["", "nowhere", "ws/more"])
async def test_a_websocket_at_another_address_is_not_found(path: str) -> None:
    async with running() as server:
        with pytest.raises(InvalidStatus) as refused:
            async with client(server, path):
                pass
    assert refused.value.response.status_code == 404
