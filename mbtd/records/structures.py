"""Structures for the outside: one profit and loss, one largest loss, breakevens, campaign, exits (contracts §3).

Invariants: money is exact; ``gross_pl`` (``realized_pl``, ``unrealized_pl``, ``total_pl``) is without fees,
``net_pl`` is what is left after those that all fills accrued, while the account is charged each kind rounded up to
the cent once a day. Value is at the marks by which positions are valued, so that structures and what is loose add up
to the account; bounds and breakevens are those at expiry of what is open, at its own cost. Where legs end on
different days only what holds without a model is told, up to the first of them (``bounds_at``): an American contract
is never worth less than its exercise pays, so later legs that were bought bound the loss and later legs that were
sold bound the profit; the rest is null. Shares held beside a covered call count in its bounds and payoff alone: they
are no leg, so its profit, nets and Greeks are the call's (``cover`` has theirs). Nets are a share of one unit as in
the order that closes it: positive is paid, negative is received.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actors.book import events as e
from actors.book.expiries import standing_warnings
from actors.book.instruments import Instrument
from actors.book.rules.money.fees import PICO_PER_MONEY
from actors.book.state.book import Book
from actors.book.state.structures import Structure
from actors.book.structures.exits import middle_doubled
from actors.book.structures.shape import entry_net, unit_of
from actors.book.units import (
    QTY_PER_SHARE,
    average_price,
    divide_half_even,
    format_money,
    format_price,
    format_qty,
    format_time,
    value_money,
)
from actors.market.world import World
from mbtd.market.calendar import new_york_date
from mbtd.pricing.payoff import Leg, corner_points, extremes, last_slope, price_texts, roots
from mbtd.records.options import format_day


def days_in_trade(opened_at: int, now: int) -> int:
    """Calendar days in New York between two instants."""
    return (new_york_date(now) - new_york_date(opened_at)).days


def render_structure(book: Book, structure: Structure, world: World, now: int) -> dict[str, Any]:
    """An open structure at present marks."""
    unit = unit_of(structure.legs)
    legs = [_leg(leg, book, world) for leg in structure.legs]
    cost = sum(leg.basis_money for leg in structure.legs)
    worth = sum(_worth(leg, world) for leg in structure.legs)
    middle = middle_doubled(unit, world) if unit is not None else None
    out = _card(
        structure.structure_id, structure.structure_no, structure.name, structure.underlying, structure.opened_at, now
    )
    out |= {
        "status": "open",
        "qty": str(unit.count) if unit is not None else None,
        "expiration_dates": sorted({leg["expiration_date"] for leg in legs if leg["expiration_date"]}),
        "broken": structure.broken,
        "legs": legs,
        "entry_net": format_price(entry_net(structure.legs, unit.count)) if unit is not None else None,
        "close_net": format_price(divide_half_even(middle, 2)) if middle is not None else None,
        "cost_basis": format_money(cost),
        "market_value": format_money(worth),
        "unrealized_pl": format_money(worth - cost),
        "realized_pl": format_money(structure.realized_money),
        "total_pl": format_money(worth - cost + structure.realized_money),
        **_net(worth - cost + structure.realized_money, structure.fees_pico),
        **_bounds(book, structure, world),
        "campaign": {
            "net_premium": format_money(structure.premium_money),
            "net_cash": format_money(structure.net_money),
            "rolls": structure.rolls,
        },
        "cover": _cover(book, structure, world),
        "exit": _exit(book, structure),
        "warnings": _warnings(book, structure, world),
    }
    return out


def _warnings(book: Book, structure: Structure, world: World) -> list[dict[str, Any]]:
    """What was said of contracts on their last day (margin-and-options §5.4) and holds, and what is waited for."""
    symbols = [leg.symbol for leg in structure.legs]
    waiting = [symbol for symbol in symbols if symbol in book.expiring and book.expiring[symbol].retry_at]
    found = [{"kind": kind, "symbols": list(of)} for kind, of in standing_warnings(book, symbols, world)]
    return [*found, {"kind": "awaiting_settlement", "symbols": waiting}] if waiting else found


def render_ended(last: e.StructureChanged, at: int) -> dict[str, Any]:
    """A structure that has ended, from the last that happened to it."""
    return {
        **_card(last.structure_id, last.structure_no, last.name, last.underlying, last.opened_at, at),
        "status": "closed",
        "closed_at": format_time(at),
        "closed_by": last.change if last.change in ("expired", "exercised", "assigned") else "trade",
        "broken": last.broken,
        "realized_pl": format_money(last.total_realized_money),
        "total_pl": format_money(last.total_realized_money),
        **_net(last.total_realized_money, last.total_fees_pico),
        "campaign": {
            "net_premium": format_money(last.premium_money),
            "net_cash": format_money(last.total_net_money),
            "rolls": last.rolls,
        },
    }


def _net(gross_money: int, fees_pico: int) -> dict[str, str]:
    """Profit before fees, the fees, and what is left."""
    fees = divide_half_even(fees_pico, PICO_PER_MONEY)
    return {
        "gross_pl": format_money(gross_money),
        "fees": format_money(fees),
        "net_pl": format_money(gross_money - fees),
    }


def _card(structure_id: str, number: int, name: str, underlying: str, opened_at: int, now: int) -> dict[str, Any]:
    return {
        "id": structure_id,
        "number": number,
        "name": name,
        "underlying": underlying,
        "opened_at": format_time(opened_at),
        "days_in_trade": days_in_trade(opened_at, now),
    }


def _worth(leg: e.HeldLeg, world: World) -> int:
    mark = world.mark(leg.symbol)
    return value_money(mark, leg.qty, _multiplier(leg, world)) if mark else leg.basis_money


def _multiplier(leg: e.HeldLeg, world: World) -> int:
    instrument = world.instruments.by_symbol.get(leg.symbol)
    return instrument.multiplier if instrument is not None else 1


def _leg(leg: e.HeldLeg, book: Book, world: World) -> dict[str, Any]:
    contract = world.instruments.by_symbol.get(leg.symbol)
    option = contract if contract is not None and contract.is_option else None
    mark, worth = world.mark(leg.symbol), _worth(leg, world)
    size = abs(leg.qty) * _multiplier(leg, world)
    lapsing = _lapsing_qty(leg.symbol, book)
    return {
        "symbol": leg.symbol,
        "side": "long" if leg.qty > 0 else "short",
        "qty": format_qty(leg.qty),
        "type": option.right if option is not None else "stock",
        "strike_price": format_price(option.strike) if option is not None else None,
        "expiration_date": format_day(option.settlement_date) if option is not None else None,
        "avg_entry_price": format_price(average_price(abs(leg.basis_money), size)),
        "current_price": format_price(mark) if mark else None,
        "cost_basis": format_money(leg.basis_money),
        "market_value": format_money(worth),
        "unrealized_pl": format_money(worth - leg.basis_money),
        "do_not_exercise_qty": format_qty(lapsing) if lapsing else None,
    }


def _lapsing_qty(symbol: str, book: Book) -> int:
    """Contracts that the holder wants to lapse, in whatever structures; at most what is held."""
    told, position = book.instructions.get(symbol), book.positions.get(symbol)
    if told is None or told.kind != "do_not_exercise" or position is None:
        return 0
    return min(told.qty, position.qty)


def _exit(book: Book, structure: Structure) -> dict[str, Any] | None:
    held = book.exits.get(structure.structure_no)
    if held is None:
        return None
    order = book.orders.get(held.by_order_no)
    watch = book.watch.get(-structure.structure_no)
    out: dict[str, Any] = {"set_at": format_time(held.set_at), "take_profit": None, "stop_loss": None}
    if held.take_profit is not None:
        out["take_profit"] = {"limit_price": format_price(held.take_profit)}
    if held.stop_loss is not None:
        out["stop_loss"] = {"stop_price": format_price(held.stop_loss)}
        if held.stop_limit is not None:
            out["stop_loss"]["limit_price"] = format_price(held.stop_limit)
    out["waits_for"] = "order" if order is not None else (watch.reason if watch is not None else "quote")
    out["order_id"] = order.terms.order_id if order is not None else None
    return out


# ── at expiry ───────────────────────────────────────────────────────────────────────────────────────────


def _cover(book: Book, structure: Structure, world: World) -> dict[str, Any] | None:
    """Shares held beside a short call that stand behind it, with their own figures: they are no leg."""
    if not structure.cover_qty:
        return None
    symbol = structure.underlying
    qty, cost = _covering(book, structure)
    mark = world.mark(symbol)
    worth = value_money(mark, qty, 1) if mark else cost
    return {
        "symbol": symbol,
        "qty": format_qty(structure.cover_qty),
        "cost_basis": format_money(cost),
        "market_value": format_money(worth),
        "unrealized_pl": format_money(worth - cost),
    }


def _covering(book: Book, structure: Structure) -> tuple[int, int]:
    """Shares that are there to cover, and their part of what the position cost."""
    position = book.positions.get(structure.underlying)
    if position is None or not position.qty:
        return 0, 0
    qty = min(structure.cover_qty, position.qty)
    return qty, divide_half_even(position.basis_money * qty, position.qty)


def payoff_legs(book: Book, structure: Structure, world: World) -> tuple[list[tuple[Instrument, int]], int] | None:
    """Instruments with signed contracts or shares, and what all of it cost (money units), covering shares included.

    None when a contract is unknown, adjusted, or shares are not whole.
    """
    found: list[tuple[Instrument, int]] = []
    cost = 0
    for leg in structure.legs:
        instrument = world.instruments.by_symbol.get(leg.symbol)
        if instrument is None or instrument.is_adjusted or leg.qty % QTY_PER_SHARE:
            return None
        found.append((instrument, leg.qty // QTY_PER_SHARE))
        cost += leg.basis_money
    stock = world.instruments.by_symbol.get(structure.underlying)
    covering, paid = _covering(book, structure)
    if covering and stock is not None:
        found.append((stock, covering // QTY_PER_SHARE))
        cost += paid
    return found, cost


def _bounds(book: Book, structure: Structure, world: World) -> dict[str, Any]:
    """The best and worst end, breakevens, and up to which expiry that holds; null for what cannot be told."""
    found = payoff_legs(book, structure, world)
    if found is None:
        return {"max_profit": None, "max_loss": None, "breakevens": [], "bounded": None, "bounds_at": None}
    held, cost = found
    legs = [
        Leg(contract.symbol, count * contract.multiplier, contract.strike, contract.right == "call")
        if contract.is_option
        else Leg(contract.symbol, count)
        for contract, count in held
    ]
    corners, slope = corner_points(legs, cost), last_slope(legs)
    gain, loss = extremes(corners, slope)
    later = _later(held)
    told_gain = gain is None or all(american and count < 0 for american, count in later)
    told_loss = loss is None or all(american and count > 0 for american, count in later)
    return {
        "max_profit": _bound(gain) if told_gain else None,
        "max_loss": _bound(loss) if told_loss else None,
        "breakevens": price_texts(roots(corners, slope)) if not later else [],
        "bounded": loss is not None if told_loss else None,
        "bounds_at": "first_expiry" if later else "expiry",
    }


def _later(held: Sequence[tuple[Instrument, int]]) -> list[tuple[bool, int]]:
    """Of the contracts that outlive the first expiry: whether they are American, and their signed counts."""
    ends = [(contract.settlement_date, contract.settles != "am") for contract, _ in held if contract.is_option]
    return [
        (contract.style == "american", count)
        for contract, count in held
        if contract.is_option and (contract.settlement_date, contract.settles != "am") > min(ends)
    ]


def _bound(money: int | None) -> str:
    return format_money(money) if money is not None else "unlimited"


def render_warning(name: str, symbol: str, qty: int, structure_id: str, exits: bool) -> dict[str, Any]:
    """What an order is told that takes one leg out of a structure."""
    called = name.replace("_", " ")
    text = f"This takes {format_qty(qty)} of {symbol} out of a structure of several legs ({called}); the others stay."
    if exits:
        text += " Its exits are taken off when it fills."
    return {
        "reason": "leg_alone",
        "message": f"{text} To close all legs together use structure.close.",
        "structure_id": structure_id,
        "symbol": symbol,
        "qty": format_qty(qty),
    }
