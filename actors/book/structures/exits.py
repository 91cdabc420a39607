"""Profit targets and stops on the net of a structure (fill model §12): held by it until they are cancelled.

Invariants: a level acts when the middle of all legs has stood at or beyond it for two seconds without a break, in
the core session, with every leg's quote good on both sides; anything less starts the time anew. It then submits a
DAY order that closes the whole structure: a limit order at the target, a market order (or one with the stop's own
limit) at the stop; other orders that close its legs are cancelled first. When that order ends unfilled the exits
stand as before; a stop also acts while the target's order rests. Only accounts with such a structure are woken, by
quotes of its legs.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from actors.book import events as e
from actors.book.decide import accept, admit
from actors.book.draft import Draft
from actors.book.latency import unit_kind
from actors.book.outcome import Done, Outcome
from actors.book.rules.admission.parse import Parsed, parse
from actors.book.rules.matching.market_state import classify
from actors.book.rules.matching.multileg import NET_TICK_PRICE, payoff_bounds
from actors.book.rules.matching.profiles import OPTION, Profiles
from actors.book.rules.reasons import Refusal, refuse
from actors.book.rules.unreadable import refuse_number
from actors.book.state.book import Book, Watch
from actors.book.state.structures import Structure
from actors.book.structures.orders import closing_order, find, not_found
from actors.book.structures.shape import Unit, entry_net, unit_of
from actors.book.units import NS_PER_SECOND, BadNumber, divide_half_even, format_price, parse_price, parse_scaled
from actors.commands import ClearStructureExit, SetStructureExit, StopLoss, TakeProfit
from actors.market.world import World

TAKE_PROFIT: Final = "take_profit"
STOP_LOSS: Final = "stop_loss"
HOLD_NS: Final = 2 * NS_PER_SECOND
"""How long the middle must stand at a level."""
RETRY_NS: Final = 60 * NS_PER_SECOND
"""After an order of an exit was refused."""
EXIT_PREFIX: Final = "exit-"
"""Of the client order ids of these orders."""
PERCENT_PPM: Final = 10_000
_GOOD = ("valid", "locked")
_NO_WATCH = Watch()


# ── commands ────────────────────────────────────────────────────────────────────────────────────────────


def set_exit(draft: Draft, action: SetStructureExit, world: World, profiles: Profiles) -> Outcome:
    """Set the levels of a structure in place of those it had."""
    structure = find(draft.book, action.structure_id)
    if structure is None:
        return not_found(draft, "structure.exit_set", action.structure_id)
    levels = _levels(structure, action, draft.at)
    if not isinstance(levels, Refusal):
        levels = _unreachable(structure, levels, world) or _reached(structure, levels, world) or levels
    if isinstance(levels, Refusal):
        draft.emit(e.CommandRefused("structure.exit_set", levels.reason, levels.numbers))
        return levels
    draft.emit(e.StructureExitSet(structure.structure_no, structure.structure_id, levels))
    return Done()


def clear_exit(draft: Draft, action: ClearStructureExit, world: World, profiles: Profiles) -> Outcome:
    """Take the levels off; an order that one of them has submitted stays."""
    structure = find(draft.book, action.structure_id)
    if structure is None:
        return not_found(draft, "structure.exit_clear", action.structure_id)
    if structure.structure_no in draft.book.exits:
        draft.emit(e.StructureExitSet(structure.structure_no, structure.structure_id, None, "user"))
    return Done()


def _levels(structure: Structure, action: SetStructureExit, at: int) -> e.StructureExit | Refusal:
    unit = unit_of(structure.legs)
    if unit is None:
        return refuse("structure_shares", "structure_id")
    entry = entry_net(structure.legs, unit.count)
    target, stop = action.take_profit or TakeProfit(), action.stop_loss or StopLoss()
    profit = _level(target.limit_price, "take_profit.limit_price")
    loss = _level(stop.stop_price, "stop_loss.stop_price")
    limit = _level(stop.limit_price, "stop_loss.limit_price")
    if profit is None:
        profit = _by_percent(entry, action.take_profit_percent, "take_profit_percent", gain=True)
    if loss is None:
        loss = _by_percent(entry, action.stop_loss_percent, "stop_loss_percent", gain=False)
    for found in (profit, loss, limit):
        if isinstance(found, Refusal):
            return found
    assert not isinstance(profit, Refusal)
    assert not isinstance(loss, Refusal)
    assert not isinstance(limit, Refusal)
    if profit is None and loss is None:
        return refuse("structure_exit_required", "take_profit")
    if profit is not None and loss is not None and profit >= loss:
        return _crossed("take_profit", profit, "stop_loss", loss)
    if limit is not None and loss is not None and limit < loss:
        return _crossed("stop_loss.limit_price", loss, "its limit_price", limit, "stop_loss.stop_price")
    return e.StructureExit(profit, loss, limit if loss is not None else None, at)


def _crossed(field: str, low: int, above: str, high: int, below: str = "") -> Refusal:
    return refuse(
        "structure_exits_crossed", field,
        below=below or field, above=above, low=format_price(low), high=format_price(high),
    )  # fmt: skip


def _level(text: str | None, field: str) -> int | Refusal | None:
    if text is None:
        return None
    try:
        net = parse_price(text)
    except BadNumber as error:
        return refuse_number("invalid_limit_price", field, str(error), price=text[:24])
    if net % NET_TICK_PRICE or abs(net) > 10**10:
        return refuse("sub_penny_price", field, price=text[:24], field=field)
    return net


def _by_percent(entry: int, text: str | None, field: str, *, gain: bool) -> int | Refusal | None:
    """The net of the closing order at a profit or loss of so many percent of what the structure cost or brought."""
    if text is None:
        return None
    try:
        ppm = parse_scaled(text.removesuffix("%"), 4)
    except BadNumber:
        ppm = 0
    beyond = ppm > 100 * PERCENT_PPM and (entry < 0) == gain
    if not 0 < ppm <= 10_000 * PERCENT_PPM or beyond or not entry:
        return refuse("structure_exit_percent", field, percent=text[:24])
    move = divide_half_even(abs(entry) * ppm, 100 * PERCENT_PPM * NET_TICK_PRICE) * NET_TICK_PRICE
    return -entry - move if gain else -entry + move


def _reached(structure: Structure, levels: e.StructureExit, world: World) -> Refusal | None:
    """Whether a level would act at once: mostly a wrong sign."""
    unit = unit_of(structure.legs)
    middle = middle_doubled(unit, world) if unit is not None else None
    if middle is None:
        return None
    for name, level, reached in (
        (TAKE_PROFIT, levels.take_profit, levels.take_profit is not None and middle <= 2 * levels.take_profit),
        (STOP_LOSS, levels.stop_loss, levels.stop_loss is not None and middle >= 2 * levels.stop_loss),
    ):
        if reached:
            assert level is not None
            net = format_price(divide_half_even(middle, 2))
            return refuse("structure_exit_reached", name, exit=name, net=net, level=format_price(level))
    return None


def _unreachable(structure: Structure, levels: e.StructureExit, world: World) -> Refusal | None:
    """Whether a level lies outside what closing a unit of one expiry can ever cost: mostly a wrong sign.

    A share counts as a call struck at zero.
    """
    unit, legs = unit_of(structure.legs), []
    ends = set()
    for part in unit.parts if unit is not None else ():
        instrument = world.instruments.by_symbol.get(part.symbol)
        if instrument is None or instrument.is_adjusted:
            return None
        if instrument.is_option:
            ends.add((instrument.settlement_date, instrument.settles))
        legs.append((instrument.right == "call" or not instrument.is_option, instrument.strike, part.ratio))
    if len(ends) != 1:
        return None
    low, high = payoff_bounds(legs)
    least = -high if high is not None else None
    most = -low if low is not None else None
    for name, level, outside in (
        (TAKE_PROFIT, levels.take_profit, least is not None and (levels.take_profit or 0) < least),
        (STOP_LOSS, levels.stop_loss, most is not None and (levels.stop_loss or 0) >= most),
    ):
        if level is not None and outside:
            return refuse(
                "structure_exit_unreachable", name, exit=name, level=format_price(level),
                least=format_price(least) if least is not None else "any amount",
                most=format_price(most) if most is not None else "any amount",
            )  # fmt: skip
    return None


def middle_doubled(unit: Unit, world: World) -> int | None:
    """Twice the net of closing one unit at the middle of every leg; None without two sides of each."""
    net = 0
    for part in unit.parts:
        slot = world.board.slots.get(part.symbol)
        quote = slot.quote if slot is not None else None
        if quote is None or quote.bid <= 0 or quote.ask <= 0:
            return None
        net -= part.ratio * (quote.bid + quote.ask)
    return net


# ── the market ──────────────────────────────────────────────────────────────────────────────────────────


def fall_due(draft: Draft, structure_no: int, world: World, profiles: Profiles) -> None:
    """The end of a level's two seconds, if it still is what the structure waits for."""
    watch = draft.book.watch.get(-structure_no)
    if watch is not None and 0 < watch.due_at <= world.now:
        meet(draft, structure_no, world, profiles)


