"""What a corporate action makes of option contracts (OCC, corporate-actions-and-market-rules §6).

Invariants: an adjustment is data: a descriptor of the action's own wins, else the defaults here; a contract that
already delivers something else keeps all that the action does not name. A deliverable keeps fractions to nine places
as cash in lieu. Contracts that can only be cash are settled at once at what they are worth.

Known limits: rights adjust nothing without a descriptor; capital gains distributions never do.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from string import ascii_uppercase
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from actors.book.events.actions import ContractTerms, CorporateAction
from actors.book.instruments import CONTRACT_SHARES, Deliverable, Instrument, named_asset_id
from actors.book.osi import BadSymbol, OptionSymbol, contract_name, format_osi, next_root
from actors.book.rules.actions.arithmetic import cash_of, cent_price, fraction, half_up, whole_shares
from actors.book.units import MONEY_PER_DOLLAR, PRICE_PER_DOLLAR, QTY_PER_SHARE

SPECIAL_FLOOR: Final = Fraction(1, 8)
"""Dollars a share from which a payment outside the ordinary lowers strikes (§6.2)."""
_ENDS: Final = ("cash_merger", "redemption", "worthless_removal")


class Adjusted(Struct, frozen=True):
    """A contract after the action."""

    instrument: Instrument
    contracts: Fraction
    """New contracts for each one."""


class Settled(Struct, frozen=True):
    """A contract that ends: what one of them pays its holder, money units."""

    money: int


def concerns(action: CorporateAction, contract: Instrument) -> bool:
    """Whether a contract is about the security that changes."""
    return contract.underlying == action.symbol or any(
        part.symbol == action.symbol for part in contract.deliverables if part.kind != "cash"
    )


def adjusts_class(action: CorporateAction) -> bool:
    """Whether contracts on the security become others, or end."""
    if action.contracts:
        return True
    match action.type:
        case "cash_dividend":
            return action.special and fraction(action.cash) >= SPECIAL_FLOOR
        case "stock_dividend":
            return _whole(action) > 1
        case "capital_gains_distribution" | "rights_distribution":
            return False
        case _:
            return True


def adjust(action: CorporateAction, contract: Instrument) -> Adjusted | Settled | None:
    """What one contract becomes; ``None`` when nothing happens to it, or no symbol can say what it would be."""
    if contract.settlement == "cash" or not concerns(action, contract) or not adjusts_class(action):
        return None
    try:
        return _adjusted(action, contract)
    except BadSymbol:
        return None


def _adjusted(action: CorporateAction, contract: Instrument) -> Adjusted | Settled | None:
    for terms in action.contracts:
        if terms.root == contract.root:
            return _by_terms(terms, contract)
    if action.type in _ENDS:
        return Settled(_worth(action, contract))
    if action.type == "cash_dividend":
        return _lower_strike(action, contract)
    if action.type == "name_change":
        return _rename(action, contract)
    whole = _whole(action)
    if whole > 1 and not contract.is_adjusted:
        strike = cent_price(Fraction(contract.strike, whole))
        return Adjusted(_renamed(contract, contract.root, strike=strike), Fraction(whole))
    if action.type == "forward_split" and not contract.is_adjusted:
        return _decimal(action, contract)
    return _deliver(action, contract)


def _whole(action: CorporateAction) -> int:
    """Of a split into a whole number of shares: that number; else 0."""
    if action.type not in ("forward_split", "stock_dividend"):
        return 0
    ratio = fraction(action.legs[0].ratio)
    return ratio.numerator if ratio.denominator == 1 else 0


def free_root(base: str, taken: Iterable[str]) -> str:
    """The next root for a class: its name with a digit, or with a letter and a digit once those are used up."""
    in_use = frozenset(taken)
    for letter in ("", *ascii_uppercase):
        with suppress(BadSymbol):
            return next_root(base[: 5 - len(letter)] + letter, in_use)
    raise BadSymbol(f"every adjusted root of {base} is in use")


def root_after(action: CorporateAction, contract: Instrument, base: str = "") -> str:
    """The root of a contract that is not standard any more: as fixed by the announcement, else the next one."""
    known = dict(action.roots).get(contract.root)
    if known is not None:
        return known
    taken = {*action.roots_in_use, *(root for _, root in action.roots), contract.root}
    return free_root(base or contract.root.rstrip("0123456789"), taken)


def base_root(action: CorporateAction, root: str) -> str:
    """Whose name a new root bears: the acquirer's after a merger in shares, else the old one's."""
    if action.type in ("stock_merger", "stock_and_cash_merger") and action.legs:
        return _letters(action.legs[0].symbol)
    return root.rstrip("0123456789")


def _letters(symbol: str) -> str:
    return "".join(char for char in symbol if char.isalpha())


def _renamed(contract: Instrument, root: str, **changes: object) -> Instrument:
    day, right = contract.osi_date or contract.expiry_date, contract.right or "call"
    changed = replace(contract, root=root, **changes)
    symbol = format_osi(root, day, right, changed.strike)
    called = contract_name(changed.underlying, OptionSymbol(root, day, right, changed.strike))
    return replace(
        changed, symbol=symbol, asset_id=named_asset_id(symbol), name=called, active=True, tradable=True,
        previous_close=0, previous_close_date=0, open_interest=-1, open_interest_date=0,
    )  # fmt: skip


def _by_terms(terms: ContractTerms, contract: Instrument) -> Adjusted:
    strike = cent_price(contract.strike / fraction(terms.strike_divisor)) - terms.strike_reduction
    changed = _renamed(
        contract, terms.new_root, strike=strike, multiplier=terms.multiplier or contract.multiplier,
        strike_multiplier=terms.strike_multiplier or contract.strike_multiplier,
        deliverables=terms.deliverables or contract.deliverables,
    )  # fmt: skip
    return Adjusted(changed, fraction(terms.contracts))


def _lower_strike(action: CorporateAction, contract: Instrument) -> Adjusted | None:
    shares = sum(part.amount for part in contract.deliverables if part.symbol == action.symbol)
    per = Fraction(shares, (contract.strike_multiplier or contract.multiplier) * QTY_PER_SHARE)
    strike = contract.strike - half_up(fraction(action.cash) * per * PRICE_PER_DOLLAR)
    # A symbol counts tenths of a cent.
    strike = half_up(Fraction(strike, 10)) * 10
    return Adjusted(_renamed(contract, contract.root, strike=strike), Fraction(1)) if strike > 0 else None


def _rename(action: CorporateAction, contract: Instrument) -> Adjusted | None:
    new = action.legs[0].symbol
    if new == action.symbol:
        return None
    digits = contract.root[len(contract.root.rstrip("0123456789")) :]
    root = _letters(new)[: 6 - len(digits)] + digits if contract.underlying == action.symbol else contract.root
    parts = tuple(
        replace(part, symbol=new) if part.symbol == action.symbol else part for part in contract.deliverables
    )
    underlying = new if contract.underlying == action.symbol else contract.underlying
    return Adjusted(_renamed(contract, root, underlying=underlying, deliverables=parts), Fraction(1))


def _decimal(action: CorporateAction, contract: Instrument) -> Adjusted:
    """Other forward splits: deliverable and multipliers grow, the strike shrinks to the cent (§6.4)."""
    ratio = fraction(action.legs[0].ratio)
    multiplier = half_up(contract.multiplier * ratio)
    changed = _renamed(
        contract, root_after(action, contract), strike=cent_price(contract.strike / ratio), multiplier=multiplier,
        strike_multiplier=multiplier, deliverables=_parts(action, contract),
    )  # fmt: skip
    return Adjusted(changed, Fraction(1))


def _deliver(action: CorporateAction, contract: Instrument) -> Adjusted:
    """The strike stays, the deliverable becomes what the holder of the shares has (§6.5-§6.7)."""
    parts = _parts(action, contract)
    gone = not action.keeps_source and all(part.symbol != action.symbol for part in parts)
    underlying = contract.underlying
    if gone and contract.underlying == action.symbol and action.legs:
        underlying = action.legs[0].symbol
    plain = Deliverable("equity", underlying, CONTRACT_SHARES * QTY_PER_SHARE)
    if gone and [(part.kind, part.symbol, part.amount) for part in parts] == [("equity", underlying, plain.amount)]:
        root = _letters(underlying)
    else:
        root = root_after(action, contract, base_root(action, contract.root))
    return Adjusted(_renamed(contract, root, underlying=underlying, deliverables=parts), Fraction(1))


def _parts(action: CorporateAction, contract: Instrument) -> tuple[Deliverable, ...]:
    shares: dict[str, int] = {}
    cash = 0
    rests: dict[str, int] = {}
    for part in contract.deliverables:
        if part.kind == "cash":
            cash += part.amount
        elif part.symbol != action.symbol or action.keeps_source:
            table = shares if part.kind == "equity" else rests
            table[part.symbol] = table.get(part.symbol, 0) + part.amount
        if part.symbol == action.symbol and part.kind == "equity":
            for leg in action.legs:
                amount = half_up(part.amount * fraction(leg.ratio))
                whole = whole_shares(amount)
                shares[leg.symbol] = shares.get(leg.symbol, 0) + whole
                if amount != whole:
                    rests[leg.symbol] = rests.get(leg.symbol, 0) + amount - whole
            cash += cash_of(part.amount, fraction(action.cash))
    parts = [
        *(Deliverable("equity", symbol, amount) for symbol, amount in shares.items() if amount),
        *([Deliverable("cash", "USD", cash)] if cash else []),
        *(Deliverable("cash_in_lieu", symbol, amount) for symbol, amount in rests.items()),
    ]
    return tuple(parts)


def _worth(action: CorporateAction, contract: Instrument) -> int:
    """What a contract is worth whose shares are only cash, or nothing, any more; never below zero."""
    shares = sum(part.amount for part in contract.deliverables if part.symbol == action.symbol)
    value = half_up(Fraction(shares, QTY_PER_SHARE) * fraction(action.cash) * MONEY_PER_DOLLAR)
    value += sum(part.amount for part in contract.deliverables if part.kind == "cash")
    gain = value - contract.exercise_money if contract.right == "call" else contract.exercise_money - value
    return max(0, gain)
