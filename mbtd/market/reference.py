"""Reference data: which instruments there are, kept over a restart, with its age in plain sight.

Invariants: instruments are sorted by symbol and symbols are unique; what is kept carries the time at which
its source said so; a source that fails leaves what is known untouched; stored bytes that cannot be read are
as good as none, and say why.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from actors.book.instruments import Instrument

_VERSION: Final = 1
_Loader = Callable[[], Awaitable[Iterable[Instrument]]]


class ReferenceStore(Protocol):
    """Where reference data survives: named bytes, each with a time."""

    async def get(self, name: str) -> tuple[bytes, int] | None:
        """The bytes kept under a name and their time in nanoseconds UTC; ``None`` when there are none."""

    async def put(self, name: str, body: bytes, at: int) -> None:
        """Keep bytes under a name in place of what was there."""


class Reference(Protocol):
    """Anything that knows instruments: a cache, a recording, the synthetic market."""

    @property
    def instruments(self) -> Sequence[Instrument]:
        """All instruments, sorted by symbol."""

    @property
    def as_of(self) -> int:
        """When the source said so, in nanoseconds UTC; 0 when nothing is known."""


class FixedReference(Struct, frozen=True):
    """Instruments that a source knows by itself (synthetic market, recordings)."""

    instruments: tuple[Instrument, ...]
    as_of: int

    @classmethod
    def of(cls, instruments: Iterable[Instrument], as_of: int) -> FixedReference:
        """Sorted and without repetition; of two records of a symbol, the later one counts."""
        return cls(_sorted(instruments), as_of)


class _Kept(Struct, array_like=True, frozen=True):
    version: int
    instruments: tuple[Instrument, ...]


class ReferenceCache:
    """The instruments of one source, remembered in a store under the source's name."""

    def __init__(self, store: ReferenceStore, source: str) -> None:
        self._store = store
        self._source = source
        self._instruments: tuple[Instrument, ...] = ()
        self._as_of = 0
        self._problem = ""

    @property
    def instruments(self) -> Sequence[Instrument]:
        """All instruments, sorted by symbol."""
        return self._instruments

    @property
    def as_of(self) -> int:
        """When the source said so, in nanoseconds UTC; 0 when nothing is known."""
        return self._as_of

    @property
    def problem(self) -> str:
        """Why the last load or refresh brought nothing; empty when it did."""
        return self._problem

    def age_ns(self, now: int) -> int | None:
        """How old the data is; ``None`` when there is none."""
        return now - self._as_of if self._as_of else None

    async def load(self) -> bool:
        """Take what the store holds; says whether that was anything."""
        found = await self._store.get(self._source)
        if found is None:
            self._problem = "nothing is stored"
            return False
        body, as_of = found
        try:
            kept = msgspec.msgpack.decode(body, type=_Kept)
        except msgspec.DecodeError as error:
            self._problem = f"what is stored cannot be read: {error}"
            return False
        if kept.version != _VERSION:
            self._problem = f"what is stored has version {kept.version}, not {_VERSION}"
            return False
        self._instruments, self._as_of, self._problem = kept.instruments, as_of, ""
        return True

    async def refresh(self, load: _Loader, now: int) -> list[Instrument]:
        """Ask the source and keep its answer; returns the records that are new or changed.

        What the source no longer lists comes back as not active and not tradable. An empty answer counts as
        a failure. Whatever the source raises is raised again, after it has been noted as the problem.
        """
        try:
            fresh = _sorted(await load())
        except Exception as error:
            self._problem = f"{self._source} did not answer: {error}"
            raise
        if not fresh:
            self._problem = f"{self._source} answered with no instrument at all"
            return []
        return await self.keep(fresh, now)

    async def keep(self, fresh: Iterable[Instrument], now: int) -> list[Instrument]:
        """Replace what is known and store it; returns the records that are new or changed."""
        before = {instrument.symbol: instrument for instrument in self._instruments}
        after = {instrument.symbol: instrument for instrument in _sorted(fresh)}
        gone = [
            msgspec.structs.replace(instrument, active=False, tradable=False)
            for symbol, instrument in before.items()
            if symbol not in after and instrument.active
        ]
        changed = [instrument for symbol, instrument in after.items() if before.get(symbol) != instrument]
        self._instruments, self._as_of, self._problem = tuple(after.values()), now, ""
        await self._store.put(self._source, msgspec.msgpack.encode(_Kept(_VERSION, self._instruments)), now)
        return [*changed, *gone]


def _sorted(instruments: Iterable[Instrument]) -> tuple[Instrument, ...]:
    unique = {instrument.symbol: instrument for instrument in instruments}
    return tuple(unique[symbol] for symbol in sorted(unique))
