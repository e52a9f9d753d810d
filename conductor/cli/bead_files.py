"""Beads and convoys in files, as Beads and Gas Town write them: read into what import_beads takes, and written back.

Read are `*.jsonl` (one object a line) and `*.json` (an object, a list, or an object of lists) below a folder, its
`.beads` where it has one. Programs of different ages spell the same thing differently; here it gets one spelling.
Never reads what a link outside the folder leads to, and never writes over a file unasked.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from conductor.domain import errors
from conductor.operations import beads as ops

ISSUES = "issues.jsonl"
CONVOYS = "convoys.json"

MOST_BYTES = 256 * 2**20
"""Of one file: more than any tracker that people still read."""

_HOME = ".beads"
_LISTS = ("beads", "issues", "convoys")
_MEMBERS = ("beads", "issues", "bead_ids", "issue_ids", "tracked", "members", "items")
_TYPES = ("type", "dep_type", "dependency_type")
_TARGETS = ("depends_on_id", "id", "target")
_LENGTHS = {"title": 2_000, "description": 20_000, "design": 20_000, "acceptance_criteria": 20_000, "notes": 20_000,
            "close_reason": 20_000, "assignee": 300}  # fmt: skip
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")

Json = dict[str, Any]


@dataclass(slots=True)
class Found:
    """What lay in the files. remarks: what was left out, and why."""

    beads: dict[str, Json] = field(default_factory=dict)
    convoys: dict[str, Json] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def in_order(self) -> list[Json]:
        """Give the beads, what others wait for first: nobody can take one before what it waits for has come."""
        graph = {
            bead_id: [
                link["depends_on_id"] for link in bead.get("dependencies", ()) if link["depends_on_id"] in self.beads
            ]
            for bead_id, bead in self.beads.items()
        }
        try:
            return [self.beads[bead_id] for bead_id in TopologicalSorter(graph).static_order()]
        except CycleError:
            # The server says which one.
            return list(self.beads.values())


def read(place: Path) -> Found:
    """Read a folder, or one file. Raises Invalid for what is no JSON, NotFound where there is nothing to read."""
    found = Found()
    files = list(_files(place))
    if not files:
        raise errors.NotFound(f"There is no *.json and no *.jsonl in {place}.", facts={"folder": str(place)})
    for path in files:
        for told in _objects(path):
            _take(told, path.name, found)
    return found


def write(folder: Path, beads: Iterable[ops.Bead], convoys: Iterable[ops.Convoy], *, force: bool) -> list[Path]:
    """Write beads and convoys, each file whole or not at all. Raises Invalid where a file is there already."""
    targets = [folder / ISSUES, folder / CONVOYS]
    there = [str(path) for path in targets if path.exists()]
    if there and not force:
        raise errors.Invalid(f"{', '.join(there)} is there already: choose another folder, or add --force.")
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(_json(bead) + "\n" for bead in beads)
    listed = ",\n  ".join(_json(convoy) for convoy in convoys)
    for path, text in zip(targets, (lines, f"[\n  {listed}\n]\n" if listed else "[]\n"), strict=True):
        beside = path.with_name(f".{path.name}.new")
        # Made anew: a link that lies there already would lead the text somewhere else.
        beside.unlink(missing_ok=True)
        with beside.open("x", encoding="utf-8") as out:
            out.write(text)
        os.replace(beside, path)
    return targets


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
        return
    root = place / _HOME if (place / _HOME).is_dir() else place
    for path in sorted(root.rglob("*")):
        is_hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if path.suffix in {".json", ".jsonl"} and path.is_file() and not path.is_symlink() and not is_hidden:
            yield path


def _objects(path: Path) -> Iterator[object]:
    if path.stat().st_size > MOST_BYTES:
        raise errors.Invalid(f"{path} is larger than {MOST_BYTES // 2**20} MiB.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".json":
            yield json.loads(text)
            return
    except ValueError as wrong:
        raise errors.Invalid(f"{path} is not JSON: {wrong}", facts={"file": str(path)}) from None
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError as wrong:
                raise errors.Invalid(
                    f"{path}, line {number}, is not JSON: {wrong}", facts={"file": str(path), "line": number}
                ) from None


def _take(told: object, where: str, found: Found) -> None:
    match told:
        case list():
            for each in told:
                _take(each, where, found)
        case dict() if isinstance(told.get("id"), str) and isinstance(told.get("title"), str):
            _take_bead(_as_bead(told), where, found)
        case dict() if any(_are_beads(told.get(name)) for name in _LISTS):
            for name in _LISTS:
                _take(told.get(name) or [], where, found)
        case dict() if isinstance(told.get("name") or told.get("title"), str) and _members(told) is not None:
            _take_convoy(told, where, found)
        case _:
            found.remarks.append(f"{where}: something that is neither a bead nor a convoy was left out")


def _are_beads(value: object) -> bool:
    # A convoy may name its beads with their titles as well; whoever lists beads says more of them.
    return isinstance(value, list) and any(
        isinstance(each, dict) and {"id", "title"} <= each.keys() and each.keys() & {"priority", "description"}
        for each in value
    )


def _as_bead(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give a convoy that has an id of its own as the bead that it is."""
    members = _members(told)
    if members is None or told.get("issue_type", "convoy") != "convoy" or told.get("dependencies"):
        return told
    rest = {name: value for name, value in told.items() if name not in _MEMBERS}
    links = [{"depends_on_id": member, "type": "tracks"} for member in members]
    return {**rest, "issue_type": "convoy", "dependencies": links}


