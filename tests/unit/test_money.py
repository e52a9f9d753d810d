"""Amounts are exact, and every token of a report is counted once."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor.domain import errors, money
from conductor.domain.money import Convention, Cost, Usage, UsdNano

amounts = st.integers(0, money.MAX_USD * money.NANO_PER_USD)
tokens = st.integers(0, money.MAX_TOKENS)
reports = st.builds(Usage, tokens, tokens, tokens, tokens, tokens)


@given(amounts)
def test_an_amount_is_read_back_as_it_was_written(nano: int) -> None:
    text = money.format_usd(nano)

    assert money.parse_usd(text) == nano
    assert money.parse_usd(Decimal(text)) == nano


@given(st.integers(-(10**20), 10**20))
def test_an_amount_is_written_exactly_in_plain_notation_and_no_longer_than_it_must_be(nano: int) -> None:
    text = money.format_usd(nano)

    assert Decimal(text) * money.NANO_PER_USD == nano
    assert set(text) <= set("-0123456789.")
    assert not ("." in text and text[-1] in "0.")


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (0, "0"),
        (1, "0.000000001"),
        (10_500_000, "0.0105"),
        (12_000_000_000, "12"),
        (12_500_000_000, "12.5"),
        (-3_500_000_000, "-3.5"),
        (-1, "-0.000000001"),
    ],
)
def test_amounts_look_as_the_documents_show_them(nano: int, text: str) -> None:
    assert money.format_usd(nano) == text


@pytest.mark.parametrize(
    ("amount", "nano"),
    [
        (7, 7_000_000_000),
        ("0.000000001", 1),
        ("007.10", 7_100_000_000),
        ("1.0000000000", 1_000_000_000),
        (Decimal("1E-7"), 100),
        (Decimal("1E+9"), 10**18),
        (Decimal("-0"), 0),
    ],
)
def test_an_amount_may_be_an_integer_a_decimal_or_a_plain_text(amount: Decimal | int | str, nano: int) -> None:
    assert money.parse_usd(amount) == nano


@pytest.mark.parametrize(
    "amount",
    [
        "", " 1", "1 ", "1\n", "+1", "-1", "1e3", "1_000", "1,5", ".5", "5.", "NaN", "Infinity", "٣", "0x10", "$1",
        "0.0000000001", "1000000000.000000001", "9" * 21, "0." + "0" * 21, "0" * 100_000,
        -1, 10**9 + 1, 10**400,
        Decimal("NaN"), Decimal("sNaN"), Decimal("-Infinity"), Decimal("Infinity"), Decimal("-0.1"),
        Decimal("1E-10"), Decimal("1E+10"), Decimal("1E+999999"), Decimal("1E-999999"), Decimal("0." + "1" * 60),
    ],
)  # fmt: skip
def test_what_is_not_a_bounded_exact_amount_is_refused_and_names_its_argument(amount: Decimal | int | str) -> None:
    with pytest.raises(errors.Invalid, match="limit_usd must be US dollars") as refusal:
        money.parse_usd(amount, "limit_usd")

    assert refusal.value.facts["argument"] == "limit_usd"


@pytest.mark.parametrize("count", [-1, money.MAX_TOKENS + 1])
@pytest.mark.parametrize(
    "name", ["input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"]
)
def test_a_count_out_of_bounds_is_refused_by_name(name: str, count: int) -> None:
    with pytest.raises(errors.Invalid, match=f"^{name} must be"):
        Usage(**{"input_tokens": 0, "output_tokens": 0, name: count})


@pytest.mark.parametrize(
    ("convention", "uncached", "output"),
    [
        (Convention.CACHE_APART, 1000, 300),
        (Convention.ALL_WITHIN, 600, 300),
        (Convention.REASONING_APART, 600, 350),
        (Convention.ALL_APART, 1000, 350),
    ],
)
def test_one_report_is_read_as_its_provider_means_it(convention: Convention, uncached: int, output: int) -> None:
    report = Usage(1000, 300, cache_read_tokens=350, cache_write_tokens=50, reasoning_tokens=50)

    parts = money.normalise(convention, report)

    assert parts == money.NormalisedUsage(uncached, 350, 50, output, 50)
    assert parts.input_tokens == uncached + 400
    assert parts.total_tokens == uncached + 400 + output


@given(st.sampled_from(Convention), reports)
def test_every_token_of_a_report_is_counted_once_or_the_report_is_refused(
    convention: Convention, report: Usage
) -> None:
    cached = report.cache_read_tokens + report.cache_write_tokens
    holds_cache = convention in (Convention.ALL_WITHIN, Convention.REASONING_APART)
    holds_reasoning = convention in (Convention.ALL_WITHIN, Convention.CACHE_APART)
    contradicts = (holds_cache and cached > report.input_tokens) or (
        holds_reasoning and report.reasoning_tokens > report.output_tokens
    )

    if contradicts:
        with pytest.raises(errors.Invalid, match="this provider counts"):
            money.normalise(convention, report)
        return
    parts = money.normalise(convention, report)

    assert parts.input_tokens == report.input_tokens + (0 if holds_cache else cached)
    assert parts.output_tokens == report.output_tokens + (0 if holds_reasoning else report.reasoning_tokens)
    assert min(parts.uncached_input_tokens, parts.output_tokens - parts.reasoning_tokens) >= 0


@given(reports)
def test_an_unknown_convention_never_refuses_and_never_counts_lower_than_another(report: Usage) -> None:
    highest = money.normalise(Convention.ALL_APART, report)

    for convention in Convention:
        try:
            parts = money.normalise(convention, report)
        except errors.Invalid:
            continue
        assert parts.uncached_input_tokens <= highest.uncached_input_tokens
        assert parts.output_tokens <= highest.output_tokens


def test_a_part_above_its_whole_is_refused_with_both_figures() -> None:
    report = Usage(100, 10, cache_read_tokens=90, cache_write_tokens=20)

    with pytest.raises(errors.Invalid, match=r"110 together.*which is 100") as refusal:
        money.normalise(Convention.ALL_WITHIN, report)

    assert refusal.value.facts == {
        "convention": "all_within",
        "input_tokens": 100,
        "cache_read_tokens": 90,
        "cache_write_tokens": 20,
    }


@pytest.mark.parametrize(
    ("reported", "computed", "charged"),
    [(5, 4, 5), (0, 4, 0), (None, 4, 4), (5, None, 5), (None, 0, 0), (None, None, None)],
)
def test_the_providers_bill_outranks_our_price_and_unpriced_stays_unpriced(
    reported: UsdNano | None, computed: UsdNano | None, charged: int | None
) -> None:
    assert money.settled(Cost(reported, computed)) == charged


@pytest.mark.parametrize(
    ("reported", "computed", "share"),
    [(100, 98, 0.02), (98, 100, -0.02), (0, 0, 0.0), (7, 0, 1.0), (0, 7, -1.0), (None, 7, None), (7, None, None)],
)
def test_drift_is_a_share_of_the_larger_figure(
    reported: UsdNano | None, computed: UsdNano | None, share: float | None
) -> None:
    assert money.drift(Cost(reported, computed)) == share
