"""JSON files of others as text: adding and removing touch what they must, and nothing else."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor.cli.setup import json_text
from conductor.cli.setup.entries import Entries, Entry
from conductor.cli.setup.parts import Section, Standing
from conductor.domain import errors

SERVER = {"command": "conductor", "args": ["mcp", "--agent", "ada"]}
ENTRIES = (
    Entry(("mcpServers",), "conductor", SERVER, r"conductor mcp "),
    Entry(("hooks", "Stop"), None, {"hooks": [{"command": "conductor hook stop --client claude"}]}, "hook stop "),
)
NAMES = st.sampled_from(["mcpServers", "hooks", "Stop", "a", 'quoted "name"', "ö", "tab\t", "//", "/* */", "conduct"])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False, width=16)
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=12
)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Settings as people write them: any spacing, comments, trailing commas, line ends; what ours needs fits in."""
    value = draw(st.dictionaries(NAMES, VALUES, max_size=4))
    value["mcpServers"] = draw(st.dictionaries(NAMES, VALUES, max_size=2))
    value["hooks"] = {"Stop": draw(st.lists(VALUES, max_size=2)), **({"a": 1} if draw(st.booleans()) else {})}
    for name in ("mcpServers", "hooks"):
        if draw(st.booleans()):
            del value[name]
    text = _written(value, draw)
    is_from_windows = draw(st.booleans())
    return text.replace("\n", "\r\n") if is_from_windows else text


def _written(value: Any, draw: st.DrawFn) -> str:
    space = draw(st.sampled_from(["", " ", "\n  ", "\n\t", " // a, comment\n", "/* { */"]))
    if isinstance(value, dict):
        members = [f"{space}{json.dumps(name)}:{space}{_written(inner, draw)}" for name, inner in value.items()]
    elif isinstance(value, list):
        members = [space + _written(inner, draw) for inner in value]
    else:
        return json.dumps(value)
    has_comma = draw(st.booleans())
    trailing = "," if has_comma and members else ""
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return opening + f"{space},".join(members) + trailing + space + closing


@given(text=documents())
def test_what_was_added_is_there_and_what_was_removed_is_not(text: str) -> None:
    before = json_text.read(text).value
    part = Entries(ENTRIES, Entries(ENTRIES).missing_containers(text.encode()))

    added = part.put(text.encode(), force=False)
    removed = part.cut(added, force=False)

    assert part.standing(added) is Standing.AS_WRITTEN
    assert part.put(added, force=False) == added
    assert json_text.read(removed.decode()).value == before


@given(value=st.dictionaries(NAMES, VALUES, max_size=4), indent=st.sampled_from([None, 1, 2, 4, "\t"]))
def test_a_plain_text_is_read_as_json_reads_it(value: dict[str, Any], indent: int | str | None) -> None:
    text = json.dumps(value, indent=indent)

    assert json_text.read(text).value == json.loads(text)


@given(value=st.dictionaries(NAMES, st.integers(), min_size=1, max_size=4), indent=st.sampled_from([None, 2, "\t"]))
def test_a_formatted_file_is_byte_identical_after_adding_and_removing(
    value: dict[str, int], indent: int | str | None
) -> None:
    value.pop("mcpServers", None)
    value.pop("hooks", None)
    value["last"] = 1
    text = json.dumps(value, indent=indent).encode()
    part = Entries(ENTRIES, Entries(ENTRIES).missing_containers(text))

    removed = part.cut(part.put(text, force=False), force=False)

    assert removed == text


@pytest.mark.parametrize(
    "text", ["", "[]", "1", "{", "{]", '{"a"}', '{"a" 1}', '{"a": 1 "b": 2}', '{"a": tru}', "{} {}", '{"a": }', "{,}"]
)
def test_what_is_no_object_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(errors.Invalid, match="it is"):
        json_text.read(text)


def test_a_text_nested_without_end_is_refused() -> None:
    with pytest.raises(errors.Invalid, match="nested deeper"):
        json_text.read('{"a":' * 100_000)


@given(before=st.text(max_size=60), after=st.text(max_size=60))
def test_a_section_is_found_and_cut_whatever_stands_around_it(before: str, after: str) -> None:
    section = Section("first\nsecond\n", "<!-- ", " -->")
    old = before.replace("\r", "").encode(errors="ignore")

    with_ours = section.put(old, force=False)

    assert section.standing(with_ours) is Standing.AS_WRITTEN
    assert section.put(with_ours, force=False) == with_ours
    assert section.cut(with_ours, force=False) in {old, old + b"\n"}
    more = with_ours + after.replace("\r", "").encode(errors="ignore")
    assert section.standing(more) is Standing.AS_WRITTEN
