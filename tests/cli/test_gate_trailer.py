"""A commit says under which leases it was made, in its own message."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor.cli.gate import trailer
from conductor.cli.gate.trailer import Fence

FIRST = Fence("lck_0123456789", 1_863_000_000_000_001)
SECOND = Fence("lck_abcdefghjk", 7)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Subject\n", f"Subject\n\nConductor-Lock: {FIRST}\n"),
        ("Subject", f"Subject\n\nConductor-Lock: {FIRST}\n"),
        ("Subject\n\nBody.\n\n\n", f"Subject\n\nBody.\n\nConductor-Lock: {FIRST}\n\n\n"),
        ("Subject\r\n\r\nBody.\r\n", f"Subject\r\n\r\nBody.\r\n\r\nConductor-Lock: {FIRST}\r\n"),
        ("Fix: it\n", f"Fix: it\n\nConductor-Lock: {FIRST}\n"),
        ("Subject\n\nSigned-off-by: Ada\n", f"Subject\n\nSigned-off-by: Ada\nConductor-Lock: {FIRST}\n"),
        ("Subject\n\n# Please enter\n# it\n", f"Subject\n\nConductor-Lock: {FIRST}\n\n# Please enter\n# it\n"),
        (
            "Subject\n\n# ------------------------ >8 ------------------------\ndiff --git\n+ text\n",
            f"Subject\n\nConductor-Lock: {FIRST}\n\n# ------------------------ >8 ------------------------\n"
            "diff --git\n+ text\n",
        ),
    ],
)
def test_leases_are_written_below_the_text_and_above_what_git_cuts_off(message: str, expected: str) -> None:
    written = trailer.add(message, [FIRST])

    assert written == expected


def test_a_lease_that_the_message_names_already_is_not_written_again() -> None:
    once = trailer.add("Subject\n", [FIRST])

    both = trailer.add(once, [SECOND, FIRST])

    assert both == f"Subject\n\nConductor-Lock: {FIRST}\nConductor-Lock: {SECOND}\n"
    assert trailer.add(both, [FIRST, SECOND]) == both
    assert trailer.read(both) == (FIRST, SECOND)


def test_leases_are_read_also_where_a_squash_has_left_them() -> None:
    message = f"All of it\n\nConductor-Lock: {FIRST}\n\nand then\n\nconductor-lock:  {SECOND} \r\n\nend"

    assert trailer.read(message) == (FIRST, SECOND)


@pytest.mark.parametrize(
    "line",
    [
        f"    Conductor-Lock: {FIRST}",
        "Conductor-Lock: lck_0123456789",
        "Conductor-Lock: lck_012345678#1",
        "Conductor-Lock: tsk_0123456789#1",
        "Conductor-Lock: lck_0123456789#-1",
        "Conductor-Lock: lck_0123456789#9999999999999999",
        "Conductor-Lock: lck_0123456789#1 or so",
        "Conductor-Lock: lck_0123456789#٣",
    ],
)
def test_what_is_no_lease_is_not_read_as_one(line: str) -> None:
    assert trailer.read(f"Subject\n\n{line}\n") == ()


@given(st.text(alphabet="aZ:# \n\r\t-é>8", max_size=80), st.sampled_from("#;"))
def test_what_was_written_is_read_again_from_any_message(message: str, comment: str) -> None:
    written = trailer.add(message, [FIRST, SECOND], comment)

    assert trailer.read(written) == (FIRST, SECOND)


@pytest.mark.parametrize("message", ["Subject\n", "Subject\n\nBody: not\na trailer\n", "S\n\nB\n\nAcked-by: x\n"])
def test_git_sees_them_as_trailers(message: str) -> None:
    written = trailer.add(message, [FIRST, SECOND])

    parsed = subprocess.run(
        ["git", "interpret-trailers", "--parse"], input=written, capture_output=True, text=True, check=True
    ).stdout
    assert parsed.splitlines()[-2:] == [f"Conductor-Lock: {FIRST}", f"Conductor-Lock: {SECOND}"]
