"""Faults that were found once: each test is the shortest history that shows the wrong result."""

from __future__ import annotations

from typing import Any

import pytest

from actors.actor import HANDLERS
from actors.book import events as e
from actors.book import meet as meeting
from actors.book.draft import BrokenInvariant, Draft
from actors.book.rules.matching.ledger import follow, used_qty
from actors.book.rules.reasons import Refusal
from actors.book.state.book import Consumed
from actors.book.units import QTY_PER_SHARE
from actors.commands import CancelOrder, Deposit, PlaceOrder, ReplaceOrder
from actors.engine import Placed
from actors.inputs import encode
from actors.market.messages import FeedState, Status
from tests.oracle.rig import (
    DAY,
    HOUR,
    MS,
    SECOND,
    START,
    Do,
    Wait,
    events_of,
    feed,
    open_engine,
    quote,
    session,
    trade,
)

OPEN = START + 6 * HOUR
CASH_BRISK = ("cash", "brisk", "1000")
MARGIN_BRISK = ("margin", "brisk", "100000")
MARGIN_REAL = ("margin", "realistic", "100000")


def order(side: str, qty: str, limit: str | None = None, **more: Any) -> PlaceOrder:
    kind = more.pop("type", "limit" if limit else "market")
    return PlaceOrder(
        symbol=more.pop("symbol", "AAA"), qty=qty, side=side, type=kind, limit_price=limit,
        time_in_force=more.pop("time_in_force", "day"), **more,
    )  # fmt: skip


def core(*accounts: tuple[str, str, str]) -> Any:
    engine = open_engine(accounts)
    feed(engine, session("core", OPEN))
    return engine


def kinds(engine: Any, account_no: int = 1) -> list[str]:
    return [type(event).__name__ for event in events_of(engine, account_no)]


def fills(engine: Any, account_no: int = 1) -> list[e.OrderFilled]:
    return [event for event in events_of(engine, account_no) if isinstance(event, e.OrderFilled)]


