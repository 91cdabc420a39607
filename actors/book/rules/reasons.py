"""Every reason for which a command or an order is refused, in one table.

A refusal is a typed value: a stable ``reason`` with the numbers that failed. Code, Alpaca's status, code and
text, and the sentence for people are derived from this table by every surface (contracts §3); nobody parses a
sentence. Alpaca's texts come from alpaca-api §0.1. Numbers 30xx request, 31xx identity and state of the order,
32xx instrument, 33xx money and quantity, 34xx account, 35xx market and session.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct


class Reason(Struct, frozen=True):
    """One way of being refused."""

    name: str
    code: int
    alpaca_status: int
    alpaca_code: int
    alpaca_text: str
    """Alpaca's message; ``{…}`` are filled from the numbers."""
    advice: str
    """One sentence for people: what it means and what to do."""
    retryable: bool = False


class Refusal(Struct, frozen=True):
    """One refusal: the reason, the field it is about, and the numbers that failed (as texts)."""

    reason: str
    field: str = ""
    numbers: dict[str, str] = {}


def _r(
    code: int,
    name: str,
    status: int,
    alpaca_code: int,
    text: str,
    advice: str,
    retryable: bool = False,
) -> tuple[str, Reason]:
    return name, Reason(name, code, status, alpaca_code, text, advice, retryable)


_INVALID = 40010001
_FORBIDDEN = 40310000
_UNPROCESSABLE = 42210000
_NOT_FOUND = 40410000

