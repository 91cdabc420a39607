"""How orders of one to four legs fill on recorded chains, for each fill profile (fill model §11, §19).

The same moments and structures for every profile, drawn from ``--seed``: limits at a quarter, the middle and three
quarters of the unit's spread and at its natural price, each rounded to a cent towards the near side, and market orders.
Each order has an account of its own and is cancelled after ``--life`` seconds. ``theta`` is the share of the spread that
a fill gave up, 0 at the near side and 1 at the natural price, from the record of the fill itself.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

from msgspec import Struct

from actors.book.events import OrderFilled, OrderRejected
from actors.book.rules.matching.profiles import BUILT_IN
from actors.book.units import NS_PER_SECOND, format_price
from actors.commands import CancelAll, CreateAccount, OrderLeg, PlaceOrder
from actors.engine import Engine
from actors.inputs import Envelope, Issued
from actors.market.messages import TapeMessage
from mbtd.market.calendar import Calendar
from mbtd.market.feeds.replay import with_sessions
from tests.bench.passive import RECORDINGS
from tests.bench.running import BenchError
from tests.options_orders.chains import CENT, Chain

KINDS: Final = {1: ("single",), 2: ("vertical", "strangle"), 3: ("butterfly",), 4: ("condor",)}
"""Structures by number of legs."""
PLACES: Final = {"quarter": 0.25, "mid": 0.5, "three_quarters": 0.75, "natural": 1.0, "market": None}
"""Share of the unit's spread."""
ENVELOPE: Final = Envelope("system", "bench")
NEVER: Final = 1 << 63
WIDTH_MIN: Final = 4 * CENT
"""A narrower unit has no quarters."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--recording", type=Path, action="append", help="several may be given")
    parser.add_argument("--orders", type=int, default=100, help="for each number of legs and place")
    parser.add_argument("--life", type=int, default=900, help="seconds until an order is cancelled")
    parser.add_argument("--profile", action="append", choices=sorted(BUILT_IN))
    parser.add_argument("--seed", type=int, default=1)


class Moment(Struct, frozen=True):
    """One order to place."""

    at: int
    legs: tuple[tuple[str, int], ...]
    place: str
    net_price: int
    """Meaningless at the market."""


class Result(Struct):
    """What became of one order."""

    first_at: int = 0
    filled: int = 0
    fills: int = 0
    theta_ppm: int = 0
    """Of all fills, each weighted by its units."""
    refused: bool = False
    waited: str = ""
    """Why it had not filled when it was cancelled."""


def draw_moments(chain: Chain, count: int, seed: int) -> list[Moment]:
    """The orders, the same for every profile, in order of time."""
    dice = Random(seed)
    session = Calendar().session_at(chain.first_at)
    begin = max(chain.first_at, session.core_opens_at) + 600 * NS_PER_SECOND
    end = min(chain.last_at, session.core_closes_at) - 1_200 * NS_PER_SECOND
    expiries = [expiry for expiry in chain.expiries if expiry > session.trade_date][:3]
    found: list[Moment] = []
    for legs, kinds in KINDS.items():
        for place, share in PLACES.items():
            mine: list[Moment] = []
            for _ in range(count * 200):
                at = dice.randrange(begin, end)
                shape = chain.draw(dice.choice(kinds), dice, at, expiries)
                quote = chain.quote(shape.legs, at) if shape is not None else None
                if shape is None or quote is None or quote.width < WIDTH_MIN:
                    continue
                if legs > 1 and chain.outside_payoff(shape.legs, quote.far):
                    continue  # Nobody pays more for a structure than it can ever be worth.
                net = quote.near + int(quote.width * share) // CENT * CENT if share is not None else 0
                if legs == 1:
                    # The order's own price: a sale's is the mirror of its cost.
                    net = abs(net)
                mine.append(Moment(at, shape.legs, place, net))
                if len(mine) == count:
                    break
            else:
                raise BenchError(f"the recording has too few structures of {legs} legs")
            found += mine
    return sorted(found, key=lambda m: m.at)


def order_of(moment: Moment) -> PlaceOrder:
    """The order as a client would send it."""
    market = moment.place == "market"
    kind, limit = ("market", None) if market else ("limit", format_price(moment.net_price))
    if len(moment.legs) == 1:
        symbol, ratio = moment.legs[0]
        side = "buy" if ratio > 0 else "sell"
        return PlaceOrder(symbol=symbol, qty="1", side=side, type=kind, limit_price=limit)
    legs = tuple(
        OrderLeg(symbol=symbol, ratio_qty=str(abs(ratio)), side="buy" if ratio > 0 else "sell")
        for symbol, ratio in moment.legs
    )
    return PlaceOrder(qty="1", type=kind, limit_price=limit, order_class="mleg", legs=legs, any_sign=True)


def play(chain: Chain, tape: list[TapeMessage], moments: list[Moment], profile: str, life_s: int) -> list[Result]:
    """Run one profile; one result for each moment."""
    engine = Engine(b"p" * 32, instruments=tuple(chain.instruments.values()))
    engine.world.feed = "replay"
    results = [Result() for _ in moments]
    cancels: list[tuple[int, int]] = []
    next_moment = next_cancel = 0

    def take() -> None:
        for step in engine.take_steps():
            for section in step.sections:
                for event in section.events:
                    if isinstance(event, OrderFilled):
                        result = results[section.account_no - 1]
                        result.first_at = result.first_at or step.at
                        result.filled += 1
                        result.theta_ppm += event.evidence.theta_ppm
                    elif isinstance(event, OrderRejected):
                        results[section.account_no - 1].refused = True

    for message in tape:
        while True:
            cancel_at = cancels[next_cancel][0] if next_cancel < len(cancels) else NEVER
            place_at = moments[next_moment].at if next_moment < len(moments) else NEVER
            if min(cancel_at, place_at) >= message.at:
                break
            if cancel_at <= place_at:
                account_no = cancels[next_cancel][1]
                for watch in engine.books[account_no].watch.values():
                    results[account_no - 1].waited = _plain(watch.reason)
                engine.command(account_no, CancelAll(), cancel_at, ENVELOPE)
                next_cancel += 1
                continue
            moment = moments[next_moment]
            next_moment += 1
            name = f"n{next_moment}"
            action = CreateAccount(name=name, cash="100000000", profile=profile, options_level=4)
            engine.command(0, action, moment.at, ENVELOPE, Issued(next_moment.to_bytes(32, "big")))
            engine.command(next_moment, order_of(moment), moment.at, ENVELOPE)
            cancels.append((moment.at + life_s * NS_PER_SECOND, next_moment))
        engine.tape(message)
        if len(engine.steps) > 500:
            take()
    take()
    if any(book.quarantined for book in engine.books.values()):
        raise BenchError(f"an account was quarantined: {engine.failures[:1]}")
    return results


def _plain(reason: str) -> str:
    """A reason without the leg that it names."""
    return f"leg {reason.rpartition(':')[2]}" if reason.startswith("leg:") else reason


def run(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measure; yields one object for each profile, number of legs and place."""
    names = ("20140605-twx-options", "20151224-goog-options")
    paths = options.recording or [RECORDINGS / f"{name}.ndjson.gz" for name in names]
    chains = [Chain(path) for path in paths]
    calendar = Calendar()
    tapes, drawn = [], []
    for chain in chains:
        recording = chain.recording
        tapes.append(list(with_sessions(recording.messages(), calendar, recording.first_at, recording.last_at)))
        drawn.append(draw_moments(chain, options.orders, options.seed))
    for profile in options.profile or list(BUILT_IN):
        begin = time.perf_counter()
        rows: dict[tuple[int, str], list[tuple[Moment, Result]]] = defaultdict(list)
        for chain, tape, moments in zip(chains, tapes, drawn, strict=True):
            for moment, result in zip(moments, play(chain, tape, moments, profile, options.life), strict=True):
                rows[len(moment.legs), moment.place].append((moment, result))
        seconds = round(time.perf_counter() - begin, 2)
        for legs in KINDS:
            for place in PLACES:
                yield _row(profile, legs, place, rows[legs, place]) | {"life_s": options.life, "run_s": seconds}


def _row(profile: str, legs: int, place: str, found: list[tuple[Moment, Result]]) -> dict[str, Any]:
    filled = [(moment, result) for moment, result in found if result.filled]
    waits = sorted((result.first_at - moment.at) / NS_PER_SECOND for moment, result in filled)
    thetas = [result.theta_ppm / result.filled / 1e6 for _, result in filled]
    share = round(len(filled) / max(1, len(found)), 3)
    return {
        "name": "structures", "profile": profile, "legs": legs, "place": place, "value": share,
        "unit": "share of orders filled", "orders": len(found), "filled": share,
        "theta": round(sum(thetas) / len(thetas), 3) if thetas else None,
        "seconds_to_fill_p50": round(waits[len(waits) // 2], 1) if waits else None,
        "waited": dict(Counter(result.waited for _, result in found if not result.filled).most_common(3)),
        "refused": sum(result.refused for _, result in found),
    }  # fmt: skip
