"""What the engine's tests share: a small universe, a session day, and a driver of scripts of inputs.

A script is a list of plain values, so the same one can run on the engine, on a variant of it, cut in two, or on
the naive reference. ``Do`` is a command by account number, ``Wait`` lets time pass, the rest are tape messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

from msgspec import Struct

from actors.book.instruments import Instrument
from actors.book.rules.matching.profiles import Profiles
from actors.commands import CreateAccount
from actors.engine import Engine
from actors.inputs import Envelope, Issued
from actors.market.messages import Quote, Session, Trade

MS = 1_000_000
SECOND = 1_000 * MS
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
START = 1_700_000_000 * SECOND
RUN_SEED = b"r" * 32
CUSTOM: dict[str, dict[str, Any]] = {
    "brisk": {"latency_base_ms": 0, "latency_jitter_ms": 0, "dwell_ms": 100, "max_slices": 3},
    "frugal": {"base": "conservative", "consume_half_life_ms": 1_000, "latency_base_ms": 75, "dwell_ms": 150},
}
INSTRUMENTS = (
    Instrument("00000000-0000-8000-a000-00000000000a", "AAA", previous_close=100_000),
    Instrument("00000000-0000-8000-a000-00000000000b", "BBB", easy_to_borrow=False),
    Instrument("00000000-0000-8000-a000-00000000000c", "CCC", fractionable=False, marginable=False),
    Instrument("00000000-0000-8000-a000-00000000000d", "DDD", tradable=False),
    Instrument("00000000-0000-8000-a000-00000000000e", "EEE260116C00100000", "us_option", multiplier=100),
    Instrument("00000000-0000-8000-a000-00000000000f", "FFF", active=False),
)


class Do(Struct, frozen=True):
    """A command to an account at an instant; ``order_no`` puts the id of that order into it."""

    account_no: int
    action: Any
    at: int
    order_no: int = 0


class Wait(Struct, frozen=True):
    """Time passes."""

    until: int


def session(phase: Any, at: int, day: int = 0) -> Session:
    """A phase of the ``day``-th day, whose core session is hours 6 to 12 after :data:`START`."""
    base = START + day * DAY
    return Session(
        phase, at, 20231114 + day, base + 6 * HOUR, base + 12 * HOUR, base + 16 * HOUR,
        base + DAY + 6 * HOUR, base + DAY + 12 * HOUR, 20231115 + day, 0, base + 90 * DAY,
    )  # fmt: skip


def quote(symbol: str, bid: int, ask: int, at: int, bid_size: int = 100, ask_size: int = 100) -> Quote:
    """A quote in cents."""
    return Quote(symbol, bid * 100, bid_size, ask * 100, ask_size, at)


def trade(symbol: str, cents: int, at: int) -> Trade:
    """A print of a hundred shares."""
    return Trade(symbol, cents * 100, 100, at)


def open_engine(accounts: Iterable[tuple[str, str, str]], kind: type[Engine] = Engine) -> Engine:
    """An engine with an account for each ``(type, profile, cash)``, numbered from 1."""
    engine = kind(RUN_SEED, Profiles(CUSTOM), instruments=INSTRUMENTS)
    for number, (account_type, profile, cash) in enumerate(accounts, 1):
        action = CreateAccount(name=f"n{number}", type=account_type, profile=profile, cash=cash)  # type: ignore[arg-type]
        engine.command(0, action, START, Envelope(), Issued(blake2b(b"%d" % number, digest_size=32).digest()))
    return engine


def order_id(engine: Engine, account_no: int, order_no: int) -> str:
    """The id that the account's ``order_no``-th order has or will have."""
    from actors.book.ids import derive_order_ids

    return derive_order_ids(engine.books[account_no].seed, 0, order_no)[0]


def aimed(do: Do, order_id_text: str) -> Any:
    """The action with its order id filled in."""
    from msgspec.structs import replace

    return replace(do.action, order_id=order_id_text) if do.order_no else do.action


def feed(engine: Engine, item: Any) -> Any:
    """Give one item of a script to an engine."""
    if isinstance(item, Do):
        action = aimed(item, order_id(engine, item.account_no, item.order_no))
        return engine.command(item.account_no, action, item.at, Envelope())
    if isinstance(item, Wait):
        engine.run_timers_through(item.until)
    else:
        engine.tape(item)
    return None


def events_of(engine: Engine, account_no: int) -> list[Any]:
    """All events of an account in the steps that nobody has taken."""
    return [
        event
        for step in engine.steps
        for section in step.sections
        if section.account_no == account_no
        for event in section.events
    ]
