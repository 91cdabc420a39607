"""Whether trades ever left a short call uncovered, told from the journal alone (alpaca-api §2.13).

Slow and obvious: after every turn that filled an order, the calls that nothing covers are counted anew. Of the short
calls that end on a date or later no more are covered by contracts than there are long calls that end as late; shares
cover what is left. Below the uncovered level no trade makes more of them uncovered. Turns in which contracts end, are
exercised or assigned, or in which a corporate action is taken in may: nobody chose that. Known limit: adjusted
contracts (a digit in the root) are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from actors.book import events as e
from actors.book.osi import is_option_symbol, parse_osi
from actors.book.units import QTY_PER_SHARE
from actors.inputs import Step

_BY_ITSELF: Final = (e.PositionAdjusted, e.ActivityBooked)
_FILLS: Final = (e.OrderFilled, e.OrderLegFilled)


def trades_keep_cover(steps: Iterable[Step], exempt: frozenset[int] = frozenset()) -> int:
    """Assert it of every account but ``exempt``; how many turns with short calls were looked at."""
    held: dict[int, dict[str, int]] = {}
    looked = 0
    for step in steps:
        for section in step.sections:
            positions = held.setdefault(section.account_no, {})
            before = dict(positions)
            for event in section.events:
                if isinstance(event, e.PositionChanged | e.PositionAdjusted):
                    positions[event.symbol] = event.qty
            traded = any(isinstance(event, _FILLS) for event in section.events)
            if section.account_no in exempt or not traded or any(isinstance(v, _BY_ITSELF) for v in section.events):
                continue
            was, now = uncovered_calls(before), uncovered_calls(positions)
            assert now <= was, (
                f"account {section.account_no} at event {section.n_first}: {was} to {now} of {positions}"
            )
            looked += any(qty < 0 and is_option_symbol(symbol) for symbol, qty in positions.items())
    return looked


def uncovered_calls(positions: Mapping[str, int]) -> int:
    """Short calls that neither long calls nor shares cover, in contracts."""
    calls: dict[str, list[tuple[int, int]]] = {}
    for symbol, qty in positions.items():
        option = parse_osi(symbol)
        if option is not None and option.right == "call" and not option.adjusted:
            calls.setdefault(option.root, []).append((option.date, qty // QTY_PER_SHARE))
    total = 0
    for root, legs in calls.items():
        beyond = max(-sum(qty for expiry, qty in legs if expiry >= date) for date, _ in legs)
        total += max(0, beyond - max(0, positions.get(root, 0)) // (100 * QTY_PER_SHARE))
    return total
