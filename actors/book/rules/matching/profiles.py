"""Fill profiles: every number of the model that may differ, as data (fill model §14).

Invariants: a profile is immutable and known by name, version and the hash of its canonical encoding; that
hash is pinned in every fill. Custom profiles change numbers and never rules. Probabilities and fractions are
ppm; 0 switches a limit off where the field says so. Matching reads the :class:`Numbers` of one class of
instrument, taken from a profile once.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from actors.book.units import NS_PER_MS

UNLIMITED: Final = 0
"""``depth_ppm`` of a profile that does not look at displayed size."""
STOCK, OPTION, TWO_LEGS, THREE_LEGS, FOUR_LEGS = range(5)
"""Classes of instrument with numbers of their own; four legs stand for four and more."""


class Profile(Struct, frozen=True):
    """All numbers and switches of one fill profile; the defaults are those of ``realistic``."""

    name: str
    version: int = 1
    latency_base_ms: int = 75
    latency_jitter_ms: int = 75
    option_latency_base_ms: int = 150
    option_latency_jitter_ms: int = 150
    unit_latency_base_ms: int = 350
    unit_latency_jitter_ms: int = 250
    theta_take_ppm: int = 875_000
    """Where in the spread taking orders trade: 0 at the near side, 1,000,000 at the far side."""
    theta_take_1_ppm: int = 850_000
    theta_take_2_ppm: int = 780_000
    theta_take_3_ppm: int = 720_000
    theta_take_4_ppm: int = 700_000
    inside_mean_1_ppm: int = 700_000
    """Middle of the reservation drawn for a resting option order; 0 for no fills inside the spread."""
    inside_mean_2_ppm: int = 640_000
    inside_mean_3_ppm: int = 580_000
    inside_mean_4_ppm: int = 560_000
    inside_range_1_ppm: int = 150_000
    inside_range_2_ppm: int = 150_000
    inside_range_3_ppm: int = 200_000
    inside_range_4_ppm: int = 200_000
    inside_cap_ppm: int = 500_000
    """Share of the smaller displayed side that one fill inside the spread may take; 0 for none."""
    depth_ppm: int = 1_000_000
    """Share of the displayed size that can be taken; 0 for any quantity."""
    partial_ppm: int = 0
    """Chance that an eligible event fills only a random part."""
    queue_rule: Literal["none", "power", "risk_averse"] = "power"
    queue_power: int = 3
    queue_scale_ppm: int = 1_000_000
    """Queue found on joining, as a share of the displayed size."""
    option_queue_scale_ppm: int = 500_000
    """The same for options, on top of it: customers stand before others."""
    print_fills: Literal["no", "yes", "through"] = "yes"
    bar_print_ppm: int = 100_000
    """Share of a print that one account may have where prints are whole bars (recordings)."""
    live_print_ppm: int = 1_000_000
    dwell_ms: int = 200
    """How long the far side must stand at a resting limit."""
    option_dwell_ms: int = 500
    unit_dwell_ms: int = 1_000
    reslice_ms: int = 250
    option_reslice_ms: int = 1_000
    max_slices: int = 5
    """Slices of a market order; 0 for any number."""
    consume_half_life_ms: int = 5_000
    """0 switches the consumption ledger off."""
    option_consume_half_life_ms: int = 30_000
    feed_dead_ms: int = 3_000
    """For the adapter of a live feed; the book never measures silence."""
    age_soft_ms: int = 30_000
    option_age_soft_ms: int = 60_000
    wide_ppm: int = 500_000
    """Options: width over the middle from which a quote is wide; 0 for never."""
    collar_ppm: int = 50_000
    """How far a market order may fill beyond the far side at arrival; 0 for no collar."""
    option_collar_price: int = 1_000
    """The same for options in price units, or a quarter of the spread if that is more; 0 for no collar."""
    auctions: Literal["print", "quote"] = "print"
    """Whether on-open and on-close orders take part in the official print or trade at the quote."""
    auction_cap_ppm: int = 10_000
    """Share of the official print that one order may have."""
    auction_ticks: int = 0
    """Ticks by which an auction fill is worse than the official print."""
    auction_wait_ms: int = 300_000
    """How long after its time an auction's print is waited for."""
    fill_at_quote: bool = False
    """A resting order that the market reaches fills at the quote instead of its own limit."""
    buy_stop_to_limit: bool = False
    stop_trigger: Literal["last"] = "last"
    exit_stop_trigger: Literal["last", "far"] = "last"
    """What elects stops that close a position."""
    exits_in_proportion: bool = True
    """Bracket exits are released in proportion to the entry's fills, not only when it is filled."""
    stop_first: bool = False
    """Of two exits that one event could fill, the stop is looked at first."""
    fees: Literal["none", "observed", "on"] = "on"
    carry: bool = True
    """Dividends, borrow fees and margin interest are booked."""
    early_assignment_ppm: int = 1_000_000
    """Factor on the chance of early assignment; 0 for never."""
    expiry_policy: Literal["settle", "closeout"] = "settle"
    sign_suspect: Literal["reject", "accept"] = "reject"


