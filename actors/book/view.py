"""Figures derived from a book and the market: equity, requirements, buying power. Never stored.

Invariants (margin-and-options §0.1): a requirement contains the whole value of what is short, the proceeds of the
sale sit in cash; equity is cash plus marked positions less what has accrued and is not posted. All figures are
money units. Rule sources: margin-and-options §2, §3, alpaca-api §4.1. Books with options are margined by the pairing
of their legs; while the price under a contract is not known each contract counts alone.
"""

from __future__ import annotations

from msgspec import Struct

from actors.book.instruments import Instrument
from actors.book.rules.margin.holdings import Valued, holds_options, valued
from actors.book.rules.margin.pairing import BOUNDS, EXACT, SMALL
from actors.book.rules.margin.profiles import PPM, MarginProfile, profile_of
from actors.book.rules.margin.requirement import Holdings
from actors.book.rules.margin.stock import Requirement, StockTerms, maintenance_money, requirement
from actors.book.rules.money.day_trade_calls import CALL_TIMES, held_money, start_money, times
from actors.book.rules.money.day_trades import PDT, rule_set
from actors.book.rules.money.fees import accrued_money
from actors.book.rules.money.settlement import restricted, settled_cash
from actors.book.state.book import Book, Position
from actors.book.state.money import Money
from actors.book.units import MONEY_PER_DOLLAR, NS_PER_SECOND, average_price, divide_half_even, value_money
from actors.market.world import World

MARGIN_EQUITY_MIN_MONEY = 2_000 * MONEY_PER_DOLLAR
"""Below this equity a margin account has no leverage and may not short (margin-and-options §2.4)."""
CONCENTRATION_PPM = 700_000
CONCENTRATION_DEBIT_MONEY = 100_000 * MONEY_PER_DOLLAR
OVERNIGHT_TEST_NS = 600 * NS_PER_SECOND
"""So long before the close the overnight requirement takes over from the intraday one (margin-and-options §4.1)."""


class Figures(Struct, frozen=True, gc=False):
    """The money side of an account at present marks."""

    long_money: int
    short_money: int
    """Value of short positions, not positive."""
    accrued_money: int
    """Fees and interest that accrued and are not posted, less interest earned."""
    equity_money: int
    initial_money: int
    """Gross: what is short counts in full."""
    maintenance_money: int
    """Gross, like :attr:`initial_money`."""
    legal_money: int
    """Maintenance by the legal minimum, the base of intraday buying power."""
    multiplier: int
    buying_power_money: int
    """Free after what open orders reserve; never negative."""
    day_trading_money: int
    """Day-trading buying power of a flagged account under the 2001 rules, before reservations; else 0."""
    exact: bool = True
    """Whether the requirements are proved least; otherwise they are upper bounds, and what is left a lower one."""

    @property
    def available_money(self) -> int:
        """Equity that no initial requirement needs (Regulation T excess)."""
        return self.equity_money - self.short_money - self.initial_money

    @property
    def excess_money(self) -> int:
        """Equity above maintenance: the intraday margin level, negative in a call."""
        return self.equity_money - self.short_money - self.maintenance_money

    @property
    def net_initial_money(self) -> int:
        """The initial requirement without the value of what is short, as Alpaca shows it."""
        return self.initial_money + self.short_money

    @property
    def net_maintenance_money(self) -> int:
        """The maintenance requirement without the value of what is short, as Alpaca shows it."""
        return self.maintenance_money + self.short_money


def position_money(position: Position, world: World) -> int:
    """Market value of a position, signed; at cost when there is no price."""
    mark = world.mark(position.symbol)
    instrument = world.instruments.by_symbol.get(position.symbol)
    multiplier = instrument.multiplier if instrument is not None else 1
    return value_money(mark, position.qty, multiplier) if mark else position.basis_money


def stock_terms(instrument: Instrument | None, price: int) -> StockTerms:
    """What the requirement rules must know of a stock."""
    if instrument is None:
        return StockTerms(price, marginable=False)
    return StockTerms(price, instrument.leverage * PPM, instrument.marginable)


