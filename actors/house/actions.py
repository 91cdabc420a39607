"""The house takes in corporate actions: an operator's words become terms that every account can apply.

Invariants: an id is one action for ever; the same terms again change nothing; other terms are its next version. Rates
are exact fractions, read from their text; dates are trade dates of the calendar. Every action is checked whole before
anything of it is a fact. Rule source: corporate-actions-and-market-rules §2, §7.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Final

import msgspec
from msgspec.structs import replace

from actors.book.events.actions import (
    ActionLeg,
    ActionPrice,
    ContractTerms,
    CorporateAction,
    CorporateActionAnnounced,
    Ratio,
)
from actors.book.instruments import Deliverable
from actors.book.osi import BadSymbol
from actors.book.rules.actions.contracts import adjusts_class, base_root, concerns, free_root
from actors.book.rules.reasons import Refusal, refuse
from actors.book.units import INT64_MAX, BadNumber, parse_money, parse_price, parse_qty, parse_scaled
from actors.house.action_checks import DECIMALS, day_of, doubt_of, fault_of_terms, fault_of_words, is_symbol
from actors.house.commands import AnnounceAction, DeliverableWords, OccWords, WithdrawAction
from actors.house.state import House
from actors.market.world import World

_SEARCH_DAYS: Final = 10
_KEEP_ROOTS: Final = ("cash_dividend", "cash_merger", "redemption", "worthless_removal", "name_change")
_UNTOLD: Final = frozenset(
    {"at", "prices", "occ_adjustments", "stock_movements", "existing_option_roots", "confirmed"}
)

Decided = tuple[CorporateActionAnnounced, ...] | Refusal


class _Wrong(Exception):
    """A word that cannot be taken: its field, and the problem in a sentence."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(problem)
        self.field, self.problem = field, problem


def announce(house: House, words: AnnounceAction, now: int, world: World | None) -> Decided:
    """A new action, a new version of one, or nothing new."""
    told = _told(words)
    try:
        action = _Reader(words, world).read()
    except _Wrong as wrong:
        return refuse("invalid_corporate_action", wrong.field, problem=wrong.problem)
    except BadSymbol as wrong:
        return refuse("invalid_corporate_action", "existing_option_roots", problem=str(wrong))
    fault = fault_of_words(told) or fault_of_terms(action, world)
    old = house.actions.by_id.get(action.ca_id)
    if old is not None and fault is None:
        if replace(old.action, roots=()) == replace(action, roots=()):
            return ()
        # A contract's new name is fixed by the first announcement.
        if old.action.roots and not old.action.withdrawn:
            roots = dict(action.roots) | dict(old.action.roots)
            action = replace(action, roots=tuple(sorted(roots.items())))
    if fault is None and not words.confirmed:
        fault = doubt_of(action, house, world)
    if fault is not None:
        return refuse("invalid_corporate_action", fault[0], problem=fault[1])
    version = old.version + 1 if old is not None else 1
    return (CorporateActionAnnounced(action, version, now, told),)


def withdraw(house: House, words: WithdrawAction, now: int) -> Decided:
    """Have an action not happen."""
    old = house.actions.by_id.get(words.id)
    if old is None:
        return refuse("corporate_action_not_found", "id")
    if old.action.withdrawn:
        return ()
    return (CorporateActionAnnounced(replace(old.action, withdrawn=True), old.version + 1, now, old.told),)


def _told(words: AnnounceAction) -> dict[str, str]:
    out = {}
    for name, value in msgspec.to_builtins(words).items():
        if name in _UNTOLD or name == "do" or value in (None, "", False):
            continue
        out[name] = "true" if value is True else value
    return out


