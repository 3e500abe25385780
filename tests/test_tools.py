"""Tools: from typed functions to what the model sees, and from what it writes to calls."""

from __future__ import annotations

import dataclasses
import enum
import json
import threading
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceloop.errors import BadInput
from voiceloop.tools import Tool, ToolContext, as_tool, render, tool, toolbox


class Unit(enum.Enum):
    CELSIUS = "celsius"
    KELVIN = "kelvin"


class Size(enum.Enum):
    SMALL = (1, 2)
    LARGE = (3, 4)


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Place(TypedDict):
    city: str
    country: NotRequired[Annotated[str, "Two letters."]]


@attrs.frozen
class Guest:
    name: str
    _age: int | None = None
    seen: bool = attrs.field(default=False, init=False)


@dataclasses.dataclass
class Room:
    guests: list[Guest]
    floor: int = 0

    def __post_init__(self) -> None:
        if self.floor > 9:
            raise ValueError("there are 9 floors")


@attrs.frozen
class Chain:
    next: Chain | None = None


@tool
async def weather(city: str, unit: Unit = Unit.CELSIUS, days: int | None = None) -> dict[str, Any]:
    """Tell the weather of
    the next days.

    More that the model need not know.

    Args:
        city: The city's name,
            without the country.
        unit (Unit): Of temperature.
        days: How many.

    Returns:
        The weather.
    """
    return {"city": city, "unit": unit, "days": days}


def test_a_function_becomes_a_tool() -> None:
    assert (weather.name, weather.description, weather.timeout) == (
        "weather",
        "Tell the weather of the next days.",
        30.0,
    )
    assert weather.schema == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "The city's name, without the country."},
            "unit": {
                "enum": ["celsius", "kelvin"],
                "type": "string",
                "description": "Of temperature.",
                "default": "celsius",
            },
            "days": {"type": "integer", "description": "How many."},
        },
        "required": ["city"],
        "additionalProperties": False,
    }
    assert json.loads(json.dumps(weather.schema)) == weather.schema


async def test_the_function_itself_can_still_be_called() -> None:
    assert await weather("Rome", days=3) == {"city": "Rome", "unit": Unit.CELSIUS, "days": 3}
    assert await weather.run('{"city": "Rome", "unit": "kelvin"}') == (
        '{"city": "Rome", "unit": "kelvin", "days": null}'
    )


def sphinx(a: int, b: str = "x") -> None:
    """Do it.

    :param a: The first,
        and best.
    :param str b: The second.
    :returns: Nothing.
    """


def numpy_style(a: int, b: str = "x") -> None:
    """Do it.

    Parameters
    ----------
    a : int
        The first,
        and best.
    b : str, optional
        The second.

    Returns
    -------
    None
        Always.
    """


def google(a: int, b: str = "x") -> None:
    """Do it.

    Args:
        a (int): The first,
            and best.

        b (str, optional): The second.

    Raises:
        ValueError: never.
    """


def bare_fields(a: int, b: str = "x") -> None:
    """Do it.
    :param a: The first, and best.
    :param b: The second."""


@pytest.mark.parametrize("function", [sphinx, numpy_style, google, bare_fields])
def test_docstrings_in_every_style(function: Any) -> None:
    made = as_tool(function)
    about = {name: schema.get("description") for name, schema in made.schema["properties"].items()}
    assert made.description == "Do it."
    assert about == {"a": "The first, and best.", "b": "The second."}


def test_name_description_and_timeout_can_be_given() -> None:
    @tool(name="look-up", description="Find it.", timeout=2.5)
    def find_something(what: Annotated[str, "Anything."]) -> None: ...

    assert (find_something.name, find_something.description, find_something.timeout) == ("look-up", "Find it.", 2.5)
    assert find_something.schema["properties"]["what"]["description"] == "Anything."

    def open_the_door() -> None: ...

    assert as_tool(open_the_door).description == "open the door"


