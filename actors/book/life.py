"""What one account does with a command about itself: settings, deposits, withdrawals, closing.

Invariants: nothing here changes a book except by :meth:`Draft.emit`; a refusal leaves only an audit event.
"""

from __future__ import annotations

from actors.book import events as e
from actors.book.draft import Draft
from actors.book.outcome import Done, Outcome
from actors.book.rules.matching.profiles import Profiles
from actors.book.rules.reasons import refuse
from actors.book.units import BadNumber, format_money, parse_money
from actors.book.view import buying_power
from actors.commands import CloseAccount, ConfigureAccount, Deposit, Withdraw
from actors.market.world import World

MARGIN_PROFILES = ("finra", "house", "alpaca")


def configure(draft: Draft, action: ConfigureAccount, world: World, profiles: Profiles) -> Outcome:
    """Change settings; all or nothing."""
    book = draft.book
    refusal = None
    if action.profile is not None and profiles.get(action.profile) is None:
        refusal = refuse("invalid_setting", "profile")
    elif action.margin_profile is not None and action.margin_profile not in MARGIN_PROFILES:
        refusal = refuse("invalid_setting", "margin_profile")
    elif action.options_level is not None and not 0 <= action.options_level <= 4:
        refusal = refuse("invalid_setting", "options_level")
    elif book.type == "cash" and action.max_margin_multiplier not in (None, "1"):
        refusal = refuse("invalid_setting", "max_margin_multiplier")
    if refusal is not None:
        draft.emit(e.CommandRefused("account.configure", refusal.reason, {"field": refusal.field}))
        return refusal

    draft.emit(
        e.AccountConfigured(
            action.profile or book.profile,
            action.margin_profile or book.margin_profile,
            book.options_level if action.options_level is None else action.options_level,
            book.fractional_trading if action.fractional_trading is None else action.fractional_trading,
            book.no_shorting if action.no_shorting is None else action.no_shorting,
            book.suspend_trade if action.suspend_trade is None else action.suspend_trade,
            int(action.max_margin_multiplier or book.max_margin_multiplier),
        )
    )
    return Done()


def _read_amount(text: str) -> int:
    try:
        amount = parse_money(text)
    except BadNumber:
        return 0
    return amount if 0 < amount <= 10**15 else 0


def deposit(draft: Draft, action: Deposit, world: World, profiles: Profiles) -> Outcome:
    """Book a CSD activity."""
    amount = _read_amount(action.amount)
    if not amount:
        draft.emit(e.CommandRefused("account.deposit", "invalid_amount"))
        return refuse("invalid_amount", "amount")
    book = draft.book
    draft.emit(e.ActivityBooked(book.next_activity_no, "CSD", amount, book.cash + amount, "deposit"))
    return Done()


def withdraw(draft: Draft, action: Withdraw, world: World, profiles: Profiles) -> Outcome:
    """Book a CSW activity, up to the cash that nothing needs."""
    amount = _read_amount(action.amount)
    book = draft.book
    free = min(max(0, book.cash - book.reserved_money), buying_power(book, world))
    if not amount or amount > free:
        reason = "insufficient_cash" if amount else "invalid_amount"
        draft.emit(e.CommandRefused("account.withdraw", reason))
        return refuse(reason, "amount", available=format_money(free))
    draft.emit(e.ActivityBooked(book.next_activity_no, "CSW", -amount, book.cash - amount, "withdrawal"))
    return Done()


def close_account(draft: Draft, action: CloseAccount, world: World, profiles: Profiles) -> Outcome:
    """Close an empty account."""
    book = draft.book
    if book.positions or book.orders:
        draft.emit(e.CommandRefused("account.close", "account_not_empty"))
        return refuse("account_not_empty")
    if book.status == "ACTIVE":
        draft.emit(e.AccountClosed())
    return Done()
