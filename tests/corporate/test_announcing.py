"""What the house takes in of an operator's words: whole terms or a refusal, an id once, versions."""

from __future__ import annotations

from typing import Any

import pytest

from actors.book import events as e
from actors.book.rules.reasons import Refusal
from actors.house.state import HOUSE_NO, House
from tests.corporate.rig import Stage

SPLIT = {
    "id": "s",
    "type": "forward_split",
    "symbol": "AAA",
    "new_rate": "2",
    "old_rate": "1",
    "ex_date": "2026-08-06",
}
MERGER = {"type": "cash_merger", "acquiree_symbol": "AAA", "rate": "20", "effective_date": "2026-08-06"}
GAINS = {"type": "capital_gains_distribution", "symbol": "AAA", "ex_date": "2026-08-06"}
DIVIDEND = {"type": "cash_dividend", "symbol": "AAA", "rate": "0.1", "ex_date": "2026-08-06"}


def stage() -> Stage:
    return Stage("2026-08-03 10:00", ("AAA", "BBB"))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": ""}, "id"),
        ({"type": "share_buyback"}, "type"),
        ({"symbol": None}, "symbol"),
        ({"new_rate": "0"}, "new_rate"),
        ({"new_rate": "1e3"}, "new_rate"),
        ({"old_rate": None}, "old_rate"),
        ({"old_rate": "2"}, "new_rate"),  # 2:2 is no split
        ({"type": "reverse_split"}, "new_rate"),  # 2:1 is none either
        ({"ex_date": None}, "ex_date"),
        ({"ex_date": "2026-08-08"}, "ex_date"),  # a Saturday
        ({"ex_date": "20260806"}, "ex_date"),
        ({"prices": {"AAA": {"cil_price": "-1"}}}, "prices"),
        ({"occ_adjustments": [{"root": "AAA", "new_root": "AAA1", "strike_divisor": "x"}]}, "occ_adjustments"),
        ({"type": "stock_dividend", "rate": "1"}, "rate"),  # a factor in place of an increment
        (MERGER | {"rate": None}, "rate"),
        (MERGER | {"payable_date": "2099-01-01"}, "payable_date"),
        (GAINS, "long_term_rate"),
        (DIVIDEND | {"sub_type": "liquidation"}, "sub_type"),
        ({"type": "name_change", "old_symbol": "AAA", "process_date": "2026-08-06"}, "new_symbol"),
        ({"type": "reorganization", "effective_date": "2026-08-06"}, "stock_movements"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(change: dict[str, Any], field: str) -> None:
    bench = stage()
    refusal = bench.announce(**{name: value for name, value in {**SPLIT, **change}.items() if value is not None})
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.field) == ("invalid_corporate_action", field)
    assert not bench.engine.house.actions


def test_the_same_terms_again_are_nothing_new_and_others_are_the_next_version() -> None:
    bench = stage()
    for words in (SPLIT, {**SPLIT, "new_rate": "4", "old_rate": "2"}, {**SPLIT, "new_rate": "3"}, SPLIT):
        assert bench.announce(**words) is None
    announced = bench.events(HOUSE_NO, e.CorporateActionAnnounced)
    assert [(fact.version, fact.action.legs[0].ratio) for fact in announced] == [
        (1, (2, 1)),
        (2, (3, 1)),
        (3, (2, 1)),
    ]
    assert bench.withdraw("s") is None
    assert bench.withdraw("s") is None
    assert bench.events(HOUSE_NO, e.CorporateActionAnnounced)[3:][0].action.withdrawn
    assert len(bench.events(HOUSE_NO, e.CorporateActionAnnounced)) == 4


def test_withdrawing_what_nobody_announced_is_refused() -> None:
    refusal = stage().withdraw("x")
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "corporate_action_not_found"


def test_the_house_keeps_them_in_its_snapshot() -> None:
    bench = stage()
    bench.announce(**SPLIT, prices={"AAA": {"cil_price": "10.5"}}, existing_option_roots=["AAA", "AAA1"])
    house = bench.engine.house
    again = House.decode(house.encode())
    assert again.encode() == house.encode()
    assert again.actions.by_id == house.actions.by_id
    assert set(again.actions.by_symbol) == {"AAA"}


def test_rates_are_exact() -> None:
    bench = stage()
    bench.announce(**{**SPLIT, "type": "reverse_split", "new_rate": "1", "old_rate": "12.5"})
    assert bench.engine.house.actions.by_id["s"].action.legs[0].ratio == (2, 25)


