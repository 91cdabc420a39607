"""Searches outside of turns: what they find gives the figures that a search in the turn would have given."""

from __future__ import annotations

import pickle
from random import Random

import msgspec
import pytest

from actors.book.rules.margin.legs import Underlying
from actors.book.rules.margin.outside import Found, SearchNeeded
from actors.book.rules.margin.pairing import SMALL
from actors.book.rules.margin.profiles import FINRA, HOUSE
from actors.book.rules.margin.requirement import AccountRequirement, Holdings, Requirements, search
from tests.margin.test_requirement import FAR, NEAR, held, option


def large(random: Random, shares: int = 0) -> Holdings:
    """Fourteen legs of one underlying, half of them short."""
    legs = [
        option(random.choice("CP"), strike, -1 if n % 2 else 1, "3", random.choice((NEAR, FAR)))
        for n, strike in enumerate(random.sample(range(70, 131, 2), 14))
    ]
    return held(*legs, cash=500_000, shares=shares)


def ask(book: Holdings, found: dict[bytes, Found], profile: object = HOUSE) -> AccountRequirement:
    """The account's exact figures, as a turn gets them that begins anew after every search."""
    requirements = Requirements()
    while True:
        requirements.outside = found
        try:
            return requirements.account(profile, book)  # type: ignore[arg-type]
        except SearchNeeded as needed:
            wanted = needed.search
        sent = pickle.loads(pickle.dumps(wanted))
        assert sent.name == wanted.name
        assert sent.name not in found, "the same search is never asked for twice"
        found[sent.name] = search(sent)


@pytest.mark.parametrize("shares", [0, 250, -300])
@pytest.mark.parametrize("profile", [HOUSE, FINRA], ids=lambda p: p.name)
def test_found_outside_is_what_a_search_in_the_turn_finds(profile: object, shares: int) -> None:
    random = Random(shares)
    searched = 0
    for _ in range(6):
        book = large(random, shares)
        found: dict[bytes, Found] = {}
        got = ask(book, found, profile)
        proved = Requirements().account(profile, book)  # type: ignore[arg-type]
        assert (got.available_money, got.excess_money, got.equity_money) == (
            proved.available_money, proved.excess_money, proved.equity_money
        )  # fmt: skip
        stored = msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=dict[bytes, Found])
        assert ask(book, dict(stored), profile) == got, "as it is read back from a journal"
        searched += len(found)
    assert searched


@pytest.mark.parametrize("shares", [0, 250, -300])
def test_at_other_prices_it_lies_between_the_exact_figure_and_the_bound(shares: int) -> None:
    random = Random(5)
    better = compared = 0
    for _ in range(10):
        book = large(random, shares)
        found: dict[bytes, Found] = {}
        ask(book, found)
        moved = msgspec.structs.replace(book, underlyings={"XYZ": Underlying("XYZ", 1_030_000)})
        known = len(found)
        got = ask(moved, found)
        assert len(found) == known, "prices alone need no new search"
        bound, proved = Requirements().account(HOUSE, moved, SMALL), Requirements().account(HOUSE, moved)
        assert bound.excess_money <= got.excess_money
        assert bound.available_money <= got.available_money
        if proved.exact or not shares:
            assert got.excess_money <= proved.excess_money
            assert got.available_money <= proved.available_money
            compared += 1
        better += got.excess_money > bound.excess_money
    assert better
    assert compared


def test_it_fits_the_positions_it_was_found_for_and_no_others() -> None:
    random = Random(6)
    book = large(random)
    found: dict[bytes, Found] = {}
    ask(book, found)
    known = dict(found)
    more = msgspec.structs.replace(book, options=(*book.options, option("C", 133, -1, "1", FAR)))
    ask(more, found)
    assert found.items() > known.items()


def test_what_was_searched_in_a_turn_is_not_used_where_searches_are_outside() -> None:
    """Otherwise a run again, which has not seen the earlier turn, would decide otherwise."""
    book = large(Random(7))
    requirements = Requirements()
    proved = requirements.account(HOUSE, book)
    assert proved != Requirements().account(HOUSE, book, SMALL)
    requirements.outside = {}
    with pytest.raises(SearchNeeded):
        requirements.account(HOUSE, book)
    requirements.outside = None
    assert requirements.account(HOUSE, book) == proved


def test_a_small_group_and_one_without_doubt_need_no_search() -> None:
    requirements = Requirements()
    requirements.outside = {}
    condors = [
        option(right, strike, qty, "2", expiry)
        for expiry in (NEAR, FAR)
        for right, strike, qty in (("P", 85, 1), ("P", 90, -1), ("C", 110, -1), ("C", 115, 1))
    ]
    small = held(option("C", 100, -3), option("P", 90, -2), option("C", 105, 2))
    for book in (small, held(*condors)):
        assert requirements.account(HOUSE, book) == Requirements().account(HOUSE, book)
