"""One account's turn: the right handler on a draft, and the arming of what its orders wait for.

Invariants: an exception or a broken invariant in a turn discards the draft, keeps the last good state and
quarantines this account only. Watches and timers are always derived from the book by :func:`arm`, so a
recovered engine waits for exactly the same things.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors import timers as t
from actors.book import (
    aftermath,
    assign_lots,
    borrow,
    close,
    contingent,
    day_calls,
    decide,
    dues,
    exercise,
    life,
    margin_call,
    meet,
    meet_auctions,
    replace,
    trade,
)
from actors.book import events as e
from actors.book.draft import Draft
from actors.book.margin_band import band_of
from actors.book.outcome import Outcome
from actors.book.rules.matching.market_state import AUCTION_TIMES, eligible_phases
from actors.book.rules.matching.model import FAR_REASONS, SESSION_REASONS
from actors.book.rules.matching.profiles import Profiles
from actors.book.rules.matching.queue import BEHIND, NO_EPOCH
from actors.book.rules.reasons import Refusal, refuse
from actors.book.rules.trailing import trails
from actors.book.state.book import Book, Order, Watch
from actors.book.state.money import Money
from actors.book.structures import exits as structure_exits
from actors.book.structures import orders as structure_orders
from actors.book.units import NS_PER_SECOND
from actors.commands import (
    AssignLots,
    CancelAll,
    CancelOrder,
    ClearPatternDayTrader,
    ClearStructureExit,
    CloseAccount,
    CloseAllPositions,
    ClosePosition,
    CloseStructure,
    ConfigureAccount,
    Deposit,
    DoNotExercisePosition,
    ExercisePosition,
    LocateShares,
    LookAtMargin,
    PlaceOrder,
    RecallBorrow,
    ReplaceOrder,
    ResetAccount,
    RollStructure,
    SetStructureExit,
    Withdraw,
)
from actors.margin_sweep import MarginSweep
from actors.market.board import ASK_UP, BID_DOWN, LAST_DOWN, LAST_UP, Key
from actors.market.world import World

Handler = Callable[[Draft, Any, World, Profiles], Outcome]

HANDLERS: dict[type, Handler] = {
    PlaceOrder: decide.place,
    ReplaceOrder: replace.replace,
    CancelOrder: decide.cancel,
    CancelAll: decide.cancel_all,
    ClosePosition: close.close_position,
    CloseAllPositions: close.close_all,
    AssignLots: assign_lots.assign_lots,
    ExercisePosition: exercise.exercise_position,
    DoNotExercisePosition: exercise.do_not_exercise_position,
    ConfigureAccount: life.configure,
    Deposit: life.deposit,
    Withdraw: life.withdraw,
    CloseAccount: life.close_account,
    ResetAccount: life.reset,
    LocateShares: borrow.locate,
    RecallBorrow: borrow.recall,
    ClearPatternDayTrader: day_calls.clear_pattern,
    CloseStructure: structure_orders.close,
    RollStructure: structure_orders.roll,
    SetStructureExit: structure_exits.set_exit,
    ClearStructureExit: structure_exits.clear_exit,
    LookAtMargin: aftermath.look_exactly,
}
MARGIN_LOOK_NS = 30 * NS_PER_SECOND
"""How often the margin of an account is looked at that prices alone can bring into a call."""
_SWEEP: t.Entry = (0, 0, t.MARGIN)
"""The timer of the sweep: it belongs to no account and comes first at its instant."""
_WHILE_CLOSED = (CancelOrder, CancelAll, CloseAccount, LookAtMargin)


def perform(draft: Draft, action: Any, world: World, profiles: Profiles) -> Outcome:
    """Run a command; what can happen at once (zero latency) happens in the same step, after the answer is made."""
    outcome = intend(draft, action, world, profiles)
    if type(outcome) is not Refusal:
        for event in tuple(draft.events):
            order_no = getattr(event, "order_no", 0)
            if order_no:
                settle_now(draft, order_no, world, profiles)
                if draft.book.groups or draft.book.closing:
                    contingent.follow_up(draft, world, profiles)
    return outcome


def intend(draft: Draft, action: Any, world: World, profiles: Profiles) -> Outcome:
    """A command's own decision, before the market or an instant answers; a discarded one is a preview."""
    book = draft.book
    reason = ""
    if book.quarantined:
        reason = "account_quarantined"
    elif book.status != "ACTIVE" and not isinstance(action, _WHILE_CLOSED):
        reason = "account_closed"
    if reason and not isinstance(action, PlaceOrder):
        draft.emit(e.CommandRefused(type(action).__struct_config__.tag or "", reason))
        return refuse(reason)
    return HANDLERS[type(action)](draft, action, world, profiles)


