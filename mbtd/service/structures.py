"""``structure.list``, ``structure.get``, ``structure.payoff`` and ``account.greeks``.

Invariants: what is open comes from the book as of the request's turn in its account's mailbox, what has ended from
the archive; Greeks and curves are computed in a thread from quotes of one moment and never touch the book.

Known limits: an ended structure is known as long as the archive keeps its events; Greeks are those of the moment of
the request.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors.book import events as e
from actors.book.instruments import Instrument
from actors.book.outcome import Placed
from actors.book.state.book import Book
from actors.book.structures.orders import find
from actors.book.units import QTY_PER_SHARE, format_scaled
from actors.market.world import World
from mbtd.core import Core
from mbtd.market.calendar import to_int
from mbtd.market.feed import Feed
from mbtd.pricing.chain import Priced
from mbtd.pricing.exposure import STOCK, Exposure, Held, account_exposure, exposure
from mbtd.pricing.picture import PictureUnavailable, draw_png
from mbtd.records.options import render_greeks
from mbtd.records.structure_lines import story_line
from mbtd.records.structures import payoff_legs, render_ended, render_structure, render_warning
from mbtd.rpc.errors import Refusal, RpcError, refuse
from mbtd.rpc.session import RequestId, Session
from mbtd.service import reads as r
from mbtd.service.options import OptionQueries
from mbtd.service.refusals import rule_error
from storage.history import History

if TYPE_CHECKING:
    from mbtd.service.queries import Queries

_BODY: Final = -1
_ARCHIVE_N: Final = 1
_ARCHIVE_AT: Final = 3
_SCAN: Final = 500
"""Archived events looked at in one go for ended structures."""
_changed = msgspec.msgpack.Decoder(e.StructureChanged)
_Fact = e.StructureChanged | e.StructureExitSet | e.StructureExitTriggered
_fact: msgspec.msgpack.Decoder[_Fact] = msgspec.msgpack.Decoder(_Fact)


def structure_body(book: Book, structure_id: str, world: World, now: int) -> Any:
    """A structure that a command was about."""
    structure = find(book, structure_id)
    return render_structure(book, structure, world, now) if structure is not None else {}


def structure_words(book: Book, placed: Placed) -> dict[str, Any]:
    """What the reply to an order says about structures: which one it is part of, and which it takes a leg out of."""
    terms = placed.terms
    out: dict[str, Any] = {}
    if terms is None:
        return {}
    if terms.structure_id:
        out["structure_id"] = terms.structure_id
    if placed.warnings:
        out["warnings"] = [render_warning(w.name, w.symbol, w.qty, w.structure_id, w.exits) for w in placed.warnings]
    return out


Method = Callable[[Session, RequestId, Book, Any], None]


class StructureQueries:
    """Answers questions about structures for one daemon."""

    def __init__(self, queries: Queries, core: Core, history: History, feed: Feed, options: OptionQueries) -> None:
        self._queries, self._core, self._history = queries, core, history
        self._feed, self._options = feed, options
        self.methods: dict[str, Method] = {
            "structure.list": self._list,
            "structure.get": self._get,
            "structure.payoff": self._payoff,
            "account.greeks": self._greeks,
        }

    # ── structures ──────────────────────────────────────────────────────────────────────────────────────

    def _list(self, session: Session, request_id: RequestId, book: Book, params: r.StructureList) -> None:
        world, now = self._queries.world_of(session, book.account_no), self._core.now()
        token = _token(params.page_token)
        items = []
        if params.status != "closed" and not token:
            items = [
                render_structure(book, book.structures[no], world, now)
                for no in sorted(book.structures, reverse=True)
                if params.underlying in (None, book.structures[no].underlying)
            ]
        if params.status == "open":
            self._queries.answer(session, request_id, {"items": items, "next_page_token": None})
            return
        account_no, live = book.account_no, set(book.structures)

        async def work() -> Any:
            ended, more = await self._ended(account_no, live, params.underlying, token, params.limit)
            return {"items": [*items, *ended], "next_page_token": more}

        self._queries.answer_later(session, request_id, work)

    async def _ended(
        self, account_no: int, live: set[int], underlying: str | None, before_n: int, limit: int
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Structures that have ended, the last one first."""
        found: list[dict[str, Any]] = []
        seen = set(live)
        n: int | None = before_n or None
        while True:
            rows = await self._history.events_of(account_no, ("sc",), 0, n, _SCAN)
            for row in rows:
                n = int(row[_ARCHIVE_N])
                event = _changed.decode(row[_BODY])
                if event.legs or event.structure_no in seen or underlying not in (None, event.underlying):
                    continue
                seen.add(event.structure_no)
                found.append(render_ended(event, int(row[_ARCHIVE_AT])))
                if len(found) == limit:
                    return found, str(n)
            if len(rows) < _SCAN:
                return found, None

    def _get(self, session: Session, request_id: RequestId, book: Book, params: r.StructureGet) -> None:
        structure = find(book, params.structure_id)
        world = self._queries.world_of(session, book.account_no)
        if structure is None:
            account_no = book.account_no
            self._queries.answer_later(session, request_id, lambda: self._past(account_no, params.structure_id))
            return
        shown = render_structure(book, structure, world, self._core.now())
        greeks = params.greeks and self._queries.sees_present(session)
        if not greeks and not params.story:
            self._queries.answer(session, request_id, shown)
            return
        units = {leg.symbol: leg.qty for leg in structure.legs}
        account_no, number = book.account_no, structure.structure_no

        async def work() -> Any:
            if params.story:
                shown["story"] = [story_line(*entry) for entry in await self._facts(account_no, number)]
            if not greeks:
                return shown
            held = await self._held(units)
            for leg, part in zip(shown["legs"], held, strict=True):
                priced = part.greeks if part.greeks is not STOCK else None
                leg["greeks"] = render_greeks(priced) if priced is not None else None
            shown["greeks"] = _exposure(exposure(structure.underlying, held))
            return shown

        self._queries.answer_later(session, request_id, work)

    async def _past(self, account_no: int, structure_id: str) -> Any:
        """An ended structure with its story."""
        number = int(structure_id) if structure_id.isascii() and structure_id.isdigit() else 0
        if not number:
            number = await self._number(account_no, structure_id)
        facts = await self._facts(account_no, number) if number else []
        changes = [(fact, at) for fact, at in facts if isinstance(fact, e.StructureChanged)]
        if not changes:
            raise Refusal(_not_found(structure_id))
        return render_ended(*changes[-1]) | {"story": [story_line(*entry) for entry in facts]}

    async def _facts(self, account_no: int, number: int) -> list[tuple[_Fact, int]]:
        """What is archived of a structure, with its times, oldest first."""
        rows = await self._history.order_events(account_no, -number)
        return [(_fact.decode(row[_BODY]), int(row[_ARCHIVE_AT])) for row in rows]

    async def _number(self, account_no: int, structure_id: str) -> int:
        n: int | None = None
        while True:
            rows = await self._history.events_of(account_no, ("sc",), 0, n, _SCAN)
            for row in rows:
                event = _changed.decode(row[_BODY])
                if event.structure_id == structure_id:
                    return event.structure_no
                n = int(row[_ARCHIVE_N])
            if len(rows) < _SCAN:
                return 0

    # ── payoff ──────────────────────────────────────────────────────────────────────────────────────────

    def _payoff(self, session: Session, request_id: RequestId, book: Book, params: r.StructurePayoff) -> None:
        if not self._queries.sees_present(session):
            refuse("not_entitled", "Computed from quotes in real time")
        structure = find(book, params.structure_id)
        if structure is None:
            raise Refusal(_not_found(params.structure_id))
        found = payoff_legs(book, structure, self._core.engine.world)
        if found is None:
            refuse("invalid_params", "A leg of this structure has no payoff by its strike", field="structure_id")
        held, cost = found
        moments = self._moments(params.dates) if params.dates is not None else None
        contracts, counts = [contract for contract, _ in held], [count for _, count in held]
        identity = {"structure_id": structure.structure_id, "name": structure.name}

        async def work() -> Any:
            shown = identity | await self._options.payoff_of(contracts, counts, lambda: cost, moments)
            if params.png:
                try:
                    shown["png"] = b64encode(draw_png(shown)).decode()
                except PictureUnavailable as error:
                    refuse("invalid_params", str(error), field="png")
            return shown

        self._queries.answer_later(session, request_id, work)

    def _moments(self, dates: Sequence[str]) -> list[tuple[str, int]]:
        found = []
        for text in dates:
            try:
                day = self._feed.calendar.trading_day(to_int(date.fromisoformat(text)))
            except ValueError:
                refuse("invalid_params", f"{text[:24]} is no trading day YYYY-MM-DD", field="dates")
            found.append((text, day.core_closes_at))
        return found

    # ── Greeks ──────────────────────────────────────────────────────────────────────────────────────────

    def _greeks(self, session: Session, request_id: RequestId, book: Book, params: r.OfAccount) -> None:
        if not self._queries.sees_present(session):
            refuse("not_entitled", "Computed from quotes in real time")
        units = {symbol: position.qty for symbol, position in sorted(book.positions.items())}
        structures = [book.structures[no] for no in sorted(book.structures)]

        async def work() -> Any:
            held = {part.symbol: part for part in await self._held(units)}
            parts = []
            for structure in structures:
                legs = [
                    msgspec.structs.replace(held[leg.symbol], units=self._units(leg.symbol, leg.qty))
                    for leg in structure.legs
                    if leg.symbol in held
                ]
                parts.append(
                    {"structure_id": structure.structure_id, "number": structure.structure_no, "name": structure.name}
                    | _exposure(exposure(structure.underlying, legs))
                )
            whole = account_exposure(list(held.values()))
            return {
                "positions": [
                    {"symbol": s} | _exposure(exposure(part.underlying, [part])) for s, part in held.items()
                ],
                "structures": parts,
                "underlyings": [_exposure(part) for part in whole.by_underlying],
                "delta_dollars": _number(whole.delta_dollars, 2),
                "gamma_dollars_1pct": _number(whole.gamma_dollars_1pct, 2),
                "theta": _number(whole.theta, 2),
                "vega": _number(whole.vega, 2),
                "rho": _number(whole.rho, 2),
                "unpriced": list(whole.unpriced),
            }

        self._queries.answer_later(session, request_id, work)

    def _instrument(self, symbol: str) -> Instrument | None:
        return self._core.engine.world.instruments.by_symbol.get(symbol)

    def _units(self, symbol: str, qty: int) -> float:
        instrument = self._instrument(symbol)
        return qty / QTY_PER_SHARE * (instrument.multiplier if instrument is not None else 1)

    async def _held(self, units: dict[str, int]) -> list[Held]:
        """Positions or legs with their Greeks, in their order."""
        known = {symbol: self._instrument(symbol) for symbol in units}
        contracts = [contract for contract in known.values() if contract is not None and contract.is_option]
        priced: dict[str, Priced] = await self._options.greeks_of(contracts) if contracts else {}
        found = []
        for symbol, qty in units.items():
            instrument = known[symbol]
            underlying = (instrument.underlying if instrument is not None else "") or symbol
            greeks = STOCK if instrument is not None and not instrument.is_option else None
            if symbol in priced:
                greeks = priced[symbol].greeks
            found.append(Held(symbol, underlying, self._units(symbol, qty), self._options.spot(underlying), greeks))
        return found


def _not_found(structure_id: str) -> RpcError:
    return rule_error("structure_not_found", "structure_id", structure_id=structure_id[:64])


def _exposure(part: Exposure) -> dict[str, Any]:
    return {
        "underlying": part.underlying,
        "delta": _number(part.delta, 4),
        "gamma": _number(part.gamma, 4),
        "theta": _number(part.theta, 2),
        "vega": _number(part.vega, 2),
        "rho": _number(part.rho, 2),
        "delta_dollars": _number(part.delta_dollars, 2),
        "gamma_dollars_1pct": _number(part.gamma_dollars_1pct, 2),
        "theoretical_value": _number(part.value, 2),
        "unpriced": list(part.unpriced),
    }


def _number(value: float, decimals: int) -> str:
    return format_scaled(round(value * 10**decimals), decimals)


def _token(text: str | None) -> int:
    if text is None:
        return 0
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        refuse("invalid_params", "page_token is not one of ours", field="page_token")
    return int(text)
