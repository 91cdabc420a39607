"""Account dues: what must happen to an account at an instant, whether it is in memory then or not (architecture §7).

One mechanism for all of them: each kind says from the book when it is due next, and what to do. An account has one
timer, at the earliest; a turn that finds several instants behind it works them off in order, each with its own
instant. Invariants: ``next_at`` follows from the book and the calendar alone, so a recovered engine waits for the
same instants; doing what is due moves ``next_at`` on; an account that has nothing due has no timer and no row to
look for. Known limit: a day that is caught up late is valued at the prices of the moment it is caught up,
in the units of its own time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from actors.book import assignments, day_calls, days, expiries, margin_call, recalls
from actors.book.actions.apply import run_actions
from actors.book.actions.due import action_at
from actors.book.draft import BrokenInvariant, Draft
from actors.book.rules.margin.holdings import holds_options
from actors.book.rules.matching.profiles import Profiles
from actors.book.state.book import Book
from actors.market.world import World

NEVER: Final = 1 << 63


class Due(Struct, frozen=True):
    """One kind of thing that falls due for an account."""

    name: str
    next_at: Callable[[Book, World], int]
    """Nanoseconds UTC; 0 when nothing of the kind is due."""
    run: Callable[[Draft, int, World, Profiles], None]
    """Does what is due at the given instant; ``world.now`` may be later."""
    of_options: bool = False
    """Only an account that holds contracts has anything of the kind."""


DUES: Final[tuple[Due, ...]] = (
    Due("margin_call", margin_call.call_due_at, margin_call.fall_due),
    Due("borrow_recall", recalls.recall_due_at, recalls.buy_in),
    Due("expiry", expiries.expiry_at, expiries.run_expiry, of_options=True),
    Due("assignment", assignments.assignment_at, assignments.draw_assignments, of_options=True),
    Due("end_of_day", days.end_of_day_at, days.end_day),
    Due("day_trade_call", day_calls.due_at, day_calls.fall_due),
    Due("corporate_action", action_at, run_actions),
)
"""In the order in which they happen at one instant."""
_WITHOUT_OPTIONS: Final = tuple(due for due in DUES if not due.of_options)


def next_due(book: Book, world: World) -> int:
    """The earliest instant at which something is due; :data:`NEVER` for none."""
    idle = book.money is None and not book.positions and not book.orders
    if idle or world.days is None or book.quarantined:
        return NEVER
    found = NEVER
    for due in DUES if holds_options(book) else _WITHOUT_OPTIONS:
        at = due.next_at(book, world)
        if 0 < at < found:
            found = at
    return found


def run_dues(draft: Draft, world: World, profiles: Profiles) -> None:
    """Work off everything due by now, in order of its instants."""
    book = draft.book
    while (at := next_due(book, world)) <= world.now:
        for due in DUES:
            if due.next_at(book, world) == at:
                due.run(draft, at, world, profiles)
                if due.next_at(book, world) == at:
                    raise BrokenInvariant(f"{due.name} stays due at {at}")
