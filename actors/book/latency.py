"""How long an order is on its way (fill model §6): part of its profile, drawn from the account's seed."""

from __future__ import annotations

from actors.book.draft import Draft
from actors.book.ids import draw_u64, uniform
from actors.book.rules.matching.profiles import Profile, Profiles
from actors.book.units import NS_PER_MS


def latency_ns(draft: Draft, profiles: Profiles, profile: Profile, order_id: str, purpose: bytes) -> int:
    """Base plus drawn jitter of the profile (fill model §6)."""
    if not profile.latency_base_ms and not profile.latency_jitter_ms:
        return 0
    jitter = 0
    if profile.latency_jitter_ms:
        book = draft.book
        hashed = profiles.hash_of(profile.name).encode()
        jitter = uniform(
            draw_u64(book.seed, book.epoch, hashed, order_id, purpose),
            0,
            profile.latency_jitter_ms * NS_PER_MS,
        )
    return profile.latency_base_ms * NS_PER_MS + jitter
