"""Closing and rolling a structure as one order.

Invariants: all legs trade together or none does; what is sent is an ordinary order of the account (a unit order, or a
single one for a single leg), admitted by the same rules, that names its structure; a roll closes and opens in one
order, so that no leg stands alone between. The same client order id with the same command is answered with the first
order, also when the structure has ended by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from hashlib import blake2b
from math import gcd

import msgspec
from msgspec.structs import replace

from actors.book import events as e
from actors.book.decide import accept, admit, first_of, note_rejected
from actors.book.draft import Draft
from actors.book.ids import client_key
from actors.book.instruments import CONTRACT_SHARES, Instruments
from actors.book.osi import BadSymbol, format_osi, is_option_symbol, parse_osi
from actors.book.outcome import Outcome
from actors.book.rules.admission.check import account_refusal
from actors.book.rules.admission.parse import parse
from actors.book.rules.admission.switches import trading_refusal
from actors.book.rules.matching.profiles import Profiles
from actors.book.rules.matrix import CLIENT_ORDER_ID_MAX
from actors.book.rules.reasons import Refusal, refuse
from actors.book.state.book import Book
from actors.book.state.structures import Structure
from actors.book.structures.shape import Unit, unit_of
from actors.book.units import QTY_PER_SHARE, BadNumber, parse_qty
from actors.commands import CloseStructure, OrderLeg, PlaceOrder, RollStructure
from actors.market.world import World

_encode = msgspec.msgpack.Encoder().encode


def find(book: Book, structure_id: str) -> Structure | None:
    """An open structure by its id or its number."""
    if structure_id.isascii() and structure_id.isdigit() and len(structure_id) < 19:
        return book.structures.get(int(structure_id))
    return next((s for s in book.structures.values() if s.structure_id == structure_id), None)


def not_found(draft: Draft, method: str, structure_id: str) -> Refusal:
    """The refusal of a command about a structure that is not open, with its audit event."""
    numbers = {"structure_id": structure_id[:64]}
    draft.emit(e.CommandRefused(method, "structure_not_found", numbers))
    return refuse("structure_not_found", "structure_id", **numbers)


def close(draft: Draft, action: CloseStructure, world: World, profiles: Profiles) -> Outcome:
    """One order against all legs, for all units or some."""
    return _submit(draft, action, world, profiles, lambda structure, unit: _closing(action, unit))


def roll(draft: Draft, action: RollStructure, world: World, profiles: Profiles) -> Outcome:
    """One order that closes legs and opens others."""
    return _submit(draft, action, world, profiles, lambda structure, unit: _rolling(action, unit, world.instruments))


def _submit(draft: Draft, action: CloseStructure | RollStructure, world: World, profiles: Profiles, build) -> Outcome:  # type: ignore[no-untyped-def]
    method = type(action).__struct_config__.tag or ""
    fingerprint = _fingerprint(action)
    book, key = draft.book, 0
    client_id = action.client_order_id
    if client_id is not None and 0 < len(client_id) <= CLIENT_ORDER_ID_MAX:
        key = client_key(client_id)
        first = first_of(book, client_id, key, fingerprint)
        if first is not None:
            return first
    structure = find(book, action.structure_id)
    if structure is None:
        return not_found(draft, str(method), action.structure_id)
    unit = unit_of(structure.legs)
    order = build(structure, unit) if unit is not None else refuse("structure_shares", "structure_id")
    if isinstance(order, PlaceOrder):
        parsed = parse(order, world.instruments)
        refusal = parsed if isinstance(parsed, Refusal) else None
        refusal = refusal or account_refusal(book) or (trading_refusal(world) if world.switches else None)
        if refusal is None and not isinstance(parsed, Refusal):
            admitted = admit(book, parsed, world)
            if not isinstance(admitted, Refusal):
                known, need = admitted
                return accept(
                    draft, replace(known, fingerprint=fingerprint), need, client_id, key, world, profiles,
                    structure_no=structure.structure_no,
                )  # fmt: skip
            refusal = admitted
        assert refusal is not None
        note_rejected(draft, order, refusal)
        return refusal
    draft.emit(e.CommandRefused(str(method), order.reason, order.numbers))
    refused: Refusal = order
    return refused


def _fingerprint(action: CloseStructure | RollStructure) -> int:
    """25 bits of everything that a command says but its account and client id."""
    words = _encode(replace(action, account="", client_order_id=None))
    return int.from_bytes(blake2b(words, digest_size=4).digest(), "big") >> 7


def _units(text: str | None, unit: Unit) -> int | Refusal:
    if text is None:
        return unit.count
    try:
        qty = parse_qty(text)
    except BadNumber:
        qty = 0
    count, rest = divmod(qty, QTY_PER_SHARE)
    if rest or not 0 < count <= unit.count:
        return refuse("structure_qty", "qty", requested=text[:24], held=str(unit.count))
    return count


def _closing(action: CloseStructure, unit: Unit) -> PlaceOrder | Refusal:
    count = _units(action.qty, unit)
    if isinstance(count, Refusal):
        return count
    if action.legs is not None:
        for symbol in action.legs:
            if symbol not in unit.symbols:
                return refuse("roll_leg_not_held", "legs", symbol=symbol[:24])
        unit = Unit(tuple(part for part in unit.parts if part.symbol in action.legs), unit.count)
        if not unit.parts:
            return refuse("legs_required", "legs")
    return closing_order(unit, count, action.type, action.limit_price, action.client_order_id)


def closing_order(
    unit: Unit, count: int, kind: str | None, limit_price: str | None, client_order_id: str | None = None
) -> PlaceOrder:
    """The order that closes so many units."""
    return order_of([(part.symbol, -part.ratio) for part in unit.parts], count, kind, limit_price, client_order_id)


def order_of(
    moves: Sequence[tuple[str, int]], count: int, kind: str | None, limit_price: str | None, client_id: str | None
) -> PlaceOrder:
    """An order that trades signed contracts or lots of each symbol, so many times."""
    kind = kind or ("market" if limit_price is None else "limit")
    if len(moves) == 1:
        symbol, ratio = moves[0]
        if limit_price is not None:
            limit_price = limit_price.removeprefix("-")
        return PlaceOrder(
            symbol=symbol,
            qty=str(abs(ratio) * count * _size(symbol)),
            side="buy" if ratio > 0 else "sell",
            type=kind,
            time_in_force="day",
            limit_price=limit_price,
            client_order_id=client_id,
        )
    common = gcd(*(ratio for _, ratio in moves)) or 1
    return PlaceOrder(
        qty=str(count * common),
        type=kind,
        time_in_force="day",
        limit_price=limit_price,
        client_order_id=client_id,
        order_class="mleg",
        legs=tuple(
            OrderLeg(
                symbol=symbol,
                ratio_qty=str(abs(ratio) // common * _size(symbol)),
                side="buy" if ratio > 0 else "sell",
            )
            for symbol, ratio in moves
        ),
    )


def _size(symbol: str) -> int:
    """What one of a leg's ratio is in an order: a contract, or a hundred shares."""
    return 1 if is_option_symbol(symbol) else CONTRACT_SHARES


