"""Resting orders and structures when a corporate action happens to their securities.

Invariants: what becomes of an order follows from the rules (:mod:`actors.book.rules.actions.orders`) and the policy
of the account; an adjusted order goes on as its own replacement under the same client id; a cancelled one says why,
and takes its whole group with it. Orders whose time is over at that instant are left to it. A structure keeps its
number.
"""

from __future__ import annotations

from fractions import Fraction

from msgspec import Struct
from msgspec.structs import replace

from actors.book import events as e
from actors.book.actions.due import is_order_in
from actors.book.actions.plan import Becomes
from actors.book.contingent import end
from actors.book.decide import needed_without_change
from actors.book.draft import Draft
from actors.book.events import CorporateAction
from actors.book.ids import derive_order_ids
from actors.book.osi import is_option_symbol
from actors.book.rules.actions.arithmetic import half_up, new_qty
from actors.book.rules.actions.orders import Change, Verdict, order_change
from actors.book.state.book import Book, Order
from actors.book.state.structures import Structure
from actors.book.structures.shape import name_of
from actors.book.units import QTY_PER_SHARE
from actors.market.world import World

REASON = "corporate_action"


class Decided(Struct, frozen=True):
    """What becomes of one order."""

    order_no: int
    verdict: Verdict


def changes(draft: Draft, action: CorporateAction, before_at: int, world: World) -> list[Decided]:
    """What becomes of every order that an action concerns, oldest first."""
    book = draft.book
    rules = book.rules()
    out: list[Decided] = []
    for order_no in sorted(book.orders):
        order = book.orders[order_no]
        terms = order.terms
        over = 0 < terms.expires_at <= before_at or terms.submitted_at >= before_at
        if over or not is_order_in(terms, action, world):
            continue
        if terms.legs or is_option_symbol(terms.symbol):
            lowers = action.type in ("cash_dividend", "capital_gains_distribution")
            stays = lowers and rules.action_orders != "cancel_all" and not _in_class(terms)
            verdict: Verdict = None if stays else "cancel"
        else:
            verdict = order_change(action, terms, rules.action_orders, order.filled_qty, rules.order_size_rounding)
        if verdict is not None and (order.triggered or order.status == "pending_cancel"):
            verdict = "cancel"
        if verdict is not None:
            out.append(Decided(order_no, verdict))
    return out


def _in_class(terms: e.OrderAccepted) -> bool:
    return any(is_option_symbol(leg.symbol) for leg in terms.legs or (terms,))


def groups(book: Book, decided: list[Decided]) -> list[tuple[int, int, int]]:
    """Groups of which orders are scaled: their quantities in new units."""
    out = {}
    for each in decided:
        group_no = book.orders[each.order_no].terms.group_no
        if group_no and isinstance(each.verdict, Change) and each.verdict.ratio != 1:
            group, ratio = book.groups[group_no], each.verdict.ratio
            out[group_no] = (group_no, _whole(group.entry_qty, ratio), _whole(group.exit_qty, ratio))
    return list(out.values())


def _whole(qty: int, ratio: Fraction) -> int:
    return int(qty * ratio) // QTY_PER_SHARE * QTY_PER_SHARE


def change(draft: Draft, decided: list[Decided], ca_id: str, world: World) -> None:
    """Cancel and replace."""
    book = draft.book
    for each in decided:
        order = book.orders.get(each.order_no)
        if order is None:
            continue
        if not isinstance(each.verdict, Change):
            end(draft, each.order_no, REASON, ca_id)
            continue
        if order.status == "pending_replace":
            needed = needed_without_change(order)
            draft.emit(e.OrderReplaceRejected(each.order_no, order.terms.order_id, REASON, *needed))
        _replace(draft, book.orders[each.order_no], each.verdict, ca_id, world)


def _replace(draft: Draft, order: Order, new: Change, ca_id: str, world: World) -> None:
    book, old = draft.book, order.terms
    order_no = book.next_order_no
    order_id, _ = derive_order_ids(book.seed, book.epoch, order_no)
    instrument = world.instruments.by_symbol.get(new.symbol)
    leaves = new.qty - new.filled_qty
    price = new.limit_price or new.stop_price
    before = (old.limit_price or old.stop_price) * order.leaves_qty
    money = order.reserved_money
    if before and leaves > 0:
        money = half_up(Fraction(money * price * leaves, before))
    held = min(leaves, _whole(order.reserved_qty, new.ratio)) if new.ratio != 1 else order.reserved_qty
    lower = new.limit_price != old.limit_price or new.stop_price != old.stop_price
    watch = book.watch.get(old.order_no)
    mark = watch.high_water_mark if watch is not None else 0
    terms = replace(
        old, order_no=order_no, order_id=order_id, symbol=new.symbol,
        asset_id=instrument.asset_id if instrument is not None else old.asset_id, qty=new.qty,
        limit_price=new.limit_price, stop_price=new.stop_price,
        check_price=price if old.check_price and lower else old.check_price,
        collar_price=half_up(old.collar_price / new.ratio) if old.collar_price else 0,
        live_at=max(order.live_at, draft.at) if order.activated else order.live_at, reserved_money=money,
        reserved_qty=held, filled_qty=new.filled_qty, filled_money=order.filled_money, fill_count=order.fill_count,
        replaces=old.order_no, high_water_mark=mark or old.high_water_mark,
    )  # fmt: skip
    draft.emit(e.OrderReplaced(old.order_no, terms, ca_id))


# ── structures ──────────────────────────────────────────────────────────────────────────────────────────────


def follow_structures(draft: Draft, becomes: dict[str, Becomes], ca_id: str, world: World) -> None:
    """Structures hold what their legs have become; levels at which they would be closed are void."""
    book = draft.book
    for no in sorted(book.structures):
        structure = book.structures[no]
        if any(leg.symbol in becomes for leg in structure.legs):
            _follow(draft, structure, becomes, ca_id, world)


def _follow(draft: Draft, old: Structure, becomes: dict[str, Becomes], ca_id: str, world: World) -> None:
    book = draft.book
    legs: list[e.HeldLeg] = []
    net = realized = 0
    for leg in old.legs:
        after = becomes.get(leg.symbol, (leg.symbol, Fraction(1)))
        if isinstance(after, int):
            money = after * (leg.qty // QTY_PER_SHARE)
            net, realized = net + money, realized + money - leg.basis_money
        else:
            legs.append(e.HeldLeg(after[0], new_qty(leg.qty, after[1]), leg.basis_money))
    left = tuple(leg for leg in legs if leg.qty)
    instrument = next((found for leg in left if (found := world.instruments.by_symbol.get(leg.symbol))), None)
    underlying = (instrument.underlying or instrument.symbol) if instrument is not None else old.underlying
    # Shares behind a short call become what all shares do; of another security, or as cash, they cover nothing.
    stock = becomes.get(old.underlying, (old.underlying, Fraction(1)))
    cover = new_qty(old.cover_qty, stock[1]) if not isinstance(stock, int) and stock[0] == underlying else 0
    called = name_of(left, cover, book, world.instruments) if left else ""
    draft.emit(
        e.StructureChanged(
            old.structure_no, old.structure_id, "adjusted", underlying, called or old.name, left, net, realized,
            old.opened_at, old.net_money + net, old.realized_money + realized, old.premium_money, old.rolls,
            old.broken, cover, 0, old.rolled_by, 0, old.fees_pico, ca_id,
        )
    )  # fmt: skip
    if left and old.structure_no in book.exits:
        draft.emit(e.StructureExitSet(old.structure_no, old.structure_id, None, REASON))
