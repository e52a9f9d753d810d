"""Profiles of coding agents: what ships is whole, and an operator's file changes exactly what it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from conductor.domain import errors
from conductor.integrations import coding_agents

WELL_KNOWN = ("claude-code", "codex", "gemini-cli", "cursor", "opencode", "aider", "copilot")


@pytest.mark.parametrize("kind", WELL_KNOWN)
def test_a_well_known_agent_has_a_profile(kind: str) -> None:
    profile = coding_agents.known().find(kind)

    assert profile is not None
    assert profile.kind == kind
    assert profile.title
    assert {"code", "tests"} <= set(profile.capabilities)
    assert profile.instruction_file


def test_the_usual_instruction_file_of_a_kind_is_known() -> None:
    profiles = coding_agents.known()

    told = [profiles.instruction_file(kind) for kind in ("claude-code", "codex", "gemini-cli")]

    assert told == ["CLAUDE.md", "AGENTS.md", "GEMINI.md"]


@pytest.mark.parametrize("name", ["claude", "Claude-Code", " claude-code "])
def test_a_kind_is_found_by_any_of_its_names(name: str) -> None:
    found = coding_agents.known().find(name)

    assert found is not None
    assert found.kind == "claude-code"


def test_of_an_unknown_kind_nothing_is_known() -> None:
    profiles = coding_agents.known()

    for kind in (None, "", "nobody's"):
        assert profiles.find(kind) is None
        assert profiles.capabilities(kind) == ()
        assert profiles.instruction_file(kind) is None
        assert profiles.context_limit(kind) is None
        assert profiles.provider(kind) is None


def test_no_name_means_two_kinds() -> None:
    profiles = coding_agents.known()
    names = [
        name
        for kind in profiles.kinds
        if (profile := profiles.find(kind)) is not None
        for name in (kind, *profile.aliases)
    ]

    assert len(names) == len(set(names))


def test_an_operators_file_changes_what_it_names_and_adds_what_is_new(tmp_path: Path) -> None:
    file = tmp_path / "profiles.toml"
    file.write_text('[codex]\ncontext_limit = 1000\n\n[ours]\ncapabilities = ["cobol"]\naliases = ["Mine"]\n')

    profiles = coding_agents.known(file)

    built_in = coding_agents.known().find("codex")
    assert built_in is not None
    assert profiles.context_limit("codex") == 1000
    assert profiles.capabilities("codex") == built_in.capabilities
    assert profiles.capabilities("mine") == ("cobol",)
    assert profiles.find("claude-code") == coding_agents.known().find("claude-code")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("codex = 1", "codex"),
        ("[codex]\nsurplus = 1", "codex"),
        ("[codex]\ncontext_limit = 0", "context_limit"),
        ("[codex]\ncontext_limit = true", "context_limit"),
        ('[codex]\ncapabilities = "code"', "capabilities"),
        ("[codex]\ncapabilities = [1]", "capabilities"),
        ('[codex]\ntitle = ""', "title"),
        ('[codex]\ninstruction_file = "../secret"', ".."),
        ("[codex", "cannot be read"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_the_entry(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "profiles.toml"
    file.write_text(text)

    with pytest.raises(errors.Invalid) as caught:
        coding_agents.known(file)

    assert str(file) in caught.value.message
    assert named in caught.value.message


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.Invalid, match="cannot be read"):
        coding_agents.known(tmp_path / "none.toml")
