"""What one group and a whole account ask, and what that leaves (margin-and-options §0.1, §2.4, §3).

Invariants: all figures are money units and gross, so a requirement contains the whole value of what is short;
``excess`` by collateral and by equity agree (§0.1); the order of positions does not matter.
Known limits: concentration is looked at for stock alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct

from actors.book.rules.margin.largest_loss import largest_loss, price_loss
from actors.book.rules.margin.legs import MONEY_PER_PRICE, Group, Leg, OptionPosition, Underlying, groups
from actors.book.rules.margin.outside import SEARCHES_MAX, Found, Pairings, Search, SearchNeeded
from actors.book.rules.margin.pairing import EXACT, SMALL, Pairing, Priced, Problem, nodes_for, price, solve
from actors.book.rules.margin.profiles import PPM, MarginProfile
from actors.book.rules.margin.stock import Requirement, divide_half_up, regulation_t_money
from actors.book.rules.margin.stock import requirement as stock_requirement
from actors.book.units import MONEY_PER_DOLLAR, QTY_PER_SHARE, value_money

CONCENTRATED_PPM: Final = 700_000
CONCENTRATED_DEBIT_MONEY: Final = 100_000 * MONEY_PER_DOLLAR


class Holdings(Struct, frozen=True):
    """A book as the margin rules see it."""

    cash_money: int
    """Ledger cash, premiums and short-sale proceeds included; negative when borrowed."""
    underlyings: dict[str, Underlying]
    stock: dict[str, int]
    """Shares by symbol, signed quantity units."""
    options: tuple[OptionPosition, ...]
    as_of_date: int
    """YYYYMMDD, for the nine months of long options."""
    divided: tuple[Group, ...] | None = None
    """The same positions as groups, where whoever made this knows them already."""

    def groups(self) -> Sequence[Group]:
        """The positions divided. KeyError when the price of an underlying is missing."""
        return self.divided if self.divided is not None else groups(self.underlyings, self.stock, self.options)


class GroupRequirement(Struct, frozen=True):
    """What one group asks."""

    initial_money: int
    """Opening all of it at once: options bought are paid in full."""
    maintenance_money: int
    haircut_money: int
    """What stock under calls in the money may not count for."""
    proceeds_money: int
    """Value of all that is short."""
    stock_money: int
    """Value of the stock, signed."""
    long_options_money: int
    loan_options_money: int
    """Value of the long options that count as collateral."""
    exact: bool
    """Whether the pairing is proved cheapest; otherwise the figures are upper bounds."""
    uncovered: bool = False
    """Whether some short option is margined as uncovered in the cheapest pairing."""
    settled: bool = True
    """Whether that took no search, so that it is the same however far one may search."""

    @property
    def asked_money(self) -> int:
        """What it takes of what an account has: two legal figures of one group are compared by it."""
        return self.initial_money + self.maintenance_money + 2 * self.haircut_money - self.loan_options_money

    @property
    def held_initial_money(self) -> int:
        """Initial requirement of a book already held: options without loan value are paid."""
        return self.initial_money - (self.long_options_money - self.loan_options_money)


class AccountRequirement(Struct, frozen=True):
    """What an account asks and has."""

    cash_money: int
    equity_money: int
    collateral_money: int
    initial_money: int
    """Of the book held."""
    maintenance_money: int
    exact: bool
    uncovered: bool = False
    """Whether some short option is margined as uncovered; if none is, dearer uncovered shorts change nothing."""

    @property
    def available_money(self) -> int:
        """Free for new positions; negative in a deficit."""
        return self.collateral_money - self.initial_money

    @property
    def excess_money(self) -> int:
        """Above maintenance: the intraday margin level."""
        return self.collateral_money - self.maintenance_money

    def buying_power_money(self, multiplier: int) -> int:
        """Overnight (Regulation T) buying power for stock."""
        return multiplier * max(0, self.available_money)

    def intraday_buying_power_money(self) -> int:
        """Four times what is above maintenance; meant for requirements of the legal profile (§2.4)."""
        return 4 * self.excess_money

    def deficit_money(self) -> int:
        """The intraday margin deficit at this moment."""
        return max(0, -self.excess_money)


def months_beyond(as_of_date: int, expiry_date: int, months: int) -> bool:
    """Whether an expiry lies more than so many calendar months after a date."""
    return expiry_date > _loan_after(as_of_date, months)


class _Totals(Struct, frozen=True, gc=False):
    """What some groups ask together, and what they are worth beside the cash of whoever holds them."""

    equity_money: int
    collateral_money: int
    initial_money: int
    maintenance_money: int
    exact: bool
    uncovered: bool
    settled: bool


class _Seen(Struct, frozen=True, gc=False):
    """Groups by identity (what has it is held, so that it stays its own), and what was answered."""

    held: object
    groups: Sequence[Group]
    shorts: int
    """Short legs of the group that has most of them."""
    answers: list[tuple[MarginProfile, int, int, _Totals]]


SEEN_MAX: Final = 8


class Requirements:
    """Requirements of groups, and those of late.

    A cache and nothing else: an answer depends on the book and its prices alone, never on what was asked before.
    Bounded; the least recently used goes first. While :attr:`outside` is set, large groups are not
    searched here: their exact requirement is that of a pairing which was found outside, or :class:`SearchNeeded`.
    """

    __slots__ = ("_answers", "_seen", "outside", "size")

    def __init__(self, size: int = 4_096) -> None:
        self.size = size
        self.outside: Pairings | None = None
        """What was found outside for the decision in hand; null: searches are made here and now."""
        self._answers: OrderedDict[object, GroupRequirement] = OrderedDict()
        self._seen: dict[int, _Seen] = {}
        """Groups asked about just now, by identity: one decision asks about the same book many times."""

    def group(
        self, profile: MarginProfile, group: Group, as_of_date: int, search_legs: int = EXACT
    ) -> GroupRequirement:
        """What a group asks; with more short legs than ``search_legs`` it is not searched but bounded from above."""
        shorts = len(group.shorts)
        if SMALL < shorts <= search_legs and self.outside is not None:
            return self._from_outside(self.outside, profile, group, as_of_date)
        return self._here(profile, group, as_of_date, shorts > search_legs)

    def _here(self, profile: MarginProfile, group: Group, as_of_date: int, brief: bool) -> GroupRequirement:
        """What a group asks, searched for here and now unless ``brief``."""
        exact_key = (profile, group, as_of_date, brief)
        answer = self._answers.get(exact_key)
        if answer is not None:
            self._answers.move_to_end(exact_key)
            return answer
        if not group.shorts and not group.longs:
            return _stock_alone(profile, group)
        answer, _ = _requirement(profile, group, as_of_date, None, 0 if brief else nodes_for(group))
        _keep(self._answers, exact_key, answer, self.size)
        if answer.settled:
            _keep(self._answers, (profile, group, as_of_date, not brief), answer, self.size)
        return answer

    def _from_outside(
        self, outside: Pairings, profile: MarginProfile, group: Group, as_of_date: int
    ) -> GroupRequirement:
        """The exact requirement of a large group without a search. Raises :class:`SearchNeeded`.

        When so much was found already that no more is sought outside, the rest is searched here.
        """
        bound = self._here(profile, group, as_of_date, True)
        if bound.exact:
            return bound
        search = Search(profile, group, as_of_date)
        found = outside.get(search.name)
        if found is None:
            if len(outside) < SEARCHES_MAX:
                raise SearchNeeded(search)
            return self._here(profile, group, as_of_date, False)
        answer = _requirement(profile, group, as_of_date, found, 0)[0]
        return answer if answer.asked_money <= bound.asked_money else bound

    def account(self, profile: MarginProfile, held: Holdings, search_legs: int = EXACT) -> AccountRequirement:
        """What a whole account asks. KeyError when the price of an underlying is missing.

        Groups with more short legs than ``search_legs`` (``BOUNDS``, ``SMALL`` or ``EXACT``) are bounded: the answer
        is an upper bound unless it says ``exact``, and it too depends on the book alone.
        """
        known = held if held.divided is None else held.divided
        seen = self._seen.get(id(known))
        if seen is None:
            if len(self._seen) >= SEEN_MAX:
                del self._seen[next(iter(self._seen))]
            found = held.groups()
            shorts = max((len(group.shorts) for group in found), default=0)
            seen = self._seen[id(known)] = _Seen(known, found, shorts, [])
        day = held.as_of_date
        totals: _Totals | None = None
        search_legs = min(search_legs, seen.shorts)
        kept = search_legs <= SMALL or self.outside is None
        for asked, searched, asked_on, answer in seen.answers if kept else ():
            if asked is profile and asked_on == day and (searched == search_legs or answer.settled):
                totals = answer
                break
        if totals is None:
            totals = _sum([self.group(profile, group, day, search_legs) for group in seen.groups])
            if kept:
                seen.answers.append((profile, search_legs, day, totals))
        cash = held.cash_money
        maintenance, initial = totals.maintenance_money, totals.initial_money
        if profile.concentration_ppm and cash <= -CONCENTRATED_DEBIT_MONEY:
            asks = [self.group(profile, group, day, search_legs) for group in seen.groups]
            if extra := _concentration(profile, seen.groups, asks):
                maintenance += extra
                initial = max(initial, maintenance)
        return AccountRequirement(
            cash, cash + totals.equity_money, cash + totals.collateral_money, initial, maintenance, totals.exact,
            totals.uncovered,
        )  # fmt: skip


def search(wanted: Search) -> Found:
    """Do a search: pure, and bounded by a number of nodes, never by time."""
    group = wanted.group
    return _requirement(wanted.profile, group, wanted.as_of_date, None, nodes_for(group))[1]


def _sum(found: Sequence[GroupRequirement]) -> _Totals:
    equity = collateral = initial = maintenance = 0
    exact, uncovered, settled = True, False, True
    for r in found:
        stock = r.stock_money if r.stock_money > 0 else 0
        equity += stock + r.long_options_money - r.proceeds_money
        collateral += stock + r.loan_options_money - r.haircut_money
        initial += r.held_initial_money
        maintenance += r.maintenance_money
        exact = exact and r.exact
        uncovered = uncovered or r.uncovered
        settled = settled and r.settled
    return _Totals(equity, collateral, initial, maintenance, exact, uncovered, settled)


def _keep(cache: OrderedDict[object, Any], key: object, value: object, size: int) -> None:
    cache[key] = value
    if len(cache) > size:
        cache.popitem(last=False)


def _requirement(
    profile: MarginProfile, group: Group, as_of_date: int, known: Found | None, nodes_max: int
) -> tuple[GroupRequirement, Found]:
    """Solve a group, or price the pairings known for its positions."""
    if not group.stock_qty and not any(_has_loan(profile, leg, as_of_date) for leg in group.longs):
        return _options_alone(profile, group, known, nodes_max)
    scale = group.multiplier * MONEY_PER_PRICE
    lent = [_has_loan(profile, leg, as_of_date) for leg in group.longs]
    value = [leg.price * scale for leg in group.longs]
    asks = [
        divide_half_up(v * profile.loan_requirement_ppm, PPM) if has else 0
        for v, has in zip(value, lent, strict=True)
    ]
    loan = [v - ask if has else 0 for v, ask, has in zip(value, asks, lent, strict=True)]
    problem = Problem(profile, group, loan)
    main, by_payoff = _main(problem, known, nodes_max)
    used = _used(main.pairing, len(group.longs))
    free = [leg.qty - n if has else 0 for leg, n, has in zip(group.longs, used, lent, strict=True)]
    rest = _remainder(profile, group)
    long_options = sum(v * leg.qty for v, leg in zip(value, group.longs, strict=True))
    opening = long_options - sum(loan_k * leg.qty for loan_k, leg in zip(loan, group.longs, strict=True))
    core = main.options_money + main.lots_money + rest.maintenance_money
    initial_money = core + main.loan_lost_money + opening
    first: Priced | None = None
    if group.stock_qty:
        first = _initial(Problem(profile, group, loan, initial=True), main, by_payoff, known, nodes_max)
        regulation_t = first.options_money + first.lots_money + first.loan_lost_money + rest.initial_money + opening
        initial_money = max(initial_money, regulation_t)
    short_options = sum(leg.price * leg.qty for leg in group.shorts) * scale
    stock = value_money(group.underlying.price, group.stock_qty)
    answer = GroupRequirement(
        initial_money=initial_money,
        maintenance_money=core + sum(ask * n for ask, n in zip(asks, free, strict=True)),
        haircut_money=main.haircut_money,
        proceeds_money=short_options + max(0, -stock),
        stock_money=stock,
        long_options_money=long_options,
        loan_options_money=sum(v * n for v, n in zip(value, free, strict=True)),
        exact=known is None and main.pairing.exact and (first is None or first.pairing.exact),
        uncovered=_bare(main.pairing) or (first is not None and _bare(first.pairing)),
        settled=main.settled and (first is None or first.settled),
    )
    return answer, Found(by_payoff, main.pairing, first.pairing if first is not None else None)


def _options_alone(
    profile: MarginProfile, group: Group, known: Found | None, nodes_max: int
) -> tuple[GroupRequirement, Found]:
    """The same where there is no stock and no long option has loan value: what is long is paid, and no more."""
    scale = group.multiplier * MONEY_PER_PRICE
    main, by_payoff = _main(Problem(profile, group, (0,) * len(group.longs)), known, nodes_max)
    asked = main.options_money
    value = proceeds = 0
    for leg in group.longs:
        value += leg.price * leg.qty
    for leg in group.shorts:
        proceeds += leg.price * leg.qty
    answer = GroupRequirement(
        asked + value * scale, asked, 0, proceeds * scale, 0, value * scale, 0,
        exact=known is None and main.pairing.exact, uncovered=_bare(main.pairing), settled=main.settled,
    )  # fmt: skip
    return answer, Found(by_payoff, main.pairing, None)


def _bare(pairing: Pairing) -> bool:
    return bool(pairing.uncovered or pairing.strangles)


def _main(problem: Problem, known: Found | None, nodes_max: int) -> tuple[Priced, bool]:
    if problem.profile.option_rule == "payoff":
        if known is None:
            found = largest_loss(problem, max(nodes_max, 1))
            if found is not None:
                return found, True
        elif known.by_payoff:
            return price_loss(problem, known.main), True
    return price(problem, known.main) if known is not None else solve(problem, nodes_max), False


def _initial(problem: Problem, main: Priced, by_payoff: bool, known: Found | None, nodes_max: int) -> Priced:
    """The cheapest pairing when lots ask what Regulation T says."""
    if by_payoff:
        return price_loss(problem, main.pairing)
    if known is not None and known.initial is not None:
        return price(problem, known.initial)
    return solve(problem, nodes_max)


def _has_loan(profile: MarginProfile, leg: Leg, as_of_date: int) -> bool:
    return profile.loan_months > 0 and leg.expiry // 2 > _loan_after(as_of_date, profile.loan_months)


@lru_cache(maxsize=16)
def _loan_after(as_of_date: int, months: int) -> int:
    """The last expiry that has no loan value, YYYYMMDD."""
    year, month = divmod(as_of_date // 10_000 * 12 + as_of_date // 100 % 100 - 1 + months, 12)
    return year * 10_000 + (month + 1) * 100 + as_of_date % 100


def _used(pairing: Pairing, longs: int) -> list[int]:
    used = [0] * longs
    for k, _, n in pairing.placed:
        used[k] += n
    for _, k, n in pairing.lots:
        if k >= 0:
            used[k] += n
    return used


def _remainder(profile: MarginProfile, group: Group) -> Requirement:
    """The stock beyond whole lots."""
    whole = group.lots * group.multiplier * QTY_PER_SHARE
    terms = group.underlying.terms()
    found = stock_requirement(profile, terms, group.stock_qty - whole)
    return Requirement(regulation_t_money(profile, terms, group.stock_qty - whole), found.maintenance_money)


def _stock_alone(profile: MarginProfile, group: Group) -> GroupRequirement:
    found = stock_requirement(profile, group.underlying.terms(), group.stock_qty)
    value = value_money(group.underlying.price, group.stock_qty)
    return GroupRequirement(found.initial_money, found.maintenance_money, 0, max(0, -value), value, 0, 0, exact=True)


def _concentration(profile: MarginProfile, groups: Sequence[Group], found: Sequence[GroupRequirement]) -> int:
    """More maintenance for one stock that is most of what a large debit carries (§2.3)."""
    whole = sum(abs(r.stock_money) for r in found)
    extra = 0
    for group, r in zip(groups, found, strict=True):
        if r.stock_money > 0 and r.stock_money * PPM >= whole * CONCENTRATED_PPM:
            plain = stock_requirement(profile, group.underlying.terms(), group.stock_qty).maintenance_money
            extra += max(0, divide_half_up(r.stock_money * profile.concentration_ppm, PPM) - plain)
    return extra
