"""Where an account stands with its margin, and the selling of positions when a call is not met (§2.8).

States: ``ok → warning → call → liquidating → ok``; each change is a fact with its numbers. A call falls due at the
next core session; a deficit of more than half the requirement is not waited for. A cash account, which is lent
neither money nor shares, is in the same call for what a settlement overdrew it by, or made it short of: such shares
are all bought in when it falls due (§5.8). A call of Regulation T that one of
maintenance displaced comes back with its own date. Forced orders are market orders
of the core session, placed until the excess is a twentieth of the requirement, in a stated order: contracts that end
today in the last hour, then what frees most for each dollar traded, then by symbol. Invariants: contracts that
belong together are closed by one order, and shares behind short contracts only after those
(:mod:`actors.book.liquidation`); orders that open something are cancelled first, newest first; no position is sold
beyond what is needed or turned over.
"""

from __future__ import annotations

from actors.book import events as e
from actors.book.draft import Draft
from actors.book.events.parts import REGULATION_T
from actors.book.forced import (
    BUY_IN_PREFIX,
    FORCED_PREFIX,
    by_house,
    concerns,
    opens,
    place_forced,
    place_forced_unit,
)
from actors.book.liquidation import Closing, closings, locked_shares
from actors.book.osi import is_option_symbol
from actors.book.rules.admission.check import market_price
from actors.book.rules.margin.pairing import BOUNDS, EXACT, SMALL
from actors.book.rules.margin.profiles import profile_of
from actors.book.rules.matching.profiles import Profiles
from actors.book.state.book import Book
from actors.book.units import NS_PER_SECOND, QTY_PER_SHARE, qty_for_money, value_money
from actors.book.view import Figures, figures, position_requirement, sma, trade_date
from actors.market.world import World

WARNING_PARTS = 20
"""Below a twentieth of equity the excess is a warning."""
TARGET_PARTS = 20
"""Selling goes on until the excess is a twentieth of the requirement."""
LAST_HOUR_NS = 3_600 * NS_PER_SECOND
MAINTENANCE, LARGE, OVERDRAWN, SHORT = "maintenance", "large_deficit", "overdrawn", "short_stock"


def is_leveraged(book: Book) -> bool:
    """Whether the account may be in a call or come into one by prices alone: it owes money or is short."""
    if book.money is not None and book.money.call.state != "ok":
        return True
    if book.type == "cash":
        return book.cash < 0 or bool(_owed_shares(book))
    if not book.positions:
        return False
    if book.cash < 0:
        return True
    for position in book.positions.values():  # noqa: SIM110 - twice an order: a generator costs as much as the rest
        if position.qty < 0:
            return True
    return False


def _owed_shares(book: Book) -> list[str]:
    """Stocks that a cash account is short of, and may not be."""
    if book.type != "cash":
        return []
    return [name for name, held in book.positions.items() if held.qty < 0 and not is_option_symbol(name)]


def _measure(book: Book, f: Figures) -> tuple[int, int]:
    """Excess, and the requirement that it is above; a cash account has its cash, and no requirement."""
    if book.type == "cash":
        return book.cash - f.accrued_money, 0
    return f.excess_money, f.net_maintenance_money


def standing(book: Book, f: Figures, now_state: str, reason: str) -> str:
    """The state that the figures call for."""
    excess, asked = _measure(book, f)
    if not book.positions:
        return "call" if excess < 0 else "ok"
    if _owed_shares(book):
        return "liquidating" if now_state == "liquidating" else "call"
    if now_state == "liquidating":
        if excess * TARGET_PARTS < asked or not _regulation_t_met(book, f, reason):
            return "liquidating"
    elif excess < 0:
        return "liquidating" if book.type == "margin" and -excess * 2 > asked else "call"
    elif now_state == "call" and not _regulation_t_met(book, f, reason):
        return "call"
    leveraged = book.type == "margin" and (book.cash < 0 or f.short_money < 0)
    return "warning" if leveraged and excess * WARNING_PARTS < f.equity_money else "ok"


def _regulation_t_met(book: Book, f: Figures, reason: str) -> bool:
    return reason != REGULATION_T or sma(book, f) >= 0


