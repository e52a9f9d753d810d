"""What a call costs: the operator's price book first, then the price list that genai-prices ships.

A price list is data of a pinned release: it is never updated while the daemon runs, so that the same call has the
same price tomorrow. A model without a price is unpriced: None, and never 0, which would make it look free.
Providers and models are matched here through the list's own rules but outside its caches, which have no bound.
"""

from __future__ import annotations

import tomllib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from pathlib import Path

from genai_prices import data_snapshot, types

from conductor.domain import errors, money
from conductor.domain.money import Convention, UsdNano

MATCHES_KEPT = 1024
"""Pairs of model and provider whose match is remembered; a fleet uses dozens, a caller could name millions."""

MAX_RATE_USD = 10_000
"""Bound of a rate in the price book, per million tokens: with MAX_TOKENS it keeps every price below MAX_USD."""

_TOKENS_A_RATE = 10**6

_TOKEN_RATES = (
    "input_mtok",
    "output_mtok",
    "cache_read_mtok",
    "cache_write_mtok",
    "output_reasoning_mtok",
    "requests_kcount",
)
"""The rates of the list that a report of tokens can meet; searches, pictures and sound are not reported to us."""

_PROVIDERS = {
    "claude": "anthropic",
    "codex": "openai",
    "grok": "x-ai",
    "azure-openai": "azure",
    "azure_openai": "azure",
}
"""Names in use that the list's own rules (google-gla, vertex, gemini, bedrock, xai …) miss or take for another."""

_MODELS = {"anthropic.": "aws", "codex-": "openai", "chatgpt-": "openai"}
"""What in a model's name tells its provider where the list's own rules do not, or name another."""

_CONVENTIONS = {
    Convention.CACHE_APART: ("anthropic", "aws"),
    Convention.ALL_WITHIN: ("openai", "azure", "groq", "mistral", "cerebras", "together", "fireworks", "openrouter"),
    Convention.REASONING_APART: ("google", "x-ai", "perplexity"),
}
"""Only providers with one known way of counting; the rest count high (Convention.ALL_APART)."""

_CONVENTION_OF = {provider: convention for convention, names in _CONVENTIONS.items() for provider in names}


@dataclass(frozen=True, slots=True)
class Priced:
    """A price and where it was found: matching is fuzzy, so the ledger keeps what was matched.

    model_ref, provider_ref: ids of the price list, or the two halves of the price book's key when is_from_book.
    """

    usd_nano: UsdNano
    model_ref: str
    provider_ref: str
    is_from_book: bool = False


@dataclass(frozen=True, slots=True)
class Rates:
    """An operator's own prices of one model, in nano-dollars per million tokens."""

    input_nano: UsdNano
    output_nano: UsdNano
    cache_read_nano: UsdNano
    cache_write_nano: UsdNano

    def price(self, usage: money.NormalisedUsage) -> UsdNano:
        """Price a call; half a nano-dollar goes to the even neighbour."""
        total = (
            usage.uncached_input_tokens * self.input_nano
            + usage.cache_read_tokens * self.cache_read_nano
            + usage.cache_write_tokens * self.cache_write_nano
            + usage.output_tokens * self.output_nano
        )
        whole, rest = divmod(total, _TOKENS_A_RATE)
        rounds_up = 2 * rest > _TOKENS_A_RATE or (2 * rest == _TOKENS_A_RATE and whole % 2 == 1)
        return UsdNano(whole + rounds_up)


@dataclass(frozen=True, slots=True)
class PriceBook:
    """The operator's prices, which outrank the list: for contracts, gateways and models of one's own.

    rates: by "provider/model" in lower case; "*/model" is the model at any provider.
    """

    rates: Mapping[str, Rates]

    @classmethod
    def from_mapping(cls, entries: Mapping[str, object]) -> PriceBook:
        """Read {"provider/model": {input, output, cache_read?, cache_write?}}, USD per million tokens.

        A cache rate left out is the input rate. Raises Invalid naming the entry that is wrong.
        """
        return cls({_key(key): _rates(key, entry) for key, entry in entries.items()})

    @classmethod
    def from_toml(cls, path: Path) -> PriceBook:
        """Read a file of tables such as ["anthropic/claude-sonnet-4-5"]; raises Invalid that names the file."""
        try:
            entries = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
            return cls.from_mapping(entries)
        except (OSError, ValueError) as why:
            raise errors.Invalid(f"The price book {path} cannot be read: {why}", facts={"path": str(path)}) from why
        except errors.Invalid as why:
            raise errors.Invalid(
                f"The price book {path}: {why.message}", facts={**why.facts, "path": str(path)}
            ) from why

    def find(self, model: str, *providers: str | None) -> tuple[str, Rates] | None:
        """Find the key and rates of a model at the first of these providers that the book knows, or at any."""
        for provider in (*providers, "*"):
            key = f"{provider}/{model}".lower()
            if provider is not None and key in self.rates:
                return key, self.rates[key]
        return None


def _key(key: str) -> str:
    provider, slash, model = key.partition("/")
    if not (provider and slash and model):
        raise errors.Invalid(f'"{key}" must be "provider/model", or "*/model" for any provider.', facts={"entry": key})
    return key.lower()


