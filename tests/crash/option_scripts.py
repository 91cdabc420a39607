"""Scripts of orders of several legs for a replay, made from one seed and the chain of a recording.

Every account lives one story after another: it opens a structure, changes its mind now and then, and closes the
structure or rolls it: one unit closes the legs and opens others. What was not filled cannot be closed, so a part of
the closes and rolls is refused; that is wanted. Nothing here looks at how an order went.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any, Final

from actors.book.units import NS_PER_SECOND, format_price, format_time
from tests.options_orders.chains import CENT, Chain, Shape

KINDS: Final = ("condor", "vertical", "strangle", "butterfly", "covered_call", "cash_secured_put")
PROFILES: Final = ("alpaca-parity", "realistic", "conservative")
MINUTE: Final = 60 * NS_PER_SECOND
_ROLLED: Final = ("condor", "vertical", "strangle", "butterfly")


class OptionWriter:
    """Writes one script of at least ``orders`` placements over ``accounts`` accounts."""

    def __init__(self, chain: Chain, seed: int, orders: int, accounts: int) -> None:
        self._chain = chain
        self._dice = Random(f"options {seed}")
        self._orders = orders
        self._names = [f"desk-{number:02d}" for number in range(accounts)]
        self._lines: list[tuple[int, int, str]] = []
        self.counts: dict[str, int] = {}
        """Placements by kind of structure; ``roll`` and ``close`` count for themselves."""

    def write(self) -> str:
        """The whole script, in order of time."""
        chain, dice = self._chain, self._dice
        opens_at = chain.first_at
        for name in self._names:
            self._add(opens_at + dice.randrange(MINUTE), name, "account.create", self._account())
        begin, end = opens_at + 5 * MINUTE, chain.last_at - 5 * MINUTE
        number = misses = 0
        while sum(self.counts.values()) < self._orders:
            at = dice.randrange(begin, end)
            if dice.random() < 0.4:
                at -= at % NS_PER_SECOND
            number += 1
            if not self._story(self._names[number % len(self._names)], KINDS[number % len(KINDS)], at, end):
                misses += 1
                assert misses < 100 * self._orders, "the chain of the recording has no structures"
        return "".join(line for _, _, line in sorted(self._lines))

    def _account(self) -> dict[str, Any]:
        dice = self._dice
        if dice.random() < 0.15:
            return {"type": "cash", "cash": "2000000", "options_level": 1, "profile": dice.choice(PROFILES)}
        return {
            "type": "margin", "cash": str(dice.choice((20_000, 300_000, 5_000_000))),
            "options_level": dice.choice((3, 3, 4)), "profile": dice.choice(PROFILES),
            "margin_profile": dice.choice(("house", "house", "finra", "alpaca")),
        }  # fmt: skip

    def _story(self, account: str, kind: str, at: int, end: int) -> bool:
        """Open, perhaps change, perhaps close or roll; False when the chain has no such structure."""
        chain, dice = self._chain, self._dice
        near = [expiry for expiry in chain.expiries[:4] if dice.random() < 0.7]
        shape = chain.draw(kind, dice, at, near or None)
        if shape is None or not self._place(account, shape, at, kind):
            return False
        later = at + dice.randrange(2 * MINUTE, 40 * MINUTE)
        if dice.random() < 0.1:
            self._add(at + dice.randrange(MINUTE), account, "order.cancel_all", {})
        if later >= end or dice.random() < 0.35:
            return True
        closing = tuple((symbol, -ratio) for symbol, ratio in shape.legs)
        if kind in _ROLLED and dice.random() < 0.5:
            again = chain.draw(kind, dice, later)
            if again is not None and not {s for s, _ in again.legs} & {s for s, _ in closing}:
                self._place(account, Shape("roll", closing + again.legs), later, "roll", closes=len(closing))
            return True
        self._place(account, Shape("close", closing), later, "close", closes=len(closing))
        return True

    def _place(self, account: str, shape: Shape, at: int, kind: str, closes: int = 0) -> bool:
        chain, dice = self._chain, self._dice
        quote = chain.quote(shape.legs, at)
        if quote is None:
            return False
        self.counts[kind] = self.counts.get(kind, 0) + 1
        params: dict[str, Any] = {"qty": str(dice.choice((1, 1, 1, 2, 3, 10))), "time_in_force": "day"}
        if dice.random() < 0.8:
            params["client_order_id"] = f"{kind}-{len(self._lines)}"
        words = []
        for number, (symbol, ratio) in enumerate(shape.legs):
            effect = "close" if number < closes else "open"
            side = "buy" if ratio > 0 else "sell"
            words.append({"symbol": symbol, "side": side, "ratio_qty": str(abs(ratio))})
            words[-1]["position_intent"] = f"{side}_to_{effect}"
        market = dice.random() < 0.2
        theta = dice.choice((0.2, 0.5, 0.75, 1.0, 1.0))
        net = round((quote.near + quote.width * theta) / CENT) * CENT
        if len(words) == 1:
            params |= words[0]
            del params["ratio_qty"]
            buying = params["side"] == "buy"
            step = 5 * CENT if abs(net) < 3 * 10_000 else 10 * CENT
            net = max(step, round((net if buying else -net) / step) * step)
        else:
            params |= {"order_class": "mleg", "legs": words}
        params |= {"type": "market"} if market else {"type": "limit", "limit_price": format_price(net)}
        self._add(at, account, "order.place", params)
        if not market and dice.random() < 0.1 and "client_order_id" in params:
            change = {"client_order_id": params["client_order_id"], "limit_price": format_price(net + 10 * CENT)}
            self._add(at + dice.randrange(1, 3 * MINUTE), account, "order.replace", change)
        return True

    def _add(self, at: int, account: str, method: str, params: dict[str, Any]) -> None:
        line = {"at": format_time(at), "account": account, "method": method, "params": params}
        self._lines.append((at, len(self._lines), json.dumps(line) + "\n"))


def write_option_script(chain: Chain, seed: int, *, orders: int = 360, accounts: int = 40) -> str:
    """A script: at least ``orders`` placements, condors, verticals, strangles, butterflies, covered calls,
    cash-secured puts, their closes and rolls."""
    return OptionWriter(chain, seed, orders, accounts).write()