def look(draft: Draft, world: World, profiles: Profiles, found: Figures | None = None) -> None:
    """Look at the account's margin now: note a change of its standing, and sell what has to be sold.

    ``found`` are the figures of this moment when they are known already. A bound that is good enough says that all is
    well. Anything else needs exact figures: here and now, or in a turn of its own whose searches are made outside.
    """
    book = draft.book
    if not is_leveraged(book):
        return
    call = book.ledger().call
    f = found or figures(book, world, BOUNDS)
    state = standing(book, f, call.state, call.reason)
    for search_legs in (SMALL, EXACT):
        if f.exact or state == call.state == "ok":
            break
        if search_legs == EXACT and later(book, world):
            return
        f = figures(book, world, search_legs)
        state = standing(book, f, call.state, call.reason)
    if state != call.state and state in ("ok", "warning"):
        _met(draft, state, f, world)
    elif state != call.state:
        reason = call.reason if state == "liquidating" and call.reason else _reason(book)
        if state == "liquidating" and call.state != "call":
            reason = LARGE
        change(draft, state, f, world, reason, _due_at(world) if state == "call" else 0)
    elif state == "call" and call.reason == REGULATION_T and f.excess_money < 0 and _due_at(world) < call.due_at:
        # A maintenance call is due sooner; what Regulation T asks stays due on its own date.
        change(draft, state, f, world, MAINTENANCE, _due_at(world))
    if state == "liquidating":
        liquidate(draft, world, profiles)


def later(book: Book, world: World, reduced: bool = False) -> bool:
    """Whether exact figures of a large book wait for a turn of their own, which is asked for here.

    ``reduced``: a transaction reduced its level.
    """
    if world.looks is None:
        return False
    world.looks[book.account_no] = reduced or world.looks.get(book.account_no, False)
    return True


def _met(draft: Draft, state: str, f: Figures, world: World) -> None:
    """Nothing is called for: a call is closed, save that one of Regulation T that it displaced goes on."""
    displaced = draft.book.ledger().call.displaced_due_at
    if displaced and sma(draft.book, f) < 0:
        change(draft, "call", f, world, REGULATION_T, displaced)
    else:
        change(draft, state, f, world, "", 0)


def _reason(book: Book) -> str:
    if book.type == "cash":
        return OVERDRAWN if book.cash < 0 else SHORT
    return MAINTENANCE


def change(draft: Draft, state: str, f: Figures, world: World, reason: str, due_at: int) -> None:
    """Note a new standing with its numbers."""
    excess, asked = _measure(draft.book, f)
    draft.emit(
        e.MarginChanged(
            state, draft.book.ledger().call.state, trade_date(world), f.equity_money, asked,
            excess, due_at, reason if state not in ("ok", "warning") else "",
        )
    )  # fmt: skip


def _due_at(world: World) -> int:
    """The next core session's open: until then a call can be met."""
    day = world.day
    if day is None or world.days is None:
        return 0
    return day.core_opens_at if world.now < day.core_opens_at else world.days.day(day.following).core_opens_at


def call_due_at(book: Book, world: World) -> int:
    """When an open call falls due; 0 for none."""
    call = book.ledger().call
    return call.due_at if call.state == "call" else 0


def fall_due(draft: Draft, at: int, world: World, profiles: Profiles) -> None:
    """An open call was not met in time: positions are sold; a call that was met is closed."""
    book = draft.book
    f = figures(book, world)
    call = book.ledger().call
    state = standing(book, f, "call", call.reason)
    if state in ("ok", "warning"):
        _met(draft, state, f, world)
        return
    if not book.positions:
        # Nothing is left to sell: the account stays in the call, without a date.
        change(draft, "call", f, world, call.reason, 0)
        return
    change(draft, "liquidating", f, world, call.reason, 0)
    liquidate(draft, world, profiles)


