"""The market in the engine: what each tape message changes on the board, whom it wakes, and what falls due.

Invariants: a message is applied completely before the next; whoever it concerns runs inside its step, accounts in
``account_no`` order; before a message stamped ``t`` every timer due before ``t`` has run. A quote that concerns
nobody costs two comparisons and a few stores. A message that a restart reads again wakes nobody.

Ties of one instant (architecture §3.4): the session, then the tape in its own order, then timers, then commands. So
a message of the instant in which a phase begins meets every order that is in the market in that phase, whether the
order had noted that it waits for it or, standing behind the market, had nothing to note. An order of whose symbol
there is no such message goes on by a timer of that instant, and so does one that was never live: the orders that wait
for a phase can be many, and timers run in slices.
"""

from __future__ import annotations

from msgspec.structs import replace

from actors import officials
from actors.actor import fall_due
from actors.book import events as e
from actors.book import meet, meet_auctions, trade
from actors.book.draft import Draft
from actors.book.rules.matching import queue
from actors.book.rules.matching.ledger import follow
from actors.book.rules.matching.prints import is_eligible
from actors.book.state.book import Watch
from actors.book.structures import exits
from actors.inputs import TapeInput, TimerInput
from actors.market.bands import forget, note_print, note_told
from actors.market.board import Slot
from actors.market.messages import Auction, FeedState, Quote, Session, Status, TapeMessage, Trade
from actors.timers import ACTION, MARGIN
from actors.turns import Turns

_TAPE = TapeInput()
_ALL = 1 << 62


def _note_status(slot: Slot, message: Status) -> bool:
    """Take in a status; whether trading stopped or resumed.

    Trading that resumes waits for a new quote: the one from before the halt fills nothing (fill model §13).
    """
    note_told(slot, message)
    old, slot.status = slot.status, message
    changed = (message.state == "trading") != (old is None or old.state == "trading")
    if changed:
        slot.rejoins += 1
        if message.state == "trading":
            slot.quote_epoch = -1
    return changed


