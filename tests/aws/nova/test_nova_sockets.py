"""Over TLS and HTTP/2, with signatures that the emulator checks."""

from __future__ import annotations

import anyio

from voiceloop import Pool
from voiceloop.aws.nova import NovaSonic
from voiceloop.interfaces import Prompt, ReasonerRequest, ReplyStarted
from voiceloop.testing.aws import Emulator

from .nova_link_kit import Talk, marked
from .nova_marked import quick


def last_word(request: ReasonerRequest) -> str:
    return f"You said {request.messages[-1].text.split()[-1]}."


async def test_a_conversation_over_real_sockets() -> None:
    async with Emulator(marked(last_word), timers=0.05) as aws:
        aws.nova.profile = quick()
        sonic = NovaSonic(account=aws.account(), renew_after=0.7, deadline=1.4)
        running = Talk(sonic, aws)
        async with Pool() as pool, sonic.connect(running.context(pool)) as link, anyio.create_task_group() as group:
            running.link = link
            group.start_soon(running.read)
            await link.send(Prompt(1))
            await running.ends(ReplyStarted)
            for number in range(1, 4):
                await running.word(number, ms=300, quiet_ms=900)
            await running.until(lambda: len(running.said()) == 4)
            group.cancel_scope.cancel()
    assert running.failure is None
    assert running.heard == ["w1", "w2", "w3"]
    assert running.said()[1:] == ["You said w1.", "You said w2.", "You said w3."]
    assert {connection.ended for connection in running.nova.connections} == {"closed"}
    assert len(running.nova.connections) > 1
    assert {error for call in aws.calls if (error := call.error)} == set()
