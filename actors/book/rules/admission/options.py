"""May this account have this order in contracts now: dates, level, cover and what it does to buying power.

Invariants: an order is judged as the book with it filled, beside the account's open option orders; what only closes
is never refused for level or margin and reserves the contracts it closes. Money is reserved as buying power used:
what the order takes of the account's own free equity, times the account's multiplier. Rule sources:
margin-and-options §4, §5.4, alpaca-api §2.13.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from actors.book.events import OrderAccepted
from actors.book.instruments import CONTRACT_SHARES, Instrument
from actors.book.osi import is_option_symbol
from actors.book.rules.admission.risks import free_to_cover_qty, needs_cover, uncovers
from actors.book.rules.margin.holdings import holdings_of, option_position, underlying_of
from actors.book.rules.margin.legs import Underlying
from actors.book.rules.margin.orders import (
    UNCOVERED_LEVEL,
    Change,
    apply,
    covers_itself,
    level_needed,
    needed_alone,
    reservation,
    secured_need,
    strikes_kept,
)
from actors.book.rules.margin.pairing import SMALL
from actors.book.rules.margin.profiles import profile_of
from actors.book.rules.margin.requirement import Holdings
from actors.book.rules.money.fees import ceil_cents, fees_of
from actors.book.rules.reasons import Refusal, refuse
from actors.book.state.book import Book
from actors.book.units import NS_PER_SECOND, QTY_PER_SHARE, format_money, format_qty, value_money
from actors.book.view import Figures, available_qty, figures, payable_money, standing, trade_date
from actors.market.world import World

CUTOFF_NS = 30 * 60 * NS_PER_SECOND
"""So long before the close of its last day a contract can no longer be opened under ``closeout`` (§5.4)."""
_SPREAD_LEVEL = 3


class OptionLeg(Struct, frozen=True, gc=False):
    """One contract of an order: what is bought or sold, at the price at which it is checked."""

    instrument: Instrument
    buying: bool
    qty: int
    """Quantity units, positive."""
    price: int
    intent: str


def unknown_symbol(symbol: str, field: str = "symbol") -> Refusal:
    """The refusal of a name that nothing has."""
    reason = "contract_unknown" if is_option_symbol(symbol.upper()) else "asset_not_found"
    return refuse(reason, field, symbol=symbol[:24])


def intent_of(book: Book, symbol: str, buying: bool) -> str:
    """What an order of this side does to the position."""
    position = book.positions.get(symbol)
    held = position.qty if position is not None else 0
    if buying:
        return "buy_to_close" if held < 0 else "buy_to_open"
    return "sell_to_close" if held > 0 else "sell_to_open"


def date_refusal(book: Book, instrument: Instrument, intent: str, world: World) -> Refusal | None:
    """Why a contract cannot be traded, or not opened any more, today (§5.4)."""
    today = trade_date(world)
    day = instrument.expiry_date
    if day > today:
        return None
    expiry = f"{day // 10_000:04d}-{day // 100 % 100:02d}-{day % 100:02d}"
    session = world.session
    closed = session is not None and day == today and world.now >= session.core_closes_at
    if day < today or (closed and not instrument.trades_late):
        return refuse("contract_expired", "symbol", symbol=instrument.symbol, expiry=expiry)
    late = session is not None and world.now >= session.core_closes_at - CUTOFF_NS
    if late and intent.endswith("_to_open") and book.profile in world.closeouts:
        return refuse("expiry_day_cutoff", "symbol", symbol=instrument.symbol, expiry=expiry)
    return None


def fees_money(book: Book, legs: Iterable[OptionLeg], world: World) -> int:
    """What the fees of an order will come to at most (§4.6)."""
    today = trade_date(world)
    if not today or world.days is None or book.profile in world.without_fees:
        return 0
    return ceil_cents(
        sum(fee.pico for leg in legs for fee in fees_of(leg.instrument, leg.buying, leg.qty, leg.price, today))
    )


def change_of(legs: Sequence[OptionLeg], cash_money: int, world: World) -> Change | Refusal:
    """The legs as if they were filled, with their cash."""
    options, stock = [], []
    under: dict[str, Underlying] = {}
    for leg in legs:
        signed = leg.qty if leg.buying else -leg.qty
        instrument = leg.instrument
        symbol = instrument.symbol
        if instrument.asset_class != "us_option":
            stock.append((symbol, signed))
        else:
            option = option_position(instrument, signed // QTY_PER_SHARE, world.mark(symbol) or leg.price)
            if option is None:
                return refuse("options_not_served", "symbol", symbol=symbol)
            options.append(option)
            symbol = instrument.underlying
        if symbol not in under:
            found = underlying_of(symbol, world)
            if found is None:
                return refuse("no_market_price", "symbol", symbol=symbol)
            under[symbol] = found
    return Change(cash_money, tuple(options), tuple(stock), tuple(under.values()))


def legs_of(terms: OrderAccepted, leaves_qty: int, world: World) -> list[OptionLeg]:
    """What an option order does when so much of it is filled."""
    if terms.legs:
        return [
            OptionLeg(
                world.instruments.by_symbol[leg.symbol], leg.side == "buy", leaves_qty * leg.ratio,
                world.mark(leg.symbol), leg.position_intent,
            )
            for leg in terms.legs
        ]  # fmt: skip
    instrument = world.instruments.by_symbol[terms.symbol]
    buying = terms.side == "buy"
    return [OptionLeg(instrument, buying, leaves_qty, terms.check_price, terms.position_intent)]


def open_changes(book: Book, world: World, but_not: int = 0) -> list[Change]:
    """Every open option order as if it were filled."""
    if not any(is_option_symbol(key[1:]) for key in book.open_sides):
        return []
    changes = []
    for no in sorted(book.orders):
        order = book.orders[no]
        optional = order.terms.legs or is_option_symbol(order.terms.symbol)
        if no == but_not or not optional or not order.leaves_qty:
            continue
        legs = legs_of(order.terms, order.leaves_qty, world)
        found = change_of(legs, cash_of(order.terms, order.leaves_qty, legs), world)
        if isinstance(found, Change):
            changes.append(found)
    return changes


def cash_of(terms: OrderAccepted, leaves_qty: int, legs: Sequence[OptionLeg]) -> int:
    """Cash that so much of an order moves at its check price."""
    if terms.legs:
        return -value_money(terms.check_price, leaves_qty, CONTRACT_SHARES)
    return sum(leg_value(leg) for leg in legs)


def leg_value(leg: OptionLeg) -> int:
    value = value_money(leg.price, leg.qty, leg.instrument.multiplier)
    return -value if leg.buying else value


def free_contracts(book: Book, leg: OptionLeg) -> int:
    """Quantity that a closing leg may close."""
    return abs(available_qty(book, leg.instrument.symbol))


def need_money(
    book: Book, legs: Sequence[OptionLeg], cash_money: int, world: World, freed_money: int, but_not: int = 0
) -> int | Refusal:
    """Buying power that an opening order reserves, or why level, cover or money do not allow it."""
    cash_money -= fees_money(book, legs, world)
    change = change_of(legs, cash_money, world)
    if type(change) is Refusal:
        return change
    f, held = standing(book, world, SMALL)
    held = held or holdings_of(book, world, trade_date(world), book.cash - f.accrued_money)
    if held is None:
        return refuse("no_market_price", "symbol", symbol=_underlying(legs))
    others = open_changes(book, world, but_not)
    with_others = held
    for other in others:
        with_others = apply(with_others, Change(0, other.options, other.stock, other.underlyings))
    if (refused := _level_refusal(book, held, with_others, change, legs, world, but_not)) is not None:
        return refused
    profile = profile_of(book.margin_profile, book.type)
    at_strikes = secured_need(world.requirements, profile, book.options_level, held, others, change)
    if not at_strikes and not f.exact and all(leg.intent != "sell_to_close" for leg in legs):
        # What it opens asks alone never less than it adds, and what it buys back adds nothing: no search is needed.
        opened = change_of([leg for leg in legs if leg.intent.endswith("_to_open")], cash_money, world)
        assert isinstance(opened, Change)
        needed = needed_alone(world.requirements, profile, book.options_level, held.as_of_date, opened)
        if needed * f.multiplier <= free_money(book, f, freed_money):
            return needed * f.multiplier
    f = f if f.exact else figures(book, world)
    needed = reservation(world.requirements, profile, book.options_level, held, others, change)
    free = free_money(book, f, freed_money)
    promised = reserved_by_options(book, but_not) if at_strikes else 0
    if needed * f.multiplier > free or at_strikes * f.multiplier > free + promised:
        by_strike = at_strikes > 0 or profile.naked == "strike"
        opens_put = legs[0].intent == "sell_to_open" and legs[0].instrument.right == "put"
        secured = by_strike and opens_put and len(legs) == 1
        # What secures the puts that are held is neither free nor part of what this order needs.
        kept = strikes_kept(world.requirements, profile, book.options_level, held) if at_strikes else 0
        needed = max(needed, at_strikes - promised // f.multiplier - kept)
        return refuse(
            "cash_secured_put" if secured else "options_buying_power", "qty",
            buying_power=format_money(max(0, free // f.multiplier - kept)), cost_basis=format_money(needed),
        )  # fmt: skip
    return needed * f.multiplier


def free_money(book: Book, f: Figures, freed_money: int) -> int:
    """Buying power that an option order may use: the account's own free money, times its multiplier."""
    margin = book.type == "margin"
    own = f.available_money - payable_money(book) if margin else f.buying_power_money + book.reserved_money
    return max(0, min(f.buying_power_money + freed_money, own * f.multiplier - book.reserved_money + freed_money))


