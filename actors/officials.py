"""Official values that contracts settle by and corporate actions pay by: taken from the tape, kept as facts of the
house.

Invariants: a value is noted only where a contract settles by it on that date, or an action that is known happens to
the security at the next roll, so most days have none; an auction's print replaces what stood for it, and never the
other way round. As facts they survive a restart on a live tape, which is not read again.

Known limits: a print that is stamped before the close and arrives after it changes nothing; of an action that becomes
known after the last close before it nobody has noted that.
"""

from __future__ import annotations

from actors.book import events as e
from actors.market.bands import SHORT_RESTRICTED
from actors.market.messages import Auction, Session
from actors.market.world import World
from actors.turns import Turns


def note_auction(engine: Turns, message: Auction) -> None:
    """Take in an official opening or closing print."""
    world = engine.world
    if world.days is None or message.kind == "halt" or not message.price:
        return
    trade_date = world.days.at(message.at).trade_date
    settles = message.symbol in world.instruments.settling.get(trade_date, ())
    if not settles and (message.kind != "close" or not _changes(world, message.symbol, trade_date)):
        return
    engine.house_events((e.OfficialPriced(message.symbol, trade_date, message.kind, message.price, "auction"),))


def _changes(world: World, symbol: str, trade_date: int) -> bool:
    """Whether an action exchanges shares of, or for, a security right after a trade date: its fractions are paid by
    that date's close (corporate-actions-and-market-rules §3)."""
    assert world.days is not None
    named = world.actions.by_symbol.get(symbol)
    if not named:
        return False
    following = world.days.day(trade_date).following
    actions = (world.actions.by_id[ca_id].action for ca_id in named)
    return any(act.legs and not act.withdrawn and act.effective_date == following for act in actions)


def note_close(engine: Turns, message: Session) -> None:
    """At the end of a core session: where no auction has spoken yet, the last eligible print stands for it."""
    world = engine.world
    ended = world.session
    if world.days is None or ended is None or ended.phase != "core":
        return
    if message.phase == "core" and message.trade_date == ended.trade_date:
        return
    found = []
    acting = {symbol for symbol in world.actions.by_symbol if _changes(world, symbol, ended.trade_date)}
    for symbol in sorted(acting.union(world.instruments.settling.get(ended.trade_date, ()))):
        slot = world.board.slots.get(symbol)
        last = slot.print if slot is not None else None
        if last is None or not ended.core_opens_at <= last.at <= ended.core_closes_at:
            continue
        if not world.official(symbol, ended.trade_date, "close"):
            found.append(e.OfficialPriced(symbol, ended.trade_date, "close", last.price, "print"))
    if found:
        engine.house_events(tuple(found))


def note_short_restriction(engine: Turns, symbol: str) -> None:
    """A stock traded a tenth below its previous close: short sales are restricted today and the next trade date."""
    world = engine.world
    day = world.day
    if day is None or world.official(symbol, day.following, SHORT_RESTRICTED):
        return
    slot = world.board.slots[symbol]
    price = slot.print.price if slot.print is not None else 0
    engine.house_events(
        tuple(
            e.OfficialPriced(symbol, date, SHORT_RESTRICTED, price, "print")
            for date in (day.trade_date, day.following)
        )
    )
