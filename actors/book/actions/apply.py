"""Corporate actions in one account's turn: at their instants, or when they became known late.

Invariants: actions of one instant come in the order of their kinds, before anything that is paid then; what an
account knows of one is said before what it did. Rule source: corporate-actions-and-market-rules §1, §7.
"""

from __future__ import annotations

from typing import Any

from actors.book import events as e
from actors.book.actions import orders, past
from actors.book.actions.due import pending
from actors.book.actions.effects import pay_next, plan_of
from actors.book.actions.plan import say
from actors.book.draft import BrokenInvariant, Draft
from actors.book.events import AppliedAction
from actors.book.rules.matching.profiles import Profiles
from actors.book.units import INT64_MAX
from actors.market.actions import roll_at, sequence_of
from actors.market.world import World


def run_actions(draft: Draft, at: int, world: World, profiles: Profiles) -> None:
    """Whatever is due of corporate actions at an instant."""
    begun = len(draft.events)
    for known in sorted(pending(draft.book, at, world), key=lambda known: sequence_of(known.action)):
        _take_in(draft, known, at, world, profiles)
    while 0 < draft.book.action_due <= at:
        pay_next(draft, world)
    for event in draft.events[begun:]:
        if any(abs(number) > INT64_MAX for number in _numbers(event)):
            raise BrokenInvariant(f"a corporate action makes numbers that no book can hold: {type(event).__name__}")


def _numbers(event: Any) -> tuple[int, ...]:
    """What terms and holdings multiply to, of one fact: terms alone are bounded, products are not."""
    match event:
        case e.PositionAdjusted():
            return event.qty, event.basis_money, event.realized_money, *(lot.qty for lot in event.lots)
        case e.ActivityBooked():
            return event.qty, event.net_money, event.cash
        case e.OrderReplaced():
            return event.terms.qty, event.terms.reserved_money
        case e.CorporateActionApplied():
            groups = (qty for group in event.groups for qty in group)
            return *(number for pay in event.record.pays for number in (pay.qty, pay.money)), *groups
        case _:
            return ()


def _take_in(draft: Draft, known: e.CorporateActionAnnounced, at: int, world: World, profiles: Profiles) -> None:
    assert world.days is not None
    rolls_at = roll_at(world.days, known.action.effective_date)
    record = draft.book.actions.get(known.action.ca_id)
    if at == rolls_at and (record is None or record.stage == "withdrawn"):
        apply(draft, known, world, profiles)
    else:
        past.take_in(draft, known, world, profiles)


def apply(draft: Draft, known: e.CorporateActionAnnounced, world: World, profiles: Profiles) -> None:
    """An action at its instant."""
    assert world.days is not None
    action = known.action
    rolls_at = roll_at(world.days, action.effective_date)
    plan = plan_of(draft.book, action, rolls_at, world)
    changes = orders.changes(draft, action, rolls_at, world)
    plan.groups = orders.groups(draft.book, changes)
    record = AppliedAction(action.ca_id, known.version, rolls_at, "applied", action.symbol)
    say(draft, record, plan, world, belongs_at=rolls_at)
    orders.change(draft, changes, action.ca_id, world)
    orders.follow_structures(draft, plan.becomes, action.ca_id, world)
