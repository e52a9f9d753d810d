"""The words that requests are made of: bounded, clean, strict.

Every text a caller can send has a bound here, and none may carry NUL, other control characters or lone surrogates:
what is stored is shown to people, to agents and in terminals.
"""

import re
import unicodedata
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, StringConstraints, WithJsonSchema

from conductor.domain import money

_BREAKS = frozenset("\n\r\t")


def _clean(text: str, allowed: frozenset[str] = frozenset()) -> str:
    # Plain ASCII is nearly everything: one quick test spares a look at each character.
    if text.isascii() and text.isprintable():
        return text
    for place, character in enumerate(text):
        category = unicodedata.category(character)
        if category in {"Cc", "Cs"} and character not in allowed:
            raise ValueError(f"character {place} is U+{ord(character):04X}, a control character; leave it out")
    return text


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("there is nothing but blanks in it")
    return text


def _clean_lines(text: str) -> str:
    return _clean(text, _BREAKS)


Line = Annotated[str, StringConstraints(min_length=1, max_length=300), AfterValidator(_clean), AfterValidator(_said)]
"""One line of text."""

Text = Annotated[str, StringConstraints(max_length=20_000), AfterValidator(_clean_lines)]
"""Text of several lines."""

Note = Annotated[str, StringConstraints(max_length=2_000), AfterValidator(_clean_lines)]
"""A short text of several lines."""

Label = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_clean)]
"""A tag, capability or model name."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
"""An agent's name, as its people chose it: `ada`, `claude-1`."""

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]

RepoPath = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
"""A repository-relative path or glob; `conductor.domain.paths` makes it canonical or refuses it."""

ServerPath = Annotated[str, StringConstraints(min_length=1, max_length=1024), AfterValidator(_clean)]
"""A path on the server, kept as given."""

Reference = Annotated[str, StringConstraints(min_length=1, max_length=1024), AfterValidator(_clean)]
"""A path, an address or an id of something that is kept elsewhere; never its contents."""

Id = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_clean)]
"""An id as given; one of a wrong shape names nothing and answers not_found."""

Key = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_clean)]
"""An idempotency key."""

Cursor = Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=r"^[A-Za-z0-9_=-]+$")]


class Detail(StrEnum):
    """How much of long texts a list shows."""

    SHORT = "short"
    FULL = "full"


_PLAIN_AMOUNT = r"^[0-9]{1,10}(\.[0-9]{1,9})?$"


def _plainly(amount: object) -> object:
    # Decimal reads more than people write: exponents, blanks, underscores, other scripts' digits.
    if isinstance(amount, str) and not re.fullmatch(_PLAIN_AMOUNT, amount):
        raise ValueError("must be plain US dollars with at most 9 decimals, such as 0.0105")
    # Strict reading takes only a Decimal from a validator, and JSON has none.
    return Decimal(str(amount)) if isinstance(amount, str | int | float) and not isinstance(amount, bool) else amount


Amount = Annotated[
    Decimal,
    Field(ge=0, le=1_000_000_000, decimal_places=9, allow_inf_nan=False),
    BeforeValidator(_plainly),
    WithJsonSchema({"type": ["number", "string"], "minimum": 0, "maximum": 1_000_000_000, "pattern": _PLAIN_AMOUNT}),
]
"""US dollars: a number or a decimal string, at most 9 decimals."""

Tokens = Annotated[int, Field(ge=0, le=money.MAX_TOKENS)]
"""A count of tokens."""

Number = Annotated[int, Field(ge=0, le=2**53 - 1)]
"""A number that grows, such as an event's or a version; every JSON reader keeps it exactly."""

Metadatum = (
    Note
    | Annotated[int, Field(ge=-(2**53) + 1, le=2**53 - 1)]
    | Annotated[float, Field(ge=-1e300, le=1e300, allow_inf_nan=False)]
    | bool
    | None
)
"""A value of somebody's own metadata."""


def _within(at: datetime) -> datetime:
    if not 2000 <= at.year <= 9000:
        raise ValueError("the year must lie between 2000 and 9000")
    return at.astimezone(UTC)


Moment = Annotated[AwareDatetime, AfterValidator(_within), WithJsonSchema({"type": "string", "format": "date-time"})]
"""A time with its zone, ISO 8601."""


def nano(amount: Decimal | None) -> int | None:
    """Turn an amount of a request into nano-dollars."""
    return None if amount is None else money.parse_usd(amount)
