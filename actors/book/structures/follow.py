"""What trades and settlements do to structures, found once at the end of a turn from the turn's own events.

Invariants: every change of a position belongs to one structure, or to what is held loose beside them; the legs of all
structures and what is loose add up to the position, and no structure holds an instrument against the position's
side. An order that names a structure works on that one; a unit order that names none opens one, and so does a single
opening option order; anything else first takes what is loose, then structures of one leg, then the others, the
oldest first, and says that a leg went alone. Shares that a contract delivers belong to its structure, unless they
were loose or another structure's before. Cash is shared by quantity, half-even, the last part taking the rest.

Fees are shared like cash, from the bookings of the turn's fills: exactly as they accrue, while the account is charged
each kind rounded up to the cent once a day. Known limit: borrow fees and interest are the account's.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from actors.book import events as e
from actors.book.draft import Draft
from actors.book.ids import derive_structure_id
from actors.book.osi import is_option_symbol
from actors.book.state.book import MISSING
from actors.book.state.structures import Structure
from actors.book.structures.shape import cover_needed, free_cover, name_of, same_shape
from actors.book.units import divide_half_even
from actors.market.world import World

_CHANGED, _FILLED, _LEG_FILLED, _BOOKED = e.PositionChanged, e.OrderFilled, e.OrderLegFilled, e.TradeBooked
_SETTLED = {"OPEXP": "expired", "OPEXC": "exercised", "OPASN": "assigned"}
_CHANGES = ("adjusted", "reduced", "added", "expired", "exercised", "assigned", "leg_alone", "rolled", "opened")
_RANK = {change: rank for rank, change in enumerate(_CHANGES)}
"""Of several things that one turn did to a structure, the later one names the change."""


def follow_up(draft: Draft, world: World) -> None:
    """Emit what this turn's changes of positions did to structures."""
    events = draft.events
    if e.PositionChanged not in map(type, events):
        return
    known = draft.book.structures
    for event in events:
        if type(event) is e.PositionChanged and (known or is_option_symbol(event.symbol)):
            if e.AccountReset not in map(type, events):
                _Run(draft, world).run()
            return


def signed_change(change: e.PositionChanged) -> tuple[int, int]:
    """Signed quantity that came, and the cash that it was worth (positive: received)."""
    qty = money = 0
    for use in change.closed:
        qty -= use.qty
        money += use.proceeds_money
    if change.opened is not None:
        qty += change.opened.qty
        money -= change.opened.basis_money
    return qty, money


class _Tally:
    """What one turn does to one structure."""

    __slots__ = ("broken", "by_order_no", "change", "fees_pico", "net", "premium", "realized", "rolled")

    def __init__(self) -> None:
        self.net = self.realized = self.premium = self.by_order_no = self.fees_pico = 0
        self.change = ""
        self.broken = self.rolled = False

    def note(self, change: str) -> None:
        if not self.change or _RANK[change] > _RANK[self.change]:
            self.change = change


class _Part(Struct, frozen=True):
    """Some of a change, and whose it is."""

    structure_no: int
    """0: loose."""
    qty: int
    opens: bool


