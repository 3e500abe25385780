"""Worker processes: requests at once, cancellation, every way to die, and nothing left."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceloop.errors import BadInput, MissingExtra, ProviderMisbehaved, ProviderTimeout, ProviderUnavailable
from voiceloop.interfaces import Resources
from voiceloop.local._framing import WINDOW, BrokenFrame, Decoder, Kind, encode
from voiceloop.local.worker import Worker, shared_worker, start_worker


@pytest.fixture(autouse=True)
def find_sample_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(__file__).parent)])


@pytest.fixture
async def worker(resources: Resources) -> Worker:
    return await shared_worker(resources, "sample_worker", name="sample")


@given(
    frames=st.lists(st.tuples(st.sampled_from(Kind), st.integers(0, 2**32 - 1), st.text(), st.binary()), max_size=8),
    piece=st.integers(1, 40),
)
def test_frames_survive_being_cut_anywhere(frames: list[tuple[Kind, int, str, bytes]], piece: int) -> None:
    sent = b"".join(encode(kind, request, {"text": text}, payload) for kind, request, text, payload in frames)
    decoder = Decoder()
    came = [frame for start in range(0, len(sent), piece) for frame in decoder.feed(sent[start : start + piece])]
    assert [(f.kind, f.request, f.header["text"], f.payload) for f in came] == frames


@pytest.mark.parametrize("data", [b"\xff" * 13, b"\x05" + b"\xff" * 12, b"\x05\x01\0\0\0\x02\0\0\0\0\0\0\0{]"])
def test_broken_frames_are_told(data: bytes) -> None:
    with pytest.raises(BrokenFrame):
        list(Decoder().feed(data))


async def test_a_call_brings_header_and_payload_back(worker: Worker) -> None:
    reply = await worker.call({"op": "echo", "text": "µ-law ☂"}, bytes(range(256)) * 1000)
    assert reply.header["text"] == "µ-law ☂"
    assert reply.payload == bytes(range(256)) * 1000


async def test_requests_at_once_get_their_own_replies_in_order(worker: Worker) -> None:
    async def one(to: int) -> None:
        async with worker.request({"op": "count", "to": to}) as replies:
            assert [reply.header["number"] async for reply in replies] == list(range(to))

    async with anyio.create_task_group() as tasks:
        for number in range(40):
            tasks.start_soon(one, number)


async def test_a_job_waits_for_a_reader_who_does_not_read(worker: Worker) -> None:
    async with worker.request({"op": "count", "to": 200, "size": WINDOW // 8}) as replies:
        await anext(replies)
        for _ in range(50):
            made = (await worker.call({"op": "made"})).header["made"]  # others go on, and give the job many turns
        assert made == 8
        assert len([reply async for reply in replies]) == 199


async def test_leaving_early_cancels_the_work(worker: Worker) -> None:
    async with worker.request({"op": "work"}) as replies:
        assert (await anext(replies)).header == {"begun": True}
    await worker.call({"op": "echo"})  # one thread works: this is answered because the other job ended


async def test_cancelling_the_caller_cancels_the_work(worker: Worker) -> None:
    with anyio.CancelScope() as scope:
        async with worker.request({"op": "work"}) as replies:
            async for _ in replies:
                scope.cancel()
    await worker.call({"op": "echo"})


async def test_what_libraries_print_does_not_reach_the_frames(worker: Worker) -> None:
    assert (await worker.call({"op": "chatter"})).header == {"fine": True}
    assert (await worker.call({"op": "echo", "still": "here"})).header["still"] == "here"


async def test_the_workers_own_errors_come_over(worker: Worker) -> None:
    with pytest.raises(BadInput, match=r"speed=9.*Speak slower"):
        await worker.call({"op": "fail", "how": "bad input"})
    with pytest.raises(ProviderMisbehaved, match="KeyError") as caught:
        await worker.call({"op": "fail", "how": "else"})
    assert "user" not in str(caught.value)
    with pytest.raises(ProviderMisbehaved, match="no operation 'dance'"):
        await worker.call({"op": "dance"})
    assert worker.alive


@pytest.mark.parametrize("polite", [False, True])
async def test_a_worker_that_ends_fails_its_requests(worker: Worker, polite: bool) -> None:
    with pytest.raises(ProviderUnavailable, match=r"sample: .*exit code 7") as caught:
        await worker.call({"op": "exit", "politely": polite})
    assert caught.value.retryable
    assert not worker.alive
    with pytest.raises(ProviderUnavailable, match="exit code 7"):
        await worker.call({"op": "echo"})


async def test_a_killed_worker_fails_all_and_the_next_use_starts_another(resources: Resources) -> None:
    worker = await shared_worker(resources, "sample_worker", name="sample")
    failed: list[ProviderUnavailable] = []

    async def one() -> None:
        with pytest.raises(ProviderUnavailable, match="SIGKILL") as caught:
            await worker.call({"op": "hang"})
        failed.append(caught.value)

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(one)
        await anyio.wait_all_tasks_blocked()
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
    assert len(set(map(id, failed))) == 10
    again = await shared_worker(resources, "sample_worker", name="sample")
    assert again is not worker
    assert (await again.call({"op": "echo", "number": 1})).header["number"] == 1


async def test_a_hanging_worker_is_given_up(worker: Worker) -> None:
    with pytest.raises(ProviderTimeout, match=r"0\.05 s"):
        await worker.call({"op": "hang"}, timeout=0.05)
    assert not worker.alive


async def test_nonsense_ends_the_worker(worker: Worker) -> None:
    assert worker.pid is not None
    with pytest.raises(ProviderMisbehaved, match="nonsense"):
        await worker.call({"op": "nonsense", "fd": _frames_descriptor(worker.pid)})
    assert not worker.alive


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ("missing", MissingExtra, "pip install 'sample'"),
        ("crash", ProviderUnavailable, "SIGABRT"),
        ("slow", ProviderTimeout, "not ready"),
    ],
)
async def test_a_worker_that_cannot_start_says_why(
    how: str, error: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch, resources: Resources
) -> None:
    monkeypatch.setenv("SAMPLE_WORKER", how)
    timeout = 0.3 if how == "slow" else 10.0
    with pytest.raises(error, match=words):
        await shared_worker(resources, "sample_worker", name="sample", ready_timeout=timeout)


async def test_a_module_that_does_not_exist(resources: Resources) -> None:
    with pytest.raises(ProviderUnavailable, match="exit code 1"):
        await shared_worker(resources, "no_such_worker", name="sample")


async def test_cancelled_while_starting_leaves_nothing(resources: Resources) -> None:
    for turns in range(6):
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:

                async def cancel_after(turns: int, scope: anyio.CancelScope) -> None:
                    for _ in range(turns):
                        await anyio.lowlevel.checkpoint()
                    scope.cancel()

                tasks.start_soon(cancel_after, turns, scope)
                async with start_worker("sample_worker", name="sample"):
                    await anyio.sleep_forever()


async def test_a_busy_worker_is_killed_at_the_end(resources: Resources) -> None:
    worker = await shared_worker(resources, "sample_worker", name="sample")
    with anyio.move_on_after(0.01):
        await worker.call({"op": "hang"})
    # the fixture sees that nothing is left


async def test_the_worker_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    program = (
        "import asyncio\n"
        "from voiceloop.local.worker import start_worker\n"
        "async def main():\n"
        "    async with start_worker('sample_worker', name='sample') as worker:\n"
        "        print(worker.pid, flush=True)\n"
        "        await worker.call({'op': 'hang'})\n"
        "asyncio.run(main())\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    async with await anyio.open_process([sys.executable, "-c", program], env=environment) as parent:
        assert parent.stdout is not None
        pid = int(await parent.stdout.receive())
        parent.kill()
        with anyio.fail_after(10):
            while _running(pid):  # noqa: ASYNC110 - another process gives no event
                await anyio.sleep(0.01)


def _running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def _frames_descriptor(pid: int) -> int:
    """The worker's own duplicate of its standard output: the last of its pipes."""
    files = {int(entry.name): os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    return max(number for number, what in files.items() if "pipe" in what)