def position_requirement(
    profile: MarginProfile, position: Position, value: int, instrument: Instrument | None, mark: int
) -> Requirement:
    """What one position asks at its mark."""
    if instrument is not None and instrument.asset_class == "us_option":
        if value >= 0:
            return Requirement(value, value)
        covered = value_money(instrument.strike, -position.qty, instrument.multiplier)
        return Requirement(covered - value, covered - value)
    price = mark or average_price(abs(position.basis_money), abs(position.qty))
    return requirement(profile, stock_terms(instrument, price), position.qty)


def accrued(money: Money | None) -> int:
    """Money that accrued against the account and is not posted; negative when more was earned."""
    if money is None:
        return 0
    return accrued_money(money.fees) + money.margin_interest - money.cash_interest


def payable_money(book: Book) -> int:
    """What short positions owe of distributions, before it is paid (rules §4.1).

    No part of equity; it is subtracted from every buying power, once, and from what can be withdrawn.
    """
    if not book.action_due:
        return 0
    return -sum(min(0, pay.money) for record in book.actions.values() for pay in record.pays)


def trade_date(world: World) -> int:
    """The trade date at present; 0 when the engine knows none."""
    day = world.day
    if day is not None:
        return day.trade_date
    return world.session.trade_date if world.session is not None else 0


def approved_options_level(book: Book) -> int:
    """The level of option trading that was approved; the account's own is the lower of it and its owner's cap."""
    approved = book.rules().options_approved_level
    return book.options_level if approved < 0 else approved


def may_short(book: Book, equity: int) -> bool:
    """Whether an account may sell short at all (alpaca-api §4.1): on margin, switched on, with 2,000 dollars."""
    return book.type == "margin" and not book.no_shorting and equity >= MARGIN_EQUITY_MIN_MONEY


def multiplier_of(book: Book, world: World, equity: int) -> int:
    """How often an account may use its free equity now (margin-and-options §2.4)."""
    if book.type == "cash" or equity < MARGIN_EQUITY_MIN_MONEY:
        return 1
    today = trade_date(world)
    most = 4
    if rule_set(book.rules().day_trade_rules, today) == PDT:
        most = day_trading_times(book, today) or 2
    return min(most if most <= 2 or _intraday(world) else 2, book.max_margin_multiplier)


def day_trading_times(book: Book, today: int) -> int:
    """How often yesterday's maintenance excess may be used for day trades under the 2001 rules (rules §8.1).

    1: only cash, after a call that was not met; 0: the account has no day-trading buying power.
    """
    money = book.money
    if money is None or rule_set(book.rules().day_trade_rules, today) != PDT:
        return 0
    record = money.day_trading
    return times(record is not None and record.flagged, money.last_equity, money.day_trade_calls, today)


def _intraday(world: World) -> bool:
    """Whether positions opened now still can be closed before the overnight requirement holds."""
    session = world.session
    if session is None or session.phase in ("post", "overnight", "closed"):
        return False
    return session.phase != "core" or world.now < session.core_closes_at - OVERNIGHT_TEST_NS


def figures(book: Book, world: World, search_legs: int = EXACT) -> Figures:
    """All figures of an account, computed from scratch; bounds where a search had to go further than it may."""
    return standing(book, world, search_legs)[0]


def available_money(book: Book, world: World) -> int:
    """Equity of a margin account that no initial requirement needs, or a lower bound where the book is large."""
    if holds_options(book):
        found = valued(book, world, trade_date(world), book.cash - accrued(book.money))
        if found is not None:
            profile = profile_of(book.margin_profile, book.type)
            return world.requirements.account(profile, found.held, SMALL).available_money
    return _stock_figures(book, world).available_money


def standing(book: Book, world: World, search_legs: int = EXACT) -> tuple[Figures, Holdings | None]:
    """All figures, and the book as the option rules of margin see it when it holds contracts that can be priced."""
    if not holds_options(book):
        return _stock_figures(book, world), None
    owed = accrued(book.money)
    found = valued(book, world, trade_date(world), book.cash - owed)
    if found is None:
        return _stock_figures(book, world), None
    return _paired(book, world, owed, found, search_legs), found.held


