"""One case for each vector of ``expiry.json``, through the rules that the accounts run on."""

from __future__ import annotations

from collections import Counter
from datetime import time
from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from actors.book.draft import Draft
from actors.book.events import ActivityBooked, Lot, PositionChanged
from actors.book.instruments import Instrument, Instruments
from actors.book.option_life import book_outcomes
from actors.book.rules.booking import book_fill
from actors.book.rules.options.assignment import assign
from actors.book.rules.options.exercise import exercise_early
from actors.book.rules.options.expiry import (
    ExpiryPolicy,
    Instruction,
    Settled,
    groups,
    resolve_within_means,
)
from actors.book.rules.options.means import Judge, cash_judge
from actors.book.rules.options.outcome import Activity, Holding, Outcome, activities
from actors.book.rules.options.precheck import Precheck, Touch, Unit, UnitLeg, precheck
from actors.book.state.book import Book, Position
from actors.book.state.fold import fold
from actors.book.units import (
    QTY_PER_SHARE,
    average_price,
    format_money,
    format_price,
    format_qty,
    parse_money,
    parse_price,
    parse_qty,
    value_money,
)
from actors.market.world import World
from mbtd.market.assets import instrument_of
from mbtd.market.calendar import Calendar, new_york_ns, to_date
from mbtd.market.contracts import root_class
from mbtd.market.expiries import decision_cutoff, expiries_between, monthly, trading_ends
from tests.vectors.cases import load

FILE = "expiry"
CALENDAR = Calendar()


class Account:
    """A real book with the vector's positions, booked the way fills are booked."""

    def __init__(self, vector: dict[str, Any]) -> None:
        self.book = Book(1, type=vector["account"]["type"], cash=parse_money(vector["account"]["cash"]))
        self.instruments: dict[str, Instrument] = {}
        self.realized = {"us_option": 0, "us_equity": 0}
        for number, row in enumerate(vector["positions_before"], 1):
            instrument = self.instrument(row)
            qty = parse_qty(row["qty"])
            basis = value_money(parse_price(row["avg_price"]), qty, instrument.multiplier)
            lot = Lot(number, qty, basis, 0, 0)
            self.book.positions[instrument.symbol] = Position(
                instrument.symbol, instrument.asset_id, qty, basis, (lot,), 0
            )
            self.book.next_lot_no = number + 1

    def instrument(self, row: dict[str, Any]) -> Instrument:
        found = instrument_of(row["symbol"], CALENDAR)
        if row["kind"] == "option":
            given = {
                "underlying": row["underlying"],
                "strike": parse_price(row["strike"]),
                "multiplier": int(row["multiplier"]),
                "settlement": row["settlement"],
                "style": row["style"],
            }
            if root_class(found.root).settlement == row["settlement"]:
                assert given == {name: getattr(found, name) for name in given}
            else:  # an invented index
                found = structs.replace(found, **given)
        self.instruments[found.symbol] = found
        return found

    def stock(self, symbol: str) -> Instrument:
        return self.instruments.get(symbol) or self.instrument({"kind": "stock", "symbol": symbol})

    def holding(self, symbol: str, qty: int | None = None) -> Holding:
        return Holding(self.instruments[symbol], self.book.positions[symbol].qty if qty is None else qty)

    def options(self) -> list[Holding]:
        return [self.holding(symbol) for symbol in self.book.positions if self.instruments[symbol].is_option]

    def judge(self, prices: dict[str, int]) -> Judge:
        """A cash account's own means; a margin account may always."""
        if self.book.type != "cash":
            return lambda change: 0
        shares = {symbol: position.qty for symbol, position in self.book.positions.items()}
        return cash_judge(self.book.cash, shares, prices)

    def trade(self, instrument: Instrument, qty: int, price: int) -> None:
        """Change a position by a signed quantity at a price."""
        change = book_fill(self.book, instrument, qty > 0, abs(qty), price, 0, 0, 0)
        self.realized[instrument.asset_class] += change.realized_money
        fold(self.book, change, 0)

    def settle(self, outcomes: list[Outcome]) -> list[ActivityBooked]:
        """Book outcomes as one transaction; the activities that it left."""
        for outcome in outcomes:
            for delivery in outcome.deliveries:
                self.stock(delivery.symbol)
        draft = Draft(self.book, 1)
        book_outcomes(draft, outcomes, World(Instruments(self.instruments.values()), {}))
        draft.check()
        facts = draft.events
        for fact in facts:
            if isinstance(fact, PositionChanged):
                self.realized[self.instruments[fact.symbol].asset_class] += fact.realized_money
        return [fact for fact in facts if isinstance(fact, ActivityBooked)]


