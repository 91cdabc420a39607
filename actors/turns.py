"""Turns and steps: one account's part of an input, all or nothing, and what gathers for the journal.

Invariants: a turn that raises leaves its book as it was and quarantines that account only. Event numbers run
without a gap over the partition. What moved without an event is named here until the driver takes it by value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from actors.acting import Acting
from actors.actor import Waits
from actors.book import contingent
from actors.book import events as e
from actors.book.aftermath import book_trades, look_at_margin
from actors.book.draft import Draft
from actors.book.rules.margin.outside import SearchNeeded
from actors.book.rules.matching.profiles import Profiles
from actors.book.state.book import Book
from actors.book.structures import follow
from actors.house.state import HOUSE_NO, House
from actors.inputs import Ground, Input, Moved, Section, Step
from actors.market.board import Key
from actors.market.world import World


class Turns:
    """The resident books, the turns they take, and the steps that came of them."""

    def __init__(self, world: World, profiles: Profiles) -> None:
        self.world = world
        self.profiles = profiles
        self.waits = Waits(world, profiles)
        self.books: dict[int, Book] = {}
        """Resident accounts."""
        self.acting = Acting(world, self.waits, lambda: self.books)
        self.house = House()
        self.seq = 0
        """Number of the last event."""
        self.input_seq = 0
        self.failures: list[tuple[int, str]] = []
        """Accounts quarantined since the driver last looked, with the reason."""
        self.steps: list[Step] = []
        """Steps that the driver has not taken yet."""
        self._sections: list[Section] = []
        self._turns = 0
        self._moved: dict[int, dict[int, None]] = {}
        self._moved_sides: dict[int, dict[str, None]] = {}

    @property
    def house(self) -> House:
        """The house; its official values and corporate actions are what the world knows."""
        return self._house

    @house.setter
    def house(self, house: House) -> None:
        self._house = house
        self.world.officials = house.officials
        self.world.actions = house.actions
        self.acting.know_all()

    def turn(self, book: Book, run: Callable[[Draft], None], touched: Iterable[int] = ()) -> bool:
        """One account's part of a step, all or nothing; ``False`` when it failed and nothing of it stands."""
        first = book.n + 1
        draft = Draft(book, self.world.now)
        good = True
        self._turns += 1
        self.world.turn = self._turns
        try:
            run(draft)
            if book.groups or book.closing:
                contingent.follow_up(draft, self.world, self.profiles)
            if draft.events:
                reduced = book_trades(draft, self.world, self.profiles)
                follow.follow_up(draft, self.world)
                if reduced is not None:
                    look_at_margin(draft, self.world, self.profiles, reduced)
            if book.groups or book.closing:
                contingent.follow_up(draft, self.world, self.profiles)
            draft.check()
        except SearchNeeded:
            # Nobody's fault: the command begins anew once that is found.
            draft.discard()
            raise
        except MemoryError:
            # Not this account's fault, and nothing after it could be trusted: the process ends.
            draft.discard()
            raise
        except Exception as error:
            good = False
            draft.discard()
            draft = Draft(book, self.world.now)
            self._quarantine(draft, error)
        finally:
            self.world.turn = 0
        events: list[Any] = draft.events
        account_no = book.account_no
        for symbol in draft.consumers:
            self.world.board.add_consumer(symbol, account_no)
            sides = self._moved_sides.setdefault(account_no, {})
            sides[f"{symbol}/a"] = sides[f"{symbol}/b"] = None
        if draft.moved:
            moved = self._moved.setdefault(account_no, {})
            for order_no in draft.moved:
                moved[order_no] = None
        arm = self.waits.arm
        for order_no in touched:
            arm(book, order_no)
        if not events:
            return good
        self.seq += len(events)
        self._sections.append(Section(account_no, first, tuple(events)))
        armed = 0
        moved_position = False
        for event in events:
            kind = type(event)
            if kind is e.PositionChanged or kind is e.PositionAdjusted:
                moved_position = True
                continue
            order_no = getattr(event, "order_no", 0)
            if not order_no:
                continue
            if order_no != armed:
                arm(book, order_no)
                armed = order_no
            if kind is e.OrderReplaced:
                arm(book, event.terms.order_no)
        self.waits.arm_account(book, anew=moved_position)
        return good

    def _quarantine(self, draft: Draft, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"[:200]
        draft.emit(e.AccountQuarantined(reason))
        self.failures.append((draft.book.account_no, reason))
        self._disarm(draft.book)

    def set_aside(self, account_no: int, reason: str) -> None:
        """Stop all work on a book that was damaged in memory, until a start has put it together from its events.

        No event says so: nothing happened to the account, and what its events make of it is whole.
        """
        book = self.books[account_no]
        if not book.quarantined:
            book.quarantined = reason
            self.failures.append((account_no, reason))
            self._disarm(book)
            self.waits.disarm_account(account_no)

    def _disarm(self, book: Book) -> None:
        """Have nothing of a book that is out of work wait for anything."""
        for order_no in sorted((*book.orders, *(-no for no in book.exits))):
            self.waits.arm(book, order_no)

    def close_step(self, what: Input) -> None:
        if not self._sections:
            return
        sections = tuple(self._sections)
        self._sections = []
        count = 0
        for section in sections:
            count += len(section.events)
            if section.account_no == HOUSE_NO:
                self.seq += len(section.events)
        self.steps.append(
            Step(self.input_seq, self.world.now, self.world.tape_seq, self.seq - count + 1, what, sections)
        )

    def note_ground(self, what: Ground) -> None:
        """Have an input that leads to no event by itself recorded with the next one that does."""
        self.input_seq += 1
        self.steps.append(Step(self.input_seq, self.world.now, self.world.tape_seq, self.seq + 1, what, ()))

    def wake(self, woken: list[Key], what: Callable[[Draft, int], None]) -> None:
        """Run ``what`` for each woken order, one draft an account."""

        def each(draft: Draft, order_nos: Sequence[int]) -> None:
            for order_no in order_nos:
                what(draft, order_no)
                contingent.follow_up(draft, self.world, self.profiles)

        self.wake_accounts(woken, each)

    def wake_accounts(self, woken: list[Key], what: Callable[[Draft, Sequence[int]], None]) -> None:
        """Run ``what`` once for each account with its woken orders."""
        position = 0
        while position < len(woken):
            account_no = woken[position][0]
            order_nos = []
            while position < len(woken) and woken[position][0] == account_no:
                order_nos.append(woken[position][1])
                position += 1
            book = self.books.get(account_no)
            if book is None:
                continue

            def run(draft: Draft, order_nos: list[int] = order_nos) -> None:
                what(draft, contingent.sequence(draft.book, order_nos, self.profiles))

            self.turn(book, run, order_nos)

    def drop_books(self, account_nos: Iterable[int]) -> None:
        """Take books out of memory with everything that their orders wait for."""
        for account_no in account_nos:
            book = self.books.pop(account_no, None)
            if book is None:
                continue
            book.quarantined = "erased"
            self._disarm(book)
            self.waits.disarm_account(account_no)
            self.world.valued.pop(account_no, None)
            for side in book.consumed:
                slot = self.world.board.slots.get(side[:-2])
                if slot is not None:
                    self.world.board.drop_consumer(slot, account_no)
            self._moved.pop(account_no, None)
            self._moved_sides.pop(account_no, None)

    def house_events(self, events: tuple[Any, ...]) -> None:
        first = self.house.n + 1
        for event in events:
            self.house.fold(event)
        self._sections.append(Section(HOUSE_NO, first, events))

    @property
    def has_sections(self) -> bool:
        """Whether the input in hand has led to events so far."""
        return bool(self._sections)

    def take_steps(self) -> list[Step]:
        """Hand over the gathered steps."""
        steps = self.steps
        self.steps = []
        return steps

    @property
    def has_moved(self) -> bool:
        """Whether :meth:`take_moved` has anything."""
        return bool(self._moved or self._moved_sides)

    def take_moved(self) -> list[Moved]:
        """State that moved without an event since the last call, by value, in account order."""
        if not self._moved and not self._moved_sides:
            return []
        out = []
        for account_no in sorted({*self._moved, *self._moved_sides}):
            book = self.books.get(account_no)
            if book is None:
                continue
            watches = {no: book.watch.get(no) for no in sorted(self._moved.get(account_no, ()))}
            sides = {key: book.consumed.get(key) for key in sorted(self._moved_sides.get(account_no, ()))}
            out.append(Moved(account_no, watches, sides))
        self._moved.clear()
        self._moved_sides.clear()
        return out

    def side_moved(self, account_no: int, key: str) -> None:
        """An account's ledger entry changed without an event."""
        self._moved_sides.setdefault(account_no, {})[key] = None
