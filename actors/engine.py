"""The engine: one input at a time, run to the end before the next.

Invariants: :meth:`Engine.command`, :meth:`tape`, :meth:`run_timers` and the others are synchronous and complete.
``now`` never steps back; before an input stamped ``t`` every timer due before ``t`` has run with ``now`` set to
its due time. Accounts are visited in ``account_no`` order, orders in ``order_no`` order. Steps that led to events
gather in :attr:`Engine.steps` until the driver takes them to the journal; nothing may leave the process before
the step it depends on is durable. Known limits: one lane.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from msgspec import Struct

from actors.actor import intend, perform
from actors.book import events as e
from actors.book.draft import Draft
from actors.book.instruments import Instrument, Instruments
from actors.book.outcome import Done, Outcome, Placed
from actors.book.rules.margin.outside import Pairings, SearchNeeded
from actors.book.rules.matching.profiles import Profiles
from actors.book.rules.money.interest import Rates
from actors.book.rules.reasons import Refusal
from actors.book.state.book import Book
from actors.book.state.fold import fold
from actors.commands import CreateAccount
from actors.house.commands import HouseCommand
from actors.house.decide import Defaults, Opened, open_account
from actors.house.directory import decide as decide_house
from actors.house.state import HOUSE_NO
from actors.inputs import (
    ArriveInput,
    CommandInput,
    Envelope,
    FoundInput,
    HouseInput,
    Issued,
    LeaveInput,
    Moved,
    ReferenceInput,
    Section,
    Step,
    UnreadableInput,
)
from actors.market.days import Days
from actors.market.world import World
from actors.tape import Market


class Created(Struct, frozen=True):
    """An account was opened."""

    account_no: int
    account_id: str
    name: str


class Engine(Market):
    """One partition: the books in memory, the market, and the order of everything."""

    def __init__(
        self,
        seed: bytes,
        profiles: Profiles | None = None,
        defaults: Defaults | None = None,
        instruments: Iterable[Instrument] = (),
        days: Days | None = None,
        rates: Rates | None = None,
    ) -> None:
        self.seed = seed
        self.outside: Pairings | None = None
        """For the driver: what searches found for the next command, or for reads until it is set again; null where
        searches are made in the turn."""
        known = profiles or Profiles()
        self.defaults = defaults or Defaults()
        super().__init__(World(Instruments(instruments), known.hashes, days, rates), known)
        every = [profile for name in known.names() if (profile := known.get(name)) is not None]
        self.world.any_sign = frozenset(p.name for p in every if p.sign_suspect == "accept")
        self.world.closeouts = frozenset(p.name for p in every if p.expiry_policy == "closeout")
        self.world.without_fees = frozenset(p.name for p in every if p.fees == "none")

    # ── commands ────────────────────────────────────────────────────────────────────────────────────────

    def command(
        self, account_no: int, action: Any, at: int, envelope: Envelope, issued: Issued | None = None
    ) -> Outcome | Created:
        """Run one command of a resident account (or the house) stamped ``at``."""
        self.run_timers_through(at)
        if type(action) is CreateAccount:
            assert issued is not None
            self.input_seq += 1
            outcome: Outcome | Created = self._create(action, issued)
        else:
            outcome = self._act(self.books[account_no], action)
        self.close_step(CommandInput(account_no, action, envelope, issued))
        return outcome

    def _act(self, book: Book, action: Any) -> Outcome:
        """One account's turn for a command, with what was found outside for it. Raises :class:`SearchNeeded`."""
        box: list[Outcome] = []
        outside, self.outside = self.outside, None
        before = self.input_seq
        if outside:
            self.note_ground(FoundInput(book.account_no, dict(outside)))
        self.input_seq += 1
        requirements = self.world.requirements
        requirements.outside = outside
        try:
            good = self.turn(book, lambda draft: box.append(perform(draft, action, self.world, self.profiles)))
        except SearchNeeded:
            self.input_seq = before
            if outside:
                self.steps.pop()
            raise
        finally:
            requirements.outside = None
        if outside and not self.has_sections:
            # Nothing came of it, so nothing stands on what was found.
            self.steps.pop()
        return box[0] if good else Refusal("account_quarantined")

    @contextmanager
    def asking(self, *, anew: bool = False) -> Iterator[None]:
        """Reads of accounts, with what was found outside for them. Raises :class:`SearchNeeded`.

        Nothing that cannot be done twice may have happened in the turn before; if it has, ask ``anew``, with nothing
        found, and queue another turn for what needs a search.
        """
        requirements = self.world.requirements
        requirements.outside = {} if anew and self.world.looks is not None else self.outside
        try:
            yield
        finally:
            requirements.outside = None

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
        outcome = decide_house(self.house, command, self.world.now, self.world)
        if isinstance(outcome, Refusal):
            self.house_events((e.CommandRefused(command.__struct_config__.tag, outcome.reason, outcome.numbers),))  # type: ignore[arg-type]
        elif outcome:
            self.house_events(outcome)
            for event in outcome:
                if type(event) is e.CorporateActionAnnounced:
                    self.acting.announce(event)
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

    def reference(self, instruments: Iterable[Instrument], at: int) -> None:
        """Take in new or changed instruments."""
        self._advance(at)
        records = tuple(instruments)
        self.world.instruments.update(records)
        board = self.world.board
        for record in records:
            slot = board.slots.get(record.symbol)
            if slot is not None:
                board.describe(slot, record)
        self.waits.look_at_all_margins()
        self.note_ground(ReferenceInput(records))

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
                    elif type(event) is e.CorporateActionAnnounced:
                        self.acting.know(event)
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
            if watch is None or (order_no not in book.orders and -order_no not in book.exits):
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
        self.note_ground(ArriveInput(book.account_no))
        self.waits.arm_all(book)
        if self.waits.timers.next_due <= self.world.now:
            # It slept past something: that happens before anybody looks at it.
            self.run_timers_through(self.world.now)

    def release(self, account_no: int) -> None:
        """Let an account without live orders leave memory."""
        book = self.books[account_no]
        assert not book.orders
        for side in book.consumed:
            slot = self.world.board.slots.get(side[:-2])
            if slot is not None:
                self.world.board.drop_consumer(slot, account_no)
        self.waits.disarm_account(account_no)
        del self.books[account_no]
        self.note_ground(LeaveInput(account_no))


__all__ = ["Created", "Done", "Engine", "Outcome", "Placed", "Refusal"]