def _take_bead(told: Mapping[str, Any], where: str, found: Found) -> None:
    bead: Json = {}
    for name, value in told.items():
        if value is None or value == "":
            continue
        # The server names the fields that it does not know; what is in them need not travel.
        bead[name] = value if name in ops.Bead.model_fields else None
        if isinstance(value, str) and name in _LENGTHS:
            bead[name] = _tidy(value)[: _LENGTHS[name]]
            if len(value) > _LENGTHS[name]:
                found.remarks.append(f"{where}: {told['id']}: {name} was cut to {_LENGTHS[name]:,} characters")
    if isinstance(labels := bead.get("labels"), list):
        bead["labels"] = [tidy[:300] for label in labels if (tidy := " ".join(_tidy(str(label)).split()))]
    links = [_link(each) for name in ("dependencies", "deps") for each in told.get(name) or ()]
    for name in ("parent", "parent_id"):
        if isinstance(told.get(name), str):
            links.append({"depends_on_id": told[name], "type": "parent-child"})
            bead.pop(name)
    bead.pop("deps", None)
    bead["dependencies"] = [link for link in links if link is not None]
    if len(bead["dependencies"]) < len(links):
        found.remarks.append(f"{where}: {told['id']} has a dependency that names nothing; it was left out")
    if isinstance(priority := bead.get("priority"), str) and priority.upper().removeprefix("P").isdecimal():
        bead["priority"] = int(priority.upper().removeprefix("P"))
    try:
        ops.Bead.model_validate_json(json.dumps(bead), strict=True)
    except ValidationError as wrong:
        fault = wrong.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, fault["loc"]))
        found.remarks.append(f"{where}: {str(told['id'])[:64]} was left out: {place}: {fault['msg']}")
        return
    found.beads[bead["id"]] = bead


def _tidy(text: str) -> str:
    """Leave out what a terminal obeys and no daemon takes."""
    return _CONTROL.sub("", text)


def _link(told: object) -> Json | None:
    if isinstance(told, str):
        return {"depends_on_id": told} if told else None
    if not isinstance(told, dict):
        return None
    target = next((told[name] for name in _TARGETS if isinstance(told.get(name), str) and told[name]), None)
    kind = next((told[name] for name in _TYPES if isinstance(told.get(name), str) and told[name]), "blocks")
    return None if target is None else {"depends_on_id": target, "type": kind}


def _take_convoy(told: Mapping[str, Any], where: str, found: Found) -> None:
    name = str(told.get("name") or told.get("title"))
    surplus = {key: None for key in told if key not in {"name", "title", *_MEMBERS}}
    convoy: Json = {"name": name, "beads": _members(told), **surplus}
    try:
        ops.Convoy.model_validate_json(json.dumps(convoy), strict=True)
    except ValidationError as wrong:
        fault = wrong.errors(include_url=False, include_input=False)[0]
        found.remarks.append(f"{where}: the convoy {name[:64]!r} was left out: {fault['msg']}")
        return
    found.convoys[name] = convoy


def _members(told: Mapping[str, Any]) -> list[str] | None:
    listed = next((told[name] for name in _MEMBERS if isinstance(told.get(name), list)), None)
    if listed is None:
        return None
    found = []
    for each in listed:
        link = _link(each) if not (isinstance(each, dict) and isinstance(each.get("issue_id"), str)) else None
        if link is not None:
            found.append(str(link["depends_on_id"]))
        elif isinstance(each, dict) and isinstance(each.get("issue_id"), str):
            found.append(each["issue_id"])
    return found


def _json(told: ops.Bead | ops.Convoy) -> str:
    return json.dumps(told.model_dump(mode="json", exclude_none=True), ensure_ascii=False)