def meet(draft: Draft, structure_no: int, world: World, profiles: Profiles) -> None:
    """A quote of a leg, or the end of its time: see whether an exit acts now."""
    book = draft.book
    levels, structure = book.exits.get(structure_no), book.structures.get(structure_no)
    if levels is None or structure is None:
        return
    watch = book.watch.get(-structure_no, _NO_WATCH)
    if watch.reason == "refused" and world.now < watch.due_at:
        return
    submitted = levels.submitted if levels.by_order_no in book.orders else ""
    if submitted == STOP_LOSS:
        return
    unit = unit_of(structure.legs)
    if unit is None:
        return
    state = _bad_leg(book, unit, world, profiles)
    middle = middle_doubled(unit, world) if not state else None
    if middle is None:
        _remember(draft, structure_no, watch, Watch(reason=state or "no_far_side"))
        return
    stops = levels.stop_loss is not None and middle >= 2 * levels.stop_loss
    gains = not submitted and levels.take_profit is not None and middle <= 2 * levels.take_profit
    since = (watch.cond_since or world.now) if stops else 0
    gain_since = (watch.inside_since or world.now) if gains else 0
    for exit_, began in ((STOP_LOSS, since), (TAKE_PROFIT, gain_since)):
        if began and world.now - began >= HOLD_NS:
            _act(draft, structure, levels, unit, exit_, middle, began, world, profiles)
            return
    begun = since or gain_since
    due = begun + HOLD_NS if begun else 0
    _remember(
        draft, structure_no, watch,
        Watch(since, "dwell" if begun else "not_reached", due, 0, watch.evaluations + 1, inside_since=gain_since),
    )  # fmt: skip


