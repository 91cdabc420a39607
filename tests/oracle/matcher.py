"""A naive matcher for single stocks, written from fill model fm1: slow, obvious, without a line of the engine's rules.

It looks at every resting order on every quote and print, counts people in queues one by one where it can, and
knows no thresholds. Prices are turned into costs by a sign; only draws and the numbers of the profiles are shared.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from actors.book.ids import draw_u64
from actors.market.messages import Quote, Trade

SHARE, PPM, MS = 10**9, 10**6, 10**6
BAD = set("BCGHILMNPQRUVWZ4789")


def good_print(print_: Trade) -> bool:
    odd = "I" in print_.conditions or (not print_.conditions and print_.size < 100)
    return print_.exchange != "D" and not odd and not BAD & set(print_.conditions)


def quote_class(n: Any, o: Any) -> str:
    quote, status, last = n.quotes.get(o.symbol), n.status.get(o.symbol), n.prints_seen.get(o.symbol)
    if not quote or o.symbol not in n.fresh:
        return "no_live_quote"
    if status and status.state != "trading":
        return "halted"
    if not n.eligible(o):
        return "session"
    if n.down or o.symbol in n.dead:
        return "feed_dead"
    far, size = (quote.ask, quote.ask_size) if o.buy else (quote.bid, quote.bid_size)
    if not far or not size:
        return "no_far_side"
    if quote.bid > quote.ask > 0:
        return "crossed"
    limit = band(n, o)
    if limit and (far > limit if o.buy else far < limit):
        return "luld"
    outside = last and (last.price < quote.bid or (quote.ask and last.price > quote.ask))
    if n.now - quote.at > o.rules.age_soft_ms * MS and outside:
        return "stale"
    return "locked" if quote.bid == quote.ask else "valid"


def band(n: Any, o: Any) -> int:
    status = n.status.get(o.symbol)
    return (status.luld_upper if o.buy else status.luld_lower) if status else 0


def acting_limit(n: Any, o: Any) -> int:
    """Its limit, or a tick above the bid for a short sale under the restriction; 0 for a market order."""
    quote, status = n.quotes[o.symbol], n.status.get(o.symbol)
    restricted = status and status.short_restricted and o.intent == "sell_to_open" and quote.bid
    if not restricted or o.limit > quote.bid:
        return int(o.limit)
    if o.place and o.place["price"] > quote.bid:
        return int(o.place["price"])
    return int(quote.bid + (100 if quote.bid >= 10_000 else 1))


def resting_price(n: Any, o: Any) -> int:
    price, limit = acting_limit(n, o), band(n, o)
    return (min(price, limit) if o.buy else max(price, limit)) if limit else price


# queues


def stand_in_queue(n: Any, o: Any, new: bool, price: int = 0) -> None:
    """Where the order stands after this look at the quote."""
    quote, price = n.quotes[o.symbol], price or resting_price(n, o)
    near, size = (quote.bid, quote.bid_size) if o.buy else (quote.ask, quote.ask_size)
    better = not near or (price > near if o.buy else price < near)
    stretch = n.stretch[""] + n.stretch[o.symbol]
    if not o.place or o.place["price"] != price or o.place["stretch"] != stretch:
        o.place = {"price": price, "stretch": stretch, "ahead": None, "shown": None, "traded": 0}
    elif not new:
        return
    p = o.place
    if better:
        p.update(ahead=0, shown=None, traded=0)
    elif price != near:
        p.update(shown=None, traded=0)
    else:
        if p["ahead"] is None:
            p["ahead"] = scaled(o.rules, size)
        elif p["shown"] is None:
            p["ahead"] = min(p["ahead"], size)
        else:
            p["ahead"] = after_cancellations(o.rules, p, size)
        p.update(shown=size, traded=0)


def scaled(rules: Any, size: int) -> int:
    whole = Fraction(size * rules.queue_scale_ppm, PPM)
    return 0 if rules.queue_rule == "none" else -(-whole.numerator // whole.denominator)


def after_cancellations(rules: Any, p: Any, size: int) -> int:
    ahead, left = p["ahead"], p["shown"] - p["traded"]
    gone = left - size
    if gone > 0 and rules.queue_rule == "power":
        back = max(0, left - ahead)
        weights = ahead**rules.queue_power, back**rules.queue_power
        before = int(Fraction(gone * weights[0], sum(weights))) if sum(weights) else 0
        behind = gone - before
        ahead = max(0, ahead - before - max(0, behind - back))
    return int(min(ahead, size))


# prints


def meet_print(n: Any, a: Any, print_: Trade) -> None:
    """Offer a print to everything of one account that rests in its symbol."""
    resting = [o for o in a.orders if o.symbol == print_.symbol and stands(n, o) and o.tif not in ("ioc", "fok")]
    resting = [o for o in resting if o.limit or o.place]
    resting.sort(key=lambda o: ((o.place["price"] if o.place else o.limit) * (-1 if o.buy else 1), o.no))
    taken = 0
    for o in resting:
        if not o.over:
            taken += offer(n, a, o, print_, taken)


def stands(n: Any, o: Any) -> bool:
    """In the market: also when its phase has just begun and no timer has run since."""
    asleep = o.asleep and not n.eligible(o)
    return o.arrived and not (o.over or asleep or o.travelling) and (not o.stop or o.triggered)


def offer(n: Any, a: Any, o: Any, print_: Trade, taken: int) -> int:
    if quote_class(n, o) not in ("valid", "locked", "stale", "no_far_side") or not acting_limit(n, o):
        return 0
    price, rules, quote = resting_price(n, o), o.rules, n.quotes[o.symbol]
    if print_.price > price if o.buy else print_.price < price:
        return 0
    known = o.place and o.place["price"] == price
    known = known and o.place["stretch"] == n.stretch[""] + n.stretch[o.symbol]
    rest = max(0, print_.size - (taken + SHARE - 1) // SHARE)
    usable = print_.size * rules.live_print_ppm // PPM
    usable = (usable // 2 if n.phase != "core" else usable) * SHARE - taken
    if print_.price != price:
        offered, reason, allowed = rest, "print_through", rules.print_fills != "no"
        if known:
            o.place["ahead"] = 0
        else:
            stretch = n.stretch[""] + n.stretch[o.symbol]
            o.place = {"price": price, "stretch": stretch, "ahead": 0, "shown": None, "traded": 0}
    else:
        middle = Fraction(quote.bid + quote.ask, 2) if quote.bid and quote.ask else Fraction(print_.price)
        if not known or o.place["ahead"] is None or (print_.price > middle if o.buy else print_.price < middle):
            return 0
        offered, reason, allowed = max(0, rest - o.place["ahead"]), "queue", rules.print_fills == "yes"
        o.place["ahead"] = max(0, o.place["ahead"] - rest)
        o.place["traded"] += rest
    wanted = o.qty - o.filled if o.qty else (o.notional - o.paid) * 10**7 // price
    qty = min(wanted, offered * SHARE, max(0, usable)) if allowed else 0
    if o.qty % SHARE == 0 and o.filled % SHARE == 0 and not o.notional:
        qty -= qty % SHARE
    before = o.filled
    if qty:
        n.fill(a, o, price, qty, reason)
    return int(o.filled - before)


# quotes


def price_and_size(n: Any, a: Any, o: Any, taking: bool, new: bool) -> tuple[int, int, str] | None:
    """Price, quantity and reason of a fill from the standing quote, or nothing."""
    quote, rules, sign = n.quotes[o.symbol], o.rules, 1 if o.buy else -1
    near, far = (quote.bid, quote.ask) if o.buy else (-quote.ask, -quote.bid)
    blind = not near
    near = far if blind else near
    since, o.since = o.since or n.now, 0
    rested = new and n.now >= o.last_fill + rules.reslice_ms * MS
    theta = PPM if blind or n.phase != "core" else rules.theta_take_ppm
    cost = min(far, near - -(far - near) * theta // PPM)
    edge = band(n, o) * sign if band(n, o) else 10**18
    reason, limit = "take", acting_limit(n, o)
    if limit:
        limit = resting_price(n, o)
        stand_in_queue(n, o, new)
        if limit * sign < far:
            return None
        cost = min(cost, limit * sign)
        if not taking:
            o.since, reason = since, "far_through"
            wait = rules.dwell_ms * MS // (2 if far < limit * sign else 1)
            if n.now < since + wait:
                o.due = since + wait
                return None
            if o.last_fill and not rested:
                return None
            cost = far if rules.fill_at_quote else limit * sign
    else:
        o.place = None
        if not o.worst and rules.collar_ppm:
            o.worst = abs(far) + abs(far) * rules.collar_ppm // PPM * sign
        if o.slices:
            if not rested or (rules.max_slices and o.slices >= rules.max_slices):
                return None
            tick = 100 if abs(far) >= 10_000 else 1
            cost, reason = min(edge, far + (o.slices * tick if rules.depth_ppm else 0)), "take_slice"
        if o.worst:
            if far > o.worst * sign:
                return None
            cost = min(cost, o.worst * sign)
    price = cost * sign
    size = (quote.ask_size if o.buy else quote.bid_size) * SHARE * rules.depth_ppm // PPM
    size //= 2 if n.phase != "core" else 1
    entry = a.taken.get((o.symbol, int(o.buy)))
    if entry and entry[0] == abs(far):
        size = max(0, size - n.used(entry, rules.consume_half_life_ms))
    qty = o.qty - o.filled if o.qty else (o.notional - o.paid) * 10**7 // price
    qty = min(qty, size) if rules.depth_ppm else qty
    if o.qty % SHARE == 0 and o.filled % SHARE == 0 and not o.notional:
        qty -= qty % SHARE
    o.since = since
    if qty <= 0 or (o.tif == "fok" and qty < o.qty - o.filled):
        return None
    return part(n, a, o, price, qty, reason)


def part(n: Any, a: Any, o: Any, price: int, qty: int, reason: str) -> tuple[int, int, str]:
    """The same, or less of it where chance says so."""
    hashed = n.profiles.hash_of(o.rules.name).encode()
    draw = draw_u64(a.seed, 0, hashed, o.id, b"partial", o.fills)
    if draw % PPM >= o.rules.partial_ppm or o.tif == "fok":
        return price, qty, reason
    if qty > SHARE:
        size = draw_u64(a.seed, 0, hashed, o.id, b"partial_size", o.fills)
        qty = (1 + size % ((qty - 1) // SHARE)) * SHARE
    return price, qty, "parity_partial"


def same_quote(n: Any, item: Quote) -> bool:
    return item.symbol in n.fresh and n.quotes[item.symbol] == item
