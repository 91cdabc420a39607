"""The engine: one input at a time, run to the end before the next.

Invariants: :meth:`Engine.command`, :meth:`tape`, :meth:`run_timers` and the others are synchronous and complete.
``now`` never steps back; before an input stamped ``t`` every timer due before ``t`` has run with ``now`` set to
its due time. Accounts are visited in ``account_no`` order, orders in ``order_no`` order. Steps that led to events
gather in :attr:`Engine.steps` until the driver takes them to the journal; nothing may leave the process before
the step it depends on is durable. Known limits: one lane.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from actors.actor import fall_due, intend, perform
from actors.book import events as e
from actors.book import trade
from actors.book.draft import Draft
from actors.book.instruments import Instrument, Instruments
from actors.book.outcome import Done, Outcome, Placed
from actors.book.rules.matching.ledger import follow
from actors.book.rules.matching.profiles import Profiles
from actors.book.rules.reasons import Refusal
from actors.book.state.book import Book
from actors.book.state.fold import fold
from actors.commands import CreateAccount
from actors.house.commands import HouseCommand
from actors.house.decide import Defaults, Opened, open_account
from actors.house.directory import decide as decide_house
from actors.house.state import HOUSE_NO
from actors.inputs import (
    CommandInput,
    Envelope,
    HouseInput,
    Issued,
    Moved,
    ReferenceInput,
    Section,
    Step,
    TapeInput,
    TimerInput,
    UnreadableInput,
)
from actors.market.board import Slot
from actors.market.messages import FeedState, Quote, Session, Status, TapeMessage, Trade
from actors.market.world import World
from actors.turns import Turns

_TAPE = TapeInput()
_ALL = 1 << 62


def _note_status(slot: Slot, message: Status) -> None:
    """Trading that resumes waits for a new quote: the one from before the halt fills nothing (fill model §13)."""
    old, slot.status = slot.status, message
    if message.state == "trading" and old is not None and old.state != "trading":
        slot.quote_epoch = -1


class Created(Struct, frozen=True):
    """An account was opened."""

    account_no: int
    account_id: str
    name: str


class Engine(Turns):
    """One partition: the books in memory, the market, and the order of everything."""

    def __init__(
        self,
        seed: bytes,
        profiles: Profiles | None = None,
        defaults: Defaults | None = None,
        instruments: Iterable[Instrument] = (),
    ) -> None:
        self.seed = seed
        known = profiles or Profiles()
        self.defaults = defaults or Defaults()
        super().__init__(World(Instruments(instruments), known.hashes), known)

    # ── commands ────────────────────────────────────────────────────────────────────────────────────────

    def command(
        self, account_no: int, action: Any, at: int, envelope: Envelope, issued: Issued | None = None
    ) -> Outcome | Created:
        """Run one command of a resident account (or the house) stamped ``at``."""
        self.run_timers_through(at)
        self.input_seq += 1
        if isinstance(action, CreateAccount):
            assert issued is not None
            outcome: Outcome | Created = self._create(action, issued)
        else:
            book = self.books[account_no]
            box: list[Outcome] = []
            good = self.turn(book, lambda draft: box.append(perform(draft, action, self.world, self.profiles)))
            outcome = box[0] if good else Refusal("account_quarantined")
        self.close_step(CommandInput(account_no, action, envelope, issued))
        return outcome

    def unreadable(self, account_no: int, method: str, reason: str, text: str, at: int, account: str = "") -> None:
        """Record that a command could not be read (its sender has the protocol's own error)."""
        self.run_timers_through(at)
        self.input_seq += 1
        numbers = {"text": text[:200]}
        if account_no not in self.books:
            numbers["account"] = account[:64]
        event = e.CommandRefused(method[:64], reason, numbers)
        book = self.books.get(account_no)
        if book is not None:
            self.turn(book, lambda draft: draft.emit(event))
        else:
            self.house_events((event,))
        self.close_step(UnreadableInput(account_no, method[:64], reason, text[:200]))

    def _create(self, action: CreateAccount, issued: Issued) -> Outcome | Created:
        opened = open_account(self.house, action, issued, self.seed, self.profiles, self.defaults)
        if not isinstance(opened, Opened):
            self.house_events((e.CommandRefused("account.create", opened.reason, opened.numbers),))
            return opened
        self.house_events(opened.house_events)
        book = Book(opened.account_no)
        self.books[opened.account_no] = book

        def first(draft: Draft) -> None:
            draft.emit(opened.created)
            if opened.cash:
                draft.emit(
                    e.ActivityBooked(book.next_activity_no, "JNLC", opened.cash, opened.cash, "initial balance")
                )

        self.turn(book, first)
        return Created(opened.account_no, opened.created.account_id, action.name)

    def house_command(self, command: HouseCommand, at: int, envelope: Envelope) -> Refusal | None:
        """Tell the house about keys, sessions, tiers or lists; a refusal changes nothing."""
        self.run_timers_through(at)
        self.input_seq += 1
        outcome = decide_house(self.house, command, self.world.now)
        if isinstance(outcome, Refusal):
            self.house_events((e.CommandRefused(command.__struct_config__.tag, outcome.reason, outcome.numbers),))  # type: ignore[arg-type]
        elif outcome:
            self.house_events(outcome)
        self.close_step(HouseInput(command, envelope))
        return outcome if isinstance(outcome, Refusal) else None

    def preview(self, account_no: int, action: Any, at: int) -> tuple[Outcome, list[Any]]:
        """What a command would do at ``at`` before the market answers; nothing changes."""
        book = self.books[account_no]
        draft = Draft(book, max(at, self.world.now))
        try:
            outcome = intend(draft, action, self.world, self.profiles)
            events = list(draft.events)
        finally:
            draft.discard()
        return outcome, events

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
        if 0 < quote.ask <= slot.ask_down or quote.bid >= slot.bid_up or slot.busy:
            self._quote_concerns(slot, quote)

    def _quote_concerns(self, slot: Slot, quote: Quote) -> None:
        if slot.consumers:
            self._follow_consumption(slot, quote)
        woken = self.world.board.woken_by_quote(slot, quote.bid, quote.ask)
        self.wake(woken, lambda draft, no: trade.meet_quote(draft, no, self.world, self.profiles))
        self.close_step(_TAPE)

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
        woken = board.woken_by_trade(slot, message.price)
        self.wake(woken, lambda draft, no: trade.meet_trade(draft, no, slot, self.world, self.profiles))

    def _status(self, message: Status) -> None:
        slot = self.world.board.slot(message.symbol)
        _note_status(slot, message)
        self.wake(sorted(slot.near), lambda draft, no: trade.meet_change(draft, no, self.world, self.profiles))

    def _session(self, message: Session) -> None:
        self.world.session = message
        waiters = sorted(self.waits.phase_waiters)
        self.waits.phase_waiters.clear()
        for account_no, order_no in waiters:
            book = self.books.get(account_no)
            if book is not None:
                self.waits.arm(book, order_no)
        self.look_again()

    def _feed(self, message: FeedState) -> None:
        self._note_feed(message)
        if message.state == "gap":
            self._gap(message)
        else:
            self.look_again()

    def look_again(self) -> None:
        """What a quote is worth may have changed: judge every order that stands at its level."""
        near = [key for slot in self.world.board.slots.values() for key in slot.near]
        self.wake(sorted(near), lambda draft, no: trade.meet_change(draft, no, self.world, self.profiles))

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
                if message.state == "down":
                    slot.dead = True
                elif message.state == "up":
                    slot.dead = False
                    slot.quote_epoch = -1
        elif message.state == "down":
            world.feed_down = True
        elif message.state == "up":
            world.feed_down = False
            board.feed_epoch += 1

    def _gap(self, message: FeedState) -> None:
        """Messages were lost: whatever was being measured on the tape starts again, and the book says so."""
        symbols = set(message.symbols)
        touched: dict[int, list[int]] = {}
        for account_no in sorted(self.books):
            book = self.books[account_no]
            if book.quarantined:
                continue
            for order_no in sorted(book.orders):
                if not symbols or book.orders[order_no].terms.symbol in symbols:
                    touched.setdefault(account_no, []).append(order_no)
        for account_no, order_nos in touched.items():

            def restart(draft: Draft, order_nos: list[int] = order_nos) -> None:
                draft.emit(e.MarketGapped(message.reason or "gap", message.symbols))
                for order_no in order_nos:
                    watch = draft.book.watch.get(order_no)
                    if watch is not None:
                        draft.watch(order_no, replace(watch, cond_since=0, due_at=0))

            self.turn(self.books[account_no], restart)

    def refeed(self, message: TapeMessage) -> None:
        """Put a message that was applied before a restart back on the board; nothing is woken or decided."""
        world = self.world
        world.tape_seq += 1
        if isinstance(message, Quote | Trade | Status):
            slot = world.board.slot(message.symbol)
            if isinstance(message, Quote):
                if message != slot.quote or slot.quote_epoch != world.board.feed_epoch:
                    slot.quote, slot.quote_seq, slot.quote_epoch = message, world.tape_seq, world.board.feed_epoch
            elif isinstance(message, Trade):
                slot.last, slot.last_seq = message, world.tape_seq
            else:
                _note_status(slot, message)
        elif isinstance(message, Session):
            world.session = message
        elif isinstance(message, FeedState):
            self._note_feed(message)

    # ── timers ──────────────────────────────────────────────────────────────────────────────────────────

    def run_timers(self, before: int) -> None:
        """Run every timer due before ``before``, each as an input of its own at its due time.

        One that leads to no event takes no number: a restarted engine has not the timers that came to nothing.
        """
        timers = self.waits.timers
        while timers.next_due < before:
            self._run_due(_ALL)

    def run_timers_through(self, until: int) -> None:
        """Run every timer due at or before ``until`` and move the time there."""
        self.run_timers(until + 1)
        self.world.now = max(self.world.now, until)

    def run_due(self, until: int, most: int) -> bool:
        """Run up to ``most`` timers due at or before ``until``; whether more are left.

        Many orders can fall due at one instant: this is how a sweep over them is cut into slices.
        """
        if self.waits.timers.next_due <= until:
            self._run_due(most)
        return self.waits.timers.next_due <= until

    def _run_due(self, most: int) -> None:
        due, entries = self.waits.timers.take(most)
        self.world.now = max(self.world.now, due)
        for account_no, order_no, purpose in entries:
            book = self.books.get(account_no)
            if book is None or book.quarantined:
                continue

            def run(draft: Draft, order_no: int = order_no, purpose: int = purpose) -> None:
                fall_due(draft, order_no, purpose, self.world, self.profiles)

            self.turn(book, run, (order_no,))
            if self.has_sections:
                self.input_seq += 1
                self.close_step(TimerInput(account_no, order_no, purpose))

    def reference(self, instruments: Iterable[Instrument], at: int) -> None:
        """Take in new or changed instruments."""
        self._advance(at)
        self.input_seq += 1
        records = tuple(instruments)
        self.world.instruments.update(records)
        self.close_step(ReferenceInput(records))

    def _advance(self, at: int) -> None:
        world = self.world
        if at > world.now:
            if self.waits.timers.next_due < at:
                self.run_timers(at)
            world.now = at

    # ── recovery ────────────────────────────────────────────────────────────────────────────────────────

    def restore_step(self, step: Step, wanted: Callable[[Section], bool] = lambda section: True) -> None:
        """Fold the wanted sections of a journaled step; events that a book already holds are passed over."""
        for section in step.sections:
            if not wanted(section):
                continue
            target: Any = self.house if section.account_no == HOUSE_NO else self._book_for(section)
            if target is None:
                continue
            skip = target.n - section.n_first + 1
            for event in section.events[max(0, skip) :]:
                if section.account_no == HOUSE_NO:
                    self.house.fold(event)
                    if type(event) is e.UserErased:
                        self.drop_books(event.account_nos)
                else:
                    fold(target, event, step.at)
        self.seq = step.seq_last
        self.input_seq = step.input_seq
        self.world.now = max(self.world.now, step.at)

    def restore_moved(self, moved: Moved) -> None:
        """Put back state that moved without an event."""
        book = self.books.get(moved.account_no)
        if book is None:
            return
        for order_no, watch in moved.watches.items():
            if watch is None or order_no not in book.orders:
                book.watch.pop(order_no, None)
            else:
                book.watch[order_no] = watch
        for key, entry in moved.consumed.items():
            if entry is None:
                book.consumed.pop(key, None)
            else:
                book.consumed[key] = entry

    def _book_for(self, section: Section) -> Book | None:
        book = self.books.get(section.account_no)
        if book is None and section.n_first == 1:
            book = self.books[section.account_no] = Book(section.account_no)
        return book

    def admit(self, book: Book) -> None:
        """Take a book into memory and wait for what its orders wait for."""
        self.books[book.account_no] = book
        self.waits.arm_all(book)

    def release(self, account_no: int) -> None:
        """Let an account without live orders leave memory."""
        book = self.books[account_no]
        assert not book.orders
        for side in book.consumed:
            slot = self.world.board.slots.get(side[:-2])
            if slot is not None:
                self.world.board.drop_consumer(slot, account_no)
        del self.books[account_no]


__all__ = ["Created", "Done", "Engine", "Outcome", "Placed", "Refusal"]
