"""Money and tokens: exact amounts, and what a provider's report of usage really counts.

Providers count alike-named tokens differently: the same report is priced double, or half, under the wrong reading.
Reports are therefore brought to parts that do not overlap before anything is priced or summed.
Must never hold an amount in a float: amounts are whole nano-dollars, billionths of a US dollar. See docs/money.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from decimal import Context, Decimal, Inexact, InvalidOperation
from enum import StrEnum
from typing import NewType, assert_never

from conductor.domain import errors

UsdNano = NewType("UsdNano", int)
"""Billionths of a US dollar."""

NANO_PER_USD = 10**9

MAX_USD = 10**9
"""Bound of one amount that is handed in: nine such amounts still fit a 64-bit integer of nano-dollars."""

MAX_TOKENS = 10**10
"""Bound of one count in one report: ten thousand times the largest context window sold."""

_NANO = Decimal("1e-9")
_EXACT = Context(prec=20, traps=[Inexact, InvalidOperation])
_PLAIN = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")


def parse_usd(amount: Decimal | int | str, name: str = "amount") -> UsdNano:
    """Read an amount in US dollars, exactly.

    amount: 0 to 1e9 with at most nine decimals; a text in plain notation, such as "0.0105".
    name: the argument that the refusal names. Raises Invalid.
    """
    if isinstance(amount, str) and not _PLAIN.fullmatch(amount):
        raise _not_an_amount(name)
    value = Decimal(amount)
    if not value.is_finite() or not 0 <= value <= MAX_USD:
        raise _not_an_amount(name)
    try:
        return UsdNano(int(value.quantize(_NANO, context=_EXACT).scaleb(9, context=_EXACT)))
    except Inexact:
        raise _not_an_amount(name) from None


def _not_an_amount(name: str) -> errors.Invalid:
    return errors.Invalid(
        f"{name} must be US dollars from 0 to {MAX_USD} with at most 9 decimals, in plain notation such as 0.0105.",
        facts={"argument": name, "least_usd": "0", "most_usd": str(MAX_USD), "decimals": 9},
    )


def format_usd(nano: int) -> str:
    """Write an amount as plain US dollars, in the shortest form that says it exactly: "0.0105", "12", "-3.5"."""
    dollars, rest = divmod(abs(nano), NANO_PER_USD)
    decimals = f".{rest:09d}".rstrip("0").rstrip(".")
    return f"{'-' if nano < 0 else ''}{dollars}{decimals}"


@dataclass(frozen=True, slots=True)
class Usage:
    """What one call used, in the provider's own words: the fields may overlap.

    All from 0 to 10**10. Raises Invalid outside.
    """

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            count = getattr(self, field.name)
            if not 0 <= count <= MAX_TOKENS:
                raise errors.Invalid(
                    f"{field.name} must be a number of tokens from 0 to {MAX_TOKENS}, not {count}.",
                    facts={"argument": field.name, "least": 0, "most": MAX_TOKENS},
                )


class Convention(StrEnum):
    """How a provider's fields overlap; which provider keeps which is known to conductor.integrations.prices."""

    CACHE_APART = "cache_apart"
    """Anthropic, Bedrock: input leaves the cache out; output holds the reasoning."""
    ALL_WITHIN = "all_within"
    """OpenAI and its look-alikes: input holds the cache; output holds the reasoning."""
    REASONING_APART = "reasoning_apart"
    """Google, xAI: input holds the cache; output leaves the reasoning out."""
    ALL_APART = "all_apart"
    """Nobody knows: nothing is taken to overlap, so that a doubt counts high and refuses no report."""


@dataclass(frozen=True, slots=True)
class NormalisedUsage:
    """What one call used, in parts that do not overlap; only the reasoning is again a part of the output."""

    uncached_input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int

    @property
    def input_tokens(self) -> int:
        """Everything the model read, from the cache or not."""
        return self.uncached_input_tokens + self.cache_read_tokens + self.cache_write_tokens

    @property
    def total_tokens(self) -> int:
        """Everything read and written: what a token budget counts."""
        return self.input_tokens + self.output_tokens


def normalise(convention: Convention, usage: Usage) -> NormalisedUsage:
    """Bring a report to parts that do not overlap.

    Raises Invalid when a part exceeds the whole that the convention says it belongs to.
    """
    cached = usage.cache_read_tokens + usage.cache_write_tokens
    match convention:
        case Convention.CACHE_APART:
            uncached, output = usage.input_tokens, _whole_output(convention, usage)
        case Convention.ALL_WITHIN:
            uncached, output = _less_cache(convention, usage, cached), _whole_output(convention, usage)
        case Convention.REASONING_APART:
            uncached, output = _less_cache(convention, usage, cached), usage.output_tokens + usage.reasoning_tokens
        case Convention.ALL_APART:
            uncached, output = usage.input_tokens, usage.output_tokens + usage.reasoning_tokens
        case _ as never:
            assert_never(never)
    return NormalisedUsage(uncached, usage.cache_read_tokens, usage.cache_write_tokens, output, usage.reasoning_tokens)


def _less_cache(convention: Convention, usage: Usage, cached: int) -> int:
    if cached > usage.input_tokens:
        raise errors.Invalid(
            f"cache_read_tokens and cache_write_tokens are {cached} together, but this provider counts them within "
            f"input_tokens, which is {usage.input_tokens}. Report input_tokens with the cache in it.",
            facts={
                "convention": convention.value,
                "input_tokens": usage.input_tokens,
                "cache_read_tokens": usage.cache_read_tokens,
                "cache_write_tokens": usage.cache_write_tokens,
            },
        )
    return usage.input_tokens - cached


def _whole_output(convention: Convention, usage: Usage) -> int:
    if usage.reasoning_tokens > usage.output_tokens:
        raise errors.Invalid(
            f"reasoning_tokens is {usage.reasoning_tokens}, but this provider counts it within output_tokens, "
            f"which is {usage.output_tokens}. Report output_tokens with the reasoning in it.",
            facts={
                "convention": convention.value,
                "output_tokens": usage.output_tokens,
                "reasoning_tokens": usage.reasoning_tokens,
            },
        )
    return usage.output_tokens


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call cost, twice: by the provider's word and by our price list. None is not known, never 0."""

    reported_nano: UsdNano | None
    computed_nano: UsdNano | None


def settled(cost: Cost) -> UsdNano | None:
    """Say what is charged: the provider's own bill when there is one, else our price; None is unpriced."""
    return cost.computed_nano if cost.reported_nano is None else cost.reported_nano


def drift(cost: Cost) -> float | None:
    """Say how far the bill is from our price, as a share of the larger: -1 to 1, above 0 when more was billed.

    None unless both are known. A ratio for people and alerts: no amount is ever made from it.
    """
    if cost.reported_nano is None or cost.computed_nano is None:
        return None
    larger = max(cost.reported_nano, cost.computed_nano)
    return (cost.reported_nano - cost.computed_nano) / larger if larger else 0.0
