"""What a corporate action does to one account, and what it pays later: worked out into plans.

Invariants: the account's holdings of before the instant alone decide; prices that the terms do not name are the
market's, and are kept with the action so that a revision takes the same. Rule source: corporate-actions-and-market-
rules §4, §6. Known limits: reinvestment is at the latest price of the moment of payment when the action names none;
fractions of short rights are dropped.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Final

from msgspec.structs import replace

from actors.book.actions.due import contracts_of
from actors.book.actions.plan import Plan, lots_of, say
from actors.book.draft import Draft
from actors.book.events import ActionPay, CorporateAction, Lot
from actors.book.instruments import Instrument, named_asset_id
from actors.book.rules.actions.arithmetic import (
    cash_of,
    fraction,
    give_back,
    half_up,
    held,
    new_qty,
    scaled,
    split_off,
)
from actors.book.rules.actions.contracts import Settled, adjust, adjusts_class
from actors.book.rules.actions.exchange import Row, Terms, exchange, words_of
from actors.book.state.book import Book
from actors.book.units import MONEY_PER_CENT, MONEY_PER_DOLLAR, NS_PER_SECOND, PRICE_PER_DOLLAR, QTY_PER_SHARE
from actors.market.actions import post_at
from actors.market.world import World, official_key

_MONEY_PER_PRICE: Final = MONEY_PER_DOLLAR // PRICE_PER_DOLLAR
_OPEN_TO_ROLL_NS: Final = 21 * 1_800 * NS_PER_SECOND
"""From the core session's open to 20:00 New York."""
_UNITS: Final = ("forward_split", "reverse_split", "stock_dividend", "name_change")
"""In which one security goes on in other units."""
_PAYS: Final = ("cash_dividend", "capital_gains_distribution")


def plan_of(
    book: Book, action: CorporateAction, before_at: int, world: World, prices: Iterable[tuple[str, int]] = ()
) -> Plan:
    """Work out an action on everything that is older than its instant, by ``prices`` where it was before."""
    plan = Plan(prices=dict(prices))
    lots = tuple(lot for lot in lots_of(book, action.symbol) if lot.opened_at < before_at)
    if lots:
        if action.type in _PAYS:
            _entitle(plan, action, held(lots), world)
        elif action.type == "rights_distribution":
            _promise_rights(plan, action, held(lots), world)
        else:
            _exchange(book, plan, action, before_at, world)
    for contract in contracts_of(book, action, world):
        _adjust(book, plan, action, contract, before_at, world)
    return plan


def _entitle(plan: Plan, action: CorporateAction, qty: int, world: World) -> None:
    assert world.days is not None
    at = post_at(world.days, action.post_date)
    if action.type == "capital_gains_distribution":
        parts = [("DIVCGL", "", action.cash), ("DIVCGS", "", action.cash_more)]
    elif action.sub_type == "return_of_capital":
        parts = [("DIVROC", "", action.cash)]
    else:
        parts = [("INT", "", action.cash) if action.sub_type == "interest" else ("DIV", "CDIV", action.cash)]
    for kind, sub_type, rate in parts:
        if money := cash_of(qty, fraction(rate)):
            plan.pays.append(
                ActionPay(at, "dividend", kind, sub_type, action.symbol, qty, money, half_up(fraction(rate) * 10**9))
            )


