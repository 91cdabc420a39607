"""Commands: what clients can ask of one account, in Alpaca's field names.

Each Struct is both the typed parameters of a method (mbtd/rpc) and the form in which a command is journaled.
Invariants: unknown fields are refused; numbers are texts here and are read, with their limits, only by the
rules; ``account`` is the id or name the client used, the engine goes by ``account_no``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""What the journal can hold; a larger number must not get as far as a step."""


class Action(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="do"):
    """Base of all commands."""

    account: str = ""


class CreateAccount(Action, tag="account.create", frozen=True, kw_only=True):
    """Open an account (handled by the house)."""

    name: str
    user_id: str | None = None
    """Opaque id of the platform's user; the name when absent."""
    type: Literal["cash", "margin"] = "margin"
    tier: Literal["free", "pro", "pro_plus"] = "free"
    cash: str = "100000"
    options_level: Whole = 3
    profile: str | None = None
    margin_profile: str | None = None


class ConfigureAccount(Action, tag="account.configure", frozen=True, kw_only=True):
    """Change settings; what is absent or null stays."""

    profile: str | None = None
    margin_profile: str | None = None
    options_level: Whole | None = None
    fractional_trading: bool | None = None
    no_shorting: bool | None = None
    suspend_trade: bool | None = None
    max_margin_multiplier: Literal["1", "2", "4"] | None = None
    day_trade_rules: Literal["auto", "finra_pdt_2001", "intraday_margin_2026", "off"] | None = None
    pdt_check: Literal["both", "entry", "exit"] | None = None
    dtbp_check: Literal["both", "entry", "exit"] | None = None
    ptp_no_exception_entry: bool | None = None
    disable_overnight_trading: bool | None = None
    intraday_mode: Literal["real_time_block", "eod_only"] | None = None
    unsettled_sales: Literal["record", "refuse"] | None = None
    lot_method: Literal["fifo", "lifo", "highest_cost", "lowest_cost"] | None = None
    """Which tax lots closing orders take that do not say so themselves."""
    fee_mode: Literal["daily_aggregate", "per_order"] | None = None
    """Whether a kind of fee is rounded up to the cent once a day, or for each order; for what trades from now on."""
    fraction_long: Literal["keep", "cil"] | None = None
    """What a fraction of a share becomes in a corporate action: kept, or cash in lieu."""
    action_orders: Literal["finra_5330", "cancel_all"] | None = None
    """What resting orders become in a corporate action: adjusted by FINRA 5330, or all cancelled."""
    order_size_rounding: Literal["whole", "round_lot"] | None = None
    """What an order's quantity is rounded down to after a split."""
    drip: Literal["off", "on"] | None = None
    """Whether cash dividends buy more shares of their payer."""
    nra_ppm: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    """Withheld from dividends, parts per million."""
    max_options_trading_level: Whole | None = None
    """The owner's cap on option trading, at most the approved ``options_level``, which it leaves alone; the account
    trades at the lower (alpaca-api §4.6)."""
    trade_confirm_email: Literal["all", "none"] | None = None
    """Taken for the sake of unchanged programs; no mail is sent."""


class Deposit(Action, tag="account.deposit", frozen=True, kw_only=True):
    """Add cash."""

    amount: str


class Withdraw(Action, tag="account.withdraw", frozen=True, kw_only=True):
    """Take cash out, up to what is free."""

    amount: str


class ResetAccount(Action, tag="account.reset", frozen=True, kw_only=True):
    """Begin a new epoch: live orders are cancelled, positions taken away, the cash is as given; history stays."""

    cash: str = "100000"


class LocateShares(Action, tag="account.locate", frozen=True, kw_only=True):
    """Find shares of a hard-to-borrow stock to sell short, in hundreds, for a fee (rules §12)."""

    symbol: str
    qty: str
    limit_price: str | None = None
    """Most to pay for each share."""


class RecallBorrow(Action, tag="account.recall_borrow", frozen=True, kw_only=True):
    """The lender wants shares back: what is still short at the next settlement day's open is bought in."""

    symbol: str
    qty: str | None = None


class CloseAccount(Action, tag="account.close", frozen=True, kw_only=True):
    """Close an account that holds no position and no live order; its history stays."""


class TakeProfit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    limit_price: str | None = None


