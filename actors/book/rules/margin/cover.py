"""What one lot of stock asks alone and together with options (margin-and-options §3.6).

Invariants: money units a lot of ``multiplier`` shares; every way to use a lot is listed once, in the order of the
legs; the haircut is what the stock may not be carried above a short call's strike. Known limit: index options are
never covered by shares.
"""

from __future__ import annotations

from msgspec import Struct

from actors.book.rules.margin.legs import MONEY_PER_PRICE, Group, Leg
from actors.book.rules.margin.profiles import PPM, MarginProfile
from actors.book.rules.margin.stock import divide_half_up, long_rate_ppm, short_extra_e6

NONE = -1


class Use(Struct, frozen=True, gc=False):
    """One way to use a lot: with a short leg, a long leg, both or neither."""

    short: int
    """Index of the group's short leg; -1 for none."""
    long: int
    cost_money: int
    haircut_money: int = 0


def uses(profile: MarginProfile, group: Group, *, initial: bool) -> list[Use]:
    """Every way to use one lot of the group's stock; the first is the lot alone."""
    if group.lots > 0:
        if not profile.stock_relief or initial:
            return _locked(profile, group, initial=initial)
        return _long_uses(profile, group)
    return _short_uses_initial(profile, group) if initial else _short_uses(profile, group)


def _locked(profile: MarginProfile, group: Group, *, initial: bool) -> list[Use]:
    """Long stock that only locks under calls and costs the same with them."""
    terms = group.underlying.terms()
    rate = (profile.long_initial_ppm if terms.marginable else PPM) if initial else long_rate_ppm(profile, terms)
    alone = _lot(group, terms.price * rate)
    covered = [Use(i, NONE, alone) for i, leg in enumerate(group.shorts) if leg.call]
    return [Use(NONE, NONE, alone), *covered]


def _long_uses(profile: MarginProfile, group: Group) -> list[Use]:
    price = group.underlying.price
    rate = long_rate_ppm(profile, group.underlying.terms())
    part = profile.hedge_strike_ppm
    out = [Use(NONE, NONE, _lot(group, rate * price))]
    puts = [(k, leg) for k, leg in enumerate(group.longs) if not leg.call]
    for i, call in enumerate(group.shorts):
        if call.call:
            haircut = _lot(group, max(0, price - call.strike) * PPM)
            out.append(Use(i, NONE, _lot(group, rate * min(price, call.strike)), haircut))
            for k, put in puts:
                if put.expiry == call.expiry and put.strike <= call.strike:
                    out.append(Use(i, k, _lot(group, _collar_e6(put, call, price, rate, part)), haircut))
    for k, put in puts:
        away = max(0, price - put.strike)
        out.append(Use(NONE, k, _lot(group, min(part * put.strike + away * PPM, rate * price))))
    return out


def _collar_e6(put: Leg, call: Leg, price: int, rate: int, part: int) -> int:
    if put.strike == call.strike:
        return part * put.strike
    return min(part * put.strike + max(0, price - put.strike) * PPM, rate * call.strike)


def _short_uses(profile: MarginProfile, group: Group) -> list[Use]:
    price = group.underlying.price
    extra = short_extra_e6(profile, group.underlying.terms())
    value = price * PPM
    out = [Use(NONE, NONE, _lot(group, value + extra))]
    if not profile.stock_relief:
        return out
    part = profile.hedge_strike_ppm
    calls = [(k, leg) for k, leg in enumerate(group.longs) if leg.call]
    for i, put in enumerate(group.shorts):
        if not put.call:
            inside = max(0, put.strike - price) * PPM
            out.append(Use(i, NONE, _lot(group, value + extra + inside)))
            for k, call in calls:
                if call.expiry == put.expiry and call.strike == put.strike:
                    out.append(Use(i, k, _lot(group, (PPM + part) * put.strike + inside)))
    for k, call in calls:
        away = max(0, call.strike - price) * PPM
        out.append(Use(NONE, k, _lot(group, value + min(part * call.strike + away, extra))))
    return out


def _short_uses_initial(profile: MarginProfile, group: Group) -> list[Use]:
    """Regulation T: 150 %, or 100 % beside an American call exercisable at or below the price (§2.1)."""
    price = group.underlying.price
    whole = _lot(group, price * (PPM + profile.short_initial_ppm))
    bare = _lot(group, price * PPM)
    out = [Use(NONE, NONE, whole)]
    if not profile.stock_relief:
        return out
    calls = [(k, leg) for k, leg in enumerate(group.longs) if leg.call and leg.strike <= price]
    out.extend(Use(NONE, k, bare) for k, _ in calls if not group.european)
    for i, put in enumerate(group.shorts):
        if not put.call:
            out.append(Use(i, NONE, whole))
            for k, call in calls:
                if call.expiry == put.expiry and call.strike == put.strike:
                    out.append(Use(i, k, bare))
    return out


def _lot(group: Group, price_e6: int) -> int:
    return divide_half_up(price_e6 * group.multiplier * MONEY_PER_PRICE, PPM)
