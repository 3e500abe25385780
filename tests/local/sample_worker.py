"""A worker for the tests: small operations that do what a native engine may do, good and bad."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Generator, Mapping

from voiceloop.errors import BadInput, MissingExtra
from voiceloop.local.serving import Handler, Job, serve

_made: list[int] = []


def echo(job: Job) -> None:
    job.send(job.header, job.payload, last=True)


def count(job: Job) -> Generator[None]:
    for number in range(job.header["to"]):
        _made.append(number)
        job.send({"number": number}, bytes(job.header.get("size", 0)))
        yield


def made(job: Job) -> None:
    job.send({"made": len(_made)}, last=True)


def work_until_cancelled(job: Job) -> None:
    job.send({"begun": True})
    while not job.cancelled:
        time.sleep(0.0005)


def chatter(job: Job) -> None:
    ctypes.CDLL(None).puts(b"a C library talks")
    print("and so does Python", flush=True)
    os.write(1, b"and so does a system call\n")
    job.send({"fine": True}, last=True)


def hang(job: Job) -> None:
    time.sleep(3600)


def fail(job: Job) -> None:
    if job.header["how"] == "bad input":
        raise BadInput("speed=9: from 0.2 to 5 is allowed", hint="Speak slower.")
    raise KeyError("what the user said")


def nonsense(job: Job) -> None:
    os.write(int(job.header["fd"]), b"\xff" * 64)


def start() -> Mapping[str, Handler]:
    if os.environ.get("SAMPLE_WORKER") == "missing":
        raise MissingExtra("the sample is not installed", hint="pip install 'sample'")
    if os.environ.get("SAMPLE_WORKER") == "crash":
        os.abort()
    if os.environ.get("SAMPLE_WORKER") == "slow":
        time.sleep(3600)
    return {
        "echo": echo,
        "count": count,
        "made": made,
        "work": work_until_cancelled,
        "chatter": chatter,
        "hang": hang,
        "fail": fail,
        "nonsense": nonsense,
        "exit": lambda job: sys.exit(7) if job.header.get("politely") else os._exit(7),
    }


if __name__ == "__main__":
    serve(start)
