"""Market orders of the house against positions of an account: they need no money and ask no permission.

Invariants: a forced order closes and never opens; legs that belong together go in one order, whole units or nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

from actors.book import events as e
from actors.book.draft import Draft
from actors.book.ids import client_key, derive_order_ids
from actors.book.instruments import CONTRACT_SHARES
from actors.book.latency import latency_ns, unit_kind
from actors.book.osi import is_option_symbol
from actors.book.rules.admission.check import market_price
from actors.book.rules.matching.profiles import OPTION, STOCK, Profiles
from actors.book.rules.reasons import Refusal, refuse
from actors.book.structures.address import id_of
from actors.book.units import QTY_PER_SHARE
from actors.market.world import World

FORCED_PREFIX = "liquidation-"
BUY_IN_PREFIX = "buy-in-"
EXPIRY_PREFIX = "expiry-"
PREFIXES = (FORCED_PREFIX, BUY_IN_PREFIX, EXPIRY_PREFIX)
_BEYOND_PRICE = 10**10
"""The most that a net can be: a forced unit is checked at it, so that no price is worse than what was checked."""


def place_forced(
    draft: Draft, symbol: str, qty: int, world: World, profiles: Profiles, prefix: str, structure_no: int = 0
) -> int:
    """A market order against so much of one position; its number."""
    book = draft.book
    buying = book.positions[symbol].qty < 0
    return _accept(
        draft, world, profiles, prefix, structure_no,
        symbol=symbol,
        asset_id=world.instruments.by_symbol[symbol].asset_id,
        side="buy" if buying else "sell",
        qty=qty,
        position_intent="buy_to_close" if buying else "sell_to_close",
        check_price=market_price(symbol, world, buying),
    )  # fmt: skip


def place_forced_unit(
    draft: Draft, moves: Sequence[tuple[str, int]], count: int, world: World, profiles: Profiles, prefix: str,
    structure_no: int = 0,
) -> int:  # fmt: skip
    """A market order that trades signed contracts (or lots of a hundred shares) of each symbol, so many times."""
    common = gcd(*(ratio for _, ratio in moves))
    count *= common
    moves = [(symbol, ratio // common) for symbol, ratio in moves]
    if len(moves) == 1:
        symbol, ratio = moves[0]
        qty = abs(ratio) * count * _size(symbol) * QTY_PER_SHARE
        return place_forced(draft, symbol, qty, world, profiles, prefix, structure_no)
    legs = []
    for symbol, ratio in moves:
        instrument = world.instruments.by_symbol[symbol]
        side = "buy" if ratio > 0 else "sell"
        legs.append(
            e.AcceptedLeg(
                symbol,
                instrument.asset_id,
                side,
                abs(ratio) * _size(symbol),
                f"{side}_to_close",
                instrument.multiplier,
            )
        )
    return _accept(
        draft, world, profiles, prefix, structure_no,
        symbol="", asset_id="", side="buy", qty=count * QTY_PER_SHARE, position_intent="",
        check_price=_BEYOND_PRICE, legs=tuple(legs),
    )  # fmt: skip


def _size(symbol: str) -> int:
    return 1 if is_option_symbol(symbol) else CONTRACT_SHARES


def _accept(
    draft: Draft, world: World, profiles: Profiles, prefix: str, structure_no: int, *, symbol: str, asset_id: str,
    side: str, qty: int, position_intent: str, check_price: int, legs: tuple[e.AcceptedLeg, ...] = (),
) -> int:  # fmt: skip
    book = draft.book
    order_no = book.next_order_no
    order_id, _ = derive_order_ids(book.seed, book.epoch, order_no)
    client_id = f"{prefix}{order_no}"
    profile = profiles.get(book.profile)
    assert profile is not None
    session = world.session
    ends = 0
    if session is not None:
        ends = session.core_closes_at if world.now < session.core_closes_at else session.next_core_closes_at
    kind = unit_kind(len(legs)) if legs else OPTION if is_option_symbol(symbol) else STOCK
    draft.emit(
        e.OrderAccepted(
            order_no, order_id, client_id, client_key(client_id), 0, symbol, asset_id, side, "market", "day", qty,
            0, 0, 0, False, position_intent, "mleg" if legs else "", draft.at,
            draft.at + latency_ns(draft, profiles, profile, order_id, b"latency", kind), ends, 0, qty,
            check_price, 0, book.profile, legs=legs, structure_no=structure_no,
            structure_id=id_of(book, structure_no, order_id, ()),
        )
    )  # fmt: skip
    return order_no


def by_house(terms: e.OrderAccepted, prefix: str | tuple[str, ...] = PREFIXES) -> bool:
    """Whether the house placed an order, for the reason that its client order id begins with.

    A client may choose such an id as well, and must not hold up with it what the house has to do; what the house
    accepts was asked for by nobody, so it has no fingerprint. Nobody else may take it back.
    """
    return not terms.fingerprint and terms.client_order_id.startswith(prefix)


def refuse_forced(terms: e.OrderAccepted) -> Refusal:
    """The refusal to cancel or change an order of the house."""
    return refuse("order_of_house", "order_id", order_id=terms.order_id)


def opens(terms: e.OrderAccepted) -> bool:
    """Whether an order opens anything."""
    return terms.position_intent.endswith("_to_open") or any(
        leg.position_intent.endswith("_to_open") for leg in terms.legs
    )


def concerns(terms: e.OrderAccepted, symbols: set[str]) -> bool:
    """Whether an order trades any of these."""
    return terms.symbol in symbols or any(leg.symbol in symbols for leg in terms.legs)