TYPES: list[tuple[Any, dict[str, Any], Any, Any]] = [
    (str, {"type": "string"}, "x", "x"),
    (int, {"type": "integer"}, 3.0, 3),
    (float, {"type": "number"}, 3, 3.0),
    (bool, {"type": "boolean"}, True, True),
    (None, {"type": "null"}, None, None),
    (Any, {}, {"x": [1]}, {"x": [1]}),
    (int | str, {"anyOf": [{"type": "integer"}, {"type": "string"}]}, "5", "5"),
    (Literal["a", 1, True], {"enum": ["a", 1, True]}, True, True),
    (Unit, {"enum": ["celsius", "kelvin"], "type": "string"}, "kelvin", Unit.KELVIN),
    (Size, {"enum": ["SMALL", "LARGE"], "type": "string"}, "LARGE", Size.LARGE),
    (Level, {"enum": [1, 2], "type": "integer"}, 2, Level.HIGH),
    (list[int], {"type": "array", "items": {"type": "integer"}}, [1, 2], [1, 2]),
    (Sequence[str], {"type": "array", "items": {"type": "string"}}, ["a"], ["a"]),
    (list, {"type": "array", "items": {}}, [1, "a"], [1, "a"]),
    (set[str], {"type": "array", "items": {"type": "string"}, "uniqueItems": True}, ["a", "a"], {"a"}),
    (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}, [1, 2], (1, 2)),
    (
        tuple[int, str],
        {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 2, "maxItems": 2},
        [1, "a"],
        (1, "a"),
    ),
    (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}, {"a": 1}, {"a": 1}),
    (Mapping[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}, {"a": 1}, {"a": 1}),
    (date, {"type": "string", "format": "date"}, "2031-05-28", date(2031, 5, 28)),
    (time, {"type": "string", "format": "time"}, "17:30", time(17, 30)),
    (datetime, {"type": "string", "format": "date-time"}, "2031-05-28T17:30:00", datetime(2031, 5, 28, 17, 30)),
    (
        Place,
        {
            "type": "object",
            "properties": {"city": {"type": "string"}, "country": {"type": "string", "description": "Two letters."}},
            "required": ["city"],
            "additionalProperties": False,
        },
        {"city": "Rome"},
        {"city": "Rome"},
    ),
    (
        Guest,
        {
            "type": "object",
            "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
            "required": ["name"],
            "additionalProperties": False,
        },
        {"name": "Ann", "age": 5},
        Guest("Ann", 5),
    ),
]


@pytest.mark.parametrize(("annotation", "schema", "given", "read"), TYPES, ids=[str(row[0]) for row in TYPES])
def test_types(annotation: Any, schema: dict[str, Any], given: Any, read: Any) -> None:
    def function(value): ...

    function.__annotations__ = {"value": annotation}
    made = as_tool(function)
    assert made.schema["properties"] == {"value": schema}
    result = made.validate({"value": given})["value"]
    assert result == read
    assert type(result) is type(read)


@tool
def book(room: Room, nights: int, where: Place | None = None, kind: Literal["single", "double"] = "single") -> str:
    return f"{room.guests[0].name} {nights}"


REFUSED = {
    "": "room: missing; expected an object; nights: missing; expected a whole number",
    "{": "arguments: got text that is not JSON",
    "[1]": "arguments: got a list, expected a JSON object",
    '{"room": {"guests": []}, "nights": "2"}': "nights: got text, expected a whole number",
    '{"room": {"guests": []}, "nights": true}': "nights: got true or false, expected a whole number",
    '{"room": {"guests": []}, "nights": 2.5}': "nights: got a number, expected a whole number",
    '{"room": {"guests": []}, "nights": 1, "price": 3}': "price: unknown; allowed: room, nights, where, kind",
    '{"room": {"guests": [{"name": 1}]}, "nights": 1}': "room.guests[0].name: got a whole number, expected text",
    '{"room": {"guests": "Ann"}, "nights": 1}': "room.guests: got text, expected a list, each item an object",
    '{"room": {"guests": [], "floor": 10}, "nights": 1}': "room: there are 9 floors",
    '{"room": {"guests": []}, "nights": 1, "where": {}}': "where.city: missing; expected text",
    '{"room": {"guests": []}, "nights": 1, "where": 1}': "where: got a whole number, expected an object or null",
    '{"room": {"guests": []}, "nights": 1, "kind": "x"}': 'kind: got another text, expected one of "single"',
}


@pytest.mark.parametrize("arguments", REFUSED)
def test_wrong_arguments_are_told_in_words_to_act_on(arguments: str) -> None:
    with pytest.raises(BadInput) as caught:
        book.validate(arguments)
    assert str(caught.value).startswith(REFUSED[arguments])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "name", "city"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["room", "nights", "where", "kind", "x"]), json_values))
def test_any_arguments_are_read_or_refused(arguments: dict[str, Any]) -> None:
    for form in (arguments, json.dumps(arguments)):
        try:
            values = book.validate(form)
        except BadInput:
            continue
        assert isinstance(values["room"], Room)
        assert type(values["nights"]) is int


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(BadInput):
        book.validate(text)


