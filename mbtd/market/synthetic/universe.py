"""What the synthetic market lists: liquid US stocks and funds with their habits, one index, option roots.

Invariants: every price is above $5, so that order prices have whole cents; symbols are unique. The figures
are round guesses of a plausible market, not data.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from mbtd.market.contracts import TickClass


class StockSpec(Struct, frozen=True):
    """One stock or fund and how it trades."""

    symbol: str
    name: str
    exchange: str
    price: float
    """Dollars around which it moves."""
    volatility: float
    """Annual."""
    beta: float
    """Of its returns to those of the market as a whole."""
    spread_ticks: float
    """Usual width in cents."""
    depth: int
    """Usual size at the touch, in hundreds of shares."""
    activity: float
    """Share of all events, relative to the others."""
    leverage: int = 1


class OptionSpec(Struct, frozen=True):
    """One option root and how its chain is laid out."""

    root: str
    underlying: str
    step: float
    """Dollars between strikes."""
    width: float
    """Of its quotes, relative to an ordinary stock option."""
    dailies: int = 0
    """How many of the next daily expiries are listed besides weeklies and monthlies."""
    at_the_money: float = 0.3
    """Long-run annual volatility at the money."""
    ticks: TickClass | None = None
    """Where it is not that of the root's class."""
    skew: float = -0.55
    """Of the volatility surface; between -0.8 and 0.8."""
    dividend_yield: float = 0.0
    """That the forward is made with."""


INDEX: Final = StockSpec("SPX", "S&P 500 Index", "", 6650.0, 0.14, 1.0, 0.0, 0, 0.0)
RATE: Final = 0.04
"""Annual interest, continuous, at every tenor."""


class IndexSpec(Struct, frozen=True):
    """One index; all of them follow from the one that has a level of its own."""

    symbol: str
    name: str


INDEXES: Final = (
    IndexSpec(INDEX.symbol, INDEX.name),
    IndexSpec("XSP", "Mini S&P 500 Index"),
    IndexSpec("VIX", "Cboe Volatility Index"),
)

_NASDAQ, _NYSE, _ARCA, _BATS = "NASDAQ", "NYSE", "ARCA", "BATS"

