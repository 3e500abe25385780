"""A small mouth of characters for each mouth shape."""

from __future__ import annotations

WIDTH, HEIGHT = 11, 3

# width, height: how wide and how far open; the shapes are those of voiceloop.visemes
_SHAPES = {
    "sil": (7, 0), "p": (6, 0), "B": (6, 0), "f": (7, 1), "t": (7, 1), "s": (9, 1), "k": (7, 1), "T": (7, 1),
    "S": (5, 1), "r": (5, 1), "u": (3, 1), "i": (9, 1), "i:": (9, 1), "J": (7, 1), "x": (7, 1), "@": (7, 1),
    "0": (5, 2), "o": (5, 2), "O": (5, 2), "e": (9, 2), "E": (9, 2), "E:": (9, 2), "a": (7, 2),
}  # fmt: skip


def draw(code: str, *, plain: bool = False) -> list[str]:
    """Three lines of eleven characters; ``plain``: of ASCII alone."""
    width, height = _SHAPES.get(code, _SHAPES["@"])
    corners = ("(", "-", ")", "|") if plain else ("╭", "─", "╮", "│")
    inner = width - 2
    if height == 0:
        lines = ["", (" " if plain else "╶") + corners[1] * inner + (" " if plain else "╴"), ""]
    else:
        top = corners[0] + corners[1] * inner + corners[2]
        bottom = "(" + "_" * inner + ")" if plain else "╰" + "─" * inner + "╯"
        lines = [top, *([corners[3] + " " * inner + corners[3]] * (height - 1)), bottom]
        lines += [""] * (HEIGHT - len(lines))
    return [line.center(WIDTH) for line in lines]
