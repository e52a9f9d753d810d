"""Entries of a JSON file: members and items of ours among those of others, told apart by the commands they name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from conductor.cli.setup import json_text
from conductor.cli.setup.parts import Edited, Standing, text_of


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing of a JSON file. key None: an item of a list. mark: a regular expression that tells ours from others'.

    made: the containers that were not there before.
    """

    container: tuple[str, ...]
    key: str | None
    value: object
    mark: str

    def position(self, root: json_text.Node) -> int | None:
        """Which child of its container is ours."""
        node = json_text.find(root, self.container)
        for position, child in enumerate(node.children if node is not None else []):
            if child.key == self.key and re.search(self.mark, _commands(child.node.value)):
                return position
        return None

    def is_taken(self, root: json_text.Node) -> bool:
        """Whether somebody else's entry has its name."""
        node = json_text.find(root, self.container)
        there = node is not None and self.key is not None and node.child(self.key) is not None
        return there and self.position(root) is None


@dataclass(frozen=True, slots=True)
class Entries:
    """Members and items of a JSON file. made: containers to remove when they are empty again, the innermost first."""

    entries: tuple[Entry, ...]
    made: tuple[tuple[str, ...], ...] = ()

    def put(self, old: bytes, *, force: bool) -> bytes:
        bom, text, _ = text_of(old)
        if not text.strip():
            text = "{}"
        for entry in self.entries:
            root = json_text.read(text)
            if entry.is_taken(root):
                continue
            position = entry.position(root)
            if position is None:
                text = json_text.add(text, entry.container, entry.key, entry.value)
                continue
            node = json_text.find(root, entry.container)
            assert node is not None  # noqa: S101  # the position was found in it
            there = node.children[position].node
            if there.value != entry.value:
                text = json_text.replace(text, there, entry.value, len(entry.container) + 1)
        if text.startswith("{") and not old.strip():
            text = json_text.whole(json_text.read(text).value)
        return bom + text.encode()

    def cut(self, now: bytes, *, force: bool) -> bytes:
        bom, text, _ = text_of(now)
        if not text.strip():
            return now
        for entry in self.entries:
            root = json_text.read(text)
            position = entry.position(root)
            node = json_text.find(root, entry.container)
            if position is None or node is None:
                continue
            if not force and node.children[position].node.value != entry.value:
                raise Edited(f"{'.'.join(entry.container)} holds an entry of Conductor that was changed by hand")
            text = json_text.remove(text, entry.container, position)
        for container in self.made:
            root = json_text.read(text)
            node, outer = json_text.find(root, container), json_text.find(root, container[:-1])
            if node is not None and outer is not None and not node.children:
                keys = [child.key for child in outer.children]
                text = json_text.remove(text, container[:-1], keys.index(container[-1]))
        return bom + text.encode()

    def standing(self, now: bytes) -> Standing:
        text = text_of(now)[1]
        if not text.strip():
            return Standing.ABSENT
        root = json_text.read(text)
        seen = {self._standing(entry, root) for entry in self.entries}
        order = (Standing.TAKEN, Standing.EDITED, Standing.ABSENT)
        return next((standing for standing in order if standing in seen), Standing.AS_WRITTEN)

    def missing_containers(self, old: bytes) -> tuple[tuple[str, ...], ...]:
        """The containers that `put` would make in this file, the innermost first."""
        text = text_of(old)[1]
        root = json_text.read(text) if text.strip() else json_text.read("{}")
        paths = {entry.container[:length] for entry in self.entries for length in range(1, len(entry.container) + 1)}
        missing = [path for path in paths if json_text.find(root, path) is None]
        return tuple(sorted(missing, key=lambda path: (-len(path), path)))

    def kept(self) -> dict[str, Any]:
        entries = [
            {"container": list(entry.container), "key": entry.key, "value": entry.value, "mark": entry.mark}
            for entry in self.entries
        ]
        return {"kind": "entries", "entries": entries, "made": [list(path) for path in self.made]}

    @staticmethod
    def _standing(entry: Entry, root: json_text.Node) -> Standing:
        if entry.is_taken(root):
            return Standing.TAKEN
        position = entry.position(root)
        node = json_text.find(root, entry.container)
        if position is None or node is None:
            return Standing.ABSENT
        return Standing.AS_WRITTEN if node.children[position].node.value == entry.value else Standing.EDITED


def _commands(value: object) -> str:
    """What tells an entry: a text itself, or the commands that it names, `command` with its `args`, each on a line."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(map(_commands, value))
    if not isinstance(value, dict):
        return ""
    command = value.get("command")
    words: Sequence[object] = command if isinstance(command, list) else [command] if isinstance(command, str) else []
    arguments = value.get("args")
    own = " ".join(map(str, [*words, *(arguments if isinstance(arguments, list) else [])]))
    return "\n".join([own, *(_commands(inner) for inner in value.values() if not isinstance(inner, str))])