def _rolling(action: RollStructure, unit: Unit, instruments: Instruments) -> PlaceOrder | Refusal:
    count = _units(action.qty, unit)
    if isinstance(count, Refusal):
        return count
    held = {part.symbol: part.ratio for part in unit.parts if not part.stock}
    closing = held if action.close is None else {symbol: held.get(symbol, 0) for symbol in action.close}
    for symbol, ratio in closing.items():
        if not ratio:
            return refuse("roll_leg_not_held", "close", symbol=symbol[:24])
    opening = _opening(action, closing, instruments)
    if isinstance(opening, Refusal):
        return opening
    moves = {symbol: -ratio for symbol, ratio in closing.items()}
    for symbol, ratio in opening:
        moves[symbol] = moves.get(symbol, 0) + ratio
    kept = [(symbol, ratio) for symbol, ratio in moves.items() if ratio]
    if not any(ratio and symbol not in closing for symbol, ratio in kept):
        return refuse("roll_opens_nothing", "legs")
    return order_of(kept, count, action.type, action.limit_price, action.client_order_id)


def _opening(
    action: RollStructure, closing: dict[str, int], instruments: Instruments
) -> list[tuple[str, int]] | Refusal:
    """What a roll opens, as signed contracts for each unit."""
    if action.legs:
        found = []
        for index, leg in enumerate(action.legs):
            side = leg.side or (leg.position_intent or "").partition("_")[0]
            if side not in ("buy", "sell"):
                return refuse("invalid_side", f"legs.{index}.side")
            if not leg.ratio_qty.isascii() or not leg.ratio_qty.isdigit() or not 0 < len(leg.ratio_qty) < 6:
                return refuse("leg_ratio", f"legs.{index}.ratio_qty", leg=leg.symbol[:24])
            instrument = instruments.find(leg.symbol)
            symbol = instrument.symbol if instrument is not None else leg.symbol
            found.append((symbol, int(leg.ratio_qty) * (1 if side == "buy" else -1)))
        return found
    if action.expiration_date is None:
        return refuse("roll_opens_nothing", "legs")
    try:
        day = date.fromisoformat(action.expiration_date)
    except ValueError:
        return refuse("contract_unknown", "expiration_date", symbol=action.expiration_date[:24])
    found = []
    for symbol, ratio in closing.items():
        later = at_expiry(symbol, day.year * 10_000 + day.month * 100 + day.day)
        if later is None or later not in instruments.by_symbol:
            return refuse("contract_unknown", "expiration_date", symbol=later or symbol)
        found.append((later, ratio))
    return found


def at_expiry(symbol: str, day: int) -> str | None:
    """The symbol of the same contract at another expiry, YYYYMMDD."""
    read = parse_osi(symbol)
    if read is None:
        return None
    try:
        return format_osi(read.root, day, read.right, read.strike)
    except BadSymbol:
        return None