PARITY: Final = Profile(
    name="alpaca-parity",
    latency_base_ms=0,
    latency_jitter_ms=0,
    option_latency_base_ms=0,
    option_latency_jitter_ms=0,
    unit_latency_base_ms=0,
    unit_latency_jitter_ms=0,
    theta_take_ppm=1_000_000,
    theta_take_1_ppm=1_000_000,
    theta_take_2_ppm=1_000_000,
    theta_take_3_ppm=1_000_000,
    theta_take_4_ppm=1_000_000,
    inside_mean_1_ppm=0,
    inside_mean_2_ppm=0,
    inside_mean_3_ppm=0,
    inside_mean_4_ppm=0,
    inside_range_1_ppm=0,
    inside_range_2_ppm=0,
    inside_range_3_ppm=0,
    inside_range_4_ppm=0,
    inside_cap_ppm=0,
    depth_ppm=UNLIMITED,
    partial_ppm=100_000,
    queue_rule="none",
    print_fills="no",
    dwell_ms=0,
    option_dwell_ms=0,
    unit_dwell_ms=0,
    reslice_ms=0,
    option_reslice_ms=0,
    max_slices=0,
    consume_half_life_ms=0,
    option_consume_half_life_ms=0,
    wide_ppm=0,
    collar_ppm=0,
    option_collar_price=0,
    auctions="quote",
    auction_wait_ms=60_000,
    fill_at_quote=True,
    buy_stop_to_limit=True,
    exits_in_proportion=False,
    fees="none",
    carry=False,
    early_assignment_ppm=0,
    expiry_policy="closeout",
    sign_suspect="accept",
)
REALISTIC: Final = Profile(name="realistic")
CONSERVATIVE: Final = Profile(
    name="conservative",
    latency_base_ms=150,
    latency_jitter_ms=150,
    option_latency_base_ms=300,
    option_latency_jitter_ms=300,
    unit_latency_base_ms=700,
    unit_latency_jitter_ms=500,
    theta_take_ppm=1_000_000,
    theta_take_1_ppm=1_000_000,
    theta_take_2_ppm=1_000_000,
    theta_take_3_ppm=1_000_000,
    theta_take_4_ppm=1_000_000,
    inside_mean_1_ppm=1_000_000,
    inside_mean_2_ppm=1_000_000,
    inside_mean_3_ppm=1_000_000,
    inside_mean_4_ppm=1_000_000,
    inside_range_1_ppm=0,
    inside_range_2_ppm=0,
    inside_range_3_ppm=0,
    inside_range_4_ppm=0,
    inside_cap_ppm=0,
    depth_ppm=500_000,
    queue_rule="risk_averse",
    queue_scale_ppm=1_500_000,
    option_queue_scale_ppm=1_000_000,
    print_fills="through",
    dwell_ms=1_000,
    option_dwell_ms=2_000,
    unit_dwell_ms=3_000,
    reslice_ms=1_000,
    option_reslice_ms=3_000,
    max_slices=3,
    consume_half_life_ms=30_000,
    option_consume_half_life_ms=300_000,
    age_soft_ms=10_000,
    option_age_soft_ms=30_000,
    wide_ppm=300_000,
    collar_ppm=20_000,
    option_collar_price=500,
    auction_cap_ppm=5_000,
    auction_ticks=1,
    exit_stop_trigger="far",
    stop_first=True,
    early_assignment_ppm=1_500_000,
)
BUILT_IN: Final = {p.name: p for p in (PARITY, REALISTIC, CONSERVATIVE)}


