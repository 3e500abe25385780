"""The rules for what a recognizer says; a speech model's transcripts keep them too."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define, field

from voiceloop.events import SpokenWord
from voiceloop.interfaces import Final, Partial
from voiceloop.testing.conformance.findings import Findings

_SLACK_MS = 250.0


@define(eq=False)
class Transcripts:
    """Looks at partials and finals as they come. ``flushes``: a longer final of the same item is allowed."""

    _findings: Findings
    _flushes: bool
    _word_times: bool
    sent_ms: float = 0.0
    finals: list[Final] = field(factory=list)
    _stable: dict[str, str] = field(factory=dict)
    _final: dict[str, str] = field(factory=dict)

    def see(self, item: Partial | Final) -> None:
        """The next item of the stream."""
        wrong, check = self._findings.wrong, self._findings.check
        if item.item in self._final:
            if isinstance(item, Partial) and not self._flushes:
                wrong("a Partial came after its item's Final")
            elif isinstance(item, Final) and not self._flushes:
                wrong("two Finals came of one item")
            elif isinstance(item, Final) and len(item.text) < len(self._final[item.item]):
                wrong("a later Final of the same item is shorter")
        if not item.text.startswith(self._stable.get(item.item, "")):
            wrong("text that was said to be stable changed")
        if isinstance(item, Partial):
            check(0 <= item.stable_chars <= len(item.text), "stable_chars is more than the text has")
            self._stable[item.item] = item.text[: item.stable_chars]
        else:
            self._final[item.item] = item.text
            self.finals.append(item)
            check(item.confidence is None or 0 <= item.confidence <= 1, "a confidence is not from 0 to 1")
        if item.text.strip():
            check(bool(item.words) or not self._word_times, "capabilities say word_times, but words have none")
        self._words(item.words)

    def _words(self, words: Sequence[SpokenWord]) -> None:
        check, last = self._findings.check, 0.0
        for word in words:
            check(word.start_ms >= last, "words are not in order of time")
            check(word.end_ms >= word.start_ms, "a word ends before it begins")
            check(word.end_ms <= self.sent_ms + _SLACK_MS, "a word ends after the audio that was sent")
            check(word.confidence is None or 0 <= word.confidence <= 1, "a confidence is not from 0 to 1")
            last = word.start_ms


def amounts(findings: Findings, given: object) -> None:
    """Consumption must be numbers of named units."""
    right = isinstance(given, dict) and all(
        isinstance(unit, str) and isinstance(number, int | float) and number >= 0 for unit, number in given.items()
    )
    findings.check(right, "usage is not numbers, 0 or more, by the names of their units")