class _Reader:
    def __init__(self, words: AnnounceAction, world: World | None) -> None:
        self.words, self.world = words, world

    def read(self) -> CorporateAction:
        words = self.words
        if not 0 < len(words.id) <= 64 or not words.id.isprintable():
            raise _Wrong("id", "id has 1 to 64 printable characters")
        read = _TYPES.get(words.type)
        if read is None:
            raise _Wrong("type", f"type is one of {', '.join(_TYPES)}")
        action = read(self)
        action = replace(
            action, contracts=tuple(self._occ(occ) for occ in words.occ_adjustments), fraction=words.fraction,
            prices=tuple(self._price(symbol) for symbol in sorted(words.prices)),
            roots_in_use=words.existing_option_roots, foreign=words.foreign,
        )  # fmt: skip
        return replace(action, roots=self._roots(action))

    # ── words ───────────────────────────────────────────────────────────────────────────────────────────

    def text(self, name: str) -> str:
        text = getattr(self.words, name)
        if not text or not is_symbol(text):
            raise _Wrong(name, f"{name} is missing or no symbol")
        return str(text)

    def ratio(self, name: str, *, least: int = 1, default: str | None = None) -> Fraction:
        text = getattr(self.words, name)
        return self._number(default if text is None and default is not None else text, name, least)

    def _number(self, text: str | None, name: str, least: int = 1) -> Fraction:
        try:
            value = parse_scaled(text or "", DECIMALS)
        except BadNumber:
            value = -1
        if value < least:
            raise _Wrong(name, f"{name} is a positive decimal text with at most {DECIMALS} decimals")
        return Fraction(value, 10**DECIMALS)

    def date(self, *names: str) -> int:
        """The first of some dates that was told, as a trade date."""
        for name in names:
            text = getattr(self.words, name)
            if text:
                day = day_of(text)
                if not day or self._trade_date(day) != day:
                    raise _Wrong(name, f"{name} is no trading day")
                return day
        raise _Wrong(names[0], f"{names[0]} is missing")

    def _trade_date(self, day: int) -> int:
        if self.world is None or self.world.days is None:
            return 0
        try:
            return self.world.days.day(day).trade_date
        except (KeyError, ValueError):
            return 0

    def post_date(self, effective: int) -> int:
        """Process date, but never before the payable date nor the date itself (§1); on the next trade date."""
        days = [effective]
        for name in ("payable_date", "process_date"):
            text = getattr(self.words, name)
            if text:
                if not (day := day_of(text)):
                    raise _Wrong(name, f"{name} is no date")
                days.append(self._on_or_after(day, name))
        return max(days)

    def _on_or_after(self, day: int, name: str) -> int:
        from actors.market.days import plus_days

        try:
            for count in range(_SEARCH_DAYS):
                if found := self._trade_date(plus_days(day, count)):
                    return found
        except ValueError:
            pass
        raise _Wrong(name, f"{name} is outside the calendar")

    def _price(self, symbol: str) -> ActionPrice:
        told = self.words.prices[symbol]
        try:
            numbers = [
                parse_money(text) if text else 0
                for text in (told.cil_price, told.alloc_price, told.drip_price, told.prev_close)
            ]
        except BadNumber:
            numbers = [-1]
        if min(numbers) < 0:
            raise _Wrong("prices", f"the prices of {symbol[:24]} are positive decimal texts with at most 6 decimals")
        return ActionPrice(symbol, *numbers)

    def _occ(self, told: OccWords) -> ContractTerms:
        try:
            return ContractTerms(
                told.root, told.new_root, _pair(self._number(told.contract_multiplier, "occ_adjustments")),
                _pair(self._number(told.strike_divisor, "occ_adjustments")), parse_price(told.strike_reduction),
                int(told.new_premium_multiplier or 0), int(told.new_strike_multiplier or 0),
                _parts(told.deliverable) if told.deliverable is not None else (),
            )  # fmt: skip
        except (BadNumber, ValueError) as error:
            raise _Wrong("occ_adjustments", str(error) or "not readable") from None

    def _roots(self, action: CorporateAction) -> tuple[tuple[str, str], ...]:
        """The new root of every listed one that may need it, so that all accounts take the same."""
        if self.world is None or not adjusts_class(action) or action.type in _KEEP_ROOTS:
            return ()
        listed = [
            contract for contract in self.world.instruments.by_symbol.values() if contract.asset_class == "us_option"
        ]
        taken = {*action.roots_in_use, *(contract.root for contract in listed)}
        out = []
        for root in sorted({contract.root for contract in listed if contract.active and concerns(action, contract)}):
            new = free_root(base_root(action, root), taken)
            taken.add(new)
            out.append((root, new))
        return tuple(out)