def _stock_figures(book: Book, world: World) -> Figures:
    """Figures of a book without contracts, or with some that cannot be paired yet: each position by itself."""
    long_money = short_money = initial = maintenance = legal = 0
    cash_account = book.type == "cash"
    profile = profile_of(book.margin_profile, book.type)
    minimum = profile_of("finra", book.type)
    largest = (0, 0, 0)
    for position in book.positions.values():
        mark = world.mark(position.symbol)
        instrument = world.instruments.by_symbol.get(position.symbol)
        multiplier = instrument.multiplier if instrument is not None else 1
        value = value_money(mark, position.qty, multiplier) if mark else position.basis_money
        need = position_requirement(profile, position, value, instrument, mark)
        initial += need.initial_money
        maintenance += need.maintenance_money
        if minimum is profile or not mark or instrument is None or instrument.asset_class != "us_equity":
            legal += need.maintenance_money
        else:
            legal += maintenance_money(minimum, stock_terms(instrument, mark), position.qty)
        if value < 0:
            short_money += value
        else:
            long_money += value
            largest = max(largest, (value, need.maintenance_money, need.initial_money))
    owed = accrued(book.money)
    if profile.concentration_ppm and book.cash < -CONCENTRATION_DEBIT_MONEY:
        raised = _concentration(profile, largest, long_money - short_money)
        maintenance += raised
        initial += max(0, largest[1] + raised - largest[2])
    equity = book.cash + long_money + short_money - owed
    multiplier = multiplier_of(book, world, equity)
    free, day_trading = 0, 0
    due = payable_money(book)
    if cash_account:
        free, initial = _spendable(book, world) - owed, long_money
    else:
        available = equity - short_money - initial
        intraday = equity - short_money - max(legal, 0)
        free, day_trading = _leveraged(book, multiplier, available, intraday, book.cash - owed, world)
    return Figures(
        long_money, short_money, owed, equity, initial, maintenance, legal, multiplier,
        max(0, free - due - book.reserved_money), max(0, day_trading - due),
    )  # fmt: skip


def alike(profile: MarginProfile, minimum: MarginProfile, held: Holdings) -> bool:
    """Whether two profiles ask the same of a book: without stock only the rules of options count."""
    return profile is minimum or (
        not held.stock
        and (profile.option_rule, profile.loan_months, profile.naked)
        == (minimum.option_rule, minimum.loan_months, minimum.naked)
    )


def _paired(book: Book, world: World, owed: int, found: Valued, search_legs: int) -> Figures:
    """Figures of a book with options, by the pairing of their legs."""
    held, long_money, short_money = found.held, found.long_money, found.short_money
    profile, minimum = profile_of(book.margin_profile, book.type), profile_of("finra", book.type)
    worth = held.cash_money + long_money
    need = world.requirements.account(profile, held, search_legs)
    legal = need if alike(profile, minimum, held) else world.requirements.account(minimum, held, search_legs)
    initial, maintenance = worth - need.available_money, worth - need.excess_money
    equity = worth + short_money
    multiplier = multiplier_of(book, world, equity)
    day_trading = 0
    due = payable_money(book)
    if book.type == "cash":
        free = min(_spendable(book, world) - owed, need.available_money)
    else:
        intraday = min(worth, legal.excess_money)
        free, day_trading = _leveraged(book, multiplier, need.available_money, intraday, held.cash_money, world)
    return Figures(
        long_money, short_money, owed, equity, initial, maintenance, worth - legal.excess_money, multiplier,
        max(0, free - due - book.reserved_money), max(0, day_trading - due),
        search_legs >= EXACT or (need.exact and legal.exact),
    )  # fmt: skip


def _concentration(profile: MarginProfile, largest: tuple[int, int, int], gross: int) -> int:
    """What one long position that is most of a large debit account asks more (margin-and-options §2.3)."""
    value, maintenance, _ = largest
    if not value or value * PPM < gross * CONCENTRATION_PPM:
        return 0
    return max(0, divide_half_even(value * profile.concentration_ppm, PPM) - maintenance)


