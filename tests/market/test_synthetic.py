"""The synthetic market: deterministic, well-formed, and without free money in its chains."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections import defaultdict
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.book.instruments import Instrument, price_step
from actors.book.units import NS_PER_SECOND, parse_time
from actors.market.messages import Auction, Quote, Session, TapeMessage, Trade
from mbtd.market.synthetic.market import SyntheticMarket, SyntheticSettings
from mbtd.market.synthetic.prices import PriceLevels
from mbtd.market.synthetic.surface import value, volatility
from mbtd.market.synthetic.universe import INDEXES, OPTIONS, RATE, STOCKS
from mbtd.pricing.inputs import years_until

START = parse_time("2026-11-24T15:00:00.1Z")
SECOND = NS_PER_SECOND
QUIET = SyntheticSettings(options=False)
INDEX_SYMBOLS = {spec.symbol for spec in INDEXES}
XNYS = SyntheticSettings(sessions="xnys", quotes_per_second=40)


def run(
    seconds: float, settings: SyntheticSettings | None = None, seed: int = 7, start: int = START
) -> list[TapeMessage]:
    return SyntheticMarket(seed, start, settings).advance(start + int(seconds * SECOND))


@pytest.fixture(scope="module")
def market() -> tuple[SyntheticMarket, list[TapeMessage]]:
    made = SyntheticMarket(7, START)
    return made, made.advance(START + 120 * SECOND)


def fingerprint(messages: list[TapeMessage]) -> str:
    return blake2b(msgspec.msgpack.encode(messages)).hexdigest()


PROGRAM = f"""
import hashlib, msgspec
from mbtd.market.synthetic.market import SyntheticMarket
messages = SyntheticMarket(7, {START}).advance({START} + 5 * {SECOND})
print(hashlib.blake2b(msgspec.msgpack.encode(messages)).hexdigest())
"""


def test_same_seed_and_start_give_the_same_bytes_in_another_process() -> None:
    def other(hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", PROGRAM]
        return subprocess.run(
            command,
            env=environment,
            cwd=Path(__file__).parents[2],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    assert other("1") == other("2") == fingerprint(run(5))
    assert fingerprint(run(5, seed=8)) != fingerprint(run(5))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 900_000_000), max_size=12))
def test_how_time_is_asked_for_does_not_matter(steps: list[int]) -> None:
    end = START + 3 * SECOND
    market = SyntheticMarket(7, START, QUIET)
    found, at = [], START
    for step in steps:
        at = min(end, at + step)
        part = market.advance(at)
        assert all(message.at < at for message in part)
        found += part
    assert found + market.advance(end) == run(3, QUIET)


def test_time_never_decreases_and_starts_with_the_session(
    market: tuple[SyntheticMarket, list[TapeMessage]],
) -> None:
    _, messages = market
    times = [message.at for message in messages]
    assert times == sorted(times)
    assert isinstance(messages[0], Session)
    assert messages[0].at == START


def test_quotes_are_well_formed(market: tuple[SyntheticMarket, list[TapeMessage]]) -> None:
    made, messages = market
    reference = {instrument.symbol: instrument for instrument in made.reference()}
    quotes = [message for message in messages if isinstance(message, Quote)]
    for quote in quotes:
        instrument = reference[quote.symbol]
        assert all(price % price_step(instrument, price) == 0 for price in (quote.bid, quote.ask))
        assert 0 <= quote.bid <= quote.ask
        assert quote.ask > 0 < quote.ask_size
        assert (quote.bid > 0) == (quote.bid_size > 0)
        if instrument.asset_class == "us_equity":
            assert quote.bid_size % 100 == quote.ask_size % 100 == 0 < quote.bid
            assert quote.ask - quote.bid < quote.bid // 100
    assert sum(quote.bid == quote.ask for quote in quotes) < len(quotes) / 500
    assert {spec.symbol for spec in STOCKS} <= {quote.symbol for quote in quotes}


def test_prints_lie_within_the_quote_before_them_and_use_it_up() -> None:
    standing: dict[str, Quote] = {}
    touched: dict[str, Trade] = {}
    prints = odd = inside = 0
    for message in run(200, QUIET):
        if isinstance(message, Quote):
            old, trade = standing.get(message.symbol), touched.pop(message.symbol, None)
            if old and trade and message.bid == old.bid and message.ask == old.ask and trade.exchange != "D":
                shown = old.bid_size if trade.price == old.bid else old.ask_size
                taken = old.bid_size - message.bid_size + old.ask_size - message.ask_size
                assert taken == (trade.size if trade.conditions == "@" else 0) or trade.size == shown
            standing[message.symbol] = message
        elif isinstance(message, Trade) and message.symbol not in INDEX_SYMBOLS:
            quote = standing[message.symbol]
            assert quote.bid <= message.price <= quote.ask
            assert message.size > 0
            prints += 1
            odd += message.conditions == "@I"
            inside += message.exchange == "D"
            touched[message.symbol] = message
    assert prints > 1000
    assert 0.05 < odd / prints < 0.25
    assert 0.05 < inside / prints < 0.25


def test_rate_is_what_was_asked_for() -> None:
    messages = run(
        240, SyntheticSettings(options=False, quotes_per_second=300), start=parse_time("2026-11-24T23:00:00Z")
    )
    assert 0.6 < len(messages) / 240 / 300 < 1.6
    options = [m for m in run(30) if isinstance(m, Quote) and len(m.symbol) > 6 and m.at > START + SECOND]
    assert len(options) <= 30 * 200


def test_a_busy_market_quotes_options_all_the_time() -> None:
    """Its pieces are short, so that whoever makes them on a loop is never held up for long."""
    fast = SyntheticMarket(7, START, SyntheticSettings(quotes_per_second=20_000))
    fast.advance(START + SECOND)
    messages = fast.advance(START + 3 * SECOND)
    instants = {m.at for m in messages if isinstance(m, Quote) and len(m.symbol) > 6}
    assert len(messages) > 10_000
    assert len(instants) > 30  # of 400 pieces: an option is quoted anew only when its worth has moved


def test_prices_go_on_after_a_restart() -> None:
    def mids(messages: list[TapeMessage]) -> dict[str, float]:
        return {m.symbol: (m.bid + m.ask) / 2 for m in messages if isinstance(m, Quote)}

    before = mids(run(600, QUIET))
    after = mids(run(1, QUIET, start=START + 600 * SECOND))
    for spec in STOCKS:
        assert after[spec.symbol] == pytest.approx(before[spec.symbol], rel=0.012)


def test_prices_move_about_as_much_as_their_volatility_says() -> None:
    levels = [PriceLevels(seed).at(START + day * 86_400 * SECOND) for seed in range(12) for day in range(8)]
    place = next(n for n, spec in enumerate(STOCKS) if spec.symbol == "AAPL")
    changes = [levels[n + 1][place] / levels[n][place] - 1 for n in range(len(levels) - 1) if (n + 1) % 8]
    daily = (sum(change**2 for change in changes) / len(changes)) ** 0.5
    assert 0.5 < daily / (0.26 / 365**0.5) < 2.0


def test_option_contracts_stay_listed_until_they_expire() -> None:
    market = SyntheticMarket(7, START)
    before = {i.symbol: i for i in market.reference() if i.asset_class == "us_option"}
    later = SyntheticMarket(7, START + 3 * 86_400 * SECOND)
    listed = {i.symbol for i in later.reference()}
    day = later.calendar.session_at(START + 3 * 86_400 * SECOND).trade_date
    alive = {symbol for symbol, i in before.items() if i.expiry_date >= day}
    assert alive <= listed
    assert {i.underlying for i in before.values()} == {spec.underlying for spec in OPTIONS}
    for instrument in before.values():
        assert market.calendar.is_exchange_day(instrument.expiry_date)


def test_the_roll_lists_new_contracts_and_stops_quoting_expired_ones() -> None:
    close = parse_time("2026-11-24T21:00:00Z")
    market = SyntheticMarket(7, close - SECOND)
    market.advance(close)
    assert market.take_listings() == []
    expiring = {i.symbol for i in market.reference() if i.expiry_date == 20261124}
    after = market.advance(close + 20 * SECOND)
    new = {i.symbol: i for i in market.take_listings()}
    assert expiring
    assert not expiring & {m.symbol for m in after if isinstance(m, Quote)}
    assert not expiring & {i.symbol for i in market.reference()}
    assert any(i.expiry_date == 20261127 for i in new.values()) or any(
        i.asset_class == "us_option" for i in new.values()
    )
    assert new["AAPL"].previous_close > 0
    quoted = {m.symbol for m in after if isinstance(m, Quote)}
    assert {symbol for symbol, i in new.items() if i.asset_class == "us_option"} <= quoted


def test_exchange_hours_have_auctions_and_closed_nights() -> None:
    def during(at: str, seconds: int) -> list[TapeMessage]:
        start = parse_time(at)
        return run(seconds, XNYS, start=start)

    opening = during("2026-11-27T14:29:58Z", 4)
    auctions = [m for m in opening if isinstance(m, Auction)]
    assert {m.symbol for m in auctions} == {spec.symbol for spec in STOCKS} | INDEX_SYMBOLS
    spx = next(m for m in auctions if m.symbol == "SPX")
    assert spx.price == pytest.approx(10 * next(m.price for m in auctions if m.symbol == "XSP"), rel=1e-5)
    assert {(m.kind, m.at) for m in auctions} == {("open", parse_time("2026-11-27T14:30:00Z"))}
    options = [m.at for m in opening if isinstance(m, Quote) and len(m.symbol) > 6]
    assert min(options) == parse_time("2026-11-27T14:30:00Z")
    assert len({m.symbol for m in opening if isinstance(m, Quote) and len(m.symbol) > 6}) > 2000

    closing = during("2026-11-27T17:59:58Z", 60)  # a half day
    half_day = parse_time("2026-11-27T18:00:00Z")
    kinds = [type(m) for m in closing if m.at == half_day]
    assert kinds[0] is Session
    assert {(m.kind, m.at) for m in closing if isinstance(m, Auction)} == {("close", half_day)}
    assert not [m for m in closing if m.at > half_day and isinstance(m, Quote) and len(m.symbol) > 6]

    night = during("2026-11-27T21:59:59Z", 600)
    assert [m.phase for m in night if isinstance(m, Session)] == ["post", "closed"]
    assert not [m for m in night if m.at >= parse_time("2026-11-27T22:00:00Z") and not isinstance(m, Session)]


class Chain:
    """The standing quotes of one expiry by strike."""

    def __init__(self, contracts: list[Instrument], quotes: dict[str, Quote]) -> None:
        self.calls = {i.strike: quotes[i.symbol] for i in contracts if i.right == "call"}
        self.puts = {i.strike: quotes[i.symbol] for i in contracts if i.right == "put"}
        self.strikes = sorted(self.calls)
        self.american = contracts[0].style == "american"
        self.settles_on = contracts[0].settlement_date
        self.last_trading_day = contracts[0].expiry_date
        self.spot: Quote | None = quotes.get(contracts[0].underlying)


def chains(seed: int, seconds: int) -> dict[str, dict[int, Chain]]:
    market = SyntheticMarket(seed, START)
    quotes = {m.symbol: m for m in market.advance(START + seconds * SECOND + 1) if isinstance(m, Quote)}
    groups: dict[tuple[str, int], list[Instrument]] = defaultdict(list)
    for instrument in market.reference():
        if instrument.asset_class == "us_option" and instrument.symbol in quotes:
            groups[instrument.root, instrument.settlement_date].append(instrument)
    found: dict[str, dict[int, Chain]] = defaultdict(dict)
    for (underlying, expiry), contracts in sorted(groups.items()):
        found[underlying][expiry] = Chain(contracts, quotes)
    return found


@pytest.mark.parametrize(("seed", "seconds"), [(1, 0), (7, 0), (7, 90)])
def test_chains_offer_no_free_money(seed: int, seconds: int) -> None:
    found = chains(seed, seconds)
    assert len(found) == len(OPTIONS)
    for underlying, by_expiry in found.items():
        assert len(by_expiry) >= (4 if underlying in ("SPX", "VIX") else 7), underlying  # monthlies only
        for chain in by_expiry.values():
            assert len(chain.strikes) >= 21
            for low, high in pairwise(chain.strikes):
                assert chain.calls[low].ask >= chain.calls[high].bid
                assert chain.puts[high].ask >= chain.puts[low].bid
                assert chain.calls[low].bid - chain.calls[high].ask <= high - low
                assert chain.puts[high].bid - chain.puts[low].ask <= high - low
            for low, middle, high in zip(chain.strikes, chain.strikes[1:], chain.strikes[2:], strict=False):
                for side in (chain.calls, chain.puts):
                    wings = (high - middle) * side[low].ask + (middle - low) * side[high].ask
                    assert wings >= (high - low) * side[middle].bid
        expiries = sorted(by_expiry)
        for near, far in pairwise(expiries):
            for strike in set(by_expiry[near].strikes) & set(by_expiry[far].strikes):
                assert by_expiry[far].calls[strike].ask >= by_expiry[near].calls[strike].bid
                if by_expiry[far].american:
                    assert by_expiry[far].puts[strike].ask >= by_expiry[near].puts[strike].bid


@pytest.mark.parametrize("seed", [1, 7])
def test_puts_and_calls_are_at_parity(seed: int) -> None:
    calendar = SyntheticMarket(seed, START).calendar
    for root, by_expiry in chains(seed, 0).items():
        for chain in by_expiry.values():
            day = calendar.trading_day(chain.settles_on)
            ends = day.core_opens_at if root in ("SPX", "VIX") else day.core_closes_at
            discount = math.exp(-RATE * years_until(START, ends))
            for strike in chain.strikes:
                call, put = chain.calls[strike], chain.puts[strike]
                if chain.american:
                    assert chain.spot is not None
                    assert call.bid - put.ask <= chain.spot.ask - strike * discount + 1
                    assert call.ask - put.bid >= chain.spot.bid - strike - 1
            if not chain.american:  # the same forward behind every strike
                low, high = chain.strikes[0], chain.strikes[-1]
                box = (high - low) * discount
                bought = chain.calls[low].ask - chain.calls[high].bid + chain.puts[high].ask - chain.puts[low].bid
                sold = chain.calls[low].bid - chain.calls[high].ask + chain.puts[high].bid - chain.puts[low].ask
                assert sold <= box + 1
                assert bought >= box - 1


def test_every_style_and_settlement_is_listed() -> None:
    options = [i for i in SyntheticMarket(7, START).reference() if i.is_option]
    kinds = {(i.style, i.settlement, i.settles) for i in options}
    assert kinds == {("american", "physical", "pm"), ("european", "cash", "pm"), ("european", "cash", "am")}
    assert {(i.tick_price, i.tick_price_from_3) for i in options} == {(100, 100), (100, 500), (500, 1_000)}
    for i in options:
        assert (i.settlement_date > i.expiry_date) == (i.settles == "am")
        assert not i.is_adjusted


positive = st.floats(0.05, 0.8)


@settings(deadline=None)
@given(positive, st.floats(0.0005, 1.5), st.floats(20, 900), st.booleans(), st.booleans())
def test_values_are_monotone_and_convex_in_strike(
    at_the_money: float, years: float, spot: float, call: bool, american: bool
) -> None:
    strikes = [spot * (0.6 + 0.02 * n) for n in range(40)]
    worths = [value(spot, strike, years, call, at_the_money, american)[0] for strike in strikes]
    # An American put is computed by an iteration that is good to about 1e-6 of the spot, far below a price step.
    tiny = spot * (2e-6 if american and not call else 1e-9)
    steps = [after - before for before, after in pairwise(worths)]
    assert all((step <= tiny) if call else (step >= -tiny) for step in steps)
    assert all(after >= before - tiny for before, after in pairwise(steps))
    assert all(abs(step) <= spot * 0.02 + tiny for step in steps)


@settings(deadline=None)
@given(positive, st.floats(0.002, 1.0), st.floats(1.01, 3.0), st.floats(-0.5, 0.5))
def test_total_variance_grows_with_time(at_the_money: float, years: float, longer: float, moneyness: float) -> None:
    near = volatility(moneyness, years, at_the_money) ** 2 * years
    far = volatility(moneyness, years * longer, at_the_money) ** 2 * years * longer
    assert far >= near


@settings(deadline=None)
@given(st.floats(20, 900), st.floats(0.7, 1.4), st.floats(0.001, 1.0), positive, st.booleans())
def test_worth_and_delta_stay_in_their_ranges(
    spot: float, moneyness: float, years: float, at_the_money: float, call: bool
) -> None:
    worth, delta, point = value(spot, spot * moneyness, years, call, at_the_money, False)
    assert worth >= 0 <= point
    assert (0 <= delta <= 1) if call else (-1 <= delta <= 0)


@pytest.mark.parametrize("rate", [0, -5, 10**9])
def test_absurd_rates_are_refused(rate: int) -> None:
    with pytest.raises(ValueError, match="quotes_per_second must be between"):
        SyntheticMarket(1, START, SyntheticSettings(quotes_per_second=rate))
