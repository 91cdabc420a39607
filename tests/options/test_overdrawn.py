"""A cash account that a settlement overdrew: its call, its interest and the selling that covers it (§5.8, ADR 19)."""

from __future__ import annotations

from msgspec import structs

from actors.book import events as e
from actors.commands import Deposit, PlaceOrder
from tests.money.rig import DOLLAR, when
from tests.options.rig import contract
from tests.options.stage import CALL, HIGH, PUT, STOCK, Stage
from tests.options.test_expiry_day import ended


def test_an_overdrawn_cash_account_is_called_and_sold_down_to_cover() -> None:
    stage = ended(106, (CALL, 1), cash=1_000, kind="cash")
    call = stage.book(1).money.call
    assert (call.state, call.reason, call.due_at) == ("call", "overdrawn", when("2026-12-21 09:30"))
    (opened,) = stage.events(1, e.MarginChanged)
    assert opened.excess_money == -9_200 * DOLLAR
    # The strike settles on Monday: no interest for the weekend.
    stage.go("2026-12-19 10:00")
    assert stage.book(1).money.margin_interest == 0
    stage.go("2026-12-21 09:29")
    assert stage.held(1) == {"XYZ": 100}
    stage.go("2026-12-21 09:31")
    stage.quote("XYZ", 106, 106)
    stage.go("2026-12-21 09:32")
    # At the last price, 105, that the order was made at, 9,200 dollars are 87.6 shares.
    assert stage.held(1) == {"XYZ": 12}
    assert stage.cash(1) == 88 * 106 - 9_200
    assert [m.state for m in stage.events(1, e.MarginChanged)] == ["call", "liquidating", "ok"]


def test_an_overdrawn_cash_account_owes_interest_until_a_deposit_meets_its_call() -> None:
    stage = ended(106, (CALL, 1), cash=1_000, kind="cash")
    opening = PlaceOrder(symbol="XYZ", qty="1", side="buy", type="market", time_in_force="day")
    assert stage.do(1, opening).reason == "margin_call"
    stage.do(1, Deposit(amount="5000"))
    assert stage.book(1).money.call.state == "call"
    stage.do(1, Deposit(amount="4200"))
    assert stage.book(1).money.call.state == "ok"
    stage.go("2026-12-22 10:00")
    assert stage.held(1) == {"XYZ": 100}
    assert stage.book(1).money.margin_interest == 0
    late = ended(106, (CALL, 1), cash=1_000, kind="cash")
    late.go("2026-12-22 09:00")
    # One night of the settled debit at 6.25 % a year of 360 days; nothing is quoted, so nothing is sold.
    assert late.book(1).money.margin_interest == round(9_200 * DOLLAR * 0.0625 / 360)


def test_contracts_of_an_overdrawn_cash_account_are_sold_for_what_they_bring() -> None:
    far = structs.replace(contract(110), symbol="XYZ270115C00110000", expiry_date=20270115)
    stage = Stage(instruments=(CALL, PUT, HIGH, STOCK, far))
    stage.account(1_000, (CALL, 1), (far, 3), kind="cash")
    stage.go("2026-12-18 16:01")
    stage.auction("XYZ", 106)
    stage.go("2026-12-21 09:31")
    stage.quote(far.symbol, 50, 50.05)
    stage.quote("XYZ", 106, 106)
    stage.go("2026-12-21 09:33")
    assert stage.cash(1) >= 0
    assert stage.book(1).money.call.state == "ok"
    assert not stage.book(1).quarantined
