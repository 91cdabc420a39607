"""The call for exceeded day-trading buying power in an account's life: opened, paid into, missed, ended (rules §8.1).

Invariants: every change is a fact with the calls as they stand after it; a deposit is looked at in its own turn, a
deadline at the end of its date, also when it is caught up later. The rules themselves are
:mod:`actors.book.rules.money.day_trade_calls`.
"""

from __future__ import annotations

from actors.book import events as e
from actors.book.draft import Draft
from actors.book.events.parts import DayTradeCall
from actors.book.outcome import Done, Outcome
from actors.book.rules.matching.profiles import Profiles
from actors.book.rules.money import day_trade_calls, day_trades
from actors.book.state.book import Book
from actors.book.view import day_trading_times
from actors.commands import ClearPatternDayTrader
from actors.market.days import TradeDay
from actors.market.world import World


def end_day(draft: Draft, day: TradeDay, many: int, equity: int, world: World) -> None:
    """After a trade date: open the call that it leaves behind, and let go who has the minimum equity again.

    ``many`` is how often the maintenance excess was the buying power of the date.
    """
    money = draft.book.ledger()
    record = money.day_trading
    if record is None or world.days is None:
        return
    call = day_trade_calls.call_of(record, many, day.trade_date, world.days)
    if call is not None:
        calls = (*money.day_trade_calls, call)
        draft.emit(e.DayTradeCallChanged("opened", day.trade_date, calls, call.money, call.until))
    if day_trade_calls.is_over(record, equity, day.trade_date):
        draft.emit(e.DayTradingChanged(day_trade_calls.released(record), "restriction_over"))


def note_flow(draft: Draft, flow_money: int, day: TradeDay, world: World) -> None:
    """Money came in or went out: it counts towards the calls, and closes those that it meets."""
    before = draft.book.ledger().day_trade_calls
    if not before or world.days is None:
        return
    held = day_trade_calls.held_deposit(before, flow_money, day.trade_date, world.days)
    calls = day_trade_calls.with_flow(before, flow_money)
    draft.emit(e.DayTradeCallChanged("paid", day.trade_date, calls, flow_money, held.until if held else 0, held))
    for call in calls:
        if day_trade_calls.is_met(call):
            calls = tuple(other for other in calls if other is not call)
            draft.emit(e.DayTradeCallChanged("met", day.trade_date, calls, call.money))


def due_at(book: Book, world: World) -> int:
    """When the next deadline or restriction ends; 0 for none."""
    calls = book.ledger().day_trade_calls
    return min([call.due_at for call in calls]) if calls else 0


def fall_due(draft: Draft, at: int, world: World, profiles: Profiles) -> None:
    """A deadline has passed, or the restriction after it."""
    assert world.days is not None
    day = world.days.at(at - 1)
    calls = draft.book.ledger().day_trade_calls
    for call in [call for call in calls if call.due_at <= at]:
        stays = call.state == day_trade_calls.OPEN and _in_force(draft.book, day)
        changed: tuple[DayTradeCall, ...] = ()
        if stays:
            changed = (day_trade_calls.missed(call, world.days),)
        calls = tuple(entry for other in calls for entry in (changed if other is call else (other,)))
        state, until = ("missed", changed[0].until) if changed else ("ended", 0)
        draft.emit(e.DayTradeCallChanged(state, day.trade_date, calls, call.money, until))


def _in_force(book: Book, day: TradeDay) -> bool:
    return day_trades.rule_set(book.rules().day_trade_rules, day.trade_date) == day_trades.PDT


def power_of(book: Book, trade_date: int) -> int | None:
    """Day-trading buying power at the start of a trade date; null when there is none to exceed."""
    money = book.ledger()
    many = day_trading_times(book, trade_date)
    return day_trade_calls.start_money(many, money.last_equity, money.last_maintenance)


def clear_pattern(draft: Draft, action: ClearPatternDayTrader, world: World, profiles: Profiles) -> Outcome:
    """An operator takes the flag off; the count of day trades goes on, and so do calls."""
    record = draft.book.ledger().day_trading
    if record is not None and record.flagged:
        draft.emit(e.DayTradingChanged(day_trade_calls.unflagged(record), "flag_cleared"))
    return Done()