def priced(vector: dict[str, Any]) -> dict[str, int]:
    return {symbol: parse_price(text) for symbol, text in vector["settlement"].items()}


def policy_of(vector: dict[str, Any]) -> ExpiryPolicy:
    given = vector["policy"]
    assert given["share_basis"] == "strike"
    assert given["processing_order"] == "expire,exercise,assign"
    return ExpiryPolicy(
        exercise_threshold_money=parse_money(given["exercise_threshold"]),
        shortfall=given["shortfall"],
        contrary_exercise=given.get("contrary_exercise") == "allowed",
    )


def run(vector: dict[str, Any], account: Account) -> list[Activity]:
    """Process the vector on the account; the activities it makes."""
    prices, policy, kind = priced(vector), policy_of(vector), vector["type"]
    if kind == "expiry_precheck":
        return close_out(vector, account, prices, policy)
    outcomes: list[Outcome] = []
    if kind == "expiration":
        told = {"DNE": "do_not_exercise", "EXERCISE": "exercise"}
        instructions = [
            Instruction(told[row["type"]], row["symbol"], parse_qty(row["qty"]))  # type: ignore[arg-type]
            for row in vector["instructions"]
        ]
        for group in groups(account.options()):
            assert group.settles_on == int(vector["date"].replace("-", ""))
            settled = resolve_within_means(group, prices, account.judge(prices), policy, instructions)
            assert isinstance(settled, Settled)
            outcomes += settled.outcomes
    for row in vector["instructions"] if kind == "early_exercise" else ():
        holding = account.holding(row["symbol"], parse_qty(row["qty"]))
        exercised = exercise_early(holding, prices, None, account.judge(prices), policy)
        outcomes.append(exercised.outcome)  # type: ignore[union-attr]
    for row in vector["assignments"]:
        assigned = assign(account.holding(row["symbol"]), prices, int(row["qty"]), "given")
        assert isinstance(assigned, Outcome)
        outcomes.append(assigned)
    booked, rows = account.settle(outcomes), activities(outcomes)
    assert [(b.activity_type, b.symbol, b.qty, b.net_money) for b in booked] == [
        (row.type, row.symbol, row.qty, row.net_money) for row in rows
    ]
    assert len({b.group_no for b in booked}) == len({row.group for row in rows}) == len(outcomes)
    return rows


