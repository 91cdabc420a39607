"""What a user reads of an order that waits or has ended names the numbers it is about."""

from __future__ import annotations

import pytest

from actors.market.messages import FeedState, Trade
from mbtd.records.orders import OrderRecord, accepted_record, follow
from mbtd.service.why import why_ended, why_live
from tests.money.rig import SECOND, Bench
from tests.structures.rig import BY_WORD, Floor


def waiting(bench: Bench, no: int) -> str:
    bench.engine.run_timers_through(bench.now + SECOND)
    book = bench.book(no)
    (order,) = book.orders.values()
    record = accepted_record(order.terms, bench.now)
    return str(why_live(book, order, record, bench.engine.world, bench.engine.profiles)["explanation"])


def last_record(bench: Bench | Floor) -> OrderRecord:
    """The record of the order that was accepted last."""
    record = None
    for step in bench.engine.steps:
        for event in (event for section in step.sections for event in section.events):
            if type(event).__name__ == "OrderAccepted":
                record = accepted_record(event, step.at)
            elif record is not None and getattr(event, "order_no", 0):
                record = follow(record, event, step.at)
    assert record is not None
    return record


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        (
            {"type": "limit", "limit_price": "99.40"},
            (
                "The ask is 100.02 x 10000, 0.62 away from the limit of 99.4.",
                "The best bid is 100 x 10000, 0.6 before it.",
            ),
        ),
        (
            {"type": "limit", "limit_price": "100.00"},
            ("10000 stand before it at the best bid, which shows 10000.", "checked against the market 1 time"),
        ),
        (
            {"type": "stop_limit", "stop_price": "101.00", "limit_price": "101.50"},
            ("it must rise by 0.99 to the stop at 101.", "Its limit of 101.5 counts from then on."),
        ),
    ],
)
def test_a_waiting_order_names_its_distances(terms: dict[str, str], said: tuple[str, ...]) -> None:
    bench = Bench("2026-08-03 10:00")
    bench.quote("AAA", 100.00, 100.02)
    no = bench.account(profile="realistic")
    bench.order(no, "buy", "10", **terms)
    text = waiting(bench, no)
    for part in said:
        assert part in text


@pytest.mark.parametrize("limit", ["99.40", "100.00", "100.01"])
def test_who_sees_the_market_late_learns_nothing_of_it_from_an_order(limit: str) -> None:
    """Two markets in which the order waits for the same reason are explained alike."""

    def explained(ask: float, present: bool) -> object:
        bench = Bench("2026-08-03 10:00")
        bench.quote("AAA", 100.00, ask)
        no = bench.account(profile="realistic")
        bench.order(no, "buy", "10", type="limit", limit_price=limit)
        bench.engine.run_timers_through(bench.now + SECOND)
        book = bench.book(no)
        (order,) = book.orders.values()
        record = accepted_record(order.terms, bench.now)
        return why_live(book, order, record, bench.engine.world, bench.engine.profiles, present=present)

    assert explained(100.02, True) != explained(100.03, True)
    late = explained(100.02, False)
    assert late == explained(100.03, False)
    assert limit.rstrip("0").rstrip(".") in str(late)


def test_an_ended_order_says_what_it_did_and_when() -> None:
    bench = Bench("2026-08-03 10:00")
    bench.quote("AAA", 100.00, 100.02)
    no = bench.account(profile="realistic")
    bench.order(no, "buy", "10", type="limit", limit_price="99.00", time_in_force="ioc")
    bench.engine.run_timers_through(bench.now + SECOND)
    record = last_record(bench)
    text = why_ended(record)["explanation"]
    assert "0 of 10 were filled, with a limit of 99; it ended at 2026-08-03T14:00:00" in text


def test_what_an_ended_order_of_contracts_got_is_told_a_share() -> None:
    floor = Floor()
    floor.mid("C105", 2.60)
    floor.mid("C110", 1.00)
    floor.single("C105", "buy", "2", limit="2.61")
    assert (
        "2 of 2 were filled at 2.61 on average, with a limit of 2.61;" in why_ended(last_record(floor))["explanation"]
    )
    floor.unit("-C105 +C110", "-1.50")
    said = why_ended(last_record(floor))["explanation"]
    assert "1 of 1 was filled at a credit of 1.58 on average, with a limit of a credit of 1.5;" in said


@pytest.mark.parametrize(
    ("at", "terms", "said"),
    [
        (
            "2026-08-03 08:00",
            {"type": "market"},
            "It is the session before the open; the order waits for the core session, which opens at 2026-08-03T13:30:00Z",
        ),
        (
            "2026-08-03 10:00",
            {"type": "trailing_stop", "trail_price": "1.50"},
            "It trails the lowest price so far, 100.01, by 1.5.",
        ),
        (
            "2026-08-03 10:00",
            {"type": "market", "time_in_force": "cls"},
            "That is the closing auction; without a print by 2026-08-03T20:05:00Z it ends.",
        ),
    ],
)
def test_a_waiting_order_names_what_it_waits_for(at: str, terms: dict[str, str], said: str) -> None:
    bench = Bench(at)
    bench.quote("AAA", 100.00, 100.02)
    no = bench.account(profile="realistic")
    bench.order(no, "buy", "10", **terms)
    assert said in waiting(bench, no)


