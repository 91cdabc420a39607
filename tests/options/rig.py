"""Contracts and holdings for tests of the life-cycle rules."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from actors.book.instruments import Instrument
from actors.book.osi import Right, format_osi
from actors.book.rules.options.outcome import Holding
from actors.book.units import QTY_PER_SHARE
from mbtd.market.assets import instrument_of
from mbtd.market.calendar import Calendar

CALENDAR = Calendar()
DAY = 20261218


def contract(strike: float, right: Right = "call", root: str = "XYZ", **more: Any) -> Instrument:
    found = instrument_of(format_osi(root, DAY, right, round(strike * 10_000)), CALENDAR)
    return structs.replace(found, **more) if more else found


def held(contracts: int, strike: float, right: Right = "call", root: str = "XYZ", **more: Any) -> Holding:
    return Holding(contract(strike, right, root, **more), contracts * QTY_PER_SHARE)