class Numbers(Struct, frozen=True):
    """A profile's numbers for one class of instrument."""

    name: str
    kind: int
    latency_base_ms: int
    latency_jitter_ms: int
    theta_take_ppm: int
    inside_mean_ppm: int
    inside_range_ppm: int
    inside_cap_ppm: int
    depth_ppm: int
    partial_ppm: int
    queue_rule: str
    queue_power: int
    queue_scale_ppm: int
    print_fills: str
    bar_print_ppm: int
    live_print_ppm: int
    dwell_ns: int
    reslice_ns: int
    max_slices: int
    consume_half_life_ms: int
    age_soft_ns: int
    wide_ppm: int
    collar_ppm: int
    collar_price: int
    auctions: str
    auction_cap_ppm: int
    auction_ticks: int
    auction_wait_ns: int
    fill_at_quote: bool
    buy_stop_to_limit: bool
    exit_stop_trigger: str
    hashed: bytes
    """The profile's hash as draws take it."""


def profile_hash(profile: Profile) -> str:
    """Sixteen hex digits of the hash of the canonical encoding."""
    encoded = msgspec.msgpack.encode(sorted(msgspec.structs.asdict(profile).items()))
    return blake2b(encoded, digest_size=8).hexdigest()


def numbers_of(profile: Profile, kind: int, hashed: str) -> Numbers:
    """What of a profile holds for one class of instrument."""
    p, legs = profile, max(1, kind)
    prefix = ("", "option_", "unit_")[min(kind, 2)]
    held = "" if kind == STOCK else "option_"
    return Numbers(
        p.name, kind, getattr(p, f"{prefix}latency_base_ms"), getattr(p, f"{prefix}latency_jitter_ms"),
        p.theta_take_ppm if kind == STOCK else getattr(p, f"theta_take_{legs}_ppm"),
        0 if kind == STOCK else getattr(p, f"inside_mean_{legs}_ppm"),
        0 if kind == STOCK else getattr(p, f"inside_range_{legs}_ppm"),
        0 if kind == STOCK else p.inside_cap_ppm, p.depth_ppm, p.partial_ppm, p.queue_rule, p.queue_power,
        p.queue_scale_ppm * (p.option_queue_scale_ppm if kind else 1_000_000) // 1_000_000,
        p.print_fills if kind <= OPTION else "no", p.bar_print_ppm, p.live_print_ppm,
        getattr(p, f"{prefix}dwell_ms") * NS_PER_MS, getattr(p, f"{held}reslice_ms") * NS_PER_MS, p.max_slices,
        getattr(p, f"{held}consume_half_life_ms"), getattr(p, f"{held}age_soft_ms") * NS_PER_MS,
        p.wide_ppm if kind else 0, 0 if kind else p.collar_ppm, p.option_collar_price if kind else 0, p.auctions,
        p.auction_cap_ppm, p.auction_ticks, p.auction_wait_ms * NS_PER_MS, p.fill_at_quote,
        p.buy_stop_to_limit, p.exit_stop_trigger, hashed.encode(),
    )  # fmt: skip


class Profiles:
    """The profiles an engine knows, with their hashes. Immutable after construction."""

    __slots__ = ("_by_name", "_numbers", "hashes")

    def __init__(self, custom: dict[str, dict[str, Any]] | None = None) -> None:
        self._by_name: dict[str, Profile] = dict(BUILT_IN)
        for name, values in (custom or {}).items():
            self._by_name[name] = self._derive(name, dict(values))
        self.hashes = {name: profile_hash(p) for name, p in self._by_name.items()}
        self._numbers = {
            name: tuple(numbers_of(p, kind, self.hashes[name]) for kind in range(FOUR_LEGS + 1))
            for name, p in self._by_name.items()
        }

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
        if not 1 <= profile.queue_power <= 8:
            raise ValueError(f"profile {name!r}: queue_power must be 1 to 8")
        return profile

    def get(self, name: str) -> Profile | None:
        """The profile of this name."""
        return self._by_name.get(name)

    def numbers(self, name: str, kind: int = STOCK) -> Numbers:
        """The numbers of a known profile for one class of instrument."""
        return self._numbers[name][kind]

    def hash_of(self, name: str) -> str:
        """The pinned hash of a known profile."""
        return self.hashes[name]

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._by_name)
