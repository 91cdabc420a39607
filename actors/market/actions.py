"""The corporate actions that the house knows, as the engine and the accounts look them up.

Invariants: one entry an id, its newest version; entries are found by the securities they name. When an action
happens follows from its date and the calendar alone: 20:00 New York on the calendar day before its date (§1), also
in a market that never closes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Final

from actors.book.events.actions import CorporateAction, CorporateActionAnnounced
from actors.book.units import NS_PER_SECOND
from actors.market.days import Days

_HALF_HOUR_NS: Final = 1_800 * NS_PER_SECOND
ROLL_BEFORE_OPEN_NS: Final = 27 * _HALF_HOUR_NS
"""From 20:00 New York on the evening before to 09:30, where the exchange opens."""
POST_BEFORE_OPEN_NS: Final = 11 * _HALF_HOUR_NS
"""From 04:00 New York to 09:30."""
_SEQUENCE: Final = (
    "name_change", "unit_split", "forward_split", "reverse_split", "stock_dividend", "spin_off", "cash_dividend",
    "capital_gains_distribution", "rights_distribution",
)  # fmt: skip
"""Of actions on one instant; others come last."""


def roll_at(days: Days, trade_date: int) -> int:
    """When a trade date begins for corporate actions."""
    return days.day(trade_date).exchange_opens_at - ROLL_BEFORE_OPEN_NS


def post_at(days: Days, trade_date: int) -> int:
    """When cash of a date is posted."""
    return days.day(trade_date).exchange_opens_at - POST_BEFORE_OPEN_NS


def sequence_of(action: CorporateAction) -> tuple[int, str]:
    """Which of several actions of one instant comes first."""
    rank = _SEQUENCE.index(action.type) if action.type in _SEQUENCE else len(_SEQUENCE)
    return rank, action.ca_id


def instant_of(dated: tuple[int, CorporateActionAnnounced]) -> int:
    """The instant of a pair."""
    return dated[0]


class Actions:
    """The table."""

    __slots__ = (
        "_dated",
        "begun_at",
        "begun_through",
        "by_id",
        "by_symbol",
        "expected",
        "late",
        "late_n",
        "looked",
        "scaled",
    )

    def __init__(self, known: Iterable[CorporateActionAnnounced] = ()) -> None:
        self.by_id: dict[str, CorporateActionAnnounced] = {}
        self.by_symbol: dict[str, dict[str, None]] = {}
        self.begun_at: dict[str, int] = {}
        """When the engine woke every account in memory for an action: later no order of before is left to look at."""
        self.begun_through = 0
        """When the engine looked last for actions whose instant has come."""
        self._dated: dict[str, list[tuple[int, CorporateActionAnnounced]]] = {}
        self.late: dict[str, int] = {}
        """When actions became known that were announced, or changed, only after they had happened."""
        self.late_n = 0
        """Counts what came there."""
        self.looked: dict[int, int] = {}
        """Up to which count each account has nothing more to look at."""
        self.scaled: dict[str, tuple[int, str, Fraction]] = {}
        """Of actions by which prices went over to new units: instant, symbol, new shares for each old one."""
        self.expected: dict[str, tuple[int, int, Fraction]] = {}
        """Of symbols that have gone over: the instant, the price in new units then, new shares for each old one."""
        for each in known:
            self.put(each)

    def __bool__(self) -> bool:
        return bool(self.by_id)

    def __iter__(self) -> Iterator[CorporateActionAnnounced]:
        return iter(self.by_id.values())

    def dated(self, symbol: str, days: Days) -> list[tuple[int, CorporateActionAnnounced]]:
        """The actions that name a security, with their instants, in order."""
        found = self._dated.get(symbol)
        if found is None:
            known = (self.by_id[ca_id] for ca_id in self.by_symbol.get(symbol, ()))
            found = [(roll_at(days, each.action.effective_date), each) for each in known]
            self._dated[symbol] = sorted(found, key=instant_of)
            return self._dated[symbol]
        return found

    def units_before(self, at: int) -> dict[str, Fraction]:
        """By what prices of now become those of an instant, of symbols that have gone over to new units since."""
        found: dict[str, Fraction] = {}
        for scaled_at, symbol, ratio in self.scaled.values():
            if scaled_at >= at:
                found[symbol] = found.get(symbol, Fraction(1)) * ratio
        return found

    def note_late(self, known: CorporateActionAnnounced) -> None:
        """Every account must look at this one."""
        self.late[known.action.ca_id] = known.announced_at
        self.late_n += 1

    def put(self, known: CorporateActionAnnounced) -> None:
        """Take in an announcement; it replaces an earlier one of its id."""
        ca_id = known.action.ca_id
        old = self.by_id.get(ca_id)
        for symbol in old.action.symbols if old is not None else ():
            self.by_symbol[symbol].pop(ca_id, None)
            self._dated.pop(symbol, None)
        self.by_id[ca_id] = known
        for symbol in known.action.symbols:
            self.by_symbol.setdefault(symbol, {})[ca_id] = None
            self._dated.pop(symbol, None)