def settle_now(draft: Draft, order_no: int, world: World, profiles: Profiles) -> None:
    """Do what an order's instants say is due by now."""
    order = draft.book.orders.get(order_no)
    if order is None:
        return
    if order.status == "pending_cancel" and order.cancel_at <= world.now:
        trade.finish_cancel(draft, order_no)
    elif order.status == "pending_replace" and order.replace_at <= world.now:
        replace.finish_replace(draft, order_no, world, profiles)
    elif not order.activated and not order.dormant and order.live_at <= world.now:
        trade.go_live(draft, order_no, world, profiles)


def fall_due(draft: Draft, order_no: int, purpose: int, world: World, profiles: Profiles) -> None:
    """A timer of one order, of a structure (its number, negative), or of the account."""
    if order_no < 0:
        structure_exits.fall_due(draft, -order_no, world, profiles)
    elif purpose == t.DUE:
        dues.run_dues(draft, world, profiles)
    elif purpose == t.MARGIN:
        margin_call.look(draft, world, profiles)
    elif purpose == t.EXPIRE:
        trade.expire(draft, order_no)
    elif purpose == t.CANCEL:
        trade.finish_cancel(draft, order_no)
    elif purpose == t.REPLACE:
        replace.finish_replace(draft, order_no, world, profiles)
    elif purpose == t.LIVE:
        trade.go_live(draft, order_no, world, profiles)
    else:
        order = draft.book.orders.get(order_no)
        watch = draft.book.watch.get(order_no)
        if order is None or watch is None or not 0 < watch.due_at <= world.now:
            return
        if order.terms.time_in_force in AUCTION_TIMES:
            meet_auctions.auction_is_over(draft, order, watch, world, profiles)
        else:
            meet.judge(draft, order, world, profiles, taking=False, quote_is_new=False)


def _is_behind(order: Order, watch: Watch | None) -> bool:
    """Whether nothing can happen to a resting limit before the near side or a print comes to its price.

    A place that was lost says nothing of where the order stands: it is looked at with the next message.
    """
    if watch is None:
        return True
    if watch.reason not in FAR_REASONS or order.terms.time_in_force in AUCTION_TIMES:
        return False
    return watch.place is None or (watch.place.level == BEHIND and watch.place.epoch != NO_EPOCH)