def test_a_command_whose_result_breaks_an_invariant_is_not_answered_as_done(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = core(MARGIN_BRISK)

    def broken(draft: Draft) -> None:
        raise BrokenInvariant("planted")

    monkeypatch.setattr(Draft, "check", broken)
    outcome = feed(engine, Do(1, Deposit(amount="5"), OPEN + 1))
    assert isinstance(outcome, Refusal)
    assert outcome.reason == "account_quarantined"
    assert engine.books[1].cash == 100_000_000_000


def test_a_failed_turn_takes_back_what_orders_remember_of_the_tape(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = core(MARGIN_REAL)
    feed(engine, quote("AAA", 1000, 1001, OPEN + 1))
    for no in (1, 2):
        feed(engine, Do(1, order("buy", "1", "10.00", client_order_id=f"c{no}"), OPEN + 2))
    feed(engine, Wait(OPEN + SECOND))
    feed(engine, quote("AAA", 999, 1000, OPEN + 2 * SECOND))
    assert set(engine.books[1].watch) == {1, 2}
    before = encode(engine.books[1].watch)
    plain = meeting.evaluate

    def second_fails(s: Any, profile: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("planted")
        return plain(s, profile)

    calls: list[int] = []
    monkeypatch.setattr(meeting, "evaluate", second_fails)
    feed(engine, quote("AAA", 999, 1000, OPEN + 2 * SECOND + 1, ask_size=50))
    assert engine.books[1].quarantined == "RuntimeError: planted"
    assert encode(engine.books[1].watch) == before


def test_nothing_falls_due_in_a_quarantined_account(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = core(MARGIN_REAL)
    feed(engine, quote("AAA", 1000, 1001, OPEN + 1))
    feed(engine, Do(1, order("buy", "1", "9.00", client_order_id="a"), OPEN + 2))
    feed(engine, Wait(OPEN + SECOND))
    feed(engine, Do(1, CancelOrder(client_order_id="a"), OPEN + SECOND))

    def fails(*_: Any) -> Any:
        raise RuntimeError("planted")

    monkeypatch.setitem(HANDLERS, Deposit, fails)
    feed(engine, Do(1, Deposit(amount="1"), OPEN + SECOND + 1))
    count = len(kinds(engine))
    feed(engine, Wait(OPEN + DAY))
    feed(engine, FeedState("gap", OPEN + DAY))
    assert len(kinds(engine)) == count


def test_a_timer_that_comes_to_nothing_takes_no_number() -> None:
    engine = core(MARGIN_REAL)
    feed(engine, quote("AAA", 999, 1001, OPEN + 1))
    feed(engine, Do(1, order("buy", "1", "10.00"), OPEN + 2))
    feed(engine, Wait(OPEN + SECOND))
    feed(engine, quote("AAA", 999, 1000, OPEN + 2 * SECOND))
    feed(engine, quote("AAA", 999, 1001, OPEN + 2 * SECOND + 1))
    number = engine.input_seq
    feed(engine, Wait(OPEN + 3 * SECOND))
    assert engine.input_seq == number


def test_a_stop_that_waited_for_the_session_no_longer_says_so_once_it_is_armed() -> None:
    engine = open_engine([MARGIN_BRISK])
    feed(engine, session("pre", START + 1))
    feed(engine, Do(1, order("buy", "1", type="stop", stop_price="12.00"), START + 2))
    engine.take_moved()
    feed(engine, session("core", OPEN))
    feed(engine, Wait(OPEN))
    (moved,) = engine.take_moved()
    assert moved.watches == {1: None}


def test_an_elected_stop_limit_that_rested_is_not_a_new_arrival_next_morning() -> None:
    engine = core(MARGIN_BRISK)
    feed(engine, quote("AAA", 1000, 1001, OPEN + 1))
    feed(
        engine,
        Do(1, order("buy", "1", "10.00", type="stop_limit", stop_price="10.05", time_in_force="gtc"), OPEN + 2),
    )
    feed(engine, trade("AAA", 1005, OPEN + 3))
    feed(engine, session("post", OPEN + 6 * HOUR))
    feed(engine, quote("AAA", 989, 990, OPEN + 6 * HOUR + 1))
    feed(engine, session("core", OPEN + DAY, 1))
    feed(engine, Wait(OPEN + DAY + SECOND))
    assert [(fill.price, fill.reason) for fill in fills(engine)] == [(100_000, "far_through")]


def test_a_status_message_is_no_new_quote() -> None:
    engine = core(MARGIN_BRISK)
    feed(engine, quote("AAA", 1000, 1001, OPEN + 1, ask_size=1))
    feed(engine, Do(1, order("buy", "2"), OPEN + 2))
    feed(engine, Status("AAA", "trading", OPEN + 200 * SECOND))
    assert len(fills(engine)) == 1


def test_the_same_quote_again_changes_nothing() -> None:
    engine = core(MARGIN_BRISK)
    message = quote("AAA", 1000, 1001, OPEN + 1, ask_size=1)
    feed(engine, message)
    feed(engine, Do(1, order("buy", "2"), OPEN + 2))
    feed(engine, Wait(OPEN + 200 * SECOND))
    feed(engine, message)
    assert len(fills(engine)) == 1
    feed(engine, FeedState("up", OPEN + 201 * SECOND))
    feed(engine, message)
    assert len(fills(engine)) == 2


def test_the_dwell_starts_again_after_the_feed_was_down() -> None:
    engine = core(MARGIN_REAL)
    feed(engine, quote("AAA", 999, 1001, OPEN + 1))
    feed(engine, Do(1, order("buy", "1", "10.00"), OPEN + 2))
    at = OPEN + SECOND
    feed(engine, quote("AAA", 999, 1000, at))
    feed(engine, FeedState("down", at + 50 * MS))
    feed(engine, FeedState("up", at + 100 * MS))
    feed(engine, quote("AAA", 999, 1000, at + 150 * MS))
    feed(engine, Wait(at + 349 * MS))
    assert not fills(engine)
    feed(engine, Wait(at + 350 * MS))
    assert len(fills(engine)) == 1


def test_a_change_of_phase_starts_the_dwell_again() -> None:
    engine = core(MARGIN_REAL)
    feed(engine, quote("AAA", 999, 1001, OPEN + 1))
    feed(engine, Do(1, order("buy", "1", "10.00"), OPEN + 2))
    at = OPEN + SECOND
    feed(engine, quote("AAA", 999, 1000, at))
    feed(engine, session("closed", at + 50 * MS))
    feed(engine, session("core", at + 100 * MS))
    feed(engine, Wait(at + 299 * MS))
    assert not fills(engine)
    feed(engine, Wait(at + 300 * MS))
    assert len(fills(engine)) == 1


def test_taken_size_that_has_decayed_is_not_halved_again_by_a_smaller_quote() -> None:
    taken = Consumed(100, 100 * QTY_PER_SHARE, 0, 5_000)
    after = follow(taken, 100, 50, 10 * SECOND)
    assert after is not None
    assert used_qty(after, 100, 10 * SECOND, 5_000) == 25 * QTY_PER_SHARE
    assert follow(taken, 100, 20, 10 * SECOND) == Consumed(100, 20 * QTY_PER_SHARE, 10 * SECOND, 5_000)
    assert follow(taken, 101, 50, 10 * SECOND) is None


def test_a_dollar_sale_never_sells_more_than_it_reserved() -> None:
    engine = core(("cash", "realistic", "1000"))
    feed(engine, quote("AAA", 1000, 1000, OPEN + 1))
    feed(engine, Do(1, order("buy", "100"), OPEN + 2))
    feed(engine, Wait(OPEN + SECOND))
    assert engine.books[1].positions["AAA"].qty == 100 * QTY_PER_SHARE
    sale = PlaceOrder(symbol="AAA", notional="1000", side="sell", type="market", time_in_force="day")
    assert isinstance(feed(engine, Do(1, sale, OPEN + SECOND)), Placed)
    feed(engine, quote("AAA", 500, 500, OPEN + SECOND + 1, 1000, 1000))
    feed(engine, Wait(OPEN + 2 * SECOND))
    book = engine.books[1]
    assert not book.positions
    assert not book.held
    assert not book.quarantined


def test_a_slice_dearer_than_its_check_price_leaves_no_other_order_unpaid() -> None:
    engine = core(("cash", "realistic", "1000"))
    feed(engine, quote("AAA", 9900, 10000, OPEN + 1))
    assert isinstance(feed(engine, Do(1, order("buy", "5"), OPEN + 2)), Placed)
    feed(engine, quote("AAA", 11999, 12000, OPEN + 3, ask_size=4))
    assert isinstance(feed(engine, Do(1, order("buy", "5", "100.00"), OPEN + 4)), Placed)
    feed(engine, Wait(OPEN + SECOND))
    feed(engine, quote("AAA", 9899, 9900, OPEN + 2 * SECOND))
    feed(engine, Wait(OPEN + 3 * SECOND))
    book = engine.books[1]
    assert not book.quarantined
    assert book.cash >= book.reserved_money >= 0


def test_fill_or_kill_is_never_filled_in_part_for_want_of_money() -> None:
    engine = core(("cash", "realistic", "1000"))
    feed(engine, quote("AAA", 9999, 10000, OPEN + 1))
    feed(engine, Do(1, order("buy", "10", time_in_force="fok"), OPEN + 2))
    feed(engine, quote("AAA", 11999, 12000, OPEN + 3))
    feed(engine, Wait(OPEN + SECOND))
    assert not fills(engine)
    assert kinds(engine)[-1] == "OrderCanceled"


def test_a_replacement_with_another_time_in_force_ends_by_its_own() -> None:
    engine = core(MARGIN_BRISK)
    feed(engine, quote("AAA", 1000, 1001, OPEN + 1))
    feed(engine, Do(1, order("buy", "1", "9.00", client_order_id="a"), OPEN + 2))
    feed(engine, Do(1, ReplaceOrder(client_order_id="a", time_in_force="gtc"), OPEN + 3))
    feed(engine, Wait(OPEN + DAY))
    assert set(engine.books[1].orders) == {2}
    assert engine.books[1].orders[2].terms.expires_at == START + 90 * DAY


def test_a_stop_elected_meanwhile_is_not_replaced_and_gives_back_what_the_change_needed() -> None:
    engine = core(MARGIN_REAL)
    feed(engine, quote("AAA", 1000, 1001, OPEN + 1))
    feed(
        engine,
        Do(
            1,
            order("buy", "1", "9.00", type="stop_limit", stop_price="10.05", client_order_id="a"),
            OPEN + 2,
        ),
    )
    feed(engine, Wait(OPEN + SECOND))
    feed(engine, Do(1, ReplaceOrder(client_order_id="a", qty="7"), OPEN + SECOND))
    feed(engine, trade("AAA", 1005, OPEN + SECOND + 1))
    feed(engine, Wait(OPEN + 2 * SECOND))
    book = engine.books[1]
    assert book.orders[1].triggered
    assert book.reserved_money == 9_000_000
    assert "OrderReplaceRejected" in kinds(engine)


def test_a_replacement_after_a_fill_reserves_what_its_rest_needs() -> None:
    engine = core(MARGIN_REAL)
    feed(engine, quote("AAA", 1000, 1001, OPEN + 1))
    feed(engine, Do(1, order("buy", "10", "10.00", client_order_id="a"), OPEN + 2))
    feed(engine, Wait(OPEN + SECOND))
    feed(engine, quote("AAA", 999, 1000, OPEN + SECOND, ask_size=5))
    feed(engine, Wait(OPEN + SECOND + 199 * MS))
    feed(engine, Do(1, ReplaceOrder(client_order_id="a", limit_price="5.00"), OPEN + SECOND + 199 * MS))
    feed(engine, Wait(OPEN + 2 * SECOND))
    book = engine.books[1]
    assert book.orders[2].filled_qty == 5 * QTY_PER_SHARE
    assert book.reserved_money == 25_000_000


def test_a_client_id_promised_to_a_replacement_is_taken() -> None:
    engine = core(MARGIN_REAL)
    feed(engine, quote("AAA", 1000, 1001, OPEN + 1))
    feed(engine, Do(1, order("buy", "1", "9.00"), OPEN + 2))
    feed(engine, Wait(OPEN + SECOND))
    feed(engine, Do(1, ReplaceOrder(client_order_id="x", qty="2"), OPEN + SECOND, 1))
    outcome = feed(engine, Do(1, order("buy", "5", "8.00", client_order_id="x"), OPEN + SECOND + 1))
    assert isinstance(outcome, Refusal)
    assert outcome.reason == "client_order_id_not_unique"


def test_the_client_id_of_a_live_order_is_taken_however_old_it_is() -> None:
    engine = core(MARGIN_BRISK)
    feed(engine, quote("AAA", 1000, 1001, OPEN + 1))
    feed(engine, Do(1, order("buy", "1", "9.00", time_in_force="gtc", client_order_id="x"), OPEN + 2))
    feed(engine, Do(1, order("buy", "1", "9.00", time_in_force="gtc"), OPEN + 40 * DAY))
    outcome = feed(engine, Do(1, order("buy", "5", "8.00", client_order_id="x"), OPEN + 40 * DAY + 1))
    assert isinstance(outcome, Refusal)
    assert outcome.reason == "client_order_id_not_unique"


def test_an_order_that_ends_for_want_of_money_answers_its_pending_replace() -> None:
    engine = core(("cash", "realistic", "1000"))
    feed(engine, quote("AAA", 9999, 10000, OPEN + 1, ask_size=2))
    feed(engine, Do(1, order("buy", "10", client_order_id="a"), OPEN + 2))
    feed(engine, Wait(OPEN + SECOND))
    feed(engine, Do(1, ReplaceOrder(client_order_id="a", qty="9"), OPEN + SECOND))
    feed(engine, quote("AAA", 10399, 10400, OPEN + SECOND + 1, ask_size=20))
    feed(engine, Wait(OPEN + SECOND + 50 * MS))
    assert kinds(engine)[-2:] == ["OrderCanceled", "OrderReplaceRejected"]


def test_a_price_too_large_for_the_book_is_refused() -> None:
    engine = core(MARGIN_BRISK)
    feed(engine, quote("AAA", 1000, 1001, OPEN + 1))
    feed(engine, Do(1, order("sell", "1"), OPEN + 2))
    outcome = feed(engine, Do(1, order("buy", "1", type="stop", stop_price="900000000000000.00"), OPEN + 3))
    assert isinstance(outcome, Refusal)
    assert outcome.reason == "number_too_large"


def test_a_refused_second_change_leaves_the_first_under_way() -> None:
    engine = core(MARGIN_REAL)
    feed(engine, quote("AAA", 1000, 1001, OPEN + 1))
    feed(engine, Do(1, order("buy", "1", "9.00", client_order_id="a"), OPEN + 2))
    feed(engine, Wait(OPEN + SECOND))
    feed(engine, Do(1, ReplaceOrder(client_order_id="a", qty="2"), OPEN + SECOND))
    assert isinstance(feed(engine, Do(1, ReplaceOrder(client_order_id="a", qty="3"), OPEN + SECOND + 1)), Refusal)
    feed(engine, Wait(OPEN + 2 * SECOND))
    assert set(engine.books[1].orders) == {2}
    assert engine.books[1].reserved_money == 18_000_000


def test_after_a_halt_the_quote_from_before_it_fills_nothing() -> None:
    engine = core(MARGIN_BRISK)
    feed(engine, quote("AAA", 1000, 1001, OPEN + 1))
    feed(engine, Status("AAA", "halted", OPEN + 2))
    feed(engine, Do(1, order("buy", "1"), OPEN + 3))
    feed(engine, Status("AAA", "trading", OPEN + SECOND))
    assert not fills(engine)
    feed(engine, quote("AAA", 1010, 1011, OPEN + SECOND + 1))
    assert [fill.evidence.ask for fill in fills(engine)] == [101_100]
