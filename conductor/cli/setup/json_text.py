"""JSON files of others, edited as text: what people wrote there, comments and spacing included, stays as it is.

Clients read their settings with parsers that allow comments and trailing commas, so this one does. A value is read
with where it stands; adding and removing change the text at that place and nowhere else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from conductor.domain import errors

_TRIVIA = re.compile(r"(?:[ \t\r\n]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_PLAIN = re.compile(r"-?\d[\d.eE+-]*|true|false|null")
_DEEPEST = 64
_UNIT = re.compile(r"\{[ \t]*\r?\n([ \t]+)\S")


@dataclass(slots=True)
class Node:
    """A value and its place. children: the members or items of a container, in their order."""

    start: int
    end: int
    value: object
    children: list[Child] = field(default_factory=list)

    def child(self, key: str) -> Node | None:
        """The member of an object with that name; of several the last, as parsers have it."""
        return next((child.node for child in reversed(self.children) if child.key == key), None)


@dataclass(slots=True)
class Child:
    """One member or item. start: of its key, if it has one, else of its value; comma: where the one after it stands."""

    start: int
    key: str | None
    node: Node
    comma: int | None = None


def read(text: str) -> Node:
    """Read a whole text. Raises Invalid when it is not JSON, or not an object."""
    try:
        node = _value(text, _skip(text, 0), 0)
    except IndexError:
        raise errors.Invalid("it is not JSON (it ends too early)") from None
    except ValueError as wrong:
        raise errors.Invalid(f"it is not JSON ({wrong})") from wrong
    if _skip(text, node.end) != len(text):
        raise errors.Invalid(f"it is not JSON (something follows at {_place(text, node.end)})")
    if not isinstance(node.value, dict):
        raise errors.Invalid("it is JSON, but not an object")
    return node


def find(root: Node, path: Sequence[str]) -> Node | None:
    """The value below these names, when it is there."""
    node: Node | None = root
    for name in path:
        node = node.child(name) if node is not None else None
    return node


def add(text: str, container: Sequence[str], key: str | None, value: object) -> str:
    """Add a member (key) or an item (None) at the end of an object or list; the containers on the way are made.

    Raises Invalid when something else stands where a container is needed.
    """
    root = read(text)
    node, depth = root, 0
    for name in container:
        below = node.child(name)
        if below is None:
            rest = list(container[depth + 1 :])
            inner: object = [value] if key is None else {key: value}
            for outer in reversed(rest):
                inner = {outer: inner}
            return _insert(text, node, depth, name, inner)
        node, depth = below, depth + 1
    wanted = list if key is None else dict
    if not isinstance(node.value, wanted):
        raise errors.Invalid(f"{'.'.join(container)} is not {'a list' if key is None else 'an object'}")
    return _insert(text, node, depth, key, value)


def remove(text: str, container: Sequence[str], position: int) -> str:
    """Take one member or item out, with its comma and the line it stood on."""
    node = find(read(text), container)
    if node is None:
        return text
    children = node.children
    gone = children[position]
    start = _line_start(text, gone.start)
    if gone.comma is not None:
        return text[:start] + text[gone.comma + 1 :]
    before = children[position - 1] if position else None
    if before is not None and before.comma is not None:
        return text[: before.comma] + text[before.comma + 1 : start] + text[gone.node.end :]
    return text[:start] + text[gone.node.end :]


def replace(text: str, node: Node, value: object, depth: int) -> str:
    """Put another value in the place of one."""
    is_flat = "\n" not in text[node.start : node.end]
    return text[: node.start] + _written(text, value, depth, is_flat=is_flat) + text[node.end :]


def whole(value: object) -> str:
    """A file of its own."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _insert(text: str, node: Node, depth: int, key: str | None, value: object) -> str:
    if not isinstance(node.value, dict if key is not None else list):
        raise errors.Invalid(f"{key} has no place: what should hold it is not an object")
    inside = text[node.start : node.end]
    is_flat = "\n" not in inside and bool(node.children)
    name = "" if key is None else f"{json.dumps(key, ensure_ascii=False)}: "
    entry = name + _written(text, value, depth + 1, is_flat=is_flat)
    close = node.end - 1
    # Behind the last that is written in it, comments included; the comma goes directly behind the last value.
    at = node.start + len(text[node.start : close].rstrip(" \t\r\n"))
    eol = _eol(text)
    lead = " " if is_flat else eol + _unit(text) * (depth + 1)
    tail = "" if is_flat or "\n" in text[at:close] else eol + _unit(text) * depth
    if not node.children:
        return text[:at] + lead + entry + tail + text[at:]
    last = node.children[-1]
    if last.comma is not None:
        return text[:at] + lead + entry + "," + tail + text[at:]
    return text[: last.node.end] + "," + text[last.node.end : at] + lead + entry + tail + text[at:]


def _written(text: str, value: object, depth: int, *, is_flat: bool) -> str:
    if is_flat:
        return json.dumps(value, ensure_ascii=False)
    lines = json.dumps(value, indent=_unit(text), ensure_ascii=False).split("\n")
    return (_eol(text) + _unit(text) * depth).join(lines)


def _unit(text: str) -> str:
    found = _UNIT.search(text)
    return found[1] if found else "  "


def _eol(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _line_start(text: str, at: int) -> int:
    """Where the white space before a place begins, the line's end before it included."""
    start = at
    while start and text[start - 1] in " \t":
        start -= 1
    if start and text[start - 1] == "\n":
        start -= 2 if text[start - 2 : start] == "\r\n" else 1
    return start


def _value(text: str, at: int, depth: int) -> Node:
    if depth > _DEEPEST:
        raise ValueError(f"nested deeper than {_DEEPEST}")
    if at >= len(text):
        raise ValueError("it ends too early")
    if text[at] in "{[":
        return _container(text, at, depth, is_object=text[at] == "{")
    found = _STRING.match(text, at) or _PLAIN.match(text, at)
    if found is None:
        raise ValueError(f"at {_place(text, at)}")
    return Node(at, found.end(), json.loads(found[0], strict=False))


def _container(text: str, start: int, depth: int, *, is_object: bool) -> Node:
    closing = "}" if is_object else "]"
    children: list[Child] = []
    at = _skip(text, start + 1)
    while text[at] != closing:
        if children and children[-1].comma is None:
            raise ValueError(f"a comma is missing at {_place(text, at)}")
        began, key = at, None
        if is_object:
            found = _STRING.match(text, at)
            if found is None:
                raise ValueError(f"a name is missing at {_place(text, at)}")
            key = str(json.loads(found[0]))
            at = _skip(text, found.end())
            if text[at] != ":":
                raise ValueError(f"a colon is missing at {_place(text, at)}")
            at = _skip(text, at + 1)
        node = _value(text, at, depth + 1)
        child = Child(began, key, node)
        children.append(child)
        at = _skip(text, node.end)
        if text[at] == ",":
            child.comma = at
            at = _skip(text, at + 1)
    value: object = (
        {str(child.key): child.node.value for child in children}
        if is_object
        else [child.node.value for child in children]
    )
    return Node(start, at + 1, value, children)


def _skip(text: str, at: int) -> int:
    found = _TRIVIA.match(text, at)
    return found.end() if found else at


def _place(text: str, at: int) -> str:
    return f"line {text.count(chr(10), 0, at) + 1}"
