"""HTTP/2 without I/O: what one connection tells, keeps and shares."""

from __future__ import annotations

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RemoteSettingsChanged, RequestReceived
from h2.settings import SettingCodes

from voiceloop.aws.wire.http2 import WINDOW, Http2

HEADERS = [
    (":method", "POST"),
    (":scheme", "https"),
    (":authority", "localhost"),
    (":path", "/"),
    ("x-amz-security-token", "hush"),
    ("x-amz-date", "20260102T030405Z"),
]


def peers() -> tuple[Http2, H2Connection]:
    """A connection of ours, and who answers it; each has seen the other's beginning."""
    ours, theirs = Http2(), H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
    theirs.initiate_connection()
    return ours, theirs


def exchange(ours: Http2, theirs: H2Connection) -> list[object]:
    """Carry bytes both ways; what they saw."""
    seen: list[object] = list(theirs.receive_data(ours.output()))
    ours.receive(theirs.data_to_send())
    return seen


def test_no_header_stays_in_a_table() -> None:
    ours, theirs = peers()
    ours.request(HEADERS)
    [request] = [event for event in exchange(ours, theirs) if isinstance(event, RequestReceived)]
    assert [tuple(header) for header in request.headers] == HEADERS
    assert not any(header.indexable for header in request.headers[4:]), "what is in no fixed table"


def test_connections_tell_the_same_and_do_not_change_each_other() -> None:
    first, one = peers()
    second, another = peers()
    for ours, theirs in ((first, one), (second, another), (first, one)):
        for event in exchange(ours, theirs):
            if isinstance(event, RemoteSettingsChanged):
                changed = {code: change.new_value for code, change in event.changed_settings.items()}
                assert changed[SettingCodes.INITIAL_WINDOW_SIZE] == WINDOW
                assert changed[SettingCodes.ENABLE_PUSH] == 0
    one.update_settings({SettingCodes.MAX_FRAME_SIZE: 32_768})
    exchange(first, one)
    for ours in (first, second):
        ours.request(HEADERS)
    assert (first.room, second.room) == (32_768, 16_384)
