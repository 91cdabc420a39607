"""What one account does with a command about itself: settings, deposits, withdrawals, reset, closing.

Invariants: nothing here changes a book except by :meth:`Draft.emit`; a refusal leaves only an audit event.
"""

from __future__ import annotations

from msgspec.structs import replace

from actors.book import events as e
from actors.book.draft import Draft
from actors.book.events.parts import Settings
from actors.book.outcome import Done, Outcome
from actors.book.rules.matching.profiles import Profiles
from actors.book.rules.reasons import Refusal, refuse
from actors.book.state.book import Book
from actors.book.units import BadNumber, format_money, parse_money
from actors.book.view import approved_options_level, withdrawable
from actors.commands import CloseAccount, ConfigureAccount, Deposit, ResetAccount, Withdraw
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
    elif (refusal := _option_level_refusal(book, action)) is not None:
        pass
    elif book.type == "cash" and action.max_margin_multiplier not in (None, "1"):
        refusal = refuse("invalid_setting", "max_margin_multiplier")
    if refusal is not None:
        draft.emit(e.CommandRefused("account.configure", refusal.reason, {"field": refusal.field}))
        return refusal

    approved, most = _option_levels(book, action)
    draft.emit(
        e.AccountConfigured(
            action.profile or book.profile,
            action.margin_profile or book.margin_profile,
            approved if most is None else min(approved, most),
            book.fractional_trading if action.fractional_trading is None else action.fractional_trading,
            book.no_shorting if action.no_shorting is None else action.no_shorting,
            book.suspend_trade if action.suspend_trade is None else action.suspend_trade,
            int(action.max_margin_multiplier or book.max_margin_multiplier),
        )
    )
    told = {name: value for name in Settings.__struct_fields__ if (value := getattr(action, name, None)) is not None}
    if most is not None:
        told["options_approved_level"] = approved
    if told:
        draft.emit(e.SettingsChanged(replace(book.rules(), **told)))
    return Done()


def _option_levels(book: Book, action: ConfigureAccount) -> tuple[int, int | None]:
    """The approved level and the owner's cap after a change; the account trades at the lower (alpaca-api §2.13)."""
    most = action.max_options_trading_level
    return (
        approved_options_level(book) if action.options_level is None else action.options_level,
        book.rules().max_options_trading_level if most is None else most,
    )


def _option_level_refusal(book: Book, action: ConfigureAccount) -> Refusal | None:
    """``max_options_trading_level`` may only lower what is approved (alpaca-api §4.6)."""
    approved, _ = _option_levels(book, action)
    most = action.max_options_trading_level
    if most is None or 0 <= most <= approved:
        return None
    if most == book.rules().max_options_trading_level and action.options_level is None:
        return None  # Alpaca's SDK sends all settings back, also a cap that an approval has fallen below since.
    return refuse("invalid_setting", "max_options_trading_level")


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
    book_cash(draft, "CSD", amount, "deposit", world)
    return Done()


def book_cash(
    draft: Draft, kind: str, net: int, text: str, world: World, sub_type: str = "", symbol: str = "", qty: int = 0
) -> None:
    """Book money that moves now."""
    book = draft.book
    day = world.day
    draft.emit(
        e.ActivityBooked(
            book.next_activity_no, kind, net, book.cash + net, text, symbol, qty, 0, sub_type,
            day.trade_date if day is not None else 0,
        )
    )  # fmt: skip


def withdraw(draft: Draft, action: Withdraw, world: World, profiles: Profiles) -> Outcome:
    """Book a CSW activity, up to the settled cash that nothing needs."""
    amount = _read_amount(action.amount)
    book = draft.book
    free = withdrawable(book, world)
    if not amount or amount > free:
        reason = "insufficient_cash" if amount else "invalid_amount"
        draft.emit(e.CommandRefused("account.withdraw", reason))
        return refuse(reason, "amount", available=format_money(free))
    book_cash(draft, "CSW", -amount, "withdrawal", world)
    return Done()


def reset(draft: Draft, action: ResetAccount, world: World, profiles: Profiles) -> Outcome:
    """Begin a new epoch: orders end, positions go at their cost, the cash becomes what was asked for."""
    book = draft.book
    try:
        cash = parse_money(action.cash)
    except BadNumber:
        cash = -1
    if not 0 <= cash <= 10**15:
        draft.emit(e.CommandRefused("account.reset", "invalid_amount"))
        return refuse("invalid_amount", "cash")
    for order_no in sorted(book.orders):
        draft.emit(e.OrderCanceled(order_no, "account_reset"))
    for symbol in sorted(book.positions):
        position = book.positions[symbol]
        uses = tuple(
            e.LotUse(lot.lot_no, lot.qty, lot.basis_money, lot.basis_money, lot.opened_at, lot.order_no)
            for lot in position.lots
        )
        draft.emit(e.PositionChanged(symbol, position.asset_id, 0, 0, book.cash, 0, 0, None, uses))
    if cash != book.cash:
        book_cash(draft, "JNLC", cash - book.cash, "account reset", world)
    draft.emit(e.AccountReset(book.epoch + 1, cash))
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
