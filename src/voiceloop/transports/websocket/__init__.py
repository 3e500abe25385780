"""A session on any WebSocket: yours, of whatever framework, with ``receive``, ``send`` and ``close``.

::

    start = await greeted(socket)
    if start is not None:
        async with Session(model, voice=start.voice, speak=start.speaks) as session:
            await converse(socket, session, start=start)

The protocol is in the reference, "WebSocket protocol". Needs no web framework and imports none.
"""

from voiceloop.transports.websocket.call import Hangup, converse, greeted, refuse
from voiceloop.transports.websocket.endings import CLOSE_CODES, Outcome, Refusal
from voiceloop.transports.websocket.limits import SocketLimits
from voiceloop.transports.websocket.line import Socket
from voiceloop.transports.websocket.messages import Keys, Mode, Start

__all__ = (
    "CLOSE_CODES",
    "Hangup",
    "Keys",
    "Mode",
    "Outcome",
    "Refusal",
    "Socket",
    "SocketLimits",
    "Start",
    "converse",
    "greeted",
    "refuse",
)
