"""Exercise on request, and instructions for the expiry day (margin-and-options §5.3, §5.6).

Invariants: what is refused says why and with which numbers; nothing is exercised that is not held, not American
before its last day, or not payable; an instruction replaces an earlier one for the same contract. A European
contract takes no do-not-exercise at ``closeout``, as at Alpaca; at ``settle`` every holder decides.

Known limits: between the cutoff and midnight nothing is taken, also where the next trade date has begun.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from actors.book.instruments import Instrument
from actors.book.rules.options.expiry import ExpiryPolicy
from actors.book.rules.options.means import Judge
from actors.book.rules.options.outcome import Holding, Outcome, Prices, Unpriced, intrinsic, net_change, settle
from actors.book.rules.options.precheck import Touch
from actors.book.rules.reasons import Refusal, refuse
from actors.book.units import NS_PER_SECOND, QTY_PER_SHARE, format_money, format_qty, format_time

_MINUTE_NS: Final = 60 * NS_PER_SECOND
_MIDNIGHT_BEFORE_OPEN_NS: Final = (9 * 60 + 30) * _MINUTE_NS
_DECISION_NS: Final = 90 * _MINUTE_NS
_CLOSEOUT_NS: Final = 30 * _MINUTE_NS


class Moment(Struct, frozen=True):
    """When somebody asks; instants in nanoseconds UTC."""

    now: int
    trade_date: int
    """YYYYMMDD of the session in force."""
    core_opens_at: int
    core_closes_at: int
    """Of the trade date."""


class Exercised(Struct, frozen=True):
    """An exercise that goes through."""

    outcome: Outcome
    given_away_money: int
    """What selling at the bid would have brought more; 0 when exercise was no mistake."""


def decision_ends_at(core_closes_at: int, closeout: bool) -> int:
    """Until when a holder decides: 90 minutes after the close, under ``closeout`` 30."""
    return core_closes_at + (_CLOSEOUT_NS if closeout else _DECISION_NS)


def early_ends_at(core_closes_at: int, closeout: bool) -> int:
    """Until when an early exercise is taken on a day: 90 minutes after the close, under ``closeout`` the close."""
    return core_closes_at + (0 if closeout else _DECISION_NS)


def check_request(
    instrument: Instrument | None,
    held_qty: int,
    qty: int,
    kind: Literal["exercise", "do_not_exercise"],
    moment: Moment,
    *,
    closeout: bool,
) -> Refusal | None:
    """Why a request cannot be taken, whatever the prices; ``None`` when it can. ``qty`` in quantity units."""
    if instrument is None or not instrument.is_option or held_qty == 0:
        return refuse("contract_not_held", "symbol")
    if held_qty < 0:
        return refuse("exercise_of_short", "symbol", held=format_qty(held_qty))
    if qty <= 0 or qty % QTY_PER_SHARE:
        return refuse("invalid_contracts", "qty", qty=format_qty(qty))
    if qty > held_qty:
        return refuse("exercise_more_than_held", "qty", requested=format_qty(qty), held=format_qty(held_qty))
    expires_today = moment.trade_date >= instrument.settlement_date
    if kind == "do_not_exercise":
        if not expires_today:
            return refuse("not_expiry_day", "symbol", expiry=_day(instrument.settlement_date))
        if closeout and instrument.style == "european":
            return refuse("do_not_exercise_european", "symbol")
        ends_at = decision_ends_at(moment.core_closes_at, closeout)
    else:
        if instrument.style != "american" and not expires_today:
            return refuse("not_american", "symbol", expiry=_day(instrument.settlement_date))
        ends_at = (
            decision_ends_at(moment.core_closes_at, closeout)
            if expires_today
            else early_ends_at(moment.core_closes_at, closeout)
        )
    before_midnight = moment.now < moment.core_opens_at - _MIDNIGHT_BEFORE_OPEN_NS
    if moment.now >= ends_at or before_midnight:
        return refuse("exercise_after_cutoff", "", cutoff=format_time(ends_at))
    return None


def exercise_early(
    holding: Holding, prices: Prices, touch: Touch | None, judge: Judge, policy: ExpiryPolicy
) -> Exercised | Refusal:
    """Exercise some contracts now; ``prices`` are the present ones. The request was checked before."""
    worth = intrinsic(holding.instrument, prices)
    symbol = holding.instrument.symbol
    if isinstance(worth, Unpriced):
        return refuse("exercise_unpriced", "symbol", missing=worth.symbol, reason=worth.reason)
    if worth <= 0 and not policy.contrary_exercise:
        return refuse("not_in_the_money", "symbol", intrinsic=format_money(worth))
    outcome = settle(holding, "requested", worth, prices)
    missing = judge(net_change([outcome]))
    if missing:
        change = net_change([outcome])
        shares = {f"{stock}_shares": format_qty(qty) for stock, qty in change.shares.items()}
        return refuse(
            "exercise_beyond_means",
            "qty",
            missing=format_money(missing),
            cash=format_money(change.cash_money),
            **shares,
        )
    assert outcome.symbol == symbol
    return Exercised(outcome, _given_away(holding, worth, touch))


def _given_away(holding: Holding, worth: int, touch: Touch | None) -> int:
    """The bid's excess over the intrinsic value, for all contracts."""
    if touch is None or not touch.bid:
        return 0
    instrument = holding.instrument
    bid_money = touch.bid * 100 * instrument.multiplier
    return max(0, bid_money - max(0, worth)) * (holding.qty // QTY_PER_SHARE)


def _day(day: int) -> str:
    return f"{day // 10_000}-{day // 100 % 100:02d}-{day % 100:02d}"
