"""Groups, accounts and orders: identities, levels, reservations, and the cache."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from actors.book.rules.margin.legs import OptionPosition, Underlying, groups
from actors.book.rules.margin.orders import Change, Cover, cover, effect, level_needed, reservation
from actors.book.rules.margin.pairing import BOUNDS, SMALL
from actors.book.rules.margin.profiles import ALPACA, FINRA, HOUSE, PROFILES, for_cash_account, profile_of
from actors.book.rules.margin.requirement import Holdings, Requirements, months_beyond
from actors.book.units import MONEY_PER_DOLLAR, QTY_PER_SHARE

XYZ = Underlying("XYZ", 1_000_000)
NEAR, FAR, NEXT_YEAR = 20261218, 20270115, 20280121
SHARE = QTY_PER_SHARE
DOLLAR = MONEY_PER_DOLLAR


def option(right: str, strike: int, qty: int, price: str = "2", expiry: int = NEAR) -> OptionPosition:
    symbol = f"XYZ{expiry}{right}{strike}"
    kind = "call" if right == "C" else "put"
    return OptionPosition(symbol, "XYZ", kind, strike * 10_000, expiry, qty, int(float(price) * 10_000))  # type: ignore[arg-type]


def held(*options: OptionPosition, cash: int = 10_000, shares: int = 0, underlying: Underlying = XYZ) -> Holdings:
    return Holdings(cash * DOLLAR, {"XYZ": underlying}, {"XYZ": shares * SHARE} if shares else {}, options, 20261120)


def random_holdings(random: Random) -> Holdings:
    legs = []
    for right in "CP":
        for strike in random.sample(range(80, 125, 5), 3):
            price = str(random.choice((0.5, 2, 4.25)))
            legs.append(
                option(right, strike, random.choice((-2, -1, 1, 2)), price, random.choice((NEAR, FAR, NEXT_YEAR)))
            )
    return held(*legs, cash=random.randint(-5_000, 50_000), shares=random.choice((0, 0, 100, 250, -100)))


@pytest.mark.parametrize("profile", [*PROFILES.values(), for_cash_account(HOUSE)], ids=lambda p: p.name)
def test_excess_from_collateral_is_excess_from_equity(profile: object) -> None:
    random = Random(1)
    for _ in range(60):
        book = random_holdings(random)
        cache = Requirements()
        account = cache.account(profile, book)  # type: ignore[arg-type]
        found = [cache.group(profile, g, book.as_of_date) for g in groups(book.underlyings, book.stock, book.options)]  # type: ignore[arg-type]
        paid = sum(r.long_options_money - r.loan_options_money for r in found)
        shorts = sum(r.proceeds_money for r in found)
        haircut = sum(r.haircut_money for r in found)
        assert account.excess_money == account.equity_money - paid - haircut - (account.maintenance_money - shorts)
        assert account.initial_money >= 0


def test_neither_the_order_of_positions_nor_the_cache_matters() -> None:
    random = Random(2)
    warm = Requirements()
    for _ in range(60):
        book = random_holdings(random)
        shuffled = msgspec.structs.replace(book, options=tuple(random.sample(book.options, len(book.options))))
        assert (
            Requirements().account(HOUSE, book)
            == Requirements().account(HOUSE, shuffled)
            == warm.account(HOUSE, book)
        )


def test_a_quick_answer_is_an_upper_bound_that_depends_on_the_book_alone() -> None:
    random = Random(9)
    bounded = 0
    for _ in range(12):
        strikes = random.sample(range(70, 131, 2), 15)
        legs = [
            option(random.choice("CP"), k, -1 if n % 2 else 1, "3", random.choice((NEAR, FAR)))
            for n, k in enumerate(strikes)
        ]
        book = held(*legs, cash=500_000)
        asked_before = Requirements()
        proved = asked_before.account(HOUSE, book)
        quick = Requirements().account(HOUSE, book, SMALL)
        assert asked_before.account(HOUSE, book, SMALL) == quick, "what was asked before changes nothing"
        assert quick.maintenance_money >= proved.maintenance_money
        assert quick.available_money <= proved.available_money
        assert quick.equity_money == proved.equity_money
        if quick.exact:
            assert quick == proved
        bounded += not quick.exact
    assert bounded


def test_a_small_group_is_exact_at_once() -> None:
    book = held(option("C", 100, -3, "3", NEAR), option("P", 90, -2, "2", NEAR), option("C", 105, 2, "1", NEAR))
    assert Requirements().account(HOUSE, book, SMALL) == Requirements().account(HOUSE, book)
    assert Requirements().account(HOUSE, book, SMALL).exact


def test_bounds_of_small_groups_beside_stock_are_legal_and_need_no_earlier_answer() -> None:
    random = Random(12)
    loose = 0
    for _ in range(60):
        book = random_holdings(random)
        warm = Requirements()
        proved = warm.account(HOUSE, book, SMALL)
        bound = warm.account(HOUSE, book, BOUNDS)
        assert bound == Requirements().account(HOUSE, book, BOUNDS)
        assert bound.excess_money <= proved.excess_money
        assert bound.available_money <= proved.available_money
        if bound.exact:
            assert bound == proved
        loose += bound.excess_money < proved.excess_money
    assert loose


def test_a_missing_price_is_an_error_and_never_nothing() -> None:
    with pytest.raises(KeyError):
        Requirements().account(HOUSE, msgspec.structs.replace(held(option("P", 90, -1)), underlyings={}))


def test_a_sold_spread_takes_what_alpaca_calls_its_cost() -> None:
    spread = (option("C", 105, 1, "1"), option("C", 95, -1, "6"))
    change = Change(500 * DOLLAR, spread)
    for profile in (FINRA, HOUSE, ALPACA):
        found = effect(Requirements(), profile, 3, held(), change)
        assert found.needed_money == 500 * DOLLAR
        assert not found.reduces
    closing = Change(-500 * DOLLAR, tuple(msgspec.structs.replace(leg, qty=-leg.qty) for leg in spread))
    back = effect(Requirements(), HOUSE, 3, held(*spread, cash=10_500), closing)
    assert back.needed_money == -500 * DOLLAR
    assert back.reduces


def test_a_bought_option_is_charged_once() -> None:
    found = effect(Requirements(), HOUSE, 2, held(), Change(-200 * DOLLAR, (option("C", 105, 1, "2"),)))
    assert found.needed_money == 200 * DOLLAR


def test_below_level_four_a_put_needs_its_strike() -> None:
    sold = Change(200 * DOLLAR, (option("P", 80, -1),))
    assert effect(Requirements(), HOUSE, 3, held(), sold).needed_money == 7_800 * DOLLAR
    assert effect(Requirements(), HOUSE, 4, held(), sold).needed_money == 800 * DOLLAR


def test_stock_for_a_covered_call_is_not_charged_again() -> None:
    found = effect(Requirements(), FINRA, 1, held(shares=100), Change(150 * DOLLAR, (option("C", 110, -1, "1.5"),)))
    assert found.needed_money == -150 * DOLLAR


def test_two_orders_that_help_each_other_still_reserve_alone() -> None:
    cache = Requirements()
    put_spread = Change(100 * DOLLAR, (option("P", 90, -1, "2"), option("P", 85, 1, "1")))
    call_spread = Change(100 * DOLLAR, (option("C", 110, -1, "2"), option("C", 115, 1, "1")))
    first = reservation(cache, HOUSE, 3, held(), [], put_spread)
    assert first == 400 * DOLLAR
    assert reservation(cache, HOUSE, 3, held(), [put_spread], call_spread) == 400 * DOLLAR


LEVELS = [
    (held(shares=100), Change(0, (option("C", 110, -1),)), 1),
    (held(), Change(0, (option("P", 90, -1),)), 1),
    (held(), Change(0, (option("C", 110, 1),)), 2),
    (held(), Change(0, (option("C", 110, -1), option("C", 115, 1))), 3),
    (held(), Change(0, (option("C", 110, -1),)), 4),
    (held(), Change(0, (option("C", 110, -1, expiry=FAR), option("C", 115, 1))), 4),
    (held(option("C", 110, -1), option("C", 115, 1)), Change(0, (option("C", 115, -1),)), 4),
    (held(option("C", 110, -1), option("C", 115, 1)), Change(0, (option("C", 110, 1),)), 0),
    (held(option("C", 110, -1), shares=100), Change(0, (), (("XYZ", -100 * SHARE),)), 4),
    (held(option("C", 110, -1), shares=200), Change(0, (), (("XYZ", -100 * SHARE),)), 0),
    (held(option("C", 110, 1)), Change(0, (option("C", 110, -1),)), 0),
]


@pytest.mark.parametrize("bought", [("P", 95, NEAR), ("P", 85, NEAR), ("P", 90, FAR), ("C", 100, NEAR)])
def test_buying_beside_a_secured_put_needs_level_two(bought: tuple[str, int, int]) -> None:
    """Cash covers the put before and after; only what is sold against a long contract makes a spread."""
    right, strike, expiry = bought
    long = option(right, strike, 1, "1", expiry)
    assert level_needed(held(option("P", 90, -1)), Change(0, (long,))) == 2
    assert level_needed(held(long), Change(0, (option("P", 80, -1),))) == (3 if right == "P" else 1)


@pytest.mark.parametrize(("book", "change", "level"), LEVELS)
def test_the_level_an_order_needs(book: Holdings, change: Change, level: int) -> None:
    assert level_needed(book, change) == level


def test_cover_is_counted_in_whole_lots() -> None:
    calls = option("C", 110, -2)
    assert cover(held(calls, shares=199)) == Cover(1, 0, 0, 1)
    assert cover(held(calls, option("C", 120, 1), shares=100)) == Cover(1, 1, 0, 0)
    assert cover(held(option("P", 90, -2), option("P", 80, 1))) == Cover(0, 1, 1, 0)


def test_a_cash_account_secures_the_whole_strike_even_beside_a_long_put() -> None:
    cash = profile_of("house", "cash")
    legs = (option("P", 90, -1), option("P", 85, 1, "1"))
    assert Requirements().account(cash, held(*legs)).maintenance_money == 9_000 * DOLLAR
    european = tuple(msgspec.structs.replace(leg, style="european", settlement="cash") for leg in legs)
    assert Requirements().account(cash, held(*european)).maintenance_money == 500 * DOLLAR


def test_options_settled_at_the_open_end_before_those_of_the_same_day() -> None:
    index = Underlying("XYZ", 1_000_000, "index_broad")

    def pair(short_at_open: bool) -> Holdings:
        legs = []
        for leg, at_open in ((option("C", 110, -1), short_at_open), (option("C", 110, 1), not short_at_open)):
            legs.append(
                msgspec.structs.replace(
                    leg, symbol=f"{leg.symbol}{at_open}", style="european", settlement="cash", settles_at_open=at_open
                )
            )
        return held(*legs, underlying=index)

    assert Requirements().account(FINRA, pair(True)).maintenance_money == 0
    assert Requirements().account(FINRA, pair(False)).maintenance_money > 0


def test_a_long_option_over_nine_months_lends_only_what_covers_nothing() -> None:
    leaps = option("C", 100, 1, "20", NEXT_YEAR)
    alone = Requirements().account(FINRA, held(leaps))
    assert alone.excess_money == 10_500 * DOLLAR
    covering = Requirements().account(FINRA, held(leaps, option("C", 105, -1, "2")))
    assert covering.excess_money == 10_000 * DOLLAR
    assert Requirements().account(ALPACA, held(leaps)).excess_money == 10_000 * DOLLAR


def test_nine_months_are_calendar_months() -> None:
    assert not months_beyond(20261120, 20270820, 9)
    assert months_beyond(20261120, 20270821, 9)
    assert not months_beyond(20260531, 20270228, 9)


def test_one_stock_on_a_large_debit_asks_half() -> None:
    book = held(cash=-110_000, shares=2_000)
    assert Requirements().account(HOUSE, book).maintenance_money == 100_000 * DOLLAR
    assert Requirements().account(FINRA, book).maintenance_money == 50_000 * DOLLAR