REASONS: Final[dict[str, Reason]] = dict(
    (
        _r(3001, "qty_or_notional_required", 422, _INVALID, "qty or notional is required",
           "Give qty (shares) or notional (dollars)."),
        _r(3002, "qty_and_notional", 422, _INVALID, "only one of qty or notional is accepted",
           "Give qty or notional, not both."),
        _r(3003, "invalid_qty", 422, _INVALID, "qty must be > 0",
           "qty is a positive decimal text with at most 9 decimals."),
        _r(3004, "invalid_limit_price", 422, _INVALID, "limit price must be > 0",
           "limit_price is a positive decimal text in dollars."),
        _r(3005, "invalid_stop_price", 422, _INVALID, "stop price must be > 0",
           "stop_price is a positive decimal text in dollars."),
        _r(3006, "invalid_type", 422, _INVALID, "invalid order type",
           "type is one of the order types in order.rules."),
        _r(3007, "invalid_side", 422, _INVALID, "invalid side", "side is buy or sell."),
        _r(3008, "invalid_time_in_force", 422, _INVALID, "invalid time_in_force",
           "time_in_force is one of those that order.rules lists for this order type."),
        _r(3009, "invalid_order_class", 422, _INVALID, "invalid order class",
           "This order class is not served; leave order_class out or say simple."),
        _r(3010, "limit_price_required", 422, _INVALID, "limit orders require a limit price",
           "Add limit_price."),
        _r(3011, "stop_price_required", 422, _INVALID, "stop orders require a stop price", "Add stop_price."),
        _r(3012, "stop_and_limit_required", 422, _INVALID,
           "stop limit orders require both stop and limit price", "Add stop_price and limit_price."),
        _r(3013, "price_not_accepted", 422, _INVALID, "market orders require no stop or limit price",
           "Leave out the price that this order type does not take."),
        _r(3014, "client_order_id_too_long", 422, _INVALID,
           "client_order_id must be no more than 128 characters", "Use at most 128 characters."),
        _r(3015, "client_order_id_not_unique", 422, _INVALID, "client_order_id must be unique",
           "This client_order_id was used within 30 days with other parameters; take a new one."),
        _r(3016, "invalid_notional", 422, _UNPROCESSABLE, "notional must be >= 1.00",
           "notional is a decimal text of at least 1.00 dollar with at most 9 decimals, 6 of them used."),
        _r(3017, "sub_penny_price", 422, _UNPROCESSABLE,
           "invalid {field} {price}. sub-penny increment does not fulfill minimum pricing criteria",
           "Prices of 1.00 and more step by a cent, lower ones by a hundredth of a cent."),
        _r(3018, "fractional_not_day", 422, _UNPROCESSABLE, "fractional orders must be DAY orders",
           "Use time_in_force day, or whole shares."),
        _r(3019, "extended_hours_not_limit", 422, _UNPROCESSABLE,
           "extended hours order must be DAY or GTC limit orders",
           "Outside the core session only limit orders with day or gtc are taken."),
        _r(3020, "position_intent_mismatch", 422, _UNPROCESSABLE,
           "position intent mismatch, inferred: {inferred}, specified: {specified}",
           "Leave position_intent out, or give the one that matches your position."),
        _r(3021, "invalid_amount", 422, _INVALID, "invalid amount",
           "An amount is a positive decimal text in dollars with at most 6 decimals."),
        _r(3022, "invalid_setting", 422, _INVALID, "{field} value is invalid",
           "See account.configure for what this setting takes."),
        _r(3023, "invalid_name", 422, _INVALID, "name is invalid",
           "A name has 1 to 64 characters, without line breaks."),
        _r(3024, "not_supported", 422, _INVALID, "{field} is not supported for this order",
           "Leave this field out."),
        _r(3025, "invalid_percentage", 422, _INVALID, "percentage must be > 0 and <= 100",
           "percentage is a decimal text above 0 and up to 100, instead of qty."),
        _r(3026, "trail_not_accepted", 422, _INVALID, "{type} orders must not have {field}",
           "Only trailing stops take trail_price or trail_percent."),
        _r(3027, "trail_required", 422, _INVALID,
           "trailing stop orders must specify one of trail_price or trail_percent",
           "Give trail_price (dollars) or trail_percent, not both."),
        _r(3028, "trail_percent_too_small", 422, _INVALID, "trail_percent must be greater than or equal to 0.1",
           "trail_percent is a decimal text of at least 0.1 with at most 4 decimals."),
        _r(3029, "invalid_trail", 422, _INVALID, "trail price must be > 0",
           "The trail is a positive decimal text, and for a sale narrower than the price."),
        _r(3030, "oco_not_limit", 422, _INVALID, "oco orders must be limit orders", "Say type limit."),
        _r(3031, "exit_required", 422, _INVALID, "{order_class} orders require {field}",
           "Give every exit that order.rules lists for this order class."),
        _r(3032, "exit_not_accepted", 422, _INVALID, "{order_class} orders must not have {field}",
           "Leave this exit out; order.rules says which ones this order class takes."),
        _r(3033, "order_id_missing", 422, _INVALID, "order_id is missing",
           "Name the order by order_id or client_order_id."),
        _r(3034, "fractional_not_simple", 422, _UNPROCESSABLE, "fractional orders must be simple orders",
           "Use whole shares, or no order class."),
        _r(3035, "fractional_trailing", 422, _UNPROCESSABLE,
           "fractional orders must be market, limit, stop or stop_limit orders", "Use whole shares."),
        _r(3036, "extended_hours_stop", 422, _UNPROCESSABLE,
           "stop orders are not eligible for extended hours trading",
           "Stops are elected in the core session only; leave extended_hours out."),
        _r(3037, "extended_hours_not_simple", 422, _UNPROCESSABLE,
           "extended hours order must be simple orders", "Leave extended_hours out, or send a simple order."),
        _r(3038, "not_an_entry", 422, _UNPROCESSABLE, "{order_class} orders must be entry orders",
           "The order must open or add to a position; use an OCO to close one."),
        _r(3039, "not_an_exit", 422, _UNPROCESSABLE, "oco orders must be exit orders",
           "An OCO closes a position that you hold."),
        _r(3040, "exits_crossed", 422, _UNPROCESSABLE,
           "take_profit.limit_price must be {relation} stop_loss.stop_price",
           "For a long position the profit is taken above the stop, for a short one below."),
        _r(3041, "take_profit_not_beyond", 422, _UNPROCESSABLE,
           "take_profit.limit_price must be {relation} base_price {step}",
           "The base is the limit of the entry, or the market ({base_price})."),
        _r(3042, "stop_loss_not_beyond", 422, _UNPROCESSABLE,
           "stop_loss.stop_price must be {relation} base_price {step}",
           "The base is the limit of the entry, or the market ({base_price})."),
        _r(3043, "notional_too_small", 403, _FORBIDDEN, "cost basis must be >= minimal amount of order 1",
           "A purchase of a fraction of a share must come to at least one dollar."),
        _r(3060, "lots_not_accepted", 422, _INVALID,
           "{field} is only accepted on simple orders that close a position",
           "Only a simple order that closes may say which tax lots it takes."),
        _r(3061, "invalid_lots", 422, _INVALID, "lots are invalid: {problem}",
           "Name open lots of the position as position.get lists them, with at least the order's quantity in all."),
        _r(3062, "invalid_dividend", 422, _INVALID, "dividend is invalid: {problem}",
           "A dividend has an id, a stock, a positive rate, and trading days as its dates."),
        _r(3101, "order_not_found", 404, _NOT_FOUND, "order not found for {order_id}",
           "There is no such order in this account."),
        _r(3102, "order_not_open", 422, _UNPROCESSABLE, 'order is already in "{status}" state',
           "The order has ended; nothing is left to change."),
        _r(3103, "order_not_replaceable", 422, _UNPROCESSABLE, "cannot replace order in {status} status",
           "Wait until the order is new or partially filled.", True),
        _r(3104, "nothing_changed", 422, _UNPROCESSABLE, "order parameters are not changed",
           "Give at least one value that differs."),
        _r(3105, "qty_not_above_filled", 422, _UNPROCESSABLE, "qty must be > filled_qty",
           "qty is the new total and must exceed what is filled already."),
        _r(3106, "notional_not_replaceable", 422, _UNPROCESSABLE, "cannot replace notional order",
           "Cancel the order and place a new one."),
        _r(3107, "position_not_found", 404, _NOT_FOUND, "position does not exist",
           "The account holds nothing of this symbol."),
        _r(3108, "account_name_taken", 422, _INVALID, "account name must be unique",
           "Another account has this name; take another one."),
        _r(3109, "qty_of_group", 422, _UNPROCESSABLE, "qty cannot be changed for advanced orders",
           "Only prices of a bracket, OCO or OTO can be changed; cancel it and place a new one."),
        _r(3110, "order_already_replaced", 422, _UNPROCESSABLE, "order already replaced",
           "Change or cancel the order that replaced it."),
        _r(3111, "trail_kind", 422, _UNPROCESSABLE, "trail is not accepted for this order",
           "Only trailing stops have a trail; a percentage stays one and so do dollars."),
        _r(3150, "credential_not_found", 404, _NOT_FOUND, "key or session not found",
           "It does not exist, has expired, or was revoked."),
        _r(3151, "too_many_keys", 403, _FORBIDDEN, "too many api keys (limit: {limit})",
           "Revoke a key that is not used any more."),
        _r(3152, "user_not_found", 404, _NOT_FOUND, "user not found", "No account belongs to this user."),
        _r(3153, "watchlist_not_found", 404, _NOT_FOUND, "watchlist not found",
           "There is no such watchlist in this account."),
        _r(3154, "watchlist_name_taken", 422, _INVALID, "watchlist name must be unique",
           "Another watchlist of this account has this name."),
        _r(3155, "invalid_watchlist_name", 422, _INVALID, "watchlist name is invalid",
           "A name has 1 to 64 printable characters."),
        _r(3156, "watchlist_too_long", 422, _INVALID, "watchlist has too many symbols (limit: {limit})",
           "Split it into several watchlists."),
        _r(3157, "too_many_watchlists", 403, _FORBIDDEN, "too many watchlists (limit: {limit})",
           "Delete a watchlist that is not used any more."),
        _r(3158, "watchlist_symbol_taken", 422, _INVALID, "duplicate symbol: {symbol}",
           "The watchlist has this symbol already."),
        _r(3159, "watchlist_symbol_missing", 404, _NOT_FOUND, "symbol not found: {symbol}",
           "The watchlist does not have this symbol."),
        _r(3160, "watchlist_symbol_unknown", 404, _NOT_FOUND, "symbol not found: {symbol}",
           "This symbol is not known here; see asset.list."),
        _r(3161, "contract_not_found", 404, _NOT_FOUND, "option contract {symbol} not found",
           "There is no such option contract; see option.contracts."),
        _r(3162, "credential_taken", 422, _INVALID, "key or session exists already",
           "Ask again; a new id is drawn.", True),
        _r(3201, "asset_not_found", 422, _UNPROCESSABLE, 'asset "{symbol}" not found',
           "This symbol is not known here; see asset.list."),
        _r(3202, "asset_not_tradable", 422, _UNPROCESSABLE, 'asset "{symbol}" is not tradable',
           "This instrument cannot be traded here."),
        _r(3203, "asset_not_fractionable", 403, _FORBIDDEN, 'asset "{symbol}" is not fractionable',
           "Use whole shares."),
        _r(3204, "asset_not_shortable", 422, _UNPROCESSABLE, 'asset "{symbol}" cannot be sold short',
           "Nobody lends this stock."),
        _r(3205, "fractional_short", 422, _UNPROCESSABLE, "fractional orders cannot be sold short",
           "Sell whole shares short."),
        _r(3206, "asset_not_active", 422, _INVALID, "asset {symbol} is not active",
           "This instrument is not traded any more."),
        _r(3301, "insufficient_buying_power", 403, _FORBIDDEN, "insufficient buying power",
           "The order needs {cost_basis} and {buying_power} is free; open orders reserve their part."),
        _r(3302, "insufficient_qty", 403, _FORBIDDEN,
           "insufficient qty available for order (requested: {requested}, available: {available})",
           "You hold {existing_qty}, of which {held_for_orders} is reserved by open orders."),
        _r(3303, "insufficient_cash", 403, _FORBIDDEN, "insufficient cash (available: {available})",
           "Only {available} can be taken out."),
        _r(3304, "number_too_large", 422, _INVALID, "{field} is too large",
           "Quantity times price must stay below 9,000,000,000 dollars."),
        _r(3401, "shorting_not_allowed", 403, _FORBIDDEN, "account is not allowed to short",
           "Short sales need a margin account with 2,000 dollars of equity and shorting switched on."),
        _r(3402, "account_closed", 403, _FORBIDDEN, "account is not authorized to trade",
           "This account is closed."),
        _r(3403, "account_quarantined", 403, _FORBIDDEN, "account is not authorized to trade",
           "A fault was found in this account; it only answers reads until the operator has looked."),
        _r(3404, "trade_suspended", 403, _FORBIDDEN, "new orders are rejected by user request",
           "Switch suspend_trade off first."),
        _r(3405, "fractional_disabled", 403, _FORBIDDEN,
           "fractional trading is disabled for this account",
           "Use whole shares, or switch fractional_trading on."),
        _r(3406, "account_not_empty", 422, _UNPROCESSABLE,
           "account has open positions or orders",
           "Close every position and cancel every order first."),
        _r(3407, "wash_trade", 403, _FORBIDDEN, "potential wash trade detected. use complex orders",
           "Your order {existing_order_id} could trade with this one; cancel it, or use a bracket or an OCO."),
        _r(3408, "short_while_buying", 403, _FORBIDDEN,
           "cannot open a short sell while a long buy order is open",
           "Cancel your order {existing_order_id} first."),
        _r(3409, "buy_while_shorting", 403, _FORBIDDEN,
           "cannot open a long buy while a short sell order is open",
           "Cancel your order {existing_order_id} first."),
        _r(3410, "notional_while_closing", 422, _UNPROCESSABLE,
           "unable to open new notional orders while having open closing position orders",
           "Your order {existing_order_id} is closing this position; wait or cancel it."),
        _r(3421, "pdt_protection", 403, 40310100, "trade denied due to pattern day trading protection",
           "This would be a day trade too many for an account that ended yesterday below 25,000 dollars"
           " ({day_trades} in five days)."),
        _r(3411, "pdt_restricted", 403, 40310100, "trade denied due to pattern day trading protection",
           "A pattern day trader below 25,000 dollars may not day-trade; hold overnight or add money."),
        _r(3412, "day_trading_buying_power", 403, _FORBIDDEN, "insufficient day trading buying power",
           "The order needs {cost_basis} and {buying_power} of day-trading buying power is left."),
        _r(3413, "intraday_margin_deficit", 403, _FORBIDDEN, "insufficient buying power",
           "After the order the account would stand {shortfall} below its maintenance requirement."),
        _r(3414, "margin_freeze", 403, _FORBIDDEN, "account is restricted to liquidation only",
           "An intraday margin deficit was not met in five business days: until {until} nothing that adds to a"
           " debit or a short position is taken."),
        _r(3415, "margin_call", 403, _FORBIDDEN, "account is restricted to liquidation only",
           "The account is in a margin call; only orders that reduce a position are taken until it is met."),
        _r(3417, "locate_required", 403, _FORBIDDEN, 'asset "{symbol}" cannot be sold short',
           "{symbol} is hard to borrow: locate shares first (account.locate); {located} are located."),
        _r(3418, "unsettled_sale", 403, _FORBIDDEN, "account is not authorized to trade",
           "These shares were bought with money that settles on {settles_on}; selling them before is a violation."),
        _r(3419, "borrow_recalled", 403, _FORBIDDEN, 'asset "{symbol}" cannot be sold short',
           "Borrowed shares of {symbol} were called back; the short position may not grow."),
        _r(3420, "overnight_disabled", 403, _FORBIDDEN, "overnight trading is disabled for this account",
           "The account's setting disable_overnight_trading forbids orders for the overnight session."),
        _r(3501, "no_market_price", 422, _UNPROCESSABLE, "no market price for {symbol}",
           "There has been no quote, print or previous close for this symbol yet; wait, or use a limit.",
           True),
        _r(3502, "stop_not_below_market", 422, _UNPROCESSABLE, "stop price must be less than current price",
           "A sell stop lies below the market ({market_price})."),
        _r(3503, "stop_not_above_market", 422, _UNPROCESSABLE,
           "stop price must be greater than current price",
           "A buy stop lies above the market ({market_price})."),
        _r(3504, "options_not_served", 422, _UNPROCESSABLE, 'contract "{symbol}" not tradable',
           "The terms of this contract are not complete here; see option.contracts."),
        _r(3505, "trading_disabled", 403, _FORBIDDEN, "account is not authorized to trade",
           "Trading is switched off on this server; cancels and reads go on.", True),
        _r(3506, "opg_window", 403, _FORBIDDEN, "opg orders must be submitted after 7:00pm and before 9:28am",
           "Orders for the opening auction are taken from 19:00 to 09:28 New York.", True),
        _r(3507, "cls_window", 403, _FORBIDDEN, "cls orders must be submitted after 7:00pm and before 3:50pm",
           "Orders for the closing auction are taken from 19:00 until ten minutes before the close.", True),
        _r(3510, "new_orders_disabled", 403, _FORBIDDEN, "new orders are rejected",
           "This server takes only orders that reduce a position at present.", True),
        _r(3601, "contract_not_held", 403, _FORBIDDEN, "no available position for the specified contract",
           "The account holds no contract of this symbol."),
        _r(3602, "exercise_of_short", 403, 40310001, "cannot exercise short position",
           "Only the holder of a long contract exercises; a short one is assigned."),
        _r(3603, "invalid_contracts", 422, _INVALID, "qty must be a whole number of contracts",
           "qty is a whole number of contracts, at least 1."),
        _r(3604, "exercise_more_than_held", 403, _FORBIDDEN,
           "insufficient qty available for order (requested: {requested}, available: {held})",
           "You hold {held} contracts."),
        _r(3605, "not_expiry_day", 422, _UNPROCESSABLE,
           "do-not-exercise is accepted on the expiration date only",
           "Give this instruction on {expiry}, the day on which the contract expires."),
        _r(3606, "do_not_exercise_european", 422, _UNPROCESSABLE,
           "do-not-exercise is not supported for European style contracts",
           "A European contract is settled at its expiry; close the position before."),
        _r(3607, "not_american", 422, _UNPROCESSABLE, "contract cannot be exercised before expiration",
           "Only American contracts are exercised early; this one ends on {expiry}."),
        _r(3608, "exercise_after_cutoff", 403, _FORBIDDEN,
           "exercise requests are not accepted after market close until midnight",
           "The time for this ended at {cutoff}; try again after midnight New York time.", True),
        _r(3609, "exercise_unpriced", 422, _UNPROCESSABLE, "no market price for {missing}",
           "There is no price of {missing} yet, by which to tell what the contract is worth; try later.", True),
        _r(3610, "not_in_the_money", 403, _FORBIDDEN, "contract is not in the money",
           "Exercising would lose money against the market; this account's policy does not allow it."),
        _r(3611, "exercise_beyond_means", 403, _FORBIDDEN, "insufficient buying power",
           "The exercise would leave {missing} missing; deposit, or sell the contract instead."),
        _r(3621, "leg_count", 422, _INVALID, "legs must contain 2 to {most} legs", "Give 2 to {most} legs."),
        _r(3622, "leg_ratio", 422, _INVALID, "invalid ratio_qty for leg {leg}",
           "ratio_qty is a whole number of contracts, at least 1."),
        _r(3623, "stock_leg", 422, _UNPROCESSABLE, "equity leg {leg} is not supported",
           "Every leg of this order must be an option contract."),
        _r(3624, "leg_repeated", 422, _INVALID, "duplicate leg: {leg}",
           "Each contract may be named in one leg only."),
        _r(3625, "underlying_mismatch", 422, _UNPROCESSABLE, "underlying asset mismatch: {leg}",
           "All legs must be contracts on the same underlying."),
        _r(3626, "ratio_not_reduced", 422, _UNPROCESSABLE, "leg ratio quantities must be relatively prime",
           "Divide all ratio_qty by their greatest common divisor and raise qty instead."),
        _r(3627, "leg_refused", 422, _UNPROCESSABLE, "leg {leg} is not valid", "{detail}"),
        _r(3628, "legs_required", 422, _INVALID, "legs are required for mleg orders", "Give 2 to 8 legs."),
        _r(3629, "mleg_field", 422, _INVALID, "{field} is not accepted for mleg orders",
           "The legs say what is bought and sold; leave it out of the order itself."),
        _r(3630, "sign_suspect", 422, _UNPROCESSABLE, "limit_price has the wrong sign",
           "The market for this unit is {market}; a debit has a positive limit, a credit a negative one."),
        _r(3631, "option_order_type", 422, _UNPROCESSABLE, "invalid order type for options trading",
           "Option orders are market or limit."),
        _r(3632, "option_time_in_force", 422, _UNPROCESSABLE,
           "order_time_in_force provided not supported for options",
           "Option orders are day orders."),
        _r(3633, "option_extended_hours", 422, _UNPROCESSABLE, "extended hours are not supported for options trading",
           "Options trade in the core session only."),
        _r(3634, "option_whole_contracts", 422, _UNPROCESSABLE, "qty must be a whole number of contracts",
           "Give qty as a whole number of contracts, without notional."),
        _r(3635, "option_price_step", 422, _UNPROCESSABLE, "invalid price increment for {symbol}",
           "At this price the contract steps by {step}."),
        _r(3636, "option_level", 403, _FORBIDDEN, "account not eligible to trade options at level {needed}",
           "This order needs option level {needed} and the account has {level}."),
        _r(3637, "contract_expired", 422, _UNPROCESSABLE, 'contract "{symbol}" has expired',
           "Its last trading day was {expiry}."),
        _r(3638, "expiry_day_cutoff", 403, _FORBIDDEN,
           "opening orders for contracts that expire today are not accepted",
           "From 30 minutes before the close of {expiry} only orders that close {symbol} are taken.", True),
        _r(3639, "option_order_class", 422, _UNPROCESSABLE, "complex orders not supported for options trading",
           "Send a simple order, or order_class mleg."),
        _r(3640, "uncovered_short", 403, _FORBIDDEN, "account not eligible to trade uncovered option contracts",
           "Nothing covers the short contract; hold the shares, buy a contract beside it, or use option level 4."),
        _r(3641, "shares_cover_calls", 403, _FORBIDDEN,
           "insufficient qty available for order (requested: {requested}, available: {available})",
           "The other shares cover short calls; close those first."),
        _r(3642, "option_market_closed", 422, _UNPROCESSABLE,
           "options market orders are only allowed during market hours", "Send a limit order; it waits.", True),
    )
)  # fmt: skip


_FIELD_OF: Final[dict[str, str]] = {"insufficient_buying_power": "qty", "insufficient_qty": "qty"}


def refuse(reason: str, field: str = "", /, **numbers: str) -> Refusal:
    """A refusal with a reason of the table."""
    return Refusal(REASONS[reason].name, field or _FIELD_OF.get(reason, ""), numbers)


class _Blank(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"


def alpaca_text(refusal: Refusal) -> str:
    """Alpaca's message for a refusal."""
    numbers = _Blank(refusal.numbers)
    numbers.setdefault("field", refusal.field)
    return REASONS[refusal.reason].alpaca_text.format_map(numbers)


def advice_text(refusal: Refusal) -> str:
    """The sentence for people."""
    return REASONS[refusal.reason].advice.format_map(_Blank(refusal.numbers))
