"""Margin profiles: every rate and switch of the requirement rules, as data (margin-and-options §0.2, §2, §3).

Invariants: a profile is immutable; no rule asks for a profile's name, only for its numbers and switches. Rates
are ppm of the value they apply to, and apply to unrounded values; amounts per share are price units.
Known limits: Alpaca's rates for short leveraged funds are not published; the legal ones stand in. No reference data
says which funds follow a broad index: the large ones are listed here, and leveraged ones count as ordinary stock.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Literal

import msgspec
from msgspec import Struct

PPM: Final = 1_000_000
NO_LIMIT: Final = 2**62
"""Upper end of the last step of a price table."""

MarginClass = Literal["equity", "etf_narrow", "etf_broad", "etn", "index_narrow", "index_broad", "index_volatility"]
"""What an underlying is to the option rules (margin-and-options §3.2)."""


class LongStep(Struct, frozen=True, gc=False):
    """Maintenance of long stock up to a price."""

    up_to_price: int
    """Inclusive, price units a share."""
    rate_ppm: int


class ShortStep(Struct, frozen=True, gc=False):
    """Maintenance of short stock up to a price, above the value of what is short."""

    up_to_price: int
    floor_price: int
    """Least amount a share, price units."""
    rate_ppm: int


class NakedRate(Struct, frozen=True, gc=False):
    """Rates of an uncovered short option: ``base`` less what it is out of the money, at least ``least``."""

    base_ppm: int
    least_ppm: int


_NARROW: Final = NakedRate(200_000, 100_000)
_BROAD: Final = NakedRate(150_000, 100_000)
MARGIN_CLASSES: Final[dict[str, MarginClass]] = {
    **dict.fromkeys(("SPY", "IVV", "VOO", "VTI", "QQQ", "QQQM", "IWM", "MDY", "DIA"), "etf_broad"),
    "VIX": "index_volatility",
}
"""Underlyings that are not what their asset class says: funds on broad indexes, and the index of volatility."""
NAKED_RATES: Final[dict[str, NakedRate]] = {
    "equity": _NARROW,
    "etf_narrow": _NARROW,
    "etf_broad": _BROAD,
    "etn": _NARROW,
    "index_narrow": _NARROW,
    "index_broad": _BROAD,
    "index_volatility": _NARROW,
}


class MarginProfile(Struct, frozen=True):
    """The numbers and switches of one margin profile."""

    name: str
    long_initial_ppm: int = 500_000
    """Regulation T, marginable stock; other stock is paid in full."""
    short_initial_ppm: int = 500_000
    """Regulation T, above the value of what is short."""
    long_steps: tuple[LongStep, ...] = (LongStep(NO_LIMIT, 250_000),)
    short_steps: tuple[ShortStep, ...] = (ShortStep(49_999, 25_000, PPM), ShortStep(NO_LIMIT, 50_000, 300_000))
    leveraged_long_ppm: int = 250_000
    """Times the leverage of a leveraged fund; the larger of this and the step applies."""
    asset_rates: bool = False
    """Whether a rate given for one asset replaces the table's."""
    naked: Literal["formula", "strike"] = "formula"
    """What an uncovered short put asks: the margin formula, or the whole strike in cash."""
    option_rule: Literal["pairing", "payoff"] = "pairing"
    """Cheapest pairing, summed over expiries (FINRA); or the largest payoff loss over expiries (Alpaca)."""
    spreads: Literal["all", "european_cash"] = "all"
    """Which contracts may offset each other."""
    european_calendars: bool = True
    """Whether a European long relieves a short that expires before it."""
    stock_relief: bool = True
    """Whether options lower what stock needs."""
    hedge_strike_ppm: int = 100_000
    """Part of the strike in the requirement of protected stock."""
    loan_months: int = 9
    """Long options with more than this many months to run have loan value; 0: none ever has."""
    loan_requirement_ppm: int = 750_000
    uncovered_allowed: bool = True
    """Whether option level 4 opens uncovered shorts."""
    concentration_ppm: int = 0
    """Maintenance of one stock that is most of a large debit account; 0: no such rule."""


_HOUSE_LONG: Final = (LongStep(24_999, PPM), LongStep(60_000, 500_000), LongStep(NO_LIMIT, 300_000))

FINRA: Final = MarginProfile("finra")
HOUSE: Final = MarginProfile("house", long_steps=_HOUSE_LONG, asset_rates=True, concentration_ppm=500_000)
ALPACA: Final = MarginProfile(
    "alpaca",
    long_steps=_HOUSE_LONG,
    asset_rates=True,
    option_rule="payoff",
    stock_relief=False,
    loan_months=0,
    uncovered_allowed=False,
    concentration_ppm=500_000,
)
PROFILES: Final = {profile.name: profile for profile in (FINRA, HOUSE, ALPACA)}


@lru_cache(maxsize=16)
def for_cash_account(profile: MarginProfile) -> MarginProfile:
    """The rules of a cash account: everything in full, no maintenance, puts secured by their strike (§1)."""
    return msgspec.structs.replace(
        profile,
        long_initial_ppm=PPM,
        long_steps=(LongStep(NO_LIMIT, 0),),
        leveraged_long_ppm=0,
        asset_rates=False,
        naked="strike",
        option_rule="pairing",
        spreads="european_cash",
        stock_relief=False,
        loan_months=0,
        uncovered_allowed=False,
        concentration_ppm=0,
    )


@lru_cache(maxsize=16)
def secured(profile: MarginProfile) -> MarginProfile:
    """The same profile with uncovered puts at their full strike: admission below option level 4 (§4.7)."""
    return msgspec.structs.replace(profile, naked="strike")


@lru_cache(maxsize=64)
def profile_of(name: str, account_type: str) -> MarginProfile:
    """The rules of an account by its settings ``margin_profile`` and ``type``. KeyError for an unknown name."""
    profile = PROFILES[name]
    return for_cash_account(profile) if account_type == "cash" else profile