def _pair(value: Fraction) -> Ratio:
    if max(value.numerator, value.denominator) > INT64_MAX:
        raise _Wrong("rate", "the rates have too many digits")
    return value.numerator, value.denominator


def _parts(told: DeliverableWords) -> tuple[Deliverable, ...]:
    cash = parse_money(told.cash)
    return (
        *(Deliverable("equity", part.symbol, parse_qty(part.qty)) for part in told.shares),
        *((Deliverable("cash", "USD", cash),) if cash else ()),
        *(Deliverable("cash_in_lieu", part.symbol, parse_qty(part.qty)) for part in told.cash_in_lieu),
    )


# ── one type after the other ────────────────────────────────────────────────────────────────────────────────


def _split(read: _Reader) -> CorporateAction:
    words = read.words
    ratio = read.ratio("new_rate") / read.ratio("old_rate")
    forward = words.type == "forward_split"
    if (ratio > 1) != forward or ratio == 1:
        raise _Wrong("new_rate", f"new_rate and old_rate are not those of a {words.type}")
    symbol = read.text("symbol")
    new = read.text("new_symbol") if words.new_symbol else symbol
    legs = (ActionLeg(new, _pair(ratio)),)
    return CorporateAction(words.id, words.type, symbol, read.date("ex_date"), legs=legs, new_asset=not forward)


def _unit_split(read: _Reader) -> CorporateAction:
    old = read.ratio("old_rate", default="1")
    legs = [ActionLeg(read.text("new_symbol"), _pair(read.ratio("new_rate") / old))]
    if read.words.alternate_symbol:
        legs.append(ActionLeg(read.text("alternate_symbol"), _pair(read.ratio("alternate_rate") / old)))
    date = read.date("effective_date", "process_date")
    return CorporateAction(read.words.id, "unit_split", read.text("old_symbol"), date, legs=tuple(legs))


def _stock_dividend(read: _Reader) -> CorporateAction:
    rate = read.ratio("rate")
    if rate >= 1 and not read.words.confirmed:
        raise _Wrong("rate", "rate is the extra shares for each share; confirm one of 1 or more")
    symbol = read.text("symbol")
    legs = (ActionLeg(symbol, _pair(1 + rate)),)
    return CorporateAction(read.words.id, "stock_dividend", symbol, read.date("ex_date"), legs=legs)


def _cash_dividend(read: _Reader) -> CorporateAction:
    words = read.words
    if words.sub_type not in (None, "", "interest", "return_of_capital"):
        raise _Wrong("sub_type", "sub_type is interest or return_of_capital")
    date = read.date("ex_date")
    return CorporateAction(
        words.id, "cash_dividend", read.text("symbol"), date, read.post_date(date), keeps_source=True,
        cash=_pair(read.ratio("rate")), special=words.special, sub_type=words.sub_type or "",
    )  # fmt: skip


def _capital_gains(read: _Reader) -> CorporateAction:
    words = read.words
    date = read.date("ex_date")
    rates = [read.ratio(name, least=0, default="0") for name in ("long_term_rate", "short_term_rate")]
    if not any(rates):
        raise _Wrong("long_term_rate", "long_term_rate or short_term_rate is missing")
    return CorporateAction(
        words.id, "capital_gains_distribution", read.text("symbol"), date, read.post_date(date), keeps_source=True,
        cash=_pair(rates[0]), cash_more=_pair(rates[1]),
    )  # fmt: skip


