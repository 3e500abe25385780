"""The declarative file of a rules reasoner: intents, slots, types and replies, read into values.

::

    [talk]
    name = "rooms"                                  # what it is called
    about = "I am a set of rules ..."               # what it is: the answer to "who are you"
    can = "book a meeting room"                     # what it can do, behind "I can ..."; used when nothing matches
    examples = ["book a room"]                      # what can be said, for the answer to "what can I say"

    [types]                                         # besides the built-in `time` and `day`
    people = { number = [1, 20] }                   # fractions = true for 2.5; listen = 999: beyond 99 also by ear
    length = { duration = [5, 480] }                # in minutes
    place = { choices = { "Mountain View" = ["mountain view"] }, free = 3 }   # free: other names of up to 3 words

    [intent.book]
    patterns = ["book [me] a room"]                 # the notation of voiceloop.local.grammar
    typed = ["room please"]                         # understood, but not listened for: the ear is better with less
    tool = "book_room"                              # called with the slots as arguments; left out: only a reply
    confirm = "A room in {place}. Shall I book it?"   # left out: done without asking
    reply = "Booked, number {reference}."           # slots, fields of the tool's result, or {result}
    failed = "That did not work: {result}"          # when the tool failed

    [intent.book.slots.place]                       # asked for in this order; several may be said at once
    type = "place"                                  # the type's name, by default the slot's
    ask = "Where?"                                  # left out: the slot is not asked for
    help = "Say a city, such as mountain view."
    called = ["place", "city"]                      # "change the city"; by default its name
    shown = "{place}"                               # how replies show it; {people:person|people} is "1 person"
    phrases = ["(in | at) {place}"]                 # understood at any time
    answers = ["{place}"]                           # understood when asked; by default the bare slot

``[commands]`` gives phrases for what can be said at any time: yes, no, help, cancel, stop,
repeat, again (start over).
"""

from __future__ import annotations

import functools
import string
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from voiceloop.errors import BadInput, UnknownName
from voiceloop.local.grammar import Many, Maybe, Pattern, SlotType, in_order, one_of, parse, slots_of
from voiceloop.local.intents_types import built_in, make_type

COMMANDS = ("yes", "no", "help", "cancel", "stop", "repeat", "again")


@frozen
class SlotRule:
    """A value that an intent needs."""

    name: str
    type: SlotType
    ask: str = ""
    help: str = ""
    phrases: tuple[Pattern, ...] = ()
    answers: tuple[Pattern, ...] = ()
    called: tuple[Pattern, ...] = ()
    shown: str = ""

    def say(self, value: Any) -> str:
        """The value in words."""
        words = self.type.say(value)
        return fill(self.shown, {self.name: words}) if self.shown else words


@frozen
class Intent:
    """Something that the user may want."""

    name: str
    patterns: tuple[Pattern, ...]
    typed: tuple[Pattern, ...] = ()
    slots: tuple[SlotRule, ...] = ()
    tool: str = ""
    confirm: str = ""
    reply: str = ""
    failed: str = ""

    @functools.cached_property
    def types(self) -> dict[str, SlotType]:
        """The types of its slots, by slot."""
        return {slot.name: slot.type for slot in self.slots}

    @functools.cached_property
    def phrases(self) -> tuple[Pattern, ...]:
        """The phrases by which any of its slots can be given at any time."""
        return tuple(phrase for slot in self.slots for phrase in slot.phrases)

    @functools.cached_property
    def opening(self) -> Pattern:
        """How it begins, with any slots said at once."""
        return self._with_slots(one_of((*self.patterns, *self.typed)))

    @functools.cached_property
    def listened(self) -> Pattern:
        """What of :attr:`opening` is listened for."""
        return self._with_slots(one_of(self.patterns))

    def _with_slots(self, start: Pattern) -> Pattern:
        return in_order(start, Maybe(Many(one_of(self.phrases)))) if self.phrases else start

    def slot(self, name: str) -> SlotRule:
        """The slot called ``name``."""
        return next(slot for slot in self.slots if slot.name == name)


@frozen
class Script:
    """A whole file, or several merged."""

    name: str
    about: str
    can: tuple[str, ...]
    examples: tuple[str, ...]
    intents: tuple[Intent, ...]
    commands: Mapping[str, Pattern] = field(repr=False)

    def intent(self, name: str) -> Intent:
        """The intent called ``name``."""
        return next(intent for intent in self.intents if intent.name == name)

    @property
    def tools(self) -> tuple[str, ...]:
        """The tools that it calls, each once."""
        return tuple(dict.fromkeys(intent.tool for intent in self.intents if intent.tool))


