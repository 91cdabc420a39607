"""A new order as a client sends it, and as the daemon reads it (alpaca-api §2.2, §2.13).

Invariant: numbers go on as texts; what the daemon's rules can say is left to them, so only what never could be an
order is refused here.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import field

from actors.book.rules.matrix import INTENTS
from mbtd.gateway.endpoint import Body
from mbtd.gateway.errors import ApiError, invalid
from mbtd.gateway.values import Bool, Number, flag, nothing, text_of

LEGS_MAX: Final = 4


class TakeProfit(Body, frozen=True, kw_only=True):
    """The profit side of a bracket."""

    limit_price: Number = field(default_factory=nothing)


class StopLoss(Body, frozen=True, kw_only=True):
    """The loss side of a bracket."""

    stop_price: Number = field(default_factory=nothing)
    limit_price: Number = field(default_factory=nothing)


class Leg(Body, frozen=True, kw_only=True):
    """A leg of a multi-leg order."""

    symbol: str | None = None
    ratio_qty: Number = field(default_factory=nothing)
    side: str | None = None
    position_intent: str | None = None


class Submission(Body, frozen=True, kw_only=True):
    """A new order."""

    symbol: str | None = None
    qty: Number = field(default_factory=nothing)
    notional: Number = field(default_factory=nothing)
    side: str | None = None
    type: str | None = None
    time_in_force: str | None = None
    limit_price: Number = field(default_factory=nothing)
    stop_price: Number = field(default_factory=nothing)
    trail_price: Number = field(default_factory=nothing)
    trail_percent: Number = field(default_factory=nothing)
    extended_hours: Bool = None
    client_order_id: str | None = None
    order_class: str | None = None
    take_profit: TakeProfit | None = None
    stop_loss: StopLoss | None = None
    legs: list[Leg] | None = None
    position_intent: str | None = None


def submission_params(given: Submission) -> dict[str, Any]:
    """A submission as the daemon reads it."""
    params: dict[str, Any] = {
        name: text_of(getattr(given, name), name)
        for name in ("qty", "notional", "limit_price", "stop_price", "trail_price", "trail_percent")
    }
    params |= {
        name: getattr(given, name) or None
        for name in ("symbol", "side", "type", "time_in_force", "order_class", "position_intent")
    }
    if not given.symbol and not given.legs and given.order_class != "mleg":
        raise invalid("symbol is required")
    _check_intent(given.position_intent)
    if flag(given.extended_hours):
        params["extended_hours"] = True
    if given.take_profit is not None:
        price = text_of(given.take_profit.limit_price, "take_profit.limit_price")
        params["take_profit"] = present(limit_price=price)
    if given.stop_loss is not None:
        params["stop_loss"] = present(
            stop_price=text_of(given.stop_loss.stop_price, "stop_loss.stop_price"),
            limit_price=text_of(given.stop_loss.limit_price, "stop_loss.limit_price"),
        )
    if given.legs:
        count = ApiError(422, 42210000, "mleg orders must have at least 2 legs and at most 4 legs")
        if len(given.legs) > LEGS_MAX:
            raise count
        params["legs"] = [_leg(index, leg) for index, leg in enumerate(given.legs)]
        if len(given.legs) < 2:
            raise count
    return {name: value for name, value in params.items() if value is not None}


def _check_intent(given: str | None) -> None:
    if given and given not in INTENTS:
        raise invalid("invalid position_intent specified")


def _leg(index: int, leg: Leg) -> dict[str, Any]:
    ratio = text_of(leg.ratio_qty, f"legs[{index}].ratio_qty")
    if not leg.symbol or ratio is None:
        raise invalid(f"leg.{index} symbol and ratio_qty are required")
    if len(leg.symbol) < 15:
        # No contract's symbol is so short; stock legs belong to the native protocol (alpaca-api §2.13).
        raise ApiError(422, 42210000, f"equity leg {leg.symbol} is not supported")
    _check_intent(leg.position_intent)
    return present(
        symbol=leg.symbol, ratio_qty=ratio, side=leg.side or None, position_intent=leg.position_intent or None
    )


def present(**values: Any) -> dict[str, Any]:
    """The values that are there."""
    return {name: value for name, value in values.items() if value is not None}
