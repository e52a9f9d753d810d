"""An id names one kind of thing, and nothing else passes for one."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conductor.domain import ids
from conductor.domain.ids import Kind

MANY = settings(max_examples=60, deadline=None)

kinds = st.sampled_from(Kind)
entropies = st.integers(0, 2**32).map(lambda seed: random.Random(seed).randbytes)
made = st.builds(ids.make, kinds, entropies)


@given(kinds, entropies)
@MANY
def test_a_made_id_is_one_of_its_kind_and_of_no_other(kind: Kind, entropy: ids.Entropy) -> None:
    text = ids.make(kind, entropy)

    assert [other for other in Kind if ids.is_id(text, other)] == [kind]


@given(made, st.integers(0, 14), st.characters(), st.sampled_from(["put in", "put in its place", "left out"]))
@MANY
def test_an_id_with_one_character_changed_is_another_id_or_none(text: str, at: int, character: str, how: str) -> None:
    tail = text[at:] if how == "put in" else text[at + 1 :]
    changed = text[:at] + ("" if how == "left out" else character) + tail

    kind, _, rest = changed.partition("_")
    well_formed = kind in set(Kind) and len(rest) == 10 and set(rest) <= set("0123456789abcdefghjkmnpqrstvwxyz")
    assert any(ids.is_id(changed, kind) for kind in Kind) == well_formed


@given(st.text(max_size=20), kinds)
@MANY
def test_any_other_text_names_nothing(text: str, kind: Kind) -> None:
    assert not ids.is_id(text, kind)


@pytest.mark.parametrize(
    "text",
    [
        "tsk_7f3kq2m9xd\n",
        " tsk_7f3kq2m9xd",
        "TSK_7f3kq2m9xd",
        "tsk_7F3KQ2M9XD",
        "tsk-7f3kq2m9xd",
        "tsk_7f3kq2m9x",
        "tsk_7f3kq2m9xdd",
        "tsk_7f3kq2m9xi",
        "tsk_7f3kq2m9xl",
        "tsk_7f3kq2m9xo",
        "tsk_7f3kq2m9xu",
        "tsk_٧f3kq2m9xd",
        "xyz_7f3kq2m9xd",
        "",
    ],
)
def test_what_only_looks_like_a_task_is_none(text: str) -> None:
    assert ids.is_id("tsk_7f3kq2m9xd", Kind.TASK)
    assert not ids.is_id(text, Kind.TASK)


def test_every_letter_is_equally_likely() -> None:
    letters = ids.letters(256, lambda count: bytes(range(count)))

    assert Counter(letters) == dict.fromkeys(ids.ALPHABET, 8)


def test_kinds_are_told_apart_by_three_letters_each() -> None:
    assert all(len(kind) == 3 and kind.isalpha() and kind.islower() for kind in Kind)
    assert len({kind.value for kind in Kind}) == len(Kind)
