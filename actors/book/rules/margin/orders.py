"""What an order does to buying power, and which option level a book needs (margin-and-options §4).

An order is the book with it filled at its check price: positions changed, cash moved by price and estimated fees.
Invariants: a bought option leaves through cash and adds nothing to the requirement, so nothing is charged twice;
an order that frees as much as it costs is accepted whatever the account's state; contracts are whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from actors.book.rules.margin.legs import OptionPosition, Underlying, expiry_order, with_more
from actors.book.rules.margin.profiles import MarginProfile, secured
from actors.book.rules.margin.requirement import AccountRequirement, Holdings, Requirements
from actors.book.units import QTY_PER_SHARE

UNCOVERED_LEVEL: Final = 4


class Change(Struct, frozen=True):
    """One order as if it were filled."""

    cash_money: int
    """What its price and fees do to cash, signed."""
    options: tuple[OptionPosition, ...] = ()
    """Contracts bought (positive) and sold (negative), with their marks."""
    stock: tuple[tuple[str, int], ...] = ()
    """Symbol and signed quantity units."""
    underlyings: tuple[Underlying, ...] = ()
    """Prices that the book does not hold yet."""


class Effect(Struct, frozen=True):
    """What a change does, money units."""

    before: AccountRequirement
    after: AccountRequirement
    needed_money: int
    """What it takes from what is available; negative when it frees money."""
    reduces: bool
    """Whether it only reduces risk, and is accepted in any state (§4.4)."""


class Cover(Struct, frozen=True):
    """How the short options of a book are covered, in contracts."""

    by_stock: int
    by_longs: int
    by_cash: int
    """Puts that only their strike in cash secures."""
    uncovered_calls: int


def apply(held: Holdings, change: Change) -> Holdings:
    """The book after a change."""
    underlyings = dict(held.underlyings)
    same_prices = True
    for under in change.underlyings:
        before = underlyings.get(under.symbol)
        same_prices = same_prices and (before is None or before == under)
        underlyings[under.symbol] = under
    symbols = {option.symbol for option in change.options}
    if (
        not change.stock
        and len(symbols) == len(change.options)
        and symbols.isdisjoint([position.symbol for position in held.options])
    ):
        divided = None
        if held.divided is not None and same_prices:
            divided = with_more(held.divided, underlyings, held.stock, change.options)
        cash, options = held.cash_money + change.cash_money, held.options + change.options
        return Holdings(cash, underlyings, held.stock, options, held.as_of_date, divided)
    return _merged(held, change, underlyings)


def _merged(held: Holdings, change: Change, underlyings: dict[str, Underlying]) -> Holdings:
    """The same where the change touches what is held."""
    options: dict[str, OptionPosition] = {}
    for position in (*held.options, *change.options):
        before = options.get(position.symbol)
        qty = position.qty + (before.qty if before else 0)
        options[position.symbol] = msgspec.structs.replace(position, qty=qty)
    stock = dict(held.stock)
    for symbol, qty in change.stock:
        stock[symbol] = stock.get(symbol, 0) + qty
    left = tuple(position for position in options.values() if position.qty)
    return Holdings(held.cash_money + change.cash_money, underlyings, stock, left, held.as_of_date)


def effect(cache: Requirements, profile: MarginProfile, level: int, held: Holdings, change: Change) -> Effect:
    """What a change needs before it is accepted. KeyError when the price of an underlying is missing."""
    before, after, needed = _needed(cache, profile, level, held, change)
    reduces = after.maintenance_money <= before.maintenance_money and needed <= max(0, -change.cash_money)
    return Effect(before, after, needed, reduces and _only_closes(held, change))


def _needed(
    cache: Requirements, profile: MarginProfile, level: int, held: Holdings, change: Change
) -> tuple[AccountRequirement, AccountRequirement, int]:
    """The account without and with a change, and what that takes from what is available.

    Below level 4 a put that no long covers needs its whole strike (§4.7); what is held already keeps the legal
    figure.
    """
    filled = apply(held, change)
    before, after = cache.account(profile, held), cache.account(profile, filled)
    needed = before.available_money - after.available_money
    if (
        level < UNCOVERED_LEVEL
        and profile.naked != "strike"
        and (before.uncovered or after.uncovered)
        and any(o.qty < 0 or o.right == "put" for o in change.options)
    ):
        strict = secured(profile)
        at_strike = cache.account(strict, held).available_money - cache.account(strict, filled).available_money
        needed = max(needed, at_strike)
    return before, after, needed


def reservation(
    cache: Requirements,
    profile: MarginProfile,
    level: int,
    held: Holdings,
    open_orders: Sequence[Change],
    new: Change,
) -> int:
    """Money that a new order reserves beside the open ones: the worse of alone and all together (§4.3)."""
    alone = _needed(cache, profile, level, held, new)[2]
    if not open_orders:
        return max(0, alone)
    others = _needed(cache, profile, level, held, merged(open_orders))[2]
    together = _needed(cache, profile, level, held, merged([*open_orders, new]))[2]
    return max(0, alone, together - max(0, others))


def secured_need(
    cache: Requirements,
    profile: MarginProfile,
    level: int,
    held: Holdings,
    open_orders: Sequence[Change],
    new: Change,
) -> int:
    """Free money of the book held below which ``new`` would leave puts that no cash secures; 0 when it adds none.

    Below level 4 all puts that no long covers, those of open orders too, ask their strikes together (§4.7): what is
    held keeps the legal figure, so it leaves free what it was promised. The worse of alone and beside every open
    order; what open option orders reserve is part of it.
    """
    if level >= UNCOVERED_LEVEL or profile.naked == "strike" or all(o.right == "call" for o in new.options):
        return 0
    strict, needed = secured(profile), 0
    for base in (held, apply(held, merged(open_orders))) if open_orders else (held,):
        if covers_itself(base, new, "put"):
            continue
        filled = apply(base, new)
        if not _secures_more(base, filled, new):
            continue
        left = cache.account(strict, filled).available_money
        if left < cache.account(strict, base).available_money:
            needed = max(needed, cache.account(profile, held).available_money - left)
    return needed


def strikes_kept(cache: Requirements, profile: MarginProfile, level: int, held: Holdings) -> int:
    """What the puts held ask at their strikes beyond their legal figure: free, but promised to them (§4.7)."""
    if level >= UNCOVERED_LEVEL or profile.naked == "strike":
        return 0
    return cache.account(profile, held).available_money - cache.account(secured(profile), held).available_money


def _secures_more(base: Holdings, filled: Holdings, new: Change) -> bool:
    """Whether more puts are left to cash, or others in the place of some."""
    if cover(filled).by_cash > cover(base).by_cash:
        return True
    short = {o.symbol for o in base.options if o.qty < 0}
    return any(o.right == "put" and o.qty > 0 and o.symbol in short for o in new.options)


def needed_alone(cache: Requirements, profile: MarginProfile, level: int, as_of_date: int, change: Change) -> int:
    """What a change that only opens asks by itself: never less than what it adds to a book (§3.10)."""
    nothing = Holdings(0, {}, {}, (), as_of_date)
    rules = secured(profile) if level < UNCOVERED_LEVEL else profile
    return max(0, -cache.account(rules, apply(nothing, change)).available_money)


def merged(changes: Sequence[Change]) -> Change:
    """Several orders filled together."""
    return Change(
        sum(c.cash_money for c in changes),
        tuple(o for c in changes for o in c.options),
        tuple(s for c in changes for s in c.stock),
        tuple(u for c in changes for u in c.underlyings),
    )


def _only_closes(held: Holdings, change: Change) -> bool:
    """Whether every leg reduces a position, without crossing zero."""
    now = {o.symbol: o.qty for o in held.options}
    pairs = [(now.get(o.symbol, 0), o.qty) for o in change.options]
    pairs += [(held.stock.get(symbol, 0), qty) for symbol, qty in change.stock]
    return all(have * qty < 0 and abs(qty) <= abs(have) for have, qty in pairs)


def cover(held: Holdings) -> Cover:
    """Cover of every short option, by count: stock first where it delivers, then longs that last as long."""
    by_stock = by_longs = by_cash = uncovered = 0
    kinds = sorted({(o.underlying, o.multiplier, o.style, o.settlement, o.deliverable) for o in held.options})
    shares = dict(held.stock)
    for kind in kinds:
        symbol, multiplier, _, settlement, deliverable = kind
        legs = [o for o in held.options if (o.underlying, o.multiplier, o.style, o.settlement, o.deliverable) == kind]
        for right in ("call", "put"):
            short, left, covered = _unmatched([o for o in legs if o.right == right])
            by_longs += covered
            if right == "call" and settlement == "physical" and not deliverable:
                lots = max(0, shares.get(symbol, 0)) // (multiplier * QTY_PER_SHARE)
                used = min(lots, left)
                shares[symbol] = shares.get(symbol, 0) - used * multiplier * QTY_PER_SHARE
                spare = min(lots - used, covered)
                by_stock += used + spare
                by_longs -= spare
                left -= used
            if right == "put":
                by_cash += left
            else:
                uncovered += left
            assert left <= short
    return Cover(by_stock, by_longs, by_cash, uncovered)


def calls_at_risk(held: Holdings, changes: Sequence[Change]) -> int:
    """Short calls that nothing covers in the worst case: each change happens or not, as a whole or in part.

    Of the short calls that end on a date or later as many are without a contract as there are more of them than of
    long calls that end so late; the worst case of that difference takes every change that adds to it and no other.
    Shares cover the rest. A change's own shares count with its contracts, a sale of shares alone for itself.
    """
    shares = dict(held.stock)
    of_contracts = [change for change in changes if change.options]
    for change in changes:
        for symbol, qty in change.stock if not change.options else ():
            shares[symbol] = shares.get(symbol, 0) + min(0, qty)
    calls: dict[tuple[str, int, str, str, str], list[tuple[int, int, int]]] = {}
    for number, options in enumerate((held.options, *(change.options for change in of_contracts))):
        for o in options:
            if o.right == "call":
                key = o.underlying, o.multiplier, o.style, o.settlement, o.deliverable
                calls.setdefault(key, []).append((number, expiry_order(o), o.qty))
    total = 0
    for kind, legs in sorted(calls.items()):
        symbol, multiplier, _, settlement, deliverable = kind
        lot = multiplier * QTY_PER_SHARE
        plain = settlement == "physical" and not deliverable
        had = held.stock.get(symbol, 0)
        sold = [0, *(_lots_lost(change, symbol, had, lot) if plain else 0 for change in of_contracts)]
        worst = 0
        for date in {expiry for _, expiry, _ in legs}:
            need = sold.copy()
            for number, expiry, qty in legs:
                need[number] -= qty if expiry >= date else 0
            worst = max(worst, need[0] + sum(max(0, more) for more in need[1:]))
        covered = min(worst, max(0, shares.get(symbol, 0)) // lot) if plain else 0
        if covered:
            shares[symbol] -= covered * lot
        total += worst - covered
    return total


def _lots_lost(change: Change, symbol: str, had: int, lot: int) -> int:
    """Whole lots that a change takes from the shares there are, at most; negative for those that it brings."""
    qty = sum([qty for name, qty in change.stock if name == symbol])
    if qty >= 0:
        return -(max(0, qty + min(0, had)) // lot)
    return min(-(qty // lot), -(-max(0, had) // lot))


def _unmatched(legs: list[OptionPosition]) -> tuple[int, int, int]:
    """Short contracts, those no long covers, and those one does; the last to expire choose first."""
    longs = sorted([(expiry_order(o), o.qty) for o in legs if o.qty > 0], reverse=True)
    shorts = sorted([(expiry_order(o), -o.qty) for o in legs if o.qty < 0], reverse=True)
    pool = covered = n = 0
    for expiry, qty in shorts:
        while n < len(longs) and longs[n][0] >= expiry:
            pool += longs[n][1]
            n += 1
        used = min(pool, qty)
        pool -= used
        covered += used
    total = sum([qty for _, qty in shorts])
    return total, total - covered, covered


def covers_itself(held: Holdings, change: Change, right: str = "call") -> bool:
    """Whether a change only adds contracts, and each short call of it has a long call of it that lasts as long.

    Whatever the book holds, no more of its calls (or puts) are uncovered then, so no level above that of spreads is
    needed: the shorts that expire at or after any date grow by no more than the longs that do.
    """
    if change.stock:
        return False
    calls: dict[object, list[OptionPosition]] = {}
    for option in change.options:
        if option.right == right:
            kind = option.underlying, option.multiplier, option.style, option.settlement, option.deliverable
            legs = calls.get(kind)
            if legs is None:
                calls[kind] = [option]
            else:
                legs.append(option)
    for legs in calls.values():
        if _unmatched(legs)[1]:
            return False
    signs = {option.symbol: option.qty for option in change.options}
    for option in held.options:
        if option.symbol in signs and option.qty * signs[option.symbol] < 0:
            return False
    return len(signs) == len(change.options)


def level_needed(held: Holdings, change: Change) -> int:
    """The least option level for an order, judged on the book that results (§4.7); 0 when it needs none.

    Contracts that are only bought need no more than level 2: what they could cover was covered without them.
    """
    selling = any(option.qty < 0 for option in change.options) or any(qty < 0 for _, qty in change.stock)
    if not change.options and not selling:
        return 0
    before, after = cover(held), cover(apply(held, change))
    if after.uncovered_calls > before.uncovered_calls:
        return UNCOVERED_LEVEL
    if after.by_longs > before.by_longs and selling:
        return 3
    now = {o.symbol: o.qty for o in held.options}
    opened = [
        o for o in change.options if now.get(o.symbol, 0) * o.qty >= 0 or abs(o.qty) > abs(now.get(o.symbol, 0))
    ]
    if any(o.qty > 0 for o in opened):
        return 2
    if opened or after.by_cash > before.by_cash:
        return 1
    return 0