PLAIN = dict.fromkeys(("symbol", "new_rate", "old_rate", "ex_date"))
OCC = {"root": "AAA", "new_root": "AAA1"}
STOCK_MERGER = PLAIN | {"type": "stock_merger", "acquirer_symbol": "AAA", "acquiree_symbol": "AAA", "acquirer_rate": "2",
                        "effective_date": "2026-08-06"}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"ex_date": "2026-8-006"}, "ex_date"),
        ({"ex_date": "２０２６-08-06"}, "ex_date"),
        ({"symbol": "aaa"}, "symbol"),
        ({"symbol": "AAA261218C00100000"}, "symbol"),
        ({"new_rate": "1000001"}, "new_rate"),
        ({"new_rate": "9000000000", "old_rate": "0.000000001"}, "new_rate"),
        (DIVIDEND | {"new_rate": None, "old_rate": None, "rate": "999999999"}, "rate"),
        (STOCK_MERGER, "acquirer_symbol"),
        (PLAIN | {"type": "spin_off", "source_symbol": "AAA", "new_symbol": "AAA", "new_rate": "1",
                  "ex_date": "2026-08-06"}, "new_symbol"),
        ({"occ_adjustments": [OCC | {"new_premium_multiplier": "99999999999999999999"}]}, "occ_adjustments"),
        ({"occ_adjustments": [OCC | {"new_premium_multiplier": "-100"}]}, "occ_adjustments"),
        ({"occ_adjustments": [OCC | {"new_root": "TOOLONGROOT"}]}, "occ_adjustments"),
        ({"prices": {"AAA": {"cil_price": "99999999999"}}}, "prices"),
        ({"record_date": "soon"}, "record_date"),  # shown to clients that read dates
        ({"rate": "much"}, "rate"),  # no word of a split, yet shown to clients that read numbers
        ({"cusip": "c" * 5_000}, "cusip"),
    ],
)  # fmt: skip
def test_what_no_book_or_client_could_read_is_refused(change: dict[str, Any], field: str) -> None:
    bench = stage()
    refusal = bench.announce(**{name: value for name, value in {**SPLIT, **change}.items() if value is not None})
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.field) == ("invalid_corporate_action", field)
    assert not bench.engine.house.actions


NAME = {"type": "name_change", "old_symbol": "AAA", "new_symbol": "BBB", "process_date": "2026-08-06"}


@pytest.mark.parametrize(
    ("first", "second", "field"),
    [
        (SPLIT, SPLIT | {"id": "again"}, "id"),
        (None, NAME | {"id": "onto a name in use"}, "new_symbol"),
        (NAME | {"id": "one", "new_symbol": "NEW"}, NAME | {"id": "two", "old_symbol": "BBB", "new_symbol": "NEW"},
         "new_symbol"),
    ],
)  # fmt: skip
def test_what_looks_like_a_slip_is_taken_when_it_is_confirmed(
    first: dict[str, Any] | None, second: dict[str, Any], field: str
) -> None:
    bench = stage()
    if first is not None:
        assert bench.announce(**first) is None
    refusal = bench.announce(**second)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.field) == ("invalid_corporate_action", field)
    assert bench.announce(**second, confirmed=True) is None
    assert bench.announce(**second) is None, "what is known already is confirmed"


def test_names_may_go_round() -> None:
    """BBB goes to CCC and AAA takes its name on the same day."""
    bench = stage()
    assert bench.announce(**NAME | {"id": "1", "old_symbol": "BBB", "new_symbol": "CCC"}) is None
    assert bench.announce(**NAME, id="2") is None
    refusal = bench.announce(**NAME, id="0")
    assert isinstance(refusal, Refusal), "at the instant it would come first, and both would go on under one name"


def test_what_a_book_cannot_hold_quarantines_that_account_alone() -> None:
    bench = stage()
    bench.quote("AAA", 0.01)
    rich, other = bench.account("90000000"), bench.account("100000")
    for no, qty in ((rich, "20000000"), (other, "10")):
        bench.hold(no, "AAA", int(qty) * 10**9, int(qty) * 10_000)
    bench.announce(**SPLIT | {"new_rate": "1000000"})
    bench.go("2026-08-06 03:00")
    assert bench.book(rich).quarantined
    assert bench.book(rich).positions["AAA"].qty == 20_000_000 * 10**9
    assert bench.book(other).positions["AAA"].qty == 10_000_000 * 10**9
