"""The spoken form of written text: no mark-up, no pictures, every character with its place in the source.

What is stripped: emphasis, headings, quotes, bullets and running list numbers, rules, table frames (a cell border is
spoken as a comma), links and images (their text stays), footnote marks, HTML tags, emoji and other pictures, control
characters, repeated punctuation. A bare web address is reduced to its host name. A fenced code block is not spoken at
all, inline code is spoken as it stands. A keycap is spoken as its digit.

Text is read one character at a time, so the result is the same however it was split into tokens. Characters whose
meaning is open (a ``*``, a ``<``, a digit at the start of a line) wait for those that decide it; letters never wait
past the end of their word.
"""

from __future__ import annotations

import html
import re
import string

from voiceloop.rules.spoken import Spoken, kind_of, tidy

_SAME = {"‼": "!", "⁉": "?", "‽": "?"}
_ONCE = "!?,;:…。！？、，؟؛،"  # said once, however often written
_BULLETS = "-*+•‣◦▪–"
_RULE_CHARS = "-*_=:| \t"
_ADDRESSES = ("https://www.", "http://www.", "https://", "http://", "www.")
_URL_TAIL = ".,!?;:'\")]}*_"
_BLOCK_TAGS = {"br", "p", "div", "li", "ul", "ol", "tr", "table", "h1", "h2", "h3", "h4", "h5", "h6", "hr"}
_TAG_SO_FAR = re.compile(r"<[/!?]?([A-Za-z][^\s<>]*(\s+[^\s<>=]*(=[^<>]*)?|\s*/)?)?")
_AUTOLINK = re.compile(r"<(https?:|www\.|[^\s<>]+@)")
_NOTE = re.compile(r"\[(\^[^\]\n]{1,20}|\d{1,3}|[ xX])\](?!\()")
_NOTE_SO_FAR = re.compile(r"\[((\^[^\]\n]{0,20}|\d{0,3}|[ xX])|(\^[^\]\n]{1,20}|\d{1,3}|[ xX])\])")
_ENTITY_SO_FAR = re.compile(r"&#?\w{0,12}")
_LIST_NUMBER = re.compile(r"(\d{1,3})(?:[.)]|\ufe0f?\u20e3)[ \t]")
_LIST_NUMBER_SO_FAR = re.compile(r"\d{1,3}(?:[.)]|\ufe0f?\u20e3?)?")
_ALWAYS_PLAIN = frozenset(string.ascii_letters + string.digits + " .,?") - frozenset("hwHW")  # not "http", "www"
_LONGEST_HOLD = 200
_LONGEST_SPAN = 300


