"""The tool itself, and the decorator that makes one from a typed function."""

from __future__ import annotations

import inspect
import json
import re
import typing
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial, wraps
from typing import Any, overload

import anyio
from attrs import Attribute, field, frozen

from voiceloop import clock
from voiceloop.errors import BadInput
from voiceloop.tools.docstrings import described
from voiceloop.tools.rendering import render
from voiceloop.tools.schema import Field, Shape, shape_of, shape_of_object, wrong

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@frozen
class ToolContext:
    """Who calls: a parameter annotated with this type gets it, and the model does not see the parameter.

    ``turn`` is the assistant's turn, ``call`` the id of the call, ``session`` the session that runs it.
    """

    turn: int
    call: str
    session: Any = None


def _valid_name(tool: Tool, attribute: Attribute[str], name: str) -> None:
    if not _NAME.fullmatch(name):
        raise BadInput(f"tool name {name!r}: allowed are 1 to 64 letters, digits, - and _; give it a name=")


def _positive(tool: Tool, attribute: Attribute[float], timeout: float) -> None:
    if not timeout > 0:
        raise BadInput(f"tool {tool.name}: timeout={timeout!r} must be more than 0 s")


@frozen
class Tool:
    """A function the model may call; made by :func:`tool`.

    ``schema`` is the JSON schema of its arguments (an object). ``timeout`` in seconds bounds one call. ``call`` gets
    the arguments by name. ``context``: the name of its parameter for the :class:`ToolContext`, if it has one.
    ``reader`` checks and converts arguments; without one they are checked against the schema's own properties.
    Raises BadInput for a name outside ``[a-zA-Z0-9_-]{1,64}``, or a timeout that is not more than 0.
    """

    name: str = field(validator=_valid_name)
    description: str
    schema: Mapping[str, Any]
    call: Callable[..., Awaitable[Any]]
    timeout: float = field(default=30.0, validator=_positive)
    context: str | None = None
    reader: Callable[[Any, str], Any] | None = field(default=None, repr=False)

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself, unchecked."""
        return await self.call(*args, **kwargs)

    def validate(self, arguments: Mapping[str, Any] | str) -> dict[str, Any]:
        """The arguments as the function takes them. ``arguments``: an object, or the text of one in JSON.

        Raises BadInput that names each parameter that is wrong, what kind of value it got, and what is allowed.
        """
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments) if arguments.strip() else {}
            except (ValueError, RecursionError):
                raise BadInput("arguments: got text that is not JSON, expected a JSON object") from None
        if not isinstance(arguments, Mapping):
            raise wrong("", arguments, "a JSON object")
        read = self.reader or _reader(self.schema)
        values: dict[str, Any] = read(arguments, "")
        return values

    async def run(self, arguments: Mapping[str, Any] | str, context: ToolContext | None = None) -> str:
        """Validate, call, and return what the model is told. Raises BadInput, and whatever the function raises."""
        values = self.validate(arguments)
        if self.context is not None:
            if context is None:
                raise BadInput(f"tool {self.name} has a ToolContext parameter; run it with a context")
            values[self.context] = context
        return render(await self.call(**values))


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    *, name: str | None = None, description: str | None = None, timeout: float = 30.0
) -> Callable[[Callable[..., Any]], Tool]: ...


def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float = 30.0,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a typed function a :class:`Tool`: ``@tool``, or ``@tool(name=, description=, timeout=)``.

    The schema comes from the signature; descriptions come from the docstring (its first paragraph, and parameters in
    Google, Sphinx or NumPy style) or from ``Annotated[..., "description"]``. A function that is not async runs in a
    worker thread. ``timeout`` in seconds bounds one call.

    Raises BadInput for a parameter without a type, or of a type that cannot be described to a model.
    """
    if function is None:
        return partial(_made, name=name, description=description, timeout=timeout)
    return _made(function)


def as_tool(function: Tool | Callable[..., Any]) -> Tool:
    """``function`` as a tool: a :class:`Tool` as it is, a plain typed function as by :func:`tool`."""
    if isinstance(function, Tool):
        return function
    if not callable(function):
        raise BadInput(f"a tool must be a function or a Tool, not {type(function).__name__}")
    return _made(function)


def toolbox(tools: Iterable[Tool | Callable[..., Any]]) -> dict[str, Tool]:
    """Tools by name. Raises BadInput when two have the same one."""
    box: dict[str, Tool] = {}
    for each in map(as_tool, tools):
        if each.name in box:
            raise BadInput(f"two tools are called {each.name!r}; give one another name with @tool(name=...)")
        box[each.name] = each
    return box


def _made(
    function: Callable[..., Any],
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float = 30.0,
) -> Tool:
    name = name if name is not None else getattr(function, "__name__", type(function).__name__)
    words, about = described(getattr(function, "__doc__", None))
    shape, context = _parameters(function, name, about)
    description = description or words or name.replace("_", " ")
    return Tool(name, description, shape.schema, _asynchronous(function), timeout, context, shape.read)


def _parameters(function: Callable[..., Any], name: str, about: Mapping[str, str]) -> tuple[Shape, str | None]:
    """The shape of a function's arguments, and the name of its parameter for the context."""
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise BadInput(
            f"tool {name}: its types cannot be read: {error}", hint="Define them at module level."
        ) from error
    fields: dict[str, Field] = {}
    context = None
    for parameter in inspect.signature(function).parameters.values():
        label = f"tool {name}: parameter {parameter.name}"
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise BadInput(f"{label} must be an ordinary or keyword-only one: the model gives arguments by name")
        if parameter.name not in hints:
            raise BadInput(f"{label} has no type", hint=f"Annotate it, as in {parameter.name}: str.")
        hint = hints[parameter.name]
        if hint is ToolContext or ToolContext in typing.get_args(hint):
            context = parameter.name
            continue
        try:
            shape = shape_of(hint)
        except (TypeError, NameError) as error:
            raise BadInput(f"{label}: {error}") from error
        required = parameter.default is parameter.empty
        words = about.get(parameter.name, "") if "description" not in shape.schema else ""
        fields[parameter.name] = Field(shape, required, words, None if required else parameter.default)
    return shape_of_object(fields, dict), context


def _asynchronous(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    if inspect.iscoroutinefunction(function):
        return function

    @wraps(function)
    async def in_thread(*args: Any, **kwargs: Any) -> Any:
        with clock.outside_work():
            result = await anyio.to_thread.run_sync(partial(function, *args, **kwargs), abandon_on_cancel=True)
        return await result if inspect.isawaitable(result) else result

    return in_thread


def _reader(schema: Mapping[str, Any]) -> Callable[[Any, str], Any]:
    """A reader for a tool that came with a schema only: names, and the kinds of plain values."""
    kinds = {
        "string": str,
        "integer": int,
        "number": float,
        "boolean": bool,
        "array": list[Any],
        "object": dict[str, Any],
    }
    required = schema.get("required", ())
    fields = {
        name: Field(shape_of(kinds.get(str(about.get("type")), Any)), name in required)
        for name, about in schema.get("properties", {}).items()
    }
    if schema.get("additionalProperties", True) is False:
        return shape_of_object(fields, dict).read

    def read(value: Any, path: str) -> Any:
        known = {name: each for name, each in value.items() if name in fields}
        return {**value, **shape_of_object(fields, dict).read(known, path)}

    return read
