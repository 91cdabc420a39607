"""The margin rules a second time, slowly: every pairing of single contracts is tried.

Written from margin-and-options §3 in dollars and exact fractions, sharing nothing with the engine but the shape
of the positions. Only for books of a handful of contracts under the ``finra`` rates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from typing import NamedTuple

HUNDRED = 100


class One(NamedTuple):
    """One contract."""

    call: bool
    strike: Fraction
    expiry: int
    price: Fraction


class Rules(NamedTuple):
    spot: Fraction
    base: Fraction
    least: Fraction = Fraction(1, 10)
    long_rate: Fraction = Fraction(1, 4)
    american: bool = True
    """Regulation T relieves short stock beside an American call only."""


def naked(one: One, rules: Rules) -> tuple[Fraction, Fraction]:
    away = max(Fraction(0), one.strike - rules.spot if one.call else rules.spot - one.strike)
    extra = max(rules.base * rules.spot - away, rules.least * (rules.spot if one.call else one.strike))
    return (one.price + extra) * HUNDRED, one.price * HUNDRED


def cheapest_uncovered(units: Sequence[One], rules: Rules) -> Fraction:
    """Every way to pair short calls with short puts."""
    if not units:
        return Fraction(0)
    first, rest = units[0], units[1:]
    best = naked(first, rules)[0] + cheapest_uncovered(rest, rules)
    for n, other in enumerate(rest):
        if other.call != first.call:
            mine, theirs = naked(first, rules), naked(other, rules)
            if mine[0] > theirs[0] or (mine[0] == theirs[0] and mine[1] <= theirs[1]):
                both = [mine[0] + theirs[1]]
            else:
                both = [theirs[0] + mine[1]]
            if mine[0] == theirs[0]:
                both = [mine[0] + max(mine[1], theirs[1])]
            best = min(best, both[0] + cheapest_uncovered((*rest[:n], *rest[n + 1 :]), rules))
    return best


def loss(shorts: Sequence[One], longs: Sequence[One]) -> Fraction | None:
    """Largest loss at any settlement price; None when it has no bound."""
    if sum(one.call for one in shorts) > sum(one.call for one in longs):
        return None
    points = [Fraction(0), *(one.strike for one in (*shorts, *longs))]

    def value(one: One, at: Fraction) -> Fraction:
        return max(Fraction(0), at - one.strike if one.call else one.strike - at)

    least = min(sum(value(o, at) for o in longs) - sum(value(o, at) for o in shorts) for at in points)
    return max(Fraction(0), -Fraction(least)) * HUNDRED


def long_lot(rules: Rules, call: One | None, put: One | None) -> Fraction:
    """One lot of long stock: maintenance and haircut."""
    spot, rate, part = rules.spot, rules.long_rate, Fraction(1, 10)
    haircut = max(Fraction(0), spot - call.strike) if call else Fraction(0)
    if call and put:
        if call.strike == put.strike:
            return (part * put.strike + haircut) * HUNDRED
        protected = part * put.strike + max(Fraction(0), spot - put.strike)
        return (min(protected, rate * call.strike) + haircut) * HUNDRED
    if call:
        return (rate * min(spot, call.strike) + haircut) * HUNDRED
    if put:
        return min(part * put.strike + max(Fraction(0), spot - put.strike), rate * spot) * HUNDRED
    return rate * spot * HUNDRED


def short_lot(rules: Rules, put: One | None, call: One | None) -> Fraction:
    """One lot of short stock, maintenance."""
    spot, part = rules.spot, Fraction(1, 10)
    extra = max(Fraction(5, 2), spot) if spot < 5 else max(Fraction(5), spot * Fraction(3, 10))
    inside = max(Fraction(0), put.strike - spot) if put else Fraction(0)
    if put and call:
        return (Fraction(11, 10) * put.strike + inside) * HUNDRED
    if call:
        return (spot + min(part * call.strike + max(Fraction(0), call.strike - spot), extra)) * HUNDRED
    return (spot + extra + inside) * HUNDRED


def requirement(
    rules: Rules, shorts: Sequence[One], longs: Sequence[One], lots: int = 0, *, initial: bool = False
) -> Fraction:
    """The cheapest permitted pairing: options, whole lots of stock, and haircuts."""

    @cache
    def with_lots(left: int, shorts: tuple[One, ...], longs: tuple[One, ...]) -> Fraction:
        if not left:
            return spreads(rules, shorts, longs)
        return min(
            cost + with_lots(left - 1, after_shorts, after_longs)
            for cost, after_shorts, after_longs in one_lot(rules, lots > 0, shorts, longs, initial)
        )

    return with_lots(abs(lots), tuple(sorted(shorts)), tuple(sorted(longs)))


def one_lot(
    rules: Rules, owned: bool, shorts: tuple[One, ...], longs: tuple[One, ...], initial: bool
) -> Iterator[tuple[Fraction, tuple[One, ...], tuple[One, ...]]]:
    """Every use of one lot: its cost, and the options left."""
    picks_short = [None, *(n for n, one in enumerate(shorts) if one.call == owned)]
    picks_long = [None, *(n for n, one in enumerate(longs) if one.call != owned)]
    for i in picks_short:
        for k in picks_long:
            short = shorts[i] if i is not None else None
            long = longs[k] if k is not None else None
            if short and long:
                if short.expiry != long.expiry:
                    continue
                if (long.strike > short.strike) if owned else (long.strike != short.strike):
                    continue
            if initial and owned:
                cost = rules.spot * HUNDRED / 2
            elif initial:
                relieved = long is not None and rules.american and long.strike <= rules.spot
                cost = rules.spot * HUNDRED * (1 if relieved else Fraction(3, 2))
            else:
                cost = long_lot(rules, short, long) if owned else short_lot(rules, short, long)
            yield cost, without(shorts, i), without(longs, k)


def without(units: tuple[One, ...], n: int | None) -> tuple[One, ...]:
    return units if n is None else (*units[:n], *units[n + 1 :])


def spreads(rules: Rules, shorts: tuple[One, ...], longs: tuple[One, ...]) -> Fraction:
    """Every choice of uncovered shorts and of the expiry that each long serves."""
    best = cheapest_uncovered(shorts, rules)
    expiries = sorted({one.expiry for one in shorts})

    def places(n: int, chosen: list[tuple[One, int]]) -> Iterator[list[tuple[One, int]]]:
        if n == len(longs):
            yield chosen
            return
        yield from places(n + 1, chosen)
        for expiry in expiries:
            if expiry <= longs[n].expiry:
                yield from places(n + 1, [*chosen, (longs[n], expiry)])

    placings = list(places(0, []))
    for mask in range(1 << len(shorts)):
        bare = [one for n, one in enumerate(shorts) if mask >> n & 1]
        kept = [one for n, one in enumerate(shorts) if not mask >> n & 1]
        base = cheapest_uncovered(bare, rules)
        for placing in placings:
            total: Fraction | None = base
            for expiry in expiries:
                part = loss(
                    [one for one in kept if one.expiry == expiry], [one for one, at in placing if at == expiry]
                )
                if part is None:
                    total = None
                    break
                total = total + part if total is not None else None
            if total is not None:
                best = min(best, total)
    return best
