"""Why a command or an order is refused: one typed value, from which every surface derives the rest.

A refusal is a stable ``reason`` with the numbers that failed. Code, Alpaca's status, code and text, and the sentence
for people are derived from the one table (:mod:`actors.book.rules.reason_table`) by every surface (contracts §3);
nobody parses a sentence.
"""

from __future__ import annotations

from typing import Final, final

from msgspec import Struct

from actors.book.rules.reason_table import REASONS as REASONS
from actors.book.rules.reason_table import Reason as Reason


@final
class Refusal(Struct, frozen=True):
    """One refusal: the reason, the field it is about, and the numbers that failed (as texts).

    Where every order passes, ask ``type(found) is Refusal``: of a Struct that is six times quicker than isinstance.
    """

    reason: str
    field: str = ""
    numbers: dict[str, str] = {}
    problem: str = ""  # why a number cannot be read: told in place of the text, which is about its value


_FIELD_OF: Final[dict[str, str]] = {"insufficient_buying_power": "qty", "insufficient_qty": "qty"}


def refuse(reason: str, field: str = "", /, **numbers: str) -> Refusal:
    """A refusal with a reason of the table."""
    return Refusal(REASONS[reason].name, field or _FIELD_OF.get(reason, ""), numbers)


class _Blank(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"


def alpaca_text(refusal: Refusal) -> str:
    """Alpaca's message for a refusal."""
    if refusal.problem:
        return f"{refusal.field} is invalid: {refusal.problem}"
    numbers = _Blank(refusal.numbers)
    numbers.setdefault("field", refusal.field)
    return REASONS[refusal.reason].alpaca_text.format_map(numbers)


def advice_text(refusal: Refusal) -> str:
    """The sentence for people."""
    return REASONS[refusal.reason].advice.format_map(_Blank(refusal.numbers))
