"""``voiceloop talk``: devices, typing, and a call in a simulated room."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import anyio
import pytest

import voiceloop as vl
from voiceloop.audio import read_wav
from voiceloop.cli import main
from voiceloop.cli.talking import Talk
from voiceloop.cli.view import Moment, View
from voiceloop.transports.soundcard import SoundCard

from ..transports.room import Path as Way
from ..transports.room import Room, human

pytest.importorskip("pocketsphinx", reason="needs the extra local")
pytest.importorskip("espeakng_loader", reason="needs the extra local")


class Seen(View):
    """Keeps what it is told; ``ended``: set one after the other, as turns end."""

    def __init__(self) -> None:
        self.ended = [anyio.Event() for _ in range(2)]
        self.events: list[vl.Event] = []
        self.moments: list[Moment] = []

    def event(self, event: vl.Event) -> None:
        self.events.append(event)
        if isinstance(event, vl.TurnEnded):
            next(each for each in self.ended if not each.is_set()).set()

    def moment(self, moment: Moment) -> None:
        self.moments.append(moment)


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["talk", "--help"])
    shown = capsys.readouterr().out
    assert "voiceloop talk --list-devices" in shown
    assert max(map(len, shown.splitlines())) <= 110


def test_devices_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", Room())
    assert main(["talk", "--list-devices"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "  0  Mic: input (default), 16000 Hz",
        "  1  Box: output (default), 16000 Hz",
    ]


@pytest.mark.parametrize("arguments", [[], ["--list-devices"], ["--text", "--output", "1"]])
def test_without_the_extra_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert main(["talk", *arguments]) == 2
    assert "pip install 'voiceloop[soundcard]'" in capsys.readouterr().err


def test_an_unknown_device_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", Room())
    assert main(["talk", "--output", "Bax"]) == 2
    assert "Did you mean 'Box'?" in capsys.readouterr().err


def test_echo_options_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["talk", "--no-aec", "--half-duplex"])
    assert "not allowed with" in capsys.readouterr().err


def test_one_can_type_without_sound(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    monkeypatch.setattr(sys, "stdin", io.StringIO("what is twelve times seven\n\n"))
    assert main(["talk", "--text", "--record", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "Without sound" in shown
    assert "12 times 7 is 84." in shown
    assert {path.name for path in tmp_path.iterdir()} == {"conversation.wav", "events.jsonl", "report.html"}


def test_a_folder_that_cannot_be_written_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", Room())
    (tmp_path / "file").touch()
    assert main(["talk", "--record", str(tmp_path / "file" / "below")]) == 2
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.virtual_time
async def test_a_call_in_a_room_is_understood_shown_and_recorded(clips: Path, tmp_path: Path) -> None:
    room, view = Room(Way(-12, 40)), Seen()
    talk = Talk(view, SoundCard(system=room), lines=None, record=True)

    async with anyio.create_task_group() as group:
        group.start_soon(room.run)
        group.start_soon(talk.talk)
        with anyio.fail_after(60):
            await view.ended[0].wait()
            room.say(human(clips / "df_book_a_room.wav"), after=0.5)
            await view.ended[1].wait()
        group.cancel_scope.cancel()

    assert [event.text for event in view.events if isinstance(event, vl.Transcript) and event.final] == [
        "book a room"
    ]
    hello, answer = (event for event in view.events if isinstance(event, vl.TurnEnded))
    assert (hello.heard.text, hello.heard.basis) == (Talk.hello, "measured")
    assert "where" in answer.said.lower()
    assert len({moment.mouth for moment in view.moments}) > 5

    assert talk.save(tmp_path)
    form, pcm = read_wav(tmp_path / "conversation.wav")
    assert (form.rate, form.channels) == (16_000, 2)
    assert form.ms(form.samples(pcm)) / 1000 == pytest.approx(view.events[-1].at, abs=0.1)
    kinds = [json.loads(line)["type"] for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert len(kinds) == len(view.events)
    assert "book a room" in (tmp_path / "report.html").read_text(encoding="utf-8")