class Speakable:
    """Turns text, as it is written, into spoken characters. Pure: what it gives depends on the text alone."""

    def __init__(self) -> None:
        self._held = ""  # read, meaning still open
        self._at = 0  # the source index of the first held character
        self._mode = "line"  # line (at its start), text, fence, target (of a link), address, path, comment
        self._fence = ""
        self._depth = 0
        self._last = ""  # the last source character that was decided
        self._said = ""  # the last spoken character
        self._times = 0  # ... how often in a row
        self._gap = False  # a picture was left out since
        self._span: dict[str, int] = {}  # where an open "code" or "link" began
        self._table = False
        self._number = 0  # the last list number that was left out

    def push(self, text: str) -> list[Spoken]:
        """Read more text. Returns what can be said for certain, in order; the rest waits."""
        out: list[Spoken] = []
        for char in text:
            self._held += char
            self._drain(out, last=False)
        return out

    def finish(self) -> list[Spoken]:
        """The text is complete: what still waited."""
        out: list[Spoken] = []
        self._drain(out, last=True)
        return out

    def _drain(self, out: list[Spoken], last: bool) -> None:
        while self._held:
            before = len(self._held), self._mode
            match self._mode:
                case "line":
                    self._line(last)
                case "text":
                    self._text(out, last)
                case "address" | "path":
                    self._web_address(out, last)
                case _:
                    self._silent(last)
            if (len(self._held), self._mode) == before:
                return

    # --- what is done with held characters

    def _drop(self, count: int) -> None:
        if count:
            self._last = self._held[count - 1]
            self._held = self._held[count:]
            self._at += count

    def _say(self, out: list[Spoken], char: str, count: int, *, literal: bool = False) -> None:
        """The first ``count`` held characters are spoken as ``char``."""
        start = self._at
        self._drop(count)
        if char == " " and self._said in ("", " ", "\n"):
            return
        if char in _ONCE and (char == self._said or (char in "!?" and self._said in ("!", "?"))):
            return
        if char == "." == self._said and self._times >= 3:
            return
        if self._gap and char.isalnum() and self._said not in ("", " ", "\n"):
            out.append(Spoken(" ", start, start))
        self._times = self._times + 1 if char == self._said else 1
        self._gap, self._said = False, char
        out.append(Spoken(char, start, self._at, literal or bool(self._span)))

    # --- the start of a line

    def _line(self, last: bool) -> None:
        body = self._held.lstrip(" \t")
        if not body and not last:
            return
        blank = len(self._held) - len(body)
        if body.startswith(">"):
            self._drop(blank + 1)
            return
        mark = self._line_mark(body, last)
        if mark is None and not last:
            return
        if self._mode == "line":
            self._mode = "text"
        if mark:
            self._drop(blank + mark)

    def _line_mark(self, body: str, last: bool) -> int | None:
        """How many characters of ``body`` are a block's mark; None: not known yet."""
        first = body[:1]
        if first == "#":
            run = len(body) - len(body.lstrip("#"))
            return None if run == len(body) else run + 1 if run <= 6 and body[run] in " \t" else 0
        if first in ("`", "~"):
            return self._fence_mark(body, last)
        if first.isdigit() and first.isascii():
            if found := _LIST_NUMBER.match(body):
                number = int(found[1])
                follows = number in (1, self._number + 1)
                self._number = number if follows else self._number
                return found.end() if follows else 0
            return None if _LIST_NUMBER_SO_FAR.fullmatch(body) else 0
        if first and first in _RULE_CHARS + _BULLETS:
            return self._rule_mark(body, last)
        return 0

    def _fence_mark(self, body: str, last: bool) -> int | None:
        run = len(body) - len(body.lstrip(body[0]))
        if run == len(body):
            return None
        if run < 3:
            return 0
        info = body[run:]
        if body[0] in info:
            return 0  # code in the line
        if "\n" not in info and not last:
            return None
        self._mode, self._fence = "fence", body[0] * run
        return len(body)

    def _rule_mark(self, body: str, last: bool) -> int | None:
        end = next((i for i, char in enumerate(body) if char not in _RULE_CHARS + _BULLETS), None)
        if end is None and not last and len(body) < _LONGEST_HOLD:
            return None
        if end is None or body[end] == "\n":
            return len(body) if end is None else end
        if body[0] == "|":
            self._table = True
            return len(body) - len(body.lstrip("| \t"))
        return len(body) - len(body[1:].lstrip(" \t")) if body[0] in _BULLETS and body[1] in " \t" else 0

    # --- stretches that are not spoken

    def _silent(self, last: bool) -> None:
        if self._mode == "fence":
            char = self._held[-1]
            if char == "\n" or last or len(self._held) > _LONGEST_HOLD:
                closing = self._held.strip()
                self._drop(len(self._held))
                if closing.startswith(self._fence) and not closing.strip(self._fence[0]):
                    self._mode = "line"
            return
        if self._mode == "comment":
            if self._held.endswith("-->"):
                self._mode = "text"
            if self._mode == "text" or last:
                self._drop(len(self._held))
            else:
                self._drop(len(self._held) - 2)
            return
        char = self._held[0]
        if char == "\n":
            self._mode = "text"
            return
        self._depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(char, 0)
        self._drop(1)
        if self._depth <= 0:
            self._mode = "text"

    # --- web addresses

    def _web_address(self, out: list[Spoken], last: bool) -> None:
        """The host name is said; what follows is not, but for punctuation at its end."""
        tail = len(self._held) - len(self._held.lstrip(_URL_TAIL))
        char = self._held[tail : tail + 1]
        if not char:
            if last:
                self._mode = "text"
        elif char.isspace() or not char.isascii() or char in '<>"`|':
            self._mode = "text"
        elif self._mode == "path":
            self._drop(tail + 1)
        elif char.isalnum() or char == "-":
            if tail and self._held[:tail] != ".":
                self._mode = "text"
            else:
                for each in self._held[: tail + 1]:
                    self._say(out, each, 1, literal=True)
        else:
            self._mode = "path"

    # --- running text

    def _text(self, out: list[Spoken], last: bool) -> None:
        held = self._held
        char, rest = held[0], held[1:]
        if char == "\n":
            self._span.clear()
            self._table, self._mode = False, "line"
            self._say(out, "\n", 1)
            return
        if self._span:
            self._close_long_spans()
        if char in _ALWAYS_PLAIN:
            self._say(out, char, 1)
            return
        if "code" in self._span and char != "`":
            self._plain(out, char)
            return
        if not rest and not last and self._may_open(char):
            return
        self._markup(out, char, rest, last)

    def _close_long_spans(self) -> None:
        for name, start in list(self._span.items()):
            if self._at - start > _LONGEST_SPAN:
                del self._span[name]

    def _may_open(self, char: str) -> bool:
        """Whether what comes next decides about ``char``."""
        if char in "hwHW":
            return not self._last.isalnum()
        return char in "*_~`[<&\\-#" or (char == "!" and not self._last.strip()) or (char == "|" and self._table)

    def _markup(self, out: list[Spoken], char: str, rest: str, last: bool) -> None:
        match char:
            case "*" | "_" | "~" | "`" | "-":
                self._run(out, char, last)
            case "[":
                self._bracket(last)
            case "]":
                self._span.pop("link", None)
                self._drop(1)
            case "(" if self._last == "]":
                self._mode, self._depth = "target", 0
            case "!" if rest.startswith("["):
                self._drop(1)
            case "<":
                self._tag(out, last)
            case ">" if self._span.pop("auto", None) is not None:
                self._drop(1)
            case "#" if rest[:1] in ("\ufe0f", "\u20e3"):
                self._drop(1)
            case "&":
                self._entity(out, last)
            case "\\":
                self._escape(out, rest)
            case "|" if self._table:
                self._cell(out, last)
            case "h" | "w" | "H" | "W" if not self._last.isalnum():
                self._maybe_address(out, last)
            case _:
                self._plain(out, char)

    def _plain(self, out: list[Spoken], char: str) -> None:
        kind = kind_of(char)
        if kind == "picture" or (char == "\u200d" and self._last and kind_of(self._last) != "text"):
            self._gap = True
            self._drop(1)
        elif kind == "nothing":
            self._drop(1)
        else:
            self._say(out, " " if kind == "space" else _SAME.get(char, char), 1)

    def _run(self, out: list[Spoken], char: str, last: bool) -> None:
        """A run of emphasis marks, back-ticks or hyphens."""
        run = len(self._held) - len(self._held.lstrip(char))
        if run == len(self._held) and not last:
            return
        before, after = self._last, self._held[run : run + 1]
        if char == "`":
            if self._span.pop("code", None) is None:
                self._span["code"] = self._at
            self._drop(run)
        elif char == "-":
            self._say(out, "-" if run == 1 else "—", run)
        elif char == "_" and before.isalnum() and after.isalnum():
            self._say(out, " ", run, literal=True)
        elif char == "~" and run == 1:
            self._say(out, "~", run)
        elif char == "*" and ((before == after == " ") or (before.isdigit() and after.isdigit())):
            self._say(out, "*", run)
        else:
            self._drop(run)

    def _bracket(self, last: bool) -> None:
        """``[``: a footnote or check box (dropped), the name of a link's target (dropped), or a link's text."""
        if self._last == "]" and not self._held[1:2].isdigit() and self._held[1:2] != "^":
            self._mode, self._depth = "target", 0
        elif (found := _NOTE.match(self._held)) and (last or found.end() < len(self._held)):
            self._drop(found.end())
        elif last or not _NOTE_SO_FAR.fullmatch(self._held):
            self._span["link"] = self._at
            self._drop(1)

    def _tag(self, out: list[Spoken], last: bool) -> None:
        held = self._held
        if held.startswith("<!--"):
            self._mode = "comment"
        elif _AUTOLINK.match(held):
            self._span["auto"] = self._at
            self._drop(1)
        elif held.endswith(">") and _TAG_SO_FAR.fullmatch(held[:-1]) and len(held) > 2:
            name = held.strip("</!?>").split()[:1]
            block = bool(name) and name[0].lower().rstrip("/") in _BLOCK_TAGS
            if block and self._said not in ("", "\n"):
                self._say(out, "\n", len(held))
            else:
                self._drop(len(held))
        elif last or len(held) > _LONGEST_HOLD or not (_TAG_SO_FAR.fullmatch(held) or held in ("<!-", "<!--")):
            self._say(out, "<", 1)

    def _entity(self, out: list[Spoken], last: bool) -> None:
        held = self._held
        if held.endswith(";") and _ENTITY_SO_FAR.fullmatch(held[:-1]):
            char = html.unescape(held)
            if len(char) == 1 and kind_of(char) in ("text", "space"):
                self._say(out, " " if char.isspace() else char, len(held))
                return
        elif not last and _ENTITY_SO_FAR.fullmatch(held):
            return
        self._say(out, "&", 1)

    def _escape(self, out: list[Spoken], rest: str) -> None:
        self._drop(1)
        if rest[:1] in ("(", ")", "[", "]"):
            self._drop(1)  # a formula's frame
        elif rest and rest[0].isascii() and not rest[0].isalnum() and rest[0].isprintable() and rest[0] != " ":
            self._say(out, rest[0], 1, literal=True)

    def _cell(self, out: list[Spoken], last: bool) -> None:
        body = self._held.lstrip("| \t")
        if not body and not last:
            return
        frame = len(self._held) - len(body)
        if body[:1] in ("", "\n"):
            self._drop(frame)
        else:
            self._say(out, ",", 1)
            self._say(out, " ", frame - 1)

    def _maybe_address(self, out: list[Spoken], last: bool) -> None:
        held = self._held.lower()
        scheme = next((each for each in _ADDRESSES if held.startswith(each)), "")
        if not last and any(each.startswith(held) for each in _ADDRESSES):
            return
        if scheme and held[len(scheme) : len(scheme) + 1].isalnum():
            self._drop(len(scheme))
            self._mode = "address"
        else:
            self._plain(out, self._held[0])


def speakable(text: str) -> str:
    """The spoken form of a whole text, its lines kept apart; empty when there is nothing to say."""
    speaker = Speakable()
    lines: list[list[Spoken]] = [[]]
    for each in (*speaker.push(text), *speaker.finish()):
        if each.char == "\n":
            lines.append([])
        else:
            lines[-1].append(each)
    said = ("".join(each.char for each in tidy(line)) for line in lines)
    return "\n".join(line for line in said if line)