class _Run:
    def __init__(self, draft: Draft, world: World) -> None:
        self.draft, self.book, self.world = draft, draft.book, world
        self.legs: dict[int, dict[str, tuple[int, int]]] = {}
        """Quantity and cost of each leg of the structures that this turn can concern."""
        self.terms: dict[int, e.OrderAccepted] = {}
        self.loose: dict[str, int] = {}
        self.tallies: dict[int, _Tally] = {}
        self.openers: dict[int, e.OrderAccepted] = {}
        self.delivered: dict[tuple[int, str], tuple[int, int]] = {}

    def run(self) -> None:
        moves, bookings = self._moves()
        removed: list[_Part] = []
        booked = 0
        for change, order_no, settled, traded in moves:
            symbol = change.symbol
            qty, money = signed_change(change)
            if symbol not in self.loose:
                owned = 0
                for legs in self.legs.values():
                    if symbol in legs:
                        owned += legs[symbol][0]
                self.loose[symbol] = change.qty - qty - owned
            if order_no:
                fees_pico = 0
                if traded and booked < len(bookings):
                    for fee in bookings[booked].fees:
                        fees_pico += fee.pico
                    booked += 1
                self._trade(symbol, qty, money, fees_pico, order_no)
            elif settled and is_option_symbol(symbol):
                removed = self._place(symbol, qty, money, 0, 0)
                self._settle(removed, settled)
            elif settled:
                self._deliver(symbol, qty, money, removed)
            else:
                for part in self._place(symbol, qty, money, 0, 0):
                    if part.structure_no:
                        self._tally(part.structure_no).note("adjusted")
        for (no, symbol), (qty, money) in self.delivered.items():
            if qty:
                self._place(symbol, qty, money, no, no)
            else:
                tally = self._tally(no)
                tally.net += money
                tally.realized += money
        for no in sorted(self.tallies):
            self._emit(no, self.tallies[no])

    def _moves(self) -> tuple[list[tuple[e.PositionChanged, int, str, bool]], list[e.TradeBooked]]:
        """The turn's changes of positions, each with the order or settlement behind it and whether it is a fill's,
        and the bookings of the fills. Loads the structures that hold what changed."""
        moves: list[tuple[e.PositionChanged, int, str, bool]] = []
        bookings: list[e.TradeBooked] = []
        changed: set[str] = set()
        order_no, settled, traded = 0, "", False
        for event in self.draft.events:
            kind = type(event)
            if kind is _CHANGED:
                changed.add(event.symbol)  # type: ignore[union-attr]
                moves.append((event, order_no, settled, traded))  # type: ignore[arg-type]
                traded = False
            elif kind is _LEG_FILLED or kind is _FILLED:
                order_no, settled, traded = event.order_no, "", True  # type: ignore[union-attr]
            elif kind is _BOOKED:
                bookings.append(event)  # type: ignore[arg-type]
            elif kind is e.ActivityBooked:
                order_no, settled = 0, _SETTLED.get(event.activity_type, settled)  # type: ignore[union-attr]
                if not event.activity_type.startswith("OP"):  # type: ignore[union-attr]
                    settled = ""
        for no, structure in self.book.structures.items():
            for leg in structure.legs:
                if leg.symbol in changed:
                    self._load(no)
                    break
        return moves, bookings

    def _load(self, no: int) -> None:
        self.legs[no] = {leg.symbol: (leg.qty, leg.basis_money) for leg in self.book.structures[no].legs}

    def _is_open(self, no: int) -> bool:
        """Whether a structure is there to be worked on."""
        if no and no not in self.legs and no in self.book.structures:
            self._load(no)
        return no in self.legs

    def _tally(self, no: int) -> _Tally:
        tally = self.tallies.get(no)
        if tally is None:
            tally = self.tallies[no] = _Tally()
        return tally

    # ── one change of a position ────────────────────────────────────────────────────────────────────────

    def _trade(self, symbol: str, qty: int, money: int, fees_pico: int, order_no: int) -> None:
        terms = self.terms.get(order_no)
        if terms is None:
            terms = self.terms[order_no] = _terms(self.draft, order_no)
        option = is_option_symbol(symbol)
        target = terms.structure_no if self._is_open(terms.structure_no) else 0
        if not target and (option or terms.legs):
            target = terms.order_no
            self.openers[target] = terms
        before = {no: len(legs) for no, legs in self.legs.items()} if self.legs else {}
        left, left_pico = qty, fees_pico
        for part in self._place(symbol, qty, money, target, target):
            no = part.structure_no
            own_pico = _share(left_pico, part.qty, left) if left_pico else 0
            left, left_pico = left - part.qty, left_pico - own_pico
            if not no:
                continue
            tally = self._tally(no)
            tally.by_order_no = terms.order_no
            tally.fees_pico += own_pico
            if option:
                tally.premium += _share(money, part.qty, qty)
            if part.opens:
                if no not in self.book.structures:
                    tally.note("opened")
                elif any(leg.position_intent.endswith("_to_close") for leg in terms.legs):
                    tally.note("rolled")
                    tally.rolled = True
                else:
                    tally.note("added")
            elif no != target and before[no] > 1:
                tally.note("leg_alone")
                tally.broken = True
            else:
                tally.note("reduced")

    def _settle(self, parts: list[_Part], settled: str) -> None:
        for part in parts:
            if part.structure_no:
                self._tally(part.structure_no).note(settled)

    def _deliver(self, symbol: str, qty: int, money: int, removed: list[_Part]) -> None:
        """Shares that contracts brought or took, shared as the contracts were."""
        whole = sum(part.qty for part in removed)
        for part in removed:
            last = part is removed[-1]
            some = qty if last else qty * part.qty // whole
            worth = money if last else _share(money, part.qty, whole)
            qty, money, whole = qty - some, money - worth, whole - part.qty
            if part.structure_no:
                key = (part.structure_no, symbol)
                had = self.delivered.get(key, (0, 0))
                self.delivered[key] = (had[0] + some, had[1] + worth)
            else:
                self._place(symbol, some, worth, 0, 0)

    def _place(self, symbol: str, qty: int, money: int, own: int, opener: int) -> list[_Part]:
        """Give a change to whoever holds the other side of it, and the rest to ``opener`` (0: loose)."""
        parts: list[_Part] = []
        for no in self._holders(symbol, qty, own):
            held = self.loose[symbol] if not no else self.legs[no][symbol][0]
            took = min(abs(qty), abs(held))
            some = took if qty > 0 else -took
            worth = money if some == qty else _share(money, some, qty)
            if no:
                self._reduce(no, symbol, some, worth)
            else:
                self.loose[symbol] += some
            parts.append(_Part(no, some, opens=False))
            qty, money = qty - some, money - worth
            if not qty:
                return parts
        if opener:
            legs = self.legs.setdefault(opener, {})
            had = legs.get(symbol, (0, 0))
            legs[symbol] = (had[0] + qty, had[1] - money)
            self._tally(opener).net += money
        else:
            self.loose[symbol] += qty
        parts.append(_Part(opener, qty, opens=True))
        return parts

    def _holders(self, symbol: str, qty: int, own: int) -> list[int]:
        """Who holds the other side, in the order in which they are asked."""
        found = [no for no, legs in self.legs.items() if no != own and symbol in legs and legs[symbol][0] * qty < 0]
        if len(found) > 1:
            found.sort(key=lambda no: (len(self.legs[no]), no))
        if self.loose[symbol] * qty < 0:
            found.insert(0, 0)
        if own in self.legs and symbol in self.legs[own] and self.legs[own][symbol][0] * qty < 0:
            found.insert(0, own)
        return found

    def _reduce(self, no: int, symbol: str, qty: int, money: int) -> None:
        held, basis = self.legs[no][symbol]
        gone = basis if held == -qty else divide_half_even(basis * abs(qty), abs(held))
        tally = self._tally(no)
        tally.net += money
        tally.realized += money - gone
        if held == -qty:
            del self.legs[no][symbol]
        else:
            self.legs[no][symbol] = (held + qty, basis - gone)

    # ── facts ───────────────────────────────────────────────────────────────────────────────────────────

    def _emit(self, no: int, tally: _Tally) -> None:
        book, world = self.book, self.world
        old = book.structures.get(no)
        legs = tuple(e.HeldLeg(symbol, qty, basis) for symbol, (qty, basis) in self.legs.get(no, {}).items())
        cover = 0
        if (needed := cover_needed(legs, world.instruments)) > 0:
            had = old.cover_qty if old is not None else free_cover(book, no, self._underlying(legs))
            cover = min(needed, had)
        called = name_of(legs, cover, book, world.instruments) if legs else ""
        first = self._first(no, legs)
        rolls, rolled_by = (old.rolls, old.rolled_by) if old is not None else (0, 0)
        if tally.rolled and tally.by_order_no != rolled_by:
            rolls, rolled_by = rolls + 1, tally.by_order_no
        self.draft.emit(
            e.StructureChanged(
                no, first.structure_id, tally.change or "adjusted", first.underlying, called or first.name, legs,
                tally.net, tally.realized, first.opened_at, first.net_money + tally.net,
                first.realized_money + tally.realized, first.premium_money + tally.premium, rolls,
                first.broken or tally.broken, cover, tally.by_order_no, rolled_by, tally.fees_pico,
                first.fees_pico + tally.fees_pico,
            )
        )  # fmt: skip
        if no in book.exits and old is not None and legs and not same_shape(old.legs, legs):
            self.draft.emit(e.StructureExitSet(no, first.structure_id, None, tally.change))

    def _underlying(self, legs: tuple[e.HeldLeg, ...]) -> str:
        for leg in legs:
            instrument = self.world.instruments.by_symbol.get(leg.symbol)
            if instrument is not None:
                return instrument.underlying or instrument.symbol
        return ""

    def _first(self, no: int, legs: tuple[e.HeldLeg, ...]) -> Structure:
        """The structure as it was, or as it begins."""
        old = self.book.structures.get(no)
        if old is not None:
            return old
        opener = self.openers[no]
        underlying = self._underlying(legs or tuple(e.HeldLeg(leg.symbol, 0, 0) for leg in opener.legs))
        return Structure(
            no, derive_structure_id(opener.order_id), underlying, "", self.draft.at, (), 0, 0, 0, 0, False, 0,
            self.draft.at,
        )  # fmt: skip


def _share(money: int, part: int, whole: int) -> int:
    """What falls to a part of a quantity; both have one sign."""
    return money if part == whole else divide_half_even(money * abs(part), abs(whole))


def _terms(draft: Draft, order_no: int) -> e.OrderAccepted:
    """The terms of an order that filled in this turn, although it may have ended with that."""
    order = draft.book.orders.get(order_no)
    if order is not None:
        return order.terms
    for table, key, old in reversed(draft.undo):
        if key == order_no and old is not MISSING and table is draft.book.orders:
            terms: Any = old.terms
            return terms  # type: ignore[no-any-return]
    raise KeyError(order_no)