def reserved_by_options(book: Book, but_not: int) -> int:
    """Buying power that open option orders hold."""
    return sum(
        order.reserved_money
        for no, order in book.orders.items()
        if no != but_not and (order.terms.legs or is_option_symbol(order.terms.symbol))
    )


def _underlying(legs: Sequence[OptionLeg]) -> str:
    return legs[0].instrument.underlying or legs[0].instrument.symbol


def _level_refusal(
    book: Book,
    held: Holdings,
    with_others: Holdings,
    change: Change,
    legs: Sequence[OptionLeg],
    world: World,
    but_not: int,
) -> Refusal | None:
    """Why the option level does not allow an order; judged beside the account's open orders (§4.7).

    Whichever of those fill: what is only on order covers nothing yet.
    """
    if (
        book.options_level >= _SPREAD_LEVEL
        and covers_itself(held, change)
        and (with_others is held or covers_itself(with_others, change))
    ):
        return None
    needed = level_needed(held, change)
    if with_others is not held:
        needed = max(needed, level_needed(with_others, change))
    if needed < UNCOVERED_LEVEL and needs_cover(book) and uncovers(book, change, world, but_not):
        needed = UNCOVERED_LEVEL
    if needed and not book.options_level:
        return refuse("options_not_authorized")
    covered_only = book.type == "cash" or book.options_level < _SPREAD_LEVEL
    if needed == UNCOVERED_LEVEL and covered_only and len(legs) == 1:
        stock = _underlying(legs)
        free = free_to_cover_qty(book, stock, world, but_not)
        required = legs[0].qty * legs[0].instrument.multiplier
        return refuse("covered_call_shares", "qty", required=format_qty(required), available=format_qty(free))
    if needed == UNCOVERED_LEVEL and (
        book.type == "cash"
        or (
            book.options_level >= _SPREAD_LEVEL
            and (book.options_level < needed or not profile_of(book.margin_profile, book.type).uncovered_allowed)
        )
    ):
        return refuse("uncovered_short", "position_intent")
    if needed <= book.options_level:
        return None
    return refuse("option_level", "", needed=str(needed), level=str(book.options_level))
