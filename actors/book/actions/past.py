"""Corporate actions that became known late, were corrected, or withdrawn: the account as if it had been in time (§7).

The account is put back to just before the instant, from its history, and told again: the action's present terms,
every other action at its own instant, and every trade since, booked on what the positions were then. What comes out
differently is one set of facts on the present book: entries of the old version are taken back one by one, those of
the new are booked now, and so for other actions that have come out otherwise.

Invariants: orders that filled stay filled and cash of trades is what it was; nothing of the past is written anew.
Known limits: without a history the action is worked out on the lots of before its instant that are still held, and a
revision takes back only its money, both said by ``reconcile``; a structure follows only what it still holds.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

from msgspec.structs import replace

from actors.book import events as e
from actors.book.actions import orders
from actors.book.actions.again import Again, Told
from actors.book.actions.plan import Becomes, Plan, say
from actors.book.draft import Draft
from actors.book.events import ActionEntry, AppliedAction
from actors.book.rules.matching.profiles import Profiles
from actors.book.state.book import Book
from actors.market.actions import roll_at
from actors.market.world import World


def take_in(draft: Draft, known: e.CorporateActionAnnounced, world: World, profiles: Profiles) -> None:
    """Make the account what it would be had it known of this version in time."""
    assert world.days is not None
    book, action = draft.book, known.action
    old = book.actions.get(action.ca_id)
    rolls_at = roll_at(world.days, action.effective_date)
    since = min(rolls_at, old.effective_at) if old is not None and old.stage != "passed" else rolls_at
    past = _past(draft, since, world)
    while past is not None and (earlier := _knew_less(past[0], book, action.ca_id, since)) < since:
        since = earlier
        past = _past(draft, since, world)
    happens = not action.withdrawn and rolls_at <= world.now
    again = Again(action.ca_id, book, past, world)
    told = again.run(known if happens else None)
    mine = told.pop(action.ca_id, Told())
    plan = again.difference(book)
    plan.rows, plan.pays, plan.prices = mine.rows, mine.pays, dict(mine.prices)
    plan.reconcile = plan.reconcile or (past is None and (old is not None or not happens))
    concerned = bool(mine.rows or mine.pays)
    fresh = happens and (old is None or old.stage in ("passed", "withdrawn"))
    changes = orders.changes(draft, action, rolls_at, world) if fresh else []
    plan.groups = orders.groups(book, changes)
    stage = "withdrawn" if not happens else "applied" if concerned or changes else "passed"
    live = old.entries if old is not None else ()
    if past is None:
        live = tuple(entry for entry in live if entry.net_money)
    if old is not None:
        orders.follow_structures(draft, _inverse(old.entries), action.ca_id, world)
    record = AppliedAction(action.ca_id, known.version, rolls_at, stage, action.symbol)
    status = "correct" if live else "executed"
    say(draft, record, plan, world, belongs_at=rolls_at, status=status, reversed_entries=live)
    if past is not None:
        for ca_id in sorted(told):
            _correct(draft, ca_id, told[ca_id], past[0], world)
    orders.change(draft, changes, action.ca_id, world)
    orders.follow_structures(draft, again.becomes, action.ca_id, world)


def _past(draft: Draft, since: int, world: World) -> tuple[Book, list[tuple[int, Any]]] | None:
    """The account before an instant and all since, also what this very turn has done so far."""
    if world.past is None:
        return None
    book = draft.book
    found = world.past(book.account_no, since, book.n - len(draft.events))
    return (found[0], [*found[1], *((draft.at, event) for event in draft.events)]) if found is not None else None


def _knew_less(past: Book, present: Book, ca_id: str, since: int) -> int:
    """The instant of the oldest other action of which the account knew less, or otherwise, at that time."""
    for other, record in present.actions.items():
        if other == ca_id or record.stage == "passed":
            continue
        known = past.actions.get(other)
        if known is None or known.stage == "passed":
            since = min(since, record.effective_at) if record.stage != "withdrawn" else since
        elif known.version != record.version:
            since = min(since, record.effective_at, known.effective_at)
    return since


def _correct(draft: Draft, ca_id: str, told: Told, before: Book, world: World) -> None:
    """Another action came out otherwise: what it booked since is taken back, and booked as it should have been."""
    record, earlier = draft.book.actions[ca_id], before.actions.get(ca_id)
    kept = len(earlier.entries) if earlier is not None else 0
    since = record.entries[kept:]
    if [_row(entry) for entry in since] == [_row(row) for row in told.rows] and list(record.pays) == told.pays:
        return
    plan = Plan(rows=told.rows, pays=told.pays)
    record = replace(record, entries=record.entries[:kept], pays=(), stage="applied")
    say(draft, record, plan, world, belongs_at=record.effective_at, status="correct", reversed_entries=since)


def _row(entry: Any) -> tuple[Any, ...]:
    return entry.type, entry.sub_type, entry.symbol, entry.qty, entry.net_money


def _inverse(entries: tuple[ActionEntry, ...]) -> dict[str, Becomes]:
    """What securities were before an action, from its pairs of entries: the removal, then what came."""
    out: dict[str, Becomes] = {}
    for gone, came in pairwise(entries):
        paired = (gone.type, gone.sub_type) == (came.type, came.sub_type) and gone.qty * came.qty < 0
        if paired and (gone.symbol != came.symbol or gone.type == "SPLIT"):
            out[came.symbol] = (gone.symbol, Fraction(abs(gone.qty), abs(came.qty)))
    return out