class StopLoss(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    stop_price: str | None = None
    limit_price: str | None = None


class OrderLeg(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    symbol: str
    ratio_qty: str
    side: str | None = None
    position_intent: str | None = None


class ClearPatternDayTrader(Action, tag="account.clear_pattern_day_trader", frozen=True, kw_only=True):
    """Take the flag of a pattern day trader off an account (operators only; rules §8.1)."""


class LotPick(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An open tax lot to close, as ``position.get`` lists it; all of it unless ``qty`` says less."""

    lot_no: Whole
    qty: str | None = None


class PlaceOrder(Action, tag="order.place", frozen=True, kw_only=True):
    """Submit an order (alpaca-api §2.2). What it may say is decided by the rules, with Alpaca's codes."""

    symbol: str | None = None
    qty: str | None = None
    notional: str | None = None
    side: str | None = None
    type: str | None = None
    time_in_force: str | None = None
    limit_price: str | None = None
    stop_price: str | None = None
    trail_price: str | None = None
    trail_percent: str | None = None
    extended_hours: bool = False
    client_order_id: str | None = None
    order_class: str | None = None
    take_profit: TakeProfit | None = None
    stop_loss: StopLoss | None = None
    legs: tuple[OrderLeg, ...] | None = None
    position_intent: str | None = None
    any_sign: bool = False
    """Of several legs: a limit whose sign is not the market's (a debit where it is a credit) is meant."""
    lot_method: str | None = None
    """Tax lots that a closing order takes, in place of the account's method."""
    lots: tuple[LotPick, ...] | None = None
    """These very lots, in this order; what they lack by the time of a fill goes first in, first out."""
    do_not_reduce: bool = False
    """Its prices stay what they are when a cash dividend is paid (FINRA 5330)."""


class ReplaceOrder(Action, tag="order.replace", frozen=True, kw_only=True):
    """Change a live order; ``qty`` is the new total (alpaca-api §2.8).

    With ``order_id`` given, ``client_order_id`` is the replacement's new client id, as in Alpaca's PATCH;
    without it, it names the order to change and the replacement gets a derived one.
    """

    order_id: str | None = None
    client_order_id: str | None = None
    qty: str | None = None
    limit_price: str | None = None
    stop_price: str | None = None
    trail: str | None = None
    time_in_force: str | None = None
    any_sign: bool = False
    """As in an order of several legs."""


class CancelOrder(Action, tag="order.cancel", frozen=True, kw_only=True):
    """Ask for a live order to be cancelled."""

    order_id: str | None = None
    client_order_id: str | None = None


class CancelAll(Action, tag="order.cancel_all", frozen=True, kw_only=True):
    """Ask for every live order of the account to be cancelled."""


class ClosePosition(Action, tag="position.close", frozen=True, kw_only=True):
    """Close a position, or part of it, with a market order (alpaca-api §2.10)."""

    symbol: str
    qty: str | None = None
    percentage: str | None = None
    client_order_id: str | None = None
    cancel_orders: bool = False
    """Cancel the symbol's open orders first; the close is held until they have ended."""
    lot_method: str | None = None
    lots: tuple[LotPick, ...] | None = None
    """As in ``order.place``."""


class AssignLots(Action, tag="lot.assign", frozen=True, kw_only=True):
    """Choose the tax lots of a closing fill of stock, until it settles."""

    fill_id: str
    lots: tuple[LotPick, ...]
    """All that the fill closed, out of what was open then."""


class CloseAllPositions(Action, tag="position.close_all", frozen=True, kw_only=True):
    """Close every position with a market order (alpaca-api §2.10)."""

    cancel_orders: bool = False
    """Cancel every open order first; each close is held until its symbol's orders have ended."""


class ExercisePosition(Action, tag="position.exercise", frozen=True, kw_only=True):
    """Exercise long contracts; all of them unless ``qty`` says fewer (alpaca-api §2.13)."""

    symbol: str
    qty: str | None = None


class DoNotExercisePosition(Action, tag="position.do_not_exercise", frozen=True, kw_only=True):
    """Let contracts that expire today lapse although they may be in the money; all unless ``qty`` says fewer."""

    symbol: str
    qty: str | None = None


class CloseStructure(Action, tag="structure.close", frozen=True, kw_only=True):
    """Close a structure, or some of its units, with one order of all its legs."""

    structure_id: str
    qty: str | None = None
    """Units; all of them when absent."""
    legs: tuple[str, ...] | None = None
    """Symbols of the only legs that are closed, such as one side of a condor; all legs when absent."""
    type: Literal["market", "limit"] | None = None
    """A limit order when ``limit_price`` is given, else a market order."""
    limit_price: str | None = None
    """Net a share of one unit: positive is paid, negative is received. Of a single leg the sign may be left out."""
    client_order_id: str | None = None


class LookAtMargin(Action, tag="margin.look", frozen=True, kw_only=True):
    """Look where the account stands with its margin, with what searches outside of turns found: the engine's own."""

    reduced: bool = False
    """Whether a transaction reduced its intraday level, so that the day's lowest is noted too."""


class RollStructure(Action, tag="structure.roll", frozen=True, kw_only=True):
    """Close legs of a structure and open others in their place with one order; it stays the same structure."""

    structure_id: str
    legs: tuple[OrderLeg, ...] | None = None
    """What is opened: contracts for each unit, with a side."""
    expiration_date: str | None = None
    """Instead of ``legs``: the same contracts at this expiry, YYYY-MM-DD."""
    close: tuple[str, ...] | None = None
    """Symbols of the legs that are closed; all contracts when absent."""
    qty: str | None = None
    type: Literal["market", "limit"] | None = None
    limit_price: str | None = None
    client_order_id: str | None = None


class SetStructureExit(Action, tag="structure.exit_set", frozen=True, kw_only=True):
    """Have a structure closed when its net reaches a level; it replaces what was set before.

    Nets are a share of one unit as in the order that closes it: positive is paid, negative is received. Percents are
    of what the structure cost or brought.
    """

    structure_id: str
    take_profit: TakeProfit | None = None
    stop_loss: StopLoss | None = None
    take_profit_percent: str | None = None
    stop_loss_percent: str | None = None


class ClearStructureExit(Action, tag="structure.exit_clear", frozen=True, kw_only=True):
    """Take a structure's exits off."""

    structure_id: str


AccountAction = (
    ConfigureAccount
    | Deposit
    | Withdraw
    | CloseAccount
    | ResetAccount
    | LocateShares
    | RecallBorrow
    | ClearPatternDayTrader
    | PlaceOrder
    | ReplaceOrder
    | CancelOrder
    | CancelAll
    | ClosePosition
    | CloseAllPositions
    | AssignLots
    | ExercisePosition
    | DoNotExercisePosition
    | CloseStructure
    | RollStructure
    | SetStructureExit
    | ClearStructureExit
    | LookAtMargin
)
AnyAction = CreateAccount | AccountAction
