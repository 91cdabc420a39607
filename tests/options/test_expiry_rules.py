"""Expiry, exercise and assignment as laws: nothing lost, nothing made, nothing dropped, every refusal with its number."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from actors.book.instruments import Deliverable
from actors.book.rules.options.assignment import Evening, draw_assignment, likelihood
from actors.book.rules.options.exercise import Exercised, Moment, check_request, exercise_early
from actors.book.rules.options.expiry import (
    SETTLE,
    ExpiryPolicy,
    Instruction,
    Settled,
    Waiting,
    groups,
    resolve,
    resolve_within_means,
)
from actors.book.rules.options.means import cash_judge, fewest
from actors.book.rules.options.outcome import Holding, activities, intrinsic, net_change
from actors.book.rules.options.precheck import Precheck, Touch, Unit, UnitLeg, precheck
from actors.book.rules.options.warnings import dividend_warning, expiry_warnings, pin_band
from actors.book.rules.reasons import Refusal
from actors.book.units import MONEY_PER_DOLLAR, PRICE_PER_DOLLAR, QTY_PER_SHARE, parse_time
from tests.options.rig import DAY, contract, held

DOLLAR, SHARE = MONEY_PER_DOLLAR, QTY_PER_SHARE


def at(price: float, symbol: str = "XYZ") -> dict[str, int]:
    return {symbol: round(price * PRICE_PER_DOLLAR)}


def settled(holdings: list[Holding], price: float, policy: ExpiryPolicy = SETTLE, *told: Instruction) -> Settled:
    (group,) = groups(holdings)
    found = resolve(group, at(price), policy, told)
    assert isinstance(found, Settled)
    return found


legs = st.lists(
    st.tuples(st.integers(-9, 9).filter(bool), st.integers(80, 120), st.sampled_from(["call", "put"])),
    min_size=1,
    max_size=6,
    unique_by=lambda leg: leg[1:],
)
prices = st.integers(70 * PRICE_PER_DOLLAR, 130 * PRICE_PER_DOLLAR).map(lambda units: units / PRICE_PER_DOLLAR)


@given(legs, prices)
def test_every_contract_ends_once_and_its_worth_is_what_moves(drawn: list[Any], price: float) -> None:
    holdings = [held(*leg) for leg in drawn]
    outcomes = settled(holdings, price).outcomes
    for holding in holdings:
        symbol = holding.instrument.symbol
        assert sum(o.qty for o in outcomes if o.symbol == symbol) == -holding.qty
    change = net_change(outcomes)
    moved = change.cash_money + sum(round(qty / SHARE * price * DOLLAR) for qty in change.shares.values())
    worth = 0
    for holding in holdings:
        inside = intrinsic(holding.instrument, at(price))
        assert isinstance(inside, int)
        if inside >= DOLLAR:  # a cent a share
            worth += inside * (holding.qty // SHARE)
    assert moved == worth


@given(legs, prices)
def test_the_other_side_of_a_book_ends_mirrored(drawn: list[Any], price: float) -> None:
    ours = net_change(settled([held(*leg) for leg in drawn], price).outcomes)
    theirs = net_change(settled([held(-n, *rest) for n, *rest in drawn], price).outcomes)
    assert ours.cash_money == -theirs.cash_money
    assert ours.shares == {symbol: -qty for symbol, qty in theirs.shares.items()}


@given(legs, prices, st.randoms())
def test_the_order_of_listing_does_not_matter(drawn: list[Any], price: float, random: Any) -> None:
    holdings = [held(*leg) for leg in drawn]
    first = settled(holdings, price)
    random.shuffle(holdings)
    assert settled(holdings, price) == first
    order = {"expired": 0, "exercised": 1, "assigned": 2}
    ranks = [order[outcome.how] for outcome in first.outcomes]
    assert ranks == sorted(ranks)


@given(legs, prices, st.integers(0, 12), st.sampled_from(["exercise", "do_not_exercise"]), st.booleans())
def test_instructions_change_what_they_name_and_nothing_else(
    drawn: list[Any], price: float, qty: int, kind: Any, contrary: bool
) -> None:
    holdings = [held(*leg) for leg in drawn]
    named = holdings[0].instrument
    policy = ExpiryPolicy(contrary_exercise=contrary)
    told = settled(holdings, price, policy, Instruction(kind, named.symbol, qty * SHARE)).outcomes
    plain = settled(holdings, price, policy).outcomes
    assert [o for o in told if o.symbol != named.symbol] == [o for o in plain if o.symbol != named.symbol]
    exercised = -sum(o.qty for o in told if o.symbol == named.symbol and o.how == "exercised") // SHARE
    inside = intrinsic(named, at(price))
    assert isinstance(inside, int)
    mine = max(0, holdings[0].qty // SHARE)
    if inside >= DOLLAR:
        assert exercised == mine - (min(mine, qty) if kind == "do_not_exercise" else 0)
    else:
        assert exercised == (min(mine, qty) if kind == "exercise" and contrary else 0)


def test_pairs_share_a_group_and_the_strike() -> None:
    rows = activities(settled([held(2, 100), held(-1, 90, "call")], 110).outcomes, first_group=7)
    assert [(row.type, row.qty // SHARE, row.net_money // DOLLAR, row.group) for row in rows] == [
        ("OPEXC", -2, 0, 7),
        ("OPTRD", 200, -20_000, 7),
        ("OPASN", 1, 0, 8),
        ("OPTRD", -100, 9_000, 8),
    ]


# ── nothing is dropped ───────────────────────────────────────────────────────────────────────────────────


def test_a_group_waits_for_its_price_and_says_for_which() -> None:
    (group,) = groups([held(1, 100), held(-1, 110)])
    for known in ({}, {"XYZ": 0}, {"ABC": 5}):
        assert resolve(group, known) == Waiting("no_settlement_price", "XYZ")


def test_morning_and_evening_contracts_of_one_index_end_apart() -> None:
    found = groups([held(1, 5000, root="SPX"), held(1, 5000, root="SPXW")])
    assert [(group.underlying, group.settles, group.settles_on) for group in found] == [
        ("SPX", "am", DAY),
        ("SPX", "pm", DAY),
    ]


def test_an_adjusted_contract_waits_alone_for_what_it_delivers() -> None:
    unknown = held(1, 100, root="XYZ1")
    standard, adjusted = groups([held(1, 100), unknown])
    assert isinstance(resolve(standard, at(105)), Settled)
    assert resolve(adjusted, at(105)) == Waiting("unknown_deliverable", unknown.instrument.symbol)


def test_an_adjusted_contract_moves_every_part_and_costs_the_strike_once() -> None:
    parts = (
        Deliverable("equity", "T", 100 * SHARE, 700_001),
        Deliverable("equity", "WBD", 24 * SHARE, 299_999),
        Deliverable("cash", "USD", 1_234 * DOLLAR // 100),
        Deliverable("cash_in_lieu", "WBD", 191_700_000),
    )
    holding = held(3, 20.01, root="T1", deliverables=parts)
    (group,) = groups([holding])
    assert resolve(group, {"T": 200_000}) == Waiting("no_settlement_price", "WBD")
    found = resolve(group, {"T": 200_000, "WBD": 100_000})
    assert isinstance(found, Settled)
    change = net_change(found.outcomes)
    assert change.shares == {"T": 300 * SHARE, "WBD": 72 * SHARE}
    cash = 3 * (1_234 * DOLLAR // 100 + 1_917_000)
    assert change.cash_money == cash - 3 * 100 * 20_010_000
    worth = 2_000 * DOLLAR + 240 * DOLLAR + cash // 3 - 2_001 * DOLLAR
    assert found.outcomes[0].intrinsic_money == worth
    assert {row.group for row in activities(found.outcomes)} == {1}


# ── means ────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 50)), min_size=1, max_size=4), st.integers(0, 300))
def test_the_fewest_go_when_one_sum_is_missing(kinds: list[tuple[int, int]], missing: int) -> None:
    counts = [count for count, _ in kinds]

    def lacks(taken: Any) -> int:
        return max(0, missing - sum(n * kinds[place][1] for place, n in enumerate(taken)))

    taken = fewest(counts, lacks)
    assert all(0 <= n <= count for n, count in zip(taken, counts, strict=True))
    every = itertools.product(*(range(count + 1) for count in counts))
    enough = [sum(t) for t in every if not lacks(t)]
    if enough:
        assert lacks(taken) == 0
        assert sum(taken) == min(enough)
    else:
        assert lacks(taken) == lacks(counts)


@settings(max_examples=60)
@given(legs, prices, st.integers(0, 60_000), st.integers(0, 600))
def test_nobody_is_left_owing_under_do_not_exercise(drawn: list[Any], price: float, cash: int, shares: int) -> None:
    holdings = [held(abs(n), *rest) for n, *rest in drawn]
    (group,) = groups(holdings)
    judge = cash_judge(cash * DOLLAR, {"XYZ": shares * SHARE}, at(price))
    found = resolve_within_means(group, at(price), judge, ExpiryPolicy(shortfall="dne"))
    assert isinstance(found, Settled)
    assert judge(net_change(found.outcomes)) == 0
    if judge(net_change(settled(holdings, price).outcomes)) == 0:
        assert all(outcome.reason != "beyond_means" for outcome in found.outcomes)


def unit(name: str, count: int, *parts: Holding) -> Unit:
    return Unit(name, tuple(UnitLeg(p.instrument, p.qty // SHARE) for p in parts), count)


def test_a_structure_is_closed_whole_and_only_as_often_as_needed() -> None:
    long, short = held(1, 100), held(-1, 110)
    vertical = unit("structure-1", 10, long, short)
    quotes = {
        long.instrument.symbol: Touch(60_000, 62_000),
        short.instrument.symbol: Touch(5_000, 6_000),
    }
    judge = cash_judge(25_000 * DOLLAR, {}, at(106))
    found = precheck([vertical], at(106), quotes, judge, SETTLE)
    assert isinstance(found, Precheck)
    assert found.deficit_money == 75_000 * DOLLAR
    (closing,) = found.closings
    # each closed unit needs 10,000 less and brings 540: eight bring it down far enough, seven do not
    assert (closing.unit.name, closing.count, closing.net_money) == ("structure-1", 8, 8 * 540 * DOLLAR)
    assert found.left_money == 0


def test_what_nobody_bids_for_is_not_proposed() -> None:
    long = held(1, 100)
    judge = cash_judge(0, {}, at(106))
    found = precheck([unit("x", 1, long)], at(106), {long.instrument.symbol: Touch(0, 62_000)}, judge, SETTLE)
    assert isinstance(found, Precheck)
    assert (found.closings, found.left_money) == ((), 10_000 * DOLLAR)


# ── warnings ─────────────────────────────────────────────────────────────────────────────────────────────


def warned(holdings: list[Holding], price: float, cash: int = 10**6, move: int = 0) -> dict[str, dict[str, str]]:
    (group,) = groups(holdings)
    judge = cash_judge(cash * DOLLAR, {}, at(price))
    return {w.kind: w.numbers for w in expiry_warnings(group, at(price), judge, SETTLE, move)}


def test_the_morning_tells_both_sides_of_the_strike() -> None:
    found = warned([held(1, 100), held(-1, 105)], 104.9)
    assert set(found) == {"pin_risk", "one_leg_ends_alone"}
    numbers = found["pin_risk"]
    assert (numbers["shares_now"], numbers["cash_now"], numbers["shares_below"]) == ("100", "-10000", "100")
    assert "shares_above" not in numbers
    assert numbers["cash_above"] == "500"
    assert set(warned([held(1, 100), held(-1, 105)], 120)) == {"short_in_the_money"}
    assert warned([held(1, 100)], 104.9, cash=5_000)["cannot_settle"]["missing_now"] == "5000"
    assert not warned([held(1, 100)], 120)
    (group,) = groups([held(1, 100)])
    assert [w.kind for w in expiry_warnings(group, {}, lambda change: 0)] == ["awaiting_price"]


def test_the_band_is_a_percent_or_half_the_expected_move() -> None:
    assert pin_band(1_000_000) == 10_000
    assert pin_band(1_000_000, 50_000) == 25_000


def test_a_dividend_above_the_time_value_is_told_to_the_short() -> None:
    short = held(-1, 70)
    told = dividend_warning(short, 850_000, Touch(151_000, 152_000), 30_000, 20261210)
    assert told is not None
    assert told.numbers["time_value"] == "0.15"
    assert told.numbers["ex_date"] == "2026-12-10"
    assert dividend_warning(short, 850_000, Touch(190_000, 192_000), 30_000, 20261210) is None
    assert dividend_warning(held(1, 70), 850_000, Touch(151_000, 152_000), 30_000, 20261210) is None
    assert dividend_warning(held(-1, 70, style="european"), 850_000, Touch(1, 2), 30_000, 20261210) is None


# ── early assignment ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("strike", "right", "evening", "expected"),
    [
        (70, "call", Evening(850_000, Touch(150_000, 150_000), 30, 30_000), (950_000, "dividend")),
        (70, "call", Evening(850_000, Touch(165_000, 165_000), 30, 30_000), (725_000, "dividend")),
        (70, "call", Evening(850_000, Touch(180_000, 180_000), 30, 30_000), None),
        (100, "put", Evening(700_000, Touch(300_000, 300_000), 73, 0, 50_000), (500_000, "carry")),
        (100, "put", Evening(700_000, Touch(304_950, 304_950), 73, 0, 50_000), (302_000, "carry")),
        (100, "put", Evening(700_000, Touch(310_000, 310_000), 73, 0, 50_000), None),
        (100, "call", Evening(1_060_000, Touch(60_400, 60_400), 4), (20_000, "deep")),
        (100, "call", Evening(1_060_000, Touch(60_400, 60_400), 5), None),
        (100, "call", Evening(1_050_000, Touch(50_400, 50_400), 4), None),
        (100, "call", Evening(1_060_000, None, 4, 50_000), None),
        (100, "call", Evening(990_000, Touch(1_000, 1_000), 4, 50_000), None),
    ],
)
def test_probabilities_are_those_of_the_model(
    strike: float, right: Any, evening: Evening, expected: tuple[int, str] | None
) -> None:
    found = likelihood(held(-1, strike, right), evening)
    assert (found and (found.probability_ppm, found.rule)) == expected
    assert likelihood(held(1, strike, right), evening) is None
    assert likelihood(held(-1, strike, right, style="european"), evening) is None


DEEP = Evening(850_000, Touch(165_000, 165_000), 30, 30_000)


def draw(contracts: int, seed: bytes = b"s" * 32, day: int = DAY, epoch: int = 0) -> Any:
    return draw_assignment(held(-contracts, 70), DEEP, at(85), seed=seed, epoch=epoch, profile_hash=b"p", day=day)


def test_assignment_is_drawn_for_each_contract_by_itself() -> None:
    many, few = draw(200), draw(120)
    assert many.drawn[:120] == few.drawn
    assigned = -many.outcome.deliveries[0].qty // (100 * SHARE)
    assert assigned == many.outcome.qty // SHARE == sum(d < many.likelihood.probability_ppm for d in many.drawn)
    assert 0.6 < assigned / 200 < 0.85  # of 0.725
    assert draw(200) == many
    for other in (draw(200, day=DAY + 1), draw(200, epoch=1), draw(200, seed=b"t" * 32)):
        assert other.drawn != many.drawn
    assert many.outcome.reason == "early_dividend"
    assert many.likelihood.numbers == {"dividend_price": 30_000, "time_value_price": 15_000}


def test_a_scaled_probability_stays_one() -> None:
    found = likelihood(held(-1, 70), DEEP, 1_500_000)
    assert found is not None
    assert found.probability_ppm == 1_000_000


# ── exercise on request ──────────────────────────────────────────────────────────────────────────────────

OPENS, CLOSES = parse_time("2026-12-18T14:30:00Z"), parse_time("2026-12-18T21:00:00Z")


def moment(text: str, day: int = DAY) -> Moment:
    return Moment(parse_time(text), day, OPENS, CLOSES)


NOON = moment("2026-12-18T17:00:00Z")


@pytest.mark.parametrize(
    ("kind", "instrument", "held_qty", "qty", "when", "closeout", "reason"),
    [
        ("exercise", contract(100), 2, 1, NOON, False, None),
        ("exercise", None, 0, 1, NOON, False, "contract_not_held"),
        ("exercise", contract(100), 0, 1, NOON, False, "contract_not_held"),
        ("exercise", contract(100), -2, 1, NOON, False, "exercise_of_short"),
        ("exercise", contract(100), 2, 3, NOON, False, "exercise_more_than_held"),
        ("exercise", contract(100), 2, 0, NOON, False, "invalid_contracts"),
        (
            "exercise",
            contract(5000, root="SPX"),
            2,
            1,
            moment("2026-12-10T17:00:00Z", 20261210),
            False,
            "not_american",
        ),
        ("exercise", contract(100), 2, 1, moment("2026-12-18T22:29:59Z"), False, None),
        ("exercise", contract(100), 2, 1, moment("2026-12-18T22:30:00Z"), False, "exercise_after_cutoff"),
        ("exercise", contract(100), 2, 1, moment("2026-12-18T21:29:59Z"), True, None),
        ("exercise", contract(100), 2, 1, moment("2026-12-18T04:59:59Z"), False, "exercise_after_cutoff"),
        ("exercise", contract(100), 2, 1, moment("2026-12-18T05:00:00Z"), False, None),
        ("do_not_exercise", contract(100), 2, 2, NOON, False, None),
        ("do_not_exercise", contract(100), 2, 2, moment("2026-12-18T21:30:00Z"), True, "exercise_after_cutoff"),
        ("do_not_exercise", contract(100), 2, 2, moment("2026-12-17T17:00:00Z", 20261217), False, "not_expiry_day"),
        ("do_not_exercise", contract(5000, root="SPXW"), 2, 2, NOON, True, "do_not_exercise_european"),
        ("do_not_exercise", contract(5000, root="SPXW"), 2, 2, NOON, False, None),
    ],
)
def test_requests_are_taken_or_refused_with_a_reason(
    kind: Any, instrument: Any, held_qty: int, qty: int, when: Moment, closeout: bool, reason: str | None
) -> None:
    found = check_request(instrument, held_qty * SHARE, qty * SHARE, kind, when, closeout=closeout)
    assert (found.reason if found else None) == reason


def test_an_exercise_needs_its_price_and_its_means() -> None:
    holding = held(2, 100)
    touch = Touch(61_000, 62_000)
    rich, poor = (cash_judge(cash * DOLLAR, {}, at(106)) for cash in (20_000, 19_999))
    done = exercise_early(holding, at(106), touch, rich, SETTLE)
    assert isinstance(done, Exercised)
    assert done.given_away_money == 20 * DOLLAR
    assert net_change([done.outcome]).shares == {"XYZ": 200 * SHARE}
    refused = exercise_early(holding, at(106), touch, poor, SETTLE)
    assert isinstance(refused, Refusal)
    assert (refused.reason, refused.numbers["missing"]) == ("exercise_beyond_means", "1")
    outside = exercise_early(holding, at(99), touch, rich, SETTLE)
    assert isinstance(outside, Refusal)
    assert outside.reason == "not_in_the_money"
    contrary = structs.replace(SETTLE, contrary_exercise=True)
    assert isinstance(exercise_early(holding, at(99), touch, rich, contrary), Exercised)
    unpriced = exercise_early(holding, {}, touch, rich, SETTLE)
    assert isinstance(unpriced, Refusal)
    assert unpriced.reason == "exercise_unpriced"


def test_a_put_needs_its_shares_in_a_cash_account() -> None:
    holding = held(1, 100, "put")
    without, with_shares = (cash_judge(0, shares, at(90)) for shares in ({}, {"XYZ": 100 * SHARE}))
    assert isinstance(exercise_early(holding, at(90), None, without, SETTLE), Refusal)
    assert isinstance(exercise_early(holding, at(90), None, with_shares, SETTLE), Exercised)
