"""Random books for the margin rules, as the engine and as the naive reference take them."""

from __future__ import annotations

from fractions import Fraction
from random import Random

from actors.book.rules.margin.legs import Group, Leg, Underlying
from actors.book.units import QTY_PER_SHARE
from tests.margin.naive import One

EXPIRIES = (20261218 * 2 + 1, 20270115 * 2 + 1, 20270219 * 2 + 1)
SPOT = 1_000_000


def group(
    legs: list[tuple[bool, int, int, int, int]], *, spot: int = SPOT, lots: int = 0, margin_class: str = "equity"
) -> Group:
    """A group of (call, strike in dollars, expiry number, signed contracts, price in price units)."""
    shorts, longs = [], []
    for call, strike, expiry, qty, price in legs:
        symbol = f"XYZ{expiry}{'C' if call else 'P'}{strike:05d}"
        leg = Leg(symbol, call, strike * 10_000, EXPIRIES[expiry], abs(qty), price)
        (shorts if qty < 0 else longs).append(leg)
    underlying = Underlying("XYZ", spot, margin_class)  # type: ignore[arg-type]
    order = sorted
    return Group(
        underlying,
        100,
        False,
        True,
        tuple(order(shorts, key=lambda leg: (leg.expiry, leg.call, leg.strike))),
        tuple(order(longs, key=lambda leg: (leg.expiry, leg.call, leg.strike))),
        lots * 100 * QTY_PER_SHARE,
    )


def units(legs: tuple[Leg, ...]) -> list[One]:
    """Single contracts for the naive reference."""
    return [
        One(leg.call, Fraction(leg.strike, 10_000), leg.expiry, Fraction(leg.price, 10_000))
        for leg in legs
        for _ in range(leg.qty)
    ]


def drawn(
    random: Random,
    *,
    contracts: int,
    expiries: int = 2,
    lots: int = 0,
    qty: int = 2,
    spot: int = SPOT,
    strikes: tuple[int, ...] = tuple(range(70, 135, 5)),
) -> Group:
    """A random book of at most so many contracts, with prices near intrinsic value."""
    legs: dict[tuple[bool, int, int], tuple[int, int]] = {}
    left = contracts
    while left > 0:
        call, strike, expiry = random.random() < 0.5, random.choice(strikes), random.randrange(expiries)
        n = random.randint(1, min(qty, left))
        left -= n
        inside = max(0, spot - strike * 10_000 if call else strike * 10_000 - spot)
        price = inside + random.choice((500, 5_000, 15_000, 40_000)) + 3_000 * expiry
        legs[call, strike, expiry] = (n if random.random() < 0.5 else -n, price)
    return group(
        [(call, strike, expiry, n, price) for (call, strike, expiry), (n, price) in legs.items()],
        spot=spot,
        lots=lots,
        margin_class=random.choice(("equity", "index_broad")),
    )