def _spin_off(read: _Reader) -> CorporateAction:
    ratio = read.ratio("new_rate") / read.ratio("source_rate", default="1")
    legs = (ActionLeg(read.text("new_symbol"), _pair(ratio)),)
    symbol, date = read.text("source_symbol"), read.date("ex_date")
    return CorporateAction(read.words.id, "spin_off", symbol, date, legs=legs, keeps_source=True)


def _merger(read: _Reader) -> CorporateAction:
    words = read.words
    date = read.date("effective_date", "process_date")
    legs: tuple[ActionLeg, ...] = ()
    cash = Fraction(0)
    if words.type != "cash_merger":
        ratio = read.ratio("acquirer_rate") / read.ratio("acquiree_rate", default="1")
        legs = (ActionLeg(read.text("acquirer_symbol"), _pair(ratio)),)
    if words.type != "stock_merger":
        cash = read.ratio("rate" if words.type == "cash_merger" else "cash_rate")
    symbol, post = read.text("acquiree_symbol"), read.post_date(date)
    return CorporateAction(words.id, words.type, symbol, date, post, legs, cash=_pair(cash))


def _reorganization(read: _Reader) -> CorporateAction:
    words = read.words
    date = read.date("effective_date", "process_date")
    legs = tuple(
        ActionLeg(move.symbol, _pair(read._number(move.new_rate, "stock_movements")
                                     / read._number(move.source_rate, "stock_movements")))
        for move in words.stock_movements
    )  # fmt: skip
    cash = read.ratio("cash_rate", least=0, default="0")
    if not legs and not cash:
        raise _Wrong("stock_movements", "a reorganization gives shares or cash")
    return CorporateAction(
        words.id, words.type, read.text("symbol"), date, read.post_date(date), legs, cash=_pair(cash)
    )


def _removal(read: _Reader) -> CorporateAction:
    words = read.words
    date = read.date("process_date")
    redeemed = words.type == "redemption"
    cash = read.ratio("rate") if redeemed else Fraction(0)
    post = read.post_date(date) if redeemed else date
    return CorporateAction(words.id, words.type, read.text("symbol"), date, post, cash=_pair(cash))


def _name_change(read: _Reader) -> CorporateAction:
    words = read.words
    old = read.text("old_symbol")
    new = read.text("new_symbol") if words.new_symbol else old
    other = words.old_cusip != words.new_cusip
    if new == old and not other:
        raise _Wrong("new_symbol", "neither the symbol nor the CUSIP changes")
    legs = (ActionLeg(new, (1, 1)),)
    return CorporateAction(words.id, "name_change", old, read.date("process_date"), legs=legs, new_asset=other)


def _rights(read: _Reader) -> CorporateAction:
    words = read.words
    date = read.date("ex_date")
    ends = read.date("expiration_date") if words.expiration_date else 0
    legs = (ActionLeg(read.text("new_symbol"), _pair(read.ratio("rate"))),)
    return CorporateAction(
        words.id, "rights_distribution", read.text("source_symbol"), date, read.post_date(date), legs,
        keeps_source=True, expires_on=ends,
    )  # fmt: skip


_TYPES: Final[dict[str, Callable[[_Reader], CorporateAction]]] = {
    "forward_split": _split,
    "reverse_split": _split,
    "unit_split": _unit_split,
    "stock_dividend": _stock_dividend,
    "cash_dividend": _cash_dividend,
    "capital_gains_distribution": _capital_gains,
    "spin_off": _spin_off,
    "cash_merger": _merger,
    "stock_merger": _merger,
    "stock_and_cash_merger": _merger,
    "reorganization": _reorganization,
    "redemption": _removal,
    "worthless_removal": _removal,
    "name_change": _name_change,
    "rights_distribution": _rights,
}