class Market(Turns):
    """Turns that the tape and the clock cause."""

    # ── the tape ────────────────────────────────────────────────────────────────────────────────────────

    def tape(self, message: TapeMessage) -> None:
        """Apply one tape message and everything that it wakes."""
        kind = type(message)
        if kind is Quote:
            self.quote(message)  # type: ignore[arg-type]
            return
        self._advance(message.received_at or message.at)
        self.input_seq += 1
        world = self.world
        world.tape_seq += 1
        if kind is Trade:
            self._trade(message)  # type: ignore[arg-type]
        elif kind is Session:
            self._session(message)  # type: ignore[arg-type]
        elif kind is Status:
            self._status(message)  # type: ignore[arg-type]
        elif kind is Auction:
            self._auction(message)  # type: ignore[arg-type]
        elif kind is FeedState:
            self._feed(message)  # type: ignore[arg-type]
        self.close_step(_TAPE)

    def quote(self, quote: Quote) -> None:
        """Apply one quote. The usual case, in which nobody is concerned, is two comparisons and a few stores.

        The same quote once more is no new quote event and changes nothing (fill model §8, §20.6).
        """
        world = self.world
        stamp = quote.received_at or quote.at
        if stamp > world.now:
            if self.waits.timers.next_due < stamp:
                self.run_timers(stamp)
            world.now = stamp
        self.input_seq += 1
        world.tape_seq += 1
        board = world.board
        slot = board.slots.get(quote.symbol)
        if slot is None:
            slot = board.slot(quote.symbol)
        old = slot.quote
        if old is not None and old.at == quote.at and old == quote and slot.quote_epoch == board.feed_epoch:
            return
        slot.quote = quote
        slot.quote_seq = world.tape_seq
        slot.quote_epoch = board.feed_epoch
        if slot.option:
            slot.underlying_quote = slot.underlying.quote if slot.underlying is not None else None
        if quote.bid <= slot.bid_down or not 0 < quote.ask < slot.ask_up or slot.busy:
            self._quote_concerns(slot, quote)

    def _quote_concerns(self, slot: Slot, quote: Quote) -> None:
        if slot.consumers:
            self._follow_consumption(slot, quote)
        woken = self.world.board.woken_by_quote(slot, quote.bid, quote.ask)
        if woken:
            self.wake(woken, lambda draft, no: self._meet_quote(draft, no, slot))
            self.close_step(_TAPE)

    def _meet_change(self, draft: Draft, order_no: int) -> None:
        """The standing quotes of an order, or of a structure with exits, may be worth something else now."""
        if order_no < 0:
            exits.meet_change(draft, -order_no, self.world, self.profiles)
        else:
            meet.meet_change(draft, order_no, self.world, self.profiles)

    def _meet_quote(self, draft: Draft, order_no: int, slot: Slot) -> None:
        if order_no < 0:
            exits.meet(draft, -order_no, self.world, self.profiles)
            return
        order = draft.book.orders.get(order_no)
        if order is not None and order.terms.stop_price and not order.triggered:
            trade.meet_stop_quote(draft, order, slot, self.world, self.profiles)
        else:
            meet.meet_quote(draft, order_no, self.world, self.profiles)

    def _follow_consumption(self, slot: Slot, quote: Quote) -> None:
        for account_no in list(slot.consumers):
            book = self.books.get(account_no)
            kept = False
            if book is not None:
                for key, price, size in (
                    (f"{slot.symbol}/a", quote.ask, quote.ask_size),
                    (f"{slot.symbol}/b", quote.bid, quote.bid_size),
                ):
                    entry = book.consumed.get(key)
                    if entry is None:
                        continue
                    after = follow(entry, price, size, self.world.now)
                    if after is None:
                        del book.consumed[key]
                    else:
                        kept = True
                        book.consumed[key] = after
                    if after is not entry:
                        self.side_moved(account_no, key)
            if not kept:
                self.world.board.drop_consumer(slot, account_no)

    def _trade(self, message: Trade) -> None:
        board = self.world.board
        slot = board.slot(message.symbol)
        slot.last = message
        slot.last_seq = self.world.tape_seq
        if not is_eligible(message, slot.option):
            return
        slot.print = message
        slot.print_seq = self.world.tape_seq
        if note_print(slot, message, self.world.session):
            officials.note_short_restriction(self, message.symbol)
        woken = board.woken_by_trade(slot, message.price)
        if woken:
            self.wake_accounts(
                woken, lambda draft, nos: trade.meet_trade(draft, nos, slot, self.world, self.profiles)
            )

    def _auction(self, message: Auction) -> None:
        slot = self.world.board.slot(message.symbol)
        officials.note_auction(self, message)
        woken = sorted(slot.near) if message.kind == "halt" else sorted(slot.auction)
        self.wake(
            woken, lambda draft, no: meet_auctions.meet_auction(draft, no, slot, message, self.world, self.profiles)
        )

    def _status(self, message: Status) -> None:
        board = self.world.board
        slot = board.slot(message.symbol)
        concerned = board.all_on(slot) if _note_status(slot, message) else sorted(slot.near)
        self.wake(concerned, self._meet_change)

    def _note_session(self, message: Session) -> None:
        if message.phase != self.world.phase:
            self.world.board.rejoins += 1
            for slot in self.world.board.slots.values():
                forget(slot)
        self.world.begin(message)

    def _session(self, message: Session) -> None:
        officials.note_close(self, message)
        self._note_session(message)
        waiters = sorted(self.waits.phase_waiters)
        self.waits.phase_waiters.clear()
        self.look_again()
        for account_no, order_no in waiters:
            book = self.books.get(account_no)
            if book is not None:
                self.waits.arm(book, order_no)

    def _feed(self, message: FeedState) -> None:
        self._note_feed(message)
        if message.state == "gap":
            self._gap(message)
        else:
            self.look_again()

    def look_again(self) -> None:
        """What a quote is worth may have changed: judge every order that stands at its level."""
        near = [key for slot in self.world.board.slots.values() for key in slot.near]
        self.wake(sorted(near), self._meet_change)

    def _note_feed(self, message: FeedState) -> None:
        """What the board learns from the feed: a new subscription makes every older quote unusable."""
        world = self.world
        board = world.board
        if message.feed and not message.symbols:
            world.feed = message.feed
        if message.symbols:
            for symbol in message.symbols:
                slot = board.slot(symbol)
                slot.feed = message.feed or slot.feed
                if message.state != "lagging":
                    slot.rejoins += 1
                if message.state == "down":
                    slot.dead = True
                elif message.state == "up":
                    slot.dead = False
                    slot.quote_epoch = -1
            return
        if message.state != "lagging":
            board.rejoins += 1
        if message.state == "down":
            world.feed_down = True
        elif message.state == "up":
            world.feed_down = False
            board.feed_epoch += 1

    def _gap(self, message: FeedState) -> None:
        """Messages were lost: whatever was being measured on the tape starts again, and the book says so."""
        self._forget_bands(message)
        symbols = set(message.symbols)
        touched: dict[int, list[int]] = {}
        for account_no in sorted(self.books):
            book = self.books[account_no]
            if book.quarantined:
                continue
            for order_no in sorted(book.orders):
                if not symbols or book.orders[order_no].terms.symbol in symbols:
                    touched.setdefault(account_no, []).append(order_no)
            for structure_no in sorted(book.exits):
                if not symbols or any(leg.symbol in symbols for leg in book.structures[structure_no].legs):
                    touched.setdefault(account_no, []).append(-structure_no)
        for account_no, order_nos in touched.items():

            def restart(draft: Draft, order_nos: list[int] = order_nos) -> None:
                draft.emit(e.MarketGapped(message.reason or "gap", message.symbols))
                for order_no in order_nos:
                    self._forget_measured(draft, order_no)

            self.turn(self.books[account_no], restart, order_nos)

    def _forget_bands(self, message: FeedState) -> None:
        board = self.world.board
        for slot in [board.slot(symbol) for symbol in message.symbols] or list(board.slots.values()):
            forget(slot)

    def _forget_measured(self, draft: Draft, order_no: int) -> None:
        """Whatever an order was measuring on the tape is void; a fill later on says that there was a gap."""
        if order_no < 0:
            draft.watch(order_no, None)
            return
        order, watch = draft.book.orders[order_no], draft.book.watch.get(order_no)
        if watch is None:
            if not order.activated or (order.terms.stop_price and not order.triggered):
                return
            watch = Watch(reason="not_marketable")
        due_at = watch.due_at if watch.reason == meet.AWAITING_PRINT else 0
        draft.watch(
            order_no,
            replace(
                watch, cond_since=0, due_at=due_at, place=queue.lost(watch.place), inside_since=0,
                inside_from_start=False, gap_at=self.world.now,
            ),
        )  # fmt: skip

    def refeed(self, message: TapeMessage) -> None:
        """Put a message that was applied before a restart back on the board; nothing is woken or decided."""
        world = self.world
        world.tape_seq += 1
        if isinstance(message, Quote | Trade | Status):
            slot = world.board.slot(message.symbol)
            if isinstance(message, Quote):
                if message != slot.quote or slot.quote_epoch != world.board.feed_epoch:
                    slot.quote, slot.quote_seq, slot.quote_epoch = message, world.tape_seq, world.board.feed_epoch
                    if slot.underlying is not None:
                        slot.underlying_quote = slot.underlying.quote
            elif isinstance(message, Trade):
                slot.last, slot.last_seq = message, world.tape_seq
                if is_eligible(message, slot.option):
                    slot.print, slot.print_seq = message, world.tape_seq
                    note_print(slot, message, world.session)
            else:
                _note_status(slot, message)
        elif isinstance(message, Session):
            self._note_session(message)
        elif isinstance(message, FeedState):
            self._note_feed(message)
            if message.state == "gap":
                self._forget_bands(message)

    # ── timers ──────────────────────────────────────────────────────────────────────────────────────────

    def run_timers(self, before: int) -> None:
        """Run every timer due before ``before``, each as an input of its own at its due time.

        One that leads to no event takes no number: a restarted engine has not the timers that came to nothing.
        """
        timers = self.waits.timers
        while timers.next_due < before:
            self._run_due(_ALL, before - 1)

    def run_timers_through(self, until: int) -> None:
        """Run every timer due at or before ``until`` and move the time there."""
        if self.waits.timers.next_due <= until:
            self.run_timers(until + 1)
        if until > self.world.now:
            self.world.now = until

    def run_due(self, until: int, most: int) -> bool:
        """Run up to ``most`` timers due at or before ``until``; whether more are left.

        Many orders can fall due at one instant: this is how a sweep over them is cut into slices.
        """
        if self.waits.timers.next_due <= until:
            self._run_due(most)
        return self.waits.timers.next_due <= until

    def _run_due(self, most: int, until: int = 0) -> None:
        """``until``: no message comes before this instant."""
        self.world.now = max(self.world.now, self.waits.timers.next_due)
        self.waits.sweep_margin(self.waits.timers.next_due)
        _, entries = self.waits.timers.take(most)
        for account_no, order_no, purpose in entries:
            if purpose == ACTION:
                self.acting.fall_due()
                continue
            book = self.books.get(account_no)
            if book is None or book.quarantined:
                continue

            def run(draft: Draft, order_no: int = order_no, purpose: int = purpose) -> None:
                fall_due(draft, order_no, purpose, self.world, self.profiles)

            self.turn(book, run, (order_no,) if order_no else ())
            if not order_no:
                # Without a message no price moves: after a look that led to nothing it is not worth many more.
                looked = purpose == MARGIN and not self.has_sections
                self.waits.arm_account(book, looked=looked, quiet_until=until)
            if self.has_sections:
                self.input_seq += 1
                self.close_step(TimerInput(account_no, order_no, purpose))

    def _advance(self, at: int) -> None:
        world = self.world
        if at > world.now:
            if self.waits.timers.next_due < at:
                self.run_timers(at)
            world.now = at
