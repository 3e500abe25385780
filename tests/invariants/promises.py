"""What a session promises, counted again from what was seen of a conversation. Each function returns the breaches."""

from __future__ import annotations

import bisect
import re

import voiceloop as vl
from voiceloop.conversation import AssistantEntry, ToolCallEntry, ToolResultEntry, UserEntry, history_problems
from voiceloop.testing.event_log import check_log

from .playing import Record
from .schedule import Schedule

_PLAYER_MS = 300.0
"""What the session allows for network and player when nobody reports."""


def log_promises(schedule: Schedule, record: Record) -> list[str]:
    """The checker of the testing kit, less what these providers break by themselves."""
    unstable = any(final is not None for final in schedule.providers.finals)
    complete = record.finished and record.failure is None
    ignored = any(notice.code == "speech-ignored" for notice in record.of(vl.Notice))
    last = max((event.utterance for event in record.of(vl.Transcript)), default=0)
    hung_up = any(event.reason in ("ended", "failed") for event in record.of(vl.SessionEnded))
    return [
        breach
        for breach in check_log(record.log, complete=complete)
        if not (unstable and "stable text" in breach)
        and not ((ignored or hung_up) and breach.endswith(f"utterance {last} has no final transcript"))
    ]


def went_well(record: Record) -> list[str]:
    """A conversation without faults ends by itself, without a failure."""
    breaches = [] if record.failure is None else [f"failed: {record.failure!r}"]
    if not record.finished:
        breaches.append("did not come to its end")
    return breaches


def timeline(schedule: Schedule, record: Record) -> list[str]:
    """Chunks contiguous to the sample; visemes and words in order, inside the turn, before their chunk or late."""
    breaches = []
    for turn in {event.turn for event in record.of(vl.TurnStarted)}:
        mine = [event for event in record.log if getattr(event, "turn", None) == turn]
        samples, last = 0, {vl.Viseme: 0.0, vl.Word: 0.0}
        for event in mine:
            match event:
                case vl.AudioChunk():
                    if event.start != samples:
                        breaches.append(f"turn {turn}: a chunk at {event.start}, after {samples} samples")
                    exact = schedule.options.get("chunk_ms")
                    if exact and event.samples != event.format.samples_in(exact):
                        breaches.append(f"turn {turn}: a chunk of {event.samples} samples")
                    samples += event.samples
                case vl.Viseme() | vl.Word():
                    gone_ms = schedule.options["output"].ms(samples)
                    if not event.late and event.ms < gone_ms - 0.05:
                        breaches.append(f"turn {turn}: a mark at {event.ms}, {gone_ms} ms left before it")
                    if event.ms < last[type(event)]:
                        breaches.append(f"turn {turn}: a mark at {event.ms} after one at {last[type(event)]}")
                    last[type(event)] = event.ms
        ended = [event for event in mine if isinstance(event, vl.TurnEnded)]
        total_ms = schedule.options["output"].ms(samples)
        if ended and ended[0].reason == "completed" and max(last.values()) > total_ms + 0.05:
            breaches.append(f"turn {turn}: a mark at {max(last.values())} in {total_ms} ms of audio")
    return breaches


def marks_are_complete(schedule: Schedule, record: Record) -> list[str]:
    """Every word of a completed turn was told, and no mark of a voice that is in time was late."""
    breaches = []
    for ended in record.of(vl.TurnEnded):
        words = [event for event in record.of(vl.Word) if event.turn == ended.turn]
        spoken = any(event.turn == ended.turn for event in record.of(vl.AudioChunk))
        if ended.reason == "completed" and spoken:
            told = "".join(word.text for word in words)
            letters = re.sub(r"\W", "", told)
            if letters != re.sub(r"\W", "", ended.said):
                breaches.append(f"turn {ended.turn}: the words told are {told!r}, not {ended.said!r}")
    late = [event for event in (*record.of(vl.Viseme), *record.of(vl.Word)) if event.late]
    if late:
        breaches.append(f"{len(late)} marks were late, as {late[0]}")
    return breaches


def failures_are_told(record: Record) -> list[str]:
    """A turn that was heard to its end was completed, and one that could not be made was not."""
    failed = sum(notice.code == "reply-failed" for notice in record.of(vl.Notice))
    ends = record.of(vl.TurnEnded)
    cut_short = len({event.turn for event in record.of(vl.TurnStarted)}) - sum(
        event.reason == "completed" for event in ends
    )
    breaches = [
        f"turn {event.turn} ends {event.reason}, {event.heard.text!r} heard of {event.said!r}"
        for event in ends
        if event.reason == "completed" and event.heard.text != event.said
    ]
    return (
        [*breaches, f"{failed} replies failed, {cut_short} turns were not completed"]
        if failed > cut_short
        else breaches
    )


