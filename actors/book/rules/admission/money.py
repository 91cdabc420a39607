"""Whether an account's money and standing allow an order: buying power, margin, day trades, violations.

Invariants: pure; the account's state as of the decision is all that counts. A restriction concerns orders that
open or add to a position; what reduces one is let through (margin-and-options §4.4), save for the protection from
day trades. Rule sources: margin-and-options §1, §2, §4, rules §8, §12, alpaca-api §2.11, §4.6.
"""

from __future__ import annotations

from actors.book.instruments import Instrument
from actors.book.rules.admission.parse import Parsed
from actors.book.rules.margin.pairing import BOUNDS, SMALL
from actors.book.rules.margin.profiles import profile_of
from actors.book.rules.margin.stock import requirement
from actors.book.rules.money import day_trade_calls, day_trades, intraday
from actors.book.rules.money.fees import ceil_cents, fees_of
from actors.book.rules.reasons import Refusal, refuse
from actors.book.state.book import Book
from actors.book.units import (
    QTY_PER_SHARE,
    divide_half_even,
    format_money,
    format_qty,
    qty_for_money,
    value_money,
)
from actors.book.view import (
    Figures,
    buying_power,
    day_trading_times,
    figures,
    multiplier_of,
    stock_terms,
    trade_date,
)
from actors.market.days import window_start
from actors.market.world import World

_ORDINARY_LONG_PRICE, _ORDINARY_SHORT_PRICE = 60_000, 100_000
"""At these prices and above, plain stock is lent on by halves under every profile."""


def opens(book: Book, order: Parsed) -> bool:
    """Whether the order adds to a position or opens one."""
    position = book.positions.get(order.instrument.symbol)
    return position is None or (position.qty > 0) == (order.side == "buy")


def restriction(book: Book, order: Parsed, world: World) -> Refusal | None:
    """Why the account may not have this order whatever its money; the usual account is through at once."""
    money = book.money
    settings = book.settings
    if money is None and settings is None:
        return None
    opening = opens(book, order)
    overnight = order.extended_hours and world.phase == "overnight"
    if settings is not None and settings.disable_overnight_trading and overnight:
        return refuse("overnight_disabled", "extended_hours")
    if money is None:
        return None
    if opening and money.call.state in ("call", "liquidating"):
        return refuse("margin_call")
    if opening and (money.intraday is not None or money.day_trade_calls):
        frozen = debt_refusal(book, trade_date(world))
        if frozen is not None and _adds_debt(book, order, world):
            return frozen
    if money.day_trading is not None and book.type == "margin":
        return day_trade_refusal(
            book, order.instrument.symbol, order.side == "buy", world, opening, trade_date(world)
        )
    if not opening and money.unpaid and book.rules().unsettled_sales == "refuse":
        return unsettled_sale(book, order.instrument.symbol, trade_date(world))
    return None


def frozen_until(book: Book, today: int) -> Refusal | None:
    """The refusal of what adds debt while an unmet intraday deficit freezes the account."""
    record = book.ledger().intraday
    frozen = intraday.frozen_on(record.deficits, today) if record is not None else None
    return refuse("margin_freeze", until=_date(frozen.last)) if frozen is not None else None


def debt_refusal(book: Book, today: int) -> Refusal | None:
    """The refusal of what adds debt or a short position: a freeze of either rule set (rules §8.1, §8.2)."""
    if book.type == "margin" and day_trading_times(book, today) == 1:
        until = day_trade_calls.cash_only_until(book.ledger().day_trade_calls)
        return refuse("day_trade_call", until=_date(until))
    return frozen_until(book, today)


def _adds_debt(book: Book, order: Parsed, world: World) -> bool:
    """A freeze leaves purchases alone that are paid in cash (rules §8.2)."""
    if order.side == "sell":
        return True
    slot = world.board.slots.get(order.instrument.symbol)
    ask = slot.quote.ask if slot is not None and slot.quote is not None else 0
    price = order.limit_price or order.stop_price or ask or world.mark(order.instrument.symbol)
    cost = order.notional or value_money(price, order.qty, order.instrument.multiplier)
    return not cost or book.cash - book.reserved_money < cost


def _date(day: int) -> str:
    return f"{day // 10_000:04d}-{day // 100 % 100:02d}-{day % 100:02d}"


