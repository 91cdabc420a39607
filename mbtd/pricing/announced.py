"""Announced dividends for pricing: what the house was told of, beside what the configuration says.

Invariant: only ordinary cash dividends to come count; one that lowers strikes changes no contract's worth.
"""

from __future__ import annotations

from msgspec import structs

from actors.book.rules.actions.arithmetic import fraction
from actors.book.rules.actions.contracts import adjusts_class
from actors.market.world import World
from mbtd.pricing.inputs import Dividend, PricingInputs


def with_dividends(inputs: PricingInputs, world: World) -> PricingInputs:
    """The inputs with every announced dividend that is still to come."""
    if not world.actions or world.days is None:
        return inputs
    found: dict[str, list[Dividend]] = {symbol: list(known) for symbol, known in inputs.dividends.items()}
    for known in world.actions:
        action = known.action
        if action.type != "cash_dividend" or action.withdrawn or adjusts_class(action):
            continue
        ex_at = world.days.day(action.effective_date).core_opens_at
        if ex_at > world.now:
            found.setdefault(action.symbol, []).append(Dividend(ex_at, float(fraction(action.cash))))
    return structs.replace(inputs, dividends={symbol: tuple(sorted(known)) for symbol, known in found.items()})
