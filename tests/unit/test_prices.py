"""Prices are those of the list or the book, to the nano-dollar; what has no price is unpriced.

The figures are worked out by hand from the rates that the pinned release of genai-prices lists.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import genai_prices
import pytest
from genai_prices import data_snapshot
from hypothesis import given
from hypothesis import strategies as st

from conductor.domain import errors, money
from conductor.domain.money import Convention, Usage
from conductor.integrations import prices
from conductor.integrations.prices import PriceBook, Priced, Prices

AT = datetime(2026, 11, 24, tzinfo=UTC)
LISTED = [(provider.id, model.id) for provider in data_snapshot.get_snapshot().providers for model in provider.models]

tokens = st.integers(0, 10**7)


def usd(text: str) -> int:
    return money.parse_usd(text)


@pytest.mark.parametrize(
    ("model", "usage", "price"),
    [
        # 3, 15, read 0.3, write 3.75: 0.003 + 0.003 + 0.0075 + 0.0075
        ("claude-sonnet-4-5-20250929", Usage(1_000, 500, 10_000, 2_000), "0.021"),
        # 1.25, 10, read 0.125; 4,000 of the input from the cache: 0.0075 + 0.0005 + 0.01
        ("gpt-5", Usage(10_000, 1_000, 4_000, reasoning_tokens=400), "0.018"),
        # 1.25, 10, read 0.125; 40,000 from the cache, thoughts apart: 0.075 + 0.005 + 0.015
        ("gemini-2.5-pro", Usage(100_000, 1_000, 40_000, reasoning_tokens=500), "0.095"),
    ],
)
def test_known_models_cost_what_their_rates_say(model: str, usage: Usage, price: str) -> None:
    priced = Prices().price(model, None, usage, AT)

    assert priced is not None
    assert priced.usd_nano == usd(price)


@pytest.mark.parametrize(
    ("model", "usage", "price"),
    [
        # The tier counts all input, the cache too: 200,000 is the last at 3, 0.3 and 15.
        ("claude-sonnet-4-5", Usage(1_000, 1_000, 199_000), "0.0777"),
        # One token more and everything costs 6, 0.6 and 22.5.
        ("claude-sonnet-4-5", Usage(1_001, 1_000, 199_000), "0.147906"),
        ("gemini-2.5-pro", Usage(200_000, 1_000, 0), "0.26"),
        ("gemini-2.5-pro", Usage(200_001, 1_000, 0), "0.5150025"),
    ],
)
def test_a_long_prompt_moves_the_whole_call_to_the_next_tier(model: str, usage: Usage, price: str) -> None:
    priced = Prices().price(model, None, usage, AT)

    assert priced is not None
    assert priced.usd_nano == usd(price)


@pytest.mark.parametrize(("day", "price"), [(9, "0.05"), (10, "0.01")])
def test_a_call_costs_what_was_charged_on_its_day(day: int, price: str) -> None:
    at = datetime(2025, 6, day, 12, tzinfo=UTC)

    priced = Prices().price("o3", "openai", Usage(1_000, 1_000), at)

    assert priced is not None
    assert priced.usd_nano == usd(price)


@given(st.sampled_from(LISTED), tokens, tokens, tokens, tokens)
def test_every_price_of_the_list_is_the_lists_own(
    listed: tuple[str, str], uncached: int, read: int, written: int, output: int
) -> None:
    provider, model = listed
    holds_cache = prices.convention_of(model, provider) in (Convention.ALL_WITHIN, Convention.REASONING_APART)
    cached = read + written
    report = Usage(uncached + (cached if holds_cache else 0), output, read, written)
    asked = genai_prices.Usage(
        input_tokens=uncached + cached, output_tokens=output, cache_read_tokens=read, cache_write_tokens=written
    )

    priced = Prices().price(model, provider, report, AT)

    if priced is not None:
        wanted = genai_prices.calc_price(asked, model, provider_id=provider, genai_request_timestamp=AT)
        assert priced.usd_nano == round(wanted.total_price * money.NANO_PER_USD)
        assert (priced.provider_ref, priced.model_ref) == (wanted.provider.id, wanted.model.id)


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("nonsense-1", None),
        ("nonsense-1", "openai"),
        ("claude-sonnet-4-5", "nobody"),
        ("", None),
        ("", ""),
        ("mistral-nemo:free", "mistral"),
        ("text-embedding-3-small", "openai"),
    ],
)
def test_a_model_without_a_price_is_unpriced_and_not_free(model: str, provider: str | None) -> None:
    assert Prices().price(model, provider, Usage(10, 10), AT) is None


@pytest.mark.parametrize(
    ("model", "provider", "model_ref", "provider_ref", "convention"),
    [
        ("claude-sonnet-4-5", None, "claude-sonnet-4-5", "anthropic", Convention.CACHE_APART),
        ("Claude-Sonnet-4-5[1m]", "Claude", "claude-sonnet-4-5", "anthropic", Convention.CACHE_APART),
        ("claude-sonnet-4-5@20250929", "vertex", "claude-sonnet-4-5", "google", Convention.CACHE_APART),
        ("claude-sonnet-4-5", "azure", "claude-sonnet-4-5", "azure", Convention.CACHE_APART),
        ("global.anthropic.claude-opus-4-5-20251101-v1:0", "bedrock", "global.anthropic.claude-opus-4-5-v1:0", "aws",
         Convention.CACHE_APART),
        ("global.anthropic.claude-opus-4-5-20251101-v1:0", None, "global.anthropic.claude-opus-4-5-v1:0", "aws",
         Convention.CACHE_APART),
        ("gpt-5-2025-08-07", "", "gpt-5", "openai", Convention.ALL_WITHIN),
        ("gpt-5", "azure-openai", "gpt-5", "azure", Convention.ALL_WITHIN),
        ("o4-mini", None, "o4-mini", "openai", Convention.ALL_WITHIN),
        ("codex-mini-latest", None, "codex-mini", "openai", Convention.ALL_WITHIN),
        ("gemini-2.5-pro", None, "gemini-2.5-pro", "google", Convention.REASONING_APART),
        ("gemini-2.5-pro", "google-gla", "gemini-2.5-pro", "google", Convention.REASONING_APART),
        ("gemini-2.5-pro", "gemini", "gemini-2.5-pro", "google", Convention.REASONING_APART),
        ("grok-4", "xai", "grok-4-0709", "x-ai", Convention.REASONING_APART),
        ("glm-4.6", "zai", "GLM-4.6", "zai", Convention.ALL_APART),
    ],
)  # fmt: skip
def test_a_model_is_found_under_the_names_people_use(
    model: str, provider: str | None, model_ref: str, provider_ref: str, convention: Convention
) -> None:
    priced = Prices().price(model, provider, Usage(10, 10), AT)

    assert priced is not None
    assert (priced.model_ref, priced.provider_ref) == (model_ref, provider_ref)
    assert prices.convention_of(model, provider) is convention


@pytest.mark.parametrize(("model", "provider"), [("claude-99", None), ("claude-99", "anthropic")])
def test_a_convention_is_known_before_the_list_knows_the_model(model: str, provider: str | None) -> None:
    assert prices.convention_of(model, provider) is Convention.CACHE_APART
    assert Prices().price(model, provider, Usage(10, 10), AT) is None


def test_an_unknown_provider_counts_every_field_apart() -> None:
    assert prices.convention_of("claude-sonnet-4-5", "nobody") is Convention.ALL_APART


def test_a_report_that_contradicts_its_convention_is_refused_and_not_priced() -> None:
    with pytest.raises(errors.Invalid, match="within input_tokens"):
        Prices().price("gpt-5", "openai", Usage(10, 10, cache_read_tokens=11), AT)


def test_a_thousand_invented_names_leave_no_trace_in_memory() -> None:
    listing = data_snapshot.get_snapshot()
    before = len(listing._provider_misses), len(listing._lookup_cache), len(listing._provider_cache)

    for number in range(prices.MATCHES_KEPT + 200):
        Prices().price(f"claude-sonnet-4-5-{number}", None, Usage(1, 1), AT)
        Prices().price("nonsense", f"nobody-{number}", Usage(1, 1), AT)

    assert prices._match.cache_info().currsize <= prices.MATCHES_KEPT
    assert (len(listing._provider_misses), len(listing._lookup_cache), len(listing._provider_cache)) == before


def test_the_price_book_outranks_the_list() -> None:
    book = PriceBook.from_mapping({"Anthropic/Claude-Sonnet-4-5": {"input": 1, "output": "2.5", "cache_read": "0.1"}})

    priced = Prices(book).price("claude-sonnet-4-5", None, Usage(1_000, 1_000, 1_000, 1_000), AT)

    # 0.001 + 0.0025 + 0.0001, and the cache write at the rate of input.
    assert priced == Priced(money.UsdNano(usd("0.0046")), "claude-sonnet-4-5", "anthropic", is_from_book=True)


def test_what_the_price_book_does_not_name_is_priced_from_the_list() -> None:
    book = PriceBook.from_mapping({"openai/gpt-5": {"input": 1, "output": 1}})
    usage = Usage(1_000, 1_000)

    assert Prices(book).price("gpt-5", "azure", usage, AT) == Prices().price("gpt-5", "azure", usage, AT)


def test_the_price_book_knows_a_provider_before_any_provider() -> None:
    book = PriceBook.from_mapping({"*/llama": {"input": 0, "output": 0}, "rack-7/llama": {"input": 1, "output": 1}})
    usage = Usage(1_000_000, 0)

    here, there = Prices(book).price("llama", "Rack-7", usage, AT), Prices(book).price("llama", None, usage, AT)

    assert here == Priced(money.UsdNano(usd("1")), "llama", "rack-7", is_from_book=True)
    assert there == Priced(money.UsdNano(0), "llama", "*", is_from_book=True)


@pytest.mark.parametrize(("used", "nano"), [(1, 0), (2, 1), (3, 2), (5, 2), (7, 4)])
def test_half_a_nano_dollar_goes_to_the_even_neighbour_in_the_book(used: int, nano: int) -> None:
    book = PriceBook.from_mapping({"own/tiny": {"input": "0.0005", "output": 0}})

    priced = Prices(book).price("tiny", "own", Usage(used, 0), AT)

    assert priced is not None
    assert priced.usd_nano == nano


@pytest.mark.parametrize(("used", "nano"), [(1, 38), (3, 112)])
def test_half_a_nano_dollar_goes_to_the_even_neighbour_in_the_list(used: int, nano: int) -> None:
    # 0.0375 USD per million: 37.5 and 112.5 nano-dollars.
    priced = Prices().price("command-r7b", "cohere", Usage(used, 0), AT)

    assert priced is not None
    assert priced.usd_nano == nano


@given(st.integers(0, money.MAX_TOKENS), st.integers(0, money.MAX_TOKENS), st.integers(0, money.MAX_TOKENS))
def test_no_price_of_a_book_passes_the_bound_of_an_amount(used: int, cached: int, output: int) -> None:
    dear = {"input": prices.MAX_RATE_USD, "output": prices.MAX_RATE_USD}

    priced = Prices(PriceBook.from_mapping({"own/dear": dear})).price("dear", "own", Usage(used, output, cached), AT)

    assert priced is not None
    assert priced.usd_nano <= money.MAX_USD * money.NANO_PER_USD


def test_a_price_book_is_read_from_toml(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text('["own/m"]\ninput = 0.3\noutput = 15\ncache_read = "0.03"\ncache_write = 3.75\n', encoding="utf-8")

    book = PriceBook.from_toml(file)

    assert book.rates["own/m"] == prices.Rates(*(money.UsdNano(usd(text)) for text in ("0.3", "15", "0.03", "3.75")))


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("= 1", "cannot be read"),
        ("\xff", "cannot be read"),
        ('["m"]\ninput = 1\noutput = 1', 'must be "provider/model"'),
        ('["/m"]\ninput = 1\noutput = 1', 'must be "provider/model"'),
        ('["a/m"]\ninput = 1', "must hold input and output"),
        ('["a/m"]\ninput = 1\noutput = 1\ntypo = 1', "must hold input and output"),
        ('"a/m" = 3', "must hold input and output"),
        ('["a/m"]\ninput = true\noutput = 1', '"a/m" input must be a number'),
        ('["a/m"]\ninput = -1\noutput = 1', '"a/m" input must be US dollars'),
        ('["a/m"]\ninput = 1\noutput = nan', '"a/m" output must be US dollars'),
        ('["a/m"]\ninput = 10001\noutput = 1', "is it per token"),
    ],
)
def test_a_price_book_that_is_wrong_names_the_file_and_the_entry(tmp_path: Path, text: str, because: str) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(text, encoding="latin-1")

    with pytest.raises(errors.Invalid, match=because) as refusal:
        PriceBook.from_toml(file)

    assert str(file) in refusal.value.message


def test_a_price_book_that_is_missing_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(errors.Invalid, match=r"prices\.toml cannot be read"):
        PriceBook.from_toml(tmp_path / "prices.toml")
