"""Which order may say what: the validity matrix as data (alpaca-api §2.3).

Invariant: the validator runs on this very table, and ``order.rules`` publishes it.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct


class OrderRule(Struct, frozen=True):
    """What one order type takes."""

    type: str
    time_in_force: tuple[str, ...]
    fractional_time_in_force: tuple[str, ...]
    extended_time_in_force: tuple[str, ...]
    limit_price: bool
    stop_price: bool
    missing_price: str
    """Reason when a price that it needs is absent."""


RULES: Final[dict[str, OrderRule]] = {
    rule.type: rule
    for rule in (
        OrderRule("market", ("day", "gtc", "ioc", "fok"), ("day",), (), False, False, "price_not_accepted"),
        OrderRule(
            "limit",
            ("day", "gtc", "ioc", "fok"),
            ("day",),
            ("day", "gtc"),
            True,
            False,
            "limit_price_required",
        ),
        OrderRule("stop", ("day", "gtc"), ("day",), (), False, True, "stop_price_required"),
        OrderRule("stop_limit", ("day", "gtc"), ("day",), (), True, True, "stop_and_limit_required"),
    )
}
SIDES: Final = ("buy", "sell")
ORDER_CLASSES: Final = ("", "simple")
INTENTS: Final = ("buy_to_open", "buy_to_close", "sell_to_open", "sell_to_close")
MIN_NOTIONAL_DOLLARS: Final = 1
CLIENT_ORDER_ID_MAX: Final = 128


def published() -> dict[str, Any]:
    """The matrix as ``order.rules`` shows it."""
    return {
        "order_types": {
            rule.type: {
                "time_in_force": list(rule.time_in_force),
                "fractional_time_in_force": list(rule.fractional_time_in_force),
                "extended_hours_time_in_force": list(rule.extended_time_in_force),
                "limit_price": rule.limit_price,
                "stop_price": rule.stop_price,
            }
            for rule in RULES.values()
        },
        "sides": list(SIDES),
        "order_classes": [name for name in ORDER_CLASSES if name],
        "position_intents": list(INTENTS),
        "min_notional": str(MIN_NOTIONAL_DOLLARS),
        "client_order_id_max": CLIENT_ORDER_ID_MAX,
    }
