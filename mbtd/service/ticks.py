"""Methods for past quotes and prints: ``market.quotes`` and ``market.trades``, read from the tape's files.

Invariants: a request reads at most ``RECORDS_MAX`` records and a page continues at the tape's own number, so none
can hold the process for long; nothing later than the lane's present is shown, and earlier trade dates only to whoever
is entitled to the archive. Known limit: pages can be empty when the symbol is quiet; where no tape is kept, so is
everything.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import anyio.to_thread
import msgspec
from msgspec import Meta

from actors.market.messages import Quote, TapeMessage, Trade
from mbtd.market.calendar import new_york_date, to_int
from mbtd.records.data import data_quote, data_trade, midnight, tape_of
from mbtd.rpc.errors import Refusal, make_error, refuse
from mbtd.rpc.session import RequestId, Session
from mbtd.service.desk import Desk, Handler
from mbtd.service.market_data import MarketData, Symbols
from mbtd.service.reads import Params
from mbtd.service.times import instant
from storage.tape import read_tape

RECORDS_MAX: Final = 40_000
ITEMS_MAX: Final = 4_000
_INDEX_EVERY_NS: Final = 60_000_000_000
_decode = msgspec.msgpack.Decoder(TapeMessage).decode


class TicksOf(Params, frozen=True, kw_only=True):
    """Quotes or prints of several symbols in the order of the tape."""

    symbols: Symbols
    account: str | None = None
    start: str | None = None
    end: str | None = None
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 1_000
    sort: Literal["asc", "desc"] = "asc"
    page_token: Annotated[str, Meta(max_length=24)] | None = None


class Ticks:
    """Answers the methods."""

    def __init__(
        self,
        desk: Desk,
        data: MarketData,
        directory: Path,
        spawn: Callable[[Callable[[], Awaitable[None]]], None],
    ) -> None:
        self._desk = desk
        self._data = data
        self._directory = directory
        self._spawn = spawn
        self._index_at: list[int] = []
        self._index_seq: list[int] = []
        assert desk.core.readers is not None
        desk.core.readers.more.append(self._note)
        self.methods: Mapping[str, tuple[type[Params], Handler]] = {
            "market.quotes": (TicksOf, lambda s, r, p: self._ticks(s, r, p, Quote)),
            "market.trades": (TicksOf, lambda s, r, p: self._ticks(s, r, p, Trade)),
        }

    def _note(self, messages: Sequence[TapeMessage], first_seq: int) -> None:
        """Remember where each minute of the tape begins."""
        at = messages[0].received_at or messages[0].at if messages else 0
        if at and (not self._index_at or at - self._index_at[-1] >= _INDEX_EVERY_NS):
            self._index_at.append(at)
            self._index_seq.append(first_seq)

    def _ticks(self, session: Session, request_id: RequestId, params: TicksOf, kind: type[Any]) -> None:
        lane = self._data.lane_of(session, params.account)
        until = self._data.until(lane)
        today = midnight(to_int(new_york_date(until)))
        given = instant(params.start, "start")
        start = today if given is None else given
        if start < today and not self._data.entitled(session, params.account).archive:
            refuse("not_entitled", "Earlier trade dates need the archive", field="start")
        end = min(until, instant(params.end, "end") or until)
        symbols = {s: found for s in params.symbols if (found := self._data.instrument(s)) is not None}
        from_seq = self._from(params.page_token, start)
        limit = min(params.limit, ITEMS_MAX)

        def read() -> tuple[dict[str, list[dict[str, Any]]], str | None]:
            items: dict[str, list[dict[str, Any]]] = {}
            left = limit
            for place, (seq, record) in enumerate(read_tape(self._directory, from_seq)):
                if place >= RECORDS_MAX or not left:
                    return items, str(seq)
                message: Any = _decode(record)
                if type(message) is not kind or message.symbol not in symbols:
                    continue
                if message.at > end:
                    break
                if message.at >= start:
                    left -= 1
                    instrument = symbols[message.symbol]
                    tape = None if instrument.asset_class == "us_option" else tape_of(instrument)
                    shown = data_quote(message, tape) if isinstance(message, Quote) else data_trade(message, tape)
                    items.setdefault(message.symbol, []).append(shown)
            return items, None

        async def work() -> None:
            try:
                items, token = await anyio.to_thread.run_sync(read) if symbols else ({}, None)
                if params.sort == "desc":
                    items = {symbol: rows[::-1] for symbol, rows in items.items()}
                self._desk.reply(session, request_id, {"items": items, "next_page_token": token})
            except Refusal as refusal:
                session.refuse(request_id, refusal.error)
            except (OSError, msgspec.MsgspecError) as error:
                session.refuse(request_id, make_error("internal_error", type(error).__name__))

        self._spawn(work)

    def _from(self, token: str | None, start: int) -> int:
        if token is not None:
            if not token.isascii() or not token.isdigit() or len(token) > 18:
                refuse("invalid_params", "page_token is not one of ours", field="page_token")
            return int(token)
        place = bisect_right(self._index_at, start) - 1
        return self._index_seq[place] if place >= 0 else 0
