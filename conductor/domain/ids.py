"""Names of things: a kind and ten characters that nobody can guess from another.

An id is made by the server, from entropy that is handed in, and made again when it meets one that exists.
Kinds keep a task's id from being taken for a lock's; they say nothing of the tenant.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import NewType

OrganizationId = NewType("OrganizationId", str)
ProjectId = NewType("ProjectId", str)
TaskId = NewType("TaskId", str)
LockId = NewType("LockId", str)
AgentName = NewType("AgentName", str)
"""The name that an agent's people chose: unique in its project, not an id."""

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Base 32 after Crockford: no letter that reads like another."""

LENGTH = 10
"""50 bits: of two thousand organisations with a million ids of one kind each, one has met a pair and made it anew."""

Entropy = Callable[[int], bytes]
"""Gives that many random bytes; `secrets.token_bytes` in the daemon, seeded in tests."""


class Kind(StrEnum):
    """What an id names; the three letters before the underscore."""

    ORGANIZATION = "org"
    MEMBER = "mbr"
    PROJECT = "prj"
    AGENT = "agn"
    TASK = "tsk"
    LOCK = "lck"
    TICKET = "tkt"
    ACCESS_REQUEST = "req"
    TOKEN = "tok"
    SESSION = "ses"
    MESSAGE = "msg"
    CHECKPOINT = "chk"
    TEAM = "tem"


_SHAPE = re.compile(rf"([a-z]{{3}})_[{ALPHABET}]{{{LENGTH}}}")


def letters(count: int, entropy: Entropy) -> str:
    """Take random letters of the alphabet: five bits of each byte, so all are equally likely."""
    return "".join(ALPHABET[byte & 31] for byte in entropy(count))


def make(kind: Kind, entropy: Entropy) -> str:
    """Make a new id such as `tsk_7f3kq2m9xd`."""
    return f"{kind}_{letters(LENGTH, entropy)}"


def is_id(text: str, kind: Kind) -> bool:
    """Tell whether a text has the shape of an id of that kind; anything else names nothing."""
    shape = _SHAPE.fullmatch(text)
    return shape is not None and shape[1] == kind.value
