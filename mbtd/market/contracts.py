"""What kind of contract a root stands for: style, settlement, price steps, expiry programme.

Invariants: roots are data, never code branches; a root that is not named here is an American, physically settled
stock or fund option on the root's own stock. What the feed says about a contract wins over this table.

Known limits: which stock classes are in the penny programme is known from the feed only; without one the step is
a cent (fill model §3.1). The list of names with Monday and Wednesday expiries changes every quarter; it is that
of 2026-01-26 (margin-and-options §5.2).
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from actors.book.instruments import CONTRACT_SHARES, Deliverable, Instrument
from actors.book.osi import OptionSymbol, contract_name, format_osi
from actors.book.units import QTY_PER_SHARE

TickClass = Literal["cent", "penny", "standard"]
Programme = Literal["stock", "stock_daily", "fund_daily", "index_monthly", "index_daily", "volatility"]

TICKS: Final[dict[TickClass, tuple[int, int]]] = {"cent": (100, 100), "penny": (100, 500), "standard": (500, 1_000)}
"""Price steps below and from $3, in price units (margin-and-options §5.1)."""


class RootClass(Struct, frozen=True):
    """One option root."""

    underlying: str
    style: Literal["american", "european"] = "american"
    settlement: Literal["physical", "cash"] = "physical"
    settles: Literal["am", "pm"] = "pm"
    ticks: TickClass = "cent"
    programme: Programme = "stock"
    trades_late: bool = False
    """Until 16:15 New York, but not on its last day."""


def _index(
    underlying: str, settles: Literal["am", "pm"], ticks: TickClass, programme: Programme, style: str = "european"
) -> RootClass:
    american = style == "american"
    return RootClass(underlying, "american" if american else "european", "cash", settles, ticks, programme, True)


INDEX_CLASSES: Final[dict[str, RootClass]] = {
    "SPX": _index("SPX", "am", "standard", "index_monthly"),
    "SPXW": _index("SPX", "pm", "standard", "index_daily"),
    "XSP": _index("XSP", "pm", "cent", "index_daily"),
    "NDX": _index("NDX", "am", "standard", "index_monthly"),
    "NDXP": _index("NDX", "pm", "standard", "index_daily"),
    "RUT": _index("RUT", "am", "standard", "index_monthly"),
    "RUTW": _index("RUT", "pm", "standard", "index_daily"),
    "DJX": _index("DJX", "am", "penny", "index_monthly"),
    "VIX": _index("VIX", "am", "penny", "volatility"),
    "VIXW": _index("VIX", "am", "penny", "volatility"),
    "OEX": _index("OEX", "pm", "standard", "index_monthly", "american"),
    "XEO": _index("OEX", "pm", "standard", "index_monthly"),
}
"""Cash-settled index options; OEX is the American one (margin-and-options §5.1)."""

_DAILY_FUNDS: Final = ("SPY", "QQQ", "IWM")
_MIDWEEK_STOCKS: Final = ("AAPL", "AMZN", "AVGO", "GOOGL", "META", "MSFT", "NVDA", "TSLA", "IBIT")

STOCK_CLASSES: Final[dict[str, RootClass]] = {
    **{root: RootClass(root, programme="fund_daily", trades_late=True) for root in _DAILY_FUNDS},
    **{root: RootClass(root, ticks="penny", programme="stock_daily") for root in _MIDWEEK_STOCKS},
}
"""Stock and fund roots that differ from the ordinary."""


def root_class(root: str) -> RootClass:
    """What a root stands for; the digit of an adjusted root is not part of the stock's name."""
    return INDEX_CLASSES.get(root) or STOCK_CLASSES.get(root) or RootClass(root.rstrip("0123456789"))


def contract_of(
    option: OptionSymbol,
    asset_id: str,
    last_trading_day: int,
    *,
    settles_on: int = 0,
    ticks: TickClass | None = None,
    name: str = "",
) -> Instrument:
    """The record of a contract as its root's class says it.

    An adjusted contract delivers what nobody told us: it has no deliverables and is not tradable.
    """
    kind = root_class(option.root)
    shares = Deliverable("equity", kind.underlying, CONTRACT_SHARES * QTY_PER_SHARE)
    below, above = TICKS[ticks or kind.ticks]
    cash = kind.settlement == "cash"
    return Instrument(
        asset_id=asset_id,
        symbol=format_osi(option.root, option.date, option.right, option.strike),
        asset_class="us_option",
        exchange="",
        name=name or contract_name(kind.underlying, option),
        tradable=not option.adjusted,
        fractionable=False,
        marginable=False,
        multiplier=CONTRACT_SHARES,
        tick_price=below,
        tick_price_from_3=above,
        underlying=kind.underlying,
        expiry_date=last_trading_day,
        settles_on=settles_on or last_trading_day,
        strike=option.strike,
        right=option.right,
        style=kind.style,
        settlement=kind.settlement,
        settles=kind.settles,
        deliverables=() if cash or option.adjusted else (shares,),
        root=option.root,
        osi_date=option.date,
        trades_late=kind.trades_late,
    )
