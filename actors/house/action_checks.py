"""Whether the terms of a corporate action can be meant: what would break books, or only looks like a slip.

Invariants: pure; nothing is changed. Words that no rule reads are checked too, because clients read them. What only
looks wrong may be confirmed; what no book could hold may not. Limits are of this house: no issuer has gone beyond.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Final

from actors.book.events.actions import ActionLeg, ContractTerms, CorporateAction
from actors.book.osi import ROOT_PATTERN, is_option_symbol
from actors.book.rules.actions.arithmetic import fraction
from actors.book.units import MONEY_PER_DOLLAR, BadNumber, parse_scaled
from actors.house.state import House
from actors.market.actions import sequence_of
from actors.market.days import plus_days
from actors.market.world import World

RATIO_MAX: Final = 1_000_000
"""New shares for an old one, and old ones for a new one."""
CASH_MAX_DOLLARS: Final = 10_000_000
"""A share; the dearest one is below a million."""
MULTIPLIER_MAX: Final = 1_000_000
WORD_MAX: Final = 64
"""Characters of a word that is only shown."""
DECIMALS: Final = 9
_SYMBOL: Final = re.compile(r"[A-Z0-9][A-Z0-9./_-]{0,23}\Z")
_DATE: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})\Z")
_TO_OTHERS: Final = (
    "spin_off", "rights_distribution", "stock_merger", "stock_and_cash_merger",
)  # fmt: skip
"""Actions that give shares of somebody else."""
_ONCE_A_DAY: Final = (
    "forward_split", "reverse_split", "unit_split", "stock_dividend", "name_change", "cash_merger", "stock_merger",
    "stock_and_cash_merger", "redemption", "worthless_removal",
)  # fmt: skip

Fault = tuple[str, str]
"""A field, and the problem in a sentence."""


def is_symbol(text: str) -> bool:
    """Whether a text can be the symbol of a share."""
    return _SYMBOL.match(text) is not None and not is_option_symbol(text)


def day_of(text: str) -> int:
    """A date as text, ``2026-12-01``, as a number; 0 for anything else."""
    found = _DATE.match(text)
    if found is None:
        return 0
    day = int("".join(found.groups()))
    try:
        return plus_days(day, 0)
    except ValueError:
        return 0


def fault_of_words(told: Mapping[str, str]) -> Fault | None:
    """What is wrong with words that are shown to clients, whether a rule reads them or not."""
    for name, text in told.items():
        if name.endswith("rate"):
            try:
                fine = parse_scaled(text, DECIMALS) >= 0
            except BadNumber:
                fine = False
            if not fine:
                return name, f"{name} is a positive decimal text with at most {DECIMALS} decimals"
        elif name.endswith("_date") or name.startswith("due_bill"):
            if not day_of(text):
                return name, f"{name} is no date"
        elif name.endswith("symbol") and not is_symbol(text):
            return name, f"{name} is no symbol"
        elif len(text) > WORD_MAX or not text.isprintable():
            return name, f"{name} has at most {WORD_MAX} printable characters"
    return None


def fault_of_terms(action: CorporateAction, world: World | None) -> Fault | None:
    """What no book can take."""
    for leg in action.legs:
        if not Fraction(1, RATIO_MAX) <= fraction(leg.ratio) <= RATIO_MAX:
            return _rate(action), f"more than {RATIO_MAX} shares for one, or for one of them"
        if leg.symbol == action.symbol and action.type in _TO_OTHERS:
            return _target(action), f"a {action.type} gives shares of another security than {action.symbol}"
    if max(fraction(action.cash), fraction(action.cash_more)) > CASH_MAX_DOLLARS:
        return _cash(action), f"more than {CASH_MAX_DOLLARS} dollars a share"
    if any(
        max(price.cil, price.alloc, price.drip, price.close) > CASH_MAX_DOLLARS * MONEY_PER_DOLLAR
        for price in action.prices
    ):
        return "prices", f"a price of more than {CASH_MAX_DOLLARS} dollars"
    listed = world.instruments.by_symbol.get(action.symbol) if world is not None else None
    if listed is not None and listed.asset_class != "us_equity":
        return _source(action), f"{action.symbol} is no share"
    return next(_faults_of_contracts(action.contracts), None)


def _faults_of_contracts(contracts: tuple[ContractTerms, ...]) -> Iterator[Fault]:
    for terms in contracts:
        ratios = (fraction(terms.contracts), fraction(terms.strike_divisor))
        if not all(Fraction(1, RATIO_MAX) <= ratio <= RATIO_MAX for ratio in ratios):
            yield "occ_adjustments", f"a ratio beyond {RATIO_MAX}"
        if not all(0 <= number <= MULTIPLIER_MAX for number in (terms.multiplier, terms.strike_multiplier)):
            yield "occ_adjustments", f"a multiplier is a whole number from 1 to {MULTIPLIER_MAX}"
        if not all(ROOT_PATTERN.match(root) for root in (terms.root, terms.new_root)):
            yield "occ_adjustments", "a root has 1 to 6 letters, or fewer and a digit"
        if any(part.amount < 0 for part in terms.deliverables) or terms.strike_reduction < 0:
            yield "occ_adjustments", "quantities, cash and strike_reduction are not negative"


def doubt_of(action: CorporateAction, house: House, world: World | None) -> Fault | None:
    """What is a slip unless somebody confirms it."""
    for known in house.actions:
        other = known.action
        if other.withdrawn or other.ca_id == action.ca_id or other.effective_date != action.effective_date:
            continue
        if other.type == action.type and other.symbol == action.symbol and action.type in _ONCE_A_DAY:
            return (
                "id",
                f"{other.ca_id} is the same type on the same day; withdraw it, or confirm that both are meant",
            )
        if _new_name(action) and _new_name(action) == _new_name(other):
            return _target(action), f"{other.ca_id} gives {other.symbol} that name; withdraw it, or confirm this one"
    return _doubt_of_name(action, house, world)


def _doubt_of_name(action: CorporateAction, house: House, world: World | None) -> Fault | None:
    """A name in use is free only when its owner is gone by then, or after the change, when both are one."""
    name = _new_name(action)
    before = house.actions.by_id.get(action.ca_id)
    if world is None or not name or (before is not None and _new_name(before.action) == name):
        return None
    by_symbol = world.instruments.by_symbol
    owner, old = by_symbol.get(name), by_symbol.get(action.symbol)
    if owner is None or not owner.active or old is None or not old.active:
        return None
    for ca_id in house.actions.by_symbol.get(name, ()):
        other = house.actions.by_id[ca_id].action
        leaves = other.symbol == name and not other.keeps_source and all(leg.symbol != name for leg in other.legs)
        if leaves and not other.withdrawn and _place(other) < _place(action):
            return None
    return _target(action), f"{name} is the name of another security; confirm that both become one"


def _place(action: CorporateAction) -> tuple[int, tuple[int, str]]:
    return action.effective_date, sequence_of(action)


def _new_name(action: CorporateAction) -> str:
    leg: ActionLeg | None = action.legs[0] if action.type in ("name_change", "reverse_split") else None
    return leg.symbol if leg is not None and leg.symbol != action.symbol else ""


# ── which word it was ───────────────────────────────────────────────────────────────────────────────────────


def _rate(action: CorporateAction) -> str:
    words = {"stock_dividend": "rate", "rights_distribution": "rate", "reorganization": "stock_movements"}
    return words.get(action.type, "acquirer_rate" if "merger" in action.type else "new_rate")


def _cash(action: CorporateAction) -> str:
    if action.type == "capital_gains_distribution":
        return "long_term_rate"
    return "cash_rate" if action.type in ("stock_and_cash_merger", "reorganization") else "rate"


def _target(action: CorporateAction) -> str:
    return "acquirer_symbol" if "merger" in action.type else "new_symbol"


def _source(action: CorporateAction) -> str:
    if "merger" in action.type:
        return "acquiree_symbol"
    if action.type in ("spin_off", "rights_distribution"):
        return "source_symbol"
    return "old_symbol" if action.type in ("name_change", "unit_split") else "symbol"
