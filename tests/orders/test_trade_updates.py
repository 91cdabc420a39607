"""Alpaca's names of an order's life: each order's updates follow the life cycle of alpaca-api §3.1."""

from __future__ import annotations

from typing import Any

from hypothesis import given

from actors.book import events as e
from mbtd.records.orders import TERMINAL, accepted_record, follow, replacing_record
from mbtd.records.trade_updates import trade_update
from tests.oracle.rig import feed, open_engine
from tests.oracle.scripts import ACCOUNTS, profile, scripts

STATUS_OF = {
    "accepted": "accepted", "held": "held", "new": "new", "partial_fill": "partially_filled", "fill": "filled",
    "canceled": "canceled", "expired": "expired", "replaced": "replaced", "pending_cancel": "pending_cancel",
    "pending_replace": "pending_replace",
}  # fmt: skip
NEXT = {
    "accepted": {"new", "pending_cancel", "canceled", "expired"},
    "held": {"new", "pending_cancel", "pending_replace", "canceled", "expired", "restated"},
    "new": {"partially_filled", "filled", "pending_cancel", "pending_replace", "canceled", "expired"},
    "partially_filled": {"partially_filled", "filled", "pending_cancel", "pending_replace", "canceled", "expired"},
    "pending_cancel": {"pending_cancel", "filled", "canceled", "expired"},
    "pending_replace": {"pending_replace", "held", "new", "partially_filled", "filled", "replaced", "canceled",
                        "expired"},
}  # fmt: skip
TOO_LATE = {"order_cancel_rejected", "order_replace_rejected"}


def lives(steps: Any, account_no: int) -> dict[int, list[tuple[str | None, str]]]:
    """Updates of each order with the status that it has after each."""
    records: dict[int, Any] = {}
    told: dict[int, list[tuple[str | None, str]]] = {}
    for step in steps:
        for section in step.sections:
            for event in section.events if section.account_no == account_no else ():
                no = getattr(event, "order_no", 0)
                if isinstance(event, e.OrderAccepted):
                    records[no] = accepted_record(event, step.at)
                if no not in records:
                    continue
                was_held = records[no].status == "held"
                if isinstance(event, e.OrderReplaced):
                    new = replacing_record(records[no], event, step.at)
                    records[event.terms.order_no] = new
                    told[event.terms.order_no] = [(None, new.status)]
                records[no] = follow(records[no], event, step.at)
                told.setdefault(no, []).append((trade_update(event, was_held=was_held), records[no].status))
    return told


@profile(60)
@given(scripts(40, 90, contingent=True))
def test_updates_name_the_status_and_follow_the_life_cycle(script: list[Any]) -> None:
    engine = open_engine(ACCOUNTS)
    for item in script:
        feed(engine, item)
    for account_no, book in engine.books.items():
        for order_no, life in lives(engine.steps, account_no).items():
            status = ""
            for update, after in life:
                # A cancel or a change that came too late is refused after the end, which stays what it was.
                assert status not in TERMINAL or (update in TOO_LATE and after == status)
                assert not status or after == status or after in NEXT[status]
                if update in STATUS_OF and not status.startswith("pending"):
                    assert STATUS_OF[update] == after
                status = after
            assert (status in TERMINAL) == (order_no not in book.orders)
            if order_no in book.orders:
                assert book.orders[order_no].status == status
