"""What becomes of resting limit orders on a recorded day, for each fill profile (fill model §19).

The same moments, symbols and sides for every profile, drawn from ``--seed``: a limit at the near side, a quarter of
the spread inside, and at the middle, each rounded to a cent towards the near side. A moment needs a spread in which
the three differ: 4 cents for a quarter, 2 for the middle, or any. Each order has an account of its own and is cancelled
after ``--life`` seconds. In cents a share, positive where it is good for the trader: ``edge`` is how much better than
the middle the limit was when it was placed, ``markout`` what the middle ``--horizon`` seconds after a fill makes of its
price, and ``drift`` the difference: what the market took back because it was this order that filled.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

from msgspec import Struct

from actors.book.events import OrderFilled
from actors.book.rules.matching.profiles import BUILT_IN
from actors.book.units import NS_PER_SECOND, QTY_PER_SHARE, format_price
from actors.commands import CancelAll, CreateAccount, PlaceOrder
from actors.engine import Engine
from actors.inputs import Envelope, Issued
from actors.market.messages import Quote, TapeMessage
from mbtd.market.calendar import Calendar
from mbtd.market.feeds.replay import with_sessions
from mbtd.market.markouts import Marked, MarkOuts
from mbtd.market.recordings import Recording, open_recordings
from tests.bench.running import BenchError

RECORDINGS: Final = Path(
    os.environ.get("MBTD_RECORDINGS") or Path(__file__).parents[2] / ".." / "shared" / "recordings"
)
PLACES: Final = {"near": (0, 1), "quarter": (1, 4), "mid": (1, 2)}
"""Share of the spread."""
CENT: Final = 100
SHARES: Final = 100
ENVELOPE: Final = Envelope("system", "bench")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--recording", type=Path, default=RECORDINGS / "20131007-equities.ndjson.gz")
    parser.add_argument("--orders", type=int, default=2_000, help="for each place")
    parser.add_argument("--life", type=int, default=60, help="seconds until an order is cancelled")
    parser.add_argument("--horizon", type=int, default=60, choices=(1, 10, 60, 300))
    parser.add_argument("--profile", action="append", choices=sorted(BUILT_IN))
    parser.add_argument("--seed", type=int, default=1)


class Moment(Struct, frozen=True):
    """One order to place: after which message, where, and how."""

    after: int
    place: str
    symbol: str
    side: str
    price: int
    edge: int
    """Half price units better than the middle."""


def draw_moments(tape: list[TapeMessage], opens_at: int, closes_at: int, count: int, seed: int) -> list[Moment]:
    """The moments, the same for every profile, in the order of the tape."""
    random = Random(seed)
    quotes = [
        number
        for number, m in enumerate(tape)
        if isinstance(m, Quote) and opens_at + 60 * NS_PER_SECOND < m.at < closes_at - 600 * NS_PER_SECOND
    ]
    names = list(PLACES)
    found: list[Moment] = []
    tries = 0
    while len(found) < count:
        tries += 1
        if tries > count * 1_000:
            raise BenchError("the recording has too few spreads of four cents")
        number = random.choice(quotes)
        quote = tape[number]
        assert isinstance(quote, Quote)
        place = names[len(found) % len(names)]
        above, below = PLACES[place]
        if not quote.bid or not quote.ask or quote.ask - quote.bid < max(1, below if above else 1) * CENT:
            continue
        into = (quote.ask - quote.bid) * above // below // CENT * CENT
        buying = random.random() < 0.5
        price = quote.bid + into if buying else quote.ask - into
        better = quote.bid + quote.ask - 2 * price
        side = "buy" if buying else "sell"
        found.append(Moment(number, place, quote.symbol, side, price, better if buying else -better))
    return sorted(found, key=lambda m: m.after)


def play(
    recording: Recording, tape: list[TapeMessage], moments: list[Moment], profile: str, life_s: int
) -> tuple[Engine, MarkOuts, dict[int, tuple[int, int, int]]]:
    """Run one profile; returns for each account placed-at, first fill's time (0: none) and filled quantity."""
    engine = Engine(b"p" * 32, instruments=recording.instruments(Calendar()))
    engine.world.feed = "replay"
    marks = MarkOuts()
    done: dict[int, tuple[int, int, int]] = {}
    cancels: list[tuple[int, int]] = []
    next_moment = next_cancel = 0

    def take(first_seq: int, messages: list[TapeMessage]) -> None:
        for step in engine.steps:
            for section in step.sections:
                for event in section.events:
                    if isinstance(event, OrderFilled):
                        placed_at, first, qty = done[section.account_no]
                        done[section.account_no] = (placed_at, first or step.at, qty + event.qty)
        marks.apply(messages, first_seq, engine.take_steps())

    for number, message in enumerate(tape):
        at = message.at
        while next_cancel < len(cancels) and cancels[next_cancel][0] <= at:
            due, account_no = cancels[next_cancel]
            engine.command(account_no, CancelAll(), due, ENVELOPE)
            next_cancel += 1
        engine.tape(message)
        while next_moment < len(moments) and moments[next_moment].after == number:
            moment = moments[next_moment]
            next_moment += 1
            account_no = _open(engine, next_moment, profile, at)
            order = PlaceOrder(
                symbol=moment.symbol, qty=str(SHARES), side=moment.side, type="limit", time_in_force="day",
                limit_price=format_price(moment.price),
            )  # fmt: skip
            engine.command(account_no, order, at, ENVELOPE)
            done[account_no] = (at, 0, 0)
            cancels.append((at + life_s * NS_PER_SECOND, account_no))
        take(engine.world.tape_seq, [message])
    marks.finish()
    return engine, marks, done