def _promise_rights(plan: Plan, action: CorporateAction, qty: int, world: World) -> None:
    assert world.days is not None
    leg = action.legs[0]
    due = new_qty(qty, fraction(leg.ratio))
    if due < 0:
        due = -(-due // QTY_PER_SHARE * QTY_PER_SHARE)
    if due:
        plan.instruments.update(new_instruments((leg.symbol,), action, world))
        plan.pays.append(ActionPay(post_at(world.days, action.post_date), "rights", "VOF", "", leg.symbol, due))
        if action.expires_on:
            ends_at = world.days.day(action.expires_on).exchange_opens_at + _OPEN_TO_ROLL_NS
            plan.pays.append(ActionPay(ends_at, "expire", "REORG", "WRM", leg.symbol, 0))


def _exchange(book: Book, plan: Plan, action: CorporateAction, before_at: int, world: World) -> None:
    assert world.days is not None

    def fractionable(symbol: str) -> bool:
        known = world.instruments.by_symbol.get(symbol)
        return known is None or known.fractionable

    terms = Terms(
        book.rules().fraction_long, lambda symbol: _price(plan, action, symbol, world), book.next_lot_no, fractionable
    )
    done = exchange(action, lots_of(book, action.symbol), lambda symbol: lots_of(book, symbol), before_at, terms)
    plan.rows += done.rows
    plan.holdings.update(done.holdings)
    plan.provisional = done.provisional
    plan.instruments.update(new_instruments([leg.symbol for leg in action.legs], action, world))
    if done.cash_money:
        kind, sub_type = words_of(action)
        if action.post_date > action.effective_date:
            at = post_at(world.days, action.post_date)
            plan.pays.append(ActionPay(at, "cash", kind, sub_type, action.symbol, 0, done.cash_money))
        else:
            plan.rows.append(Row(kind, sub_type, action.symbol, 0, done.cash_money))
    if not action.keeps_source:
        leg = action.legs[0] if len(action.legs) == 1 else None
        paid = half_up(fraction(action.cash) * MONEY_PER_DOLLAR)
        plan.becomes[action.symbol] = (leg.symbol, fraction(leg.ratio)) if leg is not None else paid


def _price(plan: Plan, action: CorporateAction, symbol: str, world: World) -> int:
    """The last close in new units, as far as anybody knows it; money units a share."""
    close = action.price(symbol).close
    if close and symbol == action.symbol and not action.keeps_source and action.legs:
        return half_up(close / fraction(action.legs[0].ratio))
    official = _official(action, symbol, world)
    if official:
        plan.prices[symbol] = official
    return close or official or _market(plan, symbol, symbol, world)


def _official(action: CorporateAction, symbol: str, world: World) -> int:
    """The last regular close before an action in the units after it, where the house noted it; money units a share.

    Unlike a price of the market it can be asked again for other terms.
    """
    assert world.days is not None
    leg = action.legs[0] if len(action.legs) == 1 and action.type in _UNITS else None
    source, ratio = symbol, Fraction(1)
    if leg is not None and leg.symbol == symbol:
        source, ratio = action.symbol, fraction(leg.ratio)
    before = world.days.day(action.effective_date).previous
    price = world.officials.get(official_key(source, before, "close"), 0)
    return half_up(price * _MONEY_PER_PRICE / ratio) if price else 0


def _market(plan: Plan, key: str, symbol: str, world: World) -> int:
    """The market's price, or what it was when this was worked out first."""
    if not plan.prices.get(key):
        plan.prices[key] = world.mark(symbol) * _MONEY_PER_PRICE
    return plan.prices[key]


def new_instruments(symbols: Iterable[str], action: CorporateAction, world: World) -> dict[str, Instrument]:
    """Records of securities that no source lists; a symbol change keeps the asset."""
    known, out = world.instruments.by_symbol, {}
    source, mark = known.get(action.symbol), world.mark(action.symbol)
    for symbol in symbols:
        if symbol in known:
            continue
        if action.type == "name_change" and source is not None and not action.new_asset:
            out[symbol] = replace(source, symbol=symbol, active=True, tradable=True, previous_close=mark)
        elif action.type == "reverse_split" and source is not None:
            close = half_up(mark / fraction(action.legs[0].ratio))
            out[symbol] = replace(source, symbol=symbol, asset_id=named_asset_id(symbol), previous_close=close)
        else:
            price = action.price(symbol)
            worth = (price.cil or price.alloc) // _MONEY_PER_PRICE
            out[symbol] = Instrument(named_asset_id(symbol), symbol, previous_close=worth)
    return out


def _adjust(
    book: Book, plan: Plan, action: CorporateAction, contract: Instrument, before_at: int, world: World
) -> None:
    found = adjust(action, contract)
    lots = tuple(lot for lot in lots_of(book, contract.symbol) if lot.opened_at < before_at)
    if found is None or not lots:
        # Nobody derived what a class becomes that must change: an operator gives its terms.
        plan.reconcile = plan.reconcile or (bool(lots) and adjusts_class(action) and action.type != "name_change")
        return
    kind, sub_type = words_of(action)
    words = sub_type if kind == "REORG" else f"{kind}.{sub_type}" if sub_type else kind
    qty = held(lots)
    old = plan.holding(book, contract.symbol)
    young = tuple(lot for lot in old.lots if lot.opened_at >= before_at)
    plan.rows.append(Row("OPCA", words, contract.symbol, -qty))
    if isinstance(found, Settled):
        money = found.money * (qty // QTY_PER_SHARE)
        if money:
            plan.rows.append(Row("OPCSH", "", contract.symbol, 0, money))
        old.lots = young
        _, uses = split_off(lots, qty, money)
        old.closed = (*old.closed, *uses)
        old.realized_money += sum(use.proceeds_money - use.basis_money for use in uses)
        plan.becomes[contract.symbol] = found.money
        return
    new = found.instrument
    plan.rows.append(Row("OPCA", words, new.symbol, new_qty(qty, found.contracts)))
    old.lots = young
    target = plan.holding(book, new.symbol)
    target.lots = (*scaled(lots, found.contracts), *target.lots)
    plan.instruments[new.symbol] = new
    plan.instruments.update(new_instruments([leg.symbol for leg in action.legs], action, world))
    plan.becomes[contract.symbol] = (new.symbol, found.contracts)


# ── what it pays later ──────────────────────────────────────────────────────────────────────────────────────


def pay_next(draft: Draft, world: World) -> str:
    """Do the earliest thing that an action still has to do to the account; returns the action's id."""
    book = draft.book
    at = book.action_due
    record = next(each for _, each in sorted(book.actions.items()) if any(pay.at == at for pay in each.pays))
    pay = next(pay for pay in record.pays if pay.at == at)
    plan = Plan(prices=dict(record.prices))
    known = world.actions.by_id.get(record.ca_id)
    if pay.kind == "dividend":
        _pay_dividend(draft, plan, pay, known.action if known is not None else None, world)
    elif pay.kind == "cash":
        plan.rows.append(Row(pay.type, pay.sub_type, pay.symbol, 0, pay.money))
    elif pay.kind == "rights":
        plan.rows.append(Row(pay.type, pay.sub_type, pay.symbol, pay.qty))
        holding = plan.holding(book, pay.symbol)
        holding.lots = (*holding.lots, Lot(book.next_lot_no, pay.qty, 0, at, 0))
    elif (qty := held(lots_of(book, pay.symbol))) != 0:
        # Its instant is the end of its date, at which the next one begins.
        assert world.days is not None
        plan.rows.append(Row(pay.type, pay.sub_type, pay.symbol, -qty, dated=world.days.at(at - 1).trade_date))
        holding = plan.holding(book, pay.symbol)
        holding.lots, holding.closed = split_off(holding.lots, qty, 0)
        holding.realized_money = -sum(use.basis_money for use in holding.closed)
    left = tuple(each for each in record.pays if each is not pay)
    say(draft, replace(record, pays=left), plan, world, belongs_at=at)
    return record.ca_id


def _pay_dividend(draft: Draft, plan: Plan, pay: ActionPay, action: CorporateAction | None, world: World) -> None:
    book = draft.book
    rules = book.rules()
    plan.rows.append(Row(pay.type, pay.sub_type, pay.symbol, 0, pay.money, 0, pay.rate))
    if pay.type == "DIVROC":
        holding = plan.holding(book, pay.symbol)
        lots = lots_of(book, pay.symbol)
        holding.lots, holding.realized_money = give_back(lots, pay.money) if lots else ((), pay.money)
        return
    if pay.money <= 0:
        return
    withheld = half_up(Fraction(pay.money * rules.nra_ppm, 1_000_000 * MONEY_PER_CENT)) * MONEY_PER_CENT
    if withheld:
        plan.rows.append(Row("DIVNRA", "", pay.symbol, 0, -withheld))
    instrument = world.instruments.by_symbol.get(pay.symbol)
    if rules.drip != "on" or pay.type != "DIV" or (instrument is not None and not instrument.fractionable):
        return
    told = action.price(pay.symbol).drip if action is not None else 0
    price = told or _market(plan, f"drip {pay.symbol}", pay.symbol, world)
    net = pay.money - withheld
    holding = plan.holding(book, pay.symbol)
    if price and net > 0 and held(holding.lots) >= 0 and (qty := net * QTY_PER_SHARE // price):
        plan.rows.append(Row("FILL", "DRIP", pay.symbol, qty, -net, price // _MONEY_PER_PRICE))
        holding.lots = (*holding.lots, Lot(book.next_lot_no, qty, net, draft.at, 0))