def meet_change(draft: Draft, structure_no: int, world: World, profiles: Profiles) -> None:
    """The standing quotes may be worth less now: that ends the time that a level has held, and begins none."""
    watch = draft.book.watch.get(-structure_no, _NO_WATCH)
    structure = draft.book.structures.get(structure_no)
    unit = unit_of(structure.legs) if structure is not None and (watch.cond_since or watch.inside_since) else None
    if unit is not None and (state := _bad_leg(draft.book, unit, world, profiles)):
        _remember(draft, structure_no, watch, Watch(reason=state))


def _remember(draft: Draft, structure_no: int, old: Watch, new: Watch) -> None:
    if replace(new, evaluations=0) != replace(old, evaluations=0):
        draft.watch(-structure_no, new)


def _bad_leg(book: Book, unit: Unit, world: World, profiles: Profiles) -> str:
    """Why a leg's quote is not good enough; empty when all are."""
    kind = unit_kind(len(unit.parts)) if len(unit.parts) > 1 else OPTION
    numbers = profiles.numbers(book.profile, kind)
    for part in unit.parts:
        slot = world.board.slots.get(part.symbol)
        for buying in (True, False):
            state = classify(slot, world, numbers, buying, False)
            if state not in _GOOD:
                return f"leg:{part.symbol}:{state}"
    return ""


def _act(
    draft: Draft, structure: Structure, levels: e.StructureExit, unit: Unit, exit_: str, middle: int, since: int,
    world: World, profiles: Profiles,
) -> None:  # fmt: skip
    """Submit the order of an exit that was reached; when it is refused, the orders that it would replace stay."""
    book, no = draft.book, structure.structure_no
    before = draft.savepoint()
    _cancel_others(draft, unit)
    if exit_ == TAKE_PROFIT:
        level = limit = levels.take_profit
    else:
        level, limit = levels.stop_loss, levels.stop_limit
    assert level is not None
    text = format_price(limit) if limit is not None else None
    client_id = f"{EXIT_PREFIX}{no}-{book.next_order_no}"
    parsed = parse(closing_order(unit, unit.count, None, text, client_id), world.instruments)
    admitted = admit(book, parsed, world) if isinstance(parsed, Parsed) else parsed
    seen = tuple(_seen(part.symbol, world) for part in unit.parts)
    if isinstance(admitted, Refusal):
        draft.back_to(before)
        draft.emit(
            e.StructureExitTriggered(
                no, structure.structure_id, exit_, level, middle, since, seen, 0, admitted.reason
            )
        )
        draft.watch(-no, Watch(reason="refused", due_at=world.now + RETRY_NS))
        return
    order, need = admitted
    draft.emit(
        e.StructureExitTriggered(no, structure.structure_id, exit_, level, middle, since, seen, book.next_order_no)
    )
    accept(draft, order, need, client_id, 0, world, profiles, structure_no=no)
    draft.watch(-no, None)


def _seen(symbol: str, world: World) -> e.LegSeen:
    quote = world.board.slots[symbol].quote
    assert quote is not None
    return e.LegSeen(symbol, quote.bid, quote.ask, quote.at)


def _cancel_others(draft: Draft, unit: Unit) -> None:
    """Orders that hold contracts of the structure give way to its exit, newest first."""
    symbols = set(unit.symbols)
    for order_no in sorted(draft.book.orders, reverse=True):
        terms = draft.book.orders[order_no].terms
        if terms.legs:
            closing = any(leg.symbol in symbols and leg.position_intent.endswith("_to_close") for leg in terms.legs)
        else:
            closing = terms.symbol in symbols and terms.position_intent.endswith("_to_close")
        if closing:
            draft.emit(e.OrderCanceled(order_no, "structure_exit"))
