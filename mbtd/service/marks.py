"""With which marks an account's figures are shown: the market's own, or those of the delayed lane (fill model §16).

One place for REST, streams and the socket: whoever renders an account, its positions or its past asks here for the
world to value it in. Invariants: for an account without real-time data nothing that is shown moves with a quote
before the lane does; decisions are never made with these marks. The operator on the socket sees the market's own,
except where the gateway asks for somebody. Known limits: a trailing stop shows its stop of the moment, and an order's
answer names the price that it was refused by, because those are facts of the account.
"""

from __future__ import annotations

from typing import Any, cast

from actors.market.world import World
from mbtd.market.bars import Bars
from mbtd.rpc.session import Session
from mbtd.service.desk import Desk
from mbtd.service.entitlement import entitlement_of
from mbtd.service.lanes import Lanes, price_of


class _Later:
    """The world, its marks those of the delayed lane; without one, the previous close."""

    def __init__(self, world: World, lanes: Lanes) -> None:
        self._world = world
        self._lane = lanes.delayed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world, name)

    def mark(self, symbol: str) -> int:
        """See :meth:`World.mark`."""
        price = price_of(self._lane.look(symbol))
        if price:
            return price
        instrument = self._world.instruments.by_symbol.get(symbol)
        return instrument.previous_close if instrument is not None else 0


class Marks:
    """Says in which world an account is shown."""

    def __init__(self, desk: Desk, lanes: Lanes) -> None:
        self._desk = desk
        self._lanes = lanes
        self._later = cast(World, _Later(desk.core.engine.world, lanes))

    def is_delayed(self, session: Session, account_no: int) -> bool:
        """Whether an answer to this session about this account must be late."""
        if session.peer.role == "operator" and not getattr(session, "on_behalf", False):
            return False
        return entitlement_of(self._desk.tier_of(account_no)).lane == "delayed"

    def world_of(self, session: Session, account_no: int) -> World:
        """The world in which an account's figures are shown to a session."""
        return self._later if self.is_delayed(session, account_no) else self._desk.core.engine.world

    def bars_of(self, session: Session, account_no: int) -> Bars:
        """The bars by which its past is."""
        lane = self._lanes.delayed if self.is_delayed(session, account_no) else self._lanes.real_time
        return lane.bars