STOCKS: Final = (
    StockSpec("SPY", "SPDR S&P 500 ETF Trust", _ARCA, 665.0, 0.14, 1.0, 1, 12, 9.0),
    StockSpec("QQQ", "Invesco QQQ Trust", _NASDAQ, 600.0, 0.20, 1.2, 1, 8, 7.0),
    StockSpec("IWM", "iShares Russell 2000 ETF", _ARCA, 242.0, 0.22, 1.2, 1, 14, 4.0),
    StockSpec("DIA", "SPDR Dow Jones Industrial Average ETF", _ARCA, 470.0, 0.14, 0.9, 3, 4, 1.5),
    StockSpec("TLT", "iShares 20+ Year Treasury Bond ETF", _NASDAQ, 89.5, 0.14, -0.1, 1, 60, 2.0),
    StockSpec("GLD", "SPDR Gold Shares", _ARCA, 372.0, 0.18, 0.1, 2, 9, 2.0),
    StockSpec("XLF", "Financial Select Sector SPDR", _ARCA, 53.0, 0.17, 0.95, 1, 90, 2.0),
    StockSpec("XLE", "Energy Select Sector SPDR", _ARCA, 89.0, 0.22, 0.8, 1, 30, 1.5),
    StockSpec("XLK", "Technology Select Sector SPDR", _ARCA, 282.0, 0.22, 1.25, 2, 8, 1.5),
    StockSpec("TQQQ", "ProShares UltraPro QQQ", _NASDAQ, 106.0, 0.60, 3.6, 1, 20, 3.0, 3),
    StockSpec("SQQQ", "ProShares UltraPro Short QQQ", _NASDAQ, 62.0, 0.60, -3.6, 1, 30, 2.0, 3),
    StockSpec("AAPL", "Apple Inc.", _NASDAQ, 252.0, 0.26, 1.1, 1, 6, 6.0),
    StockSpec("MSFT", "Microsoft Corporation", _NASDAQ, 512.0, 0.23, 1.0, 3, 3, 4.0),
    StockSpec("NVDA", "NVIDIA Corporation", _NASDAQ, 182.0, 0.42, 1.7, 1, 12, 9.0),
    StockSpec("AMZN", "Amazon.com, Inc.", _NASDAQ, 226.0, 0.30, 1.2, 1, 6, 5.0),
    StockSpec("GOOGL", "Alphabet Inc. Class A", _NASDAQ, 248.0, 0.29, 1.1, 2, 5, 4.0),
    StockSpec("META", "Meta Platforms, Inc.", _NASDAQ, 718.0, 0.33, 1.25, 12, 2, 3.0),
    StockSpec("TSLA", "Tesla, Inc.", _NASDAQ, 432.0, 0.55, 1.8, 6, 4, 8.0),
    StockSpec("AMD", "Advanced Micro Devices, Inc.", _NASDAQ, 214.0, 0.48, 1.7, 2, 6, 5.0),
    StockSpec("AVGO", "Broadcom Inc.", _NASDAQ, 338.0, 0.42, 1.5, 6, 3, 2.5),
    StockSpec("NFLX", "Netflix, Inc.", _NASDAQ, 118.0, 0.32, 1.0, 2, 6, 2.0),
    StockSpec("PLTR", "Palantir Technologies Inc.", _NASDAQ, 178.0, 0.58, 1.7, 2, 6, 4.0),
    StockSpec("INTC", "Intel Corporation", _NASDAQ, 36.5, 0.50, 1.3, 1, 45, 3.0),
    StockSpec("COST", "Costco Wholesale Corporation", _NASDAQ, 928.0, 0.20, 0.8, 30, 1, 1.0),
    StockSpec("JPM", "JPMorgan Chase & Co.", _NYSE, 304.0, 0.23, 1.05, 4, 3, 1.5),
    StockSpec("BAC", "Bank of America Corporation", _NYSE, 51.5, 0.25, 1.1, 1, 40, 2.0),
    StockSpec("V", "Visa Inc.", _NYSE, 344.0, 0.20, 0.85, 6, 2, 1.0),
    StockSpec("UNH", "UnitedHealth Group Incorporated", _NYSE, 352.0, 0.32, 0.5, 12, 2, 1.5),
    StockSpec("XOM", "Exxon Mobil Corporation", _NYSE, 113.0, 0.23, 0.7, 1, 10, 1.5),
    StockSpec("JNJ", "Johnson & Johnson", _NYSE, 188.0, 0.17, 0.4, 2, 4, 1.0),
    StockSpec("KO", "The Coca-Cola Company", _NYSE, 68.0, 0.15, 0.4, 1, 25, 1.0),
    StockSpec("WMT", "Walmart Inc.", _NYSE, 103.0, 0.20, 0.6, 1, 12, 1.5),
    StockSpec("DIS", "The Walt Disney Company", _NYSE, 112.0, 0.26, 1.0, 1, 10, 1.5),
    StockSpec("PFE", "Pfizer Inc.", _NYSE, 25.2, 0.24, 0.5, 1, 80, 1.5),
    StockSpec("F", "Ford Motor Company", _NYSE, 12.4, 0.34, 1.2, 1, 220, 1.5),
    StockSpec("COIN", "Coinbase Global, Inc.", _NASDAQ, 332.0, 0.65, 2.0, 25, 2, 2.0),
)

OPTIONS: Final = (
    OptionSpec("SPY", "SPY", 5.0, 0.35, dailies=3, at_the_money=0.16),
    OptionSpec("QQQ", "QQQ", 5.0, 0.4, dailies=3, at_the_money=0.20),
    OptionSpec("IWM", "IWM", 2.0, 0.4, dailies=2, at_the_money=0.22),
    OptionSpec("SPX", "SPX", 50.0, 0.6, at_the_money=0.155),
    OptionSpec("SPXW", "SPX", 50.0, 0.6, dailies=2, at_the_money=0.155),
    OptionSpec("XSP", "XSP", 5.0, 0.7, dailies=2, at_the_money=0.155),
    OptionSpec("VIX", "VIX", 1.0, 0.8, at_the_money=0.85, skew=0.5, dividend_yield=RATE),
    OptionSpec("AAPL", "AAPL", 2.5, 0.8, dailies=2, at_the_money=0.27),
    OptionSpec("MSFT", "MSFT", 5.0, 1.0, dailies=2, at_the_money=0.24),
    OptionSpec("NVDA", "NVDA", 2.5, 0.7, dailies=2, at_the_money=0.44),
    OptionSpec("AMZN", "AMZN", 2.5, 0.9, dailies=2, at_the_money=0.31),
    OptionSpec("META", "META", 10.0, 1.1, dailies=2, at_the_money=0.34),
    OptionSpec("TSLA", "TSLA", 5.0, 0.8, dailies=2, at_the_money=0.57),
    OptionSpec("AMD", "AMD", 5.0, 0.9, at_the_money=0.50, ticks="penny"),
)
