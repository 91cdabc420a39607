"""One case for each vector of ``pdt.json``: day trades of the 2001 rules, intraday margin of the 2026 rules."""

from __future__ import annotations

from typing import Any

import pytest

from actors.book.events.parts import DayTrading, Deficit
from actors.book.rules.money import day_trades, intraday
from actors.book.units import parse_money, parse_qty
from actors.market.days import window_start
from mbtd.market.calendar import Calendar, TradeDays
from tests.vectors.cases import load
from tests.vectors.test_sessions import number, text

DAYS = TradeDays(Calendar())


class Counter:
    """Feeds executions of a vector to the rule, with the positions that they meet."""

    def __init__(self, vector: dict[str, Any]) -> None:
        account = vector["account"]
        self.margin = account["type"] == "margin"
        self.record = DayTrading(flagged=account["flagged"])
        self.positions = {p["symbol"]: parse_qty(p["qty"]) for p in vector["start_positions"]}
        self.numbers: dict[str, int] = {}
        self.found: dict[str, int] = {}
        self.trades: set[tuple[int, str]] = set()

    def order_no(self, order_id: str) -> int:
        return self.numbers.setdefault(order_id, len(self.numbers) + 1)

    def execute(self, trade_date: int, order_id: str, parts: list[tuple[str, bool, int]]) -> None:
        self.trades.add((trade_date, order_id))
        legs = []
        for symbol, buying, qty in parts:
            before = self.positions.get(symbol, 0)
            legs.append(day_trades.Leg(symbol, buying, qty, before))
            self.positions[symbol] = before + (qty if buying else -qty)
        if not self.margin:
            return
        first = window_start(DAYS, trade_date, day_trades.WINDOW_DAYS)
        self.record = day_trades.execute(self.record, trade_date, first, self.order_no(order_id), tuple(legs))
        if self.record.day_trades:
            self.found[text(trade_date)] = self.record.day_trades


def pattern(vector: dict[str, Any]) -> dict[str, Any]:
    counter = Counter(vector)
    for bulk in vector.get("bulk_trades", ()):
        for index in range(bulk["n"]):
            counter.execute(number(bulk["trade_date"]), f"bulk{index}", [(f"BULK{index}", True, parse_qty("1"))])
    for fill in vector["fills"]:
        qty = parse_qty(fill["qty"])
        if fill.get("kind") == "exercise":
            counter.positions[fill["symbol"]] -= qty
            held = counter.positions.get(fill["underlying"], 0)
            counter.positions[fill["underlying"]] = held + parse_qty(fill["shares"])
            continue
        parts = [
            (leg["symbol"], leg["side"] == "buy", qty * int(leg["ratio_qty"])) for leg in fill.get("legs", ())
        ] or [(fill["symbol"], fill["side"] == "buy", qty)]
        counter.execute(number(fill["trade_date"]), fill["order_id"], parts)
    as_of = number(vector["as_of"])
    first = window_start(DAYS, as_of, day_trades.WINDOW_DAYS)
    record = day_trades.roll(counter.record, as_of, first)
    count, trades = day_trades.counts(record, first)
    if not counter.margin:
        trades = len(counter.trades)
    answer: dict[str, Any] = {
        "day_trades": counter.found, "count_5d": count, "trades_5d": trades, "flagged": record.flagged
    }  # fmt: skip
    if "probe" in vector:
        answer["probe"] = pattern_probe(counter, vector)
    return answer


def pattern_probe(counter: Counter, vector: dict[str, Any]) -> dict[str, str]:
    probe = vector["probe"]
    trade_date = number(probe["trade_date"])
    buying = probe["side"] == "buy"
    held = counter.positions.get(probe["symbol"], 0)
    reduces = held != 0 and (held > 0) != buying
    opposite = any(
        order["symbol"] == probe["symbol"] and (order["side"] == "buy") != buying
        for order in vector.get("open_orders", ())
    )
    reason = day_trades.refusal(
        counter.record,
        trade_date,
        window_start(DAYS, trade_date, day_trades.WINDOW_DAYS),
        parse_money(vector["account"]["last_equity"]),
        vector["account"]["pdt_check"],
        day_trades.Probe(probe["symbol"], reduces, not reduces or parse_qty(probe["qty"]) > abs(held), opposite),
    )
    return {"decision": "reject", "reason": reason} if reason else {"decision": "accept"}


def intraday_margin(vector: dict[str, Any]) -> dict[str, Any]:
    deficits: tuple[Deficit, ...] = ()
    for day in vector["days"]:
        happened = [(p["t"], "level", p) for p in day["points"] if p["reducing"]]
        if vector.get("deposits_at_start"):
            happened += [(d["t"], "deposit", d) for d in day.get("deposits", ())]
        lowest = 0
        for _, kind, what in sorted(happened, key=lambda entry: entry[:2]):
            if kind == "level":
                lowest = intraday.lowest_after(lowest, parse_money(what["iml"]))
            else:
                lowest = intraday.lowest_with_deposit(lowest, parse_money(what["amount"]))
        deficits = intraday.end_day(
            deficits, DAYS, number(day["date"]), lowest, parse_money(day["equity"]), parse_money(day["eod_iml"]),
            parse_money(day["net_deposits"]),
        )  # fmt: skip
    freezes = [freeze for d in deficits if (freeze := intraday.freeze_of(d)) is not None]
    answer: dict[str, Any] = {
        "deficits": [
            {
                "date": text(d.trade_date),
                "amount": str(d.money // 1_000_000),
                "minor": d.minor,
                "call_due": text(d.call_due),
                "satisfied_on": text(d.satisfied_on) if d.satisfied_on else None,
                "outstanding_through": text(intraday.outstanding_through(d)),
            }
            for d in deficits
        ],
        "freeze": None,
    }
    if freezes:
        f = freezes[0]
        answer["freeze"] = {"trigger": text(f.trigger), "from": text(f.first), "through": text(f.last)}
    if "probe" in vector:
        probe = vector["probe"]
        reason = intraday.refusal(
            deficits,
            number(probe["date"]),
            vector["mode"],
            probe["effect"].startswith("increase"),
            probe["iml_reducing"],
            parse_money(probe["iml_after"]),
        )
        answer["probe"] = {"decision": "reject", "reason": reason} if reason else {"decision": "accept"}
    return answer


KINDS = {"finra_pdt_2001": pattern, "intraday_margin_2026": intraday_margin}


@pytest.mark.parametrize("vector", load("pdt"))
def test_vectors(vector: dict[str, Any]) -> None:
    assert KINDS[vector["rule_set"]](vector) == vector["expected"]
