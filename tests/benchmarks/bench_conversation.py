"""Voice to voice on the emulated AWS: people's voices, real TLS sockets, the services in a process of their own.

The emulated Bedrock takes 350 ms to the first token, Polly 150 ms to the first byte. The floor is the silence that
ended the turn plus these two; what the model takes to write its first clause is in neither. Voice to voice is by
``TurnMetrics``, whose end of speech is the turn detector's; "heard" is by the caller's clock, from the end of the
last word as forced alignment gives it.
"""

from __future__ import annotations

import bisect
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

from attrs import field, frozen
from emulated_aws import FIRST_TOKEN_S, POLLY_S, TOKEN_S
from figures import HERE, Figure, main, percentile

Turn: TypeAlias = dict[str, Any]
_P50, _P95, _NOVA = 900.0, 1200.0, 80.0
_SERVICES_MS = (FIRST_TOKEN_S + POLLY_S) * 1000
_PARTS = {
    "endpointing": None,
    "first_token": FIRST_TOKEN_S * 1000,
    "first_clause": 3 * TOKEN_S * 1000,  # "Gladly, for which day?" is written that long after its first token
    "synthesis": POLLY_S * 1000,
    "delivery": None,
}


@frozen
class Run:
    """What came of one run: the turns that people had, when Nova sent first audio, and requests to Bedrock."""

    turns: list[Turn]
    sent: list[float] = field(repr=False)
    requests: int = 0

    @property
    def answered(self) -> list[Turn]:
        return [turn for turn in self.turns if "voice_to_voice" in turn]

    def of(self, what: str) -> list[float]:
        return [turn[what] for turn in self.answered]

    @property
    def early(self) -> int:
        """Answers that were heard before the person had ended."""
        return sum(turn.get("heard", 0.0) < 0 for turn in self.turns)


def measure(quick: bool) -> list[Figure]:
    """All figures; ``quick``: fewer turns, and 5 s of idleness for 60."""
    turns, idle = (3, 5) if quick else (11, 60)
    default, eager = (_run(*options, "--turns", turns) for options in (("cascade",), ("cascade", "--eager")))
    figures = [*_waterfall("defaults", default), *_waterfall("eager", eager)]
    figures += [_requests("defaults", default), _requests("eager", eager)]
    jobs = (
        ("cascade", "--people", 12, "--turns", 2, "--idle", idle),
        ("cascade", "--turns", max(2, turns // 2), "--bare"),
        ("cascade", "--turns", max(2, turns // 2), "--bare", "--eager"),
        ("cascade", "--turns", max(2, turns // 2), "--lag", 0.3),
        ("cascade", "--turns", max(2, turns // 3), "--pause", 400),
        ("cascade", "--turns", max(2, turns // 3), "--pause", 400, "--eager"),
        ("nova", "--turns", max(2, turns // 3)),
    )
    with ThreadPoolExecutor(2) as pool:
        rested, bare, bare_eager, slow, pauses, eager_pauses, nova = pool.map(lambda job: _run(*job), jobs)
    return [
        *figures,
        *_rested(rested, idle),
        *_quantiles("no punctuation in partials, defaults", bare, None, None),
        *_quantiles("no punctuation in partials, eager", bare_eager, _P50, _P95),
        *_quantiles("words known 200 ms later, defaults", slow, None, None),
        *_pauses("defaults", pauses),
        *_pauses("eager", eager_pauses),
        *_nova(nova),
    ]


def _run(*options: object) -> Run:
    """People and services, each in a process; both end. Raises CalledProcessError."""
    given = list(map(str, options))
    for_services = [option for option in ("--bare",) if option in given]
    if "--lag" in given:
        for_services += given[given.index("--lag") :][:2]
    for_people = [option for option in given if option not in for_services]
    services = _start("emulated_aws.py", *for_services)
    assert services.stdout is not None
    environ = json.loads(services.stdout.readline() or "{}")
    people = _start("talk_to_aws.py", *for_people, env=os.environ | environ)
    turns = _told(people)
    return Run(turns, **_told(services))


def _start(*arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, *arguments], stdin=pipe, stdout=pipe, text=True, cwd=HERE, env=env)


def _told(process: subprocess.Popen[str]) -> Any:
    out, _ = process.communicate()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return json.loads(out)


def _quantiles(name: str, run: Run, p50: float | None, p95: float | None) -> list[Figure]:
    floor = percentile(run.of("endpointing"), 50) + _SERVICES_MS
    values = run.of("voice_to_voice")
    return [
        Figure(f"{name}: voice to voice p50", "ms", percentile(values, 50), floor, most=p50),
        Figure(f"{name}: voice to voice p95", "ms", percentile(values, 95), most=p95),
    ]


def _waterfall(name: str, run: Run) -> list[Figure]:
    parts = [
        Figure(f"{name}: {what.replace('_', ' ')} p{percent}", "ms", percentile(run.of(what), percent), floor)
        for what, floor in _PARTS.items()
        for percent in (50, 95)
    ]
    over = [turn["voice_to_voice"] - turn["endpointing"] - _SERVICES_MS for turn in run.answered]
    return [
        *_quantiles(name, run, _P50, _P95),
        *(Figure(f"{name}: heard p{p}", "ms", percentile(run.of("heard"), p)) for p in (50, 95)),
        *parts,
        *(Figure(f"{name}: over silence and services p{p}", "ms", percentile(over, p)) for p in (50, 95)),
        Figure(f"{name}: unanswered", f"of {len(run.turns)}", len(run.turns) - len(run.answered), most=0),
        Figure(f"{name}: heard before the end of speech", f"of {len(run.turns)}", run.early, most=0),
    ]


def _requests(name: str, run: Run) -> Figure:
    return Figure(f"{name}: requests to Bedrock", "an answer", run.requests / max(1, len(run.answered)))


def _rested(run: Run, idle: float) -> list[Figure]:
    figures = []
    for number, (name, *most) in enumerate((("first turn", None, None), (f"after {idle:g} s idle", _P50, _P95))):
        turns = Run([turn for turn in run.turns if turn["number"] == number], [])
        over = [turn["voice_to_voice"] - turn["endpointing"] for turn in turns.answered]
        figures += [
            *_quantiles(name, turns, *most),
            Figure(f"{name}: commit to first audio p50", "ms", percentile(over, 50), _SERVICES_MS),
            Figure(f"{name}: commit to first audio, longest", "ms", max(over, default=0.0), _SERVICES_MS),
        ]
    return figures


def _pauses(name: str, run: Run) -> list[Figure]:
    name, count = f"{name}, pauses of 400 ms in phrases", f"of {len(run.turns)}"
    return [
        Figure(f"{name}: answers heard in them", count, run.early, most=0),
        Figure(f"{name}: answers withdrawn unheard", count, sum(run.of("cut_offs"))),
        _requests(name, run),
    ]


def _nova(run: Run) -> list[Figure]:
    heard = [turn["heard_at"] for turn in run.turns if "heard_at" in turn]
    over = [(at - run.sent[bisect.bisect_right(run.sent, at) - 1]) * 1000 for at in heard]
    return [
        Figure("Nova Sonic: first audio sent to AudioChunk p50", "ms", percentile(over, 50)),
        Figure("Nova Sonic: first audio sent to AudioChunk p95", "ms", percentile(over, 95), most=_NOVA),
        Figure("Nova Sonic: unanswered", f"of {len(run.turns)}", len(run.turns) - len(run.answered), most=0),
    ]


if __name__ == "__main__":
    main("conversation", measure)
