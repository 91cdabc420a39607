"""Writing down what made a fill (fill model §17).

Invariant: everything that the rules looked at is in the record, so the fill can be computed again from it alone.
"""

from __future__ import annotations

from msgspec import Struct

from actors.book import events as e
from actors.book.ids import MODEL_VERSION
from actors.book.rules.matching.market_state import is_short_restricted
from actors.book.rules.matching.model import Situation, Verdict
from actors.book.rules.matching.profiles import Numbers
from actors.book.state.book import Order, Watch
from actors.market.board import Slot
from actors.market.messages import Auction, Trade
from actors.market.world import World

_MODEL = MODEL_VERSION.decode()


class Trail(Struct, frozen=True, gc=False):
    """What an evaluation used beside the quote."""

    quote_class: str = ""
    draw: int = 0
    draw_size: int = 0
    reserve_draw: int = 0
    level: str = ""
    ahead_before: int = -1
    ahead_after: int = -1
    print: Trade | Auction | None = None
    print_left_qty: int = 0
    print_rest_size: int = 0


def evidence(
    order: Order,
    slot: Slot,
    s: Situation,
    verdict: Verdict,
    world: World,
    numbers: Numbers,
    trail: Trail,
    used_after: int,
    watch: Watch | None,
) -> e.Evidence:
    """The record of one fill."""
    quote, last, status, mark = slot.quote, slot.last, slot.status, trail.print
    if quote is not None:
        shown = (quote.bid, quote.bid_size, quote.ask, quote.ask_size, quote.at, world.tape_seq, slot.quote_seq,
                 quote.bid_exchange, quote.ask_exchange, quote.condition, quote.received_at)  # fmt: skip
    else:
        shown = (0, 0, 0, 0, 0, world.tape_seq, 0, "", "", "", 0)
    return e.Evidence(
        *shown,
        last.price if last is not None else 0, last.at if last is not None else 0, world.phase,
        world.data_class, slot.feed or world.feed, verdict.near, verdict.far,
        verdict.theta_ppm, verdict.theta_take_ppm, verdict.available_qty, s.used_qty, used_after,
        s.leaves_qty or s.leaves_money, s.slice_no, s.cond_since, s.tick_price, order.limit_price, trail.draw,
        numbers.name, world.profile_hashes[numbers.name], _MODEL, s.collar_price, verdict.qty,
        numbers.kind, trail.quote_class, trail.draw_size, s.limit_price,
        status.luld_lower if status is not None else 0, status.luld_upper if status is not None else 0,
        is_short_restricted(slot, world), s.reserve_ppm, trail.reserve_draw, s.inside_since, s.inside_from_start,
        trail.level, trail.ahead_before, trail.ahead_after,
        mark.price if mark is not None else 0, mark.size if mark is not None else 0,
        mark.at if mark is not None else 0, mark.exchange if mark is not None else "",
        mark.conditions if type(mark) is Trade else "", trail.print_left_qty, trail.print_rest_size,
        world.is_bar_tape(slot), slot.underlying.mark() if slot.underlying is not None else 0, s.last_fill_at,
        s.quote_is_new, watch.gap_at if watch is not None else 0, order.terms.live_at - order.terms.submitted_at,
        s.multiplier,
    )  # fmt: skip
