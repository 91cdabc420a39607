"""Which order may say what: the validity matrix as data (alpaca-api §2.3, §2.7).

Invariant: the validator runs on these very tables, and ``order.rules`` publishes them.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from actors.book.rules.matching.multileg import LEGS_MAX


class OrderRule(Struct, frozen=True):
    """What one order type takes."""

    type: str
    time_in_force: tuple[str, ...]
    fractional_time_in_force: tuple[str, ...]
    """Of orders by notional or for a fraction of a share; empty: whole shares only."""
    extended_time_in_force: tuple[str, ...]
    limit_price: bool
    stop_price: bool
    missing_price: str
    """Reason when a price that it needs is absent."""
    extended_refusal: str = "extended_hours_not_limit"
    trail: bool = False
    """Takes exactly one of ``trail_price`` and ``trail_percent``."""


class ClassRule(Struct, frozen=True):
    """What one order class takes. ``exits`` names the legs beside the order itself."""

    name: str
    types: tuple[str, ...]
    time_in_force: tuple[str, ...]
    exits: tuple[str, ...] = ()
    exits_least: int = 0
    exits_most: int = 0
    opens: bool = False
    """Its order must open or add to a position; an OCO must close one."""
    fractional: bool = False
    extended_hours: bool = False


_ANY: Final = ("day", "gtc", "ioc", "fok", "opg", "cls")
_RESTING: Final = ("day", "gtc")

RULES: Final[dict[str, OrderRule]] = {
    rule.type: rule
    for rule in (
        OrderRule("market", _ANY, ("day",), (), False, False, "price_not_accepted"),
        OrderRule("limit", _ANY, ("day",), _RESTING, True, False, "limit_price_required"),
        OrderRule("stop", _RESTING, ("day",), (), False, True, "stop_price_required", "extended_hours_stop"),
        OrderRule("stop_limit", _RESTING, ("day",), (), True, True, "stop_and_limit_required", "extended_hours_stop"),
        OrderRule(
            "trailing_stop", _RESTING, (), (), False, False, "price_not_accepted", "extended_hours_stop", trail=True
        ),
    )
}
_ENTRY_TYPES: Final = ("market", "limit", "stop", "stop_limit")
_EXITS: Final = ("take_profit", "stop_loss")
CLASSES: Final[dict[str, ClassRule]] = {
    rule.name: rule
    for rule in (
        ClassRule("simple", tuple(RULES), _ANY, fractional=True, extended_hours=True),
        ClassRule("bracket", _ENTRY_TYPES, _RESTING, _EXITS, 2, 2, opens=True),
        ClassRule("oco", ("limit",), _RESTING, _EXITS, 2, 2),
        ClassRule("oto", _ENTRY_TYPES, _RESTING, _EXITS, 1, 1, opens=True),
    )
}


class OptionRule(Struct, frozen=True):
    """What an order in contracts takes; core session, whole contracts."""

    types: tuple[str, ...] = ("market", "limit")
    time_in_force: tuple[str, ...] = ("day",)


OPTIONS: Final = OptionRule()
AUCTIONS: Final = ("opg", "cls")
SIDES: Final = ("buy", "sell")
INTENTS: Final = ("buy_to_open", "buy_to_close", "sell_to_open", "sell_to_close")
MIN_NOTIONAL_DOLLARS: Final = 1
MIN_TRAIL_PPM: Final = 1_000
"""``trail_percent`` of 0.1."""
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
                "trail": rule.trail,
            }
            for rule in RULES.values()
        },
        "sides": list(SIDES),
        "order_classes": list(CLASSES),
        "classes": {
            rule.name: {
                "order_types": list(rule.types),
                "time_in_force": list(rule.time_in_force),
                "exits": list(rule.exits),
                "exits_least": rule.exits_least,
                "exits_most": rule.exits_most,
                "opens": rule.opens,
                "fractional": rule.fractional,
                "extended_hours": rule.extended_hours,
            }
            for rule in CLASSES.values()
        },
        "position_intents": list(INTENTS),
        "options": {
            "order_types": list(OPTIONS.types),
            "time_in_force": list(OPTIONS.time_in_force),
            "order_classes": ["simple", "mleg"],
            "legs_max": LEGS_MAX,
            "fractional": False,
            "extended_hours": False,
        },
        "min_notional": str(MIN_NOTIONAL_DOLLARS),
        "min_trail_percent": "0.1",
        "client_order_id_max": CLIENT_ORDER_ID_MAX,
    }