def _rates(key: str, entry: object) -> Rates:
    names = ("input", "output", "cache_read", "cache_write")
    if not isinstance(entry, Mapping) or not {"input", "output"} <= entry.keys() <= set(names):
        raise errors.Invalid(
            f'"{key}" must hold input and output, perhaps cache_read and cache_write, in USD per million tokens.',
            facts={"entry": key, "allowed": list(names)},
        )
    rates = {}
    for name in names:
        rate = entry.get(name, entry["input"])
        if isinstance(rate, bool) or not isinstance(rate, Decimal | int | str):
            raise errors.Invalid(f'"{key}" {name} must be a number.', facts={"entry": key, "argument": name})
        rates[name] = money.parse_usd(rate, f'"{key}" {name}')
        if rates[name] > MAX_RATE_USD * money.NANO_PER_USD:
            raise errors.Invalid(
                f'"{key}" {name} is above {MAX_RATE_USD} USD per million tokens; is it per token?',
                facts={"entry": key, "argument": name, "most_usd": str(MAX_RATE_USD)},
            )
    return Rates(rates["input"], rates["output"], rates["cache_read"], rates["cache_write"])


class Prices:
    """The prices of one installation: its price book, if it has one, over the list."""

    def __init__(self, book: PriceBook | None = None) -> None:
        self._book = book
        # The list only warns of a kind of token it does not know, and prices it at 0: find that out at start.
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            _listed_usage(money.NormalisedUsage(0, 0, 0, 0, 0))

    def price(self, model: str, provider: str | None, usage: money.Usage, at: datetime) -> Priced | None:
        """Price a call made at that time, rounded half-even to nano-dollars; None is unpriced.

        provider: as reported; left out, the model's name tells it. at: aware; prices of the list are dated.
        Raises Invalid when the report contradicts the provider's convention, priced or not.
        """
        match = _match(model.strip().lower(), _named(provider))
        parts = money.normalise(match.convention, usage)
        if (
            self._book is not None
            and (own := self._book.find(model.strip(), _named(provider), match.provider_id)) is not None
        ):
            key, rates = own
            provider_ref, _, model_ref = key.partition("/")
            return Priced(rates.price(parts), model_ref, provider_ref, is_from_book=True)
        return match.price(parts, at)


def convention_of(model: str, provider: str | None) -> Convention:
    """Tell how the tokens of such a report are to be read; for who normalises without pricing."""
    return _match(model.strip().lower(), _named(provider)).convention


def _named(provider: str | None) -> str | None:
    return (provider or "").strip().lower() or None


@dataclass(frozen=True, slots=True)
class _Match:
    """What a pair of names was found to mean; listed is None when the list has no such provider or model."""

    convention: Convention
    provider_id: str | None
    listed: tuple[types.Provider, types.ModelInfo] | None

    def price(self, parts: money.NormalisedUsage, at: datetime) -> Priced | None:
        if self.listed is None:
            return None
        provider, model = self.listed
        rates = model.get_prices(at)
        # The list leaves a rate out both for "free for now" and for "does not apply": neither is a price of 0.
        if (parts.input_tokens and rates.input_mtok is None) or (parts.output_tokens and rates.output_mtok is None):
            return None
        usd = model.calc_price(_listed_usage(parts), provider, genai_request_timestamp=at).total_price
        nano = (usd * money.NANO_PER_USD).to_integral_value(ROUND_HALF_EVEN)
        return Priced(UsdNano(int(nano)), model.id, provider.id)


def _listed_usage(parts: money.NormalisedUsage) -> types.Usage:
    return types.Usage(
        input_tokens=parts.input_tokens,
        cache_read_tokens=parts.cache_read_tokens,
        cache_write_tokens=parts.cache_write_tokens,
        output_tokens=parts.output_tokens,
        output_reasoning_tokens=parts.reasoning_tokens,
    )


@lru_cache(maxsize=MATCHES_KEPT)
def _match(model: str, provider: str | None) -> _Match:
    listing = data_snapshot.get_snapshot().providers
    found = _provider(listing, model, provider)
    if found is None:
        return _Match(Convention.ALL_APART, None, None)
    convention = _CONVENTION_OF.get(found.id, Convention.ALL_APART)
    if "claude" in model and found.id in ("azure", "google"):
        # Both sell Claude through Anthropic's own interface.
        convention = Convention.CACHE_APART
    entry = found.find_model(model, all_providers=listing)
    return _Match(convention, found.id, None if entry is None else (found, _tokens_only(entry)))


def _provider(listing: list[types.Provider], model: str, provider: str | None) -> types.Provider | None:
    if provider is None:
        provider = next((provider for part, provider in _MODELS.items() if part in model), None)
    if provider is not None:
        return data_snapshot.find_provider_by_id(listing, _PROVIDERS.get(provider, provider))
    return next((one for one in listing if one.model_match is not None and one.model_match.is_match(model)), None)


def _tokens_only(model: types.ModelInfo) -> types.ModelInfo:
    """Leave out the rates that no report meets: the list checks each against each at every call, half of its time."""
    if isinstance(model.prices, types.ModelPrice):
        return replace(model, prices=_token_rates(model.prices))
    return replace(model, prices=[replace(dated, prices=_token_rates(dated.prices)) for dated in model.prices])


def _token_rates(rates: types.ModelPrice) -> types.ModelPrice:
    return types.ModelPrice(**{name: getattr(rates, name) for name in _TOKEN_RATES})
