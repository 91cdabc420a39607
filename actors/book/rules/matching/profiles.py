"""Fill profiles: every number of the model that may differ, as data (fill model §14).

Invariants: a profile is immutable and known by name, version and the hash of its canonical encoding; that
hash is pinned in every fill. Custom profiles change numbers, never rules. Probabilities and fractions are ppm.
Known limits: queue, print and inside fills and auctions are not modelled here.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

import msgspec
from msgspec import Struct

UNLIMITED: Final = 0
"""``depth_ppm`` of a profile that does not look at displayed size."""


class Profile(Struct, frozen=True):
    """The numbers of one fill profile, for stocks."""

    name: str
    version: int = 1
    latency_base_ms: int = 75
    latency_jitter_ms: int = 75
    theta_take_ppm: int = 875_000
    depth_ppm: int = 1_000_000
    """Share of the displayed size that can be taken; 0 for any quantity."""
    partial_ppm: int = 0
    """Chance that an eligible event fills only a random part."""
    dwell_ms: int = 200
    """How long the far side must stand at a resting limit."""
    reslice_ms: int = 250
    max_slices: int = 5
    """Slices of a market order; 0 for any number."""
    consume_half_life_ms: int = 5_000
    """0 switches the consumption ledger off."""
    age_soft_ms: int = 30_000
    collar_ppm: int = 50_000
    """How far a market order may fill beyond the far side at arrival; 0 for no collar."""
    fill_at_quote: bool = False
    """A resting order that the market reaches fills at the quote instead of its own limit."""
    buy_stop_to_limit: bool = False
    exits_in_proportion: bool = True
    """Bracket exits are released in proportion to the entry's fills, not only when it is filled."""
    stop_first: bool = False
    """Of two exits that one event could fill, the stop is looked at first."""


PARITY: Final = Profile(
    name="alpaca-parity",
    latency_base_ms=0,
    latency_jitter_ms=0,
    theta_take_ppm=1_000_000,
    depth_ppm=UNLIMITED,
    partial_ppm=100_000,
    dwell_ms=0,
    reslice_ms=0,
    max_slices=0,
    consume_half_life_ms=0,
    collar_ppm=0,
    fill_at_quote=True,
    buy_stop_to_limit=True,
    exits_in_proportion=False,
)
REALISTIC: Final = Profile(name="realistic")
CONSERVATIVE: Final = Profile(
    name="conservative",
    latency_base_ms=150,
    latency_jitter_ms=150,
    theta_take_ppm=1_000_000,
    depth_ppm=500_000,
    dwell_ms=1_000,
    reslice_ms=1_000,
    max_slices=3,
    consume_half_life_ms=30_000,
    age_soft_ms=10_000,
    collar_ppm=20_000,
    stop_first=True,
)
BUILT_IN: Final = {p.name: p for p in (PARITY, REALISTIC, CONSERVATIVE)}


def profile_hash(profile: Profile) -> str:
    """Sixteen hex digits of the hash of the canonical encoding."""
    encoded = msgspec.msgpack.encode(sorted(msgspec.structs.asdict(profile).items()))
    return blake2b(encoded, digest_size=8).hexdigest()


class Profiles:
    """The profiles an engine knows, with their hashes. Immutable after construction."""

    __slots__ = ("_by_name", "hashes")

    def __init__(self, custom: dict[str, dict[str, Any]] | None = None) -> None:
        self._by_name: dict[str, Profile] = dict(BUILT_IN)
        for name, values in (custom or {}).items():
            self._by_name[name] = self._derive(name, dict(values))
        self.hashes = {name: profile_hash(p) for name, p in self._by_name.items()}

    def _derive(self, name: str, values: dict[str, Any]) -> Profile:
        if name in BUILT_IN:
            raise ValueError(f"profile {name!r} is built in and cannot be redefined")
        base = values.pop("base", REALISTIC.name)
        if base not in BUILT_IN:
            raise ValueError(f"profile {name!r}: base must be one of {', '.join(sorted(BUILT_IN))}")
        merged = msgspec.structs.asdict(BUILT_IN[base]) | values | {"name": name}
        unknown = sorted(set(merged) - set(Profile.__struct_fields__))
        if unknown:
            raise ValueError(f"profile {name!r}: unknown number {unknown[0]!r}")
        try:
            profile = msgspec.convert(merged, Profile)
        except msgspec.ValidationError as error:
            raise ValueError(f"profile {name!r}: {error}") from None
        negative = [k for k, v in msgspec.structs.asdict(profile).items() if isinstance(v, int) and v < 0]
        if negative:
            raise ValueError(f"profile {name!r}: {negative[0]} must not be negative")
        return profile

    def get(self, name: str) -> Profile | None:
        """The profile of this name."""
        return self._by_name.get(name)

    def hash_of(self, name: str) -> str:
        """The pinned hash of a known profile."""
        return self.hashes[name]

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._by_name)
