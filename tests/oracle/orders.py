"""The commands of the naive broker: what is accepted, what it reserves, how it is changed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from actors import commands as c
from actors.book.ids import derive_order_ids
from tests.oracle.naive import DOLLAR, SHARE, TYPES, asked, half_even, money, number
from tests.oracle.rig import Do

MOST = 9 * 10**15


def handle(n: Any, a: Any, item: Do) -> None:
    """Do what a command says."""
    action = item.action
    if item.order_no:
        name = derive_order_ids(a.seed, 0, item.order_no)[0]
    if a.closed and not isinstance(action, c.CancelOrder | c.CancelAll | c.CloseAccount | c.PlaceOrder):
        n.say(a, "refused")
    elif isinstance(action, c.PlaceOrder):
        place(n, a, action)
    elif isinstance(action, c.CancelAll):
        for o in [o for o in a.orders if not (o.over or o.cancel_at)]:
            if o.replace_at:
                settle_for_old(n, a, o)
            ask_cancel(n, a, o, at_once=False)
        for o in [o for o in a.orders if not o.over and 0 < o.cancel_at <= n.now]:
            n.end(a, o, "canceled", "user_cancel")
    elif isinstance(action, c.CancelOrder | c.ReplaceOrder):
        live = [o for o in a.orders if not o.over]
        if item.order_no:
            found = [o for o in live if o.id == name]
        else:
            found = [o for o in live if o.client == action.client_order_id and o.client]
        if not found and isinstance(action, c.CancelOrder):
            changing = [o for o in live if o.replace_at]
            if item.order_no:
                found = [o for o in changing if o.replacement.id == name]
            else:
                found = [o for o in changing if o.replacement.client == action.client_order_id]
        if isinstance(action, c.ReplaceOrder):
            change(n, a, found[0] if found else None, action, bool(item.order_no))
        elif not found:
            n.say(a, "late cancel", 0)
        elif not found[0].cancel_at:
            if found[0].replace_at:
                settle_for_old(n, a, found[0])
            ask_cancel(n, a, found[0])
    elif isinstance(action, c.ClosePosition):
        close_position(n, a, action)
    else:
        settings(n, a, action)


def settings(n: Any, a: Any, action: Any) -> None:
    if isinstance(action, c.Deposit | c.Withdraw):
        amount = number(action.amount, 6)
        free = n.withdrawable(a)
        if not amount or (isinstance(action, c.Withdraw) and amount > free):
            n.say(a, "refused")
            return
        a.cash += amount if isinstance(action, c.Deposit) else -amount
        n.say(a, "cash", a.cash)
    elif isinstance(action, c.CloseAccount):
        if any(a.positions.values()) or any(not o.over for o in a.orders):
            n.say(a, "refused")
        elif not a.closed:
            a.closed = True
            n.say(a, "closed")
    elif action.profile == "none" or (a.type == "cash" and action.max_margin_multiplier not in (None, "1")):
        n.say(a, "refused")
    else:
        a.profile = action.profile or a.profile
        a.fractional = a.fractional if action.fractional_trading is None else action.fractional_trading
        a.no_shorting = a.no_shorting if action.no_shorting is None else action.no_shorting
        a.suspended = a.suspended if action.suspend_trade is None else action.suspend_trade
        a.multiplier = int(action.max_margin_multiplier or a.multiplier)
        n.say(a, "configured")


def close_position(n: Any, a: Any, action: Any) -> None:
    held = a.positions.get(action.symbol, 0)
    qty: str | None = action.qty
    if action.percentage is not None:
        share = number(action.percentage, 9)
        units = abs(held) * share // (100 * SHARE)
        qty = (
            None
            if action.qty is not None or not 0 < share <= 100 * SHARE
            else f"{units // SHARE}.{units % SHARE:09d}"
        )
    elif qty is None:
        qty = f"{abs(held) // SHARE}.{abs(held) % SHARE:09d}"
    if not held or qty is None:
        n.say(a, "refused")
        return
    side = "sell" if held > 0 else "buy"
    place(n, a, c.PlaceOrder(symbol=action.symbol, qty=qty, side=side, type="market", time_in_force="day"))


def read(n: Any, p: Any) -> Any:
    """The order in units, or nothing."""
    asset = n.assets.get(p.symbol)
    tif = p.time_in_force or "day"
    if p.type not in TYPES or p.side not in ("buy", "sell") or p.order_class not in (None, "simple"):
        return None
    if p.position_intent not in (None, "buy_to_open", "buy_to_close", "sell_to_open", "sell_to_close"):
        return None
    if asset is None or asset.asset_class != "us_equity" or not asset.tradable:
        return None
    if tif not in (("day", "gtc") if "stop" in p.type else ("day", "gtc", "ioc", "fok")):
        return None
    if (p.qty is None) == (p.notional is None):
        return None
    qty, notional = number(p.qty, 9), number(p.notional, 6)
    limit, stop = number(p.limit_price, 4), number(p.stop_price, 4)
    wants = TYPES[p.type]
    good = (p.limit_price is not None) == wants[0] and (p.stop_price is not None) == wants[1]
    good = good and bool(limit) == wants[0] and bool(stop) == wants[1]
    good = good and all(price < 10_000 or price % 100 == 0 for price in (limit, stop))
    part = notional or qty % SHARE
    if not good or (p.notional is None and not qty) or (p.qty is None and notional < DOLLAR):
        return None
    if p.extended_hours and (p.type != "limit" or tif not in ("day", "gtc")):
        return None
    if part and (tif != "day" or not asset.fractionable):
        return None
    return SimpleNamespace(
        symbol=p.symbol, asset=asset, side=p.side, buy=p.side == "buy", type=p.type, tif=tif, qty=qty,
        notional=notional, limit=limit, stop=stop, extended=p.extended_hours, asked=p.position_intent,
        part=bool(part),
        same=(p.symbol, p.side, p.type, tif, qty, notional, limit, stop, p.extended_hours, p.position_intent),
    )  # fmt: skip


def need(n: Any, a: Any, w: Any, qty: int, spare_money: int = 0, spare_qty: int = 0) -> Any:
    """(money, quantity, check price, collar, intent) that the order takes, or nothing."""
    held, mark = a.positions.get(w.symbol, 0), n.mark(w.symbol)
    quote = n.quotes.get(w.symbol)
    closing = held < 0 if w.buy else held > 0
    intent = f"{w.side}_to_{'close' if closing else 'open'}"
    if (w.part and not a.fractional) or w.asked not in (None, intent) or max(qty, w.limit, w.stop) > 2**61:
        return None
    if w.stop and mark and (w.stop <= mark if w.buy else w.stop >= mark):
        return None
    price, collar = w.limit or w.stop, 0
    if w.type == "stop" and w.buy:
        step = 100 if w.stop >= 10_000 else 1
        collar = w.stop + half_even(w.stop * (40_000 if w.stop < 500_000 else 25_000), 10**6)
        price = collar = -(-collar // step) * step
    if not price:
        price = mark
        if quote and n.phase == "core" and (quote.ask if w.buy else quote.bid):
            price = quote.ask if w.buy else quote.bid
        elif quote and n.phase in ("pre", "post", "overnight") and quote.bid and quote.ask:
            price = (quote.bid + quote.ask) // 2
    if not price:
        return None
    roomy = w.notional * 10**7 * 11 // (price * 10)
    if closing:
        free = n.free_qty(a, w.symbol) + spare_qty
        hold = qty or (roomy if w.buy else min(roomy, free))
        if hold > free or hold <= 0 or (w.notional and not w.buy and money(price, free) < w.notional):
            return None
        return 0, hold, price, collar, intent
    if not w.buy:
        if a.type == "cash" or a.no_shorting or n.equity(a) < 2000 * DOLLAR or w.part:
            return None
        if not (w.asset.shortable and w.asset.easy_to_borrow):
            return None
        price = max(price, half_even((quote.ask if quote else 0) * 103, 100))
    cost = w.notional or money(price, qty)
    if cost > MOST:
        return None
    if a.type == "margin" and n.times(a) > 1:
        # Where less than half is lent, more buying power is used.
        share = money(price, SHARE)
        own = asked(w.asset, price, SHARE if w.buy else -SHARE) - (0 if w.buy else share)
        cost = max(cost, half_even(2 * cost * own, share))
    if cost > n.buying_power(a) + spare_money:
        return None
    return cost, 0, price, collar, intent


def expires_at(n: Any, w: Any) -> int:
    s = n.session
    if w.tif == "gtc":
        return int(s.gtc_expires_at)
    if w.tif != "day":
        return 0
    if w.extended and n.now < s.post_closes_at:
        return int(s.post_closes_at)
    if w.extended:
        return int(s.next_core_closes_at + s.post_closes_at - s.core_closes_at)
    return int(s.core_closes_at if n.now < s.core_closes_at else s.next_core_closes_at)


def build(n: Any, a: Any, w: Any, client: str | None, rules: Any) -> Any:
    no, a.numbers = a.numbers, a.numbers + 1
    return SimpleNamespace(
        **vars(w), no=no, id=derive_order_ids(a.seed, 0, no)[0], client=client, rules=rules, over=False,
        arrived=False,
        asleep=False, travelling=False, triggered=False, filled=0, paid=0, fills=0, slices=0, last_fill=0, since=0,
        due=0, worst=0, place=None, anew=False, cancel_at=0, replace_at=0, replacement=None, live_at=0, expires_at=0, reserved_money=0,
        reserved_qty=0, check=0, collar=0, intent="",
    )  # fmt: skip


def place(n: Any, a: Any, p: Any) -> None:
    w = read(n, p)
    if w is None:
        n.say(a, "refused")
        return
    known = (
        [o for o in [*a.orders, *a.promised_orders] if o.client == p.client_order_id and o.client]
        if p.client_order_id
        else []
    )
    if known:
        if known[-1].same != w.same:
            n.say(a, "refused")
        return
    needs = None if a.suspended or a.closed else need(n, a, w, w.qty)
    if needs is not None and w.part and w.buy and w.qty and 0 < needs[0] < DOLLAR:
        needs = None
    if needs is None or blocked(a, w, needs[4]):
        n.say(a, "refused")
        return
    o = build(n, a, w, p.client_order_id, n.profiles.get(a.profile))
    o.reserved_money, o.reserved_qty, o.check, o.collar, o.intent = needs
    o.live_at, o.expires_at = n.now + n.latency(a, o, b"latency"), expires_at(n, w)
    a.orders.append(o)
    n.say(a, "accepted", o.no, o.live_at, o.expires_at, o.reserved_money, o.reserved_qty)
    n.arrive(a, o)


def blocked(a: Any, w: Any, intent: str, but: Any = None) -> bool:
    """Whether an open order of the other side forbids this one (alpaca-api §2.12)."""
    for o in a.orders:
        if o.over or o is but or o.symbol != w.symbol or o.buy == w.buy:
            continue
        buy, sell = (w, o) if w.buy else (o, w)
        if intent.endswith("open") and (o.intent.endswith("open") or w.notional):
            return True
        if {"market", "stop"} & {o.type, w.type} or buy.limit >= sell.limit:
            return True
    return False


def ask_cancel(n: Any, a: Any, o: Any, at_once: bool = True) -> None:
    o.cancel_at = n.now + n.latency(a, o, b"latency/cancel")
    n.say(a, "cancelling", o.no, o.cancel_at)
    if at_once and o.cancel_at <= n.now:
        n.end(a, o, "canceled", "user_cancel")


def text(units: int, decimals: int) -> str | None:
    return f"{units // 10**decimals}.{units % 10**decimals:0{decimals}d}" if units else None


def change(n: Any, a: Any, o: Any, p: Any, by_id: bool) -> None:
    """Ask for a replacement."""
    client = p.client_order_id if by_id else None
    w = needs = None
    if o is not None:
        taken = client and any(x.client == client for x in [*a.orders, *a.promised_orders])
        right = (p.limit_price is None or o.type in ("limit", "stop_limit")) and (p.stop_price is None or o.stop)
        fine = o.arrived and not (o.cancel_at or o.replace_at or o.triggered or o.notional or a.suspended or taken)
        if fine and right:
            w = read(
                n,
                c.PlaceOrder(
                    symbol=o.symbol, side=o.side, type=o.type, extended_hours=o.extended, client_order_id=client,
                    qty=p.qty or text(o.qty, 9), time_in_force=p.time_in_force or o.tif,
                    limit_price=p.limit_price or text(o.limit, 4), stop_price=p.stop_price or text(o.stop, 4),
                ),
            )  # fmt: skip
    if w and w.same[3:8] != (o.tif, o.qty, o.notional, o.limit, o.stop) and w.qty > o.filled:
        w.part = w.part or (w.qty - o.filled) % SHARE > 0  # what would trade is what is left
        needs = need(n, a, w, w.qty - o.filled, o.reserved_money, o.reserved_qty)
    if not needs or blocked(a, w, needs[4], o):
        n.say(a, "late replace", o.no if o is not None and not o.replace_at else 0)
        return
    new = build(n, a, w, client, o.rules)
    new.reserved_money, new.reserved_qty, new.check, new.collar, _ = needs
    new.intent, new.expires_at = o.intent, o.expires_at if new.tif == o.tif else expires_at(n, w)
    o.replacement, o.replace_at = new, n.now + n.latency(a, new, b"latency")
    o.reserved_money, o.reserved_qty = max(o.reserved_money, needs[0]), max(o.reserved_qty, needs[1])
    a.promised_orders.append(new)
    n.say(a, "replacing", o.no, o.replace_at, o.reserved_money, o.reserved_qty)
    if o.replace_at <= n.now:
        take_effect(n, a, o)


def settle_for_old(n: Any, a: Any, o: Any) -> None:
    """A replacement comes to nothing; the order stays."""
    o.replace_at, o.replacement = 0, None
    o.reserved_money = min(o.reserved_money, money(o.check, o.qty - o.filled))
    o.reserved_qty = min(o.reserved_qty, o.qty - o.filled)
    n.say(a, "late replace", o.no)


def take_effect(n: Any, a: Any, o: Any) -> None:
    """A replacement's moment has come."""
    new = o.replacement
    if new.qty <= o.filled or o.triggered:
        settle_for_old(n, a, o)
        return
    o.replace_at, o.replacement = 0, None
    left = new.qty - o.filled
    new.reserved_money = min(o.reserved_money, money(new.check, left)) if new.reserved_money else 0
    new.reserved_qty = min(new.reserved_qty, left)
    new.filled, new.paid, new.fills, new.arrived, new.live_at = o.filled, o.paid, o.fills, True, n.now
    o.over, o.reserved_money, o.reserved_qty = True, 0, 0
    a.orders = sorted([*a.orders, new], key=lambda x: x.no)
    n.say(a, "replaced", o.no, new.no, new.reserved_money, new.reserved_qty)
    if not new.stop:
        n.judge(a, new, taking=True, new=False)
