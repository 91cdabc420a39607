"""Methods for watchlists: ``watchlist.*`` (alpaca-api §4.9).

Invariant: a list holds symbols that were known when they were added; it is shown with the instruments of today, and
a symbol that is gone is left out of what is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta

from actors.book.instruments import Instrument
from actors.book.rules.reasons import Refusal as RuleRefusal
from actors.book.rules.reasons import refuse as refusal_of
from actors.book.units import format_time
from actors.house.commands import DeleteWatchlist, SaveWatchlist
from actors.house.state import Watchlist
from mbtd.rpc.errors import Refusal
from mbtd.rpc.session import RequestId, Session
from mbtd.service.desk import Desk, Handler
from mbtd.service.reads import OfAccount, Params
from mbtd.service.refusals import rpc_error

Symbols = Annotated[tuple[str, ...], Meta(max_length=10_000)]


class WatchlistOf(OfAccount, frozen=True, kw_only=True):
    """A list by its id or its name."""

    watchlist_id: str | None = None
    name: str | None = None


class WatchlistCreate(OfAccount, frozen=True, kw_only=True):
    """A new list."""

    name: str
    symbols: Symbols = ()


class WatchlistUpdate(WatchlistOf, frozen=True, kw_only=True):
    """A new name, new symbols; what is absent stays. ``name`` finds the list when there is no id."""

    new_name: str | None = None
    symbols: Symbols | None = None


class WatchlistSymbol(WatchlistOf, frozen=True, kw_only=True):
    """A list and one symbol."""

    symbol: str


class Watchlists:
    """Answers the methods."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.render_asset: Callable[[Instrument], dict[str, Any]]
        """Set by the application: how an asset is shown."""
        self.methods: Mapping[str, tuple[type[Params], Handler]] = {
            "watchlist.list": (OfAccount, self._list),
            "watchlist.get": (WatchlistOf, self._get),
            "watchlist.create": (WatchlistCreate, self._create),
            "watchlist.update": (WatchlistUpdate, self._update),
            "watchlist.add": (WatchlistSymbol, self._add),
            "watchlist.remove": (WatchlistSymbol, self._remove),
            "watchlist.delete": (WatchlistOf, self._delete),
        }

    def _list(self, session: Session, request_id: RequestId, params: OfAccount) -> None:
        account_no = self._desk.account_no(params.account)
        lists = self._desk.house.watchlists.get(account_no, {})
        items = [self._render(account_no, key, found, assets=False) for key, found in lists.items()]
        self._desk.reply(session, request_id, {"items": items, "next_page_token": None})

    def _get(self, session: Session, request_id: RequestId, params: WatchlistOf) -> None:
        account_no, key, found = self._find(params)
        self._desk.reply(session, request_id, self._render(account_no, key, found))

    def _create(self, session: Session, request_id: RequestId, params: WatchlistCreate) -> None:
        account_no = self._desk.account_no(params.account)
        key = str(UUID(bytes=self._desk.entropy.draw(16), version=4))
        self._save(session, request_id, account_no, key, params.name, self._known(params.symbols))

    def _update(self, session: Session, request_id: RequestId, params: WatchlistUpdate) -> None:
        account_no, key, found = self._find(params)
        symbols = found.symbols if params.symbols is None else self._known(params.symbols)
        name = found.name if params.new_name is None else params.new_name
        self._save(session, request_id, account_no, key, name, symbols)

    def _add(self, session: Session, request_id: RequestId, params: WatchlistSymbol) -> None:
        account_no, key, found = self._find(params)
        (symbol,) = self._known((params.symbol,))
        if symbol in found.symbols:
            _refuse(refusal_of("watchlist_symbol_taken", "symbol", symbol=symbol))
        self._save(session, request_id, account_no, key, found.name, (*found.symbols, symbol))

    def _remove(self, session: Session, request_id: RequestId, params: WatchlistSymbol) -> None:
        account_no, key, found = self._find(params)
        symbol = params.symbol.upper()
        if symbol not in found.symbols:
            _refuse(refusal_of("watchlist_symbol_missing", "symbol", symbol=symbol[:24]))
        left = tuple(name for name in found.symbols if name != symbol)
        self._save(session, request_id, account_no, key, found.name, left)

    def _delete(self, session: Session, request_id: RequestId, params: WatchlistOf) -> None:
        account_no, key, _ = self._find(params)
        self._desk.tell(session, request_id, DeleteWatchlist(account_no=account_no, watchlist_id=key), dict)

    # ── the inside ───────────────────────────────────────────────────────────────────────────────────────

    def _find(self, params: WatchlistOf) -> tuple[int, str, Watchlist]:
        account_no = self._desk.account_no(params.account)
        lists = self._desk.house.watchlists.get(account_no, {})
        for key, found in lists.items():
            if key == params.watchlist_id or (params.watchlist_id is None and found.name == params.name):
                return account_no, key, found
        raise Refusal(rpc_error(refusal_of("watchlist_not_found")))

    def _known(self, symbols: tuple[str, ...]) -> tuple[str, ...]:
        table = self._desk.core.engine.world.instruments
        found = []
        for symbol in symbols:
            instrument = table.find(symbol) or table.find(symbol.upper())
            if instrument is None:
                _refuse(refusal_of("watchlist_symbol_unknown", "symbols", symbol=symbol[:24]))
            else:
                found.append(instrument.symbol)
        return tuple(dict.fromkeys(found))

    def _save(
        self, session: Session, request_id: RequestId, account_no: int, key: str, name: str, symbols: tuple[str, ...]
    ) -> None:
        command = SaveWatchlist(account_no=account_no, watchlist_id=key, name=name, symbols=symbols)

        def answer() -> dict[str, Any]:
            return self._render(account_no, key, self._desk.house.watchlists[account_no][key])

        self._desk.tell(session, request_id, command, answer)

    def _render(self, account_no: int, key: str, found: Watchlist, *, assets: bool = True) -> dict[str, Any]:
        table = self._desk.core.engine.world.instruments.by_symbol
        shown: dict[str, Any] = {
            "id": key,
            "account_id": self._desk.account_id(account_no),
            "name": found.name,
            "created_at": format_time(found.created_at),
            "updated_at": format_time(found.updated_at),
        }
        if assets:
            shown["assets"] = [self.render_asset(table[name]) for name in found.symbols if name in table]
        return shown


def _refuse(refusal: RuleRefusal) -> None:
    raise Refusal(rpc_error(refusal))
