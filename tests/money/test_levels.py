"""Levels of option trading: what was approved, the owner's cap, and the lower of both (alpaca-api §2.13, §4.6)."""

from __future__ import annotations

import msgspec
import pytest

from actors.book.rules.reasons import Refusal
from actors.book.state.book import Book
from actors.commands import ConfigureAccount
from mbtd.records.accounts import render_account
from tests.money.rig import Bench

Levels = tuple[int, int, int | None]


def shown(bench: Bench, account: int) -> Levels:
    found = render_account(bench.book(account), "n", "free", bench.engine.world)
    most = found["configuration"]["max_options_trading_level"]
    return found["options_approved_level"], found["options_trading_level"], most


def test_a_cap_lowers_what_is_traded_and_leaves_what_is_approved() -> None:
    bench = Bench("2026-08-03 10:00")
    account = bench.account()
    assert shown(bench, account) == (3, 3, None)
    bench.do(account, ConfigureAccount(max_options_trading_level=1))
    assert shown(bench, account) == (3, 1, 1)
    assert bench.book(account).options_level == 1  # what every rule asks
    bench.do(account, ConfigureAccount(max_options_trading_level=2))
    assert shown(bench, account) == (3, 2, 2)
    bench.do(account, ConfigureAccount(no_shorting=True))
    assert shown(bench, account) == (3, 2, 2)


@pytest.mark.parametrize(("approved", "levels"), [(1, (1, 1, 2)), (2, (2, 2, 2)), (4, (4, 2, 2))])
def test_an_approval_moves_under_the_cap(approved: int, levels: Levels) -> None:
    bench = Bench("2026-08-03 10:00")
    account = bench.account()
    bench.do(account, ConfigureAccount(max_options_trading_level=2))
    bench.do(account, ConfigureAccount(options_level=approved))
    assert shown(bench, account) == levels
    book = msgspec.msgpack.decode(msgspec.msgpack.encode(bench.book(account)), type=Book)
    bench.engine.books[account] = book
    assert shown(bench, account) == levels


@pytest.mark.parametrize("most", [-1, 4])
def test_a_cap_above_the_approval_is_refused(most: int) -> None:
    bench = Bench("2026-08-03 10:00")
    account = bench.account()
    refused = bench.do(account, ConfigureAccount(max_options_trading_level=most))
    assert isinstance(refused, Refusal)
    assert (refused.reason, refused.field) == ("invalid_setting", "max_options_trading_level")
    assert shown(bench, account) == (3, 3, None)


def test_a_cap_that_an_approval_fell_below_may_be_said_again() -> None:
    bench = Bench("2026-08-03 10:00")
    account = bench.account()
    bench.do(account, ConfigureAccount(max_options_trading_level=2))
    bench.do(account, ConfigureAccount(options_level=1))
    assert not isinstance(bench.do(account, ConfigureAccount(max_options_trading_level=2, no_shorting=True)), Refusal)
    assert shown(bench, account) == (1, 1, 2)
    assert bench.book(account).no_shorting


def test_crypto_is_active_as_at_alpaca() -> None:
    bench = Bench("2026-08-03 10:00")
    found = render_account(bench.book(bench.account()), "n", "free", bench.engine.world)
    assert (found["status"], found["crypto_status"]) == ("ACTIVE", "ACTIVE")
