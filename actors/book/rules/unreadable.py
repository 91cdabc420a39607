"""Refusals of numbers: by their value, or because they cannot be read.

Invariant: the code is that of the field's own reason, except for what does not fit, which has one for every field.
"""

from __future__ import annotations

from typing import Final

from actors.book.rules.reasons import REASONS, Refusal, refuse

TOO_LARGE: Final = "too large"
"""As :class:`actors.book.units.BadNumber` says it."""


def refuse_number(reason: str, field: str, problem: str, /, **numbers: str) -> Refusal:
    """A refusal of a number by its value, or with the words of ``BadNumber`` because it cannot be read."""
    if problem == TOO_LARGE:
        return refuse("number_too_large", field)
    return Refusal(REASONS[reason].name, field, numbers, problem)