def merge(scripts: Sequence[Script]) -> Script:
    """One script of all. Raises BadInput when two have an intent of the same name."""
    intents = [intent for script in scripts for intent in script.intents]
    names = [intent.name for intent in intents]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadInput(f"two files have an intent {twice[0]!r}; rename one of them")
    return evolve(
        scripts[0],
        name=" and ".join(script.name for script in scripts),
        can=tuple(can for script in scripts for can in script.can),
        examples=tuple(example for script in scripts for example in script.examples),
        intents=tuple(intents),
    )


def content(name: str) -> str:
    """The text of a file that comes with voiceloop."""
    return (resources.files("voiceloop.local") / "content" / name).read_text("utf-8")


def load(source: Path | str) -> Script:
    """Read a file, or the text itself. Raises BadInput when it cannot be read or says something unknown."""
    where = "the text" if isinstance(source, str) and "\n" in source else str(source)
    try:
        text = source if isinstance(source, str) and "\n" in source else Path(source).read_text("utf-8")
        tables = tomllib.loads(text)
    except OSError as error:
        raise BadInput(f"rules: {where} cannot be read ({error.strerror})") from error
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"rules: {where} is no TOML: {error}") from error
    _only(tables, ("talk", "types", "intent", "commands"), "section")
    talk = tables.get("talk", {})
    _only(talk, ("name", "about", "can", "examples"), "setting of [talk]")
    types = built_in() | {name: make_type(name, table) for name, table in tables.get("types", {}).items()}
    intents = tuple(_intent(name, table, types) for name, table in tables.get("intent", {}).items())
    if not intents:
        raise BadInput(f"rules: {where} has no [intent.<name>]")
    common = tomllib.loads(content("common.toml"))
    commands = common["commands"] | tables.get("commands", {})
    _only(commands, COMMANDS, "command")
    return Script(
        name=talk.get("name", "rules"),
        about=talk.get("about", common["talk"]["about"]),
        can=tuple(filter(None, (talk.get("can", ""),))),
        examples=tuple(talk.get("examples", ())),
        intents=intents,
        commands={name: _plain(name, ways) for name, ways in commands.items()},
    )


def _only(table: Mapping[str, Any], known: Iterable[str], kind: str) -> None:
    for key in table:
        if key not in known:
            raise UnknownName(kind, key, known)


def _plain(name: str, texts: Sequence[str]) -> Pattern:
    pattern = one_of(parse(text) for text in texts)
    if slots_of(pattern):
        raise BadInput(f"command {name!r}: a command has no slots")
    return pattern


def _intent(name: str, table: Mapping[str, Any], types: Mapping[str, SlotType]) -> Intent:
    _only(
        table, ("patterns", "typed", "tool", "confirm", "reply", "failed", "slots"), f"setting of the intent {name!r}"
    )
    slots = tuple(_slot(slot, settings, types) for slot, settings in table.get("slots", {}).items())
    intent = Intent(
        name=name,
        patterns=tuple(parse(text) for text in table.get("patterns", ())),
        typed=tuple(parse(text) for text in table.get("typed", ())),
        slots=slots,
        **{key: table[key] for key in ("tool", "confirm", "reply", "failed") if key in table},
    )
    if not intent.patterns or not intent.reply:
        raise BadInput(f"intent {name!r} needs patterns and a reply")
    used = one_of((intent.opening, *(way for slot in slots for way in (*slot.answers, *slot.called))))
    if unknown := sorted(slots_of(used) - intent.types.keys()):
        raise BadInput(f"intent {name!r} has no slot {unknown[0]!r}: add [intent.{name}.slots.{unknown[0]}]")
    return intent


def _slot(name: str, table: Mapping[str, Any], types: Mapping[str, SlotType]) -> SlotRule:
    _only(table, ("type", "ask", "help", "phrases", "answers", "called", "shown"), f"setting of the slot {name!r}")
    kind = table.get("type", name)
    if kind not in types:
        raise UnknownName("type of slot", kind, types)
    return SlotRule(
        name=name,
        type=types[kind],
        ask=table.get("ask", ""),
        help=table.get("help", ""),
        shown=table.get("shown", ""),
        phrases=tuple(parse(text) for text in table.get("phrases", ())),
        answers=tuple(parse(text) for text in table.get("answers", [f"{{{name}}}"])),
        called=tuple(parse(text) for text in table.get("called", [name])),
    )


class _Template(string.Formatter):
    """``{people:person|people}`` is "1 person" or "2 people"."""

    def format_field(self, value: Any, format_spec: str) -> Any:
        one, found, many = format_spec.partition("|")
        if found:
            return f"{value} {one if str(value) == '1' else many}"
        return super().format_field(value, format_spec)

    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        return kwargs.get(str(key), "")


def fill(template: str, values: Mapping[str, Any]) -> str:
    """``template`` with its fields filled; what is unknown is left empty."""
    return " ".join(_Template().vformat(template, (), values).split())
