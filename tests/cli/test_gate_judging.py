"""What is asked together, and what a verdict means for whom."""

from __future__ import annotations

from typing import Any

import pytest

from conductor.cli.gate.judging import FENCES, MOST_PATHS, MOST_REFUSED, Changes, Standing, leasable
from conductor.cli.gate.trailer import Fence
from conductor.domain import errors

LATE = Fence("lck_zzzzzzzzzz", 9)


class Board:
    """Answers for some paths something else than ok, unless a fence is named that allows it."""

    def __init__(self, verdicts: dict[str, str], allowing: Fence | None = None) -> None:
        self.asked: list[dict[str, Any]] = []
        self._verdicts = verdicts
        self._allowing = allowing

    def __call__(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        named = {(token["lock_id"], token["token"]) for token in asked.get("tokens", [])}
        helps = self._allowing is not None and (self._allowing.lock_id, self._allowing.token) in named
        said = {path: "ok" if helps else self._verdicts.get(path, "ok") for path in asked["paths"]}
        reasons = [{"path": path, "verdict": verdict, "because": "so"} for path, verdict in said.items()]
        return {"allowed": set(said.values()) == {"ok"}, "reasons": reasons, "locks": [], "next": []}


def test_each_path_is_asked_once_for_each_standing_and_64_at_a_time() -> None:
    changes, board = Changes(), Board({})
    names = [f"f{number}" for number in range(100)]
    changes.add(Standing(agent_id="ada"), names, "c1")
    changes.add(Standing(agent_id="ada"), names[50:], "c2")
    changes.add(Standing((LATE,)), names[:1], "c3")

    assert changes.refused(board) == []

    assert [len(asked["paths"]) for asked in board.asked] == [64, 36, 1]
    assert [asked.get("agent_id") for asked in board.asked] == ["ada", "ada", None]
    assert board.asked[2]["tokens"] == [{"lock_id": LATE.lock_id, "token": 9}]
    assert {asked["intent"] for asked in board.asked} == {"commit"}


def test_a_refusal_names_the_first_commit_that_was_noted() -> None:
    changes = Changes()
    changes.add(Standing(), ["a", "b"], "c1")
    changes.add(Standing(), ["b", "c"], "c2")

    found = changes.refused(Board({"b": "not_locked", "c": "stale_token"}))

    assert [(one.path, one.commit, one.verdict) for one in found] == [
        ("b", "c1", "not_locked"),
        ("c", "c2", "stale_token"),
    ]


def test_a_person_needs_no_lease_and_keeps_off_those_of_others() -> None:
    changes = Changes()
    changes.add(Standing(is_person=True), ["free", "held"])

    found = changes.refused(Board({"free": "not_locked", "held": "locked_by_other"}))

    assert [one.path for one in found] == ["held"]


def test_one_lease_that_allows_it_is_enough_among_more_than_a_question_holds() -> None:
    fences = (*(Fence(f"lck_{number:010}", 1) for number in range(FENCES)), LATE)
    changes = Changes()
    changes.add(Standing(fences), ["a", "b"])
    board = Board({"a": "stale_token"}, allowing=LATE)

    assert changes.refused(board) == []

    assert [(asked["paths"], len(asked["tokens"])) for asked in board.asked] == [(["a", "b"], FENCES), (["a"], 1)]


def test_what_several_agents_made_together_passes_when_each_path_is_somebodys() -> None:
    ada, bob = Fence("lck_aaaaaaaaaa", 1), Fence("lck_bbbbbbbbbb", 2)
    changes = Changes()
    changes.add(Standing((ada, bob)), ["ada.py", "bob.py"])

    def of_one(**asked: Any) -> dict[str, Any]:
        names = [token["lock_id"] for token in asked["tokens"]]
        if len(names) > 1:
            raise errors.Invalid("of several agents")
        holder = "ada" if names == [ada.lock_id] else "bob"
        said = [(path, "ok" if path.startswith(holder) else "not_locked") for path in asked["paths"]]
        return {"allowed": False, "reasons": [{"path": path, "verdict": verdict} for path, verdict in said]}

    assert changes.refused(of_one) == []


def test_leases_that_nobody_was_granted_refuse_what_they_stand_for() -> None:
    changes = Changes()
    changes.add(Standing((LATE,)), ["a", "b"], "c1")

    def unknown(**_: Any) -> dict[str, Any]:
        raise errors.Invalid("that nobody was ever granted")

    found = changes.refused(unknown)

    assert [(one.path, one.commit, one.because) for one in found] == [
        ("a", "c1", "that nobody was ever granted"),
        ("b", "c1", "that nobody was ever granted"),
    ]


def test_after_enough_refusals_nothing_more_is_asked() -> None:
    changes = Changes()
    names = [f"f{number:03}" for number in range(640)]
    changes.add(Standing(), names)
    board = Board(dict.fromkeys(names, "not_locked"))

    assert len(changes.refused(board)) == MOST_REFUSED

    assert len(board.asked) == 1


def test_a_no_without_a_reason_is_a_no() -> None:
    changes = Changes()
    changes.add(Standing(), ["a"])

    (found,) = changes.refused(lambda **_: {"allowed": False, "reasons": []})

    assert found.path == "a"


def test_a_verdict_is_found_again_in_the_servers_spelling() -> None:
    changes = Changes()
    changes.add(Standing(), ["docs/a", "Src/App.py"])

    def folding(**_: Any) -> dict[str, Any]:
        reasons = [{"path": "docs/a", "verdict": "ok"}, {"path": "src/app.py", "verdict": "not_locked"}]
        return {"allowed": False, "reasons": reasons}

    assert [one.path for one in changes.refused(folding)] == ["Src/App.py"]


def test_more_than_can_be_asked_is_refused() -> None:
    changes = Changes()
    changes.add(Standing(), (str(number) for number in range(MOST_PATHS + 1)))

    with pytest.raises(errors.TooLarge, match="split it"):
        changes.refused(Board({}))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("src/app.py", "src/app.py"),
        ("app/[id]/page.tsx", "app/[id]/page.tsx"),
        ("src/new\nline/x", "src/"),
        ("tab\t", "**"),
        ("a/b/latin\udcfc", "a/b/"),
        ("deep/" * 63 + "a/b", "deep/" * 63 + "a/"),
        ("x/" + "y" * 1100, "x/"),
        ("a/.git/hooks/post-checkout", "a/"),
        ("stars/" + "*a" * 40, "stars/"),
    ],
)
def test_what_cannot_be_leased_is_judged_by_the_folder_above(path: str, text: str) -> None:
    assert leasable(path) == text


def test_what_is_refused_for_a_folder_names_the_files_in_it() -> None:
    changes = Changes()
    changes.add(Standing(), ["src/a\tb", "src/c\td"])

    found = changes.refused(Board({"src/": "locked_by_other"}))

    assert [one.path for one in found] == ["src/a\tb", "src/c\td"]
