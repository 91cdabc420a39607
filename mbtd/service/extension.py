"""The methods that serve the gateway and the platform's backend, joined: one table beside the readers'.

Invariant: only the operator and services may call them, except for market data, which answers everybody from the lane
they are entitled to, and what is known of corporate actions.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from mbtd.core import Core
from mbtd.market.calendar import Calendar
from mbtd.rpc.session import RequestId, Session
from mbtd.service.calls import Calls
from mbtd.service.contracts import Contracts
from mbtd.service.corporate import Corporate
from mbtd.service.credentials import Credentials, load_token_key
from mbtd.service.desk import Desk, Handler
from mbtd.service.lanes import Lanes, end_of_tape
from mbtd.service.market_data import MarketData
from mbtd.service.marks import Marks
from mbtd.service.model_values import ModelValues
from mbtd.service.queries import Queries
from mbtd.service.tape_stream import TapeStream
from mbtd.service.ticks import Ticks
from mbtd.service.updates import Updates
from mbtd.service.watchlists import Watchlists
from storage.history import History

OPEN = ("quote.", "market.", "option.", "corporate_action.")
"""Methods of these nouns answer every role."""


class Extension:
    """One daemon's methods of this kind."""

    def __init__(
        self,
        core: Core,
        history: History,
        spawn: Callable[[Callable[[], Awaitable[None]]], None],
        directory: Path,
        delay_ns: int,
    ) -> None:
        assert core.readers is not None
        self.desk = Desk(core)
        self.lanes = Lanes(delay_ns, core.engine.world.board, core.readers.bars)
        self.tape = TapeStream(self.desk, self.lanes)
        self.updates = Updates(self.desk, history, spawn)
        self.marks = Marks(self.desk, self.lanes)
        data = self.data = MarketData(self.desk, self.lanes)
        credentials = Credentials(self.desk, load_token_key(directory))
        self.calls = Calls(credentials)
        self.watchlists = Watchlists(self.desk)
        self.contracts = Contracts(self.desk, data)
        rooms = (
            credentials,
            self.calls,
            self.watchlists,
            Corporate(self.desk),
            data,
            self.contracts,
            Ticks(self.desk, data, directory, spawn),
            self.tape,
            self.updates,
        )
        self._methods: dict[str, tuple[msgspec.json.Decoder[object], Handler]] = {
            name: (msgspec.json.Decoder(kind), handler)
            for room in rooms
            for name, (kind, handler) in room.methods.items()
        }
        core.readers.more += [self.lanes, self.tape]
        core.followers.append(self.updates.steps)
        before, now = end_of_tape(directory, core.engine.world.tape_seq), core.now()
        spawn(lambda: self.lanes.fill(before, now))

    def join(self, queries: Queries, calendar: Calendar) -> None:
        """Have the readers see by lanes, and the lanes' answers say what the readers' pricing model does."""
        self.data.later = queries.answer_later
        self.data.model = ModelValues(self.desk.core, queries.options, calendar)
        self.contracts.options = queries.options
        self.watchlists.render_asset = queries.assets.render
        queries.world_of = self.marks.world_of
        queries.bars_of = self.marks.bars_of
        queries.sees_present = lambda session: self.data.entitled(session, None).lane == "real_time"

    def handles(self, method: str) -> bool:
        """Whether this is one of its methods."""
        return method in self._methods

    def request(
        self, session: Session, request_id: RequestId, method: str, params: bytes, deadline_ms: int | None
    ) -> None:
        """Answer, now or later."""
        decoder, handler = self._methods[method]
        if not method.startswith(OPEN):
            self.desk.check_service(session)
        handler(session, request_id, decoder.decode(params))

    def drop(self, session: Session) -> None:
        """A client is gone."""
        self.desk.drop(session)
        self.tape.drop(session)
        self.updates.drop(session)