def liquidate(draft: Draft, world: World, profiles: Profiles) -> None:
    """Cancel what opens, then place the forced orders that are still needed; outside the core session, wait."""
    book = draft.book
    for order_no in sorted(book.orders, reverse=True):
        if opens(book.orders[order_no].terms):
            draft.emit(e.OrderCanceled(order_no, "margin_call"))
    if world.phase != "core":
        return
    cover_money = _buy_in(draft, world, profiles)
    if any(by_house(order.terms, FORCED_PREFIX) for order in book.orders.values()):
        return
    f = figures(book, world)
    excess, asked = _measure(book, f)
    wanted = -(-asked // TARGET_PARTS) - excess + cover_money
    # Regulation T releases half of what is sold.
    to_sell = 2 * max(0, -sma(book, f)) if book.ledger().call.reason == REGULATION_T else 0
    ranked: list[tuple[bool, int, str, int | Closing]] = [
        (True, -rate, symbol, price) for symbol, rate, price in _candidates(book, world)
    ]
    ranked += [(not _goes_first(c, world), -c.rate_ppm, "", c) for c in closings(book, world)]
    for _, rate, symbol, what in sorted(ranked, key=lambda entry: (*entry[:3], _number(entry[3]))):
        if wanted <= 0 and to_sell <= 0:
            break
        if isinstance(what, Closing):
            freed = _close_contracts(draft, what, max(wanted, to_sell // 2), world, profiles)
            wanted, to_sell = wanted - freed, to_sell - 2 * freed
        else:
            sold = _sell_stock(draft, symbol, -rate, what, wanted, to_sell, world, profiles)
            wanted, to_sell = wanted - sold * _freed_ppm(book, -rate) // 1_000_000, to_sell - sold


def _buy_in(draft: Draft, world: World, profiles: Profiles) -> int:
    """Order what a cash account is short of, unless that is on order; money that buying it takes."""
    book = draft.book
    cost = 0
    for symbol in sorted(_owed_shares(book)):
        if symbol not in world.instruments.by_symbol:
            continue
        short = -book.positions[symbol].qty
        cost += value_money(market_price(symbol, world, buying=True) or world.mark(symbol), short)
        ordered = any(
            order.terms.symbol == symbol and by_house(order.terms, BUY_IN_PREFIX) for order in book.orders.values()
        )
        if not ordered:
            _cancel_on(draft, {symbol}, "buy_in")
            place_forced(draft, symbol, short, world, profiles, BUY_IN_PREFIX)
    return cost


def _number(what: int | Closing) -> int:
    return what.structure_no if isinstance(what, Closing) else 0


def _goes_first(closing: Closing, world: World) -> bool:
    """Contracts that end today go first in the last hour."""
    session = world.session
    return closing.ends_today and session is not None and world.now >= session.core_closes_at - LAST_HOUR_NS


def _freed_ppm(book: Book, rate_ppm: int) -> int:
    """A dollar that is freed also lowers the target, where that is part of a requirement."""
    return rate_ppm if book.type == "cash" else rate_ppm * (TARGET_PARTS + 1) // TARGET_PARTS


def _sell_stock(
    draft: Draft, symbol: str, rate_ppm: int, price: int, wanted: int, to_sell: int, world: World, profiles: Profiles
) -> int:
    """Sell or buy back as much of a stock as is needed and nothing relies on; money units of it."""
    book = draft.book
    free = abs(book.positions[symbol].qty) - abs(locked_shares(book, world).get(symbol, 0))
    if free <= 0:
        return 0
    _cancel_on(draft, {symbol})
    need = qty_for_money(max(-(-wanted * 1_000_000 // _freed_ppm(book, rate_ppm)), to_sell), price)
    need = min(free, -(-need // QTY_PER_SHARE) * QTY_PER_SHARE)
    place_forced(draft, symbol, need, world, profiles, FORCED_PREFIX)
    return need * price // 10_000_000


def _close_contracts(draft: Draft, closing: Closing, wanted: int, world: World, profiles: Profiles) -> int:
    """Close as many units as are needed, all legs in one order; what that frees."""
    freed = _freed_ppm(draft.book, closing.freed_money)
    count = min(closing.count, max(1, -(-wanted // freed)))
    _cancel_on(draft, {symbol for symbol, _ in closing.moves})
    place_forced_unit(draft, closing.moves, count, world, profiles, FORCED_PREFIX, closing.structure_no)
    return count * freed


def _cancel_on(draft: Draft, symbols: set[str], reason: str = "margin_call") -> None:
    for order_no in sorted(draft.book.orders, reverse=True):
        terms = draft.book.orders[order_no].terms
        if concerns(terms, symbols) and not by_house(terms, FORCED_PREFIX):
            draft.emit(e.OrderCanceled(order_no, reason))


def _candidates(book: Book, world: World) -> list[tuple[str, int, int]]:
    """Positions whose sale raises the excess: symbol, part of each dollar that it frees (ppm), and price."""
    profile = profile_of(book.margin_profile, book.type)
    found = []
    for symbol, position in book.positions.items():
        instrument = world.instruments.by_symbol.get(symbol)
        mark = world.mark(symbol)
        if instrument is None or instrument.asset_class != "us_equity" or not mark:
            continue
        value = mark * position.qty // 10_000_000
        freed = value
        if book.type == "margin":
            need = position_requirement(profile, position, value, instrument, mark).maintenance_money
            freed = need - max(0, -value)
        price = market_price(symbol, world, buying=position.qty < 0) or mark
        cost = abs(position.qty) * price // 10_000_000
        if freed > 0 and cost > 0:
            found.append((-freed * 1_000_000 // cost, symbol, price))
    return [(symbol, -rate, price) for rate, symbol, price in sorted(found)]
