"""The rules of fm1 that random sessions of stocks do not reach, each at the number that decides."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.book import events as e
from actors.book.explain import elsewhere, reproduces
from actors.book.rules.matching import queue
from actors.book.rules.matching.market_state import delta_ppm
from actors.book.rules.matching.model import reservation_ppm
from actors.book.rules.matching.prints import is_eligible
from actors.book.rules.matching.profiles import BUILT_IN, OPTION, Profiles
from actors.book.rules.matching.words import FILLS
from actors.book.state.book import Place
from actors.book.units import QTY_PER_SHARE
from actors.market.messages import Auction, FeedState, Status, Trade
from tests.matching.stage import CALL, Stage
from tests.matching.test_reasons import SCENES
from tests.oracle.rig import HOUR, MS, SECOND, session
from tests.oracle.scripts import profile

PROFILES = Profiles()


# ── options ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_option_pays_its_profiles_share_of_the_spread_rounded_up_to_its_tick() -> None:
    stage = Stage("realistic")
    stage.quote(100, 140, symbol=CALL.symbol)
    stage.plant(symbol=CALL.symbol, qty=2)
    assert stage.fills() == [(2, 13_500, "take")]
    stage.quote(100, 105, symbol=CALL.symbol)
    stage.plant(symbol=CALL.symbol, qty=2)
    assert stage.fills()[1:] == [(2, 10_500, "take")]
    assert stage.book.positions[CALL.symbol].basis_money == 2 * 135_000_000 + 2 * 105_000_000


def test_an_inside_fill_takes_half_the_smaller_side_each_dwell_and_never_costs_more_than_taking() -> None:
    stage = Stage("realistic", inside_range_1_ppm=0)
    stage.quote(100, 140, symbol=CALL.symbol, sizes=(6, 40))
    stage.plant(symbol=CALL.symbol, limit=135, qty=5)
    stage.wait(499 * MS)
    assert stage.fills() == []
    stage.wait(MS)
    assert stage.fills() == [(3, 13_500, "inside")]
    stage.wait(500 * MS)
    assert stage.fills() == [(3, 13_500, "inside"), (2, 13_500, "inside")]


def test_a_wide_quote_gives_no_inside_fill_but_takes_a_limit() -> None:
    stage = Stage("realistic")
    stage.quote(100, 300, symbol=CALL.symbol)
    stage.plant(symbol=CALL.symbol, limit=295)
    stage.wait(10 * SECOND)
    assert stage.fills() == []
    stage.plant(symbol=CALL.symbol, limit=300)
    assert stage.fills()[0][2] == "take"


def test_an_old_option_quote_is_stale_once_its_stock_has_moved_by_more_than_its_spread_is_worth() -> None:
    stage = Stage("realistic")
    stage.quote(1000, 1002)
    stage.quote(100, 110, symbol=CALL.symbol)
    stage.wait(61 * SECOND)
    first = stage.plant(symbol=CALL.symbol, qty=1)
    assert first not in stage.book.orders
    stage.quote(1030, 1032)
    second = stage.plant(symbol=CALL.symbol, qty=1)
    assert stage.reason(second) == "stale"


def test_the_collar_of_an_option_is_a_quarter_of_its_spread_or_a_dime() -> None:
    stage = Stage("realistic")
    stage.quote(100, 140, symbol=CALL.symbol, sizes=(1, 1))
    order = stage.plant(symbol=CALL.symbol, qty=2)
    assert stage.book.orders[order].collar_price == 15_000
    stage.quote(110, 155, symbol=CALL.symbol)
    assert stage.reason() == "collar"


@given(st.integers(0, 2**64 - 1), st.sampled_from(sorted(BUILT_IN)))
def test_the_reservation_lies_in_its_range_and_never_above_taking(draw: int, name: str) -> None:
    numbers = PROFILES.numbers(name, OPTION)
    found = reservation_ppm(draw, numbers)
    if name == "realistic":
        assert 550_000 <= found <= 850_000
    else:
        assert found == 0


@given(st.booleans(), st.integers(1, 3000), st.integers(1, 3000), st.integers(0, 3000))
def test_a_deltas_proxy_is_between_nothing_and_one_and_a_half_at_the_money(
    call: bool, strike: int, spot: int, value: int
) -> None:
    delta = delta_ppm(call, strike, spot, value)
    assert 0 <= delta <= 1_000_000
    deep = spot > strike if call else spot < strike
    assert delta >= 500_000 if deep else delta <= 500_000


# ── queues and prints ────────────────────────────────────────────────────────────────────────────────────────


def test_the_queue_is_used_up_by_prints_before_the_order_and_what_is_over_is_its_own() -> None:
    stage = Stage()
    stage.quote(1000, 1002, sizes=(300, 300))
    stage.plant(limit=1000, qty=250)
    stage.trade(1000, 200)
    assert stage.book.watch[1].place == Place("joined", 100_000, 100, 300, 200, stage.book.watch[1].place.epoch)
    stage.trade(1002, 500)
    stage.trade(1000, 200)
    assert stage.fills() == [(100, 100_000, "queue")]
    stage.quote(999, 1001)
    assert stage.book.watch[1].place.level == "inside"


def test_half_of_a_cancellation_stood_before_an_order_in_the_middle_of_the_queue() -> None:
    numbers = PROFILES.numbers("realistic")
    place = Place("joined", 100_000, 100, 200, 0)
    assert queue.follow_quote(place, 100_000, 100_000, 150, numbers).ahead_size == 75
    assert queue.follow_quote(place, 100_000, 100_000, 250, numbers).ahead_size == 100
    assert queue.follow_quote(place, 100_000, 100_000, 40, numbers).ahead_size == 20
    careful = PROFILES.numbers("conservative")
    assert queue.follow_quote(place, 100_000, 100_000, 150, careful).ahead_size == 100
    assert queue.enter(100_000, 100_000, 100_000, 101, careful).ahead_size == 152
    assert queue.enter(100_000, 100_000, 100_000, 101, PROFILES.numbers("realistic", OPTION)).ahead_size == 51


@profile(200)
@given(
    st.sampled_from(("realistic", "conservative", "alpaca-parity")),
    st.integers(0, 400),
    st.lists(st.tuples(st.sampled_from(("quote", "print")), st.integers(0, 400)), max_size=12),
    st.integers(0, 400),
)
def test_a_longer_queue_at_the_start_is_never_shorter_later(
    name: str, size: int, walk: list[tuple[str, int]], more: int
) -> None:
    """With the power rule only where nobody cancels: it can leave less before an order that joined a longer queue."""
    numbers = PROFILES.numbers(name)
    if name == "realistic":
        walk = [step for step in walk if step[0] == "print"]

    def ahead(first: int) -> list[int]:
        place = queue.enter(100, 100, 100, first, numbers)
        found = []
        for what, number in walk:
            if what == "quote":
                place = queue.follow_quote(place, 100, 100, number, numbers)
            else:
                place = queue.after_print(place, number)[1]
            assert place.ahead_size >= 0
            found.append(place.ahead_size)
        return found

    assert all(a >= b for a, b in zip(ahead(size + more), ahead(size), strict=True))


def test_one_print_is_not_used_twice_and_the_better_price_comes_first() -> None:
    stage = Stage()
    stage.quote(1000, 1004)
    stage.plant(limit=999, qty=150)
    stage.plant(limit=1001, qty=150)
    stage.trade(998, 200)
    assert stage.fills() == [(150, 100_100, "print_through"), (50, 99_900, "print_through")]
    assert sorted(stage.book.orders) == [1]


def test_on_bars_an_account_has_a_tenth_of_a_print() -> None:
    stage = Stage()
    stage.engine.world.feed = "replay"
    stage.quote(1000, 1004)
    stage.plant(limit=999, qty=150)
    stage.trade(998, 455)
    assert stage.fills() == [(45, 99_900, "print_through")]


def test_a_careful_profile_fills_from_prints_only_when_they_go_through() -> None:
    stage = Stage("conservative")
    stage.quote(1000, 1004, sizes=(10, 10))
    stage.plant(limit=1000)
    stage.trade(1000, 1_000)
    assert stage.fills() == []
    stage.trade(999, 100)
    assert stage.fills() == [(5, 100_000, "print_through")]


@pytest.mark.parametrize(
    ("size", "conditions", "exchange", "option", "good"),
    [
        (100, "", "", False, True),
        (99, "", "", False, False),
        (99, "@", "N", False, True),
        (100, "@I", "N", False, False),
        (100, "@", "D", False, False),
        (100, "@4", "N", False, False),
        (100, "@TI", "N", False, False),
        (100, "@T", "N", False, True),
        (1, "I", "C", True, True),
        (1, "f", "C", True, False),
        (1, "", "", True, True),
    ],
)
def test_which_prints_are_evidence(size: int, conditions: str, exchange: str, option: bool, good: bool) -> None:
    assert is_eligible(Trade("A", 100, size, 1, exchange, conditions), option) is good


@pytest.mark.parametrize(
    ("conditions", "exchange", "elected"),
    [("@I", "N", False), ("@", "D", False), ("@Z", "N", False), ("@", "N", True)],
)
def test_only_eligible_prints_elect_a_stop(conditions: str, exchange: str, elected: bool) -> None:
    stage = Stage()
    stage.quote(1000, 1002)
    stage.plant(stop=1010)
    stage.trade(1010, 100, conditions, exchange)
    assert bool(stage.fills()) is elected


def test_a_careful_exit_is_elected_by_the_bid_and_not_by_a_print() -> None:
    stage = Stage("conservative")
    stage.quote(1000, 1002)
    stage.plant()
    assert stage.fills()
    stage.plant("sell", stop=995, intent="sell_to_close")
    stage.trade(990)
    assert not stage.book.orders[2].triggered
    stage.quote(995, 997)
    assert stage.book.orders[2].triggered


def test_lost_messages_put_an_order_at_the_back_of_the_queue_and_its_fill_says_so() -> None:
    stage = Stage()
    stage.quote(1000, 1002, sizes=(100, 100))
    stage.plant(limit=1000, qty=100)
    stage.trade(1000, 100)
    assert stage.book.watch[1].place.ahead_size == 0
    lost_at = stage.at
    stage.send(FeedState("gap", stage.at))
    stage.quote(1000, 1002, sizes=(500, 100))
    assert stage.book.watch[1].place.ahead_size == 500
    stage.trade(1000, 600)
    (fill,) = stage.events(e.OrderFilled)
    assert fill.evidence.gap_at == lost_at


# ── bands, restricted shorts, halts ──────────────────────────────────────────────────────────────────────────


def test_neither_slices_nor_resting_fills_leave_the_price_band() -> None:
    stage = Stage()
    stage.send(Status("AAA", "trading", stage.at, "", 95_000, 100_300))
    stage.quote(1000, 1002)
    stage.plant(qty=25)
    stage.quote(1001, 1003)
    assert stage.fills()[-1][1:] == (100_300, "take_slice")
    stage.quote(1003, 1005)
    stage.plant(limit=1006)
    stage.quote(1000, 1003, sizes=(100, 100))
    stage.wait(10 * SECOND)
    assert {price for _, price, _ in stage.fills()[2:]} == {100_300}


def test_a_restricted_short_rests_above_the_bid_and_fills_only_there() -> None:
    stage = Stage()
    stage.send(Status("AAA", "trading", stage.at, "", 0, 0, True))
    stage.quote(1000, 1004)
    stage.plant("sell", limit=999)
    stage.plant("sell", intent="sell_to_close")
    assert [fill[2] for fill in stage.fills()] == ["take"]
    stage.trade(1003, 200)
    assert stage.fills()[1:] == [(5, 100_100, "print_through")]
    stage.plant("sell")
    stage.quote(1005, 1008)
    assert stage.book.watch[3].place.price == 100_600
    stage.send(Status("AAA", "trading", stage.at))
    stage.quote(1005, 1009)
    assert stage.fills()[-1][2] in ("take", "take_slice")


def test_after_a_halt_an_order_is_a_new_arrival_behind_the_queue() -> None:
    stage = Stage("realistic")
    stage.quote(1000, 1002, sizes=(100, 100))
    stage.plant(limit=1000)
    stage.send(Status("AAA", "halted", stage.at + SECOND))
    assert stage.reason() == "halted"
    stage.send(Status("AAA", "trading", stage.at + SECOND))
    stage.quote(990, 1000)
    assert stage.fills() == [(5, 99_875, "take")]


# ── collars, all or nothing ──────────────────────────────────────────────────────────────────────────────────


def test_a_market_order_that_met_no_quote_is_collared_by_the_first_one() -> None:
    stage = Stage("realistic")
    stage.plant(qty=15)
    stage.quote(1000, 1002)
    assert stage.fills() == [(10, 100_175, "take")]
    stage.quote(1060, 1062)
    assert stage.reason() == "collar"


def test_an_elected_stop_is_collared_from_the_moment_it_meets_the_market() -> None:
    stage = Stage()
    stage.quote(1000, 1002)
    stage.plant(stop=1010, qty=15)
    stage.trade(1010)
    assert len(stage.fills()) == 1
    stage.quote(1070, 1072)
    assert stage.reason() == "collar"


def test_a_random_part_never_kills_an_order_that_is_all_or_nothing() -> None:
    stage = Stage("alpaca-parity", partial_ppm=1_000_000)
    stage.quote(1000, 1002)
    stage.plant(qty=50, tif="fok")
    assert stage.fills() == [(50, 100_200, "take")]


# ── auctions ─────────────────────────────────────────────────────────────────────────────────────────────────


def auction_stage(name: str, **order: Any) -> Stage:
    stage = Stage(name)
    stage.plant(tif="cls", qty=1_000, **order)
    stage.send(Auction("AAA", "open", 100_000, 50_000, stage.at + SECOND, "N"))
    assert stage.fills() == []
    stage.send(Auction("AAA", "close", 100_000, 50_000, stage.at + SECOND, "N"))
    return stage


def test_an_auction_gives_a_share_of_its_print_at_its_price() -> None:
    assert auction_stage("realistic").fills() == [(500, 100_000, "auction_close")]
    assert auction_stage("conservative").fills() == [(250, 100_100, "auction_close")]
    assert auction_stage("conservative", limit=1000).fills() == [(250, 100_000, "auction_close")]
    beyond = auction_stage("realistic", limit=999)
    assert beyond.fills() == []
    assert not beyond.book.orders


def test_parity_trades_auction_orders_at_the_quote_around_the_bell() -> None:
    stage = Stage("alpaca-parity", partial_ppm=0)
    stage.plant(tif="cls")
    stage.wait(6 * HOUR - SECOND - (stage.at - stage.engine.world.session.core_opens_at))
    stage.quote(1000, 1002, after=MS)
    stage.send(session("post", stage.engine.world.session.core_closes_at))
    stage.wait(MS)
    assert stage.fills() == [(5, 100_200, "take")]
    late = Stage("alpaca-parity")
    late.plant(tif="cls")
    late.send(session("post", late.engine.world.session.core_closes_at))
    late.wait(61 * SECOND)
    assert late.end() == "no_auction_print"


# ── receipts ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_kind_of_fill_comes_out_of_its_record_and_a_changed_record_is_refused() -> None:
    stages: list[Stage] = []
    plain = Stage.__init__

    def kept(self: Stage, *args: Any, **more: Any) -> None:
        plain(self, *args, **more)
        stages.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stage, "__init__", kept)
        for reason in FILLS:
            SCENES[reason]()
    seen = set()
    for stage in stages:
        terms = {t.order_no: t for t in stage.events(e.OrderAccepted)}
        for step in stage.engine.steps:
            for event in (event for section in step.sections for event in section.events):
                if isinstance(event, e.OrderFilled):
                    seen.add(event.reason)
                    same, verdict = reproduces(terms[event.order_no], event, step.at, stage.engine.profiles)
                    assert same, (event, verdict)
                    forged = replace(event, price=event.price - 100)
                    assert not reproduces(terms[event.order_no], forged, step.at, stage.engine.profiles)[0]
                    forged = replace(event, evidence=replace(event.evidence, profile_hash="0"))
                    assert not reproduces(terms[event.order_no], forged, step.at, stage.engine.profiles)[0]
    assert seen == set(FILLS)


def test_a_receipt_says_what_other_profiles_would_have_done_at_that_instant() -> None:
    stage = Stage("realistic")
    stage.quote(1000, 1004, sizes=(10, 10))
    stage.plant(qty=8)
    (fill,) = stage.events(e.OrderFilled)
    (terms,) = stage.events(e.OrderAccepted)
    assert (fill.price, fill.qty) == (100_350, 8 * QTY_PER_SHARE)
    other = elsewhere(terms, fill, stage.at, stage.engine.profiles)
    assert (other["alpaca-parity"].price, other["alpaca-parity"].qty) == (100_400, 8 * QTY_PER_SHARE)
    assert (other["conservative"].price, other["conservative"].qty) == (100_400, 5 * QTY_PER_SHARE)