def unsettled_sale(book: Book, symbol: str, today: int) -> Refusal | None:
    """Why a holding may not be sold yet, where the account refuses what would be a violation."""
    position = book.positions[symbol]
    lots = {lot.lot_no for lot in position.lots}
    paid_on = max((until for lot_no, until, _ in book.ledger().unpaid if lot_no in lots and until > today), default=0)
    return refuse("unsettled_sale", settles_on=_date(paid_on)) if paid_on else None


def day_trade_refusal(
    book: Book, symbol: str, buying: bool, world: World, opening: bool, today: int
) -> Refusal | None:
    """The protection from day trades of the 2001 rules (rules §8.1)."""
    money, settings = book.ledger(), book.rules()
    if world.days is None or day_trades.rule_set(settings.day_trade_rules, today) != day_trades.PDT:
        return None
    record = money.day_trading
    assert record is not None
    if opening and day_trade_calls.closes_only(record, money.last_equity, today):
        return refuse("pdt_closes_only", until=_date(record.closes_only_until))
    pending = f"{'-' if buying else '+'}{symbol}" in book.open_sides
    first = window_start(world.days, today, day_trades.WINDOW_DAYS)
    last_equity = money.last_equity
    reason = day_trades.refusal(
        record, today, first, last_equity, settings.pdt_check,
        day_trades.Probe(symbol, not opening, opening, pending),
    )  # fmt: skip
    if not reason:
        return None
    count, _ = day_trades.counts(day_trades.roll(record, today, first), first)
    return refuse(reason, day_trades=str(count), last_equity=format_money(last_equity))


def fees_money(book: Book, order: Parsed, price: int, value: int, world: World) -> int:
    """What the order's fees will come to at most, rounded up to the cent (margin-and-options §4.6)."""
    if world.days is None or book.profile in world.without_fees:
        return 0
    today = trade_date(world)
    if not today:
        return 0
    qty = order.qty or qty_for_money(value, price)
    pico = sum(fee.pico for fee in fees_of(order.instrument, order.side == "buy", qty, price, today))
    return ceil_cents(pico)


def leverage_weight(book: Book, order: Parsed, price: int, value: int, world: World) -> int:
    """Buying power that opening ``value`` uses: more than that where less is lent on it (§2.1, §2.4)."""
    instrument = order.instrument
    if book.type == "cash" or instrument.asset_class != "us_equity":
        return value
    buying = order.side == "buy"
    ordinary = _ORDINARY_LONG_PRICE if buying else _ORDINARY_SHORT_PRICE
    if instrument.marginable and instrument.leverage == 1 and price >= ordinary:
        return value
    if multiplier_of(book, world, figures(book, world, BOUNDS).equity_money) == 1:
        return value
    profile = profile_of(book.margin_profile, book.type)
    need = requirement(profile, stock_terms(instrument, price), QTY_PER_SHARE if buying else -QTY_PER_SHARE)
    share = value_money(price, QTY_PER_SHARE)
    own = need.initial_money - (0 if buying else share)
    return max(value, divide_half_even(2 * value * own, share)) if share else value


def affordable(
    book: Book, order: Parsed, price: int, value: int, cost: int, world: World, freed_money: int
) -> Refusal | None:
    """Why buying power, the position limit or the intraday margin level does not allow an opening order."""
    if book.money is not None and (refused := _day_trading_power(book, value, world)) is not None:
        return refused
    if book.type == "cash" or not book.positions:
        return _affordable(book, order, price, value, cost, world, freed_money, None)
    f = figures(book, world, SMALL)
    refused = _affordable(book, order, price, value, cost, world, freed_money, f)
    if refused is not None and not f.exact:
        return _affordable(book, order, price, value, cost, world, freed_money, figures(book, world))
    return refused


def _affordable(
    book: Book, order: Parsed, price: int, value: int, cost: int, world: World, freed_money: int, f: Figures | None
) -> Refusal | None:
    free = (f.buying_power_money if f is not None else buying_power(book, world)) + freed_money
    if cost > free:
        return refuse("insufficient_buying_power", "", buying_power=format_money(free), cost_basis=format_money(cost))
    if book.type == "cash" or world.days is None:
        return None
    reserved = book.reserved_money - freed_money
    if f is None:
        if order.side == "buy" and reserved + cost <= book.cash:
            return None
        f = figures(book, world)
    return _leveraged(book, order, price, value, cost + reserved, world, f)