def close_out(
    vector: dict[str, Any], account: Account, prices: dict[str, int], policy: ExpiryPolicy
) -> list[Activity]:
    quotes = {
        symbol: Touch(parse_price(row["bid"]), parse_price(row["ask"])) for symbol, row in vector["quotes"].items()
    }
    units = [
        Unit(h.instrument.symbol, (UnitLeg(h.instrument, 1 if h.qty > 0 else -1),), abs(h.qty) // QTY_PER_SHARE)
        for h in account.options()
    ]
    found = precheck(units, prices, quotes, account.judge(prices), policy)
    assert isinstance(found, Precheck)
    assert found.deficit_money
    assert not found.left_money
    rows = []
    for group, closing in enumerate(found.closings, 1):
        leg = closing.unit.legs[0]
        qty, price = -leg.contracts * closing.count * QTY_PER_SHARE, quotes[leg.instrument.symbol].bid
        account.trade(leg.instrument, qty, price)
        rows.append(Activity("FILL", leg.instrument.symbol, qty, price, closing.net_money, group))
    return rows


def near(found: int, text: str, tolerance: str) -> bool:
    return abs(Decimal(format_money(found)) - Decimal(text)) <= Decimal(tolerance)


def position_rows(account: Account) -> list[dict[str, str]]:
    rows = []
    for symbol, position in sorted(account.book.positions.items()):
        instrument = account.instruments[symbol]
        average = average_price(abs(position.basis_money), abs(position.qty)) // instrument.multiplier
        rows.append({"symbol": symbol, "qty": format_qty(position.qty), "avg_price": format_price(average)})
    return rows


def cash_settled_sums(rows: list[tuple[str, str, int, int]]) -> dict[str, tuple[int, int]]:
    sums: dict[str, tuple[int, int]] = {}
    for _, symbol, qty, net in rows:
        before = sums.get(symbol, (0, 0))
        sums[symbol] = (before[0] + qty, before[1] + net)
    return sums


@pytest.mark.parametrize("vector", load(FILE))
def test_vectors(vector: dict[str, Any]) -> None:
    if vector["type"] == "calendar":
        check_calendar(vector)
    else:
        check_book(vector)


def check_book(vector: dict[str, Any]) -> None:
    account = Account(vector)
    rows = run(vector, account)
    expected, tolerance = vector["expected"], vector["tolerance"]
    assert near(account.book.cash, expected["cash"], tolerance)
    assert position_rows(account) == [
        {name: row[name] for name in ("symbol", "qty", "avg_price")}
        for row in sorted(expected["positions"], key=lambda row: row["symbol"])
    ]
    assert near(account.realized["us_option"], expected["realized_pnl_options"], tolerance)
    assert near(account.realized["us_equity"], expected["realized_pnl_stock"], tolerance)
    cash_settled = {symbol for symbol, i in account.instruments.items() if i.settlement == "cash"}
    got = [(row.type, row.symbol, row.qty, row.net_money) for row in rows]
    want = [
        (row["type"], row["symbol"], parse_qty(row["qty"]), parse_money(row["net_amount"]))
        for row in expected["activities"]
    ]
    for part in (got, want):
        assert all(row[0].startswith("OP") or row[0] == "FILL" for row in part)
    assert Counter(row for row in got if row[1] not in cash_settled) == Counter(
        row for row in want if row[1] not in cash_settled
    )
    assert cash_settled_sums([row for row in got if row[1] in cash_settled]) == cash_settled_sums(
        [row for row in want if row[1] in cash_settled]
    )
    shown = ("OPTRD", "FILL")
    assert Counter((row.symbol, format_price(row.price)) for row in rows if row.type in shown) == Counter(
        (row["symbol"], row["price"]) for row in expected["activities"] if row["type"] in shown
    )


def wall(day: int, text: str) -> int:
    return new_york_ns(to_date(day), time.fromisoformat(text.split()[0]))


def check_expiry(root: str, settles_on: str, expected: dict[str, str], kind: str) -> None:
    day = int(settles_on.replace("-", ""))
    (found,) = expiries_between(root, day, day, CALENDAR)
    assert found.kind == kind or kind == "any"
    assert found.last_trading_day == int(expected["last_trading_day"].replace("-", ""))
    if "last_trading_time" in expected:
        late = root_class(root).trades_late
        ends = trading_ends(CALENDAR, found.last_trading_day, found.last_trading_day, late)
        assert ends == wall(found.last_trading_day, expected["last_trading_time"])
    if "settlement" in expected:
        settles = root_class(root).settles
        assert settles == ("am" if expected["settlement"].startswith("SET") else "pm")


def check_calendar(vector: dict[str, Any]) -> None:
    expected = vector["expected"]
    match vector["id"]:
        case "pub-cal-juneteenth-2026":
            assert monthly(CALENDAR, 2026, 6).settles_on == 20260618
            check_expiry("AAPL", expected["expiration_date"], expected, "monthly")
        case "pub-cal-spx-am-2026-12":
            check_expiry("SPX", expected["expiration_date"], expected, "monthly")
        case "pub-cal-spxw-2026-12":
            check_expiry("SPXW", expected["expiration_date"], expected, "weekly")
            check_expiry("XSP", expected["expiration_date"], expected, "weekly")
        case "pub-cal-christmas-2026":
            check_expiry("AAPL", expected["expiration_date"], expected, "weekly")
            assert not expiries_between("AAPL", 20261225, 20261225, CALENDAR)
        case "pub-cal-cutoff-early-close":
            assert decision_cutoff(CALENDAR, 20261127) == wall(20261127, expected["cutoff"])
            assert decision_cutoff(CALENDAR, 20261130) == wall(20261130, "17:30")
        case other:
            pytest.fail(f"a calendar vector that nobody reads: {other}")