async def test_a_function_that_is_not_async_runs_in_a_thread() -> None:
    @tool
    def where() -> str:
        return threading.current_thread().name

    assert await where.run({}) != threading.current_thread().name


async def test_the_context_is_given_and_not_shown() -> None:
    @tool
    async def hang_up(reason: str, context: ToolContext) -> str:
        return f"{reason} {context.turn} {context.call} {context.session}"

    assert list(hang_up.schema["properties"]) == ["reason"]
    assert await hang_up.run({"reason": "done"}, ToolContext(3, "c1", "the session")) == "done 3 c1 the session"
    with pytest.raises(BadInput, match="run it with a context"):
        await hang_up.run({"reason": "done"})
    with pytest.raises(BadInput, match="context: unknown"):
        hang_up.validate({"reason": "done", "context": {}})


async def test_what_a_function_raises_comes_out() -> None:
    @tool
    def fail() -> None:
        raise LookupError("no such order")

    with pytest.raises(LookupError, match="no such order"):
        await fail.run({})


async def test_a_tool_that_came_with_a_schema() -> None:
    async def call(**arguments: Any) -> Any:
        return arguments

    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {}}, "required": ["a"]}
    remote = Tool("remote", "Somewhere else.", schema, call)
    assert await remote.run({"a": 1, "c": 2}) == '{"a": 1, "c": 2}'
    with pytest.raises(BadInput, match="a: missing"):
        remote.validate({})
    with pytest.raises(BadInput, match="a: got text, expected a whole number"):
        remote.validate({"a": "x"})
    strict = attrs.evolve(remote, schema={**schema, "additionalProperties": False})
    with pytest.raises(BadInput, match="c: unknown; allowed: a, b"):
        strict.validate({"a": 1, "c": 2})


def untyped(a): ...
def starred(*a: int): ...
def positional(a: int, /): ...
def unsupported(a: bytes): ...
def keyed(a: dict[int, str]): ...
def endless(a: Chain): ...
def unknown(a: Nowhere): ...  # noqa: F821


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (untyped, "untyped: parameter a has no type. Annotate it"),
        (starred, "starred: parameter a must be an ordinary"),
        (positional, "positional: parameter a must be an ordinary"),
        (unsupported, "parameter a: <class 'bytes'> cannot be described to a model; allowed: str, int"),
        (keyed, "keys must be str"),
        (endless, "Chain contains itself"),
        (unknown, "module level"),
        (lambda: None, "tool name '<lambda>'"),
        (5, "must be a function or a Tool, not int"),
    ],
)
def test_what_cannot_be_a_tool_is_refused_at_once(function: Any, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        as_tool(function)
    assert message in str(caught.value)


def test_names_and_timeouts_are_checked() -> None:
    for name in ("", "a b", "é", "x" * 65):
        with pytest.raises(BadInput, match="1 to 64 letters"):
            tool(name=name)(google)
    with pytest.raises(BadInput, match="more than 0 s"):
        tool(timeout=0)(google)


def test_a_toolbox_has_each_name_once() -> None:
    assert list(toolbox([weather, google])) == ["weather", "google"]
    with pytest.raises(BadInput, match="two tools are called 'google'"):
        toolbox([google, tool(google)])


RENDERED = [
    ("as it is", "as it is"),
    (None, "Done."),
    (5, "5"),
    (["é", None, True, float("nan")], '["é", null, true, null]'),
    (Guest("Ann"), '{"name": "Ann", "_age": null, "seen": false}'),
    (Room([], 1), '{"guests": [], "floor": 1}'),
    ({Unit.KELVIN: {3, 1}, 2: (1,)}, '{"kelvin": [1, 3], "2": [1]}'),
    (datetime(2031, 5, 28, 17, 30), '"2031-05-28T17:30:00"'),
    (b"abc", '"<3 bytes>"'),
]


@pytest.mark.parametrize(("result", "text"), RENDERED)
def test_results_as_the_model_is_told_them(result: Any, text: str) -> None:
    assert render(result) == text


@given(st.text(min_size=1))
def test_a_long_result_is_cut_and_says_so(text: str) -> None:
    long = text * (20_000 // len(text))
    told = render(long)
    size = len(long.encode())
    assert len(told.encode()) <= 16_000
    assert told.endswith(f"[cut: the whole result has {size} bytes]")
    assert long.startswith(told[: told.rindex(" [cut")])