def _leveraged(
    book: Book, order: Parsed, price: int, value: int, used: int, world: World, f: Figures
) -> Refusal | None:
    if f.excess_money >= used:
        # No requirement exceeds the buying power that is used for it, so nothing finer is needed.
        return None
    today = trade_date(world)
    if day_trades.rule_set(book.rules().day_trade_rules, today) != day_trades.INTRADAY:
        return None
    level = f.excess_money - _requirement(book, order, price, value) - _pending_requirement(book, world)
    record = book.ledger().intraday
    deficits = record.deficits if record is not None else ()
    reason = intraday.refusal(deficits, today, book.rules().intraday_mode, False, True, level)
    return refuse(reason, shortfall=format_money(-level)) if reason else None


def _day_trading_power(book: Book, value: int, world: World) -> Refusal | None:
    """What a pattern day trader opens must fit the day-trading buying power (rules §8.1).

    The user may switch the check off, but not while a call for exceeding it stands.
    """
    record = book.ledger().day_trading
    if record is None or not record.flagged:
        return None
    in_call = day_trading_times(book, trade_date(world)) == day_trade_calls.CALL_TIMES
    if not in_call and book.rules().dtbp_check == "exit":
        return None
    f = figures(book, world)
    left = f.day_trading_money - book.reserved_money
    if (f.multiplier < 4 and not in_call) or value <= left:
        return None
    return refuse("day_trading_buying_power", cost_basis=format_money(value), buying_power=format_money(max(0, left)))


def _requirement(book: Book, order: Parsed, price: int, value: int) -> int:
    """What an order takes off the intraday margin level once it is filled at its check price."""
    instrument = order.instrument
    if instrument.asset_class != "us_equity":
        return value
    qty = order.qty or qty_for_money(value, price)
    need = requirement(
        profile_of(book.margin_profile, book.type),
        stock_terms(instrument, price),
        qty if order.side == "buy" else -qty,
    )
    return need.maintenance_money - (value if order.side == "sell" else 0)


def _pending_requirement(book: Book, world: World) -> int:
    """The same for every open order that opens something."""
    profile = profile_of(book.margin_profile, book.type)
    total = 0
    for live in book.orders.values():
        terms = live.terms
        if not live.reserved_money or not terms.check_price:
            continue
        instrument = world.instruments.by_symbol.get(terms.symbol)
        if terms.legs or (instrument is not None and instrument.is_option):
            total += live.reserved_money
            continue
        leaves = live.leaves_qty or qty_for_money(live.reserved_money, terms.check_price)
        buying = terms.side == "buy"
        need = requirement(profile, stock_terms(instrument, terms.check_price), leaves if buying else -leaves)
        total += need.maintenance_money - (0 if buying else value_money(terms.check_price, leaves))
    return total


def borrow_refusal(book: Book, order: Parsed, world: World) -> Refusal | None:
    """Why a stock may not be sold short: nobody lends it, or the shares were called back (rules §12)."""
    return borrow_refusal_of(book, order.instrument, order.qty, world)


def borrow_refusal_of(book: Book, instrument: Instrument, qty: int, world: World) -> Refusal | None:
    """The same for a quantity of a stock."""
    symbol = instrument.symbol
    money = book.ledger()
    if any(recall.symbol == symbol for recall in money.recalls):
        return refuse("borrow_recalled", "symbol", symbol=symbol)
    if instrument.easy_to_borrow:
        return None
    located = sum(locate.qty for locate in money.locates if locate.symbol == symbol and locate.expires_at > world.now)
    if not located:
        return refuse("asset_not_shortable", "symbol", symbol=symbol)
    pending = sum(
        live.leaves_qty * getattr(leg, "ratio", 1)
        for live in book.orders.values()
        for leg in live.terms.legs or (live.terms,)
        if leg.symbol == symbol and leg.position_intent == "sell_to_open"
    )
    if qty > located - pending:
        return refuse("locate_required", "qty", symbol=symbol, located=format_qty(max(0, located - pending)))
    return None