def heard_truth(schedule: Schedule, record: Record) -> list[str]:
    """What is said to be heard is what the independent listener played."""
    breaches, truth, network = [], record.listener.truth(), schedule.network
    if schedule.options.get("lead", 0.6) is None:
        return []  # to a file: what left was heard
    for ended in record.of(vl.TurnEnded):
        heard, turn = ended.heard, ended.turn
        if turn not in truth or ended.reason == "failed":
            continue
        if heard.basis == "measured" and ended.reason == "interrupted":
            stop = record.listener.stops.get(turn)
            if stop is None or abs(stop - heard.ms) > 0.01:
                breaches.append(f"turn {turn}: measured {heard.ms} ms, the listener stopped at {stop}")
        told = record.listener.told.get(turn, False)
        on_the_way = (
            2 * network.latency + 2 * network.busy + (1.5 * (network.report_every or 0) if network.swapped else 0)
        ) * 1000
        allowed = heard.uncertainty_ms + (on_the_way if told else 2000 * network.busy) + 0.01
        if heard.basis == "measured" and ended.reason != "interrupted":
            allowed = on_the_way + 0.01
        if abs(truth[turn] - heard.ms) > allowed and heard.basis == "estimated":
            breaches.append(
                f"turn {turn}: {heard.ms} ms heard, {truth[turn]} ms played, +-{allowed} allowed: {heard}"
            )
        if ended.reason == "completed" and heard.text != ended.said:
            breaches.append(f"turn {turn}: completed, yet only {heard.text!r} heard of {ended.said!r}")
    return breaches


def words_heard(schedule: Schedule, record: Record) -> list[str]:
    """The text heard is exactly the words that were over at the position heard, wherever words have times."""
    breaches = []
    for ended in record.of(vl.TurnEnded):
        words = [event for event in record.of(vl.Word) if event.turn == ended.turn]
        if ended.reason != "interrupted" or not words or not all(word.end_ms for word in words):
            continue
        if schedule.providers.marks_late or schedule.options.get("visemes") == "prompt":
            continue  # the session may know words whose marks did not leave
        over = bisect.bisect_right([float(word.end_ms or 0) for word in words], ended.heard.ms + 0.01)
        expected = words[over - 1].end if over else 0
        tail = ended.heard.text[expected:] if len(ended.heard.text) >= expected else None
        if tail is None or re.search(r"\w", tail):
            breaches.append(f"turn {ended.turn}: heard {ended.heard.text!r}, expected {ended.said[:expected]!r}")
    return breaches


def monotone(record: Record) -> list[str]:
    """The final text is not more than what was delivered, and is a prefix of what was said."""
    breaches = []
    for ended in record.of(vl.TurnEnded):
        chunks = [event for event in record.of(vl.AudioChunk) if event.turn == ended.turn]
        delivered = sum(chunk.duration_ms for chunk in chunks)
        if ended.heard.ms > delivered + 0.01:
            breaches.append(f"turn {ended.turn}: heard {ended.heard.ms} of {delivered} ms delivered")
        if not ended.said.startswith(ended.heard.text):
            breaches.append(f"turn {ended.turn}: {ended.heard.text!r} is no prefix of {ended.said!r}")
    return breaches


def histories(record: Record) -> list[str]:
    """Every request's history is acceptable, and what is kept is what was heard."""
    limits = record.reasoner.capabilities.history
    breaches = [
        f"request {number}: {problem}"
        for number, request in enumerate(record.reasoner.requests)
        for problem in history_problems(request.messages, limits)
    ]
    breaches += [
        f"request {number} ends with the assistant"
        for number, request in enumerate(record.reasoner.requests)
        if not request.messages or request.messages[-1].role != "user"
    ]
    return breaches