class Waits:
    """What all live orders of an engine wait for: watches on the board, timers, the next phase."""

    __slots__ = ("_account", "_expiry", "_sweep_at", "margin_sweep", "phase_waiters", "profiles", "timers", "world")

    def __init__(self, world: World, profiles: Profiles) -> None:
        self.world = world
        self.profiles = profiles
        self.timers = t.Timers()
        self.phase_waiters: dict[Key, None] = {}
        """Orders that the next change of phase concerns."""
        self._expiry: dict[Key, int] = {}
        self._account: dict[int, tuple[int, int, Money | None, int, str]] = {}
        """Of each account with timers of its own: when it is due, when its margin is looked at next, and for
        which money record, cash and margin profile that holds."""
        self.margin_sweep = MarginSweep()
        self._sweep_at = t.NEVER

    def arm(self, book: Book, order_no: int) -> None:
        """Make what an order waits for follow from the book; an ended order waits for nothing."""
        key = (book.account_no, order_no)
        board = self.world.board
        order = book.orders.get(order_no)
        if order_no < 0 and -order_no in book.exits and not book.quarantined:
            self._arm_exit(book, key)
            return
        if order is None or book.quarantined:
            board.disarm(key)
            self.phase_waiters.pop(key, None)
            if self.world.traces:
                self.world.traces.pop(key, None)
            due = self._expiry.pop(key, None)
            if due is not None:
                self.timers.remove(due, (*key, t.EXPIRE))
            return
        if order.terms.expires_at and key not in self._expiry:
            self._expiry[key] = order.terms.expires_at
            self.timers.add(order.terms.expires_at, (*key, t.EXPIRE))
        if order.status == "pending_cancel":
            self.timers.add(order.cancel_at, (*key, t.CANCEL))
        elif order.status == "pending_replace":
            self.timers.add(order.replace_at, (*key, t.REPLACE))
        if order.dormant:
            board.disarm(key)
            self.phase_waiters.pop(key, None)
        else:
            self._arm_market(book, order, key)

    def _arm_exit(self, book: Book, key: Key) -> None:
        """A structure with exits is looked at with every quote of its legs, and when a level has held long enough."""
        structure = book.structures[-key[1]]
        self.world.board.arm_unit([leg.symbol for leg in structure.legs], key)
        watch = book.watch.get(key[1])
        if watch is not None and watch.due_at:
            self.timers.add(watch.due_at, (*key, t.DWELL))

    def _arm_market(self, book: Book, order: Order, key: Key) -> None:
        board, terms = self.world.board, order.terms
        watch = book.watch.get(key[1])
        reason = watch.reason if watch is not None else ""
        if reason == meet.AWAITING_PRINT:
            self.phase_waiters.pop(key, None)
            board.arm_auction(terms.symbol, key)
            self.timers.add(watch.due_at, (*key, t.DWELL))  # type: ignore[union-attr]
            return
        waits = not order.activated or self.world.now < order.live_at
        if waits or reason in SESSION_REASONS or reason == meet.LATENCY:
            board.disarm(key)
            if self.world.now < order.live_at:
                self.timers.add(order.live_at, (*key, t.LIVE))
            elif self.world.phase in eligible_phases(terms.extended_hours) or (
                terms.time_in_force in AUCTION_TIMES and self.world.session is not None and not order.activated
            ):
                self.timers.add(self.world.now, (*key, t.LIVE))
                if not waits and reason in SESSION_REASONS:
                    # Its phase has begun: a message of this very instant meets it before the timer does.
                    self.phase_waiters.pop(key, None)
                    self._arm_quote(order, key, watch)
            elif watch is None and not order.activated:
                # Its instant passed while a sweep was cut off: it still has to note that it waits for a session.
                self.timers.add(self.world.now, (*key, t.LIVE))
            else:
                self.phase_waiters[key] = None
            return
        self.phase_waiters.pop(key, None)
        if order.triggered or not terms.stop_price:
            self._arm_quote(order, key, watch)
        elif trails(terms):
            board.arm_near(terms.symbol, key)
        else:
            self._arm_stop(order, key)

    def _arm_stop(self, order: Order, key: Key) -> None:
        board, terms = self.world.board, order.terms
        numbers = meet.numbers_for(order, board.slot(terms.symbol), self.profiles)
        if trade.elected_by_quote(order, numbers):
            kind = ASK_UP if terms.side == "buy" else BID_DOWN
        else:
            kind = LAST_UP if terms.side == "buy" else LAST_DOWN
        board.arm_far(terms.symbol, kind, terms.stop_price, key)

    def _arm_quote(self, order: Order, key: Key, watch: Watch | None) -> None:
        board, terms = self.world.board, order.terms
        if terms.legs:
            board.arm_unit([leg.symbol for leg in terms.legs], key)
            if watch is not None and watch.due_at:
                self.timers.add(watch.due_at, (*key, t.DWELL))
        elif order.limit_price and _is_behind(order, watch):
            numbers = meet.numbers_for(order, board.slot(terms.symbol), self.profiles)
            quote, print_ = (BID_DOWN, LAST_DOWN) if terms.side == "buy" else (ASK_UP, LAST_UP)
            board.arm_far(terms.symbol, quote, order.limit_price, key, -1 if numbers.print_fills == "no" else print_)
        else:
            board.arm_near(terms.symbol, key)
            if watch is not None and watch.due_at:
                self.timers.add(watch.due_at, (*key, t.DWELL))

    def arm_account(self, book: Book, *, anew: bool = True, looked: bool = False, quiet_until: int = 0) -> None:
        """Make the account's own timers follow from its book: what is due, and the paced look at its margin.

        The look happens on a fixed grid of instants, so it does not depend on when the account was armed. What
        both depend on changes only with the money record, cash, margin profile and positions: without ``anew`` the
        same ones are passed over. ``looked``: a look has just changed nothing, so there need be none before a price
        leaves the account's band; where it has no band, the last one before ``quiet_until``, up to which no price
        moves, or before its next due is enough.
        """
        if self.world.days is None:
            return
        money, account_no = book.money, book.account_no
        entry = self._account.get(account_no)
        if (entry is None and money is None and not book.positions) or (
            entry is not None
            and not anew
            and entry[2] is money
            and entry[3] == book.cash
            and entry[4] == book.margin_profile
        ):
            return
        old_due, old_look = entry[:2] if entry is not None else (t.NEVER, t.NEVER)
        due = look = t.NEVER
        if not book.quarantined:
            due = dues.next_due(book, self.world)
            if money is not None and margin_call.is_leveraged(book):
                look = (self.world.now // MARGIN_LOOK_NS + 1) * MARGIN_LOOK_NS
        band = band_of(book, self.world) if looked and look != t.NEVER else None
        if band is not None:
            self.margin_sweep.put(account_no, band)
            self._time_sweep(look)
            look = t.NEVER
        else:
            self.margin_sweep.drop(account_no)
            if looked and look != t.NEVER:
                since = max(self.world.now, min(quiet_until, due) - MARGIN_LOOK_NS)
                look = (since // MARGIN_LOOK_NS + 1) * MARGIN_LOOK_NS
        for old, new, purpose in ((old_due, due, t.DUE), (old_look, look, t.MARGIN)):
            if old != new:
                self.timers.remove(old, (account_no, 0, purpose))
                if new != t.NEVER:
                    self.timers.add(new, (account_no, 0, purpose))
        if due == look == t.NEVER and band is None:
            self._account.pop(account_no, None)
        else:
            self._account[account_no] = (due, look, money, book.cash, book.margin_profile)

    def _time_sweep(self, at: int) -> None:
        if self._sweep_at != at:
            self._sweep_at = at
            self.timers.add(at, _SWEEP)

    def sweep_margin(self, at: int) -> None:
        """Before the timers of an instant: have those looked at whose prices have left their band.

        What is due for an account at the same instant changes its book before the look.
        """
        if at != self._sweep_at:
            return
        due_now = [no for no, _, purpose in self.timers.at(at) if purpose == t.DUE and no in self.margin_sweep]
        for account_no in due_now:
            self.margin_sweep.drop(account_no)
        for account_no in (*due_now, *self.margin_sweep.crossed(self.world)):
            due, _, money, cash, profile = self._account[account_no]
            self._account[account_no] = (due, at, money, cash, profile)
            self.timers.add(at, (account_no, 0, t.MARGIN))
        self._sweep_at = t.NEVER
        if self.margin_sweep:
            self._time_sweep(at + MARGIN_LOOK_NS)

    def look_at_all_margins(self) -> None:
        """What a position asks may have changed without its book or a price: no band holds any more."""
        at = (self.world.now // MARGIN_LOOK_NS + 1) * MARGIN_LOOK_NS
        for account_no in self.margin_sweep.clear():
            due, _, money, cash, profile = self._account[account_no]
            self._account[account_no] = (due, at, money, cash, profile)
            self.timers.add(at, (account_no, 0, t.MARGIN))

    def disarm_account(self, account_no: int) -> None:
        """Forget an account's own timers: it leaves memory."""
        self.margin_sweep.drop(account_no)
        entry = self._account.pop(account_no, None)
        if entry is not None:
            self.timers.remove(entry[0], (account_no, 0, t.DUE))
            self.timers.remove(entry[1], (account_no, 0, t.MARGIN))

    def arm_all(self, book: Book) -> None:
        """Arm a book that came into memory."""
        if book.contracts:
            self.world.instruments.keep(book.contracts.values())
        self.world.know(book.positions)
        for order_no in sorted(book.orders):
            self.arm(book, order_no)
        for structure_no in sorted(book.exits):
            self.arm(book, -structure_no)
        for side in book.consumed:
            self.world.board.add_consumer(side[:-2], book.account_no)
        self.arm_account(book)
