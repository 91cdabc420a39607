"""How long an order is on its way (fill model §6): part of its profile, drawn from the account's seed."""

from __future__ import annotations

from actors.book.draft import Draft
from actors.book.events import OrderAccepted
from actors.book.ids import draw_u64, uniform
from actors.book.osi import is_option_symbol
from actors.book.rules.matching.profiles import FOUR_LEGS, OPTION, STOCK, Profile, Profiles
from actors.book.units import NS_PER_MS


def latency_ns(
    draft: Draft, profiles: Profiles, profile: Profile, order_id: str, purpose: bytes, kind: int = STOCK
) -> int:
    """Base plus drawn jitter of the profile for a class of instrument (fill model §6)."""
    if kind == STOCK:
        base_ms, jitter_ms = profile.latency_base_ms, profile.latency_jitter_ms
    else:
        numbers = profiles.numbers(profile.name, kind)
        base_ms, jitter_ms = numbers.latency_base_ms, numbers.latency_jitter_ms
    if not base_ms and not jitter_ms:
        return 0
    jitter = 0
    if jitter_ms:
        book = draft.book
        hashed = profiles.hash_of(profile.name).encode()
        jitter = uniform(
            draw_u64(book.seed, book.epoch, hashed, order_id, purpose),
            0,
            jitter_ms * NS_PER_MS,
        )
    return base_ms * NS_PER_MS + jitter


def unit_kind(legs: int) -> int:
    """The column of a profile for a unit of so many legs (fill model §14)."""
    return min(legs, FOUR_LEGS)


def kind_of(terms: OrderAccepted) -> int:
    """The class of instrument by which an order travels and is matched."""
    if terms.legs:
        return unit_kind(len(terms.legs))
    return OPTION if is_option_symbol(terms.symbol) else STOCK