def kept(record: Record) -> list[str]:
    """What the memory keeps is what the events said: each turn as heard, each utterance as it was at last."""
    breaches = []
    ended = {event.turn: event for event in record.of(vl.TurnEnded)}
    stored: dict[int, str] = {}
    for entry in record.entries:
        if isinstance(entry, AssistantEntry):
            stored[entry.turn] = stored.get(entry.turn, "") + ("" if entry.heard is None else entry.heard.text)
    for turn, event in ended.items():
        if event.reason == "dropped" and stored.get(turn):
            breaches.append(f"turn {turn} was dropped, yet {stored[turn]!r} is kept")
        if event.reason != "dropped" and stored.get(turn, "") != event.heard.text:
            breaches.append(f"turn {turn}: {stored.get(turn)!r} kept, {event.heard.text!r} heard")
    texts: dict[int, list[str]] = {}
    settled: dict[int, int] = {}
    started: dict[int, set[int]] = {}
    for event in record.log:
        if isinstance(event, vl.TranscriptRevised) or (isinstance(event, vl.Transcript) and event.final):
            texts[event.utterance] = [*texts.get(event.utterance, ()), event.text]
        elif isinstance(event, vl.TurnStarted):
            started[event.turn] = set(texts)
        elif isinstance(event, vl.TurnEnded) and event.reason != "dropped":
            for number in started[event.turn]:  # what is corrected later is told, and cannot be stored any more
                settled.setdefault(number, len(texts[number]) - 1)
    texts = {number: each[settled.get(number, len(each) - 1) :] for number, each in texts.items()}
    spoken = [entry.text for entry in record.entries if isinstance(entry, UserEntry) and not entry.typed]
    if len(spoken) != len(texts) or any(text not in each for text, each in zip(spoken, texts.values(), strict=True)):
        breaches.append(f"utterances {list(texts.values())}, kept {spoken}")
    return breaches


def no_words_lost(schedule: Schedule, record: Record) -> list[str]:
    """What the session has of the user's words is what they said, in order."""
    spoken = sum(act.name in ("speak", "recorded speech") for act in schedule.acts)
    said = " ".join((schedule.providers.utterances * spoken)[:spoken])
    texts = {
        event.utterance: event.text
        for event in record.log
        if isinstance(event, vl.TranscriptRevised) or (isinstance(event, vl.Transcript) and event.final)
    }
    told = " ".join(texts[number] for number in sorted(texts))
    return [] if told == said else [f"{said!r} was said, {told!r} was told"]


def exactly_once(record: Record) -> list[str]:
    """Input reaches the recognizer once and in order; one final each; every tool call has one result."""
    breaches = []
    if bytes(record.received) != bytes(record.sent[: len(record.received)]):
        breaches.append("the recognizer got other audio than was sent")
    if record.finished and len(record.received) != len(record.sent):
        breaches.append(f"{len(record.sent)} bytes were sent, {len(record.received)} arrived")
    finals = [event.utterance for event in record.of(vl.Transcript) if event.final]
    if len(set(finals)) != len(finals):
        breaches.append(f"finals of utterances {finals}")
    called = [event.call for event in record.of(vl.ToolCalled)]
    returned = [event.call for event in record.of(vl.ToolReturned)]
    if len(set(called)) != len(called) or len(set(returned)) != len(returned) or not set(returned) <= set(called):
        breaches.append(f"calls {called}, results {returned}")
    calls = [entry.call for entry in record.entries if isinstance(entry, ToolCallEntry)]
    results = [entry.call for entry in record.entries if isinstance(entry, ToolResultEntry)]
    if sorted(results) != sorted(returned) or not set(results) <= set(calls) or len(set(calls)) != len(calls):
        breaches.append(f"calls kept {calls}, results kept {results}, returned {returned}")
    answers: dict[int, list[int]] = {}
    utterance = {event.turn: event.utterance for event in record.of(vl.TurnStarted)}
    for event in record.of(vl.TurnEnded):
        answered = utterance.get(event.turn)
        if answered is not None and event.heard.text:
            answers.setdefault(answered, []).append(event.turn)
    breaches += [f"utterance {number} heard replies {turns}" for number, turns in answers.items() if len(turns) > 1]
    return breaches


def nothing_left(record: Record) -> list[str]:
    """No task is left."""
    return [f"left: {', '.join(record.undone)}"] if record.undone else []


def broken(schedule: Schedule, record: Record) -> list[str]:
    """All breaches of a conversation without faults or cancellation."""
    return [
        *went_well(record), *log_promises(schedule, record), *timeline(schedule, record),
        *heard_truth(schedule, record), *words_heard(schedule, record), *monotone(record), *histories(record),
        *kept(record), *exactly_once(record), *nothing_left(record),
    ]  # fmt: skip
