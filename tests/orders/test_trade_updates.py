"""Alpaca's names of an order's life: each order's updates follow the life cycle of alpaca-api §3.1."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given

from mbtd.records.orders import TERMINAL
from mbtd.service.updates import Records
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
ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}\Z")
TOO_LATE = {"order_cancel_rejected", "order_replace_rejected"}


def lives(steps: Any, account_no: int) -> dict[str, list[tuple[str, str]]]:
    """What a listener from the first step on hears of each order, and the status that it says."""
    records = Records({})
    told: dict[str, list[tuple[str, str]]] = {}
    ids: list[str] = []
    for step in steps:
        for section in step.sections:
            for index in range(len(section.events) if section.account_no == account_no else 0):
                for update in records.take("", section, index, step.at):
                    ids.append(update["event_id"])
                    told.setdefault(update["order"]["id"], []).append((update["event"], update["order"]["status"]))
    assert ids == sorted(set(ids))
    assert all(ULID.match(name) for name in ids)
    return told


@profile(60)
@given(scripts(40, 90, contingent=True))
def test_updates_name_the_status_and_follow_the_life_cycle(script: list[Any]) -> None:
    engine = open_engine(ACCOUNTS)
    for item in script:
        feed(engine, item)
    for account_no, book in engine.books.items():
        live = {order.terms.order_id: order.status for order in book.orders.values()}
        heard = lives(engine.steps, account_no)
        assert live.keys() <= heard.keys()
        for order_id, life in heard.items():
            status = ""
            for update, after in life:
                # A cancel or a change that came too late is refused after the end, which stays what it was.
                assert status not in TERMINAL or (update in TOO_LATE and after == status)
                assert not status or after == status or after in NEXT[status]
                if update in STATUS_OF and not status.startswith("pending"):
                    assert after == STATUS_OF[update] or (update, after) == ("new", "partially_filled")
                status = after
            assert (status in TERMINAL) == (order_id not in live)
            assert live.get(order_id, status) == status