def _leveraged(
    book: Book, multiplier: int, available: int, intraday: int, cash: int, world: World
) -> tuple[int, int]:
    """Buying power of a margin account before reservations, and its day-trading part."""
    if multiplier == 1:
        return min(available, cash), 0
    overnight = 2 * max(0, available)
    today = trade_date(world)
    many = day_trading_times(book, today)
    if many < CALL_TIMES:
        return (overnight if multiplier == 2 else max(overnight, 4 * max(0, intraday))), 0
    day_trading = _day_trading_money(book, many, today)
    if many == CALL_TIMES:
        # A call stands: nothing goes beyond it, whatever the night would allow.
        return (day_trading if _intraday(world) else min(overnight, day_trading)), day_trading
    return (overnight, 0) if multiplier == 2 else (max(overnight, day_trading), day_trading)


def _day_trading_money(book: Book, many: int, today: int) -> int:
    """What is left of the day-trading buying power, before reservations."""
    money = book.ledger()
    record = money.day_trading
    used = record.used_money if record is not None and record.trade_date == today else 0
    start = start_money(many, money.last_equity, money.last_maintenance) or 0
    return max(0, start - used)


def _spendable(book: Book, world: World) -> int:
    """Cash of a cash account that may buy: unsettled proceeds too, unless a violation forbids it."""
    money = book.money
    if money is None:
        return book.cash
    today = trade_date(world)
    return settled_cash(book.cash, money, today) if restricted(money, today) else book.cash


def buying_power(book: Book, world: World, enough_money: int | None = None) -> int:
    """Money units that new orders may use; the quick way where there is nothing to mark.

    A lower bound will do that reaches ``enough_money``.
    """
    if book.type == "cash" and not holds_options(book):
        return max(0, _spendable(book, world) - accrued(book.money) - payable_money(book) - book.reserved_money)
    if not book.positions:
        equity = book.cash - accrued(book.money)
        free, _ = _leveraged(book, multiplier_of(book, world, equity), equity, equity, equity, world)
        return max(0, free - payable_money(book) - book.reserved_money)
    for search_legs in (BOUNDS, SMALL) if enough_money is not None else ():
        f = figures(book, world, search_legs)
        if f.exact or f.buying_power_money >= (enough_money or 0):
            return f.buying_power_money
    return figures(book, world).buying_power_money


def withdrawable(book: Book, world: World) -> int:
    """Money that can leave the account: settled, and not needed by any requirement, open order or distribution owed.

    What orders reserve is buying power: a margin account needs half of it in money, or all where nothing is lent.
    """
    f = figures(book, world)
    money = book.ledger()
    payable = payable_money(book)
    free = min(book.cash, settled_cash(book.cash, money, trade_date(world))) - f.accrued_money - payable
    if book.type == "cash":
        free -= book.reserved_money
        return max(0, min(free, f.buying_power_money) if holds_options(book) else free)
    reserved = -(-book.reserved_money // min(f.multiplier, 2))
    free = min(free, f.available_money - reserved - payable, f.buying_power_money)
    intraday = money.intraday
    if intraday is not None:
        free -= sum(d.money for d in intraday.deficits if not d.satisfied_on)
    if money.held_deposits:
        free -= held_money(money.held_deposits, trade_date(world))
    return max(0, free)


def sma(book: Book, f: Figures) -> int:
    """The special memorandum account as it stands (margin-and-options §2.6)."""
    if book.type == "cash":
        return 0
    money = book.ledger()
    return max(money.sma + money.sma_change, f.equity_money - f.net_initial_money)


def available_qty(book: Book, symbol: str) -> int:
    """Signed quantity of a position that no open order has reserved."""
    position = book.positions.get(symbol)
    if position is None:
        return 0
    held = book.held.get(symbol, 0)
    return position.qty - held if position.qty > 0 else position.qty + held