def test_a_quote_of_before_is_not_told_as_one_of_now() -> None:
    bench = Bench("2026-08-03 10:00")
    bench.quote("AAA", 100.00, 100.02)
    no = bench.account(profile="realistic")
    bench.order(no, "buy", "10", type="limit", limit_price="99.40")
    bench.engine.tape(FeedState("down", bench.now, "synthetic", (), "gone"))
    text = waiting(bench, no)
    assert text.startswith("The market data feed is down")
    assert "The last ask was 100.02 x 10000" in text


@pytest.mark.parametrize(("triggered", "said"), [(False, "that was not reached"), (True, "that was elected")])
def test_an_ended_stop_says_whether_it_was_elected(triggered: bool, said: str) -> None:
    bench = Bench("2026-08-03 10:00")
    bench.quote("AAA", 100.00, 100.02)
    no = bench.account(profile="realistic")
    bench.order(no, "buy", "10", type="stop_limit", stop_price="101", limit_price="100.5")
    if triggered:
        bench.quote("AAA", 101.00, 101.02)
        bench.engine.tape(Trade("AAA", 1_010_000, 100, bench.now + SECOND, received_at=bench.now + SECOND))
    bench.go("2026-08-03 16:01")
    assert f"with a stop of 101 {said}" in why_ended(last_record(bench))["explanation"]


def unit_waiting(floor: Floor, words: str, **terms: str) -> str:
    floor.unit(words, **terms)
    (order,) = floor.own.orders.values()
    record = accepted_record(order.terms, floor.now)
    return str(why_live(floor.own, order, record, floor.engine.world, floor.engine.profiles)["explanation"])


def test_a_waiting_unit_names_the_net_of_its_legs_and_its_distance() -> None:
    floor = Floor()
    floor.mid("C105", 2.00)
    floor.mid("C110", 1.00)
    text = unit_waiting(floor, "-C105 +C110", limit="-1.20")
    assert "Its legs together stand at a net of -1.02 to -0.98, 0.22 away from the limit of -1.2." in text


def test_a_leg_that_holds_a_unit_back_is_named_in_a_sentence() -> None:
    floor = Floor()
    floor.quote(BY_WORD["C110"].symbol, 0, 0.03)
    text = unit_waiting(floor, "-C105 +C110")
    assert text.startswith(
        f"The leg {BY_WORD['C110'].symbol} holds the whole unit back. Its quote is so wide that no price of several legs is "
        "taken from it. It is quoted 0 to 0.03. Profile quick takes no quote wider than 50 % of its middle, and this "
        "one is 200 % wide. It waits until the quote is narrower; you can cancel it, take other strikes, or trade in an "
        "account with profile alpaca-parity."
    )


def test_a_leg_that_nobody_buys_says_what_one_can_do() -> None:
    floor = Floor()
    floor.quote(BY_WORD["C110"].symbol, 0, 0.03)
    text = unit_waiting(floor, "+C105 -C110")
    assert (
        "It is quoted 0 to 0.03. It waits until somebody quotes it; you can cancel it or take other strikes." in text
    )


def test_who_sees_the_market_late_learns_no_leg_s_quote() -> None:
    floor = Floor()
    symbol = BY_WORD["C110"].symbol
    floor.quote(symbol, 0, 0.03)
    floor.unit("-C105 +C110")
    (order,) = floor.own.orders.values()
    record = accepted_record(order.terms, floor.now)
    late = why_live(floor.own, order, record, floor.engine.world, floor.engine.profiles, present=False)
    assert "0.03" not in str(late)
    assert "200 %" not in str(late)
    assert f"The leg {symbol} holds" in late["explanation"]
    assert "no quote wider than 50 % of its middle. It waits" in late["explanation"]


def test_a_market_order_at_a_wide_quote_names_the_width_and_the_way_out() -> None:
    floor = Floor()
    floor.quote(BY_WORD["C110"].symbol, 0.01, 0.03)
    floor.single("C110", "buy")
    (order,) = floor.own.orders.values()
    record = accepted_record(order.terms, floor.now)
    said = why_live(floor.own, order, record, floor.engine.world, floor.engine.profiles)["explanation"]
    assert (
        "wider than 50 % of its middle, and this one is 100 % wide. A limit order is not held back by that." in said
    )


def test_quotes_that_ask_for_more_than_the_legs_can_pay_are_not_traded_on() -> None:
    floor = Floor()
    floor.mid("C105", 2.00)
    floor.mid("C110", 9.00)
    text = unit_waiting(floor, "+C105 -C110")
    assert not floor.own.positions
    assert text.startswith("The quotes together ask for more than the legs can ever pay")
