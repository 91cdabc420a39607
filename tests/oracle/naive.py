"""A naive broker, written from the specification: slow, obvious, and without a line of the engine's rules.

It looks at every order of every account on every message, keeps all orders for ever, and finds what falls due by
looking through everything. Only names (order ids), draws and the numbers of the profiles are shared with the
engine. It says that something was refused, not why.
"""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

from actors.book.ids import draw_u64
from actors.market.messages import FeedState, Quote, Session, Status, Trade
from tests.oracle import matcher
from tests.oracle.rig import INSTRUMENTS, MS, Do, Wait

SHARE, DOLLAR, PPM = 10**9, 10**6, 10**6
LIVE, DWELL, CANCEL, REPLACE, EXPIRE = range(5)
TYPES = {"market": (0, 0), "limit": (1, 0), "stop": (0, 1), "stop_limit": (1, 1)}


def half_even(top: int, bottom: int) -> int:
    whole, rest = divmod(top, bottom)
    return whole + (2 * rest > bottom or (2 * rest == bottom and whole % 2))


def asked(asset: Any, price: int, qty: int) -> int:
    """What opening a position asks, what is short in full included, by the house's table."""
    if qty > 0:
        ppm = PPM if not asset.marginable or price < 25_000 else PPM // 2
        return half_up(price * ppm * qty, 10**13)
    a_share = max(25_000, price) if price < 50_000 else max(50_000, price * 3 // 10)
    a_share_ppm = max(a_share * PPM, price * (300_000 if price >= 50_000 else PPM), price * PPM // 2)
    return half_up((price * PPM + a_share_ppm) * -qty, 10**13)


def half_up(top: int, bottom: int) -> int:
    return (2 * top + bottom) // (2 * bottom)


def money(price: int, qty: int) -> int:
    return half_even(price * qty, 10**7)


def number(text: str | None, decimals: int) -> int:
    """The value in units, 0 for what is no good."""
    match = re.fullmatch(r"(\d{1,18})(?:\.(\d{1,18}))?", text or "")
    if not match or (match[2] or "")[decimals:].strip("0"):
        return 0
    return int(match[1] + (match[2] or "")[:decimals].ljust(decimals, "0"))


class Naive:
    """Accounts 1…n with the market they trade in; ``log[n]`` tells what happened to account ``n``."""

    def __init__(self, engine: Any, accounts: Any) -> None:
        self.profiles, self.now, self.session = engine.profiles, 0, None
        self.quotes: dict[str, Quote] = {}
        self.fresh: set[str] = set()  # symbols with a quote since the feed came up
        self.prints: dict[str, Trade] = {}
        self.prints_seen: dict[str, Trade] = {}  # good prints since the symbol's quote
        self.stretch = dict.fromkeys(("", "AAA", "BBB", "CCC", "DDD"), 0)  # queues are lost when these change
        self.status: dict[str, Status] = {}
        self.down, self.dead = False, set[str]()
        self.assets = {i.symbol: i for i in INSTRUMENTS}
        self.accounts = {
            no: SimpleNamespace(
                no=no, type=kind, profile=profile, cash=number(cash, 6), seed=engine.books[no].seed, orders=[],
                positions={}, taken={}, numbers=1, promised_orders=[], fractional=True, no_shorting=False,
                suspended=False, closed=False, multiplier=1 if kind == "cash" else 4,
            )
            for no, (kind, profile, cash) in enumerate(accounts, 1)
        }  # fmt: skip
        self.log: dict[int, list[Any]] = {no: [] for no in self.accounts}

    # inputs

    def feed(self, item: Any) -> None:
        at = item.until if isinstance(item, Wait) else getattr(item, "received_at", 0) or item.at
        self.pass_time(at if isinstance(item, Wait | Do) else at - 1)
        self.now = max(self.now, at)
        if isinstance(item, Do):
            self.command(self.accounts[item.account_no], item)
        elif isinstance(item, Quote):
            if matcher.same_quote(self, item):
                return
            self.quotes[item.symbol] = item
            self.fresh.add(item.symbol)
            self.prints_seen.pop(item.symbol, None)
            for a in self.accounts.values():
                self.follow(a, item)
            self.look(lambda o: o.symbol == item.symbol, new=True)
        elif isinstance(item, Trade):
            self.prints[item.symbol] = item
            if matcher.good_print(item):
                self.prints_seen[item.symbol] = item
                for a in self.accounts.values():
                    self.elect(a, item)
                    matcher.meet_print(self, a, item)
        elif isinstance(item, Status):
            old = self.status.get(item.symbol)
            if item.state == "trading" and old and old.state != "trading":
                self.fresh.discard(item.symbol)
                self.stretch[item.symbol] += 1
            if item.state != "trading" and (not old or old.state == "trading"):
                self.stretch[item.symbol] += 1
            self.status[item.symbol] = item
            self.look(lambda o: o.symbol == item.symbol)
        elif isinstance(item, Session):
            self.stretch[""] += item.phase != self.phase
            standing = {id(o) for a in self.accounts.values() for o in a.orders if matcher.stands(self, o)}
            self.session = item
            self.look(lambda o: id(o) in standing)
        elif isinstance(item, FeedState):
            self.feed_state(item)

    def feed_state(self, item: FeedState) -> None:
        for symbol in item.symbols or ("",):
            self.stretch[symbol] += item.state != "lagging"
        if item.state == "gap":
            for a in self.accounts.values():
                hit = [o for o in a.orders if not o.over and (not item.symbols or o.symbol in item.symbols)]
                for o in hit:
                    o.since = o.due = 0
                if hit:
                    self.log[a.no].append(("gap",))
            return
        if item.state in ("up", "down"):
            if item.symbols:
                (self.dead.update if item.state == "down" else self.dead.difference_update)(item.symbols)
            else:
                self.down = item.state == "down"
            if item.state == "up":
                self.fresh -= set(item.symbols or self.assets)
        self.look(lambda o: True)

    def look(self, which: Any, new: bool = False) -> None:
        for a in self.accounts.values():
            for o in list(a.orders):
                if matcher.stands(self, o) and which(o):
                    self.judge(a, o, taking=False, new=new)
                elif new and which(o) and o.rules.exit_stop_trigger == "far" and o.intent.endswith("close"):
                    quote = self.quotes[o.symbol]
                    if o.stop and not o.triggered and matcher.quote_class(self, o) in ("valid", "locked"):
                        self.try_stop(a, o, quote.ask if o.buy else quote.bid)

    def elect(self, a: Any, print_: Trade) -> None:
        for o in list(a.orders):
            if o.symbol == print_.symbol and not (o.rules.exit_stop_trigger == "far" and o.intent.endswith("close")):
                self.try_stop(a, o, print_.price)

    def try_stop(self, a: Any, o: Any, price: int) -> None:
        if o.over or not o.arrived or not o.stop or o.triggered or self.phase != "core":
            return
        if price >= o.stop if o.buy else price <= o.stop:
            o.triggered = o.travelling = True
            if o.type == "stop" and o.buy and o.rules.buy_stop_to_limit:
                o.limit = o.collar
            o.live_at = self.now + self.latency(a, o, b"latency/trigger")
            self.say(a, "triggered", o.no, o.live_at)
            self.arrive(a, o)

    def pass_time(self, until: int) -> None:
        while True:
            due = [
                (d, a.no, o.no, kind, o) for a in self.accounts.values() for o in a.orders for kind, d in self.dues(o)
            ]
            if not due or min(due)[0] > until:
                return
            at, account_no, _, kind, o = min(due, key=lambda row: row[:4])
            self.now = max(self.now, at)
            a = self.accounts[account_no]
            if kind == LIVE:
                self.arrive(a, o)
            elif kind == DWELL:
                self.judge(a, o, taking=False, new=False)
            elif kind == CANCEL:
                self.end(a, o, "canceled", "user_cancel")
            elif kind == REPLACE:
                self.replaced(a, o)
            else:
                self.end(a, o, "expired")

    def dues(self, o: Any) -> list[tuple[int, int]]:
        if o.over:
            return []
        rows = [(EXPIRE, o.expires_at), (CANCEL, o.cancel_at), (REPLACE, o.replace_at), (DWELL, o.due)]
        if o.asleep and self.eligible(o):
            rows.append((LIVE, self.now))
        elif not o.asleep and (not o.arrived or o.travelling):
            rows.append((LIVE, o.live_at))
        return [row for row in rows if row[1]]

    # market

    @property
    def phase(self) -> str:
        return self.session.phase if self.session else "closed"

    def eligible(self, o: Any) -> bool:
        return self.phase == "core" or (o.extended and self.phase != "closed")

    def mark(self, symbol: str) -> int:
        quote = self.quotes.get(symbol)
        if symbol in self.prints:
            return self.prints[symbol].price
        if quote and (quote.bid or quote.ask):
            return (quote.bid + quote.ask) // 2 if quote.bid and quote.ask else quote.bid or quote.ask
        return self.assets[symbol].previous_close

    def follow(self, a: Any, quote: Quote) -> None:
        for key, price, size in (
            ((quote.symbol, 1), quote.ask, quote.ask_size),
            ((quote.symbol, 0), quote.bid, quote.bid_size),
        ):
            entry = a.taken.get(key)
            if entry and entry[0] != price:
                del a.taken[key]
            elif entry and self.used(entry, entry[3]) > size * SHARE:
                a.taken[key] = (price, size * SHARE, self.now, entry[3])

    def used(self, entry: Any, half_life_ms: int) -> int:
        return entry[1] >> (self.now - entry[2]) // (half_life_ms * MS) if half_life_ms else 0

    # one order

    def say(self, a: Any, *what: Any) -> None:
        self.log[a.no].append(what)

    def latency(self, a: Any, o: Any, purpose: bytes) -> int:
        draw = draw_u64(a.seed, 0, self.profiles.hash_of(o.rules.name).encode(), o.id, purpose)
        return o.rules.latency_base_ms * MS + draw % (o.rules.latency_jitter_ms * MS + 1)

    def arrive(self, a: Any, o: Any) -> None:
        if o.over or self.now < o.live_at:
            return
        if not self.eligible(o):
            o.asleep = True
            if o.tif in ("ioc", "fok"):
                self.kill(a, o)
            return
        first, o.asleep = not o.arrived, False
        if first:
            o.arrived = True
            quote = self.quotes.get(o.symbol)
            if o.type == "market" and quote and o.rules.collar_ppm:
                far = quote.ask if o.buy else quote.bid
                o.worst = far + far * o.rules.collar_ppm // PPM * (1 if o.buy else -1)
            self.say(a, "live", o.no, o.worst)
        if o.stop and not o.triggered:
            return
        arriving, o.travelling = first or o.travelling, False
        self.judge(a, o, taking=arriving, new=False)

    def judge(self, a: Any, o: Any, taking: bool, new: bool) -> None:
        o.due, state = 0, matcher.quote_class(self, o)
        fill = None
        if state in ("valid", "locked"):
            fill = matcher.price_and_size(self, a, o, taking or o.anew, new)
            o.anew = o.asleep = False
        else:
            o.since, o.asleep = 0, state == "session"
            o.anew = o.anew or (state == "halted" and self.eligible(o))
            if new and o.place and o.place["stretch"] == self.stretch[""] + self.stretch[o.symbol]:
                matcher.stand_in_queue(self, o, new, o.place["price"])
        if fill:
            self.fill(a, o, *fill)
        if o.tif in ("ioc", "fok") and not o.over:
            self.kill(a, o)

    def payable(self, a: Any, o: Any, price: int, qty: int) -> int:
        if o.intent.endswith("close"):
            return min(qty, o.reserved_qty)
        if o.intent == "sell_to_open" or money(price, qty) <= o.reserved_money:
            return qty
        free = (self.buying_power(a) if a.type == "margin" else a.cash - self.reserved(a)) + o.reserved_money
        most = min(qty, max(0, free) * 10**7 // price)
        return (
            qty
            if money(price, qty) <= free
            else most - (0 if o.qty % SHARE or o.filled % SHARE or o.notional else most % SHARE)
        )

    def fill(self, a: Any, o: Any, price: int, wanted: int, reason: str) -> None:
        qty = self.payable(a, o, price, wanted)
        if qty <= 0 or (o.tif == "fok" and qty < o.qty - o.filled):
            self.end(a, o, "canceled", "buying_power")
            return
        value = money(price, qty)
        o.filled, o.paid, o.fills, o.slices, o.last_fill = (
            o.filled + qty,
            o.paid + value,
            o.fills + 1,
            o.slices + 1,
            self.now,
        )
        done = o.filled >= o.qty if o.qty else (o.notional - o.paid) * 10**7 // price <= 0
        spent = value if o.notional else max(value if o.buy else 0, money(o.check, qty))
        o.reserved_money = 0 if done else max(0, o.reserved_money - spent)
        o.reserved_qty = 0 if done else max(0, o.reserved_qty - qty)
        if o.rules.consume_half_life_ms and reason not in ("queue", "print_through"):
            quote, key = self.quotes[o.symbol], (o.symbol, int(o.buy))
            far, entry = quote.ask if o.buy else quote.bid, a.taken.get(key)
            before = self.used(entry, o.rules.consume_half_life_ms) if entry and entry[0] == far else 0
            a.taken[key] = (far, before + qty, self.now, o.rules.consume_half_life_ms)
        self.say(a, "filled", o.no, qty, price, reason, o.reserved_money, o.reserved_qty, done)
        a.cash += -value if o.buy else value
        a.positions[o.symbol] = a.positions.get(o.symbol, 0) + (qty if o.buy else -qty)
        self.say(a, "position", o.symbol, a.positions[o.symbol], a.cash)
        if done:
            self.end(a, o, "")
        elif qty < wanted:
            self.end(a, o, "canceled", "buying_power")

    def kill(self, a: Any, o: Any) -> None:
        self.end(a, o, "canceled", "fok_unfillable" if o.tif == "fok" else "ioc_remainder")

    def end(self, a: Any, o: Any, how: str, why: str = "") -> None:
        o.over, o.reserved_money, o.reserved_qty = True, 0, 0
        if how:
            self.say(a, how, o.no, why)
        if o.cancel_at and why not in ("user_cancel", "fok_unfillable", "ioc_remainder"):
            self.say(a, "late cancel", o.no)
        if o.replace_at:
            self.say(a, "late replace", o.no)

    # money and commands

    def reserved(self, a: Any) -> int:
        return sum(o.reserved_money for o in a.orders)

    def free_qty(self, a: Any, symbol: str) -> int:
        """How much of a position, long or short, no order holds."""
        held = sum(o.reserved_qty for o in a.orders if o.symbol == symbol)
        return abs(a.positions.get(symbol, 0)) - held

    def equity(self, a: Any) -> int:
        return a.cash + sum(money(self.mark(s), q) for s, q in a.positions.items())

    def excess(self, a: Any) -> int:
        """Cash and long stock less what opening everything would ask: the larger of Regulation T and the house."""
        excess: int = a.cash
        for symbol, qty in a.positions.items():
            price = self.mark(symbol)
            excess += max(0, money(price, qty)) - asked(self.assets[symbol], price, qty)
        return excess

    def times(self, a: Any) -> int:
        return min(2, a.multiplier) if self.equity(a) >= 2000 * DOLLAR else 1

    def buying_power(self, a: Any) -> int:
        if a.type == "cash":
            return max(0, a.cash - self.reserved(a))
        excess = self.excess(a)
        if self.times(a) == 1:
            excess = min(excess, a.cash)
        return max(0, self.times(a) * max(0, excess) - self.reserved(a))

    def withdrawable(self, a: Any) -> int:
        if a.type == "cash":
            return max(0, int(a.cash - self.reserved(a)))
        needed = -(-self.reserved(a) // self.times(a))
        return max(0, min(a.cash, self.excess(a) - needed, self.buying_power(a)))

    def command(self, a: Any, item: Do) -> None:
        from tests.oracle.orders import handle

        handle(self, a, item)

    def replaced(self, a: Any, o: Any) -> None:
        from tests.oracle.orders import take_effect

        take_effect(self, a, o)
