"""What an order may not do beside the account's other orders, and when auctions take orders.

Invariants: an account never holds open orders that could trade with each other, except through groups and trailing
stops; it never opens long and short in one symbol at once. Rule source: alpaca-api §2.3, §2.5, §2.7, §2.12.
"""

from __future__ import annotations

from actors.book.events import OrderAccepted
from actors.book.rules.admission.parse import Parsed
from actors.book.rules.matrix import CLASSES
from actors.book.rules.reasons import Refusal, refuse
from actors.book.rules.trailing import trails
from actors.book.state.book import Book, Order
from actors.book.state.fold_orders import closes
from actors.book.units import NS_PER_SECOND, PRICE_PER_DOLLAR, format_price
from actors.market.messages import Session
from actors.market.world import World

_MINUTE = 60 * NS_PER_SECOND
OPG_CUTOFF_NS = 2 * _MINUTE
"""Before the open: 09:28 New York."""
CLS_CUTOFF_NS = 10 * _MINUTE
"""Before the close: 15:50 New York on a full day."""
_EVENING_NS = 570 * _MINUTE
"""From the open (09:30) to 19:00 New York of the same day."""
_OPENS, _EVENING = 9 * 60 + 30, 19 * 60
"""Minutes of New York's day: the open, and when auctions of the next one take orders."""
_CENT_PRICE = PRICE_PER_DOLLAR // 100


def auction_at(time_in_force: str, session: Session, now: int) -> int:
    """When the auction that an order sent now can take part in is held; 0 while none takes orders."""
    opening = time_in_force == "opg"
    cutoff = OPG_CUTOFF_NS if opening else CLS_CUTOFF_NS
    today, following = session.opening_auctions if opening else session.closing_auctions
    if now < today - cutoff:
        return today
    # Where there is no evening between two sessions, the next auction takes orders when the last one is over.
    reopens_at = today if session.never_closes else session.core_opens_at + _EVENING_NS
    return following if now >= reopens_at else 0


def window_refusal(time_in_force: str, world: World) -> Refusal | None:
    """Why an order for an auction comes at the wrong hour."""
    session = world.session
    if session is None or auction_at(time_in_force, session, world.now):
        return None
    opening = time_in_force == "opg"
    at = _OPENS
    if not opening:
        at += (session.core_closes_at - session.opening_auctions[0]) // _MINUTE
    after = at if session.never_closes else _EVENING
    at -= (OPG_CUTOFF_NS if opening else CLS_CUTOFF_NS) // _MINUTE
    return refuse(f"{time_in_force}_window", "time_in_force", after=_clock(after), before=_clock(at))


def _clock(minute: int) -> str:
    """A minute of New York's day as Alpaca writes it."""
    hour, rest = divmod(minute, 60)
    return f"{(hour + 11) % 12 + 1}:{rest:02d}{'pm' if hour >= 12 else 'am'}"


def opens(book: Book, order: Parsed) -> bool:
    """Whether an order of this side opens or adds to a position."""
    position = book.positions.get(order.instrument.symbol)
    return position is None or (position.qty > 0) == (order.side == "buy")


def group_refusal(book: Book, order: Parsed, base_price: int) -> Refusal | None:
    """Why a bracket, OCO or OTO does not fit the position or the market; ``base_price`` 0 is not looked at."""
    rule = CLASSES[order.order_class]
    if opens(book, order) != rule.opens:
        reason = "not_an_entry" if rule.opens else "not_an_exit"
        return refuse(reason, "order_class", order_class=order.order_class)
    if not rule.opens or not base_price:
        return None
    exits, above = order.exits, order.side == "buy"
    base = format_price(base_price)
    if exits.take_profit and (
        exits.take_profit < base_price + _CENT_PRICE if above else exits.take_profit > base_price - _CENT_PRICE
    ):
        return refuse(
            "take_profit_not_beyond", "take_profit.limit_price", base_price=base,
            relation=">=" if above else "<=", step="+ 0.01" if above else "- 0.01",
        )  # fmt: skip
    if exits.stop_loss and (
        exits.stop_loss > base_price - _CENT_PRICE if above else exits.stop_loss < base_price + _CENT_PRICE
    ):
        return refuse(
            "stop_loss_not_beyond", "stop_loss.stop_price", base_price=base,
            relation="<=" if above else ">=", step="- 0.01" if above else "+ 0.01",
        )  # fmt: skip
    return None


def conflict(book: Book, order: Parsed, intent: str, but_not: int = 0) -> Refusal | None:
    """The open order of the other side that stands in the way; ``but_not`` is one that the order replaces."""
    buying = order.side == "buy"
    symbol = order.instrument.symbol
    if ("-" if buying else "+") + symbol not in book.open_sides:
        return None
    exempt = bool(order.order_class) or order.trail_price > 0 or order.trail_ppm > 0
    opening = intent.endswith("_to_open")
    for order_no in sorted(book.orders):
        other = book.orders[order_no]
        terms = other.terms
        if order_no == but_not:
            continue
        if terms.legs and (refused := _beside_unit(terms, symbol, buying, opening)) is not None:
            return refused
        if terms.symbol != symbol or (terms.side == "buy") == buying:
            continue
        if opening and terms.position_intent.endswith("_to_open"):
            return named("buy_while_shorting" if buying else "short_while_buying", terms)
        if order.notional and opening and terms.position_intent.endswith("_to_close"):
            return named("notional_while_closing", terms)
        if not exempt and not terms.group_no and not terms.waits_for and not trails(terms):
            kind = _crossing(order, other)
            if kind:
                return named("wash_trade", terms, reject_reason=f"opposite side {kind} order exists")
    return None


def _beside_unit(terms: OrderAccepted, symbol: str, buying: bool, opening: bool) -> Refusal | None:
    """How an open unit stands in the way of an order in one of its legs: the leg may trade at any price."""
    for leg in terms.legs:
        if leg.symbol == symbol and (leg.side == "buy") != buying:
            if opening and leg.position_intent.endswith("_to_open"):
                return named("buy_while_shorting" if buying else "short_while_buying", terms)
            return named("wash_trade", terms, reject_reason="opposite side market/stop order exists")
    return None


def _crossing(order: Parsed, other: Order) -> str:
    """Whether the two could trade with each other: the kind of the order that exists, or nothing."""
    if other.terms.type in ("market", "stop"):
        return "market/stop"
    if order.type in ("market", "stop"):
        return "limit"
    buy, sell = order.limit_price, other.terms.limit_price
    if order.side == "sell":
        buy, sell = sell, buy
    return "limit" if buy >= sell else ""


def named(reason: str, terms: OrderAccepted, **more: str) -> Refusal:
    """A refusal that names the order which stands in the way."""
    return refuse(reason, "side", existing_order_id=terms.order_id, **more)


def related_orders(book: Book, refusal: Refusal) -> Refusal:
    """A refusal that, for want of quantity, names the orders which hold it, comma-separated."""
    if refusal.reason != "insufficient_qty":
        return refusal
    symbol = refusal.numbers["symbol"]
    names = [
        order.terms.order_id
        for _, order in sorted(book.orders.items())
        if order.reserved_qty and any(held == symbol for held, _ in closes(order.terms))
    ]
    if not names:
        return refusal
    return Refusal(refusal.reason, refusal.field, {**refusal.numbers, "related_orders": ",".join(names[:20])})
