"""Units beside an account's standing and its other orders: day trades, wash trades, a call, what waits for a short sale."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from actors.book import events as e
from actors.book.instruments import Instrument
from actors.book.leg_ids import leg_id_of
from actors.book.outcome import Placed
from actors.book.rules.matching.profiles import Profiles
from actors.book.rules.reasons import Refusal
from actors.commands import CancelAll, CancelOrder, ConfigureAccount, OrderLeg, PlaceOrder, ReplaceOrder
from actors.engine import Engine
from actors.market.messages import Status
from mbtd.market.assets import instrument_of
from mbtd.market.calendar import TradeDays
from tests.money.rig import CALENDAR, QUICK, SECOND, Bench, when
from tests.options_orders.rig import CALLS, PUTS, STOCK, Desk

FAR = tuple(f"AAA261218C00{strike:03d}000" for strike in (90, 95, 105, 110))


def day(cash: str, rules: str) -> tuple[Bench, int]:
    """A market of one stock and four calls on a day of the calendar, and an account under a rule set."""
    bench = Bench("2026-11-23 10:00")
    known = [structs.replace(instrument_of(symbol, CALENDAR), tick_price=100, tick_price_from_3=0) for symbol in FAR]
    stock = Instrument("00000000-0000-8000-a000-00000000000a", "AAA", previous_close=1_000_000)
    bench.engine = Engine(b"r" * 32, Profiles(QUICK), instruments=(stock, *known), days=TradeDays(CALENDAR))
    bench.engine.tape(CALENDAR.session_at(when("2026-11-23 10:00")))
    account = bench.account(cash)
    assert not isinstance(bench.do(account, ConfigureAccount(day_trade_rules=rules, pdt_check="exit")), Refusal)  # type: ignore[arg-type]
    refresh(bench)
    return bench, account


def refresh(bench: Bench) -> None:
    bench.quote("AAA", 100)
    for symbol, dollars in zip(FAR, (11, 7, 2, 1), strict=True):
        bench.quote(symbol, dollars, dollars + 0.05)


def spread(bench: Bench, account: int, opening: bool, low: int = 2) -> Any:
    """Buy or sell the spread of two calls at the market."""
    sides = ("buy", "sell") if opening else ("sell", "buy")
    legs = tuple(
        OrderLeg(symbol=symbol, ratio_qty="1", side=side)
        for symbol, side in zip(FAR[low : low + 2], sides, strict=True)
    )
    outcome = bench.do(account, PlaceOrder(qty="1", type="market", order_class="mleg", legs=legs))
    bench.now += SECOND
    bench.engine.run_timers_through(bench.now)
    refresh(bench)
    return outcome


def test_a_unit_opened_and_closed_on_one_day_is_one_day_trade() -> None:
    bench, account = day("30000", "finra_pdt_2001")
    for number in range(3):
        for opening in (True, False):
            assert isinstance(spread(bench, account, opening), Placed)
        record = bench.book(account).ledger().day_trading
        assert record.day_trades == number + 1
    assert not record.flagged
    assert isinstance(spread(bench, account, True), Placed)
    assert isinstance(spread(bench, account, False), Placed)
    assert bench.book(account).ledger().day_trading.flagged


def test_the_fourth_day_trade_of_a_small_account_is_refused_for_units_too() -> None:
    bench, account = day("10000", "finra_pdt_2001")
    for _ in range(3):
        assert isinstance(spread(bench, account, True), Placed)
        assert isinstance(spread(bench, account, False), Placed)
    assert isinstance(spread(bench, account, True), Placed)
    refused = spread(bench, account, False)
    assert isinstance(refused, Refusal)
    assert refused.reason == "pdt_protection"
    bench.go("2026-11-24 10:00")
    refresh(bench)
    assert isinstance(spread(bench, account, False), Placed), "on another day it is no day trade"


def quoted(**more: Any) -> Desk:
    desk = Desk(**more)
    for instrument, bid in (
        (CALLS[100], 300),
        (CALLS[105], 200),
        (CALLS[110], 100),
        (PUTS[95], 200),
        (PUTS[90], 100),
    ):
        desk.quote(instrument, bid, bid + 10)
    return desk


def why(outcome: Any) -> str:
    return outcome.reason if isinstance(outcome, Refusal) else ""


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        (("+C105 -C110", "0.50"), ("+C105 -C110", "0.55"), ""),
        (("+C105 -C110", "0.50"), ("-C105 +C110", "-1.50"), "short_while_buying"),
        (("+C105 -C110", "0.50"), ("+C110 -C105", "-1.50"), "buy_while_shorting"),
        (("+C105 -C110", "0.50"), ("+P95 -P90", "0.50"), ""),
        (("+C100 -C105", "0.50"), ("+C105 -C110", "0.50"), "buy_while_shorting"),
    ],
)
def test_open_units_stand_in_the_way_of_others_leg_by_leg(
    first: tuple[str, str], second: tuple[str, str], found: str
) -> None:
    desk = quoted()
    assert isinstance(desk.unit(*first), Placed)
    assert why(desk.unit(*second)) == found
    desk.do(CancelAll())
    desk.wait()
    assert why(desk.unit(*second)) == "", "what is cancelled stands in nobody's way"


def test_a_closing_unit_and_an_order_in_its_leg_could_trade_with_each_other() -> None:
    desk = quoted()
    desk.unit("+C105 -C110", "1.10")
    desk.wait()
    assert desk.held(CALLS[105]) == 1
    assert isinstance(desk.unit("-C105 +C110", "-1.50"), Placed)
    refused = desk.place(CALLS[105], "buy", "1.00")
    assert why(refused) == "wash_trade"
    assert refused.numbers["existing_order_id"] == next(iter(desk.book.orders.values())).terms.order_id
    desk.do(CancelAll())
    desk.wait()
    assert isinstance(desk.place(CALLS[105], "buy", "1.00"), Placed)
    assert why(desk.unit("-C105 +C110", "-1.50")) == "wash_trade"


def test_a_leg_alone_is_neither_cancelled_nor_changed() -> None:
    desk = quoted()
    placed = desk.unit("+C105 -C110", "0.50")
    leg = leg_id_of(placed.terms.order_id, 1)
    assert why(desk.do(CancelOrder(order_id=leg))) == "leg_not_cancelable"
    assert why(desk.do(ReplaceOrder(order_id=leg, qty="2"))) == "leg_not_replaceable"
    assert why(desk.do(CancelOrder(order_id=leg_id_of(placed.terms.order_id, 2)))) == "order_not_found"


def test_a_replaced_unit_does_not_stand_in_its_own_way() -> None:
    desk = quoted(cash="3000")
    placed = desk.unit("-C105 +C110", "-1.50", qty="5")
    assert isinstance(placed, Placed)
    desk.wait()
    changed = desk.do(ReplaceOrder(order_id=placed.terms.order_id, qty="6"))
    assert isinstance(changed, Placed), changed


def test_a_short_sale_in_a_unit_waits_while_short_sales_are_restricted() -> None:
    desk = quoted(level=4)
    status = {"symbol": STOCK.symbol, "state": "trading", "short_restricted": True, "at": desk.at}
    desk.engine.tape(Status(**status))
    assert isinstance(desk.unit("-S +C100"), Placed)
    desk.wait()
    (watch,) = desk.book.watch.values()
    assert watch.reason == f"leg:{STOCK.symbol}:ssr"
    desk.engine.tape(Status(**status | {"short_restricted": False, "at": desk.at}))
    desk.quote(CALLS[100], 300, 310)
    assert desk.held(STOCK) == -100


def test_a_short_sale_in_a_unit_obeys_the_rules_of_short_sales() -> None:
    assert why(quoted(kind="cash", level=4).unit("-S +C100")) == "shorting_not_allowed"
    desk = quoted(level=4)
    desk.do(ConfigureAccount(no_shorting=True))
    assert why(desk.unit("-S +C100")) == "shorting_not_allowed"


def test_a_unit_that_the_market_has_passed_trades_at_the_natural_price() -> None:
    """A resting limit above the natural price: no leg leaves its quote, and the trader is not worse off."""
    desk = quoted(profile="alpaca-parity")
    desk.unit("+C105 -C110", "0.95")
    desk.quote(CALLS[105], 160, 170)
    fills = desk.events(e.OrderFilled)
    assert [fill.price for fill in fills] in ([7_000], [])
    desk = quoted()
    desk.unit("+C105 -C110", "0.85")
    desk.quote(CALLS[105], 150, 160)
    desk.wait(3)
    (fill,) = desk.events(e.OrderFilled)
    assert fill.price <= 6_000
    assert all(leg.bid <= leg.price <= leg.ask for leg in desk.events(e.OrderLegFilled))
