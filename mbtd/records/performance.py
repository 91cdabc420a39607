"""How an account did: return, drawdown, and what its closed trades earned, in total and by symbol.

Invariants: pure and exact in money units until a ratio is taken; a *trade* is one closing of one symbol, with all
the lots it took; returns are time-weighted, so deposits and withdrawals are neither profit nor loss.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from actors.book.units import format_money
from mbtd.records.lots import ClosedLot


class Day(Struct, frozen=True):
    """One trade date's end."""

    trade_date: int
    equity: int
    flow: int
    """Came in from outside during the day, less what went out."""


class Tally(Struct):
    """Closed trades counted up."""

    trades: int = 0
    wins: int = 0
    losses: int = 0
    gross_profit: int = 0
    gross_loss: int = 0
    """Not negative."""
    largest_profit: int = 0
    largest_loss: int = 0

    def add(self, realized: int) -> None:
        """One closed trade."""
        self.trades += 1
        if realized > 0:
            self.wins += 1
            self.gross_profit += realized
            self.largest_profit = max(self.largest_profit, realized)
        elif realized < 0:
            self.losses += 1
            self.gross_loss -= realized
            self.largest_loss = max(self.largest_loss, -realized)

    def render(self) -> dict[str, Any]:
        """For clients; a ratio that cannot be formed is null."""
        return {
            "trades": self.trades,
            "wins": self.wins,
            "losses": self.losses,
            "win_rate": _ratio(self.wins, self.trades),
            "gross_profit": format_money(self.gross_profit),
            "gross_loss": format_money(self.gross_loss),
            "profit_factor": _ratio(self.gross_profit, self.gross_loss),
            "average_profit": format_money(self.gross_profit // self.wins) if self.wins else None,
            "average_loss": format_money(self.gross_loss // self.losses) if self.losses else None,
            "largest_profit": format_money(self.largest_profit),
            "largest_loss": format_money(self.largest_loss),
            "realized_pl": format_money(self.gross_profit - self.gross_loss),
        }


def _ratio(part: int, whole: int) -> str | None:
    return f"{part / whole:.6f}" if whole else None


def tally(lots: Iterable[ClosedLot]) -> tuple[Tally, dict[str, Tally]]:
    """Trades in total and by symbol; the order of the lots does not matter."""
    closings: dict[tuple[int, str], int] = {}
    for lot in lots:
        key = (lot.n, lot.symbol)
        closings[key] = closings.get(key, 0) + lot.realized_money
    total, by_symbol = Tally(), dict[str, Tally]()
    for (_, symbol), realized in closings.items():
        total.add(realized)
        by_symbol.setdefault(symbol, Tally()).add(realized)
    return total, by_symbol


def returns(days: Sequence[Day], base: int) -> tuple[float | None, float, int]:
    """Time-weighted return, largest drawdown as a share of its peak, and in money; days oldest first.

    The flow of a day counts as there from its start, so a first deposit is the base of its own day.
    """
    index, peak, deepest, deepest_money = 1.0, 1.0, 0.0, 0
    equity, peak_money, seen = base, base, False
    for day in days:
        whole = equity + day.flow
        if whole > 0:
            index *= day.equity / whole
            seen = True
        equity = day.equity
        peak_money += day.flow
        if index > peak:
            peak = index
        peak_money = max(peak_money, equity)
        deepest = max(deepest, 1.0 - index / peak)
        deepest_money = max(deepest_money, peak_money - equity)
    return (index - 1.0 if seen else None), deepest, deepest_money


def render_performance(
    days: Sequence[Day], base: int, lots: Iterable[ClosedLot], fees: int, unrealized: int
) -> dict[str, Any]:
    """The answer of ``performance.get``."""
    total, by_symbol = tally(lots)
    gained, drawdown, drawdown_money = returns(days, base)
    return {
        "base_value": format_money(base),
        "equity": format_money(days[-1].equity if days else base),
        "net_deposits": format_money(sum(day.flow for day in days)),
        "return": f"{gained:.6f}" if gained is not None else None,
        "max_drawdown": f"{drawdown:.6f}",
        "max_drawdown_amount": format_money(drawdown_money),
        "fees": format_money(fees),
        "unrealized_pl": format_money(unrealized),
        **total.render(),
        "by_symbol": [{"symbol": symbol, **by_symbol[symbol].render()} for symbol in sorted(by_symbol)],
    }
