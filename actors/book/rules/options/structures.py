"""The name of legs as one structure (margin-and-options §6).

Invariants: the order of legs does not matter, nor does a common factor of their quantities; margin never depends on
a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Final

from msgspec import Struct


class StructureLeg(Struct, frozen=True, gc=False):
    """One option leg."""

    call: bool
    strike: int
    """Price units."""
    expiry: int
    """Any number that grows with the expiry."""
    qty: int
    """Contracts, signed."""


def name(legs: Sequence[StructureLeg], stock_lots: int = 0, *, cash_secured: bool = False) -> str:
    """What traders call it; ``custom`` when it has no name, and empty without legs.

    ``cash_secured`` says that the account secures short puts with their strike in cash.
    """
    common = gcd(stock_lots, *[leg.qty for leg in legs]) or 1
    parts = sorted([(leg.expiry, leg.strike, leg.call, leg.qty // common) for leg in legs if leg.qty])
    if stock_lots:
        return _with_stock(parts, stock_lots // common)
    by_count = _BY_COUNT.get(len(parts))
    found = by_count(parts) if by_count is not None else ""
    if cash_secured and found == "short_put":
        return "cash_secured_put"
    return found or ("custom" if parts else "")


_Part = tuple[int, int, bool, int]
"""Expiry, strike, call or not, signed ratio; sorted so."""


def _nothing(_parts: list[_Part]) -> str:
    return ""


def _right(part: _Part) -> str:
    return "call" if part[2] else "put"


def _single(parts: list[_Part]) -> str:
    return f"{'long' if parts[0][3] > 0 else 'short'}_{_right(parts[0])}"


def _with_stock(parts: list[_Part], lots: int) -> str:
    found = [(call, qty) for _, _, call, qty in parts]
    long = lots > 0
    if not parts:
        return "long_stock" if long else "short_stock"
    if len(parts) == 1:
        call, qty = found[0]
        if abs(qty) == abs(lots):
            one = {
                (True, True, False): "covered_call",
                (False, False, False): "covered_put",
                (True, False, True): "protective_put",
                (False, True, True): "protective_call",
            }.get((long, call, qty > 0))
            if one:
                return one
    if len(parts) == 2 and parts[0][0] == parts[1][0] and {call for call, _ in found} == {True, False}:
        return _stock_and_two(next(p for p in parts if p[2]), next(p for p in parts if not p[2]), lots)
    return "custom"


def _stock_and_two(call: _Part, put: _Part, lots: int) -> str:
    if call[3] == -lots and put[3] == lots:
        if call[1] == put[1]:
            return "conversion" if lots > 0 else "reverse_conversion"
        if put[1] < call[1]:
            return "collar" if lots > 0 else "reverse_collar"
    if call[3] == put[3] == -lots and lots > 0:
        return "covered_straddle" if call[1] == put[1] else "covered_strangle"
    return "custom"


def _two(parts: list[_Part]) -> str:
    (e1, k1, c1, q1), (e2, k2, c2, q2) = parts
    if c1 != c2:
        return _call_and_put(parts) if e1 == e2 and abs(q1) == abs(q2) else ""
    right = _right(parts[0])
    if q1 * q2 > 0:
        return ""
    if e1 != e2:
        if abs(q1) != abs(q2):
            return ""
        side = "long" if q2 > 0 else "short"
        return f"{side}_{right}_{'calendar' if k1 == k2 else 'diagonal'}"
    if abs(q1) == abs(q2):
        bought_better = (q1 > 0) == c1
        return f"{right}_{'debit' if bought_better else 'credit'}_spread"
    long = q1 if q1 > 0 else q2
    short = q1 if q1 < 0 else q2
    return f"{right}_{'backspread' if long > -short else 'ratio_spread'}"


def _call_and_put(parts: list[_Part]) -> str:
    call = next(part for part in parts if part[2])
    put = next(part for part in parts if not part[2])
    if call[3] == put[3]:
        side = "long" if call[3] > 0 else "short"
        if call[1] == put[1]:
            return f"{side}_straddle"
        return f"{side}_strangle" if put[1] < call[1] else f"{side}_guts"
    side = "long" if call[3] > 0 else "short"
    return (
        f"synthetic_{side}_stock"
        if call[1] == put[1]
        else f"{'bullish' if side == 'long' else 'bearish'}_risk_reversal"
    )


def _three(parts: list[_Part]) -> str:
    if len({part[0] for part in parts}) > 1:
        return ""
    (_, k1, c1, q1), (_, k2, c2, q2), (_, k3, c3, q3) = parts
    if not c1 == c2 == c3:
        return _jade(parts)
    right = _right(parts[0])
    if q1 * q3 > 0 > q1 * q2 and q2 == -(q1 + q3):
        side = "long" if q1 > 0 else "short"
        if q1 == q3:
            return f"{side}_{right}_butterfly" if k2 - k1 == k3 - k2 else f"{side}_{right}_broken_wing_butterfly"
        return f"{side}_{right}_ratio_butterfly"
    if abs(q1) == abs(q2) == abs(q3) and abs(q1 + q2 + q3) == abs(q1):
        odd = q1 if (q2 > 0) == (q3 > 0) else q3 if (q1 > 0) == (q2 > 0) else 0
        return f"{'long' if odd > 0 else 'short'}_{right}_ladder" if odd else ""
    return ""


def _jade(parts: list[_Part]) -> str:
    """A short put below a call credit spread, or its mirror."""
    calls = [part for part in parts if part[2]]
    puts = [part for part in parts if not part[2]]
    if len({abs(part[3]) for part in parts}) != 1:
        return ""
    if len(calls) == 2 and puts[0][3] < 0 and calls[0][3] < 0 < calls[1][3] and puts[0][1] < calls[0][1]:
        return "jade_lizard"
    if len(puts) == 2 and calls[0][3] < 0 and puts[0][3] > 0 > puts[1][3] and calls[0][1] > puts[1][1]:
        return "reverse_jade_lizard"
    return ""


def _four(parts: list[_Part]) -> str:
    if len({part[0] for part in parts}) > 1:
        return _two_expiries(parts)
    signs = tuple(part[3] > 0 for part in parts)
    if len({abs(part[3]) for part in parts}) > 1:
        return ""
    calls = [part for part in parts if part[2]]
    puts = [part for part in parts if not part[2]]
    if len(calls) in (0, 4):
        if signs in ((True, False, False, True), (False, True, True, False)):
            return f"{'long' if signs[0] else 'short'}_{_right(parts[0])}_condor"
        return ""
    if len(calls) != 2 or calls[0][3] * calls[1][3] > 0 or puts[0][3] * puts[1][3] > 0:
        return ""
    if (puts[0][1], puts[1][1]) == (calls[0][1], calls[1][1]):
        if calls[0][3] * puts[0][3] < 0:
            return "long_box" if calls[0][3] > 0 else "short_box"
        return ""
    if calls[0][3] * puts[1][3] < 0 or puts[1][1] > calls[0][1]:
        return ""
    side = "short" if calls[0][3] < 0 else "long"
    return f"{side}_iron_{'butterfly' if puts[1][1] == calls[0][1] else 'condor'}"


def _two_expiries(parts: list[_Part]) -> str:
    near = [part for part in parts if part[0] == parts[0][0]]
    far = [part for part in parts if part[0] != parts[0][0]]
    if len(near) != 2 or len({part[0] for part in far}) != 1:
        return ""
    if {_two(near), _two(far)} == {"synthetic_long_stock", "synthetic_short_stock"}:
        return "jelly_roll"
    opposite = {part[2]: part[3] for part in near} == {part[2]: -part[3] for part in far}
    if len({part[2] for part in near}) != 2 or near[0][3] != near[1][3] or not opposite:
        return ""
    side = "long" if far[0][3] > 0 else "short"
    same = {part[1:3] for part in near} == {part[1:3] for part in far}
    return f"{side}_double_{'calendar' if same else 'diagonal'}"


_BY_COUNT: Final = {0: _nothing, 1: _single, 2: _two, 3: _three, 4: _four}