def _open(engine: Engine, number: int, profile: str, at: int) -> int:
    action = CreateAccount(name=f"n{number}", cash="10000000", profile=profile)
    outcome: Any = engine.command(0, action, at, ENVELOPE, Issued(number.to_bytes(32, "big")))
    return int(outcome.account_no)


def rows(
    moments: list[Moment], marks: MarkOuts, done: dict[int, tuple[int, int, int]], horizon_s: int
) -> Iterator[dict[str, Any]]:
    """One row for each place."""
    by_place: dict[str, list[tuple[Marked, int]]] = {place: [] for place in PLACES}
    for (account_no, _, _), marked in marks.marked.items():
        moment = moments[account_no - 1]
        by_place[moment.place].append((marked, moment.edge))
    for place in PLACES:
        mine = [done[no] for no, moment in enumerate(moments, 1) if moment.place == place]
        waits = [(first - placed) / NS_PER_SECOND for placed, first, _ in mine if first]
        known = [(result, edge) for m, edge in by_place[place] if (result := m.result(horizon_s)) is not None]
        markout = [result for result, _ in known]
        drift = [result - edge for result, edge in known]
        yield {
            "place": place,
            "orders": len(mine),
            "filled": round(len(waits) / max(1, len(mine)), 3),
            "shares_filled": round(sum(qty for _, _, qty in mine) / QTY_PER_SHARE / SHARES / max(1, len(mine)), 3),
            "seconds_to_fill_p50": round(statistics.median(waits), 1) if waits else None,
            "fills": len(by_place[place]),
            "edge_cents": _mean([edge for _, edge in known]),
            "markout_cents": _mean(markout),
            "markout_error_cents": _error(markout),
            "drift_cents": _mean(drift),
        }


def _mean(half_units: list[int]) -> float | None:
    return round(statistics.fmean(half_units) / 2 / CENT, 2) if half_units else None


def _error(half_units: list[int]) -> float | None:
    if len(half_units) < 2:
        return None
    return round(statistics.stdev(half_units) / len(half_units) ** 0.5 / 2 / CENT, 2)


def run(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measure; yields one object per profile and place."""
    calendar = Calendar()
    recording = open_recordings([options.recording])
    session = calendar.session_at(recording.first_at)
    tape = list(with_sessions(recording.messages(), calendar, recording.first_at, recording.last_at))
    moments = draw_moments(
        tape, session.core_opens_at, session.core_closes_at, options.orders * len(PLACES), options.seed
    )
    for profile in options.profile or list(BUILT_IN):
        begin = time.perf_counter()
        engine, marks, done = play(recording, tape, moments, profile, options.life)
        if any(book.quarantined for book in engine.books.values()):
            raise BenchError(f"an account was quarantined: {engine.failures[:1]}")
        seconds = round(time.perf_counter() - begin, 2)
        for row in rows(moments, marks, done, options.horizon):
            yield {
                "name": "passive", "profile": profile, "value": row["filled"], "unit": "share of orders filled",
                **row, "horizon_s": options.horizon, "life_s": options.life, "run_s": seconds,
            }  # fmt: skip
